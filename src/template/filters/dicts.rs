//! Filters on mappings.

use super::Filter;
use super::select::sort_by_keys;
use crate::template::args::Args;
use crate::template::fail::{Fail, Res, check};
use crate::template::lazy::Run;
use crate::template::value::ValueMap;
use crate::template::value::{self, as_int, contains, dict, is_list, is_map, items, list, map, pairs, repr, text, truth, tuple, type_name};
use minijinja::Value;
use std::sync::Arc;

pub(super) const TABLE: &[(&str, Filter)] = &[
    ("combine", combine),
    ("dict2items", dict2items),
    ("items2dict", items2dict),
    ("dictsort", dictsort),
    ("rekey_on_member", rekey_on_member),
];

fn combine(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let recursive = args.named_flag("recursive", false)?;
    let nothing = value.is_none();
    let list_merge = args.named("list_merge").map_or(Ok("replace".to_owned()), |merge| text(&merge))?;
    if !["replace", "keep", "append", "prepend", "append_rp", "prepend_rp"].contains(&list_merge.as_str()) {
        return Err(Fail::error(format!("`list_merge` cannot be '{list_merge}'")));
    }
    if let Some(other) = args.rest_named().keys().next() {
        return Err(Fail::error(format!("'recursive' and 'list_merge' are the only valid keyword arguments, not '{other}'")));
    }
    // A list among the arguments stands for its members, as in Ansible; a list in there does not.
    let mut all = Vec::new();
    for given in (!nothing).then_some(value).into_iter().chain(args.rest()) {
        check(&given)?;
        let members = if is_list(&given) { items(&given)? } else { vec![given] };
        for member in members {
            check(&member)?;
            if !is_map(&member) {
                return Err(Fail::error(format!("failed to combine variables, expected dicts but got a '{}'", type_name(&member))));
            }
            all.push(member);
        }
    }
    let mut all = all.into_iter();
    let first = all.next().unwrap_or_else(|| map([]));
    all.try_fold(first, |merged, next| merge(&merged, &next, recursive, &list_merge, 0))
}

fn merge(low: &Value, high: &Value, recursive: bool, list_merge: &str, depth: usize) -> Res {
    if depth > 100 {
        return Err(Fail::error("the mappings are nested too deeply"));
    }
    let mut merged: ValueMap = pairs(low)?.into_iter().collect();
    for (key, new) in pairs(high)? {
        let Some(old) = merged.get(&key).cloned() else {
            merged.insert(key, new);
            continue;
        };
        let value = if recursive && is_map(&old) && is_map(&new) {
            merge(&old, &new, recursive, list_merge, depth + 1)?
        } else if is_list(&old) && is_list(&new) {
            merge_lists(&old, &new, list_merge)?
        } else {
            new
        };
        merged.insert(key, value);
    }
    Ok(Value::from_object(merged))
}

fn merge_lists(old: &Value, new: &Value, how: &str) -> Res {
    let without = |all: &Value, other: &Value| -> Res<Vec<Value>> {
        let mut kept = Vec::new();
        for item in items(all)? {
            if !contains(other, &item)? {
                kept.push(item);
            }
        }
        Ok(kept)
    };
    Ok(match how {
        "keep" => old.clone(),
        "append" => list(items(old)?.into_iter().chain(items(new)?)),
        "prepend" => list(items(new)?.into_iter().chain(items(old)?)),
        "append_rp" => list(without(old, new)?.into_iter().chain(items(new)?)),
        "prepend_rp" => list(items(new)?.into_iter().chain(without(old, new)?)),
        _ => new.clone(),
    })
}

fn dict2items(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let (key_name, value_name) = (args.text_or("key_name", "key")?, args.text_or("value_name", "value")?);
    if !is_map(&value) {
        return Err(Fail::error(format!("dict2items requires a dictionary, got {} instead", type_name(&value))));
    }
    let item = |(key, value)| dict([(key_name.as_str(), key), (value_name.as_str(), value)]);
    Ok(list(pairs(&value)?.into_iter().map(item)))
}

fn items2dict(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let (key_name, value_name) = (args.text_or("key_name", "key")?, args.text_or("value_name", "value")?);
    if !is_list(&value) {
        return Err(Fail::error(format!("items2dict requires a list, got {} instead", type_name(&value))));
    }
    let mut made = ValueMap::new();
    for item in items(&value)? {
        match (value::get(&item, &key_name), value::get(&item, &value_name)) {
            (Some(key), Some(value)) => made.insert(key, value),
            _ => {
                return Err(Fail::error(match is_map(&item) {
                    true => format!(
                        "items2dict requires each dictionary in the list to contain the keys '{key_name}' and '{value_name}', got {}",
                        repr(&item)?
                    ),
                    false => format!("items2dict requires a list of dictionaries, got {}", repr(&item)?),
                }));
            }
        };
    }
    Ok(Value::from_object(made))
}

fn dictsort(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let case_sensitive = args.flag("case_sensitive", false)?;
    let by = args.text_or("by", "key")?;
    let reverse = args.flag("reverse", false)?;
    let mut keyed = Vec::new();
    for (key, value) in pairs(&value)? {
        let sort_by = if by == "value" { &value } else { &key };
        let sort_by = match sort_by.as_str() {
            Some(text) if !case_sensitive => Value::from(text.to_lowercase()),
            _ => sort_by.clone(),
        };
        keyed.push((vec![sort_by], tuple([key, value])));
    }
    Ok(list(sort_by_keys(keyed, reverse)?.into_iter().map(|(_, pair)| pair)))
}

fn rekey_on_member(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let key = args.need_text("key")?;
    let duplicates = args.text_or("duplicates", "error")?;
    if !matches!(duplicates.as_str(), "error" | "overwrite") {
        return Err(Fail::error(format!("duplicates parameter to rekey_on_member has unknown value: {duplicates}")));
    }
    let all = match () {
        () if is_map(&value) => pairs(&value)?.into_iter().map(|(_, item)| item).collect(),
        () if is_list(&value) => items(&value)?,
        () => return Err(Fail::error("Type is not a valid list, set, or dict")),
    };
    let mut made = ValueMap::new();
    for item in all {
        if !is_map(&item) {
            return Err(Fail::error("List item is not a valid dict"));
        }
        let Some(name) = value::get(&item, &key) else { return Err(Fail::error(format!("key {key} was not found"))) };
        check(&name)?;
        if duplicates == "error" && made.contains_key(&name) && (truth(&name)? || as_int(&name).is_some()) {
            return Err(Fail::error(format!("key {} is not unique, cannot convert to dict", text(&name)?)));
        }
        made.insert(name, item);
    }
    Ok(Value::from_object(made))
}
