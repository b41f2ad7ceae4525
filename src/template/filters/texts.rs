//! Filters on texts: case, trimming, indenting, quoting, wrapping, comments, URLs.

use super::Filter;
use crate::template::args::Args;
use crate::template::eval::{capitalize, format_percent};
use crate::template::fail::{Fail, Res};
use crate::template::lazy::Run;
use crate::template::value::{self, Type, as_int, dict, items, list, map, pairs, text, type_of};
use minijinja::Value;
use std::fmt::Write;
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
    ("escape", escape),
    ("e", escape),
    ("forceescape", escape),
    ("safe", |_, value, _| Ok(value)),
    ("pprint", |_, value, _| value::repr(&value).map(Value::from)),
    ("version_sort", |_, value, _| {
        let mut versions = items(&value)?.iter().map(text).collect::<Res<Vec<_>>>()?;
        crate::template::version::sort(&mut versions);
        Ok(list(versions.into_iter().map(Value::from)))
    }),
    ("urlencode", urlencode),
    ("urldecode", |_, value, _| Ok(Value::from(urldecode(&text(&value)?)))),
    ("urlsplit", urlsplit),
];

fn title(text: &str) -> String {
    let mut at_start = true;
    let mut out = String::new();
    for c in text.chars() {
        if at_start { out.extend(c.to_uppercase()) } else { out.extend(c.to_lowercase()) }
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
    Ok(Value::from(match args.int("count")?.and_then(|count| usize::try_from(count).ok()) {
        Some(count) => text.replacen(&old, &new, count),
        None => text.replace(&old, &new),
    }))
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
            let mut word: Vec<char> = word.chars().collect();
            if width_now > 0 && width_now + 1 + word.len() > width {
                wrapped.push(std::mem::take(&mut current));
                width_now = 0;
            }
            while break_long && word.len() > width {
                let rest = word.split_off(width);
                wrapped.push(word.into_iter().collect());
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
    Ok(Value::from(wrapped.join(&newline)))
}

fn comment(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let style = args.text_or("style", "plain")?;
    let (decoration, beginning, end) = match style.as_str() {
        "plain" => ("# ", "", ""),
        "erlang" => ("% ", "", ""),
        "c" => ("// ", "", ""),
        "cblock" => (" * ", "/*", " */"),
        "xml" => (" - ", "<!--", "-->"),
        other => return Err(Fail::error(format!("there is no comment style '{other}'"))),
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

fn escape(_: &Arc<Run>, value: Value, _: &mut Args) -> Res {
    let escaped = text(&value)?.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    Ok(Value::from(escaped.replace('"', "&#34;").replace('\'', "&#39;")))
}

fn percent_encode(text: &str, safe: &str, plus: bool) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' if plus => out.push('+'),
            byte if byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte) || safe.as_bytes().contains(&byte) => out.push(byte as char),
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

fn urlencode(_: &Arc<Run>, value: Value, _: &mut Args) -> Res {
    let all = match type_of(&value) {
        Type::Map => pairs(&value)?,
        Type::List => {
            let mut all = Vec::new();
            for pair in items(&value)? {
                match items(&pair)?.as_slice() {
                    [key, value] => all.push((key.clone(), value.clone())),
                    _ => return Err(Fail::error("`urlencode` takes a text, a mapping or a list of pairs")),
                }
            }
            all
        }
        _ => return Ok(Value::from(percent_encode(&text(&value)?, "/", false))),
    };
    let mut parts = Vec::new();
    for (key, item) in all {
        parts.push(format!("{}={}", percent_encode(&text(&key)?, "", true), percent_encode(&text(&item)?, "", true)));
    }
    Ok(Value::from(parts.join("&")))
}

fn urldecode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = tail;
            }
            (byte, _) => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn urlsplit(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let query = args.text_or("query", "")?;
    let url = text(&value)?;
    let (rest, fragment) = url.split_once('#').unwrap_or((&url, ""));
    let (rest, search) = rest.split_once('?').unwrap_or((rest, ""));
    let is_scheme = |scheme: &str| scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let (scheme, rest) = match rest.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_lowercase(), rest),
        _ => (String::new(), rest),
    };
    let (netloc, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let (user_info, host_port) = netloc.rsplit_once('@').map_or((None, netloc), |(user, host)| (Some(user), host));
    let (host, port) = match host_port.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':').unwrap_or("")),
        None => host_port.split_once(':').unwrap_or((host_port, "")),
    };
    let (user, password) = user_info.map_or((None, None), |info| info.split_once(':').map_or((Some(info), None), |(user, password)| (Some(user), Some(password))));
    let maybe = |text: Option<&str>| text.map_or(Value::from(()), Value::from);
    let host = host.to_lowercase();
    let all = dict([
        ("fragment", Value::from(fragment)),
        ("hostname", maybe((!host.is_empty()).then_some(&host))),
        ("netloc", Value::from(netloc)),
        ("password", maybe(password)),
        ("path", Value::from(path)),
        ("port", port.parse::<u16>().map_or(Value::from(()), Value::from)),
        ("query", Value::from(search)),
        ("scheme", Value::from(scheme)),
        ("username", maybe(user)),
    ]);
    if query.is_empty() {
        return Ok(all);
    }
    value::get(&all, &query).ok_or_else(|| Fail::error(format!("urlsplit: unknown URL component: {query}")))
}
