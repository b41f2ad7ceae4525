//! Tests (`is ...`): about being there, types, comparisons, task results, versions, regular expressions, files of the controller.

use super::args::Args;
use super::fail::{Fail, FailKind, Res, check, is_undefined};
use super::filters::short_name;
use super::lazy::Run;
use super::objects::{MutMap, MutSeq};
use super::value::{self, Type, as_float, as_int, contains, equal, is_map, items, text, truth, type_of};
use super::version;
use crate::python::regex::{Flags, Pattern};
use crate::source::nearest;
use minijinja::Value;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

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
    ("nan", |value, _| Ok(as_float(value).is_some_and(f64::is_nan))),
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
    // Task results.
    ("failed", |value, _| failed(value, "failed")),
    ("failure", |value, _| failed(value, "failure")),
    ("succeeded", |value, _| failed(value, "succeeded").map(|failed| !failed)),
    ("success", |value, _| failed(value, "success").map(|failed| !failed)),
    ("successful", |value, _| failed(value, "successful").map(|failed| !failed)),
    ("reachable", |value, _| flag(value, "unreachable", "reachable").map(|unreachable| !unreachable)),
    ("unreachable", |value, _| flag(value, "unreachable", "unreachable")),
    ("timedout", |value, _| flag(value, "timedout", "timedout")),
    ("changed", |value, _| changed(value, "changed")),
    ("change", |value, _| changed(value, "change")),
    ("skipped", |value, _| flag(value, "skipped", "skipped")),
    ("skip", |value, _| flag(value, "skipped", "skip")),
    ("started", |value, _| flag(value, "started", "started")),
    ("finished", |value, _| flag(value, "finished", "finished")),
    // Texts.
    ("match", |value, args| regex_test(value, args, "match")),
    ("search", |value, args| regex_test(value, args, "search")),
    ("regex", |value, args| regex_test(value, args, "search")),
    ("version", version::test),
    ("version_compare", version::test),
    // Addresses, as in ansible.utils.
    ("ip", |value, _| Ok(address(value)?.is_some())),
    ("ip_address", |value, _| Ok(address(value)?.is_some())),
    ("ipv4", |value, _| Ok(address(value)?.is_some_and(|address| address.is_ipv4()))),
    ("ipv4_address", |value, _| Ok(address(value)?.is_some_and(|address| address.is_ipv4()))),
    ("ipv6", |value, _| Ok(address(value)?.is_some_and(|address| address.is_ipv6()))),
    ("ipv6_address", |value, _| Ok(address(value)?.is_some_and(|address| address.is_ipv6()))),
    // Files of the controller.
    ("exists", |value, _| on_path(value, |path| path.exists())),
    ("link_exists", |value, _| on_path(value, |path| path.symlink_metadata().is_ok())),
    ("file", |value, _| on_path(value, Path::is_file)),
    ("directory", |value, _| on_path(value, Path::is_dir)),
    ("link", |value, _| on_path(value, Path::is_symlink)),
    ("abs", |value, _| on_path(value, Path::is_absolute)),
    ("vaulted_file", |value, _| vaulted_file(value)),
    // What was looked at is decrypted: of an encrypted variable this is asked before it is.
    ("vault_encrypted", |_, _| Ok(false)),
    // Likewise: of what is not in a file, nothing is trusted to be a template.
    ("tagged_with", |_, args| args.need_text("tag_name").map(|_| false)),
];

/// The file tests with their older names.
const ALIASES: &[(&str, &str)] = &[("is_file", "file"), ("is_dir", "directory"), ("is_link", "link"), ("is_abs", "abs")];

fn find_test(name: &str) -> Option<Test> {
    let name = short_name(name);
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
    TESTS.iter().find(|(known, _)| *known == name).map(|(_, test)| *test)
}

pub(super) fn is_known(name: &str) -> bool {
    find_test(name).is_some() || matches!(short_name(name), "filter" | "test")
}

pub(super) fn unknown(name: &str) -> Box<Fail> {
    let fail = Fail::error(format!("no test named '{name}'"));
    match nearest(short_name(name), TESTS.iter().map(|(known, _)| *known)) {
        Some(near) => fail.hint(format!("did you mean `{near}`?")),
        None => fail,
    }
}

pub(super) fn perform(_: &Arc<Run>, name: &str, value: Value, mut args: Args) -> Res<bool> {
    let name: String = name.chars().filter(|c| !c.is_whitespace()).collect();
    // Whether a filter or a test of this name exists.
    match short_name(&name) {
        "filter" => return Ok(super::filters::is_known(&text(&value)?)),
        "test" => return Ok(is_known(&text(&value)?)),
        _ => {}
    }
    let Some(test) = find_test(&name) else { return Err(unknown(&name)) };
    if !matches!(short_name(&name), "defined" | "undefined") {
        check(&value)?;
        if let Some(undefined) = args.first_undefined() {
            check(undefined)?;
        }
    }
    let result = test(&value, &mut args).and_then(|result| args.done().map(|()| result));
    result.map_err(|mut fail| {
        if let FailKind::Error(words) = &mut fail.kind
            && fail.places.is_empty()
        {
            *words = format!("the test `{}` failed: {words}", short_name(&name));
        }
        fail
    })
}

fn defined(value: &Value) -> Res<bool> {
    if is_undefined(value) {
        return Ok(false);
    }
    check(value).map(|()| true)
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

fn result_of(value: &Value, test: &str) -> Res<()> {
    if is_map(value) { Ok(()) } else { Err(Fail::error(format!("The '{test}' test expects a dictionary"))) }
}

fn flag(value: &Value, key: &str, test: &str) -> Res<bool> {
    result_of(value, test)?;
    value::get(value, key).map_or(Ok(false), |flag| truth(&flag))
}

fn failed(value: &Value, test: &str) -> Res<bool> {
    flag(value, "failed", test)
}

fn changed(value: &Value, test: &str) -> Res<bool> {
    if let (None, Some(results)) = (value::get(value, "changed"), value::get(value, "results")) {
        for result in items(&results)? {
            if flag(&result, "changed", test)? {
                return Ok(true);
            }
        }
    }
    flag(value, "changed", test)
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
        other => return Err(Fail::error(format!("`match_type` cannot be '{other}'"))),
    };
    Ok(regex.is_found(&text)?)
}

fn address(value: &Value) -> Res<Option<IpAddr>> {
    Ok(value.as_str().and_then(|text| text.parse().ok()))
}

/// Whether a file of the controller is encrypted.
fn vaulted_file(value: &Value) -> Res<bool> {
    let path = text(value)?;
    let mut head = [0; 16];
    let read = std::fs::File::open(&path).and_then(|mut file| file.read(&mut head));
    let length = read.map_err(|err| Fail::error(format!("cannot read `{path}`: {err}")))?;
    Ok(crate::vault::is_encrypted(&head[..length]))
}

fn on_path(value: &Value, holds: fn(&Path) -> bool) -> Res<bool> {
    Ok(holds(Path::new(&text(value)?)))
}
