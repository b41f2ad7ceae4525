//! The lookup `csvfile`: a column of the row that begins with a word.

use super::Lookup;
use super::files::{find_file, read_text};
use super::inline::{self, integer};
use crate::template::args::Args;
use crate::template::fail::{Fail, Res};
use crate::template::lazy::Run;
use crate::template::value::{is_list, items, text};
use minijinja::Value;
use std::sync::Arc;

pub(super) const TABLE: &[(&str, Lookup)] = &[("csvfile", csvfile)];

const OPTIONS: &[&str] = &["file", "encoding", "default", "delimiter", "col", "keycol"];

#[derive(Clone)]
struct Wanted {
    file: String,
    encoding: String,
    default: Option<Value>,
    delimiter: String,
    column: i128,
    key_column: i128,
}

impl Wanted {
    fn set(&mut self, name: &str, value: Value) -> Res<()> {
        match name {
            "file" => self.file = text(&value)?,
            "encoding" => self.encoding = text(&value)?,
            "default" => self.default = Some(value),
            "delimiter" => self.delimiter = inline::unescaped(&text(&value)?),
            "col" => self.column = integer(&value, "col", "csvfile")?,
            _ => self.key_column = integer(&value, "keycol", "csvfile")?,
        }
        Ok(())
    }
}

fn csvfile(run: &Arc<Run>, terms: Vec<Value>, options: &mut Args) -> Res<Vec<Value>> {
    let mut wanted = Wanted {
        file: "ansible.csv".to_owned(),
        encoding: "utf-8".to_owned(),
        default: None,
        delimiter: "TAB".to_owned(),
        column: 1,
        key_column: 0,
    };
    for name in OPTIONS {
        if let Some(value) = options.named(name) {
            wanted.set(name, value)?;
        }
    }
    let missing = || Fail::error("Search key is required but was not found");
    if terms.is_empty() {
        return Err(missing());
    }
    let mut found = Vec::new();
    for term in terms {
        let mut wanted = wanted.clone();
        let term = text(&term)?;
        let key = if term.contains('=') {
            let inline = inline::split(&term, OPTIONS)?;
            for (name, value) in inline.options {
                wanted.set(&name, Value::from(value))?;
            }
            inline.rest
        } else {
            term
        };
        if key.is_empty() {
            return Err(missing());
        }
        match (look(run, &wanted, &key)?, &wanted.default) {
            (Some(value), _) => found.push(Value::from(value)),
            (None, Some(default)) if is_list(default) => found.extend(items(default)?),
            (None, Some(default)) => found.push(default.clone()),
            (None, None) => {}
        }
    }
    Ok(found)
}

fn look(run: &Arc<Run>, wanted: &Wanted, key: &str) -> Res<Option<String>> {
    let failed = |words: String| Fail::error(format!("csvfile: {words}"));
    let path = find_file(&run.view, &wanted.file, &["files"])
        .ok_or_else(|| failed(format!("[Errno 2] No such file or directory: '{}'", wanted.file)))?;
    let content = read_text(&path, &wanted.encoding)?;
    let delimiter = if wanted.delimiter == "TAB" { "\t" } else { wanted.delimiter.as_str() };
    let [delimiter] = delimiter.as_bytes() else { return Err(failed("\"delimiter\" must be a 1-character string".to_owned())) };
    let column = |row: &csv::StringRecord, number: i128| {
        let at = if number < 0 { number + row.len() as i128 } else { number };
        usize::try_from(at).ok().and_then(|at| row.get(at)).map(str::to_owned)
    };
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(*delimiter).from_reader(content.as_bytes());
    for row in reader.records() {
        let row = row.map_err(|err| failed(err.to_string()))?;
        if column(&row, wanted.key_column).as_deref() == Some(key) {
            return column(&row, wanted.column).map(Some).ok_or_else(|| failed("list index out of range".to_owned()));
        }
    }
    Ok(None)
}
