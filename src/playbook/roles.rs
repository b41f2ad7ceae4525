//! Roles: where they are, what their files say, what they depend on; `roles:` and `import_role`.

use super::checks::plain;
use super::keywords::Place;
use super::load::{Reading, Scope, first_line, path_variable, same_file};
use super::search::{ancestors, tidy};
use super::{Action, Block, Entry, Keywords, Role, RoleCall, Task};
use crate::source::{Diag, Kind, Node};
use crate::vars::{VarMap, Variable, combine};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const META: &[&str] = &["allow_duplicates", "argument_specs", "collections", "dependencies", "galaxy_info", "standalone"];
const EXTENSIONS: &[&str] = &[".yml", ".yaml", ".json"];

/// One place that asks for a role.
pub(super) struct Call {
    /// The name or path, rendered, and where it stands.
    pub(super) name: String,
    pub(super) asked: Node,
    /// What the call says of its tasks.
    pub(super) keywords: Keywords,
    pub(super) params: Arc<VarMap>,
    pub(super) vars: Arc<VarMap>,
    pub(super) files: Files,
    /// What tells this call from others of the same role, as text.
    pub(super) key: String,
    /// Said by the call, which then counts more than the role's own word.
    pub(super) allow_duplicates: Option<bool>,
    /// Whether what the role is given is checked against its argument specs.
    pub(super) validates: bool,
    pub(super) is_dependency: bool,
}

/// Which of its files a role is read from.
pub(super) struct Files {
    pub(super) tasks: String,
    pub(super) vars: String,
    pub(super) defaults: String,
    pub(super) handlers: String,
}

impl Files {
    pub(super) fn key(&self) -> String {
        format!("{} {} {} {}", self.tasks, self.vars, self.defaults, self.handlers)
    }
}

impl Default for Files {
    fn default() -> Files {
        let main = || "main".to_owned();
        Files { tasks: main(), vars: main(), defaults: main(), handlers: main() }
    }
}

/// A role with what it brings.
pub(super) struct Read {
    pub(super) role: Arc<Role>,
    pub(super) entries: Vec<Entry>,
    pub(super) handlers: Vec<Entry>,
    /// Dependencies first.
    pub(super) roles: Vec<Arc<Role>>,
}

impl Reading<'_> {
    /// `roles:` of a play: a block per role. Their handlers are added to `handlers`.
    pub(super) fn play_roles(&mut self, value: &Node, scope: &Scope, handlers: &mut Vec<Entry>) -> Vec<Entry> {
        let mut entries = Vec::new();
        for call in self.calls("roles", value, scope) {
            if let Some(read) = self.role(call, scope) {
                entries.extend(read.entries);
                handlers.extend(read.handlers);
                if !self.loader.private_role_vars {
                    self.play.roles.extend(read.roles);
                }
            }
        }
        entries
    }

    /// A list of roles: names, or mappings with keywords and parameters.
    fn calls(&mut self, what: &str, value: &Node, scope: &Scope) -> Vec<Call> {
        match &value.kind {
            Kind::Null => Vec::new(),
            Kind::Seq(items) => items.iter().filter_map(|item| self.call(item, scope)).collect(),
            _ => {
                let words = match what {
                    "roles" => "A malformed role declaration was encountered.".to_owned(),
                    _ => format!("`{what}` must be a list of roles, not {}", value.kind_name()),
                };
                self.say(Diag::error(words).at(&value.span));
                Vec::new()
            }
        }
    }

    fn call(&mut self, item: &Node, scope: &Scope) -> Option<Call> {
        let mut keywords = Keywords::default();
        let (mut params, mut vars) = (VarMap::new(), VarMap::new());
        let mut asked = None;
        match &item.kind {
            Kind::Str(string) if string.text.contains(',') && !item.is_template() => {
                let words = format!("Invalid old style role requirement: {}", string.text);
                self.say(Diag::error(words).at(&item.span));
                return None;
            }
            Kind::Str(_) => asked = Some(item),
            Kind::Map(pairs) => {
                for (key, value) in pairs {
                    match key.as_str().unwrap_or("") {
                        "role" => asked = Some(value),
                        "name" => asked = asked.or(Some(value)),
                        // They are the role's, not its tasks': variables of a role that it depends on beat them.
                        "vars" => vars = self.vars(value, "vars").unwrap_or_default(),
                        word if Place::Role.takes(word) => {
                            self.inherited(&mut keywords, word, value);
                        }
                        word if super::keywords::refused(word).is_some() => self.unknown_word(Place::Role, key, &[]),
                        // Whatever is no keyword is a parameter.
                        _ => {
                            if let Some(name) = self.variable_name(key) {
                                self.templates(value);
                                params.insert(name, Variable::from(value.clone()));
                            }
                        }
                    }
                }
                if asked.is_none() {
                    let at = first_line(pairs, item);
                    self.say(Diag::error("this role has no name").at(&at).hint("begin with `- role: NAME`"));
                    return None;
                }
            }
            _ => {
                self.say(Diag::error(format!("a role must be a name or a mapping, not {}", item.kind_name())).at(&item.span));
                return None;
            }
        }
        let asked = asked?.clone();
        let name = self.rendered_name(&asked, &scope.inside(keywords.clone()))?;
        // The order in which a call's words stand tells no two apart.
        let mut words: Vec<String> = item
            .as_map()
            .unwrap_or(&[])
            .iter()
            .filter(|(key, _)| {
                let word = key.as_str().unwrap_or("");
                matches!(word, "tags" | "when" | "vars") || !Place::Role.takes(word)
            })
            .map(|(key, value)| format!("{}={}", key.as_str().unwrap_or(""), plain(value).unwrap_or_default()))
            .collect();
        words.sort();
        Some(Call {
            name,
            asked,
            keywords,
            params: Arc::new(params),
            vars: Arc::new(vars),
            files: Files::default(),
            key: words.join(" "),
            allow_duplicates: None,
            validates: true,
            is_dependency: false,
        })
    }

    /// `import_role`: the role's blocks in the place of the task.
    pub(super) fn import_role(&mut self, action: &Action, own: Keywords, scope: &Scope) -> Vec<Entry> {
        if let Some((_, apply)) = action.args.iter().find(|(word, _)| word == "apply") {
            let diag = Diag::error("`import_role` takes no `apply`").at(&apply.span);
            self.say(diag.hint("what stands beside an import is given to its tasks"));
        }
        let inner = scope.inside(own);
        let Some(call) = self.call_of(action, &inner) else { return Vec::new() };
        let Some(read) = self.role(call, &inner) else { return Vec::new() };
        let public = action.args.iter().find(|(word, _)| word == "public").and_then(|(_, value)| truth(value));
        if public.unwrap_or(!self.loader.private_role_vars) {
            self.play.roles.extend(read.roles);
        }
        self.play.handlers.extend(read.handlers);
        read.entries
    }

    /// `include_role` with names that are known: what is wrong in the role is found before the run.
    pub(super) fn look_into_role(&mut self, action: &Action, scope: &Scope, conditional: bool) {
        let is_template = action.args.iter().any(|(word, value)| word != "apply" && value.is_template());
        if is_template || action.args_from.is_some() {
            self.play.is_open = true;
            return;
        }
        let Some(call) = self.call_of(action, scope) else { return };
        let Some(path) = self.find_role(&call.name, scope) else {
            self.play.is_open = true;
            return self.no_such_role(&call, scope);
        };
        // Once, for a role may include itself.
        if self.is_new_include(path.join(&call.key), !conditional) {
            self.looking_ahead(!conditional, |reading| {
                reading.role(call, scope);
            });
        }
    }

    fn call_of(&mut self, action: &Action, scope: &Scope) -> Option<Call> {
        let argument = |word: &str| action.args.iter().find(|(given, _)| given == word).map(|(_, value)| value);
        let asked = argument("name").or(argument("role"))?;
        let name = self.rendered_name(asked, scope)?;
        let mut from = |word: &str| match argument(word) {
            Some(value) => self.rendered_name(value, scope),
            None => Some("main".to_owned()),
        };
        let files = Files {
            tasks: from("tasks_from")?,
            vars: from("vars_from")?,
            defaults: from("defaults_from")?,
            handlers: from("handlers_from")?,
        };
        let allow_duplicates = argument("allow_duplicates").and_then(truth).unwrap_or(true);
        let key = files.key();
        Some(Call {
            name,
            asked: asked.clone(),
            keywords: Keywords::default(),
            params: Arc::default(),
            vars: Arc::default(),
            files,
            key,
            allow_duplicates: Some(allow_duplicates),
            validates: argument("rolespec_validate").and_then(truth).unwrap_or(true),
            is_dependency: false,
        })
    }

    /// Reads a role with its dependencies.
    pub(super) fn role(&mut self, call: Call, scope: &Scope) -> Option<Read> {
        let Some(path) = self.find_role(&call.name, scope) else {
            self.no_such_role(&call, scope);
            return None;
        };
        let name = path.file_name().map_or(call.name.clone(), |name| name.to_string_lossy().into_owned());
        let mut inner = scope.inside(call.keywords);
        inner.learn(&place_of(&name, &path));
        let defaults = self.role_vars(&path, "defaults", &call.files.defaults, &call.asked);
        let vars = self.role_vars(&path, "vars", &call.files.vars, &call.asked);
        let meta = self.meta(&path);
        let mut role = Role {
            name,
            collection: super::collections::around(&path),
            path: path.clone(),
            defaults: Arc::new(defaults),
            vars: Arc::new(vars),
            params: call.params,
            call_vars: call.vars,
            parent: scope.role.clone(),
            is_dependency: call.is_dependency,
            dependencies: Vec::new(),
        };
        // Defaults lose to what is known of the play already.
        let mut known = role.defaults.as_ref().clone();
        known.extend(inner.known.as_ref().clone());
        inner.known = Arc::new(known);
        inner.learn(&role.vars.clone());
        inner.learn(&role.call_vars.clone());
        inner.learn(&role.params.clone());

        let (mut entries, mut handlers, mut roles) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(dependencies) = &meta.dependencies {
            // A dependency's parent knows nothing of its dependencies, or the two would hold each other for ever.
            let parent = Arc::new(copy_of(&role));
            let outside = Scope { role: Some(parent), ..inner.clone() };
            for mut call in self.calls("dependencies", dependencies, &outside) {
                call.is_dependency = true;
                if self.is_circle(&call, &outside) {
                    continue;
                }
                let Some(read) = self.role(call, &outside) else { continue };
                entries.extend(read.entries);
                handlers.extend(read.handlers);
                roles.extend(read.roles);
                role.dependencies.push(read.role);
            }
        }
        let role = Arc::new(role);
        inner.role = Some(role.clone());
        let mut tasks = self.role_tasks(&path, "tasks", &call.files.tasks, &call.asked, &inner);
        if call.validates
            && let Some(task) = validation(&meta, &call.files.tasks, &role, &inner.keywords)
        {
            tasks.insert(0, Entry::Task(Arc::new(task)));
        }
        let own = self.role_tasks(&path, "handlers", &call.files.handlers, &call.asked, &Scope { is_handlers: true, ..inner });
        handlers.extend(super::tasks::as_block(own, &call.asked.span));
        roles.push(role.clone());
        let role_call = RoleCall {
            role: role.clone(),
            key: format!("{} {}", path.display(), call.key),
            allow_duplicates: call.allow_duplicates.unwrap_or(meta.allow_duplicates),
        };
        let block = Block {
            name: None,
            block: tasks,
            rescue: Vec::new(),
            always: Vec::new(),
            role_call: Some(role_call),
            span: call.asked.span.clone(),
        };
        entries.push(Entry::Block(Arc::new(block)));
        Some(Read { role, entries, handlers, roles })
    }

    /// Whether a dependency is one of those that want it.
    fn is_circle(&mut self, call: &Call, scope: &Scope) -> bool {
        let path = self.find_role(&call.name, scope);
        let is_circle = path.is_some_and(|path| ancestors(scope.role.as_ref()).any(|role| same_file(&role.path, &path)));
        if is_circle {
            let title = format!("the role `{}` needs itself", call.name);
            let chain: Vec<String> = ancestors(scope.role.as_ref()).map(|role| format!("`{}`", role.name)).collect();
            self.say(Diag::error(title).at(&call.asked.span).note(format!("it is wanted by {}", chain.join(", wanted by "))));
        }
        is_circle
    }

    fn find_role(&self, name: &str, scope: &Scope) -> Option<PathBuf> {
        if let Some((collection, role)) = super::collections::parts(name)
            && let Some(path) = self.loader.collection_role(collection, role, &scope.play_dir)
        {
            return Some(path);
        }
        // A name without a collection means, in a role of one, its neighbours first; then what `collections` says.
        let own = scope.role.as_ref().and_then(|role| role.collection.clone());
        let said = scope.keywords.collections.iter().filter_map(Node::as_str).map(str::to_owned);
        let of_collection =
            own.into_iter().chain(said).find_map(|collection| self.loader.collection_role(&collection, name, &scope.play_dir));
        of_collection.or_else(|| {
            let folders = self.role_folders(scope);
            folders.into_iter().map(|folder| folder.join(name)).find(|path| path.is_dir()).map(|path| tidy(&path))
        })
    }

    fn role_folders(&self, scope: &Scope) -> Vec<PathBuf> {
        let mut folders = vec![scope.play_dir.join("roles")];
        folders.extend(self.loader.roles_path.iter().cloned());
        // Roles that a role wants may stand beside it.
        folders.extend(ancestors(scope.role.as_ref()).filter_map(|role| role.path.parent().map(Path::to_owned)));
        folders.push(scope.play_dir.clone());
        let mut seen = std::collections::HashSet::new();
        folders.retain(|folder| seen.insert(folder.clone()));
        folders
    }

    fn no_such_role(&mut self, call: &Call, scope: &Scope) {
        let diag = Diag::error(format!("there is no role `{}`", call.name)).at(&call.asked.span);
        if call.name.matches('.').count() >= 2 && !call.name.contains('/') {
            return self.say(
                diag.hint("the collections of `collections_path` were looked through, and those of `collections/` beside the playbook"),
            );
        }
        let folders = self.role_folders(scope);
        if self.loader.is_lenient {
            let whole = |folder: &PathBuf| std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
            let looked: Vec<String> = folders.iter().map(|folder| tidy(&whole(folder)).display().to_string()).collect();
            let words = format!("The role '{}' was not found in: {}", call.name, looked.join(":"));
            return self.say(Diag::error(words).at(&call.asked.span));
        }
        let mut known: Vec<String> = Vec::new();
        for folder in folders.iter().filter(|folder| folder.ends_with("roles") || self.loader.roles_path.contains(folder)) {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            known.extend(entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name().to_string_lossy().into_owned()));
        }
        known.sort();
        let looked: Vec<String> = folders.iter().map(|folder| format!("`{}`", folder.display())).collect();
        let diag = diag.note(format!("looked in {}", looked.join(", ")));
        self.say(diag.did_you_mean(&call.name, known.iter().map(String::as_str)));
    }

    /// A file of a role's folder, `main` or another. `None` where there is none; that is an error only if it was asked for by name.
    fn role_file(&mut self, role: &Path, folder: &str, from: &str, asked: &Node, may_be_folder: bool) -> Option<PathBuf> {
        let base = role.join(folder).join(from);
        let bare = std::iter::once(base.clone());
        let with_extension = EXTENSIONS.iter().map(|extension| PathBuf::from(format!("{}{extension}", base.display())));
        // `main` alone is looked for last, a name that was given first.
        let candidates: Vec<PathBuf> =
            if from == "main" { with_extension.chain(bare).collect() } else { bare.chain(with_extension).collect() };
        let found = candidates.into_iter().find(|path| path.is_file() || (may_be_folder && path.is_dir()));
        // A name with `..` leads out of the role.
        if let Some(outside) = found.as_ref().filter(|found| !is_inside(found, &role.join(folder))) {
            let (name, at) = (role.file_name().unwrap_or_default().to_string_lossy(), role.join(folder));
            let words = format!(
                "Failed loading '{}' for role ({name}) as it is not inside the expected role path: '{}'",
                outside.display(),
                at.display()
            );
            self.say(Diag::error(words).at(&asked.span));
            return None;
        }
        if found.is_none() && from != "main" {
            let diag = Diag::error(format!("the role has no file `{folder}/{from}`")).at(&asked.span);
            self.say(diag.note(format!("looked for `{}`, also with .yml, .yaml, .json", base.display())));
        }
        found
    }

    fn role_tasks(&mut self, role: &Path, folder: &str, from: &str, asked: &Node, scope: &Scope) -> Vec<Entry> {
        match self.role_file(role, folder, from, asked, false) {
            Some(path) => self.tasks_file(&path, Some(asked), scope),
            None => Vec::new(),
        }
    }

    fn role_vars(&mut self, role: &Path, folder: &str, from: &str, asked: &Node) -> VarMap {
        let Some(path) = self.role_file(role, folder, from, asked, true) else { return VarMap::new() };
        let mut files = Vec::new();
        collect_files(&path, &mut files);
        let mut all = VarMap::new();
        for file in files {
            if let Some(node) = self.file(&file, Some(asked)) {
                combine(&mut all, self.vars(&node, folder).unwrap_or_default());
            }
        }
        all
    }

    fn meta(&mut self, role: &Path) -> Meta {
        let mut meta = Meta::default();
        let folder = role.join("meta");
        let found = |name: &str| EXTENSIONS.iter().map(|extension| folder.join(format!("{name}{extension}"))).find(|path| path.is_file());
        let specs = found("argument_specs").and_then(|path| self.file(&path, None));
        meta.argument_specs = specs.and_then(|node| node.get("argument_specs").cloned());
        let Some(path) = found("main") else { return meta };
        let Some(node) = self.file(&path, None) else { return meta };
        if node.is_null() {
            return meta;
        }
        let Some(pairs) = node.as_map() else {
            self.wrong_shape("meta", "a mapping", &node);
            return meta;
        };
        for (key, value) in pairs {
            match key.as_str().unwrap_or("") {
                "allow_duplicates" => {
                    meta.allow_duplicates = self.boolean("allow_duplicates", value).and_then(|node| node.as_bool()).unwrap_or(false);
                }
                "dependencies" => meta.dependencies = Some(value.clone()),
                "argument_specs" => meta.argument_specs = meta.argument_specs.or_else(|| Some(value.clone())),
                word if META.contains(&word) => {}
                word => {
                    let diag = Diag::error(format!("a role's `meta` has no keyword `{word}`")).at(&key.span);
                    self.say(diag.did_you_mean(word, META.iter().copied()));
                }
            }
        }
        meta
    }
}

#[derive(Default)]
struct Meta {
    allow_duplicates: bool,
    dependencies: Option<Node>,
    /// By the names of the files of tasks that they are about.
    argument_specs: Option<Node>,
}

/// The task that checks what a role is given, if it has a specification of this file of tasks.
fn validation(meta: &Meta, entry_point: &str, role: &Arc<Role>, keywords: &Keywords) -> Option<Task> {
    let spec = meta.argument_specs.as_ref()?.get(entry_point).filter(|spec| spec.as_map().is_some_and(|pairs| !pairs.is_empty()))?;
    let text = |text: &str| Node::string(text, spec.span.clone());
    let map = |pairs: Vec<(Node, Node)>| Node::new(Kind::Map(pairs), spec.span.clone());
    let given = role.params.iter().filter_map(|(name, value)| match value {
        Variable::Node(node) => Some((text(name), node.as_ref().clone())),
        Variable::Data(_) => None,
    });
    let path = std::path::absolute(&role.path).unwrap_or_else(|_| role.path.clone()).display().to_string();
    let context = [("type", "role"), ("name", &role.name), ("argument_spec_name", entry_point), ("path", &path)];
    let args = vec![
        ("argument_spec".to_owned(), spec.get("options").filter(|options| !options.is_null()).cloned().unwrap_or_else(|| map(Vec::new()))),
        ("provided_arguments".to_owned(), map(given.collect())),
        ("validate_args_context".to_owned(), map(context.iter().map(|(key, value)| (text(key), text(value))).collect())),
    ];
    let mut name = format!("Validating arguments against arg spec '{entry_point}'");
    if let Some(description) = spec.get("short_description").and_then(Node::as_str) {
        name.push_str(&format!(" - {description}"));
    }
    let keywords = keywords.with(Keywords { tags: vec![text("always")], ..Keywords::default() });
    Some(Task::unwritten(&name, "validate_argument_spec", args, keywords, Some(role.clone()), &spec.span))
}

/// A boolean, or one of the words for it.
fn truth(node: &Node) -> Option<bool> {
    node.as_bool().or_else(|| match node.as_str()?.to_lowercase().as_str() {
        "yes" | "true" | "on" | "1" | "y" | "t" => Some(true),
        "no" | "false" | "off" | "0" | "n" | "f" => Some(false),
        _ => None,
    })
}

fn is_inside(path: &Path, folder: &Path) -> bool {
    match (path.canonicalize(), folder.canonicalize()) {
        (Ok(path), Ok(folder)) => path.starts_with(folder),
        // Links in a role may lead to what is not there.
        _ => true,
    }
}

fn copy_of(role: &Role) -> Role {
    Role {
        name: role.name.clone(),
        collection: role.collection.clone(),
        path: role.path.clone(),
        defaults: role.defaults.clone(),
        vars: role.vars.clone(),
        params: role.params.clone(),
        call_vars: role.call_vars.clone(),
        parent: role.parent.clone(),
        is_dependency: role.is_dependency,
        dependencies: Vec::new(),
    }
}

/// The file, or the variable files below the folder, in alphabetical order.
fn collect_files(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_file() {
        files.push(path.to_owned());
        return;
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_ours = path.is_dir() || !name.contains('.') || EXTENSIONS.iter().any(|extension| name.ends_with(extension));
        if is_ours && !name.starts_with('.') && !name.ends_with('~') {
            collect_files(&path, files);
        }
    }
}

/// The variables that tell a role of itself.
pub(super) fn place_of(name: &str, path: &Path) -> VarMap {
    VarMap::from([("role_path".to_owned(), path_variable(path)), ("role_name".to_owned(), Variable::Data(name.into()))])
}
