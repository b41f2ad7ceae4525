//! Lookups of the controller's files, and where they are searched.

use super::Lookup;
use crate::module::TemplateOptions;
use crate::secrets;
use crate::source::{ReadError, Source, read_bytes};
use crate::template::args::Args;
use crate::template::encoding::Encoding;
use crate::template::eval;
use crate::template::fail::{Fail, Res};
use crate::template::lazy::Run;
use crate::template::parse::{Origin, file_dialect};
use crate::template::value::{self, items, pairs, text};
use crate::vars::{Level, VarMap, Variable, View};
use minijinja::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) const TABLE: &[(&str, Lookup)] = &[
    ("file", |run, terms, options| {
        let right = options.named_flag("rstrip", true)?;
        let left = options.named_flag("lstrip", false)?;
        let mut contents = Vec::new();
        for term in terms {
            let name = text(&term)?;
            let path = find_file(&run.view, &name, &["files"])
                .ok_or_else(|| not_found(&run.view, format!("Unable to access the file '{name}': File not found.")))?;
            let source = Source::read(&path).map_err(|err| Fail::error(with_cause(&err)))?;
            keep_secret(&source);
            let content = if right { source.text.trim_end() } else { source.text.as_str() };
            contents.push(Value::from(if left { content.trim_start() } else { content }));
        }
        Ok(contents)
    }),
    ("unvault", |run, terms, _| {
        let mut contents = Vec::new();
        for term in terms {
            let name = text(&term)?;
            let path = find_file(&run.view, &name, &["files"])
                .ok_or_else(|| not_found(&run.view, format!("Unable to find file matching \"{name}\".")))?;
            let source = Source::read(&path).map_err(|err| Fail::error(with_cause(&err)))?;
            keep_secret(&source);
            contents.push(Value::from(source.text.as_str()));
        }
        Ok(contents)
    }),
    ("template", template),
    ("fileglob", |run, terms, _| {
        let mut all = Vec::new();
        for term in terms {
            let pattern = text(&term)?;
            for candidate in candidates(&run.view, &pattern, &["files"]) {
                let found = glob(&candidate.to_string_lossy())?;
                if !found.is_empty() {
                    all.extend(found.into_iter().map(Value::from));
                    break;
                }
            }
        }
        Ok(all)
    }),
];

/// The content of an encrypted file is a secret.
fn keep_secret(source: &Source) {
    if source.is_secret {
        secrets::register(&source.text);
    }
}

/// Error and cause in one line.
fn with_cause(err: &ReadError) -> String {
    match std::error::Error::source(err) {
        Some(cause) => format!("{err}: {cause}"),
        None => err.to_string(),
    }
}

/// The folders of `ansible_search_path`, then the playbook's.
pub(in crate::template) fn search_path(view: &Arc<View>) -> Vec<PathBuf> {
    let run = Run::new(view.clone());
    let listed = run.variable("ansible_search_path").and_then(|path| items(&path).ok()).unwrap_or_default();
    let mut path: Vec<PathBuf> = listed.iter().filter_map(|dir| dir.as_str().map(PathBuf::from)).collect();
    if let Some(dir) = run.variable("playbook_dir").and_then(|dir| dir.as_str().map(PathBuf::from)) {
        path.push(dir);
    }
    run.close();
    if path.is_empty() {
        path.push(PathBuf::from("."));
    }
    path
}

pub(super) fn candidates(view: &Arc<View>, name: &str, kinds: &[&str]) -> Vec<PathBuf> {
    let name = expand_home(name);
    if name.is_absolute() {
        return vec![name];
    }
    search_path(view)
        .iter()
        .flat_map(|dir| kinds.iter().map(|kind| dir.join(kind).join(&name)).chain([dir.join(&name)]).collect::<Vec<_>>())
        .collect()
}

fn expand_home(name: &str) -> PathBuf {
    match (name.strip_prefix("~/"), std::env::var("HOME")) {
        (Some(rest), Ok(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(name),
    }
}

pub(super) fn find_file(view: &Arc<View>, name: &str, kinds: &[&str]) -> Option<PathBuf> {
    candidates(view, name, kinds).into_iter().find(|path| path.exists())
}

/// A file's text in an encoding of Python's names.
pub(super) fn read_text(path: &Path, encoding: &str) -> Res<String> {
    let (bytes, is_secret) = read_bytes(path).map_err(|err| Fail::error(with_cause(&err)))?;
    let decoded = Encoding::find(encoding)?.decode(bytes.to_vec());
    let text = decoded.ok_or_else(|| Fail::error(format!("`{}` is not text in the encoding {encoding}", path.display())))?;
    if is_secret {
        secrets::register(&text);
    }
    Ok(text)
}

fn not_found(view: &Arc<View>, words: String) -> Box<Fail> {
    let searched: Vec<String> = search_path(view).iter().map(|dir| dir.display().to_string()).collect();
    Fail::error(words).hint(format!("searched in {}, and in `files` and `templates` there", searched.join(", ")))
}

/// A path of the controller: relative ones stand in the playbook's folder.
pub(super) fn on_controller(run: &Arc<Run>, path: &str) -> PathBuf {
    let path = expand_home(path);
    match run.variable("playbook_dir").and_then(|dir| dir.as_str().map(PathBuf::from)) {
        Some(dir) if path.is_relative() => dir.join(path),
        _ => path,
    }
}

/// A template that another one includes or imports: beside it, or on the search path.
pub(in crate::template) fn template_source(view: &Arc<View>, name: &str, beside: Option<&Path>, whence: &str) -> Res<Arc<Source>> {
    let near = beside.map(|dir| dir.join(name)).filter(|path| path.is_file());
    let path = near.or_else(|| find_file(view, name, &["templates"]));
    let path = path.ok_or_else(|| not_found(view, format!("the template file {name} could not be found{whence}")))?;
    Source::read(&path).map_err(|err| Fail::error(with_cause(&err)))
}

fn template(run: &Arc<Run>, terms: Vec<Value>, options: &mut Args) -> Res<Vec<Value>> {
    let maybe = |options: &mut Args, name: &str| options.named(name).map(|value| text(&value)).transpose();
    let style = TemplateOptions {
        trim_blocks: options.named_flag("trim_blocks", true)?,
        lstrip_blocks: options.named_flag("lstrip_blocks", false)?,
        variable_start: maybe(options, "variable_start_string")?,
        variable_end: maybe(options, "variable_end_string")?,
        block_start: None,
        block_end: None,
        comment_start: maybe(options, "comment_start_string")?,
        comment_end: maybe(options, "comment_end_string")?,
        dest: String::new(),
    };
    // Texts are never taken for data any more, so there is nothing to convert.
    for old in ["convert_data", "jinja2_native"] {
        options.named_flag(old, true)?;
    }
    let extra: VarMap = match options.named("template_vars") {
        Some(vars) => pairs(&vars)?.into_iter().map(|(name, value)| Ok((text(&name)?, Variable::Data(value)))).collect::<Res<_>>()?,
        None => VarMap::new(),
    };
    let mut rendered = Vec::new();
    for term in terms {
        let name = text(&term)?;
        let source = template_source(&run.view, &name, None, " for the lookup")?;
        let (body, from, dialect) = file_dialect(&source.text, &style)?;
        let mut vars = crate::template::file_vars(&source, &style);
        vars.extend(extra.clone());
        let managed = Arc::new(crate::template::managed());
        let inner = Run::new(Arc::new(run.view.with(Level::Magic, Arc::new(vars)).with(Level::RoleDefaults, managed)));
        let result = eval::file_value(&inner, body, Origin::File(source.clone(), from), &dialect);
        let value = result.and_then(|value| value::finalize(&value));
        inner.close();
        let value = value?;
        if source.is_secret {
            secrets::register(&text(&value)?);
        }
        rendered.push(value);
    }
    Ok(rendered)
}

/// The files, not folders, that a shell pattern names, in order.
pub(in crate::template) fn glob(pattern: &str) -> Res<Vec<String>> {
    let path = Path::new(pattern);
    let (Some(name), Some(dir)) = (path.file_name().and_then(|name| name.to_str()), path.parent()) else { return Ok(Vec::new()) };
    let matcher = globset::GlobBuilder::new(name)
        .literal_separator(true)
        .build()
        .map_err(|err| Fail::error(format!("bad pattern '{pattern}': {err}")))?
        .compile_matcher();
    let dir_to_read = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let Ok(entries) = std::fs::read_dir(dir_to_read) else { return Ok(Vec::new()) };
    let mut found: Vec<String> = entries
        .flatten()
        .filter(|entry| {
            let entry_name = entry.file_name();
            let hidden = entry_name.to_string_lossy().starts_with('.') && !name.starts_with('.');
            !hidden && matcher.is_match(&entry_name) && entry.path().is_file()
        })
        .map(|entry| dir.join(entry.file_name()).display().to_string())
        .collect();
    found.sort();
    Ok(found)
}
