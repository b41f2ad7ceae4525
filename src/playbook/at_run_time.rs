//! What is read when the run gets there: the files of `include_tasks` and the roles of `include_role`.

use super::load::{Reading, Scope};
use super::roles::{Call, Files, place_of};
use super::search::ancestors;
use super::{Findings, Keywords, LoadedRole, LoadedTasks, Loader, Role, RoleRequest};
use std::path::Path;
use std::sync::Arc;

impl Loader {
    /// A file of tasks, for `include_tasks`: `inherited` is what the include hands down ([`Include::keywords`](super::Include)). Handlers if
    /// the include is one.
    ///
    /// # Errors
    /// Everything that was found.
    pub fn tasks(
        &self,
        path: &Path,
        inherited: &Keywords,
        role: Option<&Arc<Role>>,
        play_dir: &Path,
        as_handlers: bool,
    ) -> Result<LoadedTasks, Findings> {
        let mut reading = Reading::new(self, play_dir);
        let scope = Scope { is_handlers: as_handlers, ..at_run_time(inherited, role, play_dir) };
        let entries = reading.tasks_file(path, None, &scope);
        let (handlers, roles) = (std::mem::take(&mut reading.play.handlers), std::mem::take(&mut reading.play.roles));
        reading.finish().map(|_| LoadedTasks { entries, handlers, roles })
    }

    /// A role for `include_role`: `inherited` is what the include hands down, `parent` the role that the include stands in.
    ///
    /// # Errors
    /// Everything that was found.
    pub fn role(
        &self,
        request: &RoleRequest,
        inherited: &Keywords,
        parent: Option<&Arc<Role>>,
        play_dir: &Path,
    ) -> Result<LoadedRole, Findings> {
        let mut reading = Reading::new(self, play_dir);
        let files = Files {
            tasks: request.tasks_from.clone(),
            vars: request.vars_from.clone(),
            defaults: request.defaults_from.clone(),
            handlers: request.handlers_from.clone(),
        };
        let call = Call {
            name: request.name.as_str().unwrap_or_default().to_owned(),
            asked: request.name.clone(),
            keywords: Keywords::default(),
            params: request.params.clone(),
            vars: Arc::default(),
            key: files.key(),
            files,
            allow_duplicates: Some(request.allow_duplicates),
            validates: request.validates,
            is_dependency: false,
        };
        let read = reading.role(call, &at_run_time(inherited, parent, play_dir));
        let mut imported = std::mem::take(&mut reading.play);
        let warnings = reading.finish()?;
        match read {
            Some(mut read) => {
                read.handlers.append(&mut imported.handlers);
                read.roles.append(&mut imported.roles);
                Ok(LoadedRole { role: read.role, entries: read.entries, handlers: read.handlers, roles: read.roles })
            }
            // Nothing was read, and that has been said.
            None => Err(warnings),
        }
    }
}

/// Where an include stands that is reached at run time.
fn at_run_time(inherited: &Keywords, role: Option<&Arc<Role>>, play_dir: &Path) -> Scope {
    let mut scope = Scope { keywords: inherited.clone(), role: role.cloned(), ..Scope::new(play_dir.to_owned()) };
    for role in ancestors(role).collect::<Vec<_>>().into_iter().rev() {
        for vars in [&role.defaults, &role.vars, &role.call_vars, &role.params] {
            scope.learn(vars);
        }
    }
    if let Some(role) = role {
        scope.learn(&place_of(&role.name, &role.path));
    }
    for vars in &inherited.vars {
        scope.learn(vars);
    }
    scope
}
