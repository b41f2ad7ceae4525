//! Tests (`is ...`): about being there, types, comparisons, texts, versions. The other families stand in their own files.

mod files;
mod net;
mod results;
mod uris;

use super::args::Args;
use super::fail::{Fail, Res, check, is_undefined};
use super::names;
use super::objects::{MutMap, MutSeq};
use super::value::{self, Type, as_float, as_int, contains, equal, is_map, items, text, truth, type_of};
use super::version;
use crate::python::regex::{Flags, Pattern};
use minijinja::Value;
use std::collections::HashMap;
use std::sync::LazyLock;

type Test = fn(&Value, &mut Args) -> Res<bool>;

const TESTS: &[(&str, Test)] = &[
    ("defined", |value, _| defined(value)),
    ("undefined", |value, _| defined(value).map(|defined| !defined)),
    // Types.
    ("none", |value, _| Ok(value.is_none())),
    ("string", |value, _| Ok(type_of(value) == Type::Str)),
    ("mapping", |value, _| Ok(is_map(value))),
    ("sequence", |value, _| Ok(matches!(type_of(value), Type::Str | Type::List | Type::Map))),
    ("iterable", |value, _| Ok(matches!(type_of(value), Type::Str | Type::List | Type::Map))),
    ("number", |value, _| Ok(value::is_number(value))),
    ("integer", |value, _| Ok(type_of(value) == Type::Int)),
    ("float", |value, _| Ok(type_of(value) == Type::Float)),
    ("boolean", |value, _| Ok(type_of(value) == Type::Bool)),
    ("true", |value, _| Ok(type_of(value) == Type::Bool && value.is_true())),
    ("false", |value, _| Ok(type_of(value) == Type::Bool && !value.is_true())),
    ("callable", |value, _| Ok(type_of(value) == Type::Other)),
    ("escaped", |_, _| Ok(false)),
    ("truthy", |value, args| truthy(value, args)),
    ("falsy", |value, args| truthy(value, args).map(|truthy| !truthy)),
    ("nan", nan),
    ("isnan", nan),
    // Whether there is a filter or test of this name.
    ("filter", |value, _| Ok(super::filters::is_known(&text(value)?))),
    ("test", |value, _| Ok(is_known(&text(value)?))),
    // Comparisons.
    ("eq", |value, args| equal(value, &args.need("b")?)),
    ("equalto", |value, args| equal(value, &args.need("b")?)),
    ("==", |value, args| equal(value, &args.need("b")?)),
    ("ne", |value, args| equal(value, &args.need("b")?).map(|same| !same)),
    ("!=", |value, args| equal(value, &args.need("b")?).map(|same| !same)),
    ("lt", |value, args| Ok(value::order(value, &args.need("b")?, "<")?.is_lt())),
    ("<", |value, args| Ok(value::order(value, &args.need("b")?, "<")?.is_lt())),
    ("lessthan", |value, args| Ok(value::order(value, &args.need("b")?, "<")?.is_lt())),
    ("le", |value, args| Ok(value::order(value, &args.need("b")?, "<=")?.is_le())),
    ("<=", |value, args| Ok(value::order(value, &args.need("b")?, "<=")?.is_le())),
    ("gt", |value, args| Ok(value::order(value, &args.need("b")?, ">")?.is_gt())),
    (">", |value, args| Ok(value::order(value, &args.need("b")?, ">")?.is_gt())),
    ("greaterthan", |value, args| Ok(value::order(value, &args.need("b")?, ">")?.is_gt())),
    ("ge", |value, args| Ok(value::order(value, &args.need("b")?, ">=")?.is_ge())),
    (">=", |value, args| Ok(value::order(value, &args.need("b")?, ">=")?.is_ge())),
    ("sameas", |value, args| same(value, &args.need("other")?)),
    ("in", |value, args| contains(&args.need("seq")?, value)),
    ("contains", |value, args| contains(value, &args.need("value")?)),
    ("even", |value, _| Ok(as_int(value).is_some_and(|number| number % 2 == 0))),
    ("odd", |value, _| Ok(as_int(value).is_some_and(|number| number % 2 != 0))),
    ("divisibleby", |value, args| {
        let by = args.int_or("num", 0)?;
        if by == 0 {
            return Err(Fail::error("division by zero"));
        }
        Ok(as_int(value).is_some_and(|number| number % by == 0))
    }),
    ("lower", |value, _| Ok(text(value)?.chars().all(|c| !c.is_uppercase()))),
    ("upper", |value, _| Ok(text(value)?.chars().all(|c| !c.is_lowercase()))),
    ("startingwith", |value, args| Ok(text(value)?.starts_with(&args.need_text("prefix")?))),
    ("endingwith", |value, args| Ok(text(value)?.ends_with(&args.need_text("suffix")?))),
    // Lists.
    ("subset", |value, args| is_subset(value, &args.need("b")?)),
    ("issubset", |value, args| is_subset(value, &args.need("b")?)),
    ("superset", |value, args| is_subset(&args.need("b")?, value)),
    ("issuperset", |value, args| is_subset(&args.need("b")?, value)),
    ("any", |value, _| Ok(items(value)?.iter().any(Value::is_true))),
    ("all", |value, _| Ok(items(value)?.iter().all(Value::is_true))),
    // Texts.
    ("match", |value, args| regex_test(value, args, "match")),
    ("search", |value, args| regex_test(value, args, "search")),
    ("regex", |value, args| regex_test(value, args, "search")),
    ("version", version::test),
    ("version_compare", version::test),
    // What was looked at is decrypted: of an encrypted variable this is asked before it is.
    ("vault_encrypted", |_, _| Ok(false)),
    // Likewise: of what is not in a file, nothing is trusted to be a template.
    ("tagged_with", |_, args| args.need_text("tag_name").map(|_| false)),
];

type Table = &'static [(&'static str, Test)];

/// The tests of each collection. A bare name is one of the first.
static ALL: LazyLock<[(&'static str, HashMap<&'static str, Test>); 3]> = LazyLock::new(|| {
    let table = |families: &[Table]| families.iter().copied().flatten().copied().collect();
    [
        (names::BUILTIN, table(&[TESTS, results::TABLE, files::TABLE, uris::TABLE])),
        (names::UTILS, table(&[net::TABLE])),
        (names::GENERAL, table(&[uris::GENERAL])),
    ]
});

/// A test, with its collection and its name there.
fn find(name: &str) -> Option<(&'static str, &str, Test)> {
    let (collection, short) = names::resolve(name, &[])?;
    let (_, tests) = ALL.iter().find(|(known, _)| *known == collection)?;
    tests.get(short).map(|test| (collection, short, *test))
}

pub(super) fn is_known(name: &str) -> bool {
    find(name).is_some()
}

pub(super) fn unknown(name: &str) -> Box<Fail> {
    let fail = Fail::error(format!("No test named '{name}'."));
    match names::near(name, ALL.iter().map(|(collection, tests)| (*collection, tests.keys().copied().collect()))) {
        Some(near) => fail.hint(format!("did you mean `{near}`?")),
        None => fail,
    }
}

pub(super) fn perform(name: &str, value: Value, mut args: Args) -> Res<bool> {
    let name = names::compact(name);
    let Some((collection, short, test)) = find(&name) else { return Err(unknown(&name)) };
    if !matches!(short, "defined" | "undefined") {
        check(&value)?;
        if let Some(undefined) = args.first_undefined() {
            check(undefined)?;
        }
    }
    let result = test(&value, &mut args).and_then(|result| args.done().map(|()| result));
    result.map_err(|fail| fail.while_doing(|| format!("The test plugin '{collection}.{short}' failed")))
}

fn defined(value: &Value) -> Res<bool> {
    if is_undefined(value) {
        return Ok(false);
    }
    check(value).map(|()| true)
}

fn nan(value: &Value, _: &mut Args) -> Res<bool> {
    Ok(as_float(value).is_some_and(f64::is_nan))
}

fn truthy(value: &Value, args: &mut Args) -> Res<bool> {
    if args.flag("convert_bool", false)?
        && let Some(word) = value.as_str()
    {
        match word.to_lowercase().as_str() {
            "y" | "yes" | "on" | "1" | "true" | "t" | "1.0" => return Ok(true),
            "n" | "no" | "off" | "0" | "false" | "f" | "0.0" => return Ok(false),
            _ => {}
        }
    }
    truth(value)
}

fn same(a: &Value, b: &Value) -> Res<bool> {
    if type_of(a) != type_of(b) {
        return Ok(false);
    }
    let changeable = |value: &Value| value.downcast_object_ref::<MutSeq>().is_some() || value.downcast_object_ref::<MutMap>().is_some();
    match (a.as_object(), b.as_object()) {
        (Some(left), Some(right)) if changeable(a) || changeable(b) => Ok(std::ptr::eq(
            left.downcast_ref::<MutSeq>().map_or(std::ptr::null(), std::ptr::from_ref),
            right.downcast_ref::<MutSeq>().map_or(std::ptr::null(), std::ptr::from_ref),
        )),
        _ => equal(a, b),
    }
}

fn is_subset(small: &Value, large: &Value) -> Res<bool> {
    for item in items(small)? {
        if !contains(large, &item)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn regex_test(value: &Value, args: &mut Args, default: &str) -> Res<bool> {
    let pattern = args.text_or("pattern", "")?;
    let (ignore_case, multiline) = (args.flag("ignorecase", false)?, args.flag("multiline", false)?);
    let how = args.text_or("match_type", default)?;
    let text = text(value)?;
    let flags = Flags { ignore_case, multiline, ..Flags::default() };
    let regex = match how.as_str() {
        "search" => Pattern::new(&pattern, flags)?,
        "match" => Pattern::at_start(&pattern, flags)?,
        "fullmatch" => Pattern::at_start(&format!("(?:{pattern})\\Z"), flags)?,
        other => {
            return Err(Fail::error(format!("Invalid match_type specified. Expected one of: search, match, fullmatch; got '{other}'")));
        }
    };
    Ok(regex.is_found(&text)?)
}
