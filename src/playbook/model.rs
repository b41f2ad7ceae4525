//! Play, block, task, role: what a file says after loading. Values that may hold templates stay nodes; the engine renders them per host.

use crate::module::{self, Registered};
use crate::source::{Kind, Node, Span, Str, Tag};
use crate::vars::VarMap;
use std::path::PathBuf;
use std::sync::Arc;

pub struct Play {
    pub name: Option<Node>,
    /// A pattern, or a list of patterns; may be a template.
    pub hosts: Node,
    pub vars: Arc<VarMap>,
    /// Each a file name, or a list of which the first that exists counts.
    pub vars_files: Vec<Node>,
    pub vars_prompt: Vec<Node>,
    pub gather_facts: Option<Node>,
    pub gather_subset: Option<Node>,
    pub gather_timeout: Option<Node>,
    pub fact_path: Option<Node>,
    pub serial: Option<Node>,
    pub strategy: Option<Node>,
    pub order: Option<Node>,
    pub max_fail_percentage: Option<Node>,
    pub force_handlers: Option<Node>,
    /// The specification in the playbook's `.meta.yml` that its hosts' variables have to fit: what the play says, and the file's content.
    pub validate_argspec: Option<Node>,
    pub metadata: Metadata,
    /// Keywords that tasks inherit; they are merged into every task already.
    pub keywords: Keywords,
    pub pre_tasks: Vec<Entry>,
    /// One block per role of `roles:`, dependencies first.
    pub roles: Vec<Entry>,
    pub tasks: Vec<Entry>,
    pub post_tasks: Vec<Entry>,
    /// A block per list of handlers, in the order in which they were defined: roles' first, then the play's, then those of `import_role`.
    /// Of two handlers with one name the first of its block counts, of two blocks the last.
    pub handlers: Vec<Entry>,
    /// Roles of `roles:` and `import_role`: their defaults and vars are seen by the whole play.
    pub static_roles: Vec<Arc<Role>>,
    /// The folder of the playbook file.
    pub dir: PathBuf,
    pub span: Span,
}

/// What stands beside a playbook in a file of its own: `site.meta.yml`.
#[derive(Clone, Default)]
pub struct Metadata {
    pub path: Option<PathBuf>,
    /// Where it was looked for.
    pub looked_in: Vec<PathBuf>,
    pub argument_specs: Option<Node>,
}

/// A task or a block.
#[derive(Clone)]
pub enum Entry {
    Task(Arc<Task>),
    Block(Arc<Block>),
}

pub struct Block {
    pub name: Option<Node>,
    pub block: Vec<Entry>,
    pub rescue: Vec<Entry>,
    pub always: Vec<Entry>,
    /// This block is the whole of a role, run once per play and host unless it may be repeated. Two calls with the same key are the same.
    pub role_call: Option<RoleCall>,
    pub span: Span,
}

pub struct RoleCall {
    pub role: Arc<Role>,
    /// Name, parameters, tags and conditions as text: equal for equal calls.
    pub key: String,
    pub allow_duplicates: bool,
}

#[derive(Clone)]
pub struct Task {
    pub name: Option<Node>,
    pub action: Action,
    /// The task's own keywords with all that it inherits merged in.
    pub keywords: Keywords,
    pub looped: Option<Loop>,
    pub register: Option<Register>,
    /// `async`: seconds that the task may take; it runs as a job that is not waited for.
    pub asynchronous: Option<Node>,
    /// Seconds between two looks at that job; 0: it is left alone.
    pub poll: Option<Node>,
    pub until: Option<Node>,
    pub retries: Option<Node>,
    pub delay: Option<Node>,
    pub changed_when: Option<Node>,
    pub failed_when: Option<Node>,
    /// Names or topics: the task's own, or else those of the nearest block or import that has some.
    pub notify: Vec<Node>,
    /// Handlers: topics that they listen to.
    pub listen: Vec<Node>,
    pub role: Option<Arc<Role>>,
    /// What `include_tasks` and `include_role` hand down. `None` for every other module.
    pub include: Option<Include>,
    pub span: Span,
}

/// What a task keeps of its result.
#[derive(Clone)]
pub enum Register {
    /// `register: name`: all of it.
    Whole(String),
    /// `register: {name: expression}`: each an expression over `_task`, as a template.
    Parts(Vec<(String, Arc<Node>)>),
}

/// What an include hands down to the tasks that it brings. Its own tags, conditions and other keywords are its own business: the children
/// inherit what stands around the include, and what `apply` says.
#[derive(Clone)]
pub struct Include {
    /// For [`Loader::tasks`](super::Loader::tasks) and [`Loader::role`](super::Loader::role).
    pub keywords: Keywords,
    /// The include's own `vars`: parameters of the include, to the children. They are in [`Task::keywords`] too, for its own arguments.
    pub vars: Arc<VarMap>,
}

/// A module and what it is given.
#[derive(Clone)]
pub struct Action {
    /// As the playbook spells it.
    pub name: String,
    pub name_span: Span,
    pub module: Registered,
    /// `action: "{{ x }}"`: the module's name is known only when the task runs; until then `module` is a stand-in.
    pub computed: Option<Node>,
    /// In the order of the file, under the names that the file uses. Free-form text stands under its parameter's name.
    pub args: Vec<(String, Node)>,
    /// `args: "{{ dict }}"`, or `module: "{{ dict }}"`: a mapping known only at run time. `args` beat it.
    pub args_from: Option<Node>,
}

#[derive(Clone)]
pub struct Loop {
    /// `items` for `with_items`; `None` for `loop`.
    pub lookup: Option<String>,
    pub over: Node,
    pub control: LoopControl,
}

#[derive(Clone, Default)]
pub struct LoopControl {
    pub loop_var: Option<Node>,
    pub index_var: Option<Node>,
    pub label: Option<Node>,
    pub pause: Option<Node>,
    pub extended: Option<Node>,
    pub extended_allitems: Option<Node>,
    pub break_when: Option<Node>,
}

/// Keywords that are inherited: play to block to task. A task holds them merged.
#[derive(Clone, Debug, Default)]
pub struct Keywords {
    /// All must hold; outermost first.
    pub when: Vec<Node>,
    /// The union.
    pub tags: Vec<Node>,
    /// Outermost first; the inner beats the outer, key by key.
    pub vars: Vec<Arc<VarMap>>,
    pub environment: Vec<Node>,
    /// Outermost first.
    pub module_defaults: Vec<ModuleDefaults>,
    /// Collections that roles without one are looked for in: the innermost list.
    pub collections: Vec<Node>,
    /// The innermost that says any counts. On the way down; in a task it has moved to [`Task::notify`].
    pub notify: Vec<Node>,
    /// Those below: the innermost counts.
    pub r#become: Option<Node>,
    pub become_user: Option<Node>,
    pub become_method: Option<Node>,
    pub become_flags: Option<Node>,
    pub become_exe: Option<Node>,
    pub connection: Option<Node>,
    pub remote_user: Option<Node>,
    pub port: Option<Node>,
    pub delegate_to: Option<Node>,
    pub delegate_facts: Option<Node>,
    pub run_once: Option<Node>,
    pub ignore_errors: Option<Node>,
    pub ignore_unreachable: Option<Node>,
    pub any_errors_fatal: Option<Node>,
    pub no_log: Option<Node>,
    pub check_mode: Option<Node>,
    pub diff: Option<Node>,
    pub throttle: Option<Node>,
    pub timeout: Option<Node>,
}

/// `module_defaults` as one level says it.
#[derive(Clone, Debug)]
pub struct ModuleDefaults {
    /// Names of modules and groups to arguments.
    pub written: Node,
    /// The full names of the groups that it names, and of their modules.
    pub groups: Vec<(String, Vec<&'static str>)>,
}

/// A role that was found and read.
pub struct Role {
    pub name: String,
    /// `ns.name` of the collection that it is of.
    pub collection: Option<String>,
    pub path: PathBuf,
    pub defaults: Arc<VarMap>,
    pub vars: Arc<VarMap>,
    /// What the call gave beside keywords: `roles: [{role: r, p: 1}]`.
    pub params: Arc<VarMap>,
    /// `vars` of the call: `roles: [{role: r, vars: {v: 1}}]`.
    pub call_vars: Arc<VarMap>,
    /// The role that depends on this one or includes it, for searching files.
    pub parent: Option<Arc<Role>>,
    /// Its parent depends on it, and does not include it.
    pub is_dependency: bool,
    /// Dependencies' vars and defaults are seen inside the role too.
    pub dependencies: Vec<Arc<Role>>,
}

impl Role {
    /// The roles from inside which it was included or imported, the nearest first.
    pub fn includers(self: &Arc<Role>) -> Vec<&Arc<Role>> {
        let mut found = Vec::new();
        let mut role = self;
        while let Some(parent) = &role.parent {
            if !role.is_dependency {
                found.push(parent);
            }
            role = parent;
        }
        found
    }

    /// The name with that of its collection.
    pub fn full_name(&self) -> String {
        match &self.collection {
            Some(collection) => format!("{collection}.{}", self.name),
            None => self.name.clone(),
        }
    }
}

impl Task {
    /// A task that nobody wrote: of every play, of every role with argument specs. `module` is one that the registry holds.
    pub fn unwritten(
        name: &str,
        module: &str,
        args: Vec<(String, Node)>,
        keywords: Keywords,
        role: Option<Arc<Role>>,
        span: &Span,
    ) -> Task {
        Task {
            name: Some(Node::new(Kind::Str(Str { text: name.into(), tag: Tag::Unsafe }), span.clone())),
            action: Action {
                name: module.to_owned(),
                name_span: span.clone(),
                module: module::find(module).expect("the registry holds the modules that the engine itself uses"),
                computed: None,
                args,
                args_from: None,
            },
            keywords,
            looped: None,
            register: None,
            asynchronous: None,
            poll: None,
            until: None,
            retries: None,
            delay: None,
            changed_when: None,
            failed_when: None,
            notify: Vec::new(),
            listen: Vec::new(),
            role,
            include: None,
            span: span.clone(),
        }
    }
}
