//! What playbooks and inventory together say of a run before it begins, for `check` and `run` in nodewright's own manner: variables that nothing
//! can define, and values of INI inventories that a condition takes for booleans. Both keep silent where something is known only at run time.

use crate::config::Config;
use crate::inventory::Inventory;
use crate::playbook::{Entry, Play, Playbook, Register, Role, Task};
use crate::source::{Diag, Node, Source, Span, nearest, yaml};
use crate::template::Templar;
use crate::vars::{VarMap, Variable};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

/// Variables that are there without anybody's doing, beside everything that begins with one of [`PREFIXES`].
const MAGIC: &[&str] = &[
    "environment",
    "gather_subset",
    "group_names",
    "groups",
    "hostvars",
    "item",
    "module_setup",
    "omit",
    "packages",
    "play_hosts",
    "playbook_dir",
    "services",
    "vars",
];

const PREFIXES: &[&str] = &["_", "ansible_", "facter_", "getent_", "inventory_", "ohai_", "role_"];

/// Modules after which more may be defined than the files show.
const OPENING: &[&str] = &[
    "ansible.builtin.add_host",
    "ansible.builtin.group_by",
    "ansible.builtin.include_role",
    "ansible.builtin.include_tasks",
    "ansible.builtin.include_vars",
];

/// Everything that is worth a word. `inventory` has been read by the caller; without one, nothing can be said of variables.
pub fn findings(
    playbooks: &[(PathBuf, Playbook)],
    inventory: Option<&Inventory>,
    extra_vars: &VarMap,
    templar: &Templar,
    config: &Config,
) -> Vec<Diag> {
    let Some(inventory) = inventory else { return Vec::new() };
    let plays: Vec<&Play> = playbooks.iter().flat_map(|(_, playbook)| &playbook.plays).collect();
    let tasks: Vec<(Arc<Task>, bool)> = plays.iter().flat_map(|play| tasks_of(play)).collect();
    let mut found = seeming_booleans(&tasks, inventory, templar);
    let keeps_facts = config.text("CACHE_PLUGIN").is_some_and(|plugin| plugin != "memory");
    if !keeps_facts && let Some(defined) = defined(&plays, &tasks, inventory, extra_vars) {
        let mut told = HashSet::new();
        for (task, is_sure) in &tasks {
            if *is_sure {
                undefined(task, templar, &defined, &mut told, &mut found);
            }
        }
    }
    found
}

/// The tasks of a play, each with whether its failure is a failure.
fn tasks_of(play: &Play) -> Vec<(Arc<Task>, bool)> {
    fn walk(entries: &[Entry], is_sure: bool, tasks: &mut Vec<(Arc<Task>, bool)>) {
        for entry in entries {
            match entry {
                Entry::Task(task) => {
                    let keywords = &task.keywords;
                    let is_forgiven = keywords.ignore_errors.is_some() || keywords.ignore_unreachable.is_some();
                    let never = keywords.tags.iter().any(|tag| tag.as_str() == Some("never"));
                    tasks.push((task.clone(), is_sure && !is_forgiven && !never && task.failed_when.is_none()));
                }
                Entry::Block(block) => {
                    walk(&block.block, is_sure && block.rescue.is_empty(), tasks);
                    walk(&block.rescue, is_sure, tasks);
                    walk(&block.always, is_sure, tasks);
                }
            }
        }
    }
    let mut tasks = Vec::new();
    for entries in [&play.pre_tasks, &play.roles, &play.tasks, &play.post_tasks, &play.handlers] {
        walk(entries, true, &mut tasks);
    }
    tasks
}

fn seeming_booleans(tasks: &[(Arc<Task>, bool)], inventory: &Inventory, templar: &Templar) -> Vec<Diag> {
    if inventory.seemingly_boolean.is_empty() {
        return Vec::new();
    }
    let conditions = |task: &Task| task.keywords.when.clone().into_iter().chain(task.failed_when.clone()).chain(task.changed_when.clone());
    let used: HashSet<String> =
        tasks.iter().flat_map(|(task, _)| conditions(task)).flat_map(|condition| templar.truths(&condition)).collect();
    inventory.seemingly_boolean.iter().filter(|(name, _)| used.contains(name)).map(|(_, diag)| diag.clone()).collect()
}

/// Every name that something defines, with a place if a file does. `None`: there may be others.
fn defined(
    plays: &[&Play],
    tasks: &[(Arc<Task>, bool)],
    inventory: &Inventory,
    extra_vars: &VarMap,
) -> Option<HashMap<String, Option<Span>>> {
    let mut names = HashMap::new();
    let mut add = |name: &str, span: Option<Span>| {
        let known: &mut Option<Span> = names.entry(name.to_owned()).or_default();
        *known = known.take().or(span);
    };
    let mut add_all = |vars: &VarMap| vars.iter().for_each(|(name, value)| add(name, value.span().cloned()));
    add_all(extra_vars);
    let mut inventory = inventory.clone();
    for play in plays {
        inventory.add_playbook_dir(&play.dir).ok()?;
    }
    let hosts = inventory.hosts();
    for host in hosts.iter().map(AsRef::as_ref).chain(["localhost"]) {
        if inventory.locked(host).is_some() {
            return None;
        }
        inventory.layers(host).iter().for_each(|(_, vars)| add_all(vars));
    }
    for play in plays {
        add_all(&play.vars);
        for vars in &play.keywords.vars {
            add_all(vars);
        }
        play.static_roles.iter().for_each(|role| add_role(role, &mut add_all));
        for node in &play.vars_files {
            add_all(&vars_file(node, play)?);
        }
        for prompt in &play.vars_prompt {
            add_all(&VarMap::from([(prompt.get("name")?.as_str()?.to_owned(), Variable::from(prompt.clone()))]));
        }
    }
    for (task, _) in tasks {
        let spec = task.action.module.spec().name;
        if OPENING.contains(&spec) || task.action.computed.is_some() {
            return None;
        }
        if spec == "ansible.builtin.meta" && task.action.args.iter().any(|(_, value)| value.as_str() == Some("refresh_inventory")) {
            return None;
        }
        task.keywords.vars.iter().for_each(|vars| add_all(vars));
        if let Some(role) = &task.role {
            add_role(role, &mut add_all);
        }
        let mut named = |name: &str, node: &Node| add_all(&VarMap::from([(name.to_owned(), Variable::from(node.clone()))]));
        if spec == "ansible.builtin.set_fact" {
            if task.action.args_from.is_some() {
                return None;
            }
            for (name, node) in &task.action.args {
                if name.contains("{{") {
                    return None;
                }
                named(name, node);
            }
        }
        let here = Node::string("", task.span.clone());
        match &task.register {
            Some(Register::Whole(name)) => named(name, &here),
            Some(Register::Parts(parts)) => parts.iter().for_each(|(name, _)| named(name, &here)),
            None => {}
        }
        if let Some(looped) = &task.looped {
            for node in [&looped.control.loop_var, &looped.control.index_var].into_iter().flatten() {
                named(node.as_str().filter(|_| !node.is_template())?, node);
            }
        }
    }
    Some(names)
}

fn add_role(role: &Arc<Role>, add_all: &mut impl FnMut(&VarMap)) {
    [&role.defaults, &role.vars, &role.params].into_iter().for_each(|vars| add_all(vars));
    role.dependencies.iter().for_each(|role| add_role(role, add_all));
    if let Some(parent) = &role.parent {
        add_role_alone(parent, add_all);
    }
}

/// A role without those around it, which may lead back.
fn add_role_alone(role: &Arc<Role>, add_all: &mut impl FnMut(&VarMap)) {
    [&role.defaults, &role.vars, &role.params].into_iter().for_each(|vars| add_all(vars));
    if let Some(parent) = &role.parent {
        add_role_alone(parent, add_all);
    }
}

/// The variables of a file that a play names outright. `None`: it cannot be said which they are.
fn vars_file(node: &Node, play: &Play) -> Option<VarMap> {
    let name = node.as_str().filter(|_| !node.is_template())?;
    let path = [play.dir.join("vars").join(name), play.dir.join(name)].into_iter().find(|path| path.is_file())?;
    let (node, _) = yaml::load_one(&Source::read(&path).ok()?).ok()?;
    yaml::keep_secret(&node);
    let pairs = node.as_map()?;
    pairs.iter().map(|(key, value)| Some((key.as_str()?.to_owned(), Variable::from(value.clone())))).collect()
}

fn undefined(
    task: &Task,
    templar: &Templar,
    defined: &HashMap<String, Option<Span>>,
    told: &mut HashSet<(String, usize)>,
    found: &mut Vec<Diag>,
) {
    let mut needed = BTreeMap::new();
    let mut need = |what: &str, node: &Node, is_condition: bool| {
        for (name, span) in templar.needs(node, is_condition) {
            needed.entry(span.start).or_insert((what.to_owned(), name, span));
        }
    };
    match (&task.looped, task.keywords.when.first()) {
        // What is looped over is looked at before the conditions; these, and the arguments, once per item.
        (Some(looped), None) => need(looped.lookup.as_deref().map_or("loop", |_| "with_"), &looped.over, false),
        (Some(_), Some(_)) => {}
        // The first condition is looked at in any case, what follows only if it holds.
        (None, Some(when)) => need("when", when, true),
        (None, None) => {
            // What `debug` shows may well not be defined, and what an include hands down may never be looked at.
            let is_looked_at = |word: &str| !matches!((task.action.module.spec().short_name(), word), ("debug", "var") | (_, "apply"));
            task.action.args.iter().filter(|(word, _)| is_looked_at(word)).for_each(|(word, node)| need(word, node, false));
        }
    }
    for (what, name, span) in needed.into_values() {
        let is_known =
            defined.contains_key(&name) || MAGIC.contains(&name.as_str()) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        if is_known || !told.insert((span.source.name.to_string(), span.start)) {
            continue;
        }
        let what = if what == "with_" { "with_...".to_owned() } else { what };
        let diag = Diag::error(format!("`{what}` uses an unknown variable `{name}`")).at(&span);
        let near = nearest(&name, defined.keys().map(String::as_str));
        found.push(match near.map(|near| (near, defined.get(near).cloned().flatten())) {
            Some((near, Some(place))) => {
                let (line, _) = place.source.position(place.start);
                diag.hint(format!("did you mean `{near}`? It is set in {}:{line}", place.source.name))
            }
            Some((near, None)) => diag.hint(format!("did you mean `{near}`?")),
            None => diag.hint("no file, task, role or inventory defines it"),
        });
    }
}
