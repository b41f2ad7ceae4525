//! Filters that apply filters and tests to the members of a list, or pick them by an attribute: `map`, `select`, `sort`, `groupby` and their kin.

use super::Filter;
use crate::template::args::Args;
use crate::template::eval::{binary, member};
use crate::template::fail::{Fail, Lack, Res, check, is_undefined, marker};
use crate::template::lazy::Run;
use crate::template::objects::Group;
use crate::template::tests;
use crate::template::value::{self, Type, equal, list, order, raw_items, text, truth, type_of};
use minijinja::Value;
use std::cmp::Ordering;
use std::sync::Arc;

pub(super) const TABLE: &[(&str, Filter)] = &[
    ("map", map),
    ("select", |run, value, args| pick(run, &value, args, None, true)),
    ("reject", |run, value, args| pick(run, &value, args, None, false)),
    ("selectattr", |run, value, args| pick_by_attribute(run, &value, args, true)),
    ("rejectattr", |run, value, args| pick_by_attribute(run, &value, args, false)),
    ("sort", sort),
    ("unique", unique),
    ("min", |_, value, args| extreme(&value, args, Ordering::Less)),
    ("max", |_, value, args| extreme(&value, args, Ordering::Greater)),
    ("sum", sum),
    ("groupby", groupby),
    ("attr", attr),
    ("extract", extract),
];

/// `a.b.0` of a value; undefined if a step is missing.
pub(super) fn by_path(value: &Value, path: &Value) -> Res {
    match path.as_str() {
        Some(path) => path.split('.').try_fold(value.clone(), |value, step| {
            let key = step.parse::<i64>().map_or_else(|_| Value::from(step), Value::from);
            member(&value, &key)
        }),
        None => member(value, path),
    }
}

fn map(run: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let mut mapped = Vec::new();
    if let Some(attribute) = args.named("attribute") {
        let default = args.named("default");
        for item in raw_items(&value)? {
            let found = by_path(&item, &attribute)?;
            mapped.push(match &default {
                Some(default) if is_undefined(&found) => default.clone(),
                _ => found,
            });
        }
        return Ok(list(mapped));
    }
    let name = args.need_text("filter")?;
    let (positional, named) = (args.rest(), args.rest_named());
    for item in raw_items(&value)? {
        run.step()?;
        mapped.push(super::apply(run, &name, item, Args::new(positional.clone(), named.clone()))?);
    }
    Ok(list(mapped))
}

fn pick_by_attribute(run: &Arc<Run>, value: &Value, args: &mut Args, wanted: bool) -> Res {
    let attribute = args.need("attribute")?;
    pick(run, value, args, Some(&attribute), wanted)
}

fn pick(run: &Arc<Run>, value: &Value, args: &mut Args, attribute: Option<&Value>, wanted: bool) -> Res {
    let test = args.text("test")?;
    let (positional, named) = (args.rest(), args.rest_named());
    let mut picked = Vec::new();
    for item in raw_items(value)? {
        run.step()?;
        let subject = match attribute {
            Some(path) => by_path(&item, path)?,
            None => item.clone(),
        };
        let holds = match &test {
            Some(test) => tests::perform(test, subject, Args::new(positional.clone(), named.clone()))?,
            None => truth(&subject)?,
        };
        if holds == wanted {
            picked.push(item);
        }
    }
    Ok(list(picked))
}

/// What to compare by: the attributes (several with commas), text in lower case unless case matters.
fn key_of(item: &Value, attribute: Option<&Value>, case_sensitive: bool) -> Res<Vec<Value>> {
    let parts = match attribute {
        None => vec![item.clone()],
        Some(attribute) => match attribute.as_str() {
            Some(names) => names.split(',').map(|name| by_path(item, &Value::from(name.trim()))).collect::<Res<_>>()?,
            None => vec![by_path(item, attribute)?],
        },
    };
    parts
        .into_iter()
        .map(|part| {
            check(&part)?;
            Ok(match part.as_str() {
                Some(text) if !case_sensitive => Value::from(text.to_lowercase()),
                _ => part,
            })
        })
        .collect()
}

fn compare(a: &[Value], b: &[Value], operator: &str) -> Res<Ordering> {
    for (a, b) in a.iter().zip(b) {
        if !equal(a, b)? {
            return order(a, b, operator);
        }
    }
    Ok(Ordering::Equal)
}

/// Sorts by keys that may have no order, which is an error.
pub(super) fn sort_by_keys(mut keyed: Vec<(Vec<Value>, Value)>, reverse: bool) -> Res<Vec<(Vec<Value>, Value)>> {
    let mut fail = None;
    keyed.sort_by(|(a, _), (b, _)| match compare(a, b, "<") {
        Ok(order) if reverse => order.reverse(),
        Ok(order) => order,
        Err(err) => {
            fail.get_or_insert(err);
            Ordering::Equal
        }
    });
    fail.map_or(Ok(keyed), Err)
}

fn keyed(value: &Value, attribute: Option<&Value>, case_sensitive: bool) -> Res<Vec<(Vec<Value>, Value)>> {
    raw_items(value)?.into_iter().map(|item| Ok((key_of(&item, attribute, case_sensitive)?, item))).collect()
}

fn sort(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let reverse = args.flag("reverse", false)?;
    let case_sensitive = args.flag("case_sensitive", false)?;
    let attribute = args.get("attribute").filter(|attribute| !attribute.is_none());
    let sorted = sort_by_keys(keyed(&value, attribute.as_ref(), case_sensitive)?, reverse)?;
    Ok(list(sorted.into_iter().map(|(_, item)| item)))
}

fn unique(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let given = args.get("case_sensitive").filter(|flag| !flag.is_none());
    let sensitive = given.as_ref().map_or(Ok(false), truth)?;
    let attribute = args.get("attribute").filter(|attribute| !attribute.is_none());
    let whole_containers = attribute.is_none() && raw_items(&value)?.iter().any(|item| value::is_map(item) || value::is_list(item));
    if given.is_some() && whole_containers {
        return Err(Fail::error(
            "Jinja2's unique filter failed and we cannot fall back to Ansible's version as it does not support the parameters supplied",
        ));
    }
    let mut seen: Vec<(Vec<Value>, Value)> = Vec::new();
    'items: for (key, item) in keyed(&value, attribute.as_ref(), sensitive)? {
        for (other, _) in &seen {
            if other.len() == key.len() && equal(&list(other.clone()), &list(key.clone()))? {
                continue 'items;
            }
        }
        seen.push((key, item));
    }
    Ok(list(seen.into_iter().map(|(_, item)| item)))
}

fn extreme(value: &Value, args: &mut Args, wanted: Ordering) -> Res {
    let case_sensitive = args.flag("case_sensitive", false)?;
    let attribute = args.get("attribute").filter(|attribute| !attribute.is_none());
    let mut best: Option<(Vec<Value>, Value)> = None;
    for (key, item) in keyed(value, attribute.as_ref(), case_sensitive)? {
        let better = match &best {
            Some((other, _)) => compare(&key, other, if wanted == Ordering::Less { "<" } else { ">" })? == wanted,
            None => true,
        };
        if better {
            best = Some((key, item));
        }
    }
    Ok(match best {
        Some((_, item)) => item,
        None => marker(Fail::undefined(Lack::Words("No aggregated item, sequence was empty.".to_owned()))),
    })
}

fn sum(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let attribute = args.get("attribute").filter(|attribute| !attribute.is_none());
    let start = args.get("start").unwrap_or_else(|| Value::from(0));
    raw_items(&value)?.into_iter().try_fold(start, |sum, item| {
        let item = match &attribute {
            Some(path) => by_path(&item, path)?,
            None => item,
        };
        binary("+", &sum, &item)
    })
}

fn groupby(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let attribute = args.need("attribute")?;
    let default = args.get("default").filter(|default| !default.is_none());
    let case_sensitive = args.flag("case_sensitive", false)?;
    let mut entries = Vec::new();
    for item in raw_items(&value)? {
        let mut key = by_path(&item, &attribute)?;
        if let (true, Some(default)) = (is_undefined(&key), &default) {
            key = default.clone();
        }
        check(&key)?;
        let folded = match key.as_str() {
            Some(text) if !case_sensitive => Value::from(text.to_lowercase()),
            _ => key.clone(),
        };
        entries.push((vec![folded], list([key, item])));
    }
    let mut groups: Vec<(Value, Value, Vec<Value>)> = Vec::new();
    for (folded, pair) in sort_by_keys(entries, false)? {
        let pair = raw_items(&pair)?;
        let (key, item) = (pair[0].clone(), pair[1].clone());
        match groups.last_mut() {
            Some((last, _, members)) if equal(last, &folded[0])? => members.push(item),
            _ => groups.push((folded[0].clone(), key, vec![item])),
        }
    }
    Ok(list(groups.into_iter().map(|(_, key, members)| Group::value(key, list(members)))))
}

fn attr(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let name = args.need("name")?;
    member(&value, &name)
}

fn extract(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let container = args.need("container")?;
    let more = args.get("morekeys").filter(|more| !more.is_none());
    let mut found = member(&container, &value)?;
    if let Some(more) = more {
        let keys = if type_of(&more) == Type::List { value::items(&more)? } else { vec![more] };
        for key in keys {
            found = member(&found, &key)?;
        }
    }
    if let (Err(fail), false) = (check(&found), is_undefined(&found)) {
        return Err(fail.hint(format!("while extracting `{}`", text(&value)?)));
    }
    Ok(found)
}
