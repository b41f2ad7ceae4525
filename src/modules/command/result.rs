//! What a command left behind, by Ansible's names and in its formats. Shared by command, shell, raw, script and everything that runs a tool for the user.

use crate::sh::Output;
use serde_json::{Map, Value as Json};
use std::time::Duration;

/// `stdout` and `stderr`, with their lines.
pub fn texts(stdout: &str, stderr: &str) -> Map<String, Json> {
    let mut data = Map::new();
    for (name, text) in [("stdout", stdout), ("stderr", stderr)] {
        data.insert(name.to_owned(), text.into());
        data.insert(format!("{name}_lines"), lines(text).into());
    }
    data
}

/// `start`, `end` and `delta` as Python prints its dates and time spans.
pub fn times(output: &Output) -> [(&'static str, Json); 3] {
    [("start", date(output.started)), ("end", date(output.started + output.elapsed)), ("delta", span(output.elapsed).into())]
}

fn date(time: std::time::SystemTime) -> Json {
    let Ok(timestamp) = jiff::Timestamp::try_from(time) else { return Json::Null };
    let zoned = timestamp.to_zoned(jiff::tz::TimeZone::system());
    zoned.strftime("%Y-%m-%d %H:%M:%S%.6f").to_string().into()
}

fn span(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    let days = match seconds / 86400 {
        0 => String::new(),
        1 => "1 day, ".to_owned(),
        n => format!("{n} days, "),
    };
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{days}{hours}:{minutes:02}:{:02}.{:06}", seconds % 60, elapsed.subsec_micros())
}

/// Lines as Python's `splitlines` finds them.
pub fn lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut chars = text.chars().peekable();
    let mut is_open = false;
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}' | '\r' => {
                if c == '\r' {
                    chars.next_if_eq(&'\n');
                }
                lines.push(std::mem::take(&mut line));
                is_open = false;
            }
            c => {
                line.push(c);
                is_open = true;
            }
        }
    }
    if is_open {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_python_does() {
        assert_eq!(lines("a\r\n\nb\rc\u{2028}d"), ["a", "", "b", "c", "d"]);
        assert!(lines("").is_empty());
        assert_eq!(span(Duration::from_micros(3_572)), "0:00:00.003572");
        assert_eq!(span(Duration::from_secs(2 * 86400 + 3 * 3600 + 61)), "2 days, 3:01:01.000000");
    }
}
