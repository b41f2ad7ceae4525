//! Filters on paths, as texts: only `realpath` and `fileglob` look at the controller's files.

use super::Filter;
use crate::template::fail::{Fail, Res};
use crate::template::lookups::files::glob;
use crate::template::value::{is_list, items, list, text, tuple, type_name};
use minijinja::Value;

pub(super) const TABLE: &[(&str, Filter)] = &[
    ("basename", |_, value, _| Ok(Value::from(text(&value)?.rsplit('/').next().unwrap_or("")))),
    ("dirname", |_, value, _| Ok(Value::from(dirname(&text(&value)?)))),
    ("splitext", |_, value, _| {
        let path = text(&value)?;
        let (root, extension) = splitext(&path);
        Ok(tuple([Value::from(root), Value::from(extension)]))
    }),
    ("normpath", |_, value, _| Ok(Value::from(normpath(&text(&value)?)))),
    ("realpath", |_, value, _| {
        let path = absolute(&text(&value)?);
        let real = std::fs::canonicalize(&path).map_or(path, |real| real.display().to_string());
        Ok(Value::from(real))
    }),
    ("relpath", |_, value, args| {
        let from = args.text("start")?.map_or_else(|| absolute("."), |start| absolute(&start));
        Ok(Value::from(relpath(&absolute(&text(&value)?), &from)))
    }),
    ("expanduser", |_, value, _| {
        let path = text(&value)?;
        let home = std::env::var("HOME").unwrap_or_default();
        let expanded = match path.strip_prefix('~') {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => home + rest,
            _ => path,
        };
        Ok(Value::from(expanded))
    }),
    ("expandvars", |_, value, _| Ok(Value::from(expandvars(&text(&value)?)))),
    ("path_join", |_, value, args| {
        let parts = match () {
            () if is_list(&value) => items(&value)?,
            () if value.as_str().is_some() => vec![value],
            () => return Err(Fail::error(format!("|path_join expects string or sequence, got {} instead.", type_name(&value)))),
        };
        args.done()?;
        let mut joined = String::new();
        for part in parts {
            let part = text(&part)?;
            if part.starts_with('/') {
                joined = part;
            } else {
                if !joined.is_empty() && !joined.ends_with('/') {
                    joined.push('/');
                }
                joined.push_str(&part);
            }
        }
        Ok(Value::from(joined))
    }),
    ("commonpath", |_, value, _| commonpath(&value)),
    ("win_basename", |_, value, _| {
        let path = text(&value)?;
        let (_, rest) = split_drive(&path);
        Ok(Value::from(rest.rsplit(['\\', '/']).next().unwrap_or("")))
    }),
    ("win_dirname", |_, value, _| {
        let path = text(&value)?;
        let (drive, rest) = split_drive(&path);
        let Some(at) = rest.rfind(['\\', '/']) else { return Ok(Value::from(drive)) };
        let head = &rest[..=at];
        let trimmed = head.trim_end_matches(['\\', '/']);
        Ok(Value::from(format!("{drive}{}", if trimmed.is_empty() { head } else { trimmed })))
    }),
    ("win_splitdrive", |_, value, _| {
        let path = text(&value)?;
        let (drive, rest) = split_drive(&path);
        Ok(tuple([Value::from(drive), Value::from(rest)]))
    }),
    ("fileglob", |_, value, _| Ok(list(glob(&text(&value)?)?.into_iter().map(Value::from)))),
];

/// The drive of a path of Windows, or the computer and share before it.
fn split_drive(path: &str) -> (&str, &str) {
    let is_separator = |c: char| matches!(c, '\\' | '/');
    if let Some(rest) = path.strip_prefix(is_separator).and_then(|rest| rest.strip_prefix(is_separator)) {
        let mut ends = rest.char_indices().filter(|(_, c)| is_separator(*c)).map(|(at, _)| at + 2);
        let end = ends.nth(1).unwrap_or(path.len());
        return path.split_at(end);
    }
    match path.char_indices().nth(1) {
        Some((at, ':')) => path.split_at(at + 1),
        _ => path.split_at(0),
    }
}

fn dirname(path: &str) -> &str {
    let Some(at) = path.rfind('/') else { return "" };
    let head = &path[..=at];
    if head.chars().all(|c| c == '/') { head } else { head.trim_end_matches('/') }
}

fn splitext(path: &str) -> (&str, &str) {
    let name = path.rfind('/').map_or(0, |at| at + 1);
    let stem = path[name..].trim_start_matches('.');
    match stem.rfind('.') {
        Some(at) => path.split_at(path.len() - stem.len() + at),
        None => (path, ""),
    }
}

fn normpath(path: &str) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    let root = match path {
        path if path.starts_with("//") && !path.starts_with("///") => "//",
        path if path.starts_with('/') => "/",
        _ => "",
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match (part, parts.last()) {
            ("..", Some(&last)) if last != ".." => {
                parts.pop();
            }
            ("..", None) if !root.is_empty() => {}
            _ => parts.push(part),
        }
    }
    let whole = format!("{root}{}", parts.join("/"));
    if whole.is_empty() { ".".to_owned() } else { whole }
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') {
        return normpath(path);
    }
    let here = std::env::current_dir().map_or_else(|_| "/".to_owned(), |dir| dir.display().to_string());
    normpath(&format!("{here}/{path}"))
}

fn relpath(path: &str, from: &str) -> String {
    let parts = |path: &str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let (path, from) = (parts(path), parts(from));
    let common = path.iter().zip(&from).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..".to_owned(), from.len() - common);
    let whole = up.chain(path[common..].iter().cloned()).collect::<Vec<_>>().join("/");
    if whole.is_empty() { ".".to_owned() } else { whole }
}

fn expandvars(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (name, len) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((name, _)) => (name, name.len() + 2),
            None => {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                (&after[..end], end)
            }
        };
        match std::env::var(name) {
            Ok(value) if !name.is_empty() => out.push_str(&value),
            _ => out.push_str(&rest[at..at + 1 + len]),
        }
        rest = &after[len..];
    }
    out + rest
}

fn commonpath(value: &Value) -> Res {
    if !is_list(value) {
        return Err(Fail::error("|commonpath expects a list"));
    }
    let mut paths = Vec::new();
    for path in items(value)? {
        paths.push(text(&path)?);
    }
    let Some(first) = paths.first() else { return Err(Fail::error("commonpath() arg is an empty sequence")) };
    let absolute = first.starts_with('/');
    if paths.iter().any(|path| path.starts_with('/') != absolute) {
        return Err(Fail::error("cannot mix absolute and relative paths"));
    }
    let split: Vec<Vec<&str>> =
        paths.iter().map(|path| path.split('/').filter(|part| !part.is_empty() && *part != ".").collect()).collect();
    let common = (0..).take_while(|n| split.iter().all(|path| path.get(*n).is_some_and(|part| Some(part) == split[0].get(*n)))).count();
    Ok(Value::from(format!("{}{}", if absolute { "/" } else { "" }, split[0][..common].join("/"))))
}
