//! Who: hosts and groups with their variables, from INI, YAML, folders and comma lists; and host patterns.

use crate::source::Diag;
use crate::vars::{Level, VarMap};
use std::path::Path;
use std::sync::Arc;

/// All hosts and groups. `all` and `ungrouped` always exist.
#[derive(Clone, Default)]
pub struct Inventory {}

impl Inventory {
    /// Reads sources in order (`-i` may be given several times): a YAML or INI file, a folder of such, or `host,host,`.
    /// Findings that are worth a warning are added to `warnings`.
    pub fn load(_sources: &[String], _warnings: &mut Vec<Diag>) -> Result<Inventory, anyhow::Error> {
        todo!("helper source")
    }

    /// Reads `group_vars` and `host_vars` beside the playbook (levels 5, 7, 10), once per folder.
    pub fn add_playbook_dir(&mut self, _dir: &Path) -> Result<(), anyhow::Error> {
        todo!()
    }

    /// Every host, in the order of the inventory.
    pub fn hosts(&self) -> Vec<Arc<str>> {
        todo!()
    }

    pub fn has_host(&self, _host: &str) -> bool {
        todo!()
    }

    /// Hosts of a pattern (`a:&b:!c`, globs, `~regex`, `g[0]`), in the order that Ansible would give. `localhost` is implicit.
    /// A part that matches nothing is no error: it is named in `unmatched`.
    pub fn hosts_matching(&self, _pattern: &str, _unmatched: &mut Vec<String>) -> Result<Vec<Arc<str>>, PatternError> {
        todo!()
    }

    /// `group_names`: sorted, without `all`.
    pub fn groups_of(&self, _host: &str) -> Vec<String> {
        todo!()
    }

    /// Each group with its hosts, those of child groups included: `groups`. `all` and `ungrouped` are among them.
    pub fn groups(&self) -> Vec<(String, Vec<Arc<str>>)> {
        todo!()
    }

    /// A host's variables from the inventory and from group_vars and host_vars, by level (already merged over its groups).
    /// For a host that is not in the inventory (`delegate_to` somewhere else, the implicit localhost): those of `all`.
    pub fn layers(&self, _host: &str) -> Vec<(Level, Arc<VarMap>)> {
        todo!()
    }

    /// `add_host`: true if that changed anything.
    pub fn add_host(&mut self, _host: &str, _groups: &[String], _vars: VarMap) -> bool {
        todo!()
    }

    /// `group_by`: puts a host into a group, which is made a child of `parents`. True if that changed anything.
    pub fn add_to_group(&mut self, _host: &str, _group: &str, _parents: &[String]) -> bool {
        todo!()
    }

    /// The folder of the first inventory file (`inventory_dir`) and that file (`inventory_file`) for a host.
    pub fn file_of(&self, _host: &str) -> Option<std::path::PathBuf> {
        todo!()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(pub String);
