//! What an inventory holds, for those who show it.

use super::Inventory;
use crate::vars::{VarMap, Variable};
use indexmap::IndexMap;
use std::sync::Arc;

/// A group as it was described.
pub struct ShownGroup {
    pub children: Vec<String>,
    /// Those that were put into it directly.
    pub hosts: Vec<Arc<str>>,
    /// Its own variables, those beside the inventory and beside the playbook among them.
    pub vars: VarMap,
}

impl Inventory {
    pub fn group(&self, name: &str) -> Option<ShownGroup> {
        let group = self.groups.get(name)?;
        let mut vars = merged([&group.vars, &group.files.inventory, &group.files.playbook]);
        if group.priority != 1 {
            vars.insert("ansible_group_priority".to_owned(), Variable::Data(group.priority.into()));
        }
        Some(ShownGroup { children: group.children.iter().cloned().collect(), hosts: group.hosts.iter().cloned().collect(), vars })
    }

    /// What is said of a host itself, not of its groups.
    pub fn own_vars(&self, host: &str) -> VarMap {
        let Some(own) = self.hosts.get(host) else { return VarMap::new() };
        merged([&own.vars, &own.files.inventory, &own.files.playbook])
    }
}

fn merged<'a>(maps: impl IntoIterator<Item = &'a Arc<VarMap>>) -> VarMap {
    maps.into_iter().flat_map(|map| map.iter()).map(|(name, value)| (name.clone(), value.clone())).collect::<IndexMap<_, _>>()
}
