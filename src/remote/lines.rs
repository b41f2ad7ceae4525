//! Cuts output into lines for whoever watches a script run.

/// A longer line is shown up to here.
const LONGEST: usize = 8 * 1024;

#[derive(Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    pub fn feed(&mut self, bytes: &[u8], mut show: impl FnMut(&str)) {
        let mut rest = bytes;
        while let Some(newline) = rest.iter().position(|&byte| byte == b'\n') {
            self.keep(&rest[..newline]);
            self.finish_line(&mut show);
            rest = &rest[newline + 1..];
        }
        self.keep(rest);
    }

    /// Shows the last line if it has no end.
    pub fn finish(&mut self, mut show: impl FnMut(&str)) {
        if !self.partial.is_empty() {
            self.finish_line(&mut show);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LONGEST - self.partial.len();
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn finish_line(&mut self, show: &mut impl FnMut(&str)) {
        let line = String::from_utf8_lossy(&self.partial);
        show(line.trim_end_matches('\r'));
        self.partial.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_the_output_is_cut() {
        let mut lines = Lines::default();
        let mut shown = Vec::new();
        for piece in ["on", "e\r\ntw", "o\n\nlast"] {
            lines.feed(piece.as_bytes(), |line| shown.push(line.to_owned()));
        }
        lines.feed(&[b'x'; 3 * LONGEST], |line| shown.push(line.to_owned()));
        lines.finish(|line| shown.push(line.to_owned()));
        assert_eq!(shown[..3], ["one", "two", ""]);
        assert_eq!(shown[3].len(), LONGEST);
    }
}
