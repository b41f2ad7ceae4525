//! Lookups of collections: `community.general` (`filetree`, `merge_variables`, `random_string`, `dependent`) and `ansible.utils`.

use super::Lookup;
use super::files::candidates;
use super::inline::{boolean, integer, named_text};
use crate::python::regex::{Flags, Pattern};
use crate::source::{Node, Source};
use crate::template::args::Args;
use crate::template::fail::{Fail, Res, check};
use crate::template::filters::{self, PythonRandom};
use crate::template::lazy::Run;
use crate::template::parse::Origin;
use crate::template::value::{self, ValueMap, as_int, dict, is_list, is_map, items, list, pairs, text};
use crate::vars::{Level, VarMap, Variable};
use base64::Engine;
use minijinja::Value;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

pub(super) const UTILS: &[(&str, Lookup)] = &[
    ("get_path", |_, terms, options| {
        let mut args = Args::new(terms, options.rest_named());
        let (var, path) = (args.need("var")?, args.need_text("path")?);
        let want_list = args.flag("wantlist", false)?;
        args.done()?;
        Ok(vec![filters::get_path(&var, &path, want_list)?])
    }),
    ("to_paths", |_, terms, options| {
        let mut args = Args::new(terms, options.rest_named());
        let var = args.need("var")?;
        let prepend = args.get("prepend").filter(|prefix| !prefix.is_none()).map(|prefix| text(&prefix)).transpose()?;
        let want_list = args.flag("wantlist", false)?;
        args.done()?;
        Ok(vec![filters::to_paths(&var, prepend.as_deref(), want_list)?])
    }),
    ("index_of", |_, terms, options| {
        let mut args = Args::new(terms, options.rest_named());
        let (data, test) = (args.need("data")?, args.need_text("test")?);
        let found = filters::index_of(&data, &test, &mut args)?;
        args.done()?;
        Ok(vec![found])
    }),
];

pub(super) const GENERAL: &[(&str, Lookup)] =
    &[("filetree", filetree), ("merge_variables", merge_variables), ("random_string", random_string), ("dependent", dependent)];

/// What stands in a folder and below it: files, folders and links, each with its owner, mode and times.
fn filetree(run: &Arc<Run>, terms: Vec<Value>, options: &mut Args) -> Res<Vec<Value>> {
    let exclude = named_text(options, "exclude")?.map(|pattern| Pattern::new(&pattern, Flags::default())).transpose()?;
    let mut found: Vec<Value> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for term in terms {
        let term = text(&term)?;
        for base in candidates(&run.view, &term, &["files"]).into_iter().filter(|base| base.is_dir()) {
            let mut todo = vec![base.clone()];
            while let Some(folder) = todo.pop() {
                let read = std::fs::read_dir(&folder).map_err(|err| Fail::error(format!("cannot read `{}`: {err}", folder.display())))?;
                let mut entries: Vec<_> = read.flatten().map(|entry| entry.path()).collect();
                entries.sort();
                for path in entries {
                    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    if let Some(exclude) = &exclude
                        && exclude.is_found(&name)?
                    {
                        continue;
                    }
                    let relative = path.strip_prefix(&base).unwrap_or(&path).display().to_string();
                    if path.is_dir() && !path.is_symlink() {
                        todo.push(path.clone());
                    }
                    if seen.insert(relative.clone()) {
                        found.push(entry(&base, &path, &relative)?);
                    }
                }
            }
        }
    }
    Ok(found)
}

fn entry(base: &Path, path: &Path, relative: &str) -> Res {
    let failed = |err: std::io::Error| Fail::error(format!("cannot look at `{}`: {err}", path.display()));
    let meta = path.symlink_metadata().map_err(failed)?;
    let mut fields =
        vec![("root", Value::from(format!("{}/", base.display().to_string().trim_end_matches('/')))), ("path", Value::from(relative))];
    let state = match () {
        () if meta.is_symlink() => {
            fields.push(("src", Value::from(std::fs::read_link(path).map_err(failed)?.display().to_string())));
            "link"
        }
        () if meta.is_dir() => "directory",
        () => {
            fields.push(("src", Value::from(path.display().to_string())));
            "file"
        }
    };
    fields.extend([
        ("state", Value::from(state)),
        ("uid", Value::from(meta.uid())),
        ("gid", Value::from(meta.gid())),
        ("owner", crate::template::name_of(Path::new("/etc/passwd"), meta.uid()).map_or(Value::from(()), Value::from)),
        ("group", crate::template::name_of(Path::new("/etc/group"), meta.gid()).map_or(Value::from(()), Value::from)),
        ("mode", Value::from(format!("0{:o}", meta.mode() & 0o7777))),
        ("size", Value::from(meta.size())),
        ("mtime", Value::from(meta.mtime() as f64)),
        ("ctime", Value::from(meta.ctime() as f64)),
    ]);
    Ok(value::map(fields.into_iter().map(|(name, value)| (Value::from(name), value))))
}

/// The variables whose names fit, merged: lists joined, mappings combined.
fn merge_variables(run: &Arc<Run>, terms: Vec<Value>, options: &mut Args) -> Res<Vec<Value>> {
    let initial = options.named("initial_value").filter(|value| !value.is_none());
    let override_how = named_text(options, "override")?.unwrap_or_else(|| "error".to_owned());
    let how = named_text(options, "pattern_type")?.unwrap_or_else(|| "regex".to_owned());
    let groups = match options.named("groups").filter(|groups| !groups.is_none()) {
        Some(groups) => Some(items(&groups)?.iter().map(text).collect::<Res<Vec<_>>>()?),
        None => None,
    };
    let dict_merge = named_text(options, "dict_merge")?.unwrap_or_else(|| "deep".to_owned());
    let list_merge = named_text(options, "list_merge")?.unwrap_or_else(|| "append".to_owned());
    if !matches!(override_how.as_str(), "error" | "warn" | "ignore") {
        return Err(Fail::error(format!("`override` cannot be '{override_how}': error, warn or ignore")));
    }
    let mut results = Vec::new();
    for term in terms {
        let Some(pattern) = term.as_str() else {
            return Err(Fail::error(format!("Search pattern must be a string, got a(n) \"{}\" type", value::type_name(&term))));
        };
        let regex = if how == "regex" { Some(Pattern::new(pattern, Flags::default())?) } else { None };
        let fits = |name: &str| -> Res<bool> {
            Ok(match (&regex, how.as_str()) {
                (Some(regex), _) => regex.is_found(name)?,
                (None, "prefix") => name.starts_with(pattern),
                (None, "suffix") => name.ends_with(pattern),
                _ => return Err(Fail::error(format!("`pattern_type` cannot be '{how}': prefix, suffix or regex"))),
            })
        };
        let mut merged = initial.clone();
        let mut add = |value: Value| -> Res<()> {
            check(&value)?;
            merged = Some(match merged.take() {
                None => value,
                Some(old) if is_map(&old) && is_map(&value) => {
                    let lists = match dict_merge.as_str() {
                        "replace" => "replace",
                        _ => list_merge.as_str(),
                    };
                    combine(run, old, value, dict_merge != "shallow" && dict_merge != "replace", lists, override_how == "error")?
                }
                Some(old) if is_list(&old) && is_list(&value) => {
                    let (old, new) = (items(&old)?, items(&value)?);
                    match list_merge.as_str() {
                        "append" | "append_rp" => list(old.into_iter().chain(new)),
                        "prepend" | "prepend_rp" => list(new.into_iter().chain(old)),
                        "keep" => list(old),
                        "replace" => list(new),
                        other => return Err(Fail::error(format!("`list_merge` cannot be '{other}'"))),
                    }
                }
                Some(old) => {
                    return Err(Fail::error(format!(
                        "Unable to merge, a value of type '{}' and one of type '{}' were found",
                        value::type_name(&old),
                        value::type_name(&value)
                    )));
                }
            });
            Ok(())
        };
        match &groups {
            None => {
                let mut names: Vec<&str> = run.view.names().collect();
                names.sort_unstable();
                for name in names {
                    if fits(name)?
                        && let Some(value) = run.variable(name)
                    {
                        add(value)?;
                    }
                }
            }
            Some(groups) => {
                let all = run.variable("hostvars").unwrap_or_else(|| value::map([]));
                for (_, host) in pairs(&all)? {
                    let of_host = value::get(&host, "group_names").map_or(Ok(Vec::new()), |names| items(&names))?;
                    if !of_host.iter().any(|name| groups.iter().any(|group| Some(group.as_str()) == name.as_str())) {
                        continue;
                    }
                    let mut names: Vec<String> =
                        value::raw_items(&host)?.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
                    names.sort_unstable();
                    for name in names {
                        if fits(&name)?
                            && let Some(value) = value::get(&host, &name)
                        {
                            add(value)?;
                        }
                    }
                }
            }
        }
        results.push(merged.unwrap_or_else(|| list([])));
    }
    Ok(results)
}

/// Two mappings as one. With `strict`, a key with two different values is an error.
fn combine(run: &Arc<Run>, low: Value, high: Value, deep: bool, lists: &str, strict: bool) -> Res {
    if strict {
        for (key, new) in pairs(&high)? {
            let old = low.as_object().and_then(|object| object.get_value(&key));
            if let Some(old) = old
                && !is_map(&old)
                && !is_list(&old)
                && !value::equal(&old, &new)?
            {
                let (key, old, new) = (text(&key)?, value::repr(&old)?, value::repr(&new)?);
                return Err(Fail::error(format!("The key '{key}' with value '{old}' will be overwritten with value '{new}'")));
            }
        }
    }
    let named = [("recursive", Value::from(deep)), ("list_merge", Value::from(lists))];
    let named = named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    filters::apply(run, "combine", low, Args::new(vec![high], named))
}

fn random_string(_: &Arc<Run>, _: Vec<Value>, options: &mut Args) -> Res<Vec<Value>> {
    let mut number = |name: &str, default: i128| match options.named(name) {
        Some(value) => integer(&value, name, "community.general.random_string"),
        None => Ok(default),
    };
    let length = usize::try_from(number("length", 8)?.clamp(0, 1 << 20)).unwrap_or(0);
    let least = [number("min_lower", 0)?, number("min_upper", 0)?, number("min_numeric", 0)?, number("min_special", 0)?];
    let mut flag = |name: &str, default: bool| options.named(name).map_or(Ok(default), |value| boolean(&value));
    let (lower, upper) = (flag("lower", true)?, flag("upper", true)?);
    let (numbers, special, base64) = (flag("numbers", true)?, flag("special", true)?, flag("base64", false)?);
    let ignore_similar = flag("ignore_similar_chars", false)?;
    let all_of = named_text(options, "override_all")?;
    let special_chars = named_text(options, "override_special")?
        .unwrap_or_else(|| (33u8..127).map(char::from).filter(char::is_ascii_punctuation).collect());
    let similar = named_text(options, "similar_chars")?.unwrap_or_else(|| "il1LoO0".to_owned());
    let seed = options.named("seed").filter(|seed| !seed.is_none());
    let mut random = match &seed {
        None => PythonRandom::from_int(i128::from(rand::random::<u64>())),
        Some(seed) => match as_int(seed) {
            Some(number) => PythonRandom::from_int(number),
            None => PythonRandom::from_text(&text(seed)?),
        },
    };
    let kept = |chars: &str| -> Vec<char> { chars.chars().filter(|c| !ignore_similar || !similar.contains(*c)).collect() };
    let sets = [
        (lower, kept("abcdefghijklmnopqrstuvwxyz")),
        (upper, kept("ABCDEFGHIJKLMNOPQRSTUVWXYZ")),
        (numbers, kept("0123456789")),
        (special, kept(&special_chars)),
    ];
    let alphabet: Vec<char> = match &all_of {
        Some(all) => kept(all),
        None => sets.iter().filter(|(wanted, _)| *wanted).flat_map(|(_, chars)| chars.clone()).collect(),
    };
    if alphabet.is_empty() {
        return Err(Fail::error("Available characters cannot be None, please change constraints"));
    }
    let mut pick = |chars: &[char]| chars[random.below(chars.len().max(1) as u128) as usize];
    let mut made: Vec<char> = Vec::new();
    if all_of.is_none() {
        for ((_, chars), least) in sets.iter().zip(least) {
            let count = usize::try_from(least).unwrap_or(0).min(length);
            made.extend((0..count).filter(|_| !chars.is_empty()).map(|_| pick(chars)));
        }
    }
    while made.len() < length {
        made.push(pick(&alphabet));
    }
    for n in (1..made.len()).rev() {
        made.swap(n, random.below(n as u128 + 1) as usize);
    }
    let made: String = made.into_iter().collect();
    Ok(vec![Value::from(if base64 { base64::engine::general_purpose::STANDARD.encode(made) } else { made })])
}

/// Loops inside of loops, whose lists are templates that see the items further out.
fn dependent(run: &Arc<Run>, terms: Vec<Value>, _: &mut Args) -> Res<Vec<Value>> {
    const MOST: usize = 1_000_000;
    let mut rows: Vec<ValueMap> = vec![ValueMap::new()];
    for (n, term) in terms.iter().enumerate() {
        let pair = if is_map(term) { pairs(term)? } else { Vec::new() };
        let [(name, over)] = pair.as_slice() else {
            return Err(Fail::error(format!("Parameter {n} must be a one-element dictionary, got {}", value::repr(term)?)));
        };
        let mut longer = Vec::new();
        for row in rows {
            let members = match over.as_str() {
                Some(expression) => {
                    let item = VarMap::from([("item".to_owned(), Variable::Data(Value::from_object(row.clone())))]);
                    let inner = Run::new(Arc::new(run.view.with(Level::Magic, Arc::new(item))));
                    let span = Source::from_text("dependent", expression).span(0, expression.len());
                    let result = crate::template::eval::expression(&inner, expression, Origin::Node(Node::string(expression, span)));
                    let value = result.and_then(|value| value::finalize(&value));
                    inner.close();
                    value?
                }
                None => over.clone(),
            };
            let members: Vec<Value> = if is_map(&members) {
                pairs(&members)?.into_iter().map(|(key, value)| dict([("key", key), ("value", value)])).collect()
            } else {
                items(&members)?
            };
            for member in members {
                let mut row = row.clone();
                row.insert(name.clone(), member);
                longer.push(row);
            }
            if longer.len() > MOST {
                return Err(Fail::error("too many combinations"));
            }
        }
        rows = longer;
    }
    Ok(rows.into_iter().map(Value::from_object).collect())
}
