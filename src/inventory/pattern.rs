//! Host patterns: unions, `&` and `!`, globs, `~regex`, subscripts.

use super::{Inventory, LOCALHOST, address};
use crate::python::fnmatch;
use crate::python::regex::{self, Flags, Pattern};
use indexmap::IndexSet;
use std::collections::HashSet;
use std::sync::Arc;

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(pub String);

impl From<regex::Error> for PatternError {
    fn from(err: regex::Error) -> PatternError {
        PatternError(err.to_string())
    }
}

pub fn hosts_matching(inventory: &Inventory, pattern: &str, unmatched: &mut Vec<String>) -> Result<Vec<Arc<str>>, PatternError> {
    let mut parts = Vec::new();
    for part in split(pattern) {
        match part.strip_prefix('@') {
            Some(file) => {
                let path = std::path::Path::new(file);
                if !path.exists() {
                    return Err(PatternError(format!("Unable to find limit file {file}")));
                }
                if path.is_dir() {
                    return Err(PatternError(format!("Limit starting with \"@\" must be a file, not a directory: {file}")));
                }
                let text =
                    crate::source::read_text(path).map_err(|err| PatternError(format!("cannot read the host list `{file}`: {err}")))?;
                parts.extend(text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()));
            }
            None => parts.push(part),
        }
    }
    let (changing, mut regular): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| part.starts_with(['&', '!']));
    if regular.is_empty() {
        regular.push("all".to_owned());
    }
    let mut hosts: IndexSet<Arc<str>> = IndexSet::new();
    for part in &regular {
        hosts.extend(matching_one(inventory, part, unmatched)?);
    }
    // Wherever they stand, what intersects goes before what excludes.
    for part in changing.iter().filter_map(|part| part.strip_prefix('&')) {
        let kept: HashSet<_> = matching_one(inventory, part, unmatched)?.into_iter().collect();
        hosts.retain(|host| kept.contains(host));
    }
    for part in changing.iter().filter_map(|part| part.strip_prefix('!')) {
        let dropped: HashSet<_> = matching_one(inventory, part, unmatched)?.into_iter().collect();
        hosts.retain(|host| !dropped.contains(host));
    }
    Ok(hosts.into_iter().collect())
}

/// At commas; and at colons that belong to no address and no brackets.
fn split(pattern: &str) -> Vec<String> {
    let mut parts = Vec::new();
    for part in pattern.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        if address::is_one_address(part) || part.starts_with('@') {
            parts.push(part.to_owned());
            continue;
        }
        let mut depth = 0;
        let pieces = part.split(|c: char| {
            match c {
                '[' => depth += 1,
                ']' => depth = 0,
                _ => {}
            }
            depth == 0 && (c == ':' || c.is_whitespace())
        });
        parts.extend(pieces.filter(|piece| !piece.is_empty()).map(str::to_owned));
    }
    parts
}

/// The hosts of one part, in order, maybe more than once.
fn matching_one(inventory: &Inventory, part: &str, unmatched: &mut Vec<String>) -> Result<Vec<Arc<str>>, PatternError> {
    if let Some((host, _)) = inventory.hosts.get_key_value(part) {
        return Ok(vec![host.clone()]);
    }
    let (name, subscript) = if part.starts_with('~') { (part, None) } else { split_subscript(part) };
    let mut hosts = named(inventory, name, unmatched)?;
    let Some((from, to)) = subscript.filter(|_| !hosts.is_empty()) else { return Ok(hosts) };
    let length = hosts.len() as i64;
    match to {
        // The end is included.
        Some(to) => {
            let to = to.unwrap_or(length - 1).min(length - 1);
            Ok(hosts.drain(..).enumerate().filter(|(n, _)| (from..=to).contains(&(*n as i64))).map(|(_, host)| host).collect())
        }
        None => {
            let at = if from < 0 { from + length } else { from };
            match usize::try_from(at).ok().and_then(|at| hosts.get(at)) {
                Some(host) => Ok(vec![host.clone()]),
                None => Err(PatternError(format!("`{part}`: `{name}` has {length} hosts, counted from 0"))),
            }
        }
    }
}

/// One index, or a range whose end may be open.
type Subscript = (i64, Option<Option<i64>>);

/// `name[1]`, `name[-1]`, `name[0:2]`, `name[1:]`.
fn split_subscript(part: &str) -> (&str, Option<Subscript>) {
    let Some((name, inner)) = part.strip_suffix(']').and_then(|rest| rest.rsplit_once('[')).filter(|(name, _)| !name.is_empty()) else {
        return (part, None);
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number(inner.strip_prefix('-').unwrap_or(inner)) {
        return match inner.parse() {
            Ok(index) => (name, Some((index, None))),
            Err(_) => (part, None),
        };
    }
    let Some((from, to)) = inner.split_once([':', '-']).filter(|(from, _)| is_number(from)) else { return (part, None) };
    match (from.parse(), to.parse()) {
        (Ok(from), Ok(end)) if is_number(to) => (name, Some((from, Some(Some(end))))),
        (Ok(from), _) if to.is_empty() => (name, Some((from, Some(None)))),
        _ => (part, None),
    }
}

/// The hosts of groups that match; and hosts that match themselves, if no group does or if this is a glob or a regex.
fn named(inventory: &Inventory, name: &str, unmatched: &mut Vec<String>) -> Result<Vec<Arc<str>>, PatternError> {
    let matcher = Matcher::new(name)?;
    let groups = matcher.pick(inventory.groups.keys())?;
    let mut hosts: Vec<_> = groups.iter().flat_map(|group| inventory.hosts_of_group(group)).collect();
    if groups.is_empty() || name.starts_with('~') || name.contains(['.', '?', '*', '[']) {
        hosts.extend(matcher.pick(inventory.hosts.keys())?.into_iter().cloned());
    }
    if hosts.is_empty() && LOCALHOST.contains(&name) {
        hosts.push(inventory.actual(name).into());
    }
    if hosts.is_empty() && groups.is_empty() && name != "all" {
        unmatched.push(name.to_owned());
    }
    Ok(hosts)
}

/// How a name is meant.
enum Matcher<'a> {
    Exactly(&'a str),
    Glob(&'a str),
    Regex(Pattern),
}

impl Matcher<'_> {
    fn new(name: &str) -> Result<Matcher<'_>, PatternError> {
        match name.strip_prefix('~') {
            // It has to match from the start on, not to the end.
            Some(regex) => Ok(Matcher::Regex(Pattern::at_start(regex, Flags::default())?)),
            None if fnmatch::has_magic(name) => Ok(Matcher::Glob(name)),
            None => Ok(Matcher::Exactly(name)),
        }
    }

    /// Those that match of some names.
    fn pick<'n, N: AsRef<str>>(&self, names: impl IntoIterator<Item = &'n N>) -> Result<Vec<&'n N>, PatternError> {
        let mut picked = Vec::new();
        for name in names {
            let matches = match self {
                Matcher::Exactly(wanted) => *wanted == name.as_ref(),
                Matcher::Glob(glob) => fnmatch::matches(glob, name.as_ref()),
                Matcher::Regex(regex) => regex.is_found(name.as_ref())?,
            };
            picked.extend(matches.then_some(name));
        }
        Ok(picked)
    }
}
