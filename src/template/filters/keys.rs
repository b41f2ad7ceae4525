//! Filters that keep, remove or rename keys, at any depth (`ansible.utils`) or in a list of mappings (`community.general`).

use super::Filter;
use crate::python::regex::{Flags, Pattern};
use crate::template::args::Args;
use crate::template::fail::{Fail, Res};
use crate::template::value::{ValueMap, get, is_list, is_map, items, list, pairs, text};
use minijinja::Value;

pub(super) const UTILS: &[(&str, Filter)] = &[
    ("keep_keys", |_, value, args| {
        let matches = targets(args, "equality")?;
        Ok(kept(&value, &matches, 0)?.unwrap_or_else(|| Value::from_object(ValueMap::new())))
    }),
    ("remove_keys", |_, value, args| {
        let matches = targets(args, "equality")?;
        deep(&value, &|key| Ok(if matches.hit(key)?.is_some() { Renamed::Gone } else { Renamed::Same }), 0)
    }),
    ("replace_keys", |_, value, args| {
        let matches = pairs_of_targets(args, "equality")?;
        deep(&value, &|key| Ok(matches.hit(key)?.map_or(Renamed::Same, Renamed::To)), 0)
    }),
];

pub(super) const GENERAL: &[(&str, Filter)] = &[
    ("keep_keys", |_, value, args| {
        let matches = targets(args, "equal")?;
        flat(&value, &|key| Ok(if matches.hit(key)?.is_some() { Renamed::Same } else { Renamed::Gone }))
    }),
    ("remove_keys", |_, value, args| {
        let matches = targets(args, "equal")?;
        flat(&value, &|key| Ok(if matches.hit(key)?.is_some() { Renamed::Gone } else { Renamed::Same }))
    }),
    ("replace_keys", |_, value, args| {
        let matches = pairs_of_targets(args, "equal")?;
        flat(&value, &|key| Ok(matches.hit(key)?.map_or(Renamed::Same, Renamed::To)))
    }),
];

enum Renamed {
    Same,
    Gone,
    To(String),
}

type Rename<'a> = &'a dyn Fn(&str) -> Res<Renamed>;

/// What keys are compared with, how, and what they become.
struct Targets {
    how: How,
    targets: Vec<(String, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Equal,
    StartsWith,
    EndsWith,
    Regex,
}

impl Targets {
    /// What the first target that fits says.
    fn hit(&self, key: &str) -> Res<Option<String>> {
        for (before, after) in &self.targets {
            let fits = match self.how {
                How::Equal => key == before,
                How::StartsWith => key.starts_with(before.as_str()),
                How::EndsWith => key.ends_with(before.as_str()),
                How::Regex => Pattern::at_start(before, Flags::default())?.is_found(key)?,
            };
            if fits {
                return Ok(Some(after.clone()));
            }
        }
        Ok(None)
    }
}

fn how(args: &mut Args, equal: &str) -> Res<How> {
    let name = args.text("matching_parameter")?.unwrap_or_else(|| equal.to_owned());
    match name.as_str() {
        name if name == equal => Ok(How::Equal),
        "starts_with" => Ok(How::StartsWith),
        "ends_with" => Ok(How::EndsWith),
        "regex" => Ok(How::Regex),
        other => Err(Fail::error(format!("`matching_parameter` cannot be '{other}': {equal}, starts_with, ends_with or regex"))),
    }
}

fn targets(args: &mut Args, equal: &str) -> Res<Targets> {
    let target = args.need("target")?;
    let targets = match target.as_str() {
        Some(one) => vec![one.to_owned()],
        None => items(&target)?.iter().map(text).collect::<Res<_>>()?,
    };
    Ok(Targets { how: how(args, equal)?, targets: targets.into_iter().map(|name| (name.clone(), name)).collect() })
}

fn pairs_of_targets(args: &mut Args, equal: &str) -> Res<Targets> {
    let target = args.need("target")?;
    let mut targets = Vec::new();
    for pair in if is_map(&target) { vec![target] } else { items(&target)? } {
        match (get(&pair, "before"), get(&pair, "after")) {
            (Some(before), Some(after)) => targets.push((text(&before)?, text(&after)?)),
            _ => return Err(Fail::error("`target` is a list of mappings with `before` and `after`")),
        }
    }
    Ok(Targets { how: how(args, equal)?, targets })
}

fn flat(value: &Value, rename: Rename) -> Res {
    if !is_list(value) {
        return Err(Fail::error(format!("First argument must be a list. {} is not", text(value)?)));
    }
    items(value)?.iter().map(|item| renamed(item, rename, None)).collect::<Res<Vec<_>>>().map(list)
}

const MAX_DEPTH: usize = 100;

fn deep(value: &Value, rename: Rename, depth: usize) -> Res {
    match () {
        () if depth > MAX_DEPTH => Err(Fail::error("the value is nested too deeply")),
        () if is_list(value) => items(value)?.iter().map(|item| deep(item, rename, depth + 1)).collect::<Res<Vec<_>>>().map(list),
        () if is_map(value) => renamed(value, rename, Some(depth)),
        () => Ok(value.clone()),
    }
}

/// A mapping with its keys renamed; those below it, too, from a depth on.
fn renamed(value: &Value, rename: Rename, depth: Option<usize>) -> Res {
    let mut made = ValueMap::new();
    for (key, item) in pairs(value)? {
        let name = text(&key)?;
        let key = match rename(&name)? {
            Renamed::Same => key,
            Renamed::Gone => continue,
            Renamed::To(name) => Value::from(name),
        };
        let item = match depth {
            Some(depth) => deep(&item, rename, depth + 1)?,
            None => item,
        };
        made.insert(key, item);
    }
    Ok(Value::from_object(made))
}

/// The keys that fit, with all that is below them, and the way to them.
fn kept(value: &Value, matches: &Targets, depth: usize) -> Res<Option<Value>> {
    if depth > MAX_DEPTH {
        return Err(Fail::error("the value is nested too deeply"));
    }
    if is_list(value) {
        let mut all = Vec::new();
        for item in items(value)? {
            all.extend(kept(&item, matches, depth + 1)?);
        }
        return Ok((!all.is_empty()).then(|| list(all)));
    }
    if !is_map(value) {
        return Ok(None);
    }
    let mut made = ValueMap::new();
    for (key, item) in pairs(value)? {
        if matches.hit(&text(&key)?)?.is_some() {
            made.insert(key, item);
        } else if let Some(below) = kept(&item, matches, depth + 1)? {
            made.insert(key, below);
        }
    }
    Ok((!made.is_empty()).then(|| Value::from_object(made)))
}
