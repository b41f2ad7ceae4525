#!/bin/sh
# Moves CNI configurations named by the patterns in $STRAYS out of /etc/cni/net.d to $BACKUP, and says which.
set -ef
cd /etc/cni/net.d 2>/dev/null || exit 0
for pattern in $STRAYS; do
  find . -maxdepth 1 -type f -name "$pattern" ! -name '*.disabled' | while read -r file; do
    mkdir -p "$BACKUP"
    mv -f "$file" "$BACKUP/"
    echo "moved ${file#./} to $BACKUP"
  done
done
