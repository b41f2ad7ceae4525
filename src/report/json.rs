//! One event per line, as JSON: for programs.

use super::{Event, Sink};
use crate::python::bytes::shown;
use std::io::Write;

pub struct JsonLines<W> {
    out: W,
}

impl<W: Write> JsonLines<W> {
    pub fn new(out: W) -> JsonLines<W> {
        JsonLines { out }
    }
}

impl<W: Write + Send> Sink for JsonLines<W> {
    fn tell(&mut self, event: &Event) {
        // A reader that went away (`| head`) is no reason to stop the run.
        let line =
            serde_json::to_string(event).unwrap_or_else(|err| serde_json::json!({"event": "error", "error": err.to_string()}).to_string());
        let _ = writeln!(self.out, "{}", shown(&line)).and_then(|()| self.out.flush());
    }
}
