//! Executable inventories: `--list` says all, in JSON; `--host NAME` is asked where `_meta` is missing.

use super::Inventory;
use crate::secrets::without;
use crate::source::{Diag, Kind, Node, Source, yaml};
use anyhow::Context;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

pub fn add(inventory: &mut Inventory, path: &Path, file: &Path, warnings: &mut Vec<Diag>) -> Result<(), anyhow::Error> {
    let root = run(path, file, &["--list"], inventory.rules.show_script_errors)?;
    let Kind::Map(groups) = &root.kind else {
        let words = format!("Unable to get JSON decoder for inventory script result: Value is '{}' instead of 'dict'.", python_name(&root));
        return Err(Diag::error(words).at(&root.span).into());
    };
    if let Some(meta) = root.get("_meta") {
        wanted(meta, "_meta", "dict", meta.as_map().is_some())?;
        if let Some(profile) = meta.get("profile") {
            wanted(profile, "_meta.profile", "str", profile.as_str().is_some())?;
            if !profile.as_str().is_some_and(|name| name.starts_with("inventory_")) {
                let shown = profile.as_str().unwrap_or_default();
                return Err(Diag::error(format!("Non-inventory profile '{shown}' is not allowed.")).at(&profile.span).into());
            }
        }
        match meta.get("hostvars") {
            Some(hostvars) => wanted(hostvars, "_meta.hostvars", "dict", hostvars.as_map().is_some())?,
            None => {
                let words = "Value contains '_meta.hostvars' which is 'NoneType' instead of 'dict'.";
                return Err(Diag::error(words).at(&meta.span).into());
            }
        }
    }
    let mut named = indexmap::IndexSet::new();
    for (name, data) in groups {
        // JSON has no other keys.
        let Some(group) = name.as_str().filter(|name| *name != "_meta") else { continue };
        let group = &*inventory.group_name(group);
        inventory.ensure_group(group);
        // A group that is no such thing is a host, with what it says as its variables.
        let malformed;
        let data = match &data.kind {
            Kind::Map(_) if ["hosts", "vars", "children"].iter().any(|key| data.get(key).is_some()) => data,
            Kind::Map(_) => {
                let part = |key: &str, value: Node| (Node::string(key, data.span.clone()), value);
                let hosts = Node::new(Kind::Seq(vec![Node::string(group, name.span.clone())]), name.span.clone());
                malformed = Node::new(Kind::Map(vec![part("hosts", hosts), part("vars", data.clone())]), data.span.clone());
                &malformed
            }
            _ => {
                let hosts = (Node::string("hosts", data.span.clone()), data.clone());
                malformed = Node::new(Kind::Map(vec![hosts]), data.span.clone());
                &malformed
            }
        };
        let part = |key: &str| data.get(key);
        if let Some(hosts) = part("hosts") {
            wanted(hosts, &format!("{group}.hosts"), "list", hosts.as_seq().is_some())?;
        }
        if let Some(vars) = part("vars") {
            wanted(vars, &format!("{group}.vars"), "dict", vars.as_map().is_some())?;
        }
        for host in part("hosts").and_then(Node::as_seq).unwrap_or_default() {
            let host_name = text(host)?;
            named.insert(host_name.to_owned());
            inventory.add_hosts(&[host_name.to_owned()], group, None, host, &[], Some(file));
        }
        if let Some(vars) = part("vars") {
            for (key, value) in mapping(vars, "vars")? {
                inventory.set_group_variable(group, text(key)?, value.clone(), warnings);
            }
        }
        for child in part("children").map(|children| list(children, "children")).transpose()?.unwrap_or_default() {
            let child_name = &*inventory.group_name(text(child)?);
            inventory.ensure_group(child_name);
            inventory.add_child(group, child_name).map_err(|words| Diag::error(words).at(&child.span))?;
        }
    }
    let meta = root.get("_meta").and_then(|meta| meta.get("hostvars"));
    for host in &named {
        let asked;
        let vars = match meta {
            Some(hostvars) => hostvars.get(host),
            None => {
                asked = run(path, file, &["--host", host], inventory.rules.show_script_errors)?;
                Some(&asked)
            }
        };
        let Some(vars) = vars.filter(|vars| !vars.is_null()) else { continue };
        for (key, value) in mapping(vars, host)? {
            Arc::make_mut(&mut inventory.hosts[host.as_str()].vars).insert(text(key)?.to_owned(), value.clone().into());
        }
    }
    Ok(())
}

/// What the script printed. Nothing at all is null.
fn run(path: &Path, absolute: &Path, args: &[&str], show_errors: bool) -> Result<Node, anyhow::Error> {
    let call = format!("{} {}", path.display(), args.join(" "));
    let output = Command::new(absolute).args(args).output().with_context(|| format!("cannot run the inventory script `{call}`"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let with_said = |diag: Diag| match said.trim() {
        "" => diag,
        said => diag.note(format!("Standard error from inventory script:\n{said}")),
    };
    if !output.status.success() {
        let how = output.status.code().map_or_else(|| output.status.to_string(), |code| format!("non-zero exit code {code}"));
        return Err(with_said(Diag::error(format!("Inventory script returned {how}.")).note(format!("the call was `{call}`"))).into());
    }
    let Ok(text) = String::from_utf8(output.stdout) else {
        let words = "Inventory script result contained characters that cannot be interpreted as UTF-8.";
        return Err(with_said(Diag::error(words)).into());
    };
    if text.trim().is_empty() && args.len() > 1 {
        let source = Source::from_text(format!("<output of {call}>"), "");
        return Ok(Node::new(Kind::Null, source.span(0, 0)));
    }
    let whole = Source::from_text(format!("<output of {call}>"), text);
    if let Err(err) = serde_json::from_str::<serde::de::IgnoredAny>(&whole.text) {
        let words = "Unable to get JSON decoder for inventory script result: Value could not be parsed as JSON.";
        return Err(with_said(Diag::error(words).at(&whole.span(0, 0)).note(err.to_string())).into());
    }
    let (node, _) = yaml::load_one(&whole)?;
    if show_errors && !said.trim().is_empty() {
        anstream::eprintln!("[ERROR]: {}", without(said.trim_end()));
    }
    Ok(node)
}

/// A value that is to be of another kind.
fn wanted(node: &Node, what: &str, kind: &str, is_so: bool) -> Result<(), Diag> {
    if is_so {
        return Ok(());
    }
    let words = format!("Value contains '{what}' which is '{}' instead of '{kind}'.", python_name(node));
    Err(Diag::error(words).at(&node.span))
}

/// What Python calls a value.
fn python_name(node: &Node) -> &'static str {
    match node.kind {
        Kind::Null => "NoneType",
        Kind::Bool(_) => "bool",
        Kind::Int(_) => "int",
        Kind::Float(_) => "float",
        Kind::Str(_) | Kind::Vault(_) => "str",
        Kind::Seq(_) => "list",
        Kind::Map(_) => "dict",
    }
}

fn text(node: &Node) -> Result<&str, Diag> {
    node.as_str().ok_or_else(|| Diag::error(format!("a name is a string, and this is {}", node.kind_name())).at(&node.span))
}

fn list<'a>(node: &'a Node, what: &str) -> Result<&'a [Node], Diag> {
    node.as_seq().ok_or_else(|| Diag::error(format!("`{what}` is a list, and this is {}", node.kind_name())).at(&node.span))
}

fn mapping<'a>(node: &'a Node, what: &str) -> Result<&'a [(Node, Node)], Diag> {
    node.as_map()
        .ok_or_else(|| Diag::error(format!("the variables of `{what}` are a mapping, and this is {}", node.kind_name())).at(&node.span))
}
