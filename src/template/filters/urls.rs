//! Filters on URLs and for HTML: splitting, encoding, escaping.

use super::Filter;
use crate::python::bytes;
use crate::python::regex::{Flags, Pattern};
use crate::template::args::Args;
use crate::template::fail::{Fail, Res};
use crate::template::lazy::Run;
use crate::template::value::{self, Type, dict, items, pairs, text, type_of};
use minijinja::Value;
use std::fmt::Write;
use std::sync::Arc;

pub(super) const TABLE: &[(&str, Filter)] = &[
    ("urlencode", urlencode),
    ("urldecode", |_, value, _| Ok(Value::from(urldecode(&text(&value)?)))),
    ("urlsplit", urlsplit),
    ("escape", escape),
    ("e", escape),
    ("forceescape", escape),
    ("safe", |_, value, _| Ok(value)),
    ("striptags", striptags),
    ("xmlattr", xmlattr),
    ("urlize", urlize),
];

fn escape(_: &Arc<Run>, value: Value, _: &mut Args) -> Res {
    Ok(Value::from(escaped(&text(&value)?)))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;").replace('\'', "&#39;")
}

/// Without comments and tags, blanks made one, entities resolved.
fn striptags(_: &Arc<Run>, value: Value, _: &mut Args) -> Res {
    let mut rest = text(&value)?;
    for (open, close) in [("<!--", "-->"), ("<", ">")] {
        while let Some(start) = rest.find(open) {
            let Some(len) = rest[start..].find(close) else { break };
            rest.replace_range(start..start + len + close.len(), "");
        }
    }
    let plain = rest.split_whitespace().collect::<Vec<_>>().join(" ");
    let plain = plain.replace("&lt;", "<").replace("&gt;", ">").replace("&#34;", "\"").replace("&quot;", "\"").replace("&#39;", "'");
    Ok(Value::from(plain.replace("&amp;", "&")))
}

fn xmlattr(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let auto_space = args.flag("autospace", true)?;
    let mut parts = Vec::new();
    for (key, item) in pairs(&value)? {
        if item.is_none() || crate::template::is_omit(&item) {
            continue;
        }
        let key = text(&key)?;
        if key.contains(|c: char| c.is_whitespace() || "/>=".contains(c)) {
            return Err(Fail::error(format!("Invalid character in attribute name: {}", value::repr(&Value::from(key))?)));
        }
        parts.push(format!("{}=\"{}\"", escaped(&key), escaped(&text(&item)?)));
    }
    let joined = parts.join(" ");
    Ok(Value::from(if auto_space && !joined.is_empty() { format!(" {joined}") } else { joined }))
}

/// Links of the addresses in a text.
fn urlize(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let limit = args.int("trim_url_limit")?.and_then(|limit| usize::try_from(limit).ok());
    let no_follow = args.flag("nofollow", false)?;
    let target = args.get("target").filter(|target| !target.is_none()).map(|target| text(&target)).transpose()?;
    let rel = args.get("rel").filter(|rel| !rel.is_none()).map(|rel| text(&rel)).transpose()?;
    if let Some(schemes) = args.get("extra_schemes").filter(|schemes| !schemes.is_none()) {
        return Err(Fail::error(format!("`extra_schemes` is not supported: {}", text(&schemes)?)));
    }
    let mut rels: Vec<String> = rel.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    rels.push("noopener".to_owned());
    if no_follow {
        rels.push("nofollow".to_owned());
    }
    rels.sort();
    rels.dedup();
    let target = target.map(|target| format!(" target=\"{}\"", escaped(&target))).unwrap_or_default();
    let web = Pattern::at_start(
        r"(https?://|www\.)(([\w%-]+\.)+)?([a-z]{2,63}|xn--[\w%]{2,59})|(https?://)(\d{1,3}(\.\d{1,3}){3}|localhost)",
        Flags { ignore_case: true, ..Flags::default() },
    )?;
    let mail = Pattern::at_start(r"\S+@\w[\w.-]*\.\w+\Z", Flags::default())?;
    let blanks = Pattern::new(r"\s+", Flags::default())?;
    let given = escaped(&text(&value)?);
    let mut out = String::new();
    let mut at = 0;
    let spaces: Vec<(usize, usize)> =
        blanks.find_all(&given)?.iter().filter_map(|found| found.get(0).map(|m| (m.start(), m.end()))).collect();
    for (start, end) in spaces.into_iter().chain([(given.len(), given.len())]) {
        let word = &given[at..start];
        let middle = word.trim_start_matches(['(', '<']).trim_start_matches("&lt;").trim_end_matches([')', '>', '.', ',', ' ']);
        let (head, tail) = match word.find(middle) {
            Some(from) if !middle.is_empty() => (&word[..from], &word[from + middle.len()..]),
            _ => (word, ""),
        };
        let shown: String = match limit {
            Some(limit) if middle.chars().count() > limit => middle.chars().take(limit).collect::<String>() + "...",
            _ => middle.to_owned(),
        };
        let link = match () {
            () if web.is_found(middle)? => {
                let address = if middle.starts_with("www.") { format!("https://{middle}") } else { middle.to_owned() };
                Some(format!("<a href=\"{address}\" rel=\"{}\"{target}>{shown}</a>", rels.join(" ")))
            }
            () if mail.is_found(middle)? && !middle.contains(':') => Some(format!("<a href=\"mailto:{middle}\">{middle}</a>")),
            () => None,
        };
        match link {
            Some(link) => out += &format!("{head}{link}{tail}"),
            None => out.push_str(word),
        }
        out.push_str(&given[start..end]);
        at = end;
    }
    Ok(Value::from(out))
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
        _ => return Ok(Value::from(percent_encode(&utf8(text(&value)?)?, "/", false))),
    };
    let mut parts = Vec::new();
    for (key, item) in all {
        parts.push(format!("{}={}", percent_encode(&utf8(text(&key)?)?, "", true), percent_encode(&utf8(text(&item)?)?, "", true)));
    }
    Ok(Value::from(parts.join("&")))
}

/// Python encodes the text first, which takes UTF-8 only.
fn utf8(text: String) -> Res<String> {
    bytes::refuse(&text).map_or(Ok(text), |words| Err(Fail::error(words)))
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

/// The parts of a URL, as Python's `urlsplit` finds them.
pub(in crate::template) struct Url<'u> {
    pub scheme: String,
    pub netloc: &'u str,
    pub path: &'u str,
    query: &'u str,
    fragment: &'u str,
}

impl Url<'_> {
    pub fn split(url: &str) -> Url<'_> {
        let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let is_scheme = |scheme: &str| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        };
        let (scheme, rest) = match rest.split_once(':') {
            Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_lowercase(), rest),
            _ => (String::new(), rest),
        };
        let (netloc, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => ("", rest),
        };
        Url { scheme, netloc, path, query, fragment }
    }
}

fn urlsplit(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let query = args.text_or("query", "")?;
    let url = text(&value)?;
    let Url { scheme, netloc, path, query: search, fragment } = Url::split(&url);
    let (user_info, host_port) = netloc.rsplit_once('@').map_or((None, netloc), |(user, host)| (Some(user), host));
    let (host, port) = match host_port.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':').unwrap_or("")),
        None => host_port.split_once(':').unwrap_or((host_port, "")),
    };
    let (user, password) = user_info
        .map_or((None, None), |info| info.split_once(':').map_or((Some(info), None), |(user, password)| (Some(user), Some(password))));
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
