#!/bin/sh
echo start script >>"$1"
sleep 0.1
echo end script >>"$1"
