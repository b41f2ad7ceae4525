//! Filters on lists: first and last, joining, flattening, pairing, batches.

use super::Filter;
use super::select::by_path;
use crate::template::args::Args;
use crate::template::eval::member;
use crate::template::fail::{Fail, Lack, Res, marker};
use crate::template::lazy::Run;
use crate::template::value::{self, Type, as_int, fits, items, joined, list, pairs, raw_items, text, tuple, type_of};
use minijinja::Value;
use std::sync::Arc;

pub(super) const TABLE: &[(&str, Filter)] = &[
    ("first", |_, value, _| end(&value, false)),
    ("last", |_, value, _| end(&value, true)),
    ("length", length),
    ("count", length),
    ("list", |_, value, _| Ok(list(raw_items(&value)?))),
    ("join", join),
    ("reverse", reverse),
    ("flatten", flatten),
    ("zip", |run, value, args| zip(run, value, args, false)),
    ("zip_longest", |run, value, args| zip(run, value, args, true)),
    ("product", product),
    ("permutations", |_, value, args| arrange(&value, args, true)),
    ("combinations", |_, value, args| arrange(&value, args, false)),
    ("subelements", subelements),
    ("batch", batch),
    ("slice", slice),
    ("items", |_, value, _| Ok(list(pairs(&value)?.into_iter().map(|(key, value)| list([key, value]))))),
];

fn end(value: &Value, last: bool) -> Res {
    let all = raw_items(value)?;
    let found = if last { all.last() } else { all.first() };
    match found {
        Some(item) => Ok(item.clone()),
        None => {
            let words = if last { "No last item, sequence was empty." } else { "No first item, sequence was empty." };
            Ok(marker(Fail::undefined(Lack::Words(words.to_owned()))))
        }
    }
}

fn length(_: &Arc<Run>, value: Value, _: &mut Args) -> Res {
    match type_of(&value) {
        Type::Str => Ok(value::int(value.as_str().unwrap_or("").chars().count() as i128)),
        Type::List | Type::Map => Ok(value::int(value.len().map_or_else(|| raw_items(&value).map(|all| all.len()), Ok)? as i128)),
        _ => Err(Fail::error(format!("object of type '{}' has no len()", value::type_name(&value)))),
    }
}

fn join(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let separator = args.text_or("d", "")?;
    let attribute = args.get("attribute").filter(|attribute| !attribute.is_none());
    let (mut parts, mut length) = (Vec::new(), 0);
    for item in raw_items(&value)? {
        let item = match &attribute {
            Some(path) => by_path(&item, path)?,
            None => item,
        };
        let part = text(&item)?;
        length += part.len();
        fits(length)?;
        parts.push(part);
    }
    joined(&parts, &separator)
}

fn reverse(_: &Arc<Run>, value: Value, _: &mut Args) -> Res {
    if let Some(text) = value.as_str() {
        return Ok(Value::from(text.chars().rev().collect::<String>()));
    }
    let mut all = raw_items(&value)?;
    all.reverse();
    Ok(list(all))
}

fn flatten(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let levels = args.int("levels")?;
    let skip_nulls = args.flag("skip_nulls", true)?;
    let mut flat = Vec::new();
    flatten_into(&mut flat, &value, levels.map_or(usize::MAX, |levels| usize::try_from(levels).unwrap_or(0)), skip_nulls, 0)?;
    Ok(list(flat))
}

fn flatten_into(flat: &mut Vec<Value>, value: &Value, levels: usize, skip_nulls: bool, depth: usize) -> Res<()> {
    if depth > 200 {
        return Err(Fail::error("the list is nested too deeply"));
    }
    for item in items(value)? {
        if skip_nulls && (item.is_none() || matches!(item.as_str(), Some("None" | "null"))) {
            continue;
        }
        if value::is_list(&item) && levels >= 1 {
            flatten_into(flat, &item, levels - 1, skip_nulls, depth + 1)?;
        } else {
            flat.push(item);
        }
    }
    Ok(())
}

fn zip(_: &Arc<Run>, value: Value, args: &mut Args, longest: bool) -> Res {
    let fill = args.named("fillvalue").unwrap_or(Value::from(()));
    let mut columns = vec![raw_items(&value)?];
    for other in args.rest() {
        columns.push(raw_items(&other)?);
    }
    let lengths = columns.iter().map(Vec::len);
    let rows = if longest { lengths.max() } else { lengths.min() }.unwrap_or(0);
    let row = |n: usize| tuple(columns.iter().map(|column| column.get(n).unwrap_or(&fill).clone()));
    Ok(list((0..rows).map(row)))
}

/// The largest number of combinations that is worked out.
const MAX_COMBINATIONS: usize = 1_000_000;

fn product(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let repeat = usize::try_from(args.named("repeat").and_then(|repeat| as_int(&repeat)).unwrap_or(1)).unwrap_or(0);
    let mut pools = vec![raw_items(&value)?];
    for other in args.rest() {
        pools.push(raw_items(&other)?);
    }
    let once = pools.clone();
    if repeat.saturating_mul(once.len()) > 64 {
        return Err(Fail::error("too many combinations"));
    }
    pools = std::iter::repeat_n(once, repeat).flatten().collect();
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for pool in pools {
        if rows.len().saturating_mul(pool.len()) > MAX_COMBINATIONS {
            return Err(Fail::error("too many combinations"));
        }
        rows = rows.iter().flat_map(|row| pool.iter().map(move |item| row.iter().cloned().chain([item.clone()]).collect())).collect();
    }
    Ok(list(rows.into_iter().map(tuple)))
}

fn arrange(value: &Value, args: &mut Args, ordered: bool) -> Res {
    let pool = raw_items(value)?;
    let size = match args.int("size")? {
        Some(size) => usize::try_from(size).map_err(|_| Fail::error("the size must not be negative"))?,
        None if ordered => pool.len(),
        None => return Err(Fail::error("`combinations` needs a size")),
    };
    let mut rows: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..size {
        let mut longer = Vec::new();
        for row in &rows {
            let from = if ordered { 0 } else { row.last().map_or(0, |last| last + 1) };
            longer.extend((from..pool.len()).filter(|n| !row.contains(n)).map(|n| row.iter().copied().chain([n]).collect::<Vec<_>>()));
            if longer.len() > MAX_COMBINATIONS {
                return Err(Fail::error("too many combinations"));
            }
        }
        rows = longer;
    }
    Ok(list(rows.into_iter().map(|row| tuple(row.into_iter().map(|n| pool[n].clone())))))
}

/// Pairs of each element and each member of a list below it.
fn subelements_of(value: &Value, path: &Value, skip_missing: bool) -> Res<Vec<Value>> {
    let elements = match type_of(value) {
        Type::Map => pairs(value)?.into_iter().map(|(_, element)| element).collect(),
        Type::List => items(value)?,
        _ => return Err(Fail::error("obj must be a list of dicts or a nested dict")),
    };
    let steps = match path.as_str() {
        Some(path) => path.split('.').map(Value::from).collect(),
        None if value::is_list(path) => items(path)?,
        None => return Err(Fail::error("subelements must be a list or a string")),
    };
    let mut all = Vec::new();
    'elements: for element in elements {
        let mut below = element.clone();
        for step in &steps {
            if !value::is_map(&below) {
                return Err(Fail::error(format!("the key {} should point to a dictionary, got '{}'", text(step)?, text(&below)?)));
            }
            below = member(&below, step)?;
            if crate::template::fail::is_undefined(&below) {
                if skip_missing {
                    continue 'elements;
                }
                return Err(Fail::error(format!("could not find {} key in iterated item {}", value::repr(step)?, value::repr(&element)?)));
            }
        }
        if !value::is_list(&below) {
            return Err(Fail::error(format!("the key {} should point to a list, got '{}'", text(path)?, text(&below)?)));
        }
        all.extend(items(&below)?.into_iter().map(|item| tuple([element.clone(), item])));
    }
    Ok(all)
}

fn subelements(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let path = args.need("subelements")?;
    let skip_missing = args.flag("skip_missing", false)?;
    subelements_of(&value, &path, skip_missing).map(list)
}

fn batch(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let size = usize::try_from(args.int_or("linecount", 0)?).unwrap_or(0);
    let fill = args.get("fill_with").filter(|fill| !fill.is_none());
    if size == 0 || size > MAX_COMBINATIONS {
        return Err(Fail::error("`batch` needs a size above zero"));
    }
    let all = raw_items(&value)?;
    Ok(list(all.chunks(size).map(|chunk| {
        let missing = fill.iter().flat_map(|fill| std::iter::repeat_n(fill.clone(), size - chunk.len()));
        list(chunk.iter().cloned().chain(missing))
    })))
}

fn slice(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let columns = usize::try_from(args.int_or("slices", 0)?).unwrap_or(0);
    let fill = args.get("fill_with").filter(|fill| !fill.is_none());
    if columns == 0 || columns > MAX_COMBINATIONS {
        return Err(Fail::error("`slice` needs a number above zero"));
    }
    let all = raw_items(&value)?;
    let (each, longer) = (all.len() / columns, all.len() % columns);
    let mut at = 0;
    let column = |n: usize| {
        let size = each + usize::from(n < longer);
        let mut column = all[at..at + size].to_vec();
        at += size;
        if let (Some(fill), true) = (&fill, n >= longer && longer > 0) {
            column.push(fill.clone());
        }
        list(column)
    };
    Ok(list((0..columns).map(column)))
}
