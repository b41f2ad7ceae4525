//! Filters of `community.general` on lists, mappings and texts. `json_query` is JMESPath.

use super::Filter;
use super::data::{json_value, to_plain_json};
use super::hashes::PythonRandom;
use crate::template::args::Args;
use crate::template::eval::binary;
use crate::template::fail::{Fail, Res};
use crate::template::lazy::Run;
use crate::template::value::{self, Type, ValueMap, contains, equal, int, is_list, is_map, items, list, pairs, raw_items, text, type_of};
use minijinja::Value;
use std::sync::Arc;
use unicode_normalization::UnicodeNormalization;

pub(super) const TABLE: &[(&str, Filter)] = &[
    ("json_query", json_query),
    ("dict", |_, value, _| {
        let mut made = ValueMap::new();
        for pair in items(&value)? {
            match raw_items(&pair)?.as_slice() {
                [key, value] => made.insert(key.clone(), value.clone()),
                _ => return Err(Fail::error("a list of pairs is needed")),
            };
        }
        Ok(Value::from_object(made))
    }),
    ("dict_kv", |_, value, args| Ok(value::map([(args.need("key")?, value)]))),
    ("version_sort", |_, value, args| {
        let reverse = args.flag("reverse", false)?;
        let mut versions = items(&value)?.iter().map(text).collect::<Res<Vec<_>>>()?;
        crate::template::version::sort(&mut versions);
        if reverse {
            versions.reverse();
        }
        Ok(list(versions.into_iter().map(Value::from)))
    }),
    ("counter", |_, value, _| {
        if !is_list(&value) && type_of(&value) != Type::Str {
            return Err(Fail::error(format!(
                "Argument for community.general.counter must be a sequence, not {}",
                value::type_name(&value)
            )));
        }
        let mut counts: indexmap::IndexMap<Value, i128> = indexmap::IndexMap::new();
        for item in items(&value)? {
            if is_list(&item) || is_map(&item) {
                return Err(Fail::error("community.general.counter needs a sequence with hashable elements"));
            }
            *counts.entry(item).or_default() += 1;
        }
        Ok(value::map(counts.into_iter().map(|(item, count)| (item, int(count)))))
    }),
    ("accumulate", |_, value, _| {
        let mut sums: Vec<Value> = Vec::new();
        for item in items(&value)? {
            let sum = match sums.last() {
                Some(last) => binary("+", last, &item)?,
                None => item,
            };
            sums.push(sum);
        }
        Ok(list(sums))
    }),
    ("crc32", |_, value, _| Ok(Value::from(format!("{:x}", crc32fast::hash(text(&value)?.as_bytes()))))),
    ("from_csv", from_csv),
    ("groupby_as_dict", |_, value, args| {
        let attribute = args.need("attribute")?;
        let mut made = ValueMap::new();
        for item in items(&value)? {
            let key = item.as_object().filter(|_| is_map(&item)).and_then(|object| object.get_value(&attribute));
            let Some(key) = key else { return Err(Fail::error(format!("Attribute not contained in an element: {}", text(&attribute)?))) };
            if made.contains_key(&key) {
                return Err(Fail::error(format!("Multiple sequence entries have attribute value {}", value::repr(&key)?)));
            }
            made.insert(key, item);
        }
        Ok(Value::from_object(made))
    }),
    ("lists_union", |_, value, args| lists(&value, args, |all, next| all.into_iter().chain(next).map(Ok).collect())),
    ("lists_intersect", |_, value, args| lists(&value, args, |all, next| filtered(all, &list(next), true))),
    ("lists_difference", |_, value, args| lists(&value, args, |all, next| filtered(all, &list(next), false))),
    ("lists_symmetric_difference", |_, value, args| {
        lists(&value, args, |all, next| {
            let (left, right) = (list(all.clone()), list(next.clone()));
            Ok(filtered(all, &right, false)?.into_iter().chain(filtered(next, &left, false)?).collect())
        })
    }),
    ("lists_mergeby", lists_mergeby),
    ("random_mac", random_mac),
    ("reveal_ansible_type", |_, value, args| {
        let alias = match args.get("alias").filter(|alias| !alias.is_none()) {
            Some(alias) => pairs(&alias)?,
            None => Vec::new(),
        };
        python_type(&value, &alias).map(Value::from)
    }),
    ("unicode_normalize", |_, value, args| {
        let given = text(&value)?;
        let normal: String = match args.text_or("form", "NFC")?.as_str() {
            "NFC" => given.nfc().collect(),
            "NFD" => given.nfd().collect(),
            "NFKC" => given.nfkc().collect(),
            "NFKD" => given.nfkd().collect(),
            other => return Err(Fail::error(format!("{other} is not a valid form. Must be one of NFC, NFD, NFKC, NFKD"))),
        };
        Ok(Value::from(normal))
    }),
];

fn json_query(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let query = args.need_text("expr")?;
    let compiled = jmespath::compile(&query).map_err(|err| Fail::error(format!("JMESPathError in json_query filter plugin: {err}")))?;
    let data = serde_json::from_value::<jmespath::Variable>(to_plain_json(&value)?).map_err(|err| Fail::error(err.to_string()))?;
    let found = compiled.search(data).map_err(|err| Fail::error(format!("Error in jmespath.search in json_query filter plugin: {err}")))?;
    serde_json::to_value(&*found).map(json_value).map_err(|err| Fail::error(err.to_string()))
}

fn from_csv(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let dialect = args.text_or("dialect", "excel")?;
    let mut names = match args.get("fieldnames").filter(|names| !names.is_none()) {
        Some(names) => Some(items(&names)?.iter().map(text).collect::<Res<Vec<_>>>()?),
        None => None,
    };
    let delimiter = args.text("delimiter")?;
    let trim = args.flag("skipinitialspace", false)?;
    args.flag("strict", false)?;
    let usual = match dialect.as_str() {
        "excel" | "unix" => ",",
        "excel-tab" => "\t",
        other => return Err(Fail::error(format!("Dialect '{other}' is not supported by your version of python."))),
    };
    let delimiter = delimiter.unwrap_or_else(|| usual.to_owned());
    let [delimiter] = delimiter.as_bytes() else { return Err(Fail::error("\"delimiter\" must be a 1-character string")) };
    let given = text(&value)?;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(*delimiter).from_reader(given.as_bytes());
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|err| Fail::error(format!("Unable to process file: {err}")))?;
        let fields = record.iter().map(|field| if trim { field.trim_start() } else { field });
        match &names {
            None => names = Some(fields.map(str::to_owned).collect()),
            Some(names) => {
                let pairs = names.iter().map(|name| Value::from(name.as_str())).zip(fields.map(Value::from));
                rows.push(value::map(pairs));
            }
        }
    }
    Ok(list(rows))
}

fn filtered(all: Vec<Value>, other: &Value, inside: bool) -> Res<Vec<Value>> {
    let mut kept = Vec::new();
    for item in all {
        if contains(other, &item)? == inside {
            kept.push(item);
        }
    }
    Ok(kept)
}

/// The lists combined one after another, without doubles.
fn lists(value: &Value, args: &mut Args, combine: impl Fn(Vec<Value>, Vec<Value>) -> Res<Vec<Value>>) -> Res {
    let flatten = args.named_flag("flatten", false)?;
    let given: Vec<Value> = std::iter::once(value.clone()).chain(args.rest()).collect();
    let mut all = Vec::new();
    for one in given {
        let members = items(&one)?;
        if flatten && members.iter().all(is_list) && !members.is_empty() {
            all.extend(members.iter().map(items).collect::<Res<Vec<_>>>()?);
        } else {
            all.push(members);
        }
    }
    let mut all = all.into_iter();
    let first = all.next().unwrap_or_default();
    let combined = all.try_fold(first, combine)?;
    let mut unique: Vec<Value> = Vec::new();
    for item in combined {
        if !contains(&list(unique.clone()), &item)? {
            unique.push(item);
        }
    }
    Ok(list(unique))
}

/// Lists of mappings: those with the same value of a key become one.
fn lists_mergeby(run: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let recursive = args.named_flag("recursive", false)?;
    let list_merge = args.named("list_merge").unwrap_or_else(|| Value::from("replace"));
    let mut given: Vec<Value> = std::iter::once(value).chain(args.rest()).collect();
    let Some(index) = given.pop().filter(|index| index.as_str().is_some()) else {
        return Err(Fail::error("the last argument must be the name of a key"));
    };
    // A list of lists stands for its members.
    let mut lists = Vec::new();
    for one in given {
        let members = items(&one)?;
        if members.iter().all(is_list) && !members.is_empty() { lists.extend(members) } else { lists.push(one) }
    }
    let mut merged: Vec<(Value, Value)> = Vec::new();
    for one in &lists {
        for item in items(one)? {
            if !is_map(&item) {
                return Err(Fail::error(format!("Elements of list must be dictionaries, not {}", value::type_name(&item))));
            }
            let Some(key) = item.as_object().and_then(|object| object.get_value(&index)) else { continue };
            let known = {
                let mut at = None;
                for (n, (other, _)) in merged.iter().enumerate() {
                    if equal(other, &key)? {
                        at = Some(n);
                    }
                }
                at
            };
            match known {
                Some(at) => {
                    let named = [("recursive", Value::from(recursive)), ("list_merge", list_merge.clone())];
                    let named = named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
                    merged[at].1 = super::apply(run, "combine", merged[at].1.clone(), Args::new(vec![item], named))?;
                }
                None => merged.push((key, item)),
            }
        }
    }
    let keyed = merged.into_iter().map(|(key, item)| (vec![key], item)).collect();
    Ok(list(super::select::sort_by_keys(keyed, false)?.into_iter().map(|(_, item)| item)))
}

/// A hardware address with the given beginning, the rest by chance.
fn random_mac(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let seed = args.get("seed").filter(|seed| !seed.is_none());
    let Some(prefix) = value.as_str() else {
        return Err(Fail::error(format!("Invalid value type ({}) for random_mac ({})", value::type_name(&value), text(&value)?)));
    };
    let prefix = prefix.to_lowercase();
    let parts: Vec<&str> = prefix.split(':').collect();
    if parts.len() > 5 {
        return Err(Fail::error(format!("Invalid value ({prefix}) for random_mac: 5 colon(:) separated items max")));
    }
    if parts.iter().any(|part| part.len() != 2 || !part.chars().all(|c| c.is_ascii_hexdigit())) {
        return Err(Fail::error(format!("Invalid value ({prefix}) for random_mac: {} not hexa byte", parts.join(":"))));
    }
    let mut random = match &seed {
        None => PythonRandom::from_int(i128::from(rand::random::<u64>())),
        Some(seed) => match value::as_int(seed) {
            Some(number) => PythonRandom::from_int(number),
            None => PythonRandom::from_text(&text(seed)?),
        },
    };
    // One number from 0x1000000000 to 0xfeeeeeeeee, of which the first digits are used.
    let number = 68_719_476_736 + random.below(1_099_511_627_776 - 68_719_476_736);
    let digits = format!("{number:x}");
    let mut mac = prefix.clone();
    for pair in digits.as_bytes().chunks(2).take(6 - parts.len()) {
        mac.push(':');
        mac.extend(pair.iter().map(|byte| char::from(*byte)));
    }
    Ok(Value::from(mac))
}

fn python_type(value: &Value, alias: &[(Value, Value)]) -> Res<String> {
    let named = |name: &str| -> Res<String> {
        for (from, to) in alias {
            if from.as_str() == Some(name) {
                return text(to);
            }
        }
        Ok(name.to_owned())
    };
    let kinds = |values: &mut dyn Iterator<Item = &Value>| -> Res<String> {
        let mut names = values.map(|value| named(value::type_name(value))).collect::<Res<Vec<_>>>()?;
        names.sort();
        names.dedup();
        Ok(names.join("|"))
    };
    match type_of(value) {
        Type::List => {
            let all = items(value)?;
            Ok(format!("{}[{}]", named("list")?, kinds(&mut all.iter())?))
        }
        Type::Map => {
            let all = pairs(value)?;
            let (keys, values) = (kinds(&mut all.iter().map(|(key, _)| key))?, kinds(&mut all.iter().map(|(_, value)| value))?);
            Ok(format!("{}[{keys}, {values}]", named("dict")?))
        }
        _ => named(value::type_name(value)),
    }
}
