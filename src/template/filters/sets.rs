//! Lists as sets: union, intersection, difference.

use super::Filter;
use crate::template::args::Args;
use crate::template::fail::Res;
use crate::template::value::{contains, items, list};
use minijinja::Value;

pub(super) const TABLE: &[(&str, Filter)] = &[
    ("union", |_, value, args| {
        let (a, b) = both(&value, args)?;
        without_doubles(a.into_iter().chain(b)).map(list)
    }),
    ("intersect", |_, value, args| {
        let (a, b) = both(&value, args)?;
        without_doubles(keep(a, &list(b), true)?).map(list)
    }),
    ("difference", |_, value, args| {
        let (a, b) = both(&value, args)?;
        without_doubles(keep(a, &list(b), false)?).map(list)
    }),
    ("symmetric_difference", |_, value, args| {
        let (a, b) = both(&value, args)?;
        let only_a = keep(a.clone(), &list(b.clone()), false)?;
        let only_b = keep(b, &list(a), false)?;
        without_doubles(only_a.into_iter().chain(only_b)).map(list)
    }),
];

fn both(value: &Value, args: &mut Args) -> Res<(Vec<Value>, Vec<Value>)> {
    let other = args.need("b")?;
    Ok((items(value)?, items(&other)?))
}

fn keep(all: Vec<Value>, other: &Value, inside: bool) -> Res<Vec<Value>> {
    let mut kept = Vec::new();
    for item in all {
        if contains(other, &item)? == inside {
            kept.push(item);
        }
    }
    Ok(kept)
}

fn without_doubles(all: impl IntoIterator<Item = Value>) -> Res<Vec<Value>> {
    let mut unique: Vec<Value> = Vec::new();
    for item in all {
        let mut known = false;
        for other in &unique {
            known = known || crate::template::value::equal(other, &item)?;
        }
        if !known {
            unique.push(item);
        }
    }
    Ok(unique)
}
