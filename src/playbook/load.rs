//! Reads playbook files into plays. Holds what one reading gathers on its way: findings, the play's handlers, roles that are imported.

use super::keywords::Place;
use super::search::{self, folder_of};
use super::{Entry, Findings, Keywords, Loader, Metadata, Play, Playbook, Role};
use crate::source::{Diag, Kind, Level, Node, Source, yaml};
use crate::vars::{VarMap, Variable};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One reading of a playbook, or of a file that is included at run time.
pub(super) struct Reading<'l> {
    pub loader: &'l Loader,
    findings: Findings,
    /// The folder of the playbook whose play is read.
    pub dir: PathBuf,
    pub play: Gathered,
    /// Files of includes that were looked into: each is, once; those that may not be reached, perhaps once more.
    looked_into: HashSet<(PathBuf, bool)>,
}

/// What the tasks of one play bring beside themselves.
#[derive(Default)]
pub(super) struct Gathered {
    /// Roles of `roles:` and `import_role`.
    pub roles: Vec<Arc<Role>>,
    /// Handlers of roles of `import_role`.
    pub handlers: Vec<Entry>,
    /// Names and topics that handlers answer to.
    pub handler_names: HashSet<String>,
    pub notified: Vec<Node>,
    /// Handlers may come that are not known before the run.
    pub is_open: bool,
}

/// Where a task stands: what it inherits, and where its files are.
#[derive(Clone)]
pub(super) struct Scope {
    pub keywords: Keywords,
    pub role: Option<Arc<Role>>,
    pub play_dir: PathBuf,
    /// The folder of the file that is being read.
    pub file_dir: PathBuf,
    /// The files that led here by import, for finding circles.
    pub files: Vec<PathBuf>,
    /// Variables that are known now, for the names of imports.
    pub known: Arc<VarMap>,
    pub is_handlers: bool,
}

impl Scope {
    pub(super) fn new(play_dir: PathBuf) -> Scope {
        let known = VarMap::from([("playbook_dir".to_owned(), path_variable(&play_dir))]);
        Scope {
            keywords: Keywords::default(),
            role: None,
            file_dir: play_dir.clone(),
            play_dir,
            files: Vec::new(),
            known: Arc::new(known),
            is_handlers: false,
        }
    }

    pub(super) fn place(&self) -> Place {
        if self.is_handlers { Place::Handler } else { Place::Task }
    }

    /// This scope, further inside.
    pub(super) fn inside(&self, keywords: Keywords) -> Scope {
        let mut scope = self.clone();
        for vars in &keywords.vars {
            scope.learn(vars);
        }
        scope.keywords = self.keywords.with(keywords);
        scope
    }

    /// Adds variables that beat those known so far.
    pub(super) fn learn(&mut self, vars: &VarMap) {
        if !vars.is_empty() {
            Arc::make_mut(&mut self.known).extend(vars.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
    }

    /// The kind of file that is read: the folder of a role that holds it.
    pub(super) fn tasks_folder(&self) -> &'static str {
        if self.is_handlers { "handlers" } else { "tasks" }
    }
}

pub(super) fn path_variable(path: &Path) -> Variable {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Variable::Data(path.to_string_lossy().into_owned().into())
}

impl<'l> Reading<'l> {
    pub(super) fn new(loader: &'l Loader, dir: &Path) -> Reading<'l> {
        Reading { loader, dir: dir.to_owned(), findings: Vec::new(), play: Gathered::default(), looked_into: HashSet::new() }
    }

    /// Whether an include is yet to be looked into.
    pub(super) fn is_new_include(&mut self, file: PathBuf, is_sure: bool) -> bool {
        !self.looked_into.contains(&(file.clone(), true)) && self.looked_into.insert((file, is_sure))
    }

    /// Reads what the run will read again: what it finds counts if it is sure to be reached; what it brings does not, but for the names of
    /// handlers.
    pub(super) fn looking_ahead(&mut self, is_sure: bool, read: impl FnOnce(&mut Self)) {
        let (n_roles, n_handlers) = (self.play.roles.len(), self.play.handlers.len());
        let (n_findings, n_notified) = (self.findings.len(), self.play.notified.len());
        read(self);
        self.play.roles.truncate(n_roles);
        self.play.handlers.truncate(n_handlers);
        if !is_sure {
            self.findings.truncate(n_findings);
            self.play.notified.truncate(n_notified);
        }
    }

    pub(super) fn say(&mut self, diag: Diag) {
        self.findings.push(diag);
    }

    /// What only this program finds before the run.
    pub(super) fn foresee(&mut self, diag: Diag) {
        if !self.loader.is_lenient {
            self.say(diag);
        }
    }

    /// What a check foresees.
    pub(super) fn findings_of(&mut self, check: impl FnOnce(&Loader) -> Vec<Diag>) {
        if !self.loader.is_lenient {
            self.findings.extend(check(self.loader));
        }
    }

    /// What the value's templates get wrong.
    pub(super) fn templates(&mut self, value: &Node) {
        self.findings_of(|loader| (loader.check)(value));
    }

    /// The warnings, if there was no error; else everything. What was found twice, through two imports of one file, is told once.
    pub(super) fn finish(self) -> Result<Vec<Diag>, Findings> {
        let mut seen = HashSet::new();
        let mut findings = self.findings;
        findings.retain(|diag| seen.insert((diag.title.clone(), diag.places.first().map(|(span, _)| span.to_string()))));
        // File by file as they were read, each from top to bottom.
        let file = |diag: &Diag| diag.places.first().map(|(span, _)| span.source.name.clone());
        let mut files: Vec<Option<String>> = Vec::new();
        for name in findings.iter().map(file) {
            if !files.contains(&name) {
                files.push(name);
            }
        }
        let start = |diag: &Diag| diag.places.first().map(|(span, _)| span.start);
        findings.sort_by_cached_key(|diag| (files.iter().position(|name| *name == file(diag)), start(diag)));
        if findings.iter().any(|diag| diag.level == Level::Error) { Err(findings) } else { Ok(findings) }
    }

    /// Reads a YAML file. `asked` is where it was asked for. `None`: it could not be read, and that has been said.
    pub(super) fn file(&mut self, path: &Path, asked: Option<&Node>) -> Option<Node> {
        let at = |diag: Diag| match asked {
            Some(node) => diag.at(&node.span),
            None => diag,
        };
        let source = match Source::read_noted(path) {
            Ok(source) => source,
            Err(err) => {
                self.say(at(err.into_diag()));
                return None;
            }
        };
        match yaml::load_one(&source) {
            Ok((node, warnings)) => {
                self.findings.extend(warnings);
                Some(node)
            }
            Err(diag) => {
                self.say(diag);
                None
            }
        }
    }

    /// A name that must be known before the run: rendered if it is a template.
    pub(super) fn rendered_name(&mut self, name: &Node, scope: &Scope) -> Option<String> {
        let rendered =
            if name.is_template() {
                match (self.loader.render)(name, &scope.known) {
                    Ok(rendered) => rendered,
                    Err(diag) => {
                        self.say(diag.hint(
                            "an import is resolved before the run: only variables of the playbook, its roles and `-e` are known then",
                        ));
                        return None;
                    }
                }
            } else {
                name.clone()
            };
        match rendered.as_str() {
            Some(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            _ => {
                self.wrong_shape("name", "a file's or role's name", &rendered);
                None
            }
        }
    }

    /// The plays of a playbook file.
    pub(super) fn playbook(&mut self, path: &Path, asked: Option<&Node>, scope: &Scope) -> Vec<Play> {
        if scope.files.iter().any(|file| same_file(file, path)) {
            let mut diag = Diag::error(format!("`{}` imports itself", path.display()));
            if let Some(asked) = asked {
                diag = diag.at(&asked.span);
            }
            self.say(diag);
            return Vec::new();
        }
        let mut scope = scope.clone();
        scope.files.push(path.to_owned());
        let Some(node) = self.file(path, asked) else { return Vec::new() };
        let entries = match &node.kind {
            Kind::Seq(entries) if !entries.is_empty() => entries,
            Kind::Seq(_) | Kind::Null => {
                self.say(Diag::error("A playbook must contain at least one play").at(&node.span));
                return Vec::new();
            }
            _ => {
                let diag = Diag::error(format!("a playbook must be a list of plays, not {}", node.kind_name())).at(&node.span);
                self.say(diag.hint("begin each play with `- hosts: ...`"));
                return Vec::new();
            }
        };
        let mut plays = Vec::new();
        for entry in entries {
            match entry.as_map() {
                Some(pairs) if is_import(pairs) => plays.extend(self.import_playbook(entry, pairs, &scope)),
                Some(pairs) => plays.extend(self.play(entry, pairs, &scope)),
                None => self.say(Diag::error(format!("a play must be a mapping, not {}", entry.kind_name())).at(&entry.span)),
            }
        }
        plays
    }

    fn import_playbook(&mut self, entry: &Node, pairs: &[(Node, Node)], scope: &Scope) -> Vec<Play> {
        let mut keywords = Keywords::default();
        let mut file = None;
        for (key, value) in pairs {
            match key.as_str().unwrap_or("") {
                "name" => self.templates(value),
                word @ ("when" | "tags" | "vars") => {
                    self.inherited(&mut keywords, word, value);
                }
                word if is_import_word(word) => file = Some(value),
                word => {
                    let diag = Diag::error(format!("`import_playbook` takes no `{word}`")).at(&key.span);
                    self.say(diag.did_you_mean(word, ["name", "when", "tags", "vars"]).note("beside it may stand: name, when, tags, vars"));
                }
            }
        }
        let file = file.unwrap_or(entry);
        let mut inner = scope.inside(keywords);
        let Some(name) = self.rendered_name(file, &inner) else { return Vec::new() };
        let path = self.loader.collection_playbook(&name, &inner.play_dir);
        let path = path.unwrap_or_else(|| search::tidy(&inner.play_dir.join(&name)));
        if !path.is_file() {
            self.say(Diag::error(format!("there is no playbook `{}`", path.display())).at(&file.span));
            return Vec::new();
        }
        inner.play_dir = folder_of(&path);
        inner.file_dir = inner.play_dir.clone();
        inner.learn(&VarMap::from([("playbook_dir".to_owned(), path_variable(&inner.play_dir))]));
        self.playbook(&path, Some(file), &inner)
    }

    fn play(&mut self, entry: &Node, pairs: &[(Node, Node)], scope: &Scope) -> Option<Play> {
        self.play = Gathered::default();
        self.dir.clone_from(&scope.play_dir);
        // What `import_playbook` said stands around the play, but its variables beat the play's, those of the outermost import first of all.
        let mut outer = scope.keywords.clone();
        let imported_vars = std::mem::take(&mut outer.vars);
        let mut own = Keywords::default();
        let mut play = Play {
            name: None,
            hosts: Node::new(Kind::Null, entry.span.clone()),
            vars: Arc::default(),
            vars_files: Vec::new(),
            vars_prompt: Vec::new(),
            gather_facts: None,
            gather_subset: None,
            gather_timeout: None,
            fact_path: None,
            serial: None,
            strategy: None,
            order: None,
            max_fail_percentage: None,
            force_handlers: None,
            validate_argspec: None,
            metadata: Metadata::default(),
            keywords: Keywords::default(),
            pre_tasks: Vec::new(),
            roles: Vec::new(),
            tasks: Vec::new(),
            post_tasks: Vec::new(),
            handlers: Vec::new(),
            static_roles: Vec::new(),
            dir: scope.play_dir.clone(),
            span: entry.span.clone(),
        };
        let mut vars = VarMap::new();
        let mut has_hosts = false;
        for (key, value) in pairs {
            let word = key.as_str().unwrap_or("");
            match word {
                "name" => play.name = self.string(word, value),
                "hosts" => {
                    has_hosts = true;
                    self.hosts(key, value);
                    play.hosts = value.clone();
                }
                "vars" => vars = self.vars(value, word).unwrap_or_default(),
                "vars_files" => play.vars_files = self.vars_files(value, scope),
                "vars_prompt" => play.vars_prompt = self.vars_prompt(value),
                "gather_facts" => play.gather_facts = self.boolean(word, value),
                "gather_subset" => play.gather_subset = (!self.strings(word, value).is_empty()).then(|| value.clone()),
                "gather_timeout" => play.gather_timeout = self.number(word, value),
                "fact_path" => play.fact_path = self.string(word, value),
                "serial" => play.serial = self.serial(value),
                "strategy" => play.strategy = self.one_of(word, value, &["linear", "free", "host_pinned", "debug"]),
                "order" => {
                    let orders = ["inventory", "reverse_inventory", "sorted", "reverse_sorted", "shuffle"];
                    play.order = self.one_of(word, value, &orders);
                }
                "max_fail_percentage" => play.max_fail_percentage = self.number(word, value),
                // The word of old.
                "user" => {
                    if pairs.iter().any(|(key, _)| key.as_str() == Some("remote_user")) {
                        let words =
                            "both 'user' and 'remote_user' are set for this play. The use of 'user' is deprecated, and should be removed";
                        self.say(Diag::error(words).at(&key.span));
                    }
                    self.inherited(&mut own, "remote_user", value);
                }
                "force_handlers" => play.force_handlers = self.boolean(word, value),
                "validate_argspec" => {
                    self.templates(value);
                    play.validate_argspec = (!value.is_null()).then(|| value.clone());
                    play.metadata = self.metadata(&entry.span.source.name);
                }
                // After the play's variables and keywords are known.
                "pre_tasks" | "roles" | "tasks" | "post_tasks" | "handlers" => {}
                _ if Place::Play.takes(word) && self.inherited(&mut own, word, value) => {}
                _ => self.unknown_word(Place::Play, key, &[]),
            }
        }
        if !has_hosts {
            self.say(Diag::error("a play needs `hosts`").at(&first_line(pairs, entry)));
        }
        vars.extend(imported_vars.iter().rev().flat_map(|vars| vars.iter()).map(|(name, value)| (name.clone(), value.clone())));
        let mut inner = Scope { keywords: outer.with(own), ..scope.clone() };
        inner.learn(&vars);
        play.vars = Arc::new(vars);
        play.keywords = inner.keywords.clone();

        let list = |word: &str| pairs.iter().find(|(key, _)| key.as_str() == Some(word)).map(|(_, value)| value);
        let mut handlers = Vec::new();
        if let Some(value) = list("roles") {
            play.roles = self.play_roles(value, &inner, &mut handlers);
        }
        if let Some(value) = list("handlers") {
            let own = self.entries(value, "handlers", &Scope { is_handlers: true, ..inner.clone() });
            handlers.extend(super::tasks::as_block(own, &value.span));
        }
        // In this order: of roles that are imported, the last beats the others.
        for (word, entries) in [("pre_tasks", &mut play.pre_tasks), ("post_tasks", &mut play.post_tasks), ("tasks", &mut play.tasks)] {
            if let Some(value) = list(word) {
                *entries = self.entries(value, word, &inner);
            }
        }
        let gathered = std::mem::take(&mut self.play);
        self.check_notified(&gathered);
        handlers.extend(gathered.handlers);
        play.handlers = handlers;
        play.static_roles = gathered.roles;
        Some(play)
    }

    /// What stands beside a playbook in a file of its own.
    fn metadata(&mut self, playbook: &str) -> Metadata {
        let extensions = [".yml", ".yaml", ".json"];
        let stem = extensions.iter().find_map(|extension| playbook.strip_suffix(extension)).unwrap_or(playbook);
        let candidates = extensions.iter().chain(&[""]).map(|extension| PathBuf::from(format!("{stem}.meta{extension}")));
        let looked_in: Vec<PathBuf> = candidates.map(|path| std::path::absolute(&path).unwrap_or(path)).collect();
        let path = looked_in.iter().find(|path| path.is_file()).cloned();
        let argument_specs = path.as_ref().and_then(|path| self.file(path, None)).and_then(|node| node.get("argument_specs").cloned());
        Metadata { path, looked_in, argument_specs }
    }

    fn hosts(&mut self, key: &Node, value: &Node) {
        let patterns = self.strings("hosts", value);
        let is_empty = |pattern: &Node| pattern.as_str().is_some_and(|text| text.trim().is_empty());
        let is_nothing = value.is_null() || value.as_seq().is_some_and(<[Node]>::is_empty);
        if is_nothing || patterns.iter().any(is_empty) {
            self.say(
                Diag::error("Hosts list cannot be empty. Please check your playbook")
                    .at(&key.span)
                    .hint("write `hosts: all`, a group or a host"),
            );
        }
    }

    /// Each a name, or a list of names of which the first that exists counts.
    fn vars_files(&mut self, value: &Node, scope: &Scope) -> Vec<Node> {
        if value.is_null() {
            return Vec::new();
        }
        let files = value.as_seq().unwrap_or(std::slice::from_ref(value));
        for file in files {
            let names = self.strings("vars_files", file);
            if names.iter().any(Node::is_template) {
                continue;
            }
            let exists = |name: &Node| search::find_file("vars", name.as_str()?, None, &scope.play_dir, &scope.play_dir).ok();
            if !names.is_empty() && names.iter().all(|name| exists(name).is_none()) {
                let title = match names.as_slice() {
                    [name] => format!("there is no file of variables `{}`", name.as_str().unwrap_or("")),
                    _ => "none of these files of variables exists".to_owned(),
                };
                self.say(Diag::error(title).at(&file.span));
            }
        }
        files.to_vec()
    }

    fn vars_prompt(&mut self, value: &Node) -> Vec<Node> {
        const WORDS: [&str; 9] = ["name", "prompt", "default", "private", "confirm", "encrypt", "salt", "salt_size", "unsafe"];
        let prompts = match &value.kind {
            Kind::Null => return Vec::new(),
            Kind::Seq(prompts) => prompts,
            _ => {
                self.wrong_shape("vars_prompt", "a list of mappings", value);
                return Vec::new();
            }
        };
        for prompt in prompts {
            let Some(pairs) = prompt.as_map() else {
                self.wrong_shape("vars_prompt", "a list of mappings", prompt);
                continue;
            };
            for (key, value) in pairs {
                let word = key.as_str().unwrap_or("");
                if !WORDS.contains(&word) {
                    self.say(
                        Diag::error(format!("Invalid vars_prompt data structure, found unsupported key '{word}'"))
                            .at(&key.span)
                            .did_you_mean(word, WORDS),
                    );
                } else if word == "name" {
                    self.variable_name(value);
                }
            }
            if prompt.get("name").is_none() {
                self.say(Diag::error("Invalid vars_prompt data structure, missing 'name' key").at(&prompt.span));
            }
        }
        prompts.clone()
    }

    /// A number, a percentage, or a list of these.
    fn serial(&mut self, value: &Node) -> Option<Node> {
        for part in value.as_seq().unwrap_or(std::slice::from_ref(value)) {
            let fits = match &part.kind {
                Kind::Null => return None,
                Kind::Int(_) => true,
                Kind::Str(string) => {
                    let number = string.text.trim().trim_end_matches('%');
                    part.is_template() || number.parse::<f64>().is_ok()
                }
                _ => false,
            };
            if fits {
                self.templates(part);
            } else {
                self.wrong_shape("serial", "a number, a percentage or a list of these", part);
            }
        }
        Some(value.clone())
    }
}

/// The first key of a mapping: where a finding about the whole of it points.
pub(super) fn first_line(pairs: &[(Node, Node)], whole: &Node) -> crate::source::Span {
    pairs.first().map_or(&whole.span, |(key, _)| &key.span).clone()
}

pub(super) fn same_file(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn is_import_word(word: &str) -> bool {
    matches!(word, "import_playbook" | "ansible.builtin.import_playbook" | "ansible.legacy.import_playbook")
}

fn is_import(pairs: &[(Node, Node)]) -> bool {
    pairs.iter().any(|(key, _)| key.as_str().is_some_and(is_import_word))
}

impl Loader {
    /// Reads a playbook with all that it imports.
    ///
    /// # Errors
    /// Everything that was found, warnings too.
    pub fn playbook(&self, path: &Path) -> Result<Playbook, Findings> {
        let mut reading = Reading::new(self, &folder_of(path));
        let plays = reading.playbook(path, None, &Scope::new(folder_of(path)));
        reading.finish().map(|warnings| Playbook { plays, warnings })
    }

    /// A playbook of one play that no file holds. Its files are looked for in `dir`.
    ///
    /// # Errors
    /// Everything that was found, warnings too.
    pub fn single(&self, play: &Node, dir: &Path) -> Result<Playbook, Findings> {
        let mut reading = Reading::new(self, dir);
        let read = reading.play(play, play.as_map().unwrap_or_default(), &Scope::new(dir.to_owned()));
        reading.finish().map(|warnings| Playbook { plays: read.into_iter().collect(), warnings })
    }
}
