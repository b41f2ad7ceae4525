//! minijinja behaving as Ansible does: lazy variables, kept types, strict undefined, filters, tests, lookups.

use crate::module::TemplateOptions;
use crate::source::{Diag, Node, Source};
use crate::vars::View;
use minijinja::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// Renders. One per run, shared by all hosts: holds the environment with its filters, tests and lookups, and compiled templates.
pub struct Templar {}

impl Templar {
    pub fn new() -> Templar {
        todo!("helper template")
    }

    /// A value from a file, rendered whole: strings that are one expression keep its type, `omit` is removed from its container.
    /// The value itself may be [`omit`](is_omit).
    pub fn render(&self, _node: &Node, _view: &Arc<View>) -> Result<Value, Diag> {
        todo!()
    }

    /// A conditional (`when`, `changed_when`, `failed_when`, `until`, `that`): a string is an expression, a list is joined by and. Strictly boolean.
    pub fn condition(&self, _node: &Node, _view: &Arc<View>) -> Result<bool, Diag> {
        todo!()
    }

    /// A template file with the task's variables.
    pub fn render_file(&self, _source: &Arc<Source>, _options: &TemplateOptions, _view: &Arc<View>) -> Result<String, Diag> {
        todo!()
    }

    /// A task's name: what cannot be rendered stays, marked, instead of failing.
    pub fn render_name(&self, _node: &Node, _view: &Arc<View>) -> String {
        todo!()
    }

    /// A view as a mapping that renders a variable when it is looked at: `vars`, a host of `hostvars`.
    pub fn lazy_map(_view: Arc<View>) -> Value {
        todo!()
    }

    /// Runs the lookup `name` (of `with_NAME`) with rendered terms; the list of its answers.
    pub fn lookup(&self, _name: &str, _terms: Vec<Value>, _view: &Arc<View>, _at: &Node) -> Result<Vec<Value>, Diag> {
        todo!()
    }

    pub fn has_lookup(&self, _name: &str) -> bool {
        todo!()
    }

    /// Syntax, filters and tests of every template in a value, without rendering: what the check before the run says.
    pub fn check(&self, _node: &Node) -> Vec<Diag> {
        todo!()
    }

    /// The same for a bare expression (`when`).
    pub fn check_condition(&self, _node: &Node) -> Vec<Diag> {
        todo!()
    }
}

/// The value of `omit`.
pub fn omit() -> Value {
    todo!()
}

pub fn is_omit(_value: &Value) -> bool {
    todo!()
}

/// Where `lookup('file', ...)` and its kin search: the variable `ansible_search_path`, folders from the nearest on.
pub fn search_path(_view: &Arc<View>) -> Vec<PathBuf> {
    todo!()
}
