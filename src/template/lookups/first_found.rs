//! The lookup `first_found`.

use super::Lookup;
use super::files::find_file;
use crate::template::args::Args;
use crate::template::fail::{Fail, Res, check, is_undefined};
use crate::template::lazy::Run;
use crate::template::value::{self, is_list, is_map, raw_items, text, truth};
use minijinja::Value;
use std::path::Path;
use std::sync::Arc;

pub(super) const TABLE: &[(&str, Lookup)] = &[("first_found", first_found)];

/// The first of several files that exists. Terms are names, or mappings of `files`, `paths` and `skip`.
fn first_found(run: &Arc<Run>, terms: Vec<Value>, options: &mut Args) -> Res<Vec<Value>> {
    // The task that asks says which folder is meant: `include_vars`, `template`, or any other.
    let action = run.view.action.as_deref().unwrap_or_default();
    let kind =
        [("template", "templates"), ("var", "vars")].into_iter().find(|(word, _)| action.contains(word)).map_or("files", |(_, kind)| kind);
    let split = |value: &Value, ends: &[char]| -> Res<Vec<String>> {
        if is_undefined(value) {
            return Ok(Vec::new());
        }
        let all = if is_list(value) { raw_items(value)? } else { vec![value.clone()] };
        let mut names = Vec::new();
        for one in all.into_iter().filter(|one| !is_undefined(one)) {
            names.extend(text(&one)?.split(ends).map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned));
        }
        Ok(names)
    };
    let mut skip = options.named_flag("skip", false)?;
    let (own_files, own_paths) = (options.named("files"), options.named("paths"));
    own_files.iter().chain(&own_paths).try_for_each(check)?;
    let mut wanted: Vec<String> = Vec::new();
    let mut add = |files: &[String], paths: &[String]| {
        if paths.is_empty() {
            wanted.extend_from_slice(files);
        }
        for path in paths {
            wanted.extend(files.iter().map(|file| Path::new(path).join(file).display().to_string()));
        }
    };
    let own_paths = own_paths.map(|paths| split(&paths, &[',', ':', ';'])).transpose()?.unwrap_or_default();
    let own_files = own_files.map(|files| split(&files, &[',', ';'])).transpose()?.unwrap_or_default();
    let mut todo = terms;
    todo.reverse();
    while let Some(term) = todo.pop() {
        if is_map(&term) {
            let files = value::get(&term, "files").map(|files| split(&files, &[',', ';'])).transpose()?.unwrap_or_default();
            let paths = value::get(&term, "paths").map(|paths| split(&paths, &[',', ':', ';'])).transpose()?.unwrap_or_default();
            if let Some(flag) = value::get(&term, "skip") {
                skip = truth(&flag)?;
            }
            // Paths without files are files themselves.
            if files.is_empty() { add(&paths, &[]) } else { add(&files, &paths) }
        } else if is_list(&term) {
            todo.extend(raw_items(&term)?.into_iter().rev());
        } else if is_undefined(&term) {
            // A name with something undefined in it is no name.
        } else if let Some(name) = term.as_str() {
            add(&[name.to_owned()], &own_paths);
        } else {
            check(&term)?;
            return Err(Fail::error(format!(
                "Invalid term supplied. A string, dict or list is required, not '{}').",
                value::type_name(&term)
            )));
        }
    }
    if !own_files.is_empty() {
        add(&own_files, &own_paths);
    }
    match wanted.iter().find_map(|name| find_file(&run.view, name, &[kind])) {
        Some(path) => Ok(vec![Value::from(path.display().to_string())]),
        None if skip => Ok(Vec::new()),
        None => Err(Fail::error("No file was found when using first_found.").hint(format!("looked for {}", wanted.join(", ")))),
    }
}
