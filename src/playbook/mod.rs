//! What a playbook says, as data. Loading resolves everything static (imports, roles, inherited keywords), checks every word against
//! what exists, and reports all findings; what is dynamic (`include_*`) is loaded when the engine reaches it.

mod action;
mod at_run_time;
mod checks;
mod collections;
pub mod key_value;
mod keywords;
mod load;
mod model;
mod module_defaults;
mod roles;
pub mod search;
pub mod shipped;
mod tasks;
pub mod vocabulary;

pub use keywords::{means_something, reserved};
pub use model::{
    Action, Block, Entry, Include, Keywords, Loop, LoopControl, Metadata, ModuleDefaults, Play, Register, Role, RoleCall, Task,
};

use crate::source::{Diag, Node};
use std::path::PathBuf;
use std::sync::Arc;

/// What loading needs to know of the run.
pub struct Loader {
    /// Folders of roles, nearest first, beside `roles/` of the playbook: `ANSIBLE_ROLES_PATH`, `roles_path`.
    pub roles_path: Vec<PathBuf>,
    /// Folders of collections: each holds `ansible_collections/NS/NAME`.
    pub collections_path: Vec<PathBuf>,
    /// Variables of roles are seen by no other role and no task of the play.
    pub private_role_vars: bool,
    /// What Ansible finds only when it gets there (templates, arguments, files, handlers) is no finding before the run.
    pub is_lenient: bool,
    /// Renders what must be known now (`import_tasks: "{{ x }}.yml"`), with extra vars and the play's vars at hand.
    pub render: Box<dyn Fn(&Node, &crate::vars::VarMap) -> Result<Node, Diag> + Send + Sync>,
    /// Findings in a value's templates.
    pub check: Box<dyn Fn(&Node) -> Vec<Diag> + Send + Sync>,
    /// Findings in a conditional.
    pub check_condition: Box<dyn Fn(&Node) -> Vec<Diag> + Send + Sync>,
    /// Whether a lookup exists (`with_NAME`).
    pub has_lookup: Box<dyn Fn(&str) -> bool + Send + Sync>,
}

/// Findings: at least one error. Warnings may be among them.
pub type Findings = Vec<Diag>;

/// A playbook with all that it imports.
pub struct Playbook {
    pub plays: Vec<Play>,
    pub warnings: Vec<Diag>,
}

/// Which role, and which of its files (`tasks_from` and so on; `main` if not said).
#[derive(Clone, Debug)]
pub struct RoleRequest {
    /// The name or path, and where it was asked for.
    pub name: Node,
    pub tasks_from: String,
    pub vars_from: String,
    pub defaults_from: String,
    pub handlers_from: String,
    pub params: Arc<crate::vars::VarMap>,
    /// The argument of that name; true if not said.
    pub allow_duplicates: bool,
    /// `rolespec_validate`; true if not said.
    pub validates: bool,
}

impl RoleRequest {
    /// A role's main files, without parameters.
    pub fn main(name: Node) -> RoleRequest {
        let main = || "main".to_owned();
        RoleRequest {
            name,
            tasks_from: main(),
            vars_from: main(),
            defaults_from: main(),
            handlers_from: main(),
            params: Arc::default(),
            allow_duplicates: true,
            validates: false,
        }
    }
}

/// An included file of tasks.
pub struct LoadedTasks {
    pub entries: Vec<Entry>,
    /// Of roles that the file imports.
    pub handlers: Vec<Entry>,
    /// Roles that the file imports, for their vars and defaults.
    pub roles: Vec<Arc<Role>>,
}

pub struct LoadedRole {
    pub role: Arc<Role>,
    /// Dependencies' blocks, then the role's own: each a block with [`Block::role_call`].
    pub entries: Vec<Entry>,
    /// A block per list, the dependencies' first.
    pub handlers: Vec<Entry>,
    /// The dependencies, the role and what it imports.
    pub roles: Vec<Arc<Role>>,
}
