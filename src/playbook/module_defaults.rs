//! `module_defaults`: arguments for every task of a module, or of a group of modules. Reads and checks what a level says; the engine asks
//! which of all levels count for a module.

use super::collections;
use super::load::Reading;
use super::{Loader, ModuleDefaults};
use crate::module::{self, Spec};
use crate::source::{Diag, Kind, Node, Source, yaml};
use std::path::Path;

/// The groups of `ansible.builtin`: those of its own modules, and those that collections fill, none of whose modules are known here.
const BUILTIN_GROUPS: &[(&str, &[&str])] = &[("acme", &[]), ("aws", &[]), ("testgroup", &["ping"]), ("testlegacy", &[])];

const GROUP: &str = "group/";

impl ModuleDefaults {
    /// What counts for a module, least first. As in Ansible, what an inner level says of a module or group takes the place of all that the outer
    /// ones say of it, and the module's own beats its groups'.
    pub fn of_module<'a>(levels: &'a [ModuleDefaults], spec: &Spec) -> Vec<&'a Node> {
        let mut counting: Vec<(String, &Node)> = Vec::new();
        for level in levels {
            for (key, value) in level.written.as_map().unwrap_or_default() {
                let Some(name) = level.applies(key.as_str().unwrap_or_default(), spec) else { continue };
                match counting.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, known)) => *known = value,
                    None => counting.push((name, value)),
                }
            }
        }
        counting.sort_by_key(|(name, _)| !name.starts_with(GROUP));
        counting.into_iter().map(|(_, value)| value).collect()
    }

    /// The full name of what `word` names, if the module is it or of it.
    fn applies(&self, word: &str, spec: &Spec) -> Option<String> {
        let Some(group) = word.strip_prefix(GROUP) else {
            return (module::resolve_name(word) == Some(spec.name)).then(|| spec.name.to_owned());
        };
        let group = full_name(group);
        let has_it = self.groups.iter().any(|(name, modules)| *name == group && modules.contains(&spec.name));
        has_it.then(|| format!("{GROUP}{group}"))
    }
}

fn full_name(group: &str) -> String {
    if collections::parts(group).is_some() { group.to_owned() } else { format!("ansible.builtin.{group}") }
}

/// Why a group's modules are not known.
enum NoGroup {
    /// Its collection is not there.
    Collection(String),
    /// The collection has no such group.
    Group,
}

impl Reading<'_> {
    pub(super) fn module_defaults(&mut self, value: &Node) -> Vec<ModuleDefaults> {
        let mut levels = Vec::new();
        for part in value.as_seq().unwrap_or(std::slice::from_ref(value)) {
            match &part.kind {
                Kind::Null => {}
                Kind::Map(pairs) => {
                    let groups = pairs.iter().filter_map(|(key, value)| self.default(key, value)).collect();
                    levels.push(ModuleDefaults { written: part.clone(), groups });
                }
                _ => {
                    let diag = Diag::error(format!("`module_defaults` must be a mapping or a list of mappings, not {}", part.kind_name()));
                    self.say(
                        diag.at(&part.span).hint("names of modules and groups stand as they are; what stands below them may be a template"),
                    );
                }
            }
        }
        levels
    }

    /// Checks what is said of a module or a group; returns a group's full name and modules.
    fn default(&mut self, key: &Node, value: &Node) -> Option<(String, Vec<&'static str>)> {
        let word = key.as_str().unwrap_or("");
        self.templates(value);
        if value.as_map().is_none() && !value.is_template() {
            self.wrong_shape(word, "a mapping of arguments", value);
        }
        let Some(group) = word.strip_prefix(GROUP) else {
            let Some(module) = module::find(word) else {
                let diag = Diag::error(format!("`module_defaults` names no module that there is: `{word}`")).at(&key.span);
                self.foresee(diag.did_you_mean(word, module::known_names()));
                return None;
            };
            for (key, value) in value.as_map().unwrap_or_default() {
                self.check_argument(module.spec(), key.as_str().unwrap_or(""), value, word);
            }
            return None;
        };
        let group = full_name(group);
        match self.loader.group(&group, &self.dir) {
            Ok(modules) => return Some((group, modules)),
            Err(NoGroup::Collection(collection)) => {
                let diag =
                    Diag::error(format!("`module_defaults` names the group `{group}`, and the collection `{collection}` is not installed"));
                self.foresee(diag.at(&key.span).hint("name each module, or put the collection where `collections_path` finds it"));
            }
            Err(NoGroup::Group) => {
                let words = format!("Error loading module_defaults: could not resolve the module_defaults group {group}");
                self.say(Diag::error(words).at(&key.span));
            }
        }
        None
    }
}

impl Loader {
    /// The full names of a group's modules, as far as they are known here, with those of the groups that it extends.
    fn group(&self, name: &str, play_dir: &Path) -> Result<Vec<&'static str>, NoGroup> {
        let mut modules = Vec::new();
        let mut seen = vec![name.to_owned()];
        modules.extend(self.own_group(name, play_dir, &mut seen)?);
        let mut at = 1;
        // Groups that are extended need not be there.
        while let Some(next) = seen.get(at).cloned() {
            modules.extend(self.own_group(&next, play_dir, &mut seen).unwrap_or_default());
            at += 1;
        }
        Ok(modules)
    }

    /// The modules that a group names itself; the groups that it extends are added to `seen`.
    fn own_group(&self, name: &str, play_dir: &Path, seen: &mut Vec<String>) -> Result<Vec<&'static str>, NoGroup> {
        let (collection, group) = collections::parts(name).ok_or(NoGroup::Group)?;
        if collection == "ansible.builtin" {
            let (_, modules) = BUILTIN_GROUPS.iter().find(|(known, _)| *known == group).ok_or(NoGroup::Group)?;
            return Ok(modules.iter().filter_map(|module| module::resolve_name(module)).collect());
        }
        let folder = self.collection(collection, play_dir).ok_or_else(|| NoGroup::Collection(collection.to_owned()))?;
        let said = Source::read(&folder.join("meta/runtime.yml")).ok().and_then(|source| yaml::load_one(&source).ok());
        let groups = said.as_ref().and_then(|(node, _)| node.get("action_groups"));
        let entries =
            groups.and_then(|groups| groups.get(group).or_else(|| groups.get(name))).and_then(Node::as_seq).ok_or(NoGroup::Group)?;
        let full = |word: &str| if collections::parts(word).is_some() { word.to_owned() } else { format!("{collection}.{word}") };
        for entry in entries {
            let Some(extended) = entry.get("metadata").and_then(|metadata| metadata.get("extend_group")) else { continue };
            for other in extended.as_seq().unwrap_or(std::slice::from_ref(extended)).iter().filter_map(Node::as_str) {
                if !seen.contains(&full(other)) {
                    seen.push(full(other));
                }
            }
        }
        Ok(entries.iter().filter_map(Node::as_str).filter_map(|module| module::resolve_name(&full(module))).collect())
    }
}
