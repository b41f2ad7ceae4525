//! Lookups that make lists to loop over.

use super::Lookup;
use super::inline::{boolean, integer};
use crate::template::args::Args;
use crate::template::fail::{Fail, Res, check};
use crate::template::filters;
use crate::template::lazy::Run;
use crate::template::value::{self, dict, int, is_list, is_map, items, list, pairs, text};
use minijinja::Value;
use std::sync::Arc;

pub(super) const TABLE: &[(&str, Lookup)] = &[
    ("items", |_, terms, _| flatten(terms)),
    ("list", |_, terms, _| Ok(terms)),
    ("dict", |_, terms, _| {
        let mut all = Vec::new();
        for term in flatten(terms)? {
            if !is_map(&term) {
                return Err(Fail::error(format!(
                    "the 'dict' lookup plugin expects a dictionary, got '{}' of type <class '{}'>)",
                    text(&term)?,
                    value::type_name(&term)
                )));
            }
            all.extend(pairs(&term)?.into_iter().map(|(key, value)| dict([("key", key), ("value", value)])));
        }
        Ok(all)
    }),
    ("indexed_items", |_, terms, _| Ok(flatten(terms)?.into_iter().enumerate().map(|(n, item)| list([int(n as i128), item])).collect())),
    ("nested", nested),
    ("together", |_, terms, _| {
        let columns = terms.iter().map(items).collect::<Res<Vec<_>>>()?;
        let rows =
            columns.iter().map(Vec::len).max().ok_or_else(|| Fail::error("with_together requires at least one element in each list"))?;
        let row = |n: usize| list(columns.iter().map(|column| column.get(n).cloned().unwrap_or(Value::from(()))));
        Ok((0..rows).map(row).collect())
    }),
    ("subelements", subelements),
    ("random_choice", |_, terms, _| {
        let all = flatten(terms)?;
        Ok(if all.is_empty() { all } else { vec![all[rand::random_range(0..all.len())].clone()] })
    }),
    ("sequence", sequence),
    ("inventory_hostnames", inventory_hostnames),
];

pub(super) const GENERAL: &[(&str, Lookup)] =
    &[("flattened", |run, terms, _| items(&filters::apply(run, "flatten", list(terms), Args::default())?)), ("cartesian", nested)];

/// Each element of a list, without the list below a key, with every member of that list.
fn subelements(_: &Arc<Run>, terms: Vec<Value>, options: &mut Args) -> Res<Vec<Value>> {
    let expects = |more: &str| Fail::error(format!("subelements lookup expects a list of two or three items, {more}"));
    let (of, path, flags) = match terms.as_slice() {
        [of, path] => (of, path, None),
        [of, path, flags] => (of, path, Some(flags)),
        _ => return Err(expects("")),
    };
    let Some(path) = path.as_str().filter(|_| is_list(of) || is_map(of)) else {
        return Err(expects("first a dict or a list, second a string pointing to the subkey"));
    };
    let mut skip_missing = options.named_flag("skip_missing", false)?;
    if let Some(flags) = flags {
        let known = is_map(flags) && pairs(flags)?.iter().all(|(name, _)| name.as_str() == Some("skip_missing"));
        if !known {
            return Err(Fail::error("the optional third item must be a dict with flags {'skip_missing'}"));
        }
        if let Some(flag) = value::get(flags, "skip_missing") {
            skip_missing = boolean(&flag)?;
        }
    }
    // What is a result of a task that was skipped has none.
    if is_map(of) && value::get(of, "skipped").is_some_and(|skipped| skipped.is_true()) {
        return Ok(Vec::new());
    }
    let elements: Vec<Value> = if is_map(of) { pairs(of)?.into_iter().map(|(_, element)| element).collect() } else { items(of)? };
    let steps: Vec<&str> = path.split('.').collect();
    let mut all = Vec::new();
    for element in elements {
        if !is_map(&element) {
            return Err(expects(&format!("got '{}'", text(&element)?)));
        }
        if value::get(&element, "skipped").is_some_and(|skipped| skipped.is_true()) {
            continue;
        }
        let Some((rest, members)) = without(&element, &element, &steps, skip_missing)? else { continue };
        all.extend(members.into_iter().map(|member| list([rest.clone(), member])));
    }
    Ok(all)
}

/// A mapping without what stands at the end of a path, and the list that stood there.
fn without(whole: &Value, at: &Value, steps: &[&str], skip_missing: bool) -> Res<Option<(Value, Vec<Value>)>> {
    let [step, rest @ ..] = steps else { return Ok(None) };
    let Some(below) = value::get(at, step) else {
        if skip_missing {
            return Ok(None);
        }
        return Err(Fail::error(format!("could not find '{step}' key in iterated item '{}'", text(whole)?)));
    };
    check(&below)?;
    let mut made: value::ValueMap = pairs(at)?.into_iter().collect();
    let key = Value::from(*step);
    if rest.is_empty() {
        if !is_list(&below) {
            return Err(Fail::error(format!("the key {step} should point to a list, got '{}'", text(&below)?)));
        }
        made.shift_remove(&key);
        return Ok(Some((Value::from_object(made), items(&below)?)));
    }
    if !is_map(&below) {
        if skip_missing {
            return Ok(None);
        }
        return Err(Fail::error(format!("the key {step} should point to a dictionary, got '{}'", text(&below)?)));
    }
    Ok(without(whole, &below, rest, skip_missing)?.map(|(below, members)| {
        made.insert(key, below);
        (Value::from_object(made), members)
    }))
}

/// One level of lists becomes part of the outer one.
fn flatten(terms: Vec<Value>) -> Res<Vec<Value>> {
    let mut flat = Vec::new();
    for term in terms {
        if is_list(&term) { flat.extend(items(&term)?) } else { flat.push(term) }
    }
    Ok(flat)
}

fn nested(_: &Arc<Run>, terms: Vec<Value>, _: &mut Args) -> Res<Vec<Value>> {
    const MOST: usize = 1_000_000;
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    if terms.is_empty() {
        return Err(Fail::error("with_nested requires at least one element in the nested list"));
    }
    for term in terms {
        let pool = if is_list(&term) { items(&term)? } else { vec![term] };
        if rows.len().saturating_mul(pool.len()) > MOST {
            return Err(Fail::error("too many combinations"));
        }
        rows = rows.iter().flat_map(|row| pool.iter().map(move |item| row.iter().cloned().chain([item.clone()]).collect())).collect();
    }
    Ok(rows.into_iter().map(list).collect())
}

/// `start=1 end=9 stride=2 format=%02d`, `count=4`, or short: `4`, `2-10/2:host%02d`.
fn sequence(_: &Arc<Run>, terms: Vec<Value>, options: &mut Args) -> Res<Vec<Value>> {
    const MOST: i128 = 1_000_000;
    let mut all = Vec::new();
    let mut named: Vec<(String, String)> = Vec::new();
    for key in ["start", "end", "count", "stride", "format"] {
        if let Some(value) = options.named(key) {
            named.push((key.to_owned(), text(&value)?));
        }
    }
    let terms = if terms.is_empty() && !named.is_empty() { vec![Value::from("")] } else { terms };
    for term in terms {
        let term = text(&term)?;
        let (mut start, mut end, mut count, mut stride, mut format) = (1i128, None, None, None, "%d".to_owned());
        let number = |text: &str, option: &str| integer(&Value::from(text), option, "sequence");
        // What stands in a term beats what is said for all of them.
        let mut settings = named.clone();
        if term.contains('=') {
            for word in shell_words::split(&term).map_err(|err| Fail::error(err.to_string()))? {
                let (key, value) = word.split_once('=').ok_or_else(|| Fail::error(format!("unknown argument '{word}'")))?;
                settings.push((key.to_owned(), value.to_owned()));
            }
        } else if !term.trim().is_empty() {
            let (range, shape) = term.split_once(':').map_or((term.as_str(), None), |(range, shape)| (range, Some(shape)));
            if let Some(shape) = shape {
                format = shape.to_owned();
            }
            let (range, step) = range.split_once('/').map_or((range, None), |(range, step)| (range, Some(step)));
            stride = step.map(|step| number(step, "stride")).transpose()?;
            match range.get(1..).and_then(|rest| rest.find('-')) {
                Some(at) => (start, end) = (number(&range[..=at], "start")?, Some(number(&range[at + 2..], "end")?)),
                None => end = Some(number(range, "end")?),
            }
        }
        for (key, value) in settings {
            match key.as_str() {
                "start" => start = number(&value, "start")?,
                "end" => end = Some(number(&value, "end")?),
                "count" => count = Some(number(&value, "count")?),
                "stride" => stride = Some(number(&value, "stride")?),
                "format" => format = value,
                other => return Err(Fail::error(format!("unrecognized arguments to with_sequence: ['{other}']"))),
            }
        }
        if !format.contains('%') {
            return Err(Fail::error(format!("bad formatting string: {format}")));
        }
        let end = match (count, end) {
            (Some(_), Some(_)) => return Err(Fail::error("can't specify both count and end in with_sequence")),
            (Some(0), None) => continue,
            // As Ansible has it, also where the stride is negative: then there are two more.
            (Some(count), None) => start.saturating_add(count.saturating_mul(stride.unwrap_or(1))).saturating_sub(1),
            (None, Some(end)) => end,
            (None, None) => return Err(Fail::error("must specify count or end in with_sequence")),
        };
        let stride = stride.unwrap_or(1);
        if stride == 0 {
            continue;
        }
        if (stride > 0 && end < start) || (stride < 0 && end > start) {
            return Err(Fail::error(if stride > 0 {
                "to count backwards make stride negative"
            } else {
                "to count forward don't make stride negative"
            }));
        }
        if (end - start) / stride > MOST {
            return Err(Fail::error("the sequence is too long"));
        }
        let mut at = start;
        while (stride > 0 && at <= end) || (stride < 0 && at >= end) {
            let number = int(at);
            let shown = crate::template::eval::format_percent(&format, std::slice::from_ref(&number), &number);
            all.push(Value::from(shown.map_err(|_| Fail::error(format!("problem formatting {at} with '{format}'")))?));
            at += stride;
        }
    }
    Ok(all)
}

/// Hosts by a pattern of names and groups: `web:db`, `all:!db`, `a:&b`, globs.
fn inventory_hostnames(run: &Arc<Run>, terms: Vec<Value>, _: &mut Args) -> Res<Vec<Value>> {
    let groups = run.variable("groups").unwrap_or_else(|| value::map([]));
    let groups: Vec<(String, Vec<String>)> = pairs(&groups)?
        .into_iter()
        .map(|(name, hosts)| Ok((text(&name)?, items(&hosts)?.iter().map(text).collect::<Res<_>>()?)))
        .collect::<Res<_>>()?;
    let hosts_of = |pattern: &str| -> Res<Vec<String>> {
        let glob = globset::Glob::new(pattern).map_err(|err| Fail::error(format!("bad pattern '{pattern}': {err}")))?.compile_matcher();
        let mut hosts: Vec<String> = groups.iter().filter(|(name, _)| glob.is_match(name)).flat_map(|(_, hosts)| hosts.clone()).collect();
        let single = groups.iter().filter(|(name, _)| name == "all").flat_map(|(_, hosts)| hosts).filter(|host| glob.is_match(host));
        hosts.extend(single.cloned());
        Ok(hosts)
    };
    let mut chosen: Vec<String> = Vec::new();
    let patterns = flatten(terms)?.iter().map(text).collect::<Res<Vec<_>>>()?;
    let mut parts: Vec<&str> =
        patterns.iter().flat_map(|pattern| pattern.split([',', ':'])).map(str::trim).filter(|part| !part.is_empty()).collect();
    // First what is in, then what must be in both, then what is out, in whatever order it is written.
    parts.sort_by_key(|part| match part.as_bytes()[0] {
        b'!' => 2,
        b'&' => 1,
        _ => 0,
    });
    if parts.first().is_some_and(|part| part.starts_with(['!', '&'])) {
        parts.insert(0, "all");
    }
    for part in parts {
        let named = hosts_of(part.trim_start_matches(['!', '&']))?;
        match part.as_bytes()[0] {
            b'!' => chosen.retain(|host| !named.contains(host)),
            b'&' => chosen.retain(|host| named.contains(host)),
            _ => chosen.extend(named),
        }
    }
    let mut seen = std::collections::HashSet::new();
    Ok(chosen.into_iter().filter(|host| seen.insert(host.clone())).map(Value::from).collect())
}
