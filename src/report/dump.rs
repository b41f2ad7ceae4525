//! Results as text, in Ansible's form: keys sorted, the engine's own keys left out.

use super::{HostResult, Status};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// How results are written.
#[derive(Clone, Debug)]
pub struct Dump {
    pub verbosity: u8,
    pub format: Format,
    /// Over several lines, or never so. `None`: where the result is meant to be read.
    pub pretty: Option<bool>,
    pub indentation: usize,
}

#[derive(Clone, Copy, Debug)]
pub enum Format {
    Json,
    /// The function writes a value as YAML with an indentation, in lines of a width. The flag: readable before exact.
    Yaml {
        write: fn(&Json, usize, usize, bool) -> String,
        width: usize,
    },
}

impl Default for Dump {
    fn default() -> Dump {
        Dump { verbosity: 0, format: Format::Json, pretty: None, indentation: 4 }
    }
}

impl Dump {
    /// A result. `indentation`: over several lines in any case.
    pub fn result(&self, result: &HostResult, indentation: Option<usize>) -> String {
        let map = match &result.result {
            Json::Object(map) => map.clone(),
            other => Map::from_iter([("msg".to_owned(), other.clone())]),
        };
        let mut map: BTreeMap<String, Json> = map.into_iter().filter(|(key, _)| !is_internal(key)).collect();
        for key in ["failed", "warnings", "deprecations", "exception"] {
            map.remove(key);
        }
        if self.verbosity < 3 {
            map.remove("diff");
        }
        if result.status == Status::Skipped {
            map.remove("skipped");
        }
        if result.is_loop && indentation.is_none() {
            // The items have spoken for themselves.
            map.remove("results");
        }
        self.value(Json::Object(map.into_iter().collect()), indentation, result.verbose && result.status != Status::Skipped)
    }

    /// Any value. `is_read`: it is meant to be read.
    pub fn value(&self, value: Json, indentation: Option<usize>, is_read: bool) -> String {
        let value = sorted(value);
        let wanted = self.pretty == Some(true) || is_read || self.verbosity >= 3;
        match self.format {
            Format::Json => match indentation.filter(|indentation| *indentation > 0) {
                _ if self.pretty == Some(false) => compact(&value),
                Some(indentation) => indented(&value, indentation),
                None if wanted => indented(&value, self.indentation),
                None if indentation == Some(0) => indented(&value, 0),
                None => compact(&value),
            },
            Format::Yaml { write, width } => {
                let is_pretty = self.pretty != Some(false);
                let indentation = indentation.filter(|indentation| *indentation > 0).unwrap_or(self.indentation);
                let text =
                    if is_pretty { write(&readable(value), indentation, width, true) } else { write(&value, indentation, width, false) };
                let margin = " ".repeat(indentation);
                let lines = text.lines().map(|line| if line.trim().is_empty() { line.to_owned() } else { format!("{margin}{line}") });
                format!("\n{}\n", lines.collect::<Vec<_>>().join("\n"))
            }
        }
    }
}

fn is_internal(key: &str) -> bool {
    key.starts_with("_ansible_")
}

/// Of a `debug`, only what was asked for, not what the engine adds to a result.
pub fn cleaned(result: &HostResult) -> HostResult {
    let mut result = result.clone();
    let (true, Json::Object(map)) = (result.module == "debug", &mut result.result) else { return result };
    match map.remove("msg") {
        Some(msg) => {
            let kept = ["failed", "exception", "warnings", "deprecations"].map(|key| (key.to_owned(), map.remove(key)));
            *map = kept.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
            map.insert("msg".to_owned(), msg);
        }
        None => {
            for key in ["changed", "skipped", "invocation", "skip_reason", "ansible_loop_var", "ansible_index_var", "ansible_loop"] {
                map.remove(key);
            }
        }
    }
    result
}

fn readable(mut value: Json) -> Json {
    if let Json::Object(map) = &mut value {
        for (text, lines) in [("stdout", "stdout_lines"), ("stderr", "stderr_lines")] {
            if map.contains_key(text) && map.contains_key(lines) {
                map.insert(lines.to_owned(), Json::from("<omitted>"));
            }
        }
    }
    value
}

pub fn sorted(value: Json) -> Json {
    match value {
        Json::Object(map) => {
            let mut pairs: Vec<_> = map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            Json::Object(Map::from_iter(pairs))
        }
        Json::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}

pub fn indented(value: &Json, indentation: usize) -> String {
    let mut out = Vec::new();
    let margin = " ".repeat(indentation);
    let formatter = serde_json::ser::PrettyFormatter::with_indent(margin.as_bytes());
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    match serde::Serialize::serialize(value, &mut serializer) {
        Ok(()) => String::from_utf8_lossy(&out).into_owned(),
        Err(_) => value.to_string(),
    }
}

/// JSON on one line with Python's separators.
pub fn compact(value: &Json) -> String {
    match value {
        Json::Object(map) => {
            let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{}: {}", Json::from(key.as_str()), compact(value))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        Json::Array(items) => format!("[{}]", items.iter().map(compact).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
