//! Lines in Ansible's form, results on standard output and the rest on standard error: for pipes, files and `NO_COLOR`.

use super::lines::{Line, Lines, Style};
use super::{Event, Sink};
use std::io::Write;

pub struct Plain<O, E> {
    lines: Lines,
    out: O,
    err: E,
}

impl<O: Write, E: Write> Plain<O, E> {
    pub fn new(out: O, err: E, style: Style) -> Plain<O, E> {
        Plain { lines: Lines::new(style), out, err }
    }
}

impl<O: Write + Send, E: Write + Send> Sink for Plain<O, E> {
    fn tell(&mut self, event: &Event) {
        for line in self.lines.of(event) {
            // A reader that went away (`| head`) is no reason to stop the run.
            let _ = match line {
                Line::Out(text) => writeln!(self.out, "{text}").and_then(|()| self.out.flush()),
                Line::Err(text) => writeln!(self.err, "{text}").and_then(|()| self.err.flush()),
            };
        }
    }
}
