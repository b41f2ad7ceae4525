//! The graph: groups, their children and hosts, and in which order a host's groups are merged.

use super::Inventory;
use crate::source::Diag;
use crate::vars::VarMap;
use indexmap::IndexSet;
use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Clone)]
pub struct Group {
    /// Those that were put into it directly.
    pub hosts: IndexSet<Arc<str>>,
    pub children: IndexSet<String>,
    pub vars: Arc<VarMap>,
    pub files: Files,
    pub priority: i64,
    /// The longest way down from `all`.
    depth: usize,
}

impl Default for Group {
    fn default() -> Group {
        Group { hosts: IndexSet::new(), children: IndexSet::new(), vars: Arc::default(), files: Files::default(), priority: 1, depth: 0 }
    }
}

#[derive(Clone, Default)]
pub struct Host {
    pub vars: Arc<VarMap>,
    pub files: Files,
    /// Where it was first named.
    pub file: Option<PathBuf>,
    /// All its groups, parents included, in the order in which their variables are merged.
    groups: Vec<String>,
}

/// What group_vars or host_vars say, beside the inventory and beside the playbook.
#[derive(Clone, Default)]
pub struct Files {
    pub inventory: Arc<VarMap>,
    pub playbook: Arc<VarMap>,
    /// A file of these that cannot be decrypted. That is an error for who needs it, and for nobody else.
    pub locked: Option<Arc<Diag>>,
}

impl Inventory {
    /// True if the group is new.
    pub(super) fn ensure_group(&mut self, name: &str) -> bool {
        let is_new = !self.groups.contains_key(name);
        if is_new {
            self.groups.insert(name.to_owned(), Group::default());
        }
        is_new
    }

    /// True if the host is new.
    pub(super) fn ensure_host(&mut self, name: &str, file: Option<&Path>) -> bool {
        let is_new = !self.hosts.contains_key(name);
        if is_new {
            self.hosts.insert(name.into(), Host { file: file.map(Path::to_owned), ..Host::default() });
        }
        is_new
    }

    /// True if `child` was not yet a child of `parent`. The error says why it cannot be. Both exist.
    pub(super) fn add_child(&mut self, parent: &str, child: &str) -> Result<bool, String> {
        if parent == child {
            return Err(format!("the group `{child}` cannot be its own child"));
        }
        if self.descendants(child).iter().any(|below| below == parent) {
            return Err(format!("`{child}` cannot be a child of `{parent}`, which is below it already"));
        }
        Ok(self.groups[parent].children.insert(child.to_owned()))
    }

    /// The group and what is below it, level by level.
    fn descendants(&self, group: &str) -> Vec<String> {
        let mut found: IndexSet<String> = IndexSet::from([group.to_owned()]);
        let mut next = 0;
        while let Some(name) = found.get_index(next) {
            let children = self.groups.get(name.as_str()).map(|group| group.children.clone()).unwrap_or_default();
            found.extend(children);
            next += 1;
        }
        found.into_iter().collect()
    }

    /// The hosts of a group and of all below it. The implicit localhost may be put into groups, and is still not in `all`.
    pub(super) fn hosts_of_group(&self, group: &str) -> Vec<Arc<str>> {
        let below = self.descendants(group);
        let hosts: IndexSet<&Arc<str>> = below.iter().filter_map(|name| self.groups.get(name)).flat_map(|group| &group.hosts).collect();
        hosts.into_iter().filter(|host| group != "all" || self.has_host(host)).cloned().collect()
    }

    /// The groups of a host in the order in which their variables are merged: `all` first, the strongest last.
    pub(super) fn ordered_groups(&self, host: &str) -> Vec<String> {
        let host = self.actual(host);
        match self.hosts.get(host) {
            Some(host) => host.groups.clone(),
            None => self.find_groups(host),
        }
    }

    fn find_groups(&self, host: &str) -> Vec<String> {
        let direct = self.groups.iter().filter(|(_, group)| group.hosts.contains(host)).map(|(name, _)| name.as_str());
        let mut names: BTreeSet<&str> = direct.chain(["all"]).collect();
        let mut changed = true;
        while changed {
            changed = false;
            for (name, group) in &self.groups {
                if !names.contains(name.as_str()) && group.children.iter().any(|child| names.contains(child.as_str())) {
                    changed = names.insert(name);
                }
            }
        }
        let mut names: Vec<_> = names.into_iter().map(str::to_owned).collect();
        // Stable: of the same depth and priority, by name.
        names.sort_by_key(|name| (self.groups[name].depth, self.groups[name].priority));
        names
    }

    /// Keeps the promises after a change: every group is below `all`, and `ungrouped` has the hosts that are nowhere else.
    pub(super) fn reconcile(&mut self) {
        let with_parents: HashSet<String> = self.groups.values().flat_map(|group| group.children.iter().cloned()).collect();
        let orphans: Vec<_> = self.groups.keys().filter(|name| *name != "all" && !with_parents.contains(*name)).cloned().collect();
        self.groups["all"].children.extend(orphans);

        for group in self.groups.values_mut() {
            group.depth = 0;
        }
        // There are no cycles, so this ends.
        let mut changed = true;
        while changed {
            changed = false;
            for at in 0..self.groups.len() {
                let (depth, children) = (self.groups[at].depth + 1, self.groups[at].children.clone());
                for child in children {
                    let child = &mut self.groups[child.as_str()];
                    changed |= child.depth < depth;
                    child.depth = child.depth.max(depth);
                }
            }
        }

        let hosts: Vec<_> = self.hosts.keys().cloned().collect();
        for host in hosts {
            self.settle(&host);
        }
    }

    /// The same for one host, when no group is new and none has new children.
    pub(super) fn settle(&mut self, host: &str) {
        if !self.has_host(host) {
            return;
        }
        let is_grouped = |(name, group): (&String, &Group)| name != "all" && name != "ungrouped" && group.hosts.contains(host);
        if self.groups.iter().any(is_grouped) {
            self.groups["ungrouped"].hosts.shift_remove(host);
        } else {
            self.groups["ungrouped"].hosts.insert(host.into());
        }
        self.hosts[host].groups = self.find_groups(host);
    }
}
