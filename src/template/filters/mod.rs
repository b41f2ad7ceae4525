//! Filters, by family. Each is a function of the value and its arguments; the tables at the ends of the files name them.

mod data;
mod dicts;
mod hashes;
mod lists;
mod net;
mod numbers;
mod paths;
mod regexes;
mod select;
mod sets;
mod texts;
mod times;
mod vault;
pub(super) mod yaml;

#[cfg(test)]
pub(super) use data::yaml_value;
pub(super) use lists::subelements_of;

use super::args::Args;
use super::fail::{Fail, Res, check, is_undefined};
use super::lazy::Run;
use crate::source::nearest;
use minijinja::Value;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

pub(super) type Filter = fn(&Arc<Run>, Value, &mut Args) -> Res;

type Table = &'static [(&'static str, Filter)];

static FILTERS: LazyLock<HashMap<&'static str, Filter>> = LazyLock::new(|| {
    let families: [Table; 13] = [
        data::TABLE,
        dicts::TABLE,
        hashes::TABLE,
        lists::TABLE,
        net::TABLE,
        numbers::TABLE,
        paths::TABLE,
        regexes::TABLE,
        select::TABLE,
        sets::TABLE,
        texts::TABLE,
        times::TABLE,
        vault::TABLE,
    ];
    families.into_iter().flatten().copied().collect()
});

/// The filters that take undefined values.
const ABOUT_UNDEFINED: &[&str] = &["default", "d", "mandatory", "type_debug"];

/// The name without its collection: `ansible.builtin.combine` is `combine`.
pub(super) fn short_name(name: &str) -> &str {
    match name.splitn(3, '.').collect::<Vec<_>>().as_slice() {
        [_, _, rest] => rest,
        _ => name,
    }
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FILTERS.keys().copied()
}

fn find(name: &str) -> Option<Filter> {
    FILTERS.get(short_name(name)).copied()
}

pub(super) fn apply(run: &Arc<Run>, name: &str, value: Value, mut args: Args) -> Res {
    let name: String = name.chars().filter(|c| !c.is_whitespace()).collect();
    let Some(filter) = find(&name) else { return Err(unknown(&name)) };
    if !ABOUT_UNDEFINED.contains(&short_name(&name)) {
        if is_undefined(&value) {
            return Ok(value);
        }
        check(&value)?;
        if let Some(undefined) = args.first_undefined() {
            return Ok(undefined.clone());
        }
    }
    let result = filter(run, value, &mut args).and_then(|result| args.done().map(|()| result));
    result.map_err(|mut fail| {
        if let super::fail::FailKind::Error(words) = &mut fail.kind
            && fail.places.is_empty()
        {
            *words = format!("the filter `{}` failed: {words}", short_name(&name));
        }
        fail
    })
}

pub(super) fn unknown(name: &str) -> Box<Fail> {
    let fail = Fail::error(format!("no filter named '{name}'"));
    match nearest(short_name(name), names()) {
        Some(near) => fail.hint(format!("did you mean `{near}`?")),
        None => fail,
    }
}

pub(super) fn is_known(name: &str) -> bool {
    find(name).is_some()
}
