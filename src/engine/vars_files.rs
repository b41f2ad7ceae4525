//! Files of variables that a play names: `vars_files`, read anew for each task as in Ansible, because the play may write them.

use super::Run;
use super::play::Playing;
use crate::playbook::search;
use crate::source::{Diag, Kind, Node, ReadError, Source, yaml};
use crate::vars::{Level, VarMap, Variable, View, combine};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Encrypted files that were read: to decrypt one at every task takes too long.
#[derive(Default)]
pub struct Decrypted(Mutex<HashMap<PathBuf, Node>>);

impl Run {
    /// What a file of variables holds. Of an encrypted one the values are secrets from now on.
    pub(super) fn read_vars_file(&self, file: &Path) -> Result<Node, Diag> {
        let kept = || self.decrypted.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = kept().get(file) {
            return Ok(node.clone());
        }
        let source = Source::read_noted(file).map_err(ReadError::into_diag)?;
        let (node, _) = yaml::load_one(&source)?;
        if source.is_secret {
            yaml::keep_secret(&node);
            kept().insert(file.to_owned(), node.clone());
        }
        Ok(node)
    }
}

/// The variables of a mapping.
pub fn vars_of(pairs: &[(Node, Node)]) -> impl Iterator<Item = (String, Variable)> {
    pairs.iter().map(|(name, value)| (name.as_str().unwrap_or(name.span.text()).to_owned(), value.clone().into()))
}

impl Playing {
    /// Adds the play's `vars_files`. A name may use what the files before it say. A name that is not known passes the whole entry over, until the
    /// host's facts are there and it should be known.
    pub(super) fn add_vars_files(&self, view: &mut View, host: &str) -> Result<(), Diag> {
        let mut all = VarMap::new();
        for entry in &self.play.vars_files {
            let so_far = Arc::new(view.with(Level::VarsFiles, Arc::new(all.clone())));
            let file = match self.vars_file(entry, &so_far) {
                Ok(file) => file,
                Err(diag) if self.run.memory.of(host).facts.contains_key("ansible_facts") => return Err(diag),
                Err(_) => continue,
            };
            let Some(file) = file else {
                return Err(Diag::error(format!("vars file {} was not found", words(entry))).at(&entry.span));
            };
            let node = self.run.read_vars_file(&file)?;
            // A list of mappings is as good as one.
            for part in node.as_seq().unwrap_or(std::slice::from_ref(&node)) {
                match &part.kind {
                    Kind::Map(pairs) => combine(&mut all, vars_of(pairs)),
                    Kind::Null => {}
                    _ => {
                        return Err(
                            Diag::error(format!("a file of variables must hold a mapping, not {}", part.kind_name())).at(&part.span)
                        );
                    }
                }
            }
        }
        view.add(Level::VarsFiles, Arc::new(all));
        Ok(())
    }

    /// The first file of an entry that exists. The error: a name cannot be rendered.
    fn vars_file(&self, entry: &Node, view: &Arc<View>) -> Result<Option<PathBuf>, Diag> {
        for alternative in entry.as_seq().unwrap_or(std::slice::from_ref(entry)) {
            let name = self.run.text_of(alternative, view)?;
            if let Ok(file) = search::find_file("vars", &name, None, &self.play.dir, &self.play.dir) {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }
}

fn words(entry: &Node) -> String {
    let names = entry.as_seq().unwrap_or(std::slice::from_ref(entry));
    names.iter().map(|name| name.as_str().unwrap_or(name.span.text())).collect::<Vec<_>>().join(", ")
}
