//! The plugin `generator`: a host for each combination of the values of some layers, with parent groups named after them.

use super::Inventory;
use crate::source::{Diag, Kind, Node};
use crate::vars::{Level, VarMap, Variable, View};
use minijinja::Value;
use std::sync::Arc;

const WORDS: [&str; 4] = ["plugin", "hosts", "layers", "use_extra_vars"];

pub fn add(inventory: &mut Inventory, root: &Node) -> anyhow::Result<()> {
    for (key, _) in root.as_map().unwrap_or_default() {
        let word = key.as_str().unwrap_or_default();
        if !WORDS.contains(&word) {
            return Err(Diag::error(format!("`generator` has no option `{}`", key.span.text()))
                .at(&key.span)
                .did_you_mean(word, WORDS)
                .into());
        }
    }
    let needed = |name: &str| root.get(name).ok_or_else(|| Diag::error(format!("`generator` needs `{name}`")).at(&root.span));
    let (hosts, layers) = (needed("hosts")?, needed("layers")?);
    let use_extra_vars = root.get("use_extra_vars").and_then(Node::as_bool).unwrap_or(inventory.rules.use_extra_vars);
    let extra = if use_extra_vars { inventory.rules.extra_vars.clone() } else { Arc::default() };
    let mut combinations = vec![VarMap::new()];
    for (name, values) in layers.as_map().ok_or_else(|| Diag::error("`layers` is a mapping of names to lists").at(&layers.span))? {
        let values = values.as_seq().ok_or_else(|| Diag::error("a layer is a list of values").at(&values.span))?;
        let name = name.as_str().unwrap_or_else(|| name.span.text());
        let with = |before: &VarMap, value: &Node| {
            let mut vars = before.clone();
            vars.insert(name.to_owned(), value.clone().into());
            vars
        };
        combinations = combinations.iter().flat_map(|before| values.iter().map(move |value| with(before, value))).collect();
    }
    let name = hosts.get("name").ok_or_else(|| Diag::error("`hosts` needs a `name`").at(&hosts.span))?;
    for vars in combinations {
        let mut view = View::default();
        view.add(Level::Play, extra.clone());
        view.add(Level::Extra, Arc::new(vars));
        let view = Arc::new(view);
        let host = (inventory.rules.render)(name, &view)?.to_string();
        inventory.ensure_host(&host, None);
        inventory.groups["all"].hosts.insert(host.as_str().into());
        parents(inventory, &host, true, hosts, &view)?;
    }
    Ok(())
}

/// Puts a host, or a group, into the groups that its description names as its parents, and these into theirs.
fn parents(inventory: &mut Inventory, child: &str, is_host: bool, described: &Node, view: &Arc<View>) -> anyhow::Result<()> {
    let Some(parents_node) = described.get("parents") else { return Ok(()) };
    for parent in parents_node.as_seq().ok_or_else(|| Diag::error("`parents` is a list").at(&parents_node.span))? {
        let nameless = || Diag::error(format!("Element {child} has a parent with no name.")).at(&parent.span);
        let group = (inventory.rules.render)(parent.get("name").ok_or_else(nameless)?, view)?;
        if group.is_none() || group.as_str() == Some("") {
            return Err(nameless().into());
        }
        let group = inventory.group_name(&group.to_string());
        inventory.ensure_group(&group);
        for (key, value) in parent.get("vars").and_then(Node::as_map).unwrap_or_default() {
            let value = match &value.kind {
                Kind::Str(_) => Variable::Data((inventory.rules.render)(value, view)?),
                _ => value.clone().into(),
            };
            Arc::make_mut(&mut inventory.groups[group.as_str()].vars)
                .insert(key.as_str().unwrap_or_else(|| key.span.text()).to_owned(), value);
        }
        if is_host {
            inventory.groups[group.as_str()].hosts.insert(child.into());
        } else {
            inventory.add_child(&group, child).map_err(|words| Diag::error(words).at(&parent.span))?;
        }
        parents(inventory, &group, false, parent, view)?;
    }
    Ok(())
}

/// The text of a value that names something.
pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
