//! Comparing versions: Python's loose and strict ones, and semantic versions.

use super::args::Args;
use super::fail::{Fail, Res};
use super::value::{text, truth};
use minijinja::Value;
use std::cmp::Ordering;

pub(super) fn test(value: &Value, args: &mut Args) -> Res<bool> {
    let other = args.need_text("version")?;
    let operator = args.text_or("operator", "eq")?;
    let strict = args.get("strict").filter(|strict| !strict.is_none()).map(|strict| truth(&strict)).transpose()?;
    let kind = args.get("version_type").filter(|kind| !kind.is_none()).map(|kind| text(&kind)).transpose()?;
    if strict.is_some() && kind.is_some() {
        return Err(Fail::error("Cannot specify both 'strict' and 'version_type'"));
    }
    let (a, b) = (text(value)?, other);
    if a.is_empty() {
        return Err(Fail::error("Input version value cannot be empty"));
    }
    if b.is_empty() {
        return Err(Fail::error("Version parameter to compare against cannot be empty"));
    }
    let order = match (kind.as_deref(), strict) {
        (None | Some("loose"), None | Some(false)) => loose(&a, &b)?,
        (None, Some(true)) | (Some("strict"), _) => strict_key(&a)?.cmp(&strict_key(&b)?),
        (Some("semver" | "semantic"), _) => semantic(&a, &b)?,
        (Some("pep440"), _) => pep440(&a)?.cmp(&pep440(&b)?),
        (Some(other), _) => {
            return Err(Fail::error(format!("Invalid version type ({other}). Must be one of loose, strict, semver, semantic, pep440")));
        }
    };
    Ok(match operator.as_str() {
        "==" | "=" | "eq" => order.is_eq(),
        "!=" | "<>" | "ne" => order.is_ne(),
        "<" | "lt" => order.is_lt(),
        "<=" | "le" => order.is_le(),
        ">" | "gt" => order.is_gt(),
        ">=" | "ge" => order.is_ge(),
        other => {
            return Err(Fail::error(format!(
                "Invalid operator type ({other}). Must be one of ==, =, eq, <, lt, <=, le, >, gt, >=, ge, !=, <>, ne"
            )));
        }
    })
}

/// A version of a Python package.
fn pep440(version: &str) -> Res<pep440_rs::Version> {
    version.parse().map_err(|_| Fail::error(format!("Version comparison failed: Invalid version: '{version}'")))
}

#[derive(PartialEq, Eq, Debug)]
enum Part {
    Number(String),
    Word(String),
}

/// Digits, lower case letters and what is left between dots.
fn loose_parts(version: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let class = |c: char| match c {
        c if c.is_ascii_digit() => 0,
        c if c.is_ascii_lowercase() => 1,
        '.' => 2,
        _ => 3,
    };
    let mut rest = version;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| class(c) != class(first)).unwrap_or(rest.len());
        let (part, tail) = rest.split_at(end);
        match class(first) {
            0 => parts.push(Part::Number(part.trim_start_matches('0').to_owned())),
            2 => {}
            _ => parts.push(Part::Word(part.to_owned())),
        }
        rest = tail;
    }
    parts
}

fn loose(a: &str, b: &str) -> Res<Ordering> {
    let (left, right) = (loose_parts(a), loose_parts(b));
    for (x, y) in left.iter().zip(&right) {
        let order = match (x, y) {
            (Part::Number(x), Part::Number(y)) => x.len().cmp(&y.len()).then_with(|| x.cmp(y)),
            (Part::Word(x), Part::Word(y)) => x.cmp(y),
            _ => return Err(Fail::error(format!("Version comparison failed: `{a}` and `{b}` do not have numbers in the same places"))),
        };
        if order.is_ne() {
            return Ok(order);
        }
    }
    Ok(left.len().cmp(&right.len()))
}

/// How versions are sorted: what cannot be compared keeps its order.
pub(super) fn sort(versions: &mut [String]) {
    versions.sort_by(|a, b| loose(a, b).unwrap_or(Ordering::Equal));
}

/// `1.2`, `1.2.3`, `1.2a3`: three numbers, and before the release `a` or `b` with a number.
fn strict_key(version: &str) -> Res<([u64; 3], (char, u64))> {
    // A release comes after its pre-releases.
    const RELEASE: (char, u64) = ('z', 0);
    let bad = || Fail::error(format!("Version comparison failed: invalid version number '{version}'"));
    let (numbers, pre) = match version.find(['a', 'b']) {
        Some(at) => {
            let kind = if version[at..].starts_with('a') { 'a' } else { 'b' };
            (&version[..at], (kind, version[at + 1..].parse().map_err(|_| bad())?))
        }
        None => (version, RELEASE),
    };
    let numbers = numbers.split('.').map(str::parse).collect::<Result<Vec<u64>, _>>().map_err(|_| bad())?;
    match numbers.as_slice() {
        [major, minor] => Ok(([*major, *minor, 0], pre)),
        [major, minor, patch] => Ok(([*major, *minor, *patch], pre)),
        _ => Err(bad()),
    }
}

fn semantic(a: &str, b: &str) -> Res<Ordering> {
    let split = |version: &str| -> Res<(Vec<u64>, Option<String>)> {
        let bad = || Fail::error(format!("Version comparison failed: invalid semantic version '{version}'"));
        let core = version.split('+').next().unwrap_or("");
        let (numbers, pre) = core.split_once('-').map_or((core, None), |(numbers, pre)| (numbers, Some(pre.to_owned())));
        let numbers = numbers.split('.').map(str::parse).collect::<Result<Vec<u64>, _>>().map_err(|_| bad())?;
        if numbers.len() != 3 || pre.as_deref() == Some("") {
            return Err(bad());
        }
        Ok((numbers, pre))
    };
    let ((numbers_a, pre_a), (numbers_b, pre_b)) = (split(a)?, split(b)?);
    let by_pre = match (&pre_a, &pre_b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => compare_identifiers(a, b),
    };
    Ok(numbers_a.cmp(&numbers_b).then(by_pre))
}

fn compare_identifiers(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<_>, Vec<_>) = (a.split('.').collect(), b.split('.').collect());
    let by_part = a.iter().zip(&b).map(|(a, b)| match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        _ => a.cmp(b),
    });
    by_part.fold(Ordering::Equal, Ordering::then).then(a.len().cmp(&b.len()))
}
