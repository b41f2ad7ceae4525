//! The lookup `ini`: values of INI and properties files.

use super::Lookup;
use super::files::{find_file, read_text};
use super::inline::{self, boolean, named_text};
use crate::python::regex::{Flags, Pattern};
use crate::template::args::Args;
use crate::template::configparser::{Ini, Rules};
use crate::template::fail::{Fail, Res};
use crate::template::lazy::Run;
use crate::template::value::{list, text};
use minijinja::Value;
use std::sync::Arc;

pub(super) const TABLE: &[(&str, Lookup)] = &[("ini", ini)];

const OPTIONS: &[&str] =
    &["type", "file", "section", "re", "encoding", "default", "case_sensitive", "allow_no_value", "allow_none", "interpolation"];

#[derive(Clone)]
struct Wanted {
    properties: bool,
    file: String,
    section: String,
    regex: bool,
    encoding: String,
    default: Option<Value>,
    rules: Rules,
}

impl Wanted {
    fn set(&mut self, name: &str, value: Value) -> Res<()> {
        match name {
            "type" => {
                self.properties = match text(&value)?.as_str() {
                    "ini" => false,
                    "properties" => true,
                    other => return Err(Fail::error(format!("`type` cannot be '{other}': ini or properties"))),
                }
            }
            "file" => self.file = text(&value)?,
            "section" => self.section = text(&value)?,
            "re" => self.regex = boolean(&value)?,
            "encoding" => self.encoding = text(&value)?,
            "default" => self.default = Some(value),
            "case_sensitive" => self.rules.case_sensitive = boolean(&value)?,
            "interpolation" => self.rules.interpolation = boolean(&value)?,
            _ => self.rules.allow_no_value = boolean(&value)?,
        }
        Ok(())
    }
}

fn ini(run: &Arc<Run>, terms: Vec<Value>, options: &mut Args) -> Res<Vec<Value>> {
    let mut wanted = Wanted {
        properties: false,
        file: named_text(options, "file")?.unwrap_or_else(|| "ansible.ini".to_owned()),
        section: "global".to_owned(),
        regex: false,
        encoding: "utf-8".to_owned(),
        default: None,
        rules: Rules { case_sensitive: false, allow_no_value: false, interpolation: true },
    };
    for name in OPTIONS {
        if let Some(value) = options.named(name) {
            wanted.set(name, value)?;
        }
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
            if inline.rest.is_empty() {
                return Err(Fail::error("No key to look up was provided as first term within string inline options: ".to_owned() + &term));
            }
            inline.rest
        } else {
            term
        };
        found.extend(look(run, &wanted, &key)?);
    }
    Ok(found)
}

fn look(run: &Arc<Run>, wanted: &Wanted, key: &str) -> Res<Vec<Value>> {
    let path =
        find_file(&run.view, &wanted.file, &["files"]).ok_or_else(|| Fail::error(format!("could not find the file `{}`", wanted.file)))?;
    let mut content = read_text(&path, &wanted.encoding)?;
    // Properties are an INI file with a single section without a header.
    let section = if wanted.properties { "java_properties" } else { wanted.section.as_str() };
    if wanted.properties {
        content = format!("[{section}]\n{content}");
    }
    let parsed = Ini::parse(&content, &wanted.file, wanted.rules);
    let ini = parsed.map_err(|fail| match fail.words() {
        words if words.ends_with("already exists") => Fail::error(format!("Duplicate option in '{}': {words}", wanted.file)),
        words => Fail::error(words),
    })?;
    let Some(names) = ini.options(section) else {
        return Err(Fail::error(format!("No section '{section}' in INI file '{}'.", wanted.file)));
    };
    let shown = |value: Option<String>| value.map_or_else(|| list([]), Value::from);
    if wanted.regex {
        let pattern = Pattern::at_start(key, Flags::default())?;
        let mut all = Vec::new();
        for name in names {
            if pattern.is_found(name)?
                && let Some(value) = ini.get(section, name)?
            {
                all.push(shown(value));
            }
        }
        return Ok(all);
    }
    Ok(match (ini.get(section, key)?, &wanted.default) {
        (Some(Some(value)), _) => vec![Value::from(value)],
        (Some(None), _) => Vec::new(),
        (None, Some(default)) => vec![default.clone()],
        (None, None) => Vec::new(),
    })
}
