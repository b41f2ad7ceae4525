//! Where a variable is set: every place, in order of precedence, for `nodewright explain`. Nothing is run and no host is asked.

use super::Run;
use super::play::{self, early_view, patterns_of};
use crate::playbook::{Entry, Play, Playbook, Register, Role, Task, search};
use crate::source::{Diag, Node, Source, yaml};
use crate::vars::{Level, VarMap, Variable, View};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One place that sets a variable.
#[derive(Clone, Debug)]
pub struct Definition {
    pub level: Level,
    /// `file:line:column`, or what else brought it.
    pub place: String,
    /// As it is written; none if only the run will know it.
    pub value: Option<String>,
    /// Where it counts, if not everywhere: `in role db`, `once this task has run`.
    pub scope: Option<String>,
}

impl Definition {
    /// Whether it counts for the host at every task of a run.
    pub fn counts_everywhere(&self) -> bool {
        self.scope.is_none()
    }
}

impl Run {
    /// Every place that sets `name` for `host`, those that count least first.
    ///
    /// # Errors
    /// A play whose hosts cannot be found out, vars files that cannot be read.
    pub fn explain(self: &Arc<Self>, name: &str, host: &str, playbooks: &[(PathBuf, Playbook)]) -> Result<Vec<Definition>, Diag> {
        let mut found = Found { name, definitions: Vec::new(), seen_files: HashSet::new() };
        for (path, playbook) in playbooks {
            if let Some(dir) = path.parent() {
                let added = self.inventory.write().expect("no panic holds the lock").add_playbook_dir(dir);
                added.map_err(|err| Diag::error(format!("{err:#}")))?;
            }
            for play in &playbook.plays {
                let pattern = patterns_of(self, &play.hosts, &early_view(self, play))?.join(",");
                if play::hosts_of(self, play, &pattern)?.iter().any(|other| **other == *host) {
                    self.explain_play(play, &mut found)?;
                }
            }
        }
        for (level, vars) in self.inventory().layers(host) {
            found.take(level, &vars, None);
        }
        found.take(Level::Extra, &self.settings.extra_vars, None);
        found.definitions.sort_by_key(|definition| definition.level);
        Ok(found.definitions)
    }

    fn explain_play(self: &Arc<Self>, play: &Play, found: &mut Found<'_>) -> Result<(), Diag> {
        let view = early_view(self, play);
        found.take(Level::Play, &play.vars, in_play(play));
        for prompt in &play.vars_prompt {
            if let Some(asked) = prompt.get("name").filter(|asked| asked.as_str() == Some(found.name)) {
                found.add(Level::VarsPrompt, &asked.span.to_string(), None, in_play(play));
            }
        }
        for entry in &play.vars_files {
            for name in entry.as_seq().unwrap_or(std::slice::from_ref(entry)) {
                let Ok(name) = self.text_of(name, &view) else { continue };
                if let Ok(file) = search::find_file("vars", &name, None, &play.dir, &play.dir) {
                    found.file(Level::VarsFiles, &file, in_play(play))?;
                    break;
                }
            }
        }
        for role in &play.static_roles {
            found.role(role, Level::RoleDefaults, Level::RoleVars);
        }
        for entry in play.pre_tasks.iter().chain(&play.roles).chain(&play.tasks).chain(&play.post_tasks).chain(&play.handlers) {
            self.explain_entry(entry, play, &view, found)?;
        }
        Ok(())
    }

    fn explain_entry(self: &Arc<Self>, entry: &Entry, play: &Play, view: &Arc<View>, found: &mut Found<'_>) -> Result<(), Diag> {
        match entry {
            Entry::Block(block) => block
                .block
                .iter()
                .chain(&block.rescue)
                .chain(&block.always)
                .try_for_each(|entry| self.explain_entry(entry, play, view, found)),
            Entry::Task(task) => self.explain_task(task, play, view, found),
        }
    }

    fn explain_task(self: &Arc<Self>, task: &Task, play: &Play, view: &Arc<View>, found: &mut Found<'_>) -> Result<(), Diag> {
        let handed_down = task.include.as_ref().map(|include| &include.vars);
        for vars in task.keywords.vars.iter().filter(|vars| handed_down.is_none_or(|other| !Arc::ptr_eq(vars, other))) {
            found.take(Level::BlockAndTask, vars, Some("at the tasks of this block or task".to_owned()));
        }
        let once = || Some("once this task has run".to_owned());
        let registers = match &task.register {
            Some(Register::Whole(name)) => name == found.name,
            Some(Register::Parts(parts)) => parts.iter().any(|(name, _)| name == found.name),
            None => false,
        };
        if registers {
            found.add(Level::SetFactsAndRegistered, &task.span.to_string(), Some("the task's result".to_owned()), once());
        }
        let argument = |names: &[&str]| task.action.args.iter().find(|(name, _)| names.contains(&name.as_str())).map(|(_, value)| value);
        match task.action.module.spec().short_name() {
            "set_fact" => {
                if let Some(value) = argument(&[found.name]) {
                    found.add(Level::SetFactsAndRegistered, &value.span.to_string(), Some(written(value)), once());
                }
            }
            "include_vars" => {
                if let Some(Ok(name)) = argument(&["file", "_raw_params"]).map(|name| self.text_of(name, view))
                    && let Ok(file) = search::find_file("vars", &name, task.role.as_ref(), &play.dir, &play.dir)
                {
                    found.file(Level::IncludeVars, &file, once())?;
                }
            }
            "include_tasks" => {
                if let Some(vars) = handed_down {
                    found.take(Level::IncludeParams, vars, Some("in what this includes".to_owned()));
                }
                self.explain_included_tasks(task, argument(&["file", "_raw_params"]), play, view, found)?;
            }
            "include_role" => {
                if let Some(vars) = handed_down {
                    found.take(Level::IncludeParams, vars, Some("in what this includes".to_owned()));
                }
                self.explain_included_role(task, argument(&["name", "role"]), play, view, found)?;
            }
            _ => {}
        }
        if let Some(role) = &task.role {
            found.role(role, Level::OwnRoleDefaults, Level::OwnRoleVars);
        }
        Ok(())
    }

    /// Looks into an included file, if its name is known before the run. What cannot be read is the run's to tell.
    fn explain_included_tasks(
        self: &Arc<Self>,
        task: &Task,
        file: Option<&Node>,
        play: &Play,
        view: &Arc<View>,
        found: &mut Found<'_>,
    ) -> Result<(), Diag> {
        let (Some(file), Some(include)) = (file, &task.include) else { return Ok(()) };
        let Ok(name) = self.text_of(file, view) else { return Ok(()) };
        let beside = search::folder_of(Path::new(&task.span.source.name));
        let Ok(path) = search::find_tasks("tasks", &name, task.role.as_ref(), &play.dir, &beside) else { return Ok(()) };
        if !found.seen_files.insert(path.clone()) {
            return Ok(());
        }
        let Ok(loaded) = self.loader.tasks(&path, &include.keywords, task.role.as_ref(), &play.dir, false) else { return Ok(()) };
        loaded.entries.iter().try_for_each(|entry| self.explain_entry(entry, play, view, found))
    }

    fn explain_included_role(
        self: &Arc<Self>,
        task: &Task,
        name: Option<&Node>,
        play: &Play,
        view: &Arc<View>,
        found: &mut Found<'_>,
    ) -> Result<(), Diag> {
        let (Some(name), Some(include)) = (name, &task.include) else { return Ok(()) };
        let Ok(rendered) = self.text_of(name, view) else { return Ok(()) };
        if !found.seen_files.insert(PathBuf::from(format!("role {rendered}"))) {
            return Ok(());
        }
        let request = crate::playbook::RoleRequest::main(Node::string(rendered, name.span.clone()));
        let Ok(loaded) = self.loader.role(&request, &include.keywords, task.role.as_ref(), &play.dir) else { return Ok(()) };
        for role in &loaded.roles {
            found.role(role, Level::OwnRoleDefaults, Level::OwnRoleVars);
        }
        loaded.entries.iter().try_for_each(|entry| self.explain_entry(entry, play, view, found))
    }
}

/// What was found so far of one variable.
struct Found<'a> {
    name: &'a str,
    definitions: Vec<Definition>,
    /// Includes that were looked into.
    seen_files: HashSet<PathBuf>,
}

impl Found<'_> {
    fn add(&mut self, level: Level, place: &str, value: Option<String>, scope: Option<String>) {
        let is_known = self.definitions.iter().any(|known| known.level == level && known.place == place);
        if !is_known {
            self.definitions.push(Definition { level, place: place.to_owned(), value, scope });
        }
    }

    fn take(&mut self, level: Level, vars: &VarMap, scope: Option<String>) {
        let Some(variable) = vars.get(self.name) else { return };
        let place = variable.span().map_or_else(|| "the inventory".to_owned(), |span| span.to_string());
        let value = match variable {
            Variable::Node(node) => written(node),
            Variable::Data(value) => value.to_string(),
        };
        self.add(level, &place, Some(value), scope);
    }

    fn role(&mut self, role: &Role, defaults: Level, vars: Level) {
        let scope = matches!(defaults, Level::OwnRoleDefaults).then(|| format!("in role {}", role.full_name()));
        // What the whole play sees is told once.
        let known = |level: Level, map: &VarMap, this: &Self| {
            let place = map.get(this.name).and_then(Variable::span).map(|span| span.to_string());
            this.definitions.iter().any(|other| other.level == level && Some(&other.place) == place.as_ref())
        };
        if !known(Level::RoleDefaults, &role.defaults, self) {
            self.take(defaults, &role.defaults, scope.clone());
        }
        if !known(Level::RoleVars, &role.vars, self) {
            self.take(vars, &role.vars, scope);
        }
        if defaults == Level::OwnRoleDefaults {
            self.take(vars, &role.call_vars, Some(format!("in role {}", role.full_name())));
        }
        self.take(Level::RoleParams, &role.params, Some(format!("in role {}", role.full_name())));
        for dependency in &role.dependencies {
            self.role(dependency, defaults, vars);
        }
    }

    /// A file of variables.
    fn file(&mut self, level: Level, path: &Path, scope: Option<String>) -> Result<(), Diag> {
        let source = Source::read(path).map_err(|err| Diag::error(super::chain(&err)))?;
        let (node, _) = yaml::load_one(&source)?;
        let name = self.name;
        if let Some(value) = node.get(name) {
            self.add(level, &value.span.to_string(), Some(written(value)), scope);
        }
        Ok(())
    }
}

fn in_play(play: &Play) -> Option<String> {
    let name = play.name.as_ref().and_then(Node::as_str).or_else(|| play.hosts.as_str()).unwrap_or("this one");
    Some(format!("in the play `{name}`"))
}

/// A value as its file has it, on one line; what is encrypted stays so.
fn written(node: &Node) -> String {
    if node.span.source.is_secret || matches!(node.kind, crate::source::Kind::Vault(_)) {
        return "(encrypted)".to_owned();
    }
    let text = node.span.text();
    let first = text.lines().next().unwrap_or_default().trim();
    if text.lines().count() > 1 { format!("{first} ...") } else { first.to_owned() }
}
