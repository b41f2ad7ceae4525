//! What is said when a text is not YAML: the parser's finding in words that name the cause, at its place.

use crate::source::{Diag, Source, Span};
use libyaml_safer::{Error, Mark};
use std::sync::Arc;

/// The byte at which a mark stands. `base` is where the parser began: behind a byte order mark.
pub fn place(source: &Arc<Source>, base: usize, mark: Mark) -> usize {
    let mut at = usize::try_from(mark.index).unwrap_or(usize::MAX).saturating_add(base).min(source.text.len());
    while !source.text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The character at `at`, or nothing at the end of the text.
pub fn character(source: &Arc<Source>, at: usize) -> Span {
    let length = source.text[at..].chars().next().map_or(0, char::len_utf8);
    source.span(at, at + length)
}

pub fn error(source: &Arc<Source>, base: usize, error: &Error) -> Diag {
    let at = error.problem_mark().map_or(source.text.len(), |mark| place(source, base, mark));
    let here = character(source, at);
    let mut diag = Diag::error(format!("this is not valid YAML: {}", problem(error.problem(), here.text()))).at(&here);
    if let (Some(context), Some(mark)) = (error.context(), error.context_mark()) {
        let from = place(source, base, mark);
        if from != at {
            diag = diag.label(&character(source, from), context.replacen("while parsing", "in", 1).replacen("while scanning", "in", 1));
        }
    }
    match hint(error.problem(), source, at) {
        Some(hint) => diag.hint(hint),
        None => diag,
    }
}

/// The parser's words, where ours say more.
fn problem(words: &str, here: &str) -> String {
    match words {
        "mapping values are not allowed in this context" => "a `:` makes a mapping, and there can be none here".to_owned(),
        "mapping keys are not allowed in this context" => "a `?` makes a mapping, and there can be none here".to_owned(),
        "block sequence entries are not allowed in this context" => "a list cannot begin here".to_owned(),
        "did not find expected key" => {
            "the next key was expected here; the indentation differs, or a quote or bracket ended early".to_owned()
        }
        "did not find expected '-' indicator" => "the next `-` of the list was expected here; the indentation differs".to_owned(),
        "could not find expected ':'" => "this line is no `key: value`, and no part of the value before it".to_owned(),
        "found character that cannot start any token" if here == "\t" => "a tab cannot indent".to_owned(),
        "found character that cannot start any token" => format!("a value cannot begin with `{here}`"),
        "found unexpected end of stream" => "the file ends inside quotes".to_owned(),
        words => words.replace("did not find expected", "expected").replace("did not find the expected", "expected"),
    }
}

fn hint(words: &str, source: &Arc<Source>, at: usize) -> Option<String> {
    let line_start = source.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line = source.text[line_start..].lines().next().unwrap_or("");
    if line.contains(": {{") || line.contains("- {{") {
        return Some(TEMPLATE_QUOTES.to_owned());
    }
    match words {
        "mapping values are not allowed in this context" => Some("put quotes around a value that contains `: `".to_owned()),
        "found character that cannot start any token" if source.text[at..].starts_with('\t') => Some("indent with spaces".to_owned()),
        "found character that cannot start any token" => Some("put quotes around the whole value".to_owned()),
        "found unknown escape character" => {
            Some("in double quotes a backslash is written `\\\\`; in single quotes it is itself".to_owned())
        }
        _ => None,
    }
}

pub const TEMPLATE_QUOTES: &str = "a value that begins with `{{` needs quotes: `\"{{ ... }}\"`";

/// The first character that YAML does not allow anywhere.
pub fn forbidden(source: &Arc<Source>) -> Option<Diag> {
    let allowed =
        |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    let (at, found) = source.text.char_indices().find(|(_, c)| !allowed(*c))?;
    Some(
        Diag::error(format!("this is not valid YAML: the control character U+{:04X} is not allowed", found as u32))
            .at(&source.span(at, at + found.len_utf8()))
            .hint(format!("in double quotes it can be written `\\u{:04x}`", found as u32)),
    )
}
