//! group_vars and host_vars, beside the inventory and beside the playbook.

use super::groups::Files;
use super::{Inventory, LOCALHOST};
use crate::source::{Diag, Kind, ReadError, Source, yaml};
use crate::vars::{VarMap, combine};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const EXTENSIONS: [&str; 4] = ["", ".yml", ".yaml", ".json"];

#[derive(Clone, Copy, PartialEq)]
pub enum Beside {
    Inventory,
    Playbook,
}

/// A folder that may hold `group_vars` and `host_vars`.
#[derive(Clone, PartialEq)]
pub struct Folder {
    pub dir: PathBuf,
    pub beside: Beside,
}

impl Inventory {
    /// Reads what a folder says of all groups and hosts, once.
    pub(super) fn add_folder(&mut self, folder: Folder) -> Result<Vec<Diag>, Diag> {
        let mut warnings = Vec::new();
        if self.folders.contains(&folder) {
            return Ok(warnings);
        }
        for (name, group) in &mut self.groups {
            read(&folder, "group_vars", name, &mut group.files, &mut warnings)?;
        }
        for (name, host) in &mut self.hosts {
            read(&folder, "host_vars", name, &mut host.files, &mut warnings)?;
        }
        for name in LOCALHOST.iter().filter(|name| !self.hosts.contains_key(**name)) {
            read(&folder, "host_vars", name, &mut self.localhost_files[*name], &mut warnings)?;
        }
        self.folders.push(folder);
        Ok(warnings)
    }

    /// For a host that came during the run. Its warnings would interrupt the run's output and tell nothing urgent.
    pub(super) fn read_host_files(&mut self, name: &str) -> Result<(), Diag> {
        for folder in &self.folders {
            read(folder, "host_vars", name, &mut self.hosts[name].files, &mut Vec::new())?;
        }
        Ok(())
    }

    /// For a group that came during the run.
    pub(super) fn read_group_files(&mut self, name: &str) -> Result<(), Diag> {
        for folder in &self.folders {
            read(folder, "group_vars", name, &mut self.groups[name].files, &mut Vec::new())?;
        }
        Ok(())
    }
}

fn read(folder: &Folder, kind: &str, name: &str, files: &mut Files, warnings: &mut Vec<Diag>) -> Result<(), Diag> {
    let dir = folder.dir.join(kind);
    // The name of a host may be the path of a chroot, which is no path in here.
    if name.starts_with('/') || !dir.is_dir() {
        return Ok(());
    }
    let vars = match folder.beside {
        Beside::Inventory => &mut files.inventory,
        Beside::Playbook => &mut files.playbook,
    };
    for file in find(&dir, name)? {
        match read_file(&file, Arc::make_mut(vars), warnings) {
            Err(diag) if diag.is_locked => files.locked = Some(Arc::new(diag)),
            read => read?,
        }
    }
    Ok(())
}

/// The file of a name, or all files of its folder.
fn find(dir: &Path, name: &str) -> Result<Vec<PathBuf>, Diag> {
    let found = EXTENSIONS.iter().map(|extension| dir.join(format!("{name}{extension}"))).find(|path| path.exists());
    let mut files = Vec::new();
    match found {
        Some(path) if path.is_dir() => list(&path, &mut files)?,
        Some(path) => files.push(path),
        None => {}
    }
    Ok(files)
}

fn list(dir: &Path, files: &mut Vec<PathBuf>) -> Result<(), Diag> {
    let failed = |err: std::io::Error| Diag::error(format!("cannot list `{}`: {err}", dir.display()));
    let mut entries = std::fs::read_dir(dir).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        let extension = path.extension().map(|extension| extension.to_string_lossy().into_owned());
        if path.is_dir() && extension.is_none() {
            list(&path, files)?;
        } else if path.is_file() && extension.is_none_or(|extension| matches!(extension.as_str(), "yml" | "yaml" | "json")) {
            files.push(path);
        }
    }
    Ok(())
}

fn read_file(path: &Path, vars: &mut VarMap, warnings: &mut Vec<Diag>) -> Result<(), Diag> {
    let source = Source::read_noted(path).map_err(ReadError::into_diag)?;
    let (root, found) = yaml::load_one(&source)?;
    yaml::keep_secret(&root);
    warnings.extend(found);
    let pairs = match root.kind {
        Kind::Map(pairs) => pairs,
        Kind::Null => return Ok(()),
        _ => {
            let words = format!("a file of variables is a mapping of names to values, and this is {}", root.kind_name());
            return Err(Diag::error(words).at(&root.span));
        }
    };
    for (key, value) in pairs {
        match key.as_str() {
            Some(name) => combine(vars, [(name.to_owned(), value.into())]),
            None => return Err(Diag::error(format!("the name of a variable is a string, and this is {}", key.kind_name())).at(&key.span)),
        };
    }
    Ok(())
}
