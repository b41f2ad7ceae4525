//! Options inside a term, the old way: `lookup('ini', 'key section=s file=f.ini')`.

use crate::template::args::Args;
use crate::template::fail::{Fail, Res};
use crate::template::value::{self, as_int, text, type_name};
use minijinja::Value;

/// The words of a term that are options of the lookup, and what is left before and between them.
pub(super) struct Inline {
    pub rest: String,
    pub options: Vec<(String, String)>,
}

/// Splits a term at its blanks; quotes hold words together. `known` are the options; any other `name=value` is an error.
pub(super) fn split(term: &str, known: &[&str]) -> Res<Inline> {
    let mut inline = Inline { rest: String::new(), options: Vec::new() };
    for word in words(term) {
        match word.split_once('=') {
            Some((name, given)) if known.contains(&name) => inline.options.push((name.to_owned(), unquoted(given))),
            Some((name, _)) if !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_') => {
                return Err(Fail::error(format!("'{name}' is not a valid option.")));
            }
            _ => {
                if !inline.rest.is_empty() {
                    inline.rest.push(' ');
                }
                inline.rest.push_str(&word);
            }
        }
    }
    Ok(inline)
}

/// Words with their quotes, which do not end inside of quotes.
fn words(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for c in text.chars() {
        match quote {
            Some(open) => {
                if c == open {
                    quote = None;
                }
                word.push(c);
            }
            None if c.is_whitespace() => {
                if !word.is_empty() {
                    all.push(std::mem::take(&mut word));
                }
            }
            None => {
                if matches!(c, '"' | '\'') {
                    quote = Some(c);
                }
                word.push(c);
            }
        }
    }
    if !word.is_empty() {
        all.push(word);
    }
    all
}

/// Without the quotes around it, and with `\t`, `\x1a` and the like as the characters they stand for.
fn unquoted(text: &str) -> String {
    let inner = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    unescaped(inner('"').or_else(|| inner('\'')).unwrap_or(text))
}

pub(super) fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('\\') => out.push('\\'),
            Some('x') => {
                let hex: String = chars.by_ref().take(2).collect();
                match u8::from_str_radix(&hex, 16) {
                    Ok(byte) => out.push(char::from(byte)),
                    Err(_) => out += &format!("\\x{hex}"),
                }
            }
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
    out
}

/// A whole number; otherwise Ansible's words for an option of the wrong kind.
pub(super) fn integer(value: &Value, option: &str, lookup: &str) -> Res<i128> {
    let parsed = match value.as_str().map(str::trim) {
        Some(text) => match text.strip_prefix("0x") {
            Some(hex) => i128::from_str_radix(hex, 16).ok(),
            None => text.parse().ok(),
        },
        None => as_int(value),
    };
    match parsed {
        Some(number) => Ok(number),
        None => Err(Fail::error(format!(
            "Config '{option}' for '{lookup}' lookup plugin from 'Direct' has an invalid value: Invalid value provided for 'integer': {}",
            value::repr(value)?
        ))),
    }
}

/// A truth value, as options take it: `true`, `yes`, `1`.
pub(super) fn boolean(value: &Value) -> Res<bool> {
    match value.as_str() {
        Some(_) => Ok(crate::template::filters::bool_of(value).is_true()),
        None => value::truth(value),
    }
}

/// An option given by name, as a text.
pub(super) fn named_text(options: &mut Args, name: &str) -> Res<Option<String>> {
    match options.named(name).filter(|value| !value.is_none()) {
        None => Ok(None),
        Some(value) if value::is_list(&value) || value::is_map(&value) => {
            Err(Fail::error(format!("the option `{name}` must be a string, not '{}'", type_name(&value))))
        }
        Some(value) => text(&value).map(Some),
    }
}
