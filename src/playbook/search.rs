//! Where the controller's files are looked for: from the role outwards to the playbook, as Ansible does.

use super::Role;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file that a task means by `name`: an absolute path, or the first that exists of the role's `kind` folder and the role, the same of the
/// roles that brought it, of the folder of the task's file, of the playbook's.
///
/// # Errors
/// Every place that was looked at.
pub fn find_file(kind: &str, name: &str, role: Option<&Arc<Role>>, play_dir: &Path, task_dir: &Path) -> Result<PathBuf, Vec<PathBuf>> {
    let name = expand_home(name);
    if name.is_absolute() {
        return if name.exists() { Ok(name) } else { Err(vec![name]) };
    }
    // `src: templates/x.j2` is not looked for in `templates/templates`.
    let says_kind = name.components().next().is_some_and(|first| first.as_os_str() == kind);
    let mut candidates: Vec<PathBuf> = Vec::new();
    for folder in search_path(role, play_dir, task_dir) {
        if !says_kind {
            candidates.push(folder.join(kind).join(&name));
        }
        candidates.push(folder.join(&name));
    }
    first_that_exists(candidates)
}

/// The folders in which a task's files are looked for, nearest first: the value of `ansible_search_path`.
pub fn search_path(role: Option<&Arc<Role>>, play_dir: &Path, task_dir: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    let outer = [task_dir.to_owned(), play_dir.to_owned()];
    for folder in ancestors(role).map(|role| role.path.clone()).chain(outer) {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

/// A file of tasks: beside the file that asks for it, then in the role, then beside the playbook. `kind` is `tasks` or `handlers`.
///
/// # Errors
/// Every place that was looked at.
pub fn find_tasks(kind: &str, name: &str, role: Option<&Arc<Role>>, play_dir: &Path, task_dir: &Path) -> Result<PathBuf, Vec<PathBuf>> {
    let name = expand_home(name);
    if name.is_absolute() {
        return if name.is_file() { Ok(name) } else { Err(vec![name]) };
    }
    let mut candidates = vec![task_dir.join(&name)];
    for role in ancestors(role) {
        candidates.push(role.path.join(kind).join(&name));
        // What a handler includes may also stand among the role's tasks.
        if kind != "tasks" {
            candidates.push(role.path.join("tasks").join(&name));
        }
        candidates.push(role.path.join(&name));
    }
    candidates.push(play_dir.join(&name));
    candidates.push(play_dir.join(kind).join(&name));
    first_that_exists(candidates)
}

/// A role and the roles that brought it, from the inside out.
pub fn ancestors(role: Option<&Arc<Role>>) -> impl Iterator<Item = &Arc<Role>> {
    std::iter::successors(role, |role| role.parent.as_ref())
}

/// Without a leading `./`, as a user would name it.
pub fn tidy(path: &Path) -> PathBuf {
    path.strip_prefix(".").unwrap_or(path).components().collect()
}

/// The folder of a file. Of a name without folders: the present one.
pub fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn first_that_exists(mut candidates: Vec<PathBuf>) -> Result<PathBuf, Vec<PathBuf>> {
    let mut seen = std::collections::HashSet::new();
    candidates.retain(|path| seen.insert(path.clone()));
    match candidates.iter().find(|path| path.exists()) {
        Some(path) => Ok(tidy(path)),
        None => Err(candidates.iter().map(|path| tidy(path)).collect()),
    }
}

fn expand_home(name: &str) -> PathBuf {
    match (name.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(path: &Path, parent: Option<Arc<Role>>) -> Arc<Role> {
        let vars = Arc::default;
        Arc::new(Role {
            name: "r".into(),
            collection: None,
            path: path.to_owned(),
            defaults: vars(),
            vars: vars(),
            params: vars(),
            call_vars: vars(),
            parent,
            is_dependency: false,
            dependencies: Vec::new(),
        })
    }

    #[test]
    fn looks_from_the_role_outwards() {
        let root = tempfile::tempdir().expect("a folder");
        let (inner, outer) = (root.path().join("roles/inner"), root.path().join("roles/outer"));
        for folder in [inner.join("templates"), outer.join("templates"), root.path().join("templates")] {
            std::fs::create_dir_all(folder).expect("a folder");
        }
        let role = role(&inner, Some(role(&outer, None)));
        let find = |name: &str| find_file("templates", name, Some(&role), root.path(), &inner.join("tasks"));

        std::fs::write(root.path().join("templates/a.j2"), "").expect("a file");
        assert_eq!(find("a.j2"), Ok(root.path().join("templates/a.j2")));
        std::fs::write(outer.join("a.j2"), "").expect("a file");
        assert_eq!(find("a.j2"), Ok(outer.join("a.j2")));
        std::fs::write(outer.join("templates/a.j2"), "").expect("a file");
        assert_eq!(find("a.j2"), Ok(outer.join("templates/a.j2")));
        std::fs::write(inner.join("a.j2"), "").expect("a file");
        assert_eq!(find("a.j2"), Ok(inner.join("a.j2")));
        assert_eq!(find("templates/a.j2"), Ok(outer.join("templates/a.j2")));
        assert_eq!(find("b.j2").unwrap_err()[0], inner.join("templates/b.j2"));
    }
}
