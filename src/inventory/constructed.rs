//! The plugin `constructed`: variables and groups from what is known of each host so far: `compose`, `groups`, `keyed_groups`.

use super::{Inventory, generator::text};
use crate::source::{Diag, Kind, Node};
use crate::vars::{Level, VarMap, Variable, View};
use anyhow::bail;
use minijinja::Value;
use minijinja::value::ValueKind;
use std::sync::Arc;

const WORDS: [&str; 8] =
    ["plugin", "compose", "groups", "keyed_groups", "strict", "use_vars_plugins", "use_extra_vars", "leading_separator"];

struct Options<'a> {
    compose: &'a [(Node, Node)],
    groups: &'a [(Node, Node)],
    keyed_groups: &'a [Node],
    strict: bool,
    use_vars_plugins: bool,
    use_extra_vars: bool,
    leading_separator: bool,
}

pub fn add(inventory: &mut Inventory, root: &Node) -> anyhow::Result<()> {
    let options = options(root, inventory.rules.use_extra_vars)?;
    inventory.reconcile();
    if options.use_vars_plugins {
        inventory.add_source_folders(&mut Vec::new())?;
    }
    let hosts: Vec<Arc<str>> = inventory.hosts.keys().cloned().collect();
    for host in hosts {
        compose(inventory, &options, &host)?;
        let view = view(inventory, &options, &host);
        groups(inventory, &options, &host, &view)?;
        keyed_groups(inventory, &options, &host, &view)?;
    }
    Ok(())
}

fn options(root: &Node, use_extra_vars: bool) -> Result<Options<'_>, Diag> {
    for (key, _) in root.as_map().unwrap_or_default() {
        let word = key.as_str().unwrap_or_default();
        if !WORDS.contains(&word) {
            let diag = Diag::error(format!("`constructed` has no option `{}`", key.span.text())).at(&key.span);
            return Err(diag.did_you_mean(word, WORDS));
        }
    }
    let map = |name: &str| match root.get(name).map(|node| (node, &node.kind)) {
        None | Some((_, Kind::Null)) => Ok(&[][..]),
        Some((_, Kind::Map(pairs))) => Ok(pairs.as_slice()),
        Some((node, _)) => Err(Diag::error(format!("`{name}` is a mapping, and this is {}", node.kind_name())).at(&node.span)),
    };
    let flag = |name: &str, default: bool| match root.get(name) {
        None => Ok(default),
        Some(node) => node.as_bool().ok_or_else(|| Diag::error(format!("`{name}` is true or false")).at(&node.span)),
    };
    Ok(Options {
        compose: map("compose")?,
        groups: map("groups")?,
        keyed_groups: match root.get("keyed_groups").map(|node| (node, &node.kind)) {
            None | Some((_, Kind::Null)) => &[],
            Some((_, Kind::Seq(items))) => items,
            Some((node, _)) => {
                return Err(Diag::error(format!("`keyed_groups` is a list, and this is {}", node.kind_name())).at(&node.span));
            }
        },
        strict: flag("strict", false)?,
        use_vars_plugins: flag("use_vars_plugins", false)?,
        use_extra_vars: flag("use_extra_vars", use_extra_vars)?,
        leading_separator: flag("leading_separator", true)?,
    })
}

/// What is known of a host.
fn view(inventory: &Inventory, options: &Options<'_>, host: &str) -> Arc<View> {
    let mut view = View::default();
    for (level, vars) in inventory.layers(host) {
        view.add(level, vars);
    }
    let data = |name: &str, value: Value| (name.to_owned(), Variable::Data(value));
    let short = host.split('.').next().unwrap_or(host);
    let own = [
        data("inventory_hostname", Value::from(host)),
        data("inventory_hostname_short", Value::from(short)),
        data("group_names", Value::from(inventory.groups_of(host))),
    ];
    view.add(Level::Magic, Arc::new(VarMap::from_iter(own)));
    if options.use_extra_vars {
        view.add(Level::Extra, inventory.rules.extra_vars.clone());
    }
    Arc::new(view)
}

/// The value of an expression.
fn evaluate(inventory: &Inventory, expression: &Node, view: &Arc<View>) -> Result<Value, Diag> {
    let node = match expression.as_str() {
        Some(text) => Node::string(format!("{{{{ {text} }}}}"), expression.span.clone()),
        None => expression.clone(),
    };
    (inventory.rules.render)(&node, view)
}

fn compose(inventory: &mut Inventory, options: &Options<'_>, host: &str) -> anyhow::Result<()> {
    let view = view(inventory, options, host);
    for (name, expression) in options.compose {
        let name = name.as_str().unwrap_or_else(|| name.span.text());
        match evaluate(inventory, expression, &view) {
            Ok(value) => {
                Arc::make_mut(&mut inventory.hosts[host].vars).insert(name.to_owned(), Variable::Data(value));
            }
            Err(err) if options.strict => bail!("Could not set {name} for host {host}: {}", err.title),
            Err(_) => {}
        }
    }
    Ok(())
}

fn groups(inventory: &mut Inventory, options: &Options<'_>, host: &str, view: &Arc<View>) -> anyhow::Result<()> {
    for (name, condition) in options.groups {
        let group = inventory.group_name(name.as_str().unwrap_or_else(|| name.span.text()));
        match (inventory.rules.holds)(condition, view) {
            Ok(true) => {
                inventory.ensure_group(&group);
                inventory.groups[group.as_str()].hosts.insert(host.into());
            }
            Ok(false) => {}
            Err(err) if options.strict => bail!("Could not add host {host} to group {group}: {}", err.title),
            Err(_) => {}
        }
    }
    Ok(())
}

fn keyed_groups(inventory: &mut Inventory, options: &Options<'_>, host: &str, view: &Arc<View>) -> anyhow::Result<()> {
    for keyed in options.keyed_groups {
        let shown = keyed.get("key").map_or("", |key| key.span.text());
        let Some(key) = keyed.get("key") else {
            return Err(Diag::error("Invalid keyed group entry, it must be a dictionary with a `key`").at(&keyed.span).into());
        };
        let value = match evaluate(inventory, key, view) {
            Ok(value) => value,
            Err(err) if options.strict => bail!("Could not generate group for host {host} from {shown} entry: {}", err.title),
            Err(_) => continue,
        };
        let default = keyed.get("default_value").and_then(Node::as_str);
        let trailing = keyed.get("trailing_separator").and_then(Node::as_bool);
        if trailing.is_some() && default.is_some() {
            bail!("parameters are mutually exclusive for keyed groups: default_value|trailing_separator");
        }
        let prefix = keyed.get("prefix").and_then(Node::as_str).unwrap_or("");
        let mut separator = keyed.get("separator").and_then(Node::as_str).unwrap_or("_");
        let names = names(&value, default, trailing, separator)?;
        if names.is_empty() {
            let is_empty_container = matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable);
            if options.strict && !is_empty_container {
                bail!("No key or key resulted empty for {shown} in host {host}, invalid entry");
            }
            continue;
        }
        let parent = match keyed.get("parent_group").map(|parent| (inventory.rules.render)(parent, view)) {
            Some(Ok(parent)) if !parent.is_none() && !crate::inventory::is_blank(&parent) => Some(text(&parent)),
            Some(Err(err)) if options.strict => bail!("Could not generate parent group {shown} for group {value}: {}", err.title),
            Some(Err(_)) => continue,
            _ => None,
        };
        if prefix.is_empty() && !options.leading_separator {
            separator = "";
        }
        for name in names {
            let group = inventory.group_name(&format!("{prefix}{separator}{name}"));
            inventory.ensure_group(&group);
            inventory.groups[group.as_str()].hosts.insert(host.into());
            if let Some(parent) = &parent {
                let parent = inventory.group_name(parent);
                inventory.ensure_group(&parent);
                inventory.add_child(&parent, &group).map_err(Diag::error)?;
            }
        }
    }
    Ok(())
}

/// The names that a key's value stands for. None: there is no key.
fn names(value: &Value, default: Option<&str>, trailing: Option<bool>, separator: &str) -> anyhow::Result<Vec<String>> {
    let is_blank = |value: &Value| value.is_none() || value.as_str() == Some("");
    if is_blank(value) {
        return Ok(default.map(str::to_owned).into_iter().collect());
    }
    Ok(match value.kind() {
        ValueKind::String => vec![text(value)],
        ValueKind::Seq | ValueKind::Iterable => {
            let one = |name: Value| default.filter(|_| is_blank(&name)).map_or_else(|| text(&name), str::to_owned);
            value.try_iter()?.map(one).collect()
        }
        ValueKind::Map => {
            let mut names = Vec::new();
            for key in value.try_iter()? {
                let inner = value.get_item(&key)?;
                names.push(match default {
                    Some(default) if is_blank(&inner) => format!("{key}{separator}{default}"),
                    None if is_blank(&inner) && trailing == Some(false) => key.to_string(),
                    _ if inner.is_none() => format!("{key}{separator}None"),
                    _ => format!("{key}{separator}{inner}"),
                });
            }
            names
        }
        _ if !value.is_true() => Vec::new(),
        kind => bail!("Invalid group name format, expected a string or a list of them or dictionary, got: {kind}"),
    })
}
