//! Filters on texts: case, trimming, indenting, quoting, wrapping, comments.

use super::Filter;
use crate::template::args::Args;
use crate::template::eval::{capitalize, format_percent};
use crate::template::fail::{Fail, Res};
use crate::template::lazy::Run;
use crate::template::value::{self, as_int, joined, list, map, replaced, text};
use minijinja::Value;
use std::sync::Arc;

pub(super) const TABLE: &[(&str, Filter)] = &[
    ("string", |_, value, _| text(&value).map(Value::from)),
    ("lower", |_, value, _| Ok(Value::from(text(&value)?.to_lowercase()))),
    ("upper", |_, value, _| Ok(Value::from(text(&value)?.to_uppercase()))),
    ("capitalize", |_, value, _| Ok(Value::from(capitalize(&text(&value)?)))),
    ("title", |_, value, _| Ok(Value::from(title(&text(&value)?)))),
    ("trim", trim),
    ("replace", replace),
    ("indent", indent),
    ("split", split),
    ("quote", |_, value, _| Ok(Value::from(quote(&if value.is_none() { String::new() } else { text(&value)? })))),
    ("format", |_, value, args| {
        let (positional, named) = (args.rest(), args.rest_named());
        let named = map(named.into_iter().map(|(key, value)| (Value::from(key), value)));
        format_percent(&text(&value)?, &positional, &named).map(Value::from)
    }),
    ("center", |_, value, args| {
        let width = usize::try_from(args.int_or("width", 80)?).unwrap_or(0).min(1 << 20);
        let text = text(&value)?;
        let missing = width.saturating_sub(text.chars().count());
        let left = missing / 2 + (missing & width & 1);
        Ok(Value::from(" ".repeat(left) + &text + &" ".repeat(missing - left)))
    }),
    ("truncate", truncate),
    ("wordcount", |_, value, _| {
        let text = text(&value)?;
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
        Ok(value::int(words.count() as i128))
    }),
    ("wordwrap", wordwrap),
    ("comment", comment),
    ("pprint", |_, value, _| value::repr(&value).map(Value::from)),
];

fn title(text: &str) -> String {
    let mut at_start = true;
    let mut out = String::new();
    for c in text.chars() {
        if at_start {
            out.extend(c.to_uppercase())
        } else {
            out.extend(c.to_lowercase())
        }
        at_start = c.is_whitespace() || "-({[<".contains(c);
    }
    out
}

fn trim(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let chars = args.get("chars").filter(|chars| !chars.is_none()).map(|chars| text(&chars)).transpose()?;
    let text = text(&value)?;
    let cut = |c: char| chars.as_ref().map_or(c.is_whitespace(), |chars| chars.contains(c));
    Ok(Value::from(text.trim_matches(cut)))
}

fn replace(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let (old, new) = (args.need_text("old")?, args.need_text("new")?);
    let text = text(&value)?;
    replaced(&text, &old, &new, args.int("count")?.and_then(|count| usize::try_from(count).ok()))
}

fn indent(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let by = match args.get("width") {
        Some(width) => match as_int(&width) {
            Some(width) => " ".repeat(usize::try_from(width).unwrap_or(0).min(1 << 16)),
            None => text(&width)?,
        },
        None => " ".repeat(4),
    };
    let (first, blank) = (args.flag("first", false)?, args.flag("blank", false)?);
    let text = text(&value)?;
    let mut out = String::new();
    for (n, line) in text.split('\n').enumerate() {
        if n > 0 {
            out.push('\n');
        }
        if (n > 0 || first) && (blank || !line.is_empty()) {
            out.push_str(&by);
        }
        out.push_str(line);
    }
    // A final end of line is not a line of its own.
    if blank && text.ends_with('\n') {
        out.truncate(out.len() - by.len());
    }
    Ok(Value::from(out))
}

fn split(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let separator = args.get("sep").filter(|sep| !sep.is_none()).map(|sep| text(&sep)).transpose()?;
    let most = args.int("maxsplit")?.and_then(|most| usize::try_from(most).ok());
    let text = text(&value)?;
    let parts: Vec<&str> = match (&separator, most) {
        (Some(separator), _) if separator.is_empty() => return Err(Fail::error("empty separator")),
        (Some(separator), Some(most)) => text.splitn(most + 1, separator.as_str()).collect(),
        (Some(separator), None) => text.split(separator.as_str()).collect(),
        (None, Some(most)) => text.trim_start().splitn(most + 1, char::is_whitespace).collect(),
        (None, None) => text.split_whitespace().collect(),
    };
    Ok(list(parts.into_iter().map(Value::from)))
}

/// Python's `shlex.quote`.
pub(in crate::template) fn quote(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\"'\"'"))
}

fn truncate(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let length = usize::try_from(args.int_or("length", 255)?).unwrap_or(0);
    let kill_words = args.flag("killwords", false)?;
    let end = args.text_or("end", "...")?;
    let leeway = usize::try_from(args.int_or("leeway", 5)?).unwrap_or(0);
    let text = text(&value)?;
    let count = text.chars().count();
    if count <= length + leeway {
        return Ok(Value::from(text));
    }
    let keep = length.checked_sub(end.chars().count()).ok_or_else(|| Fail::error("the length is shorter than the end"))?;
    let cut: String = text.chars().take(keep).collect();
    let cut = if kill_words { cut.as_str() } else { cut.rsplit_once(' ').map_or(cut.as_str(), |(words, _)| words) };
    Ok(Value::from(format!("{cut}{end}")))
}

fn wordwrap(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let width = usize::try_from(args.int_or("width", 79)?).unwrap_or(1).max(1);
    let break_long = args.flag("break_long_words", true)?;
    let newline = args.text("wrapstring")?.unwrap_or_else(|| "\n".to_owned());
    let text = text(&value)?;
    let mut wrapped = Vec::new();
    for line in text.lines() {
        let mut current = String::new();
        let mut width_now = 0;
        for word in line.split(' ') {
            let letters: Vec<char> = word.chars().collect();
            let mut word = &letters[..];
            if width_now > 0 && width_now + 1 + word.len() > width {
                wrapped.push(std::mem::take(&mut current));
                width_now = 0;
            }
            while break_long && word.len() > width {
                let (full, rest) = word.split_at(width);
                wrapped.push(full.iter().collect());
                word = rest;
            }
            if width_now > 0 {
                current.push(' ');
                width_now += 1;
            }
            width_now += word.len();
            current.extend(word);
        }
        wrapped.push(current);
    }
    joined(&wrapped, &newline)
}

fn comment(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let style = args.text_or("style", "plain")?;
    let (decoration, beginning, end) = match style.as_str() {
        "plain" => ("# ", "", ""),
        "erlang" => ("% ", "", ""),
        "c" => ("// ", "", ""),
        "cblock" => (" * ", "/*", " */"),
        "xml" => (" - ", "<!--", "-->"),
        other => return Err(Fail::error(format!("Invalid style '{other}'."))),
    };
    let mut option = |name: &str, default: &str| args.named(name).map_or(Ok(default.to_owned()), |value| text(&value));
    let newline = option("newline", "\n")?;
    let (beginning, end) = (option("beginning", beginning)?, option("end", end)?);
    let decoration = option("decoration", decoration)?;
    let prefix = option("prefix", decoration.trim_end())?;
    let postfix = option("postfix", decoration.trim_end())?;
    let mut count = |name: &str| args.named(name).and_then(|value| as_int(&value)).map_or(1, |n| usize::try_from(n).unwrap_or(0).min(1000));
    let (prefix_count, postfix_count) = (count("prefix_count"), count("postfix_count"));
    let mut out = String::new();
    if !beginning.is_empty() {
        out.push_str(&beginning);
        out.push_str(&newline);
    }
    for _ in 0..prefix_count {
        out.push_str(&prefix);
        out.push_str(&newline);
    }
    let body = text(&value)?;
    let body = format!("{decoration}{}", body.replace(&newline, &format!("{newline}{decoration}")));
    out.push_str(&body.replace(&format!("{decoration}{newline}"), &format!("{}{newline}", decoration.trim_end())));
    for _ in 0..postfix_count {
        out.push_str(&newline);
        out.push_str(&postfix);
    }
    if !end.is_empty() {
        out.push_str(&newline);
        out.push_str(&end);
    }
    Ok(Value::from(out))
}
