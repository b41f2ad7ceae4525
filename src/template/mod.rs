//! minijinja behaving as Ansible does: lazy variables, kept types, strict undefined, filters, tests, lookups.
//!
//! minijinja parses and gives the values; evaluation is ours, in [`eval`], because Ansible's undefined values are strict and chainable at once,
//! variables are templates themselves, and operators and messages are Python's.

mod args;
#[cfg(test)]
mod cases;
mod check;
mod condition;
mod configparser;
mod encoding;
mod eval;
mod fail;
mod filters;
mod free;
mod functions;
mod lazy;
mod lookups;
mod names;
mod objects;
pub mod outside;
mod parse;
mod tests;
mod untrusted;
mod value;
mod version;

use crate::module::TemplateOptions;
use crate::source::{Diag, Node, Source};
use crate::vars::{Level, VarMap, Variable, View};
pub use filters::yaml::{document as yaml_document, plain_document as yaml};
pub use untrusted::{Untrusted, take_warnings, treat_untrusted};

use fail::{Fail, Res};
use lazy::Run;
use minijinja::Value;
use minijinja::value::{Object, ObjectRepr};
use parse::Origin;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

/// Renders. One per run, shared by all hosts. Templates are parsed once, however often they are rendered.
#[derive(Default)]
pub struct Templar {}

impl Templar {
    pub fn new() -> Templar {
        Templar {}
    }

    /// A value from a file, rendered whole: strings that are one expression keep its type, `omit` is removed from its container.
    /// The value itself may be [`omit`](is_omit).
    pub fn render(&self, node: &Node, view: &Arc<View>) -> Result<Value, Diag> {
        self.run(node, view, |run| value::finalize(&run.node(&Arc::new(node.clone()), Vec::new())))
    }

    /// A conditional (`when`, `changed_when`, `failed_when`, `until`, `that`): a string is an expression, a list is joined by and. Strictly boolean.
    pub fn condition(&self, node: &Node, view: &Arc<View>) -> Result<bool, Diag> {
        self.run(node, view, |run| condition::holds(run, node))
    }

    /// What stands in a file for a text that is exactly `{{ variable }}`. Nothing if it is anything else, or the variable is not from a file.
    pub fn written(&self, node: &Node, view: &View) -> Option<Arc<Node>> {
        condition::written(node, view)
    }

    /// Whether a text stands in a file as it is, here or in a variable that is all this names: only such a text may be evaluated in its turn.
    pub fn is_from_file(&self, node: &Node, view: &Arc<View>) -> bool {
        condition::is_from_file(&Run::new(view.clone()), node)
    }

    /// A template file with the task's variables.
    pub fn render_file(&self, source: &Arc<Source>, options: &TemplateOptions, view: &Arc<View>) -> Result<String, Diag> {
        let view = view.with(Level::Magic, Arc::new(file_vars(source, options)));
        let run = Run::new(Arc::new(view.with(Level::RoleDefaults, Arc::new(managed()))));
        let rendered = parse::file_dialect(&source.text, options)
            .and_then(|(body, from, dialect)| eval::file(&run, body, Origin::File(source.clone(), from), &dialect));
        run.close();
        rendered.map_err(|fail| fail.at(Some(source.span(0, 0))).into_diag())
    }

    /// A task's name: what cannot be rendered stays, marked, instead of failing.
    pub fn render_name(&self, node: &Node, view: &Arc<View>) -> String {
        let Some(text) = node.as_str() else { return String::new() };
        if !node.is_template() {
            return text.to_owned();
        }
        let run = Run::new(view.clone());
        let name = eval::forgiving(&run, text, Origin::Node(node.clone()));
        run.close();
        name
    }

    /// A view as a mapping that renders a variable when it is looked at: `vars`, a host of `hostvars`.
    pub fn lazy_map(view: Arc<View>) -> Value {
        lazy::view_map(view)
    }

    /// Runs the lookup of `with_NAME` with the terms that stand there; the list of its answers.
    pub fn lookup(&self, name: &str, terms: &Node, view: &Arc<View>) -> Result<Vec<Value>, Diag> {
        self.run(terms, view, |run| {
            let given = run.node(&Arc::new(terms.clone()), Vec::new());
            let terms = match value::is_list(&given) {
                true => value::raw_items(&given)?,
                false => vec![given],
            };
            // Some lookups pass over what is undefined; the others never see it.
            if !lookups::takes_undefined(name) {
                terms.iter().try_for_each(fail::check)?;
            }
            let terms = terms.into_iter().filter(|term| !is_omit(term)).collect();
            let answers = lookups::run(run, name, terms, &mut args::Args::default())?;
            answers.iter().map(value::finalize).collect()
        })
    }

    /// Whether a filter exists, by its name with or without a collection.
    pub fn has_filter(&self, name: &str) -> bool {
        filters::is_known(name)
    }

    /// Whether a test exists.
    pub fn has_test(&self, name: &str) -> bool {
        tests::is_known(name)
    }

    /// Whether a lookup exists.
    pub fn has_lookup(&self, name: &str) -> bool {
        lookups::is_known(name)
    }

    /// Syntax, filters and tests of every template in a value, without rendering: what the check before the run says.
    pub fn check(&self, node: &Node) -> Vec<Diag> {
        check::value(node)
    }

    /// The variables that a value cannot do without, each with its place; of a condition if it is one.
    pub fn needs(&self, node: &Node, is_condition: bool) -> Vec<(String, crate::source::Span)> {
        free::names(node, is_condition)
    }

    /// The variables whose bare truth decides a condition.
    pub fn truths(&self, condition: &Node) -> Vec<String> {
        free::truths(condition)
    }

    /// The same for a bare expression (`when`).
    pub fn check_condition(&self, node: &Node) -> Vec<Diag> {
        check::condition(node)
    }

    fn run<T>(&self, node: &Node, view: &Arc<View>, work: impl FnOnce(&Arc<Run>) -> Res<T>) -> Result<T, Diag> {
        let run = Run::new(view.clone());
        let result = work(&run);
        run.close();
        result.map_err(|fail: Box<Fail>| fail.at(Some(node.span.clone())).into_diag())
    }
}

/// What stands for itself in files that say that they are managed, unless the variable is set.
fn managed() -> VarMap {
    VarMap::from([("ansible_managed".to_owned(), Variable::Data(Value::from("Ansible managed")))])
}

/// What Ansible tells a template of itself.
fn file_vars(source: &Arc<Source>, options: &TemplateOptions) -> VarMap {
    let path = std::path::Path::new(&source.name);
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let meta = std::fs::metadata(path).ok();
    let modified = meta.as_ref().and_then(|meta| meta.modified().ok()).and_then(|time| jiff::Timestamp::try_from(time).ok());
    let stamp = |time: jiff::Timestamp| Value::from(time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::env::var("HOSTNAME")).unwrap_or_default();
    let owner = meta.map(|meta| {
        use std::os::unix::fs::MetadataExt;
        name_of(std::path::Path::new("/etc/passwd"), meta.uid()).unwrap_or_else(|| meta.uid().to_string())
    });
    let all = [
        ("template_host", Value::from(host.trim())),
        ("template_path", Value::from(source.name.as_str())),
        ("template_fullpath", Value::from(full.display().to_string())),
        ("template_destpath", Value::from(options.dest.as_str())),
        ("template_uid", owner.map_or(Value::from(()), Value::from)),
        ("template_mtime", modified.map_or(Value::from(()), stamp)),
        ("template_run_date", stamp(jiff::Timestamp::now())),
    ];
    all.into_iter().map(|(name, value)| (name.to_owned(), Variable::Data(value))).collect()
}

/// The name of a user or group by its number, as the controller's file of them has it.
fn name_of(file: &std::path::Path, id: u32) -> Option<String> {
    let all = std::fs::read_to_string(file).unwrap_or_default();
    let named =
        all.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|entry| entry.get(2).is_some_and(|own| *own == id.to_string()));
    named.map(|entry| entry[0].to_owned())
}

/// A value as Python's `str` has it.
pub fn python_text(value: &Value) -> String {
    value::text(value).unwrap_or_else(|_| value.to_string())
}

/// The name of a value's type in Python, which messages have.
pub fn type_name(value: &Value) -> &'static str {
    value::type_name(value)
}

/// The value of `omit`.
pub fn omit() -> Value {
    static OMIT: LazyLock<Value> = LazyLock::new(|| Value::from_object(Omit));
    OMIT.clone()
}

pub fn is_omit(value: &Value) -> bool {
    value.downcast_object_ref::<Omit>().is_some()
}

/// Where `lookup('file', ...)` and its kin search: the variable `ansible_search_path`, folders from the nearest on.
pub fn search_path(view: &Arc<View>) -> Vec<PathBuf> {
    lookups::files::search_path(view)
}

#[derive(Debug)]
struct Omit;

impl Object for Omit {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}
