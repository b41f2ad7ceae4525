//! Filters between values and texts: JSON, YAML, base64; and those about being there at all: `default`, `mandatory`, `ternary`, `bool`.

use super::{Filter, yaml};
use crate::python::bytes;
use crate::source::{Kind, Node, Source};
use crate::template::args::Args;
use crate::template::encoding::Encoding;
use crate::template::fail::{Fail, FailKind, Lack, Res, check, is_undefined};
use crate::template::lazy::Run;
use crate::template::lazy::decrypted;
use crate::template::value::{self, Type, as_int, float_text, items, list, map, pairs, text, truth, type_name, type_of};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use minijinja::Value;
use std::fmt::Write;
use std::sync::Arc;

pub(super) const TABLE: &[(&str, Filter)] = &[
    ("default", default),
    ("d", default),
    ("mandatory", mandatory),
    ("type_debug", |_, value, _| Ok(Value::from(if is_undefined(&value) { "UndefinedMarker" } else { type_name(&value) }))),
    ("ternary", ternary),
    ("bool", |_, value, _| Ok(bool_of(&value))),
    ("to_json", |_, value, args| to_json(&value, args, false)),
    ("tojson", |_, value, args| to_json(&value, args, false)),
    ("to_nice_json", |_, value, args| to_json(&value, args, true)),
    ("from_json", |_, value, args| {
        let profile = args.get("profile").map(|profile| text(&profile)).transpose()?;
        let read = from_json(&text(&value)?)?;
        match profile.as_deref() {
            None | Some("tagless") => Ok(read),
            Some("legacy" | "inventory_legacy") => Ok(json_value(without_marks(to_plain_json(&read)?))),
            Some(other) => Err(Fail::error(format!("Unknown profile '{other}'."))),
        }
    }),
    ("to_yaml", |_, value, args| yaml::dump(&value, args, false)),
    ("to_nice_yaml", |_, value, args| yaml::dump(&value, args, true)),
    ("from_yaml", |_, value, _| match value.as_str() {
        Some(text) => Ok(from_yaml(text)?.into_iter().next().unwrap_or(Value::from(()))),
        None => Ok(value),
    }),
    ("from_yaml_all", |_, value, _| match value.as_str() {
        Some(text) => from_yaml(text).map(list),
        None if value.is_none() => Ok(list([])),
        None => Ok(value),
    }),
    ("b64encode", |_, value, args| {
        let (encoding, url_safe) = encoding(args)?;
        let bytes = match (value.as_str(), value.as_bytes()) {
            (None, Some(bytes)) => bytes.to_vec(),
            _ => encoding.encode(&text(&value)?)?,
        };
        Ok(Value::from(if url_safe { URL_SAFE.encode(bytes) } else { STANDARD.encode(bytes) }))
    }),
    ("b64decode", b64decode),
];

pub(super) const PROTOMATTER: &[(&str, Filter)] = &[
    ("finalize", |_, value, _| value::finalize(&value)),
    ("native_type_name", |_, value, _| Ok(Value::from(type_name(&value)))),
    ("true_type", |_, value, _| Ok(Value::from(type_name(&value)))),
];

fn default(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let fallback = args.get("default_value").unwrap_or_else(|| Value::from(""));
    let also_false = args.get("boolean").map_or(Ok(false), |flag| truth(&flag))?;
    if is_undefined(&value) {
        return Ok(fallback);
    }
    Ok(if also_false && !truth(&value)? { fallback } else { value })
}

fn mandatory(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let words = args.text("msg")?;
    let Err(mut fail) = check(&value) else { return Ok(value) };
    fail.kind = match (fail.kind, words) {
        (FailKind::Undefined(_), Some(words)) => FailKind::Error(words),
        (FailKind::Undefined(Lack::Name(name, _)), None) => FailKind::Error(format!("Mandatory variable '{name}' not defined.")),
        (FailKind::Undefined(lack), None) => FailKind::Error(format!("Mandatory variable not defined: {lack}")),
        (other, _) => other,
    };
    Err(fail)
}

fn ternary(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    // What is not chosen may be undefined.
    check(&value)?;
    let (yes, no) = (args.need("true_val")?, args.need("false_val")?);
    let none = args.get("none_val").filter(|none| !none.is_none());
    match none {
        Some(none) if value.is_none() => Ok(none),
        _ => Ok(if truth(&value)? { yes } else { no }),
    }
}

/// Ansible's `bool`: yes, on, 1, true in any case; everything else is no.
pub(in crate::template) fn bool_of(value: &Value) -> Value {
    match type_of(value) {
        Type::Bool => value.clone(),
        Type::Str => {
            Value::from(value.as_str().is_some_and(|text| ["yes", "on", "1", "true", "t", "y"].contains(&text.to_lowercase().trim())))
        }
        _ => Value::from(value::as_float(value) == Some(1.0)),
    }
}

fn encoding(args: &mut Args) -> Res<(Encoding, bool)> {
    let encoding = Encoding::find(&args.text_or("encoding", "utf-8")?)?;
    Ok((encoding, args.flag("urlsafe", false)?))
}

fn b64decode(_: &Arc<Run>, value: Value, args: &mut Args) -> Res {
    let (encoding, url_safe) = encoding(args)?;
    let mut encoded: String = text(&value)?.chars().filter(|c| !c.is_whitespace()).collect();
    if url_safe {
        encoded = encoded.trim_end_matches('=').to_owned();
        encoded.push_str(&"=".repeat((4 - encoded.len() % 4) % 4));
    }
    let decoded = if url_safe { URL_SAFE.decode(&encoded) } else { STANDARD.decode(&encoded) };
    let bytes = decoded.map_err(|err| Fail::error(format!("not base64: {err}")))?;
    encoding.decode(bytes).map(Value::from).ok_or_else(|| Fail::error("the decoded bytes are not text in this encoding"))
}

/// How Python's `json.dumps` writes.
struct JsonStyle {
    indent: Option<String>,
    sort_keys: bool,
    ascii: bool,
    item_separator: String,
    key_separator: String,
}

fn to_json(value: &Value, args: &mut Args, nice: bool) -> Res {
    let mut style = JsonStyle {
        indent: nice.then(|| " ".repeat(4)),
        sort_keys: args.named_flag("sort_keys", nice)?,
        ascii: args.named_flag("ensure_ascii", true)?,
        item_separator: String::new(),
        key_separator: ": ".to_owned(),
    };
    if let Some(indent) = args.get("indent") {
        style.indent = match as_int(&indent) {
            Some(n) => Some(" ".repeat(usize::try_from(n).unwrap_or(0).min(64))),
            None if indent.is_none() => None,
            None => Some(text(&indent)?),
        };
    }
    style.item_separator = if style.indent.is_some() { "," } else { ", " }.to_owned();
    if let Some(separators) = args.named("separators").filter(|separators| !separators.is_none()) {
        match items(&separators)?.as_slice() {
            [item, key] => (style.item_separator, style.key_separator) = (text(item)?, text(key)?),
            _ => return Err(Fail::error("`separators` takes two texts")),
        }
    }
    let mut out = String::new();
    write_json(&mut out, value, &style, 0)?;
    Ok(Value::from(out))
}

fn write_json(out: &mut String, value: &Value, style: &JsonStyle, depth: usize) -> Res<()> {
    check(value)?;
    if depth > 200 {
        return Err(Fail::error("the value is nested too deeply"));
    }
    let open_line = |out: &mut String, depth: usize| {
        if let Some(indent) = &style.indent {
            out.push('\n');
            out.push_str(&indent.repeat(depth));
        }
    };
    match type_of(value) {
        Type::None => out.push_str("null"),
        Type::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        Type::Float => out.push_str(&match f64::try_from(value.clone()).unwrap_or(0.0) {
            number if number.is_nan() => "NaN".to_owned(),
            number if number.is_infinite() => if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
            number => float_text(number),
        }),
        Type::Int => out.push_str(&value.to_string()),
        Type::List => {
            let all: Vec<Value> = items(value)?.into_iter().filter(|item| !crate::template::is_omit(item)).collect();
            out.push('[');
            for (n, item) in all.iter().enumerate() {
                if n > 0 {
                    out.push_str(&style.item_separator);
                }
                open_line(out, depth + 1);
                write_json(out, item, style, depth + 1)?;
            }
            if !all.is_empty() {
                open_line(out, depth);
            }
            out.push(']');
        }
        Type::Map => {
            let mut all = Vec::new();
            for (key, item) in pairs(value)? {
                check(&item)?;
                if !crate::template::is_omit(&item) {
                    all.push((json_key(&key)?, item));
                }
            }
            if style.sort_keys {
                all.sort_by(|(a, _), (b, _)| a.cmp(b));
            }
            out.push('{');
            for (n, (key, item)) in all.iter().enumerate() {
                if n > 0 {
                    out.push_str(&style.item_separator);
                }
                open_line(out, depth + 1);
                write_json_text(out, key, style.ascii);
                out.push_str(&style.key_separator);
                write_json(out, item, style, depth + 1)?;
            }
            if !all.is_empty() {
                open_line(out, depth);
            }
            out.push('}');
        }
        _ => write_json_text(out, &text(value)?, style.ascii),
    }
    Ok(())
}

fn json_key(key: &Value) -> Res<String> {
    match type_of(key) {
        Type::None => Ok("null".to_owned()),
        Type::Bool => Ok(if key.is_true() { "true" } else { "false" }.to_owned()),
        _ => text(key),
    }
}

fn write_json_text(out: &mut String, text: &str, ascii: bool) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if bytes::byte(c).is_some_and(|byte| ascii && write!(out, "\\udc{byte:02x}").is_ok()) => {}
            c if (c as u32) < 0x20 || (ascii && !c.is_ascii()) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

pub(in crate::template) fn from_json(text: &str) -> Res {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(json) => Ok(json_value(json)),
        Err(err) => Err(Fail::error(format!("not JSON: {err}"))),
    }
}

/// Data without the marks by which JSON of Ansible's older form says that a text is no template: what is read here never is one.
fn without_marks(json: serde_json::Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match json {
        Json::Object(mut map) if map.len() == 1 && map.get("__ansible_unsafe").is_some_and(Json::is_string) => {
            map["__ansible_unsafe"].take()
        }
        Json::Object(map) => Json::Object(map.into_iter().map(|(key, value)| (key, without_marks(value))).collect()),
        Json::Array(items) => items.into_iter().map(without_marks).collect(),
        other => other,
    }
}

/// As the data it is, for what reads JSON.
pub(super) fn to_plain_json(value: &Value) -> Res<serde_json::Value> {
    serde_json::to_value(value::finalize(value)?).map_err(|err| Fail::error(err.to_string()))
}

/// Sorted, four blanks deep.
pub(super) fn nice_json(value: &Value) -> Res<String> {
    text(&to_json(value, &mut Args::default(), true)?)
}

pub(super) fn json_value(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::from(()),
        Json::Bool(value) => Value::from(value),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::from(number),
            (None, Some(number)) => Value::from(number),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text),
        Json::Array(all) => list(all.into_iter().map(json_value)),
        Json::Object(all) => map(all.into_iter().map(|(key, value)| (Value::from(key), json_value(value)))),
    }
}

pub(in crate::template) fn from_yaml(text: &str) -> Res<Vec<Value>> {
    let source = Source::from_text("<text>", text);
    let loaded = crate::source::yaml::load(&source).map_err(|diag| Fail::error(format!("not YAML: {}", diag.title)))?;
    loaded.documents.iter().map(yaml_value).collect()
}

/// A node as plain data: nothing in it is a template.
pub(in crate::template) fn yaml_value(node: &Node) -> Res {
    Ok(match &node.kind {
        Kind::Null => Value::from(()),
        Kind::Bool(value) => Value::from(*value),
        Kind::Int(value) => Value::from(*value),
        Kind::Float(value) => Value::from(*value),
        Kind::Str(text) => Value::from(text.text.clone()),
        Kind::Vault(vaulted) => decrypted(vaulted)?,
        Kind::Seq(all) => list(all.iter().map(yaml_value).collect::<Res<Vec<_>>>()?),
        Kind::Map(all) => map(all.iter().map(|(key, value)| Ok((yaml_value(key)?, yaml_value(value)?))).collect::<Res<Vec<_>>>()?),
    })
}
