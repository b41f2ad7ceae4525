//! Who: hosts and groups with their variables, from INI, YAML, folders, scripts and comma lists; and host patterns.

mod address;
mod constructed;
mod generator;
mod groups;
mod ini;
mod literal;
mod pattern;
mod rules;
mod script;
mod show;
mod sources;
mod toml;
mod vars_files;
mod words;
mod yaml;

use crate::source::yaml::keep_secret;
use crate::source::{Diag, Kind, Node, Source, Str};
use crate::vars::{Level, VarMap, Variable, combine};
use groups::{Files, Group, Host};
use indexmap::IndexMap;
use minijinja::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vars_files::{Beside, Folder};

pub use address::split_port;
pub use pattern::PatternError;
pub use rules::{GroupNames, Rules};
pub use show::ShownGroup;
pub use sources::PLUGINS;

/// Names that mean the controller, also where no inventory has them.
const LOCALHOST: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// All hosts and groups. `all` and `ungrouped` always exist.
#[derive(Clone)]
pub struct Inventory {
    groups: IndexMap<String, Group>,
    hosts: IndexMap<Arc<str>, Host>,
    folders: Vec<Folder>,
    /// What host_vars say of the implicit localhost.
    localhost_files: IndexMap<&'static str, Files>,
    sources: Vec<String>,
    /// Those of the sources that have been read.
    sources_read: Vec<String>,
    rules: Arc<Rules>,
    /// What is worth a word when more is to be said, with the verbosity from which on it is.
    pub remarks: Vec<(u8, String)>,
    /// Variables of INI inventories that are strings and look like booleans, with what is to be said where they are used as such.
    pub seemingly_boolean: Vec<(String, Diag)>,
    warnings: Vec<Diag>,
}

impl Default for Inventory {
    fn default() -> Inventory {
        Inventory::empty(Arc::new(Rules::default()))
    }
}

/// Whether a name means the controller, also where no inventory has it.
pub fn is_localhost(name: &str) -> bool {
    LOCALHOST.contains(&name)
}

fn is_blank(value: &Value) -> bool {
    value.as_str() == Some("")
}

impl Inventory {
    fn empty(rules: Arc<Rules>) -> Inventory {
        let mut inventory = Inventory {
            groups: IndexMap::new(),
            hosts: IndexMap::new(),
            folders: Vec::new(),
            localhost_files: LOCALHOST.iter().map(|name| (*name, Files::default())).collect(),
            sources: Vec::new(),
            sources_read: Vec::new(),
            rules,
            remarks: Vec::new(),
            seemingly_boolean: Vec::new(),
            warnings: Vec::new(),
        };
        inventory.groups.insert("all".to_owned(), Group::default());
        inventory.groups.insert("ungrouped".to_owned(), Group::default());
        inventory.reconcile();
        inventory
    }

    /// Reads sources in order (`-i` may be given several times): a YAML or INI file, a script, a folder of such, or `host,host,`.
    /// Findings that are worth a warning are added to `warnings`.
    pub fn load(sources: &[String], warnings: &mut Vec<Diag>) -> Result<Inventory, anyhow::Error> {
        Inventory::load_by(Rules::default(), sources, warnings)
    }

    /// The same, as the settings say.
    pub fn load_by(rules: Rules, sources: &[String], warnings: &mut Vec<Diag>) -> Result<Inventory, anyhow::Error> {
        let mut inventory = Inventory::empty(Arc::new(rules));
        inventory.sources = sources.to_vec();
        inventory.read_sources(warnings)?;
        Ok(inventory)
    }

    /// Reads the sources again: `refresh_inventory`. What was added during the run is not in it.
    pub fn again(&self, warnings: &mut Vec<Diag>) -> Result<Inventory, anyhow::Error> {
        let mut inventory = Inventory::empty(self.rules.clone());
        inventory.sources = self.sources.clone();
        inventory.read_sources(warnings)?;
        for folder in self.folders.iter().filter(|folder| folder.beside == Beside::Playbook) {
            warnings.extend(inventory.add_folder(folder.clone())?);
        }
        Ok(inventory)
    }

    fn read_sources(&mut self, warnings: &mut Vec<Diag>) -> Result<(), anyhow::Error> {
        let mut any = false;
        for source in self.sources.clone().iter().filter(|source| !source.is_empty()) {
            let found = sources::add(self, source, warnings);
            warnings.append(&mut self.warnings);
            any |= found?;
            self.sources_read.push(source.clone());
        }
        if !any && self.rules.unparsed_is_failed {
            anyhow::bail!("No inventory was parsed, please check your configuration and options.");
        }
        if !any && self.rules.unparsed_warning {
            warnings.push(Diag::warning("No inventory was parsed, only implicit localhost is available"));
        }
        self.reconcile();
        for name in self.groups.keys().filter(|name| self.has_host(name)) {
            warnings.push(Diag::warning(format!("Found both group and host with same name: {name}")));
        }
        // A plugin may have looked into them before all groups were there.
        self.folders.clear();
        self.add_source_folders(warnings)
    }

    /// Reads `group_vars` and `host_vars` beside the sources that were read so far.
    fn add_source_folders(&mut self, warnings: &mut Vec<Diag>) -> Result<(), anyhow::Error> {
        for source in self.sources_read.clone() {
            let path = Path::new(&source);
            let dir = if path.is_dir() { Some(path) } else { path.parent() };
            if let Some(dir) = dir.filter(|_| path.exists()) {
                warnings.extend(self.add_folder(Folder { dir: dir.to_owned(), beside: Beside::Inventory })?);
            }
        }
        Ok(())
    }

    /// The name under which a group is kept, and a warning if that is worth one.
    fn group_name(&mut self, name: &str) -> String {
        let (name, warning) = self.rules.group_names.safe(name);
        if let Some(words) = warning
            && !self.warnings.iter().any(|known| known.title == words)
        {
            self.warnings.push(Diag::warning(words));
        }
        name
    }

    /// Reads `group_vars` and `host_vars` beside the playbook (levels 5, 7, 10), once per folder. What is worth a warning comes back.
    pub fn add_playbook_dir(&mut self, dir: &Path) -> Result<Vec<Diag>, anyhow::Error> {
        Ok(self.add_folder(Folder { dir: dir.to_owned(), beside: Beside::Playbook })?)
    }

    /// Every host, in the order in which a play over `all` has them.
    pub fn hosts(&self) -> Vec<Arc<str>> {
        self.hosts_of_group("all")
    }

    pub fn has_host(&self, host: &str) -> bool {
        self.hosts.contains_key(host)
    }

    /// Hosts of a pattern (`a:&b:!c`, globs, `~regex`, `g[0]`, `@file`), in the order that Ansible would give. `localhost` is implicit.
    /// A part that matches nothing is no error: it is named in `unmatched`.
    pub fn hosts_matching(&self, pattern: &str, unmatched: &mut Vec<String>) -> Result<Vec<Arc<str>>, PatternError> {
        pattern::hosts_matching(self, pattern, unmatched)
    }

    /// `group_names`: sorted, without `all`.
    pub fn groups_of(&self, host: &str) -> Vec<String> {
        let mut names: Vec<_> = self.ordered_groups(host).into_iter().filter(|name| name != "all").collect();
        names.sort();
        names
    }

    /// Each group with its hosts, those of child groups included: `groups`. `all` and `ungrouped` are among them.
    pub fn groups(&self) -> Vec<(String, Vec<Arc<str>>)> {
        self.groups.keys().map(|name| (name.clone(), self.hosts_of_group(name))).collect()
    }

    /// A host's variables from the inventory and from group_vars and host_vars, by level. A level may come several times, once per group:
    /// the later beats the earlier. The maps are shared between hosts.
    /// For a host that is not in the inventory (`delegate_to` somewhere else, the implicit localhost): those of `all`.
    pub fn layers(&self, host: &str) -> Vec<(Level, Arc<VarMap>)> {
        let host = self.actual(host);
        let names = self.ordered_groups(host);
        let groups = || names.iter().map(|name| (name == "all", &self.groups[name]));
        let mut layers = Vec::new();
        layers.extend(groups().map(|(_, group)| (Level::InventoryGroups, group.vars.clone())));
        layers.extend(groups().map(|(is_all, group)| {
            (if is_all { Level::InventoryGroupVarsAll } else { Level::InventoryGroupVars }, group.files.inventory.clone())
        }));
        layers.extend(groups().map(|(is_all, group)| {
            (if is_all { Level::PlaybookGroupVarsAll } else { Level::PlaybookGroupVars }, group.files.playbook.clone())
        }));
        let own = self.hosts.get(host);
        if let Some(own) = own {
            layers.push((Level::InventoryHost, own.vars.clone()));
        } else if LOCALHOST.contains(&host) {
            let given = |text: &'static str| {
                let written = Source::given("<implicit localhost>", text);
                Variable::from(Node::string(text, written.span(0, text.len())))
            };
            let mut vars = VarMap::from([("ansible_connection".to_owned(), given("local"))]);
            vars.extend(crate::python::here().map(|python| ("ansible_python_interpreter".to_owned(), given(python))));
            layers.push((Level::InventoryHost, Arc::new(vars)));
        }
        if let Some(files) = own.map(|own| &own.files).or_else(|| self.localhost_files.get(host)) {
            layers.push((Level::InventoryHostVars, files.inventory.clone()));
            layers.push((Level::PlaybookHostVars, files.playbook.clone()));
        }
        layers.retain(|(_, vars)| !vars.is_empty());
        layers
    }

    /// Why not all is known of a host: a file of its variables cannot be decrypted.
    pub fn locked(&self, host: &str) -> Option<Arc<Diag>> {
        let host = self.actual(host);
        let own = self.hosts.get(host).map(|own| &own.files).or_else(|| self.localhost_files.get(host));
        let names = self.ordered_groups(host);
        names.iter().map(|name| &self.groups[name].files).chain(own).find_map(|files| files.locked.clone())
    }

    /// `add_host`: true if that changed anything. Reads the new host's and groups' vars files, which may be wrong.
    pub fn add_host(&mut self, host: &str, groups: &[String], mut vars: VarMap) -> Result<bool, Diag> {
        let (name, port) = address::split_port(host);
        if let Some(port) = port {
            vars.insert("ansible_port".to_owned(), Variable::Data(Value::from(port)));
        }
        let is_new = self.ensure_host(name, None);
        if is_new {
            self.groups["all"].hosts.insert(name.into());
            self.read_host_files(name)?;
        }
        let mut changed = is_new;
        let own = Arc::make_mut(&mut self.hosts[name].vars);
        for (key, value) in vars {
            let before = own.get(&key);
            let same = matches!((before, &value), (Some(Variable::Data(before)), Variable::Data(value)) if before == value);
            if !same {
                own.insert(key, value);
                changed = true;
            }
        }
        let mut new_group = false;
        for group in groups {
            let group = &*self.group_name(group);
            if self.ensure_group(group) {
                new_group = true;
                self.read_group_files(group)?;
            }
            changed |= self.groups[group].hosts.insert(name.into());
        }
        if new_group {
            self.reconcile();
        } else {
            self.settle(name);
        }
        Ok(changed || new_group)
    }

    /// `group_by`: puts a host into a group, which is made a child of `parents`. True if that changed anything.
    pub fn add_to_group(&mut self, host: &str, group: &str, parents: &[String]) -> Result<bool, Diag> {
        let mut new_shape = false;
        let group = &*self.group_name(group);
        let parents: Vec<String> = parents.iter().map(|parent| self.group_name(parent)).collect();
        for name in std::iter::once(group).chain(parents.iter().map(String::as_str)) {
            if self.ensure_group(name) {
                new_shape = true;
                self.read_group_files(name)?;
            }
        }
        for parent in &parents {
            new_shape |= self.add_child(parent, group).map_err(Diag::error)?;
        }
        let added = self.groups[group].hosts.insert(host.into());
        if new_shape {
            self.reconcile();
        } else if added {
            self.settle(host);
        }
        Ok(new_shape || added)
    }

    /// The file in which a host was first named (`inventory_file`; its folder is `inventory_dir`). None for hosts of a comma list and of `add_host`.
    pub fn file_of(&self, host: &str) -> Option<PathBuf> {
        self.hosts.get(host)?.file.clone()
    }

    /// The name under which the inventory has a host: `localhost` may be there as `127.0.0.1`.
    fn actual<'a>(&'a self, host: &'a str) -> &'a str {
        if self.has_host(host) || !LOCALHOST.contains(&host) {
            return host;
        }
        self.hosts.keys().map(|known| &**known).find(|known| LOCALHOST.contains(known)).unwrap_or(host)
    }

    /// Sets a group's variable as an inventory file says it; the one that is no variable sets the group's priority.
    fn set_group_variable(&mut self, group: &str, name: &str, value: Node, warnings: &mut Vec<Diag>) {
        keep_secret(&value);
        let group = &mut self.groups[group];
        if name != "ansible_group_priority" {
            combine(Arc::make_mut(&mut group.vars), [(name.to_owned(), value.into())]);
            return;
        }
        let priority = match &value.kind {
            Kind::Int(priority) => Some(*priority),
            Kind::Str(Str { text, .. }) => text.trim().parse().ok(),
            _ => None,
        };
        match priority {
            Some(priority) => group.priority = priority,
            None => warnings.push(Diag::warning("a group's priority is a whole number; this one is ignored").at(&value.span)),
        }
    }

    /// Adds the hosts of one line: `names` with the port and variables that they share.
    fn add_hosts(&mut self, names: &[String], group: &str, port: Option<u16>, at: &Node, vars: &[(String, Node)], file: Option<&Path>) {
        vars.iter().for_each(|(_, value)| keep_secret(value));
        for name in names {
            let is_new = self.ensure_host(name, file);
            self.groups[group].hosts.insert(name.as_str().into());
            let own = Arc::make_mut(&mut self.hosts[name.as_str()].vars);
            // As in Ansible, a port counts where the host is first named.
            if let (true, Some(port)) = (is_new, port) {
                own.insert("ansible_port".to_owned(), Node::new(Kind::Int(port.into()), at.span.clone()).into());
            }
            for (key, value) in vars {
                combine(own, [(key.clone(), value.clone().into())]);
            }
        }
    }
}
