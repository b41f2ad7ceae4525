//! What a task changed in a text, as `--diff` shows it.

use super::HostResult;
use super::dump::{indented, sorted};
use super::lines::{Line, paint};
use anstyle::AnsiColor;
use serde_json::Value as Json;

/// The changes of a result, each followed by an empty line.
pub fn lines(result: &HostResult, context: usize, colour: bool) -> Vec<Line> {
    let diffs = match result.result.get("diff") {
        Some(Json::Array(diffs)) => diffs.as_slice(),
        Some(diff @ Json::Object(_)) => std::slice::from_ref(diff),
        _ => return Vec::new(),
    };
    let text = |diff: &Json, key: &str| match diff.get(key) {
        Some(Json::String(text)) => text.clone(),
        Some(state @ Json::Object(_)) => format!("{}\n", indented(&sorted(state.clone()), 4)),
        _ => String::new(),
    };
    let mut lines = Vec::new();
    for diff in diffs {
        let (before, after) = (text(diff, "before"), text(diff, "after"));
        let prepared = text(diff, "prepared");
        if !prepared.is_empty() {
            lines.extend(prepared.lines().map(|line| Line::Out(line.to_owned())));
            lines.push(Line::Out(String::new()));
        }
        if before == after {
            continue;
        }
        let header = |which: &str, name: String| if name.is_empty() { which.to_owned() } else { format!("{which}: {name}") };
        let compared = similar::TextDiff::from_lines(&before, &after);
        let mut unified = compared.unified_diff();
        let (old, new) = (header("before", text(diff, "before_header")), header("after", text(diff, "after_header")));
        let unified = unified.context_radius(context).header(&old, &new).to_string();
        lines.extend(unified.lines().map(|line| {
            let of_line = match line.chars().next() {
                Some('-') => Some(AnsiColor::Red),
                Some('+') => Some(AnsiColor::Green),
                Some('@') => Some(AnsiColor::Cyan),
                _ => None,
            };
            Line::Out(of_line.map_or_else(|| line.to_owned(), |of_line| paint(colour, of_line, line)))
        }));
        lines.push(Line::Out(String::new()));
    }
    lines
}
