//! What a source is: a folder, a script, YAML, INI, or a list of hosts with commas.

use super::{Inventory, address, ini, script, yaml};
use crate::source::{self, Diag, Kind, Node, Source};
use anyhow::Context;
use std::path::Path;
use std::sync::Arc;

/// What Ansible leaves alone in a folder.
const IGNORED_ENDS: [&str; 12] = [".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry"];

pub fn add(inventory: &mut Inventory, given: &str, warnings: &mut Vec<Diag>) -> Result<(), anyhow::Error> {
    let path = Path::new(given);
    if path.exists() {
        return add_path(inventory, path, warnings);
    }
    if !given.contains(',') {
        return Err(Diag::error(format!("the inventory `{given}` does not exist"))
            .hint(format!("if this is the name of a host, put a comma behind it: `{given},`"))
            .into());
    }
    for name in given.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let (host, port) = address::split_port(name);
        let source = Source::from_text("<inventory>", name);
        let at = Node::string(name, source.span(0, name.len()));
        if !inventory.has_host(host) {
            inventory.add_hosts(&[host.to_owned()], "ungrouped", port, &at, &[], None);
        }
    }
    Ok(())
}

fn add_path(inventory: &mut Inventory, path: &Path, warnings: &mut Vec<Diag>) -> Result<(), anyhow::Error> {
    if !path.is_dir() {
        return add_file(inventory, path, warnings);
    }
    let listing = || format!("cannot list the inventory folder `{}`", path.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).with_context(listing)? {
        names.push(entry.with_context(listing)?.file_name());
    }
    names.sort();
    for name in names {
        let shown = name.to_string_lossy();
        let is_vars = matches!(&*shown, "group_vars" | "host_vars" | "vars_plugins");
        if !is_vars && !shown.starts_with('.') && !IGNORED_ENDS.iter().any(|end| shown.ends_with(end)) {
            add_path(inventory, &path.join(&name), warnings)?;
        }
    }
    Ok(())
}

fn add_file(inventory: &mut Inventory, path: &Path, warnings: &mut Vec<Diag>) -> Result<(), anyhow::Error> {
    let file = std::path::absolute(path).with_context(|| format!("cannot find the folder of `{}`", path.display()))?;
    if is_script(path)? {
        return script::add(inventory, path, &file, warnings);
    }
    let source = Source::read(path)?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => Err(Diag::error(format!("inventories in TOML are not supported: `{}`", path.display())).into()),
        Some("yaml" | "yml" | "json") => Ok(add_yaml(inventory, &source, &file, warnings)?),
        Some(_) => Ok(ini::add(inventory, &source, &file, warnings)?),
        // Without extension it may be either. A mapping is YAML; what only tries to be one is reported as such.
        None => match source::yaml::load_one(&source) {
            Ok((Node { kind: Kind::Map(_), .. }, _)) => Ok(add_yaml(inventory, &source, &file, warnings)?),
            Err(diag) if looks_like_yaml(&source.text) => Err(diag.into()),
            _ => Ok(ini::add(inventory, &source, &file, warnings)?),
        },
    }
}

fn add_yaml(inventory: &mut Inventory, source: &Arc<Source>, file: &Path, warnings: &mut Vec<Diag>) -> Result<(), Diag> {
    let (root, found) = source::yaml::load_one(source)?;
    warnings.extend(found);
    yaml::add(inventory, &root, file, warnings)
}

fn looks_like_yaml(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or("");
    first == "---" || first.ends_with(':') || first.starts_with("$ANSIBLE_VAULT;")
}

/// Executable, and something that can be executed: on some file systems every file is executable.
fn is_script(path: &Path) -> Result<bool, anyhow::Error> {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;
    let reading = || format!("cannot read `{}`", path.display());
    if std::fs::metadata(path).with_context(reading)?.permissions().mode() & 0o111 == 0 {
        return Ok(false);
    }
    let mut head = Vec::new();
    std::fs::File::open(path).with_context(reading)?.take(4).read_to_end(&mut head).with_context(reading)?;
    Ok(head.starts_with(b"#!") || head.starts_with(b"\x7fELF"))
}
