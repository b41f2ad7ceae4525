//! What a playbook says, as data. Loading resolves everything static (imports, roles, inherited keywords), checks every word against
//! what exists, and reports all findings; what is dynamic (`include_*`) is loaded when the engine reaches it.

mod model;

pub use model::{Action, Block, Entry, Keywords, Loop, LoopControl, Play, Role, RoleCall, Task};

use crate::source::{Diag, Node};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What loading needs to know of the run.
pub struct Loader {
    /// Folders of roles, nearest first, beside `roles/` of the playbook: `ANSIBLE_ROLES_PATH`, `roles_path`.
    pub roles_path: Vec<PathBuf>,
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

impl Loader {
    pub fn playbook(&self, _path: &Path) -> Result<Playbook, Findings> {
        todo!("helper playbook")
    }

    /// A file of tasks, for `include_tasks`: `inherited` is what the including task hands down (with `apply`). As handlers if `handlers`.
    pub fn tasks(&self, _path: &Path, _inherited: &Keywords, _role: Option<&Arc<Role>>, _play_dir: &Path) -> Result<Vec<Entry>, Findings> {
        todo!()
    }

    /// A role for `include_role`: the block of its tasks (dependencies first), its handlers.
    pub fn role(
        &self,
        _request: &RoleRequest,
        _inherited: &Keywords,
        _parent: Option<&Arc<Role>>,
        _play_dir: &Path,
    ) -> Result<LoadedRole, Findings> {
        todo!()
    }
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
}

pub struct LoadedRole {
    pub role: Arc<Role>,
    /// Dependencies' blocks, then the role's own: each a block with [`Block::role_call`].
    pub entries: Vec<Entry>,
    pub handlers: Vec<Entry>,
    /// The role and its dependencies.
    pub roles: Vec<Arc<Role>>,
}
