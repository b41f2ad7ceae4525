//! Values as Python sees them: names of types, truth, equality, order, `str()` and `repr()`; and the step from lazy values to plain data.

use super::fail::{Fail, Res, check};
use super::objects::{Delta, Group, MutMap, MutSeq, Stamp};
use super::{is_omit, omit};
use crate::python::bytes;
use minijinja::Value;
use minijinja::value::{ObjectRepr, Tuple, ValueKind};
use std::cmp::Ordering;
use std::fmt::Write;

/// A mapping in the order of its making.
pub(super) type ValueMap = indexmap::IndexMap<Value, Value>;

/// What a value is, for the code that has to tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    None,
    Bool,
    Int,
    Float,
    Str,
    Bytes,
    List,
    Map,
    Other,
}

pub(super) fn type_of(value: &Value) -> Type {
    match value.kind() {
        ValueKind::None => Type::None,
        ValueKind::Bool => Type::Bool,
        ValueKind::Number if value.is_integer() => Type::Int,
        ValueKind::Number => Type::Float,
        ValueKind::String => Type::Str,
        ValueKind::Bytes => Type::Bytes,
        ValueKind::Seq | ValueKind::Iterable => Type::List,
        ValueKind::Map => Type::Map,
        _ => Type::Other,
    }
}

/// The name of a value's type in Python.
pub(super) fn type_name(value: &Value) -> &'static str {
    match type_of(value) {
        Type::None => "NoneType",
        Type::Bool => "bool",
        Type::Int => "int",
        Type::Float => "float",
        Type::Str => "str",
        Type::Bytes => "bytes",
        Type::List => "list",
        Type::Map => "dict",
        Type::Other if value.downcast_object_ref::<Stamp>().is_some() => "datetime",
        Type::Other if value.downcast_object_ref::<Delta>().is_some() => "timedelta",
        Type::Other if is_omit(value) => "Omit",
        Type::Other => "object",
    }
}

pub(super) fn is_list(value: &Value) -> bool {
    type_of(value) == Type::List
}

pub(super) fn is_map(value: &Value) -> bool {
    type_of(value) == Type::Map
}

pub(super) fn is_number(value: &Value) -> bool {
    matches!(type_of(value), Type::Bool | Type::Int | Type::Float)
}

/// A float without its fraction; `None` if it is too large for an integer or no number.
pub(super) fn cut(number: f64) -> Option<i128> {
    (number.abs() < 2f64.powi(127)).then_some(number as i128)
}

/// A number as Python's `float` would take it.
pub(super) fn as_float(value: &Value) -> Option<f64> {
    match type_of(value) {
        Type::Bool => Some(f64::from(u8::from(value.is_true()))),
        Type::Int => i128::try_from(value.clone()).ok().map(|n| n as f64),
        Type::Float => f64::try_from(value.clone()).ok(),
        _ => None,
    }
}

pub(super) fn as_int(value: &Value) -> Option<i128> {
    match type_of(value) {
        Type::Bool => Some(i128::from(value.is_true())),
        Type::Int => i128::try_from(value.clone()).ok(),
        _ => None,
    }
}

pub(super) fn int(number: i128) -> Value {
    i64::try_from(number).map_or_else(|_| Value::from(number), Value::from)
}

/// The items of a list, the keys of a mapping, the characters of a string. Every item has been looked at: none is a failure.
pub(super) fn items(value: &Value) -> Res<Vec<Value>> {
    let all = raw_items(value)?;
    for item in &all {
        check(item)?;
    }
    Ok(all)
}

/// Like [`items`], but items may be undefined: for filters such as `map('default')`.
pub(super) fn raw_items(value: &Value) -> Res<Vec<Value>> {
    check(value)?;
    match type_of(value) {
        Type::Str => Ok(value.as_str().unwrap_or("").chars().map(|c| Value::from(c.to_string())).collect()),
        Type::List | Type::Map => Ok(value.as_object().and_then(|object| object.try_iter()).map(|all| all.collect()).unwrap_or_default()),
        _ => Err(Fail::error(format!("'{}' object is not iterable", type_name(value)))),
    }
}

/// The pairs of a mapping.
pub(super) fn pairs(value: &Value) -> Res<Vec<(Value, Value)>> {
    check(value)?;
    match value.as_object() {
        Some(object) if object.repr() == ObjectRepr::Map => Ok(object.try_iter_pairs().map(|all| all.collect()).unwrap_or_default()),
        _ => Err(Fail::error(format!("expected a mapping, got '{}'", type_name(value)))),
    }
}

/// A mapping's value under a key, if it has it.
pub(super) fn get(map: &Value, key: &str) -> Option<Value> {
    let object = map.as_object()?;
    if object.repr() != ObjectRepr::Map {
        return None;
    }
    object.get_value_by_str(key)
}

pub(super) fn list(items: impl IntoIterator<Item = Value>) -> Value {
    Value::from_object(items.into_iter().collect::<Vec<Value>>())
}

/// A list that cannot be changed and that Python writes with round brackets.
pub(super) fn tuple(items: impl IntoIterator<Item = Value>) -> Value {
    Value::from_object(Tuple::from(items.into_iter().collect::<Vec<Value>>()))
}

pub(super) fn map(pairs: impl IntoIterator<Item = (Value, Value)>) -> Value {
    Value::from_object(pairs.into_iter().collect::<ValueMap>())
}

/// A mapping with string keys.
pub(super) fn dict<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    map(pairs.into_iter().map(|(key, value)| (Value::from(key), value)))
}

/// Python's truth.
pub(super) fn truth(value: &Value) -> Res<bool> {
    check(value)?;
    Ok(value.is_true())
}

pub(super) fn equal(a: &Value, b: &Value) -> Res<bool> {
    check(a)?;
    check(b)?;
    Ok(match (type_of(a), type_of(b)) {
        (Type::List, Type::List) => {
            let (a, b) = (items(a)?, items(b)?);
            if a.len() != b.len() {
                return Ok(false);
            }
            for (a, b) in a.iter().zip(&b) {
                if !equal(a, b)? {
                    return Ok(false);
                }
            }
            true
        }
        (Type::Map, Type::Map) => {
            let all = pairs(a)?;
            if Some(all.len()) != b.len() {
                return Ok(false);
            }
            for (key, value) in &all {
                match b.as_object().and_then(|object| object.get_value(key)) {
                    Some(other) if equal(value, &other)? => {}
                    _ => return Ok(false),
                }
            }
            true
        }
        (Type::List | Type::Map, _) | (_, Type::List | Type::Map) => false,
        _ => a == b,
    })
}

/// Python's `<` and its kin; what has no order is an error that names the operator.
pub(super) fn order(a: &Value, b: &Value, operator: &str) -> Res<Ordering> {
    check(a)?;
    check(b)?;
    match (type_of(a), type_of(b)) {
        (Type::Str, Type::Str) => return Ok(a.as_str().cmp(&b.as_str())),
        (Type::List, Type::List) => {
            let (a, b) = (items(a)?, items(b)?);
            for (a, b) in a.iter().zip(&b) {
                if !equal(a, b)? {
                    return order(a, b, operator);
                }
            }
            return Ok(a.len().cmp(&b.len()));
        }
        _ if is_number(a) && is_number(b) => {
            let by_value = match (as_int(a), as_int(b)) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                _ => as_float(a).partial_cmp(&as_float(b)),
            };
            return Ok(by_value.unwrap_or(Ordering::Equal));
        }
        _ => {}
    }
    if let (Some(a), Some(b)) = (a.downcast_object_ref::<Stamp>(), b.downcast_object_ref::<Stamp>()) {
        return Ok(a.cmp(b));
    }
    if let (Some(a), Some(b)) = (a.downcast_object_ref::<Delta>(), b.downcast_object_ref::<Delta>()) {
        return Ok(a.seconds().partial_cmp(&b.seconds()).unwrap_or(Ordering::Equal));
    }
    Err(Fail::error(format!("'{operator}' not supported between instances of '{}' and '{}'", type_name(a), type_name(b))))
}

pub(super) fn contains(container: &Value, needle: &Value) -> Res<bool> {
    check(container)?;
    let is_list = type_of(container) == Type::List;
    // As in Python, an empty list does not even look at what is asked for.
    if !is_list {
        check(needle)?;
    }
    match type_of(container) {
        Type::Str => match needle.as_str() {
            Some(needle) => Ok(container.as_str().unwrap_or("").contains(needle)),
            None => Err(Fail::error(format!("'in <string>' requires string as left operand, not {}", type_name(needle)))),
        },
        Type::Map => Ok(container.as_object().is_some_and(|object| object.get_value(needle).is_some())),
        Type::List => {
            for item in raw_items(container)? {
                if equal(&item, needle)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => Err(Fail::error(format!("argument of type '{}' is not iterable", type_name(container)))),
    }
}

/// The largest text that a template may make, and the longest list. A line of a template can ask for more than any memory holds.
pub(super) const MAX_TEXT: usize = 64 << 20;
pub(super) const MAX_ITEMS: usize = 2_000_000;

/// Called before a text of this length is made.
pub(super) fn fits(length: usize) -> Res<()> {
    if length <= MAX_TEXT { Ok(()) } else { Err(Fail::error(format!("the text is larger than {} MiB", MAX_TEXT >> 20))) }
}

/// `text.replace(old, new)`, at most so many times.
pub(super) fn replaced(text: &str, old: &str, new: &str, count: Option<usize>) -> Res {
    let found = if new.len() > old.len() { text.matches(old).take(count.unwrap_or(usize::MAX)).count() } else { 0 };
    fits(found.saturating_mul(new.len()).saturating_add(text.len()))?;
    Ok(Value::from(count.map_or_else(|| text.replace(old, new), |count| text.replacen(old, new, count))))
}

/// Texts with another between them.
pub(super) fn joined(parts: &[String], between: &str) -> Res {
    let between_all = between.len().saturating_mul(parts.len());
    fits(parts.iter().fold(between_all, |sum, part| sum.saturating_add(part.len())))?;
    Ok(Value::from(parts.join(between)))
}

/// Python's `str()`.
pub(super) fn text(value: &Value) -> Res<String> {
    check(value)?;
    if let Some(text) = value.as_str() {
        return Ok(text.to_owned());
    }
    let mut out = String::new();
    write_text(&mut out, value, false, true)?;
    Ok(out)
}

/// The same of what a template puts out: tuples have become lists there.
pub(super) fn output_text(value: &Value) -> Res<String> {
    let mut out = String::new();
    write_text(&mut out, value, false, false)?;
    Ok(out)
}

/// Python's `repr()`.
pub(super) fn repr(value: &Value) -> Res<String> {
    let mut out = String::new();
    write_text(&mut out, value, true, true)?;
    Ok(out)
}

fn write_text(out: &mut String, value: &Value, quoted: bool, tuples: bool) -> Res<()> {
    check(value)?;
    match type_of(value) {
        Type::Str if quoted => write_quoted(out, value.as_str().unwrap_or("")),
        Type::Float => out.push_str(&float_text(f64::try_from(value.clone()).unwrap_or(0.0))),
        Type::List => {
            let is_tuple = tuples && value.is_tuple() || value.downcast_object_ref::<Group>().is_some();
            let items = raw_items(value)?;
            out.push(if is_tuple { '(' } else { '[' });
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push_str(", ");
                }
                write_text(out, item, true, tuples)?;
                fits(out.len())?;
            }
            out.push_str(match (is_tuple, items.len()) {
                (true, 1) => ",)",
                (true, _) => ")",
                _ => "]",
            });
        }
        Type::Map => {
            out.push('{');
            for (n, (key, item)) in pairs(value)?.iter().enumerate() {
                if n > 0 {
                    out.push_str(", ");
                }
                write_text(out, key, true, tuples)?;
                out.push_str(": ");
                write_text(out, item, true, tuples)?;
                fits(out.len())?;
            }
            out.push('}');
        }
        Type::Other if is_omit(value) => {}
        _ => {
            let _ = write!(out, "{value}");
        }
    }
    Ok(())
}

fn write_quoted(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if bytes::byte(c).is_some_and(|byte| write!(out, "\\udc{byte:02x}").is_ok()) => {}
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if (c as u32) < 0x20 || (0x7f..0xa1).contains(&(c as u32)) => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push(quote);
}

/// Python's `repr` of a float: the shortest digits, with an exponent below 1e-4 and from 1e16 on.
pub(super) fn float_text(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = number.to_string();
    if plain.contains('.') { plain } else { plain + ".0" }
}

/// How deep a value may be nested: deeper ones are loops or attacks.
const MAX_DEPTH: usize = 200;

/// The value as plain data: lazy parts rendered, `omit` removed from its container, nothing undefined.
pub(super) fn finalize(value: &Value) -> Res {
    finalize_at(value, 0)
}

fn finalize_at(value: &Value, depth: usize) -> Res {
    check(value)?;
    if depth > MAX_DEPTH {
        return Err(Fail::error("the value is nested too deeply"));
    }
    match type_of(value) {
        Type::List => {
            let mut plain = Vec::new();
            for item in raw_items(value)? {
                let item = finalize_at(&item, depth + 1)?;
                if !is_omit(&item) {
                    plain.push(item);
                }
            }
            Ok(Value::from_object(plain))
        }
        Type::Map => {
            let mut plain = ValueMap::new();
            for (key, item) in pairs(value)? {
                let item = finalize_at(&item, depth + 1)?;
                if !is_omit(&item) {
                    plain.insert(key, item);
                }
            }
            Ok(Value::from_object(plain))
        }
        Type::Bytes => Ok(Value::from(value.to_string())),
        Type::Other if is_omit(value) => Ok(omit()),
        Type::Other if value.downcast_object_ref::<Stamp>().is_some() || value.downcast_object_ref::<Delta>().is_some() => {
            Ok(Value::from(value.to_string()))
        }
        Type::Other => Err(Fail::error(format!("{value} is not data and cannot be the value of a template"))),
        _ => Ok(value.clone()),
    }
}

/// A list or mapping that its methods may change in place. Others stay as they are.
pub(super) fn to_mutable(value: Value) -> Res {
    if value.downcast_object_ref::<MutSeq>().is_some() || value.downcast_object_ref::<MutMap>().is_some() {
        return Ok(value);
    }
    match type_of(&value) {
        Type::List => Ok(Value::from_object(MutSeq::new(raw_items(&value)?))),
        Type::Map => Ok(Value::from_object(MutMap::new(pairs(&value)?.into_iter().collect()))),
        _ => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_in_python() {
        for (number, text) in
            [(1.0, "1.0"), (1e16, "1e+16"), (0.1 + 0.2, "0.30000000000000004"), (1e-5, "1e-05"), (1.5e300, "1.5e+300"), (-0.0, "-0.0")]
        {
            assert_eq!(float_text(number), text);
        }
    }

    #[test]
    fn containers_print_as_in_python() {
        let value = list([Value::from(()), Value::from(true), Value::from("it's"), dict([("k", Value::from(1.5))])]);
        assert_eq!(text(&value).ok().as_deref(), Some(r#"[None, True, "it's", {'k': 1.5}]"#));
    }
}
