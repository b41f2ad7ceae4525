//! Which facts a run can ask for: those whose names stand in what it reads. Where a name may be made up as it goes, or a file is known only
//! when the run gets there, it may be any.
//!
//! Texts are searched, not understood: a name in a comment is a name, too. What is left out can be read by nobody, so that nobody can tell.

mod words;

use super::Run;
use crate::playbook::{Entry, Play, Playbook, Role, RoleRequest, Task, search};
use crate::source::{Kind, Node, Source};
use crate::vars::{Level, VarMap, Variable, View};
use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// So many files are looked into at most.
const MOST_FILES: usize = 2000;

/// The facts that the playbooks name, without `ansible_`. `None`: they may ask for any.
pub fn of(run: &Run, playbooks: &[(PathBuf, Playbook)]) -> Option<BTreeSet<String>> {
    let mut search = Search { run, names: BTreeSet::new(), seen: HashSet::new() };
    search.variables(&run.settings.extra_vars)?;
    let inventory = run.inventory();
    for host in inventory.hosts().into_iter().chain([Arc::from("localhost")]) {
        for (_, vars) in inventory.layers(&host) {
            search.variables(&vars)?;
        }
    }
    drop(inventory);
    for (path, playbook) in playbooks {
        search.variables_beside(&search::folder_of(path))?;
        playbook.plays.iter().try_for_each(|play| search.play(play))?;
    }
    Some(search.names)
}

/// Every step gives nothing where anything might be asked for.
struct Search<'a> {
    run: &'a Run,
    names: BTreeSet<String>,
    /// Files, and what was included, by name.
    seen: HashSet<String>,
}

/// A place in the play, from which files are found.
struct Around<'a> {
    play: &'a Play,
    task: &'a Task,
}

impl Search<'_> {
    fn is_new(&mut self, name: String) -> Option<bool> {
        let is_new = self.seen.insert(name);
        (self.seen.len() <= MOST_FILES).then_some(is_new)
    }

    fn source(&mut self, source: &Source) -> Option<()> {
        // What was given on the command line has one name, and is short.
        if source.name.starts_with('<') || self.is_new(source.name.clone())? {
            words::collect(&source.text, &mut self.names)?;
        }
        Some(())
    }

    fn file(&mut self, path: &Path) -> Option<Arc<Source>> {
        let source = Source::read(path).ok()?;
        self.source(&source)?;
        Some(source)
    }

    fn variables(&mut self, vars: &VarMap) -> Option<()> {
        for variable in vars.values() {
            if let Variable::Node(node) = variable {
                self.node(node)?;
            }
        }
        Some(())
    }

    fn node(&mut self, node: &Node) -> Option<()> {
        self.source(&node.span.source)?;
        match &node.kind {
            Kind::Vault(_) => None,
            // What the command line made of a text stands in no file as it is.
            Kind::Str(text) => words::collect(&text.text, &mut self.names),
            Kind::Seq(items) => items.iter().try_for_each(|item| self.node(item)),
            Kind::Map(pairs) => pairs.iter().try_for_each(|(_, value)| self.node(value)),
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) => Some(()),
        }
    }

    /// Variables that the inventory gets to know when the play begins.
    fn variables_beside(&mut self, dir: &Path) -> Option<()> {
        ["group_vars", "host_vars"].iter().try_for_each(|folder| self.folder(&dir.join(folder)))
    }

    fn play(&mut self, play: &Play) -> Option<()> {
        self.source(&play.span.source)?;
        self.variables_beside(&play.dir)?;
        if !play.vars_prompt.is_empty() {
            return None;
        }
        if let Some(specs) = &play.metadata.argument_specs {
            self.source(&specs.span.source)?;
        }
        for node in &play.vars_files {
            let names: Vec<&Node> = node.as_seq().map_or_else(|| vec![node], |all| all.iter().collect());
            for name in names {
                self.vars_file(literal(name)?, &play.dir)?;
            }
        }
        self.variables(&play.vars)?;
        play.static_roles.iter().try_for_each(|role| self.role(role))?;
        for section in [&play.pre_tasks, &play.roles, &play.tasks, &play.post_tasks, &play.handlers] {
            self.entries(section, play)?;
        }
        Some(())
    }

    /// One of `vars_files`, in whichever of the places it stands.
    fn vars_file(&mut self, name: &str, dir: &Path) -> Option<()> {
        let mut found: Vec<PathBuf> = [dir.join(name), dir.join("vars").join(name)].into();
        found.retain(|path| path.is_file());
        found.iter().try_for_each(|path| self.file(path).map(drop))?;
        (!found.is_empty()).then_some(())
    }

    /// What a role brings beside its tasks: all files that may be asked for.
    fn role(&mut self, role: &Arc<Role>) -> Option<()> {
        if !self.is_new(format!("role {}", role.path.display()))? {
            return Some(());
        }
        role.dependencies.iter().chain(&role.parent).try_for_each(|role| self.role(role))?;
        ["defaults", "vars", "meta"].iter().try_for_each(|folder| self.folder(&role.path.join(folder)))
    }

    fn folder(&mut self, folder: &Path) -> Option<()> {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.ok()?.path();
            if path.is_dir() {
                self.folder(&path)?;
            } else {
                self.file(&path)?;
            }
        }
        Some(())
    }

    fn entries(&mut self, entries: &[Entry], play: &Play) -> Option<()> {
        for entry in entries {
            match entry {
                Entry::Task(task) => self.task(&Around { play, task })?,
                Entry::Block(block) => {
                    self.source(&block.span.source)?;
                    if let Some(call) = &block.role_call {
                        self.role(&call.role)?;
                    }
                    [&block.block, &block.rescue, &block.always].into_iter().try_for_each(|part| self.entries(part, play))?;
                }
            }
        }
        Some(())
    }

    fn task(&mut self, around: &Around) -> Option<()> {
        let task = around.task;
        self.source(&task.span.source)?;
        task.role.iter().try_for_each(|role| self.role(role))?;
        if task.action.computed.is_some() {
            return None;
        }
        let lookup = task.looped.as_ref().and_then(|looped| looped.lookup.as_deref()).unwrap_or_default();
        if matches!(lookup.rsplit('.').next(), Some("vars" | "varnames" | "template")) {
            return None;
        }
        match task.action.module.spec().short_name() {
            // What it makes up is a name.
            "debug" => task.action.args.iter().all(|(name, node)| name != "var" || !node.is_template()).then_some(()),
            // Groups bring variables that nobody has read yet.
            "add_host" | "group_by" => None,
            "meta" => task.action.args.iter().all(|(_, node)| node.as_str() != Some("refresh_inventory")).then_some(()),
            "template" => around.files(self.run, "src")?.iter().try_for_each(|name| self.template(name, around)),
            "include_vars" => around.files(self.run, "file")?.iter().try_for_each(|name| {
                let path = around.find(search::find_file, "vars", name)?;
                self.file(&path).map(drop)
            }),
            "include_tasks" => around.files(self.run, "file")?.iter().try_for_each(|name| self.tasks(name, around)),
            "include_role" => around.files(self.run, "name")?.iter().try_for_each(|name| self.included_role(name, around)),
            _ => Some(()),
        }
    }

    fn template(&mut self, name: &str, around: &Around) -> Option<()> {
        let source = self.file(&around.find(search::find_file, "templates", name)?)?;
        // Other files, which would have to be found as a template finds them.
        let leads_on = ["include", "import", "extends", "from"].iter().any(|word| words::has_statement(&source.text, word));
        (!leads_on).then_some(())
    }

    fn tasks(&mut self, name: &str, around: &Around) -> Option<()> {
        let task = around.task;
        let path = ["tasks", "handlers"].iter().find_map(|kind| around.find(search::find_tasks, kind, name))?;
        if !self.is_new(format!("tasks {}", path.display()))? {
            return Some(());
        }
        self.file(&path)?;
        let keywords = &task.include.as_ref()?.keywords;
        let loaded = self.run.loader.tasks(&path, keywords, task.role.as_ref(), &around.play.dir, false).ok()?;
        loaded.roles.iter().try_for_each(|role| self.role(role))?;
        self.entries(&loaded.entries, around.play)?;
        self.entries(&loaded.handlers, around.play)
    }

    fn included_role(&mut self, name: &str, around: &Around) -> Option<()> {
        let task = around.task;
        let part = |word: &str| match task.action.args.iter().find(|(name, _)| name == word) {
            Some((_, node)) => literal(node).map(str::to_owned),
            None => Some("main".to_owned()),
        };
        let request = RoleRequest {
            tasks_from: part("tasks_from")?,
            vars_from: part("vars_from")?,
            defaults_from: part("defaults_from")?,
            handlers_from: part("handlers_from")?,
            validates: true,
            ..RoleRequest::main(Node::string(name, task.span.clone()))
        };
        if !self.is_new(format!("role {name} {} {}", request.tasks_from, request.handlers_from))? {
            return Some(());
        }
        let loaded = self.run.loader.role(&request, &task.include.as_ref()?.keywords, task.role.as_ref(), &around.play.dir).ok()?;
        self.role(&loaded.role)?;
        loaded.roles.iter().try_for_each(|role| self.role(role))?;
        self.entries(&loaded.entries, around.play)?;
        self.entries(&loaded.handlers, around.play)
    }
}

type Finder = fn(&str, &str, Option<&Arc<Role>>, &Path, &Path) -> Result<PathBuf, Vec<PathBuf>>;

impl Around<'_> {
    fn find(&self, find: Finder, kind: &str, name: &str) -> Option<PathBuf> {
        let task_dir = search::folder_of(Path::new(&self.task.span.source.name));
        find(kind, name, self.task.role.as_ref(), &self.play.dir, &task_dir).ok()
    }

    /// The file or files that an argument names: as it stands there, or for each of the items that stand there.
    fn files(&self, run: &Run, argument: &str) -> Option<Vec<String>> {
        let action = &self.task.action;
        let param = action.module.spec().param(argument)?;
        if action.args_from.is_some() || action.args.iter().any(|(name, _)| name == "dir") {
            return None;
        }
        let (_, node) = action.args.iter().find(|(name, _)| param.answers_to(name))?;
        if let Some(name) = literal(node) {
            return Some(vec![name.to_owned()]);
        }
        let looped = self.task.looped.as_ref().filter(|looped| matches!(looped.lookup.as_deref(), None | Some("items")))?;
        let loop_var = looped.control.loop_var.as_ref().map_or(Some("item"), literal)?;
        let items = looped.over.as_seq().filter(|items| items.iter().all(|item| item.as_seq().is_none()))?;
        let name = |item: &Node| {
            // Whoever needs more than the item cannot be known yet.
            let vars = VarMap::from([(loop_var.to_owned(), item.clone().into())]);
            let view = Arc::new(View::default().with(Level::Loop, Arc::new(vars)));
            Some(run.templar.render(node, &view).ok()?.as_str()?.to_owned())
        };
        items.iter().map(name).collect()
    }
}

/// A text that is no template.
fn literal(node: &Node) -> Option<&str> {
    node.as_str().filter(|_| !node.is_template())
}
