//! What a host sees at a task: all maps in their levels, and the magic variables.

use super::Run;
use super::play::{Playing, Walker};
use crate::playbook::{Role, Task};
use crate::source::{Diag, Kind, Node};
use crate::template::{self, Templar};
use crate::vars::{Level, VarMap, Variable, View};
use minijinja::Value;
use minijinja::value::{Enumerator, Object};
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl Playing {
    /// What `host` sees at `task`. `include_vars`: those of the includes that led there.
    pub fn view(&self, host: &str, task: Option<&Task>, include_vars: &[Arc<VarMap>]) -> Result<View, Diag> {
        let mut view = host_view(&self.run, host);
        if task.is_some() && view.get("ansible_ssh_host").is_none() {
            // A task can always ask where its host is; `hostvars` only knows what was said.
            let address = VarMap::from([("ansible_host".to_owned(), Variable::Data(Value::from(host)))]);
            view.add(Level::RoleDefaults, Arc::new(address));
        }
        for role in self.exported.read().expect("no panic holds the lock").iter() {
            view.add(Level::RoleDefaults, role.defaults.clone());
            view.add(Level::RoleVars, role.vars.clone());
        }
        view.add(Level::Play, self.play.vars.clone());
        view.add(Level::VarsPrompt, self.prompted.clone());
        view.add(Level::Magic, self.magic.read().expect("no panic holds the lock").clone());
        if let Some(task) = task {
            view.action = Some(task.action.name.as_str().into());
            if let Some(role) = &task.role {
                add_role(&mut view, role);
            }
            for vars in &task.keywords.vars {
                view.add(Level::BlockAndTask, vars.clone());
            }
            view.add(Level::Magic, Arc::new(self.task_magic(task)));
        }
        for vars in include_vars {
            view.add(Level::IncludeParams, vars.clone());
        }
        self.add_vars_files(&mut view, host)?;
        let all = Templar::lazy_map(Arc::new(view.clone()));
        view.add(Level::Magic, Arc::new(VarMap::from([("vars".to_owned(), Variable::Data(all))])));
        Ok(view)
    }

    /// What play keywords and names of handlers may see: no host.
    pub fn play_view(&self) -> Arc<View> {
        let mut view = View::default();
        for role in self.exported.read().expect("no panic holds the lock").iter() {
            view.add(Level::RoleDefaults, role.defaults.clone());
            view.add(Level::RoleVars, role.vars.clone());
        }
        view.add(Level::Play, self.play.vars.clone());
        view.add(Level::VarsPrompt, self.prompted.clone());
        view.add(Level::Extra, self.run.settings.extra_vars.clone());
        view.add(Level::Magic, self.magic.read().expect("no panic holds the lock").clone());
        Arc::new(view)
    }

    /// Renews what depends on which hosts are left.
    pub fn renew_magic(&self, walkers: &[Walker]) {
        let active: Vec<_> = self
            .hosts_all
            .iter()
            .filter(|host| walkers.iter().find(|walker| walker.host == **host).map_or(!self.run.is_out(host), Walker::is_active))
            .cloned()
            .collect();
        let batch: Vec<_> = self.batch.iter().filter(|host| active.contains(host)).cloned().collect();
        let mut vars = magic(&self.run, &self.play.dir, &active, &self.hosts_all, &self.name);
        put(&mut vars, "ansible_play_batch", names(&batch));
        let shared = vars.iter().filter(|(name, _)| !name.contains("play_")).map(|(name, value)| (name.clone(), value.clone())).collect();
        put(&mut vars, "hostvars", Value::from_object(HostVars { run: self.run.clone(), shared: Arc::new(shared) }));
        *self.magic.write().expect("no panic holds the lock") = Arc::new(vars);
    }

    fn task_magic(&self, task: &Task) -> VarMap {
        let mut vars = VarMap::new();
        if let Some(role) = &task.role {
            put(&mut vars, "role_name", Value::from(role.name.clone()));
            put(&mut vars, "ansible_role_name", Value::from(role.full_name()));
            if let Some(collection) = &role.collection {
                put(&mut vars, "ansible_collection_name", Value::from(collection.clone()));
            }
            put(&mut vars, "role_path", path(&role.path));
            let includers = role.includers();
            if !includers.is_empty() {
                put(&mut vars, "ansible_parent_role_names", includers.iter().map(|role| Value::from(role.full_name())).collect());
                put(&mut vars, "ansible_parent_role_paths", includers.iter().map(|role| path(&role.path)).collect());
            }
        }
        let roles = self.exported.read().expect("no panic holds the lock");
        let is_dependency = |role: &Arc<Role>| roles.iter().any(|other| other.dependencies.iter().any(|wanted| wanted.path == role.path));
        let (dependent, own): (Vec<&Arc<Role>>, Vec<&Arc<Role>>) = roles.iter().partition(|role| is_dependency(role));
        let list = |roles: &[&Arc<Role>]| {
            let mut names: Vec<String> = roles.iter().map(|role| role.full_name()).collect();
            names.sort();
            names.dedup();
            names
        };
        let mut all = list(&own);
        put(&mut vars, "ansible_play_role_names", Value::from(all.clone()));
        put(&mut vars, "role_names", Value::from(all.clone()));
        put(&mut vars, "ansible_dependent_role_names", Value::from(list(&dependent)));
        all.extend(list(&dependent));
        put(&mut vars, "ansible_role_names", Value::from(all));
        drop(roles);
        let search = self.search_path(task);
        put(&mut vars, "ansible_search_path", search.iter().map(|dir| path(dir)).collect());
        let environment = Node::new(Kind::Seq(task.keywords.environment.clone()), task.span.clone());
        vars.insert("environment".to_owned(), environment.into());
        vars
    }

    /// Folders in which a task's files are searched, nearest first.
    pub fn search_path(&self, task: &Task) -> Vec<PathBuf> {
        let task_file_dir = Path::new(&task.span.source.name).parent().map(Path::to_owned).unwrap_or_default();
        let dirs = crate::playbook::search::search_path(task.role.as_ref(), &self.play.dir, &task_file_dir);
        dirs.into_iter().map(|dir| std::path::absolute(Path::new(".").join(&dir)).unwrap_or(dir)).collect()
    }
}

/// What a host brings along, in whatever play: inventory, facts, what was set and included, extra vars.
pub fn host_view(run: &Run, host: &str) -> View {
    let mut view = View::default();
    let inventory = run.inventory();
    for (level, vars) in inventory.layers(host) {
        view.add(level, vars);
    }
    let mut own = VarMap::new();
    put(&mut own, "inventory_hostname", Value::from(host));
    put(&mut own, "inventory_hostname_short", Value::from(host.split('.').next().unwrap_or(host)));
    put(&mut own, "group_names", Value::from(inventory.groups_of(host)));
    if let Some(file) = inventory.file_of(host) {
        put(&mut own, "inventory_dir", file.parent().map_or(Value::from(()), path));
        put(&mut own, "inventory_file", path(&file));
    }
    drop(inventory);
    // Of a host whose facts nobody gathered it can be asked whether there are any.
    own.insert("ansible_facts".to_owned(), Variable::data(&serde_json::Map::new().into()));
    view.add(Level::PlaybookHostVars, Arc::new(own));
    let known = run.memory.of(host);
    view.add(Level::Facts, if known.facts.is_empty() { no_facts() } else { known.facts });
    view.add(Level::IncludeVars, known.include_vars);
    view.add(Level::SetFactsAndRegistered, known.set_facts_and_registered);
    view.add(Level::Extra, run.settings.extra_vars.clone());
    view
}

/// `ansible_facts` is there before there are any.
fn no_facts() -> Arc<VarMap> {
    static NONE: std::sync::LazyLock<Arc<VarMap>> =
        std::sync::LazyLock::new(|| Arc::new(VarMap::from([("ansible_facts".to_owned(), Variable::data(&serde_json::json!({})))])));
    NONE.clone()
}

/// What a task sees of its role: of those that depend on it or include it, of those that it depends on, and its own, which wins.
fn add_role(view: &mut View, role: &Arc<Role>) {
    let mut chain: Vec<&Arc<Role>> = crate::playbook::search::ancestors(Some(role)).collect();
    chain.reverse();
    let mut dependencies = Vec::new();
    add_dependencies(role, &mut dependencies);
    for dependency in &dependencies {
        view.add(Level::OwnRoleDefaults, dependency.defaults.clone());
    }
    for role in &chain {
        view.add(Level::OwnRoleDefaults, role.defaults.clone());
        view.add(Level::OwnRoleVars, role.call_vars.clone());
        view.add(Level::OwnRoleVars, role.vars.clone());
        view.add(Level::RoleParams, role.params.clone());
    }
    for dependency in &dependencies {
        view.add(Level::OwnRoleVars, dependency.vars.clone());
    }
    view.add(Level::OwnRoleVars, role.vars.clone());
    view.add(Level::OwnRoleVars, role.call_vars.clone());
}

/// All that a role depends on, those deepest down first.
fn add_dependencies(role: &Role, all: &mut Vec<Arc<Role>>) {
    for dependency in &role.dependencies {
        add_dependencies(dependency, all);
        all.push(dependency.clone());
    }
}

/// Magic variables that do not depend on the host or the task.
pub fn magic(run: &Arc<Run>, dir: &Path, active: &[Arc<str>], all: &[Arc<str>], play_name: &str) -> VarMap {
    let mut vars = VarMap::new();
    let settings = &run.settings;
    let groups: std::collections::BTreeMap<String, Value> =
        run.inventory().groups().into_iter().map(|(group, hosts)| (group, names(&hosts))).collect();
    put(&mut vars, "groups", Value::from(groups));
    put(&mut vars, "playbook_dir", path(&std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned())));
    put(&mut vars, "ansible_play_hosts", names(active));
    put(&mut vars, "play_hosts", names(active));
    put(&mut vars, "ansible_play_hosts_all", names(all));
    put(&mut vars, "ansible_play_name", Value::from(play_name));
    put(&mut vars, "ansible_check_mode", Value::from(settings.check));
    put(&mut vars, "ansible_diff_mode", Value::from(settings.diff));
    put(&mut vars, "ansible_forks", Value::from(settings.forks));
    put(&mut vars, "ansible_verbosity", Value::from(settings.verbosity));
    put(&mut vars, "ansible_run_tags", Value::from(settings.tags.only().to_vec()));
    put(&mut vars, "ansible_skip_tags", Value::from(settings.tags.skip().to_vec()));
    put(&mut vars, "ansible_inventory_sources", Value::from(settings.inventory_sources.clone()));
    if let Some(file) = settings.config.file() {
        put(&mut vars, "ansible_config_file", path(file));
    }
    if let Some(python) = crate::python::here() {
        put(&mut vars, "ansible_playbook_python", Value::from(python));
    }
    if let Some(limit) = &settings.limit {
        put(&mut vars, "ansible_limit", Value::from(limit.clone()));
    }
    // The version of the language that is spoken: what `ansible_version.full is version(...)` asks for.
    put(
        &mut vars,
        "ansible_version",
        crate::vars::value_of(&serde_json::json!({
            "full": crate::ANSIBLE_VERSION, "major": 2, "minor": 21, "revision": 5, "string": crate::ANSIBLE_VERSION,
        })),
    );
    put(&mut vars, "omit", template::omit());
    vars
}

/// A task's name as it is shown: its role's first, the module's if it has none.
pub fn name_of(run: &Run, task: &Task, view: &Arc<View>) -> String {
    let name = match &task.name {
        Some(name) => run.templar.render_name(name, view),
        None => match task.action.args.iter().find(|(name, _)| task.include.is_some() && matches!(name.as_str(), "name" | "role")) {
            Some((_, role)) => format!("{} : {}", task.action.name, run.templar.render_name(role, view)),
            None => task.action.name.clone(),
        },
    };
    match &task.role {
        Some(role) => format!("{} : {name}", role.full_name()),
        None => name,
    }
}

/// `hostvars`: each host's view, made when it is looked at.
#[derive(Debug)]
struct HostVars {
    run: Arc<Run>,
    /// Magic variables that are not about a play.
    shared: Arc<VarMap>,
}

impl Object for HostVars {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let host = key.as_str()?;
        if !self.run.inventory().has_host(host) && host != "localhost" {
            return None;
        }
        let locked = self.run.inventory().locked(host);
        if let Some(locked) = locked
            && !template::outside::is_trying()
        {
            self.run.warn(format!("not all variables of `{host}` are known: {}", locked.title));
        }
        let mut view = host_view(&self.run, host);
        view.add(Level::Magic, self.shared.clone());
        Some(Templar::lazy_map(Arc::new(view)))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.run.inventory().hosts().iter().map(|host| Value::from(host.to_string())).collect())
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Run")
    }
}

fn put(vars: &mut VarMap, name: &str, value: Value) {
    vars.insert(name.to_owned(), Variable::Data(value));
}

fn names(hosts: &[Arc<str>]) -> Value {
    hosts.iter().map(|host| host.to_string()).collect()
}

fn path(path: &Path) -> Value {
    Value::from(path.display().to_string())
}

fn unconvertible(value: &Value, wanted: &str, node: &Node) -> Diag {
    Diag::error(format!("The value '{value}' could not be converted to '{wanted}'.")).at(&node.span)
}

/// A mistake in a condition.
pub fn of_condition(diag: Diag, word: &str) -> Diag {
    let article = if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "An" } else { "A" };
    diag.within(format!("{article} '{word}' expression failed"))
}

/// A mistake in what a keyword is given.
pub fn of_keyword(diag: Diag, word: &str) -> Diag {
    diag.within(format!("Error processing keyword '{word}'"))
}

impl Run {
    /// A value as text: for names and keywords.
    pub(super) fn text_of(&self, node: &Node, view: &Arc<View>) -> Result<String, Diag> {
        Ok(self.templar.render(node, view)?.to_string())
    }

    /// A keyword that is true or false.
    pub(super) fn bool_of(&self, node: &Node, view: &Arc<View>) -> Result<bool, Diag> {
        let value = self.templar.render(node, view)?;
        if template::is_omit(&value) {
            return Ok(false);
        }
        self.truth_of(&value).ok_or_else(|| unconvertible(&value, "bool", node))
    }

    /// A keyword that is true or false, by its name.
    pub(super) fn flag(&self, word: &str, node: &Option<Node>, view: &Arc<View>) -> Result<Option<bool>, Diag> {
        node.as_ref().map(|node| self.bool_of(node, view)).transpose().map_err(|diag| of_keyword(diag, word))
    }

    /// A keyword that is a number, by its name.
    pub(super) fn number(&self, word: &str, node: &Option<Node>, is_whole: bool, view: &Arc<View>) -> Result<Option<f64>, Diag> {
        let Some(node) = node else { return Ok(None) };
        let number = self.templar.render(node, view).and_then(|value| {
            if template::is_omit(&value) || value.is_none() {
                return Ok(None);
            }
            let number = value.to_string().trim().parse::<f64>().ok().filter(|number| !is_whole || number.fract() == 0.0);
            number.map(Some).ok_or_else(|| unconvertible(&value, if is_whole { "int" } else { "float" }, node))
        });
        number.map_err(|diag| of_keyword(diag, word))
    }

    /// A condition of a task: `when`, `until` and their kin.
    pub(super) fn condition(&self, word: &str, node: &Node, view: &Arc<View>) -> Result<bool, Diag> {
        self.templar.condition(node, view).map_err(|diag| of_condition(diag, word))
    }

    /// A value as a boolean, with Ansible's words for it.
    pub(super) fn truth_of(&self, value: &Value) -> Option<bool> {
        if let Ok(truth) = bool::try_from(value.clone()) {
            return Some(truth);
        }
        match value.to_string().trim().to_lowercase().as_str() {
            "yes" | "on" | "true" | "1" | "y" | "t" => Some(true),
            "no" | "off" | "false" | "0" | "n" | "f" | "" => Some(false),
            _ => None,
        }
    }
}
