//! YAML inventories: groups with `hosts`, `children` and `vars`.

use super::{Inventory, address};
use crate::source::{Diag, Kind, Node};
use std::path::Path;

const SECTIONS: [&str; 3] = ["hosts", "children", "vars"];

pub fn add(inventory: &mut Inventory, root: &Node, file: &Path, warnings: &mut Vec<Diag>) -> Result<(), Diag> {
    let groups = match &root.kind {
        Kind::Map(groups) => groups,
        Kind::Null => {
            warnings.push(Diag::warning("this inventory is empty").at(&root.span));
            return Ok(());
        }
        _ => return Err(Diag::error(format!("an inventory is a mapping of groups, and this is {}", root.kind_name())).at(&root.span)),
    };
    for (name, group) in groups {
        if !matches!(group.kind, Kind::Map(_) | Kind::Null) {
            let words = format!("Skipping '{}' as this is not a valid group definition: it is {}", name.span.text(), group.kind_name());
            warnings.push(Diag::warning(words).at(&name.span));
            continue;
        }
        add_group(inventory, name, group, file, warnings)?;
    }
    Ok(())
}

fn name_of<'a>(name: &'a Node, what: &str) -> Result<&'a str, Diag> {
    match name.as_str() {
        Some("") => Err(Diag::error(format!("{what} needs a name")).at(&name.span)),
        Some(text) => Ok(text),
        None => {
            let diag = Diag::error(format!("the name of {what} is a string, and this is {}", name.kind_name())).at(&name.span);
            Err(diag.hint("put quotes around it"))
        }
    }
}

fn add_group(inventory: &mut Inventory, name: &Node, group: &Node, file: &Path, warnings: &mut Vec<Diag>) -> Result<(), Diag> {
    let group_name = &*inventory.group_name(name_of(name, "a group")?);
    inventory.ensure_group(group_name);
    for (key, section) in group.as_map().unwrap_or_default() {
        let section_name = key.as_str().unwrap_or_default();
        if !SECTIONS.contains(&section_name) {
            warnings.push(
                Diag::warning(format!(
                    "`{}` is no part of a group: there are `hosts`, `children` and `vars`; it is skipped",
                    key.span.text()
                ))
                .at(&key.span)
                .did_you_mean(section_name, SECTIONS),
            );
            continue;
        }
        // One name alone stands for itself, with nothing below.
        let alone;
        let members = match &section.kind {
            Kind::Map(members) => members,
            Kind::Null => continue,
            Kind::Str(_) if section_name != "vars" => {
                alone = vec![(section.clone(), Node::new(Kind::Null, section.span.clone()))];
                &alone
            }
            _ => {
                let diag = Diag::error(format!("`{section_name}` is a mapping, and this is {}", section.kind_name())).at(&section.span);
                let is_list = matches!(section.kind, Kind::Seq(_)) && section_name != "vars";
                return Err(if is_list { diag.hint("write each name with a colon behind it: `web1:`") } else { diag });
            }
        };
        for (member, value) in members {
            match section_name {
                "vars" => inventory.set_group_variable(group_name, name_of(member, "a variable")?, value.clone(), warnings),
                "children" => {
                    let child = &*inventory.group_name(name_of(member, "a group")?);
                    if !matches!(value.kind, Kind::Map(_) | Kind::Null) {
                        return Err(Diag::error(format!("a group is a mapping, and this is {}", value.kind_name())).at(&value.span));
                    }
                    add_group(inventory, member, value, file, warnings)?;
                    inventory.add_child(group_name, child).map_err(|words| Diag::error(words).at(&member.span))?;
                }
                _ => add_hosts(inventory, group_name, member, value, file)?,
            }
        }
    }
    Ok(())
}

fn add_hosts(inventory: &mut Inventory, group: &str, name: &Node, vars: &Node, file: &Path) -> Result<(), Diag> {
    let Some(pattern) = name.as_str() else {
        let words = format!("Host pattern {} must be a string. Enclose integers/floats in quotation marks.", name.span.text());
        return Err(Diag::error(words).at(&name.span));
    };
    if pattern.is_empty() {
        return Err(Diag::error("a host needs a name").at(&name.span));
    }
    let (names, port) = address::expand(pattern).map_err(|err| Diag::error(err.words).at(&name.span))?;
    let pairs = match &vars.kind {
        Kind::Map(pairs) => pairs.as_slice(),
        Kind::Null => &[],
        _ => {
            let words = format!("the variables of a host are a mapping, and this is {}", vars.kind_name());
            return Err(Diag::error(words).at(&vars.span));
        }
    };
    let mut own = Vec::new();
    for (key, value) in pairs {
        own.push((name_of(key, "a variable")?.to_owned(), value.clone()));
    }
    inventory.add_hosts(&names, group, port, name, &own, Some(file));
    Ok(())
}
