//! Filters, by family. Each is a function of the value and its arguments; the tables at the ends of the files name them.

mod community;
mod data;
mod dicts;
mod durations;
mod hashes;
mod inis;
mod keys;
mod lists;
mod net;
mod net_more;
mod numbers;
mod passwords;
mod paths;
mod regexes;
mod select;
mod sets;
mod texts;
mod times;
mod urls;
mod vault;
pub(super) mod yaml;

pub(super) use data::bool_of;
#[cfg(test)]
pub(super) use data::yaml_value;
pub(super) use hashes::PythonRandom;
pub(super) use net_more::{get_path, index_of, to_paths};
pub(super) use passwords::Scheme;
pub(super) use urls::Url;

use super::args::Args;
use super::fail::{Fail, Res, check, is_undefined};
use super::lazy::Run;
use super::names;
use minijinja::Value;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

pub(super) type Filter = fn(&Arc<Run>, Value, &mut Args) -> Res;

type Table = &'static [(&'static str, Filter)];

/// The filters of each collection. A bare name is one of the first.
static FILTERS: LazyLock<[(&'static str, HashMap<&'static str, Filter>); 4]> = LazyLock::new(|| {
    let table = |families: &[Table]| families.iter().copied().flatten().copied().collect();
    [
        (
            names::BUILTIN,
            table(&[
                data::TABLE,
                dicts::TABLE,
                hashes::TABLE,
                lists::TABLE,
                numbers::TABLE,
                passwords::TABLE,
                paths::TABLE,
                regexes::TABLE,
                select::TABLE,
                sets::TABLE,
                texts::TABLE,
                times::TABLE,
                urls::TABLE,
                vault::TABLE,
            ]),
        ),
        (names::UTILS, table(&[net::TABLE, net_more::TABLE, keys::UTILS])),
        (names::PROTOMATTER, table(&[data::PROTOMATTER])),
        (names::GENERAL, table(&[community::TABLE, keys::GENERAL, durations::TABLE, inis::TABLE])),
    ]
});

/// The filters that take undefined values.
const ABOUT_UNDEFINED: &[&str] = &["default", "d", "mandatory", "type_debug", "ternary"];

/// Every filter by its full name.
#[cfg(test)]
pub(super) fn all_names() -> impl Iterator<Item = String> {
    FILTERS.iter().flat_map(|(collection, filters)| filters.keys().map(move |name| format!("{collection}.{name}")))
}

/// A filter, with its collection and its name there.
fn find(name: &str) -> Option<(&'static str, &str, Filter)> {
    let (collection, short) = names::resolve(name, names::FILTERS_MOVED)?;
    let (_, filters) = FILTERS.iter().find(|(known, _)| *known == collection)?;
    filters.get(short).map(|filter| (collection, short, *filter))
}

pub(super) fn apply(run: &Arc<Run>, name: &str, value: Value, mut args: Args) -> Res {
    let name = names::compact(name);
    let Some((collection, short, filter)) = find(&name) else { return Err(unknown(&name)) };
    if !ABOUT_UNDEFINED.contains(&short) {
        if is_undefined(&value) {
            return Ok(value);
        }
        check(&value)?;
        if let Some(undefined) = args.first_undefined() {
            return Ok(undefined.clone());
        }
    }
    let result = filter(run, value, &mut args).and_then(|result| args.done().map(|()| result));
    result.map_err(|fail| fail.while_doing(|| format!("The filter plugin '{collection}.{short}' failed")))
}

pub(super) fn unknown(name: &str) -> Box<Fail> {
    let fail = Fail::error(format!("No filter named '{name}'."));
    match names::near(name, FILTERS.iter().map(|(collection, filters)| (*collection, filters.keys().copied().collect()))) {
        Some(near) => fail.hint(format!("did you mean `{near}`?")),
        None => fail,
    }
}

pub(super) fn is_known(name: &str) -> bool {
    find(name).is_some()
}
