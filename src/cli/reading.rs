//! Reading playbooks, for the commands that do: what loading needs, and all findings at once.

use super::{Findings, Manner};
use crate::config::Config;
use crate::inventory::{GroupNames, Inventory, PLUGINS, Rules};
use crate::playbook::{Loader, Playbook, shipped};
use crate::secrets::without;
use crate::source::{Diag, Level, Node, yaml};
use crate::template::{self, Templar, Untrusted};
use crate::vars::{Level as Precedence, VarMap, View};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Settings that say what files mean, before any is read.
pub fn settle(config: &Config) {
    match config.text("_TEMPLAR_UNTRUSTED_TEMPLATE_BEHAVIOR") {
        Some("warning") => template::treat_untrusted(Untrusted::Warn),
        Some("fail") => template::treat_untrusted(Untrusted::Fail),
        _ => {}
    }
    if config.text("DEFAULT_HASH_BEHAVIOUR") == Some("merge") {
        crate::vars::merge_mappings();
    }
    yaml::treat_duplicates(match config.text("DUPLICATE_YAML_DICT_KEY") {
        Some("error") => yaml::Duplicates::Refuse,
        Some("ignore") => yaml::Duplicates::Ignore,
        _ => yaml::Duplicates::Warn,
    });
}

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

/// Reads the inventory, as the settings say.
///
/// # Errors
/// A source that cannot be read, where that is an error.
pub fn inventory(
    sources: &[String],
    config: &Config,
    manner: Manner,
    templar: &Arc<Templar>,
    extra_vars: &Arc<VarMap>,
    warnings: &mut Vec<Diag>,
) -> anyhow::Result<Inventory> {
    // The default place need not exist.
    let is_default = sources == Config::default().list("DEFAULT_HOST_LIST");
    let sources = if is_default && !Path::new(&sources[0]).exists() { &[] } else { sources };
    Inventory::load_by(rules(config, manner, templar, extra_vars, warnings)?, sources, warnings)
}

fn rules(
    config: &Config,
    manner: Manner,
    templar: &Arc<Templar>,
    extra_vars: &Arc<VarMap>,
    warnings: &mut Vec<Diag>,
) -> anyhow::Result<Rules> {
    let (rendering, holding) = (templar.clone(), templar.clone());
    let mut rules = Rules {
        any_unparsed_is_failed: config.flag("INVENTORY_ANY_UNPARSED_IS_FAILED"),
        unparsed_is_failed: config.flag("INVENTORY_UNPARSED_IS_FAILED"),
        unparsed_warning: config.flag("INVENTORY_UNPARSED_WARNING"),
        ignored_ends: config.list("INVENTORY_IGNORE_EXTS").to_vec(),
        ignored_patterns: config.list("INVENTORY_IGNORE_PATTERNS").to_vec(),
        yaml_extensions: config.list("INVENTORY_PLUGIN_EXTS").to_vec(),
        show_script_errors: config.flag("INVENTORY_SCRIPT_STDERR"),
        use_extra_vars: config.flag("INVENTORY_USE_EXTRA_VARS"),
        extra_vars: extra_vars.clone(),
        render: Box::new(move |node, view| rendering.render(node, view)),
        holds: Box::new(move |node, view| holding.condition(node, view)),
        ..Rules::default()
    };
    let group_names = GroupNames::named(config.text("TRANSFORM_INVALID_GROUP_CHARS").unwrap_or_default());
    // A `-` in a group's name is no reason for a warning, but for those who expect one.
    rules.group_names = if group_names == GroupNames::Never && manner == Manner::Own { GroupNames::Ignore } else { group_names };
    if manner == Manner::Ansible {
        let is_known = |name: &str| PLUGINS.contains(&name.strip_prefix("ansible.builtin.").unwrap_or(name));
        let (known, unknown): (Vec<_>, Vec<_>) = config.list("INVENTORY_ENABLED").iter().cloned().partition(|name| is_known(name));
        warnings.extend(unknown.iter().map(|name| Diag::warning(format!("Failed to load inventory plugin, skipping {name}"))));
        anyhow::ensure!(
            !known.is_empty(),
            "No inventory plugins available to generate inventory, make sure you have at least one enabled."
        );
        rules.plugins = Some(known);
    }
    Ok(rules)
}

/// Prints what reading the inventory found worth a word at this verbosity.
pub fn tell_remarks(inventory: &Inventory, verbosity: u8) {
    for (from, words) in &inventory.remarks {
        if verbosity >= *from {
            println!("{}", without(words.as_str()));
        }
    }
}

/// Warns that there are no hosts, unless the controller is meant.
pub fn warn_of_no_hosts(inventory: &Inventory, pattern: &str, config: &Config, warnings: &mut Vec<Diag>) {
    if inventory.hosts().is_empty() && config.flag("LOCALHOST_WARNING") && !crate::inventory::is_localhost(pattern) {
        let words = "provided hosts list is empty, only localhost is available. Note that the implicit localhost does not match 'all'";
        warnings.push(Diag::warning(words));
    }
}

/// The hosts of a pattern. A part that matches nothing is a warning, an error or nothing, as the settings say.
///
/// # Errors
/// A pattern that is none, or one that matches nothing.
pub fn hosts_matching(inventory: &Inventory, pattern: &str, config: &Config, warnings: &mut Vec<Diag>) -> anyhow::Result<Vec<Arc<str>>> {
    let mut unmatched = Vec::new();
    let hosts = inventory.hosts_matching(pattern, &mut unmatched)?;
    for part in unmatched {
        let words = format!("Could not match supplied host pattern, ignoring: {part}");
        match config.text("HOST_PATTERN_MISMATCH") {
            Some("error") => anyhow::bail!(words),
            Some("ignore") => {}
            _ => warnings.push(Diag::warning(words)),
        }
    }
    Ok(hosts)
}
