//! Executable inventories: `--list` says all, in JSON; `--host NAME` is asked where `_meta` is missing.

use super::Inventory;
use crate::source::{Diag, Kind, Node, Source, yaml};
use anyhow::Context;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

pub fn add(inventory: &mut Inventory, path: &Path, file: &Path, warnings: &mut Vec<Diag>) -> Result<(), anyhow::Error> {
    let root = run(path, file, &["--list"])?;
    let Kind::Map(groups) = &root.kind else {
        return Err(Diag::error(format!("an inventory script prints an object, and this is {}", root.kind_name())).at(&root.span).into());
    };
    let mut named = indexmap::IndexSet::new();
    for (name, data) in groups {
        // JSON has no other keys.
        let Some(group) = name.as_str().filter(|name| *name != "_meta") else { continue };
        inventory.ensure_group(group);
        let part = |key: &str| data.get(key);
        let hosts = match &data.kind {
            Kind::Seq(_) => Some(data),
            Kind::Map(_) if ["hosts", "vars", "children"].iter().any(|key| part(key).is_some()) => part("hosts"),
            _ => {
                let words = format!("`{group}` has none of `hosts`, `children` and `vars`");
                return Err(Diag::error(words).at(&data.span).into());
            }
        };
        for host in hosts.map(|hosts| list(hosts, "hosts")).transpose()?.unwrap_or_default() {
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
            let child_name = text(child)?;
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
                asked = run(path, file, &["--host", host])?;
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
fn run(path: &Path, absolute: &Path, args: &[&str]) -> Result<Node, anyhow::Error> {
    let call = format!("{} {}", path.display(), args.join(" "));
    let output = Command::new(absolute).args(args).output().with_context(|| format!("cannot run the inventory script `{call}`"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        anyhow::bail!("the inventory script `{call}` failed ({}): {}", output.status, said.trim());
    }
    let text =
        String::from_utf8(output.stdout).with_context(|| format!("the inventory script `{call}` printed something other than UTF-8"))?;
    let (node, _) = yaml::load_one(&Source::from_text(format!("<output of {call}>"), text))?;
    Ok(node)
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
