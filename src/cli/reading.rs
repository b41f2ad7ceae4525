//! Reading playbooks, for the commands that do: what loading needs, and all findings at once.

use super::{Findings, Manner};
use crate::config::Config;
use crate::inventory::Inventory;
use crate::playbook::{Loader, Playbook, shipped};
use crate::source::{Diag, Level, Node};
use crate::template::Templar;
use crate::vars::{Level as Precedence, VarMap, View};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reads playbooks; a path that is no file may name a shipped one. Warnings are added to `warnings`.
///
/// # Errors
/// [`Findings`]: everything that is wrong in all of them.
pub fn playbooks(loader: &Loader, paths: &[PathBuf], warnings: &mut Vec<Diag>) -> anyhow::Result<Vec<(PathBuf, Playbook)>> {
    let mut playbooks = Vec::new();
    let mut findings = Vec::new();
    for path in paths {
        let path = shipped::locate(path)?;
        match loader.playbook(&path) {
            Ok(playbook) => {
                warnings.extend(playbook.warnings.iter().cloned());
                playbooks.push((path, playbook));
            }
            Err(found) => findings.extend(found),
        }
    }
    if findings.iter().any(|diag| diag.level == Level::Error) {
        return Err(Findings(findings).into());
    }
    Ok(playbooks)
}

/// A loader that checks templates with `templar` and sees `extra_vars` where something must be known before the run.
pub fn loader(templar: &Arc<Templar>, extra_vars: &Arc<VarMap>, config: &Config, manner: Manner) -> Loader {
    let (rendering, checking, conditions, lookups) = (templar.clone(), templar.clone(), templar.clone(), templar.clone());
    let extra_vars = extra_vars.clone();
    Loader {
        roles_path: config.paths("DEFAULT_ROLES_PATH"),
        collections_path: config.paths("COLLECTIONS_PATHS"),
        private_role_vars: config.flag("DEFAULT_PRIVATE_ROLE_VARS"),
        is_lenient: manner == Manner::Ansible,
        render: Box::new(move |node, vars| {
            let mut view = View::default();
            view.add(Precedence::Play, Arc::new(vars.clone()));
            view.add(Precedence::Extra, extra_vars.clone());
            let value = rendering.render(node, &Arc::new(view))?;
            Ok(Node::string(value.to_string(), node.span.clone()))
        }),
        check: Box::new(move |node| checking.check(node)),
        check_condition: Box::new(move |node| conditions.check_condition(node)),
        has_lookup: Box::new(move |name| lookups.has_lookup(name)),
    }
}

/// Reads the inventory..
///
/// # Errors
/// A source that cannot be read.
pub fn inventory(sources: &[String], config: &Config, warnings: &mut Vec<Diag>) -> anyhow::Result<Inventory> {
    // The default place need not exist.
    let is_default = sources == Config::default().list("DEFAULT_HOST_LIST");
    let sources = if is_default && !Path::new(&sources[0]).exists() { &[] } else { sources };
    let inventory = Inventory::load(sources, warnings)?;
    if inventory.hosts().is_empty() {
        if config.flag("INVENTORY_UNPARSED_WARNING") && sources.is_empty() {
            warnings.push(Diag::warning("No inventory was parsed, only implicit localhost is available"));
        }
        if config.flag("LOCALHOST_WARNING") {
            let words = "provided hosts list is empty, only localhost is available. Note that the implicit localhost does not match 'all'";
            warnings.push(Diag::warning(words));
        }
    }
    Ok(inventory)
}
