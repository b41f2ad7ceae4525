//! One host's variables in order of precedence. `engine` builds a [`View`] per host and task; `template` looks names up in it.

mod merge;

pub use merge::{combine, combine_merging, merge_mappings, node_of};

use crate::secrets;
use crate::source::{Node, Span};
use indexmap::IndexMap;
use minijinja::Value;
use std::sync::{Arc, OnceLock};

/// A variable as it stands: data from a file, which may hold templates and is templated when it is used, or finished data, which never is
/// (module results, facts, `set_fact`): rendering that again would be code injection.
#[derive(Clone, Debug)]
pub enum Variable {
    Node(Arc<Node>),
    Data(Value),
}

impl Variable {
    /// A module's result, a fact, a registered value: data as JSON has it.
    pub fn data(json: &serde_json::Value) -> Variable {
        Variable::Data(value_of(json))
    }

    /// Where it was written, if in a file.
    pub fn span(&self) -> Option<&Span> {
        match self {
            Variable::Node(node) => Some(&node.span),
            Variable::Data(_) => None,
        }
    }
}

impl From<Node> for Variable {
    fn from(node: Node) -> Variable {
        Variable::Node(Arc::new(node))
    }
}

/// JSON as a value of the template engine, whose kinds are a superset of JSON's.
pub fn value_of(json: &serde_json::Value) -> Value {
    serde::Deserialize::deserialize(json).unwrap_or_else(|_: serde_json::Error| Value::from(json.to_string()))
}

pub type VarMap = IndexMap<String, Variable>;

/// The levels of precedence, lowest first. The numbers in the comments are those of Ansible's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// 2
    RoleDefaults,
    /// The running task's own role's defaults: over those of other roles.
    OwnRoleDefaults,
    /// 3, 4, 5, 6, 7: everything that is said of groups, merged in this order.
    InventoryGroups,
    InventoryGroupVarsAll,
    PlaybookGroupVarsAll,
    InventoryGroupVars,
    PlaybookGroupVars,
    /// 8, 9, 10
    InventoryHost,
    InventoryHostVars,
    PlaybookHostVars,
    /// 11
    Facts,
    /// 12 to 14
    Play,
    VarsPrompt,
    VarsFiles,
    /// 15
    RoleVars,
    OwnRoleVars,
    /// 16, 17: block vars, outermost first, then the task's
    BlockAndTask,
    /// 18
    IncludeVars,
    /// 19
    SetFactsAndRegistered,
    /// 20
    RoleParams,
    /// 21
    IncludeParams,
    /// `item` and the like: beats everything but extra vars, as in Ansible.
    Loop,
    /// 22
    Extra,
    /// `groups`, `playbook_dir`, `omit`: cannot be overridden.
    Magic,
}

/// All that one host sees at one task: maps by level, cheap to clone.
#[derive(Clone, Default)]
pub struct View {
    /// Ascending by level; of one level, the later beats the earlier.
    layers: Vec<(Level, Arc<VarMap>)>,
    /// The module of the running task, as the task spells it: some lookups look for files by it.
    pub action: Option<Arc<str>>,
    /// Where mappings are merged: the variables of more than one layer. Made when it is first asked for.
    shared: OnceLock<Arc<VarMap>>,
}

/// Variables that hold passwords. They are secrets before anybody logs in with them.
const PASSWORDS: [&str; 7] = [
    "ansible_password",
    "ansible_ssh_pass",
    "ansible_ssh_password",
    "ansible_become_password",
    "ansible_become_pass",
    "ansible_sudo_pass",
    "ansible_su_pass",
];

/// Makes secrets of the passwords among variables. One that is a template is learnt when it is used.
fn keep_passwords(vars: &VarMap) {
    for value in PASSWORDS.iter().filter_map(|name| vars.get(*name)) {
        match value {
            Variable::Node(node) => node.as_str().filter(|text| !text.contains("{{")).into_iter().for_each(secrets::register),
            Variable::Data(value) => value.as_str().into_iter().for_each(secrets::register),
        }
    }
}

impl View {
    /// Adds a map; it beats those of its level that are there already.
    pub fn add(&mut self, level: Level, vars: Arc<VarMap>) {
        if vars.is_empty() {
            return;
        }
        keep_passwords(&vars);
        let at = self.layers.partition_point(|(other, _)| *other <= level);
        self.layers.insert(at, (level, vars));
        self.shared = OnceLock::new();
    }

    /// This view with one map more.
    pub fn with(&self, level: Level, vars: Arc<VarMap>) -> View {
        let mut view = self.clone();
        view.add(level, vars);
        view
    }

    /// The variable that wins.
    pub fn get(&self, name: &str) -> Option<&Variable> {
        let shared = merge::merges().then(|| self.shared.get_or_init(|| Arc::new(merge::shared(&self.layers))));
        shared.and_then(|shared| shared.get(name)).or_else(|| self.layers.iter().rev().find_map(|(_, vars)| vars.get(name)))
    }

    /// Every name, once.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let mut seen = std::collections::HashSet::new();
        self.layers.iter().flat_map(|(_, vars)| vars.keys()).map(String::as_str).filter(move |name| seen.insert(*name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: i64) -> Arc<VarMap> {
        Arc::new(VarMap::from([("x".to_owned(), Variable::Data(value.into()))]))
    }

    #[test]
    fn higher_levels_and_later_maps_win() {
        let mut view = View::default();
        view.add(Level::Extra, map(22));
        view.add(Level::RoleDefaults, map(2));
        assert!(matches!(view.get("x"), Some(Variable::Data(value)) if *value == Value::from(22)));
        let mut view = View::default();
        view.add(Level::Play, map(1));
        view.add(Level::Facts, map(3));
        view.add(Level::Play, map(2));
        assert!(matches!(view.get("x"), Some(Variable::Data(value)) if *value == Value::from(2)));
        assert_eq!(view.names().collect::<Vec<_>>(), ["x"]);
    }
}
