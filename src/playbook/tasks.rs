//! Lists of tasks: blocks, tasks, and the imports that are resolved on the spot.

use super::action::Arguments;
use super::keywords::{Place, is_identifier, may_stand_beside_include};
use super::load::{Reading, Scope, first_line, same_file};
use super::search::{self, folder_of};
use super::{Block, Entry, Include, Keywords, Loop, LoopControl, Register, Task};
use crate::source::{Diag, Kind, Node, Span};
use std::path::Path;
use std::sync::Arc;

/// Words of a task that are of no use to an import, which is gone before the run.
const NOT_BESIDE_IMPORT: &[&str] = &["register", "until", "retries", "delay", "changed_when", "failed_when", "loop_control"];

impl Reading<'_> {
    /// A list of tasks and blocks. `what` is what holds it, for messages.
    pub(super) fn entries(&mut self, list: &Node, what: &str, scope: &Scope) -> Vec<Entry> {
        match &list.kind {
            Kind::Null => Vec::new(),
            Kind::Seq(entries) => entries.iter().flat_map(|entry| self.entry(entry, scope)).collect(),
            _ => {
                let said = list.span.text();
                let words = format!(
                    "A malformed block was encountered while loading {what}: {said} should be a list or None but is {}",
                    list.kind_name()
                );
                let diag = Diag::error(words).at(&list.span);
                self.say(diag.hint("each task begins with `- `"));
                Vec::new()
            }
        }
    }

    /// The tasks of a file.
    pub(super) fn tasks_file(&mut self, path: &Path, asked: Option<&Node>, scope: &Scope) -> Vec<Entry> {
        if scope.files.iter().any(|file| same_file(file, path)) {
            let diag = Diag::error(format!("`{}` imports itself", path.display()));
            let diag = asked.into_iter().fold(diag, |diag, asked| diag.at(&asked.span));
            self.say(diag.hint("an import is resolved before the run; `include_tasks` can repeat a file"));
            return Vec::new();
        }
        let Some(node) = self.file(path, asked) else { return Vec::new() };
        let mut inner = scope.clone();
        inner.files.push(path.to_owned());
        inner.file_dir = folder_of(path);
        if node.as_seq().is_none() && !node.is_null() {
            let diag = Diag::error(format!("a file of tasks must be a list of tasks, not {}", node.kind_name())).at(&node.span);
            self.say(if node.get("hosts").is_some() || node.get("tasks").is_some() {
                diag.hint("this looks like a play: `import_playbook` takes those")
            } else {
                diag.hint("each task begins with `- `")
            });
            return Vec::new();
        }
        self.entries(&node, "tasks", &inner)
    }

    fn entry(&mut self, entry: &Node, scope: &Scope) -> Vec<Entry> {
        let pairs = match &entry.kind {
            Kind::Map(pairs) if !pairs.is_empty() => pairs,
            Kind::Map(_) | Kind::Null => {
                self.say(Diag::error("this task is empty").at(&entry.span));
                return Vec::new();
            }
            _ => {
                self.say(Diag::error(format!("a task must be a mapping, not {}", entry.kind_name())).at(&entry.span));
                return Vec::new();
            }
        };
        if pairs.iter().any(|(key, _)| matches!(key.as_str(), Some("hosts" | "import_playbook"))) {
            let diag = Diag::error("a play cannot stand among tasks").at(&first_line(pairs, entry));
            self.say(diag.hint("a play begins in the first column of a playbook"));
            return Vec::new();
        }
        if pairs.iter().any(|(key, _)| matches!(key.as_str(), Some("block" | "rescue" | "always"))) {
            return self.block(entry, pairs, scope).into_iter().collect();
        }
        self.task(entry, pairs, scope)
    }

    fn block(&mut self, entry: &Node, pairs: &[(Node, Node)], scope: &Scope) -> Option<Entry> {
        let part = |word: &str| pairs.iter().find(|(key, _)| key.as_str() == Some(word));
        if scope.is_handlers {
            self.say(Diag::error("Using a block as a handler is not supported.").at(&first_line(pairs, entry)).hint("`include_tasks` can"));
            return None;
        }
        if part("block").is_none()
            && let Some((key, _)) = part("rescue").or(part("always"))
        {
            self.say(Diag::error(format!("`{}` needs a `block` beside it", key.as_str().unwrap_or(""))).at(&key.span));
        }
        let mut own = Keywords::default();
        let mut name = None;
        for (key, value) in pairs {
            match key.as_str().unwrap_or("") {
                "block" | "rescue" | "always" => {}
                "name" => name = self.name(value),
                word if Place::Block.takes(word) && self.inherited(&mut own, word, value) => {}
                word if Place::Task.takes(word) => {
                    let diag = Diag::error(format!("a block has no keyword `{word}`")).at(&key.span);
                    self.say(diag.hint(format!("`{word}` is a keyword of tasks; `include_tasks` can repeat several")));
                }
                _ => self.unknown_word(Place::Block, key, &[]),
            }
        }
        let inner = scope.inside(own);
        let mut list = |word: &str| part(word).map_or(Vec::new(), |(_, value)| self.entries(value, word, &inner));
        let block =
            Block { block: list("block"), rescue: list("rescue"), always: list("always"), name, role_call: None, span: entry.span.clone() };
        Some(Entry::Block(Arc::new(block)))
    }

    fn task(&mut self, entry: &Node, pairs: &[(Node, Node)], scope: &Scope) -> Vec<Entry> {
        let at = first_line(pairs, entry);
        let Some(chosen) = self.action(pairs, &at, scope) else {
            // The module is not known: the task's own words are looked at all the same.
            self.task_words(pairs, scope);
            return Vec::new();
        };
        let (mut own, mut task) = self.task_words(pairs, scope);
        if let Some(local) = &chosen.delegate_to {
            own.delegate_to = Some(local.clone());
        }
        let name = chosen.action.module.spec().name;
        let is_import = matches!(name, "ansible.builtin.import_tasks" | "ansible.builtin.import_role");
        let is_include = matches!(name, "ansible.builtin.include_tasks" | "ansible.builtin.include_role");
        if is_import {
            self.beside_import(pairs, &chosen.action.name, task.looped.as_ref());
        }
        if is_include {
            self.beside_include(pairs, &chosen.action.name, scope);
        }
        if scope.is_handlers && name.ends_with("_role") {
            let diag = Diag::error(format!("Using '{}' as a handler is not supported.", chosen.action.name)).at(&chosen.action.name_span);
            self.say(diag.hint("`include_tasks` can"));
            return Vec::new();
        }
        let arguments = Arguments { action: &chosen.action, keywords: &own.module_defaults, outer: &scope.keywords.module_defaults };
        if name == "ansible.builtin.meta" && chosen.action.args.iter().any(|(_, value)| value.as_str() == Some("end_role")) {
            let from = if scope.is_handlers { Some("from a handler") } else { scope.role.is_none().then_some("from outside of a role") };
            if let Some(from) = from {
                self.say(Diag::error(format!("Cannot execute 'end_role' {from}")).at(&chosen.action.name_span));
            }
        }
        if chosen.action.computed.is_none() {
            self.check_arguments(&arguments);
        }
        match name {
            "ansible.builtin.import_tasks" => return self.import_tasks(&chosen.action, own, scope),
            "ansible.builtin.import_role" => return self.import_role(&chosen.action, own, scope),
            _ => {}
        }
        if scope.is_handlers {
            self.handler_names(&task, scope);
        }
        if is_include {
            let conditional = !own.when.is_empty() || !scope.keywords.when.is_empty();
            task.include = self.include(&chosen.action, &own, scope, conditional);
        } else {
            self.check_files(&chosen.action, scope);
        }
        let mut keywords = scope.keywords.with(own);
        task.notify = std::mem::take(&mut keywords.notify);
        let task = Task {
            name: task.name,
            action: chosen.action,
            keywords,
            looped: task.looped,
            register: task.register,
            asynchronous: task.asynchronous,
            poll: task.poll,
            until: task.until,
            retries: task.retries,
            delay: task.delay,
            changed_when: task.changed_when,
            failed_when: task.failed_when,
            notify: task.notify,
            listen: task.listen,
            role: scope.role.clone(),
            include: task.include,
            span: entry.span.clone(),
        };
        vec![Entry::Task(Arc::new(task))]
    }

    /// All words of a task but its module.
    fn task_words(&mut self, pairs: &[(Node, Node)], scope: &Scope) -> (Keywords, Words) {
        let mut own = Keywords::default();
        let mut words = Words::default();
        let mut control = None;
        for (key, value) in pairs {
            let word = key.as_str().unwrap_or("");
            match word {
                "name" => words.name = self.name(value),
                "register" => words.register = self.register(value),
                "until" => words.until = self.condition(word, value),
                "changed_when" => words.changed_when = self.condition(word, value),
                "failed_when" => words.failed_when = self.condition(word, value),
                "retries" => words.retries = self.number(word, value),
                "delay" => words.delay = self.number(word, value),
                "listen" if scope.is_handlers => words.listen = self.strings(word, value),
                "loop_control" => control = Some((key, self.loop_control(value))),
                "async" => words.asynchronous = self.number(word, value),
                "poll" => words.poll = self.number(word, value),
                _ if word == "loop" || word.starts_with("with_") => {
                    if value.is_null() {
                        continue;
                    }
                    if words.looped.is_some() {
                        self.say(Diag::error("a task can have only one loop").at(&key.span));
                    }
                    words.looped = Some(self.looped(key, word, value));
                }
                _ if scope.place().takes(word) => {
                    self.inherited(&mut own, word, value);
                }
                _ => {}
            }
        }
        match (control, &mut words.looped) {
            (Some((_, control)), Some(looped)) => looped.control = control,
            (Some((key, _)), None) => {
                self.say(Diag::error("`loop_control` needs a loop beside it").at(&key.span));
            }
            (None, _) => {}
        }
        (own, words)
    }

    /// A name may fail to render without stopping the run.
    fn name(&mut self, value: &Node) -> Option<Node> {
        if value.is_null() {
            return None;
        }
        if value.as_seq().is_some() || value.as_map().is_some() {
            self.wrong_shape("name", "a string", value);
            return None;
        }
        self.findings_of(|loader| {
            (loader.check)(value).into_iter().map(|diag| Diag { level: crate::source::Level::Warning, ..diag }).collect()
        });
        Some(value.clone())
    }

    fn register(&mut self, value: &Node) -> Option<Register> {
        match &value.kind {
            Kind::Null => None,
            Kind::Str(string) => {
                self.registered_name(value);
                Some(Register::Whole(string.text.to_string()))
            }
            Kind::Map(pairs) => {
                let mut parts = Vec::new();
                for (key, expression) in pairs {
                    let Some(name) = key.as_str() else {
                        self.wrong_shape("register", "a mapping of names to expressions", key);
                        continue;
                    };
                    self.registered_name(key);
                    parts.push((name.to_owned(), Arc::new(self.part_of_result(expression))));
                }
                Some(Register::Parts(parts))
            }
            _ => {
                self.registered_name(value);
                None
            }
        }
    }

    fn registered_name(&mut self, name: &Node) {
        if !name.as_str().is_some_and(is_identifier) {
            let diag = Diag::error(format!("Invalid 'register' specified: Invalid variable name '{}'.", name.span.text())).at(&name.span);
            self.say(diag.hint("a name has letters, digits and `_`, and does not begin with a digit"));
        }
    }

    /// An expression over a task's result, as a template. What is no text is itself.
    fn part_of_result(&mut self, expression: &Node) -> Node {
        match expression.as_str() {
            Some(text) if expression.is_template() => {
                let title = format!("`register` takes expressions without braces, not `{text}`");
                self.say(Diag::error(title).at(&expression.span));
                expression.clone()
            }
            Some(text) => {
                self.findings_of(|loader| (loader.check_condition)(expression));
                Node::string(format!("{{{{ {text} }}}}"), expression.span.clone())
            }
            None => expression.clone(),
        }
    }

    fn looped(&mut self, key: &Node, word: &str, value: &Node) -> Loop {
        let lookup = word.strip_prefix("with_").map(str::to_owned);
        match &lookup {
            Some(lookup) if !(self.loader.has_lookup)(lookup) => {
                let known =
                    ["items", "list", "dict", "fileglob", "first_found", "nested", "sequence", "subelements", "together", "indexed_items"];
                let known = known.into_iter().filter(|known| (self.loader.has_lookup)(known)).collect::<Vec<_>>();
                let diag = Diag::error(format!("there is no lookup `{lookup}` for `{word}`")).at(&key.span);
                self.say(diag.did_you_mean(lookup, known));
            }
            Some(_) => {}
            None if value.is_template() || value.as_seq().is_some() => {}
            None => {
                let diag = Diag::error(format!("`loop` needs a list, not {}", value.kind_name())).at(&value.span);
                self.say(match value.as_str() {
                    Some(text) if is_identifier(text) => diag.hint(format!("for the variable, write \"{{{{ {text} }}}}\"")),
                    _ if value.as_map().is_some() => diag.hint("`with_dict` loops over a mapping; or use the filter `dict2items`"),
                    _ => diag,
                });
            }
        }
        self.templates(value);
        Loop { lookup, over: value.clone(), control: LoopControl::default() }
    }

    fn loop_control(&mut self, value: &Node) -> LoopControl {
        const WORDS: [&str; 7] = ["loop_var", "index_var", "label", "pause", "extended", "extended_allitems", "break_when"];
        let mut control = LoopControl::default();
        if value.is_null() {
            return control;
        }
        let Some(pairs) = value.as_map() else {
            self.wrong_shape("loop_control", "a mapping", value);
            return control;
        };
        for (key, value) in pairs {
            let word = key.as_str().unwrap_or("");
            match word {
                "loop_var" | "index_var" => {
                    if !value.is_template() && !self.loader.is_lenient {
                        self.variable_name(value);
                    }
                    let into = if word == "loop_var" { &mut control.loop_var } else { &mut control.index_var };
                    *into = self.string(word, value);
                }
                "label" => {
                    self.templates(value);
                    control.label = Some(value.clone());
                }
                "pause" => control.pause = self.number(word, value),
                "extended" => control.extended = self.boolean(word, value),
                "extended_allitems" => control.extended_allitems = self.boolean(word, value),
                "break_when" => control.break_when = self.condition(word, value),
                _ => {
                    let diag = Diag::error(format!("`loop_control` has no keyword `{word}`")).at(&key.span);
                    self.say(diag.did_you_mean(word, WORDS));
                }
            }
        }
        control
    }

    fn handler_names(&mut self, task: &Words, scope: &Scope) {
        for name in task.name.iter().chain(&task.listen) {
            if name.is_template() {
                self.play.is_open = true;
            }
        }
        for topic in task.listen.iter().filter_map(Node::as_str) {
            self.play.handler_names.insert(topic.to_owned());
        }
        if let Some(name) = task.name.as_ref().and_then(Node::as_str) {
            if let Some(role) = &scope.role {
                self.play.handler_names.insert(format!("{} : {name}", role.name));
                self.play.handler_names.insert(format!("{} : {name}", role.full_name()));
            }
            self.play.handler_names.insert(name.to_owned());
        }
    }

    fn beside_import(&mut self, pairs: &[(Node, Node)], import: &str, looped: Option<&Loop>) {
        let include = import.replace("import", "include");
        for (key, _) in pairs {
            let word = key.as_str().unwrap_or("");
            if word == "loop" || word.starts_with("with_") {
                if looped.is_some() {
                    let diag = Diag::error(format!("`{import}` cannot be looped: it is resolved before the run")).at(&key.span);
                    self.say(diag.hint(format!("`{include}` can")));
                }
            } else if NOT_BESIDE_IMPORT.contains(&word) {
                let diag = Diag::error(format!("`{word}` has no effect beside `{import}`")).at(&key.span);
                self.say(diag.hint(format!("`{include}` has a result; an import is only its tasks")));
            }
        }
    }

    fn beside_include(&mut self, pairs: &[(Node, Node)], include: &str, scope: &Scope) {
        for (key, _) in pairs {
            let word = key.as_str().unwrap_or("");
            if scope.place().takes(word) && !may_stand_beside_include(word) {
                let diag = Diag::error(format!("`{word}` cannot stand beside `{include}`")).at(&key.span);
                self.say(if Place::Apply.takes(word) {
                    diag.hint(format!("to give it to the tasks that are included, put `{word}` under `apply`, an argument of `{include}`"))
                } else {
                    diag
                });
            }
        }
    }

    fn import_tasks(&mut self, action: &super::Action, own: Keywords, scope: &Scope) -> Vec<Entry> {
        if let Some((_, apply)) = action.args.iter().find(|(word, _)| word == "apply") {
            let diag = Diag::error("`import_tasks` takes no `apply`").at(&apply.span);
            self.say(diag.hint("what stands beside an import is given to its tasks"));
        }
        let Some((_, file)) = action.args.iter().find(|(word, _)| word == "file") else { return Vec::new() };
        let inner = scope.inside(own);
        let Some(name) = self.rendered_name(file, &inner) else { return Vec::new() };
        match self.find_tasks(&name, file, &inner) {
            Some(path) => self.tasks_file(&path, Some(file), &inner),
            None => Vec::new(),
        }
    }

    /// A file of tasks that must be there.
    pub(super) fn find_tasks(&mut self, name: &str, asked: &Node, scope: &Scope) -> Option<std::path::PathBuf> {
        let found = search::find_tasks(scope.tasks_folder(), name, scope.role.as_ref(), &scope.play_dir, &scope.file_dir);
        found.map_err(|looked_in| self.say(missing_file(&format!("there is no file of tasks `{name}`"), &looked_in, &asked.span))).ok()
    }

    /// What an include hands down. What it names is looked into already, if it will be reached for sure.
    fn include(&mut self, action: &super::Action, own: &Keywords, scope: &Scope, conditional: bool) -> Option<Include> {
        let mut applied = Keywords::default();
        if let Some((_, apply)) = action.args.iter().find(|(word, _)| word == "apply") {
            self.apply(apply, &mut applied);
        }
        let include = Include { keywords: scope.keywords.with(applied), vars: own.vars.first().cloned().unwrap_or_default() };
        // A circle through an include may end at run time.
        let mut inner = Scope { keywords: include.keywords.clone(), files: Vec::new(), ..scope.clone() };
        inner.learn(&include.vars);
        // What is included is read when the run gets there, and its handlers are not known before.
        if self.loader.is_lenient {
            self.play.is_open = true;
        } else if action.module.spec().name == "ansible.builtin.include_role" {
            self.look_into_role(action, &inner, conditional);
        } else if let Some((_, file)) = action.args.iter().find(|(word, _)| word == "file") {
            match file.as_str() {
                Some(name) if !file.is_template() => match self.find_tasks(name, file, &inner) {
                    Some(path) => self.look_into_tasks(&path, file, &inner, !conditional),
                    None => self.play.is_open = true,
                },
                _ => self.play.is_open = true,
            }
        } else {
            self.play.is_open = true;
        }
        Some(include)
    }

    fn apply(&mut self, apply: &Node, applied: &mut Keywords) {
        let Some(pairs) = apply.as_map() else {
            if !apply.is_null() {
                self.wrong_shape("apply", "a mapping of keywords", apply);
            }
            return;
        };
        for (key, value) in pairs {
            let word = key.as_str().unwrap_or("");
            if !(Place::Apply.takes(word) && self.inherited(applied, word, value)) && word != "name" {
                self.unknown_word(Place::Apply, key, &[]);
            }
        }
    }

    fn look_into_tasks(&mut self, path: &Path, asked: &Node, scope: &Scope, is_sure: bool) {
        if self.is_new_include(path.to_owned(), is_sure) {
            self.looking_ahead(is_sure, |reading| {
                reading.tasks_file(path, Some(asked), scope);
            });
        }
    }
}

/// What a task says beside its module and its inherited keywords.
#[derive(Default)]
struct Words {
    name: Option<Node>,
    looped: Option<Loop>,
    register: Option<Register>,
    asynchronous: Option<Node>,
    poll: Option<Node>,
    until: Option<Node>,
    retries: Option<Node>,
    delay: Option<Node>,
    changed_when: Option<Node>,
    failed_when: Option<Node>,
    notify: Vec<Node>,
    listen: Vec<Node>,
    include: Option<Include>,
}

/// Entries as one block without a say of its own. `None` if there are none.
pub(super) fn as_block(entries: Vec<Entry>, span: &Span) -> Option<Entry> {
    if entries.is_empty() {
        return None;
    }
    let block = Block { name: None, block: entries, rescue: Vec::new(), always: Vec::new(), role_call: None, span: span.clone() };
    Some(Entry::Block(Arc::new(block)))
}

/// A file that was looked for in vain.
pub(super) fn missing_file(title: &str, looked_in: &[std::path::PathBuf], at: &Span) -> Diag {
    let looked: Vec<String> = looked_in.iter().map(|path| format!("`{}`", path.display())).collect();
    Diag::error(title).at(at).note(format!("looked for {}", looked.join(", ")))
}
