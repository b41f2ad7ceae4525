//! Lines in Ansible's form, results on standard output and the rest on standard error: for pipes, files and `NO_COLOR`.

use super::lines::{Line, ToLines};
use super::{Event, Sink};
use crate::python::bytes::shown;
use std::io::Write;

pub struct Plain<L, O, E> {
    lines: L,
    out: O,
    err: E,
}

impl<L: ToLines, O: Write, E: Write> Plain<L, O, E> {
    pub fn new(out: O, err: E, lines: L) -> Plain<L, O, E> {
        Plain { lines, out, err }
    }
}

impl<L: ToLines + Send, O: Write + Send, E: Write + Send> Sink for Plain<L, O, E> {
    fn tell(&mut self, event: &Event) {
        for line in self.lines.of(event) {
            // A reader that went away (`| head`) is no reason to stop the run.
            let _ = match line {
                Line::Out(text) => writeln!(self.out, "{}", shown(&text)).and_then(|()| self.out.flush()),
                Line::Err(text) => writeln!(self.err, "{}", shown(&text)).and_then(|()| self.err.flush()),
            };
        }
    }
}
