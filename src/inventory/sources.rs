//! What a source is: a folder, a script, YAML, INI, TOML, a list of hosts with commas, or a description for one of the plugins that make hosts
//! and groups. Either what it looks like decides, or the plugins that are enabled try it one after another.

use super::{Inventory, address, constructed, generator, ini, script, toml, yaml};
use crate::python::regex::{Flags, Pattern};
use crate::source::{self, Diag, Kind, Node, Source};
use anyhow::{Context, anyhow, bail};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Reads a source. False: nothing could read it, and that has been said.
pub fn add(inventory: &mut Inventory, given: &str, warnings: &mut Vec<Diag>) -> anyhow::Result<bool> {
    let path = Path::new(given);
    let Some(plugins) = inventory.rules.plugins.clone() else { return add_by_looks(inventory, given, warnings) };
    let shown = if given.contains(',') { given.to_owned() } else { absolute(path)?.to_string_lossy().into_owned() };
    let mut failures = Vec::new();
    if path.is_dir() {
        let mut any = false;
        for entry in entries(inventory, path)? {
            any |= add(inventory, &entry.to_string_lossy(), warnings)?;
        }
        if any {
            return Ok(true);
        }
    } else {
        for plugin in &plugins {
            let plugin = plugin.strip_prefix("ansible.builtin.").unwrap_or(plugin);
            if !wants(inventory, plugin, given) {
                inventory.remarks.push((3, format!("{plugin} declined parsing {shown} as it did not pass its verify_file() method")));
                continue;
            }
            match parse(inventory, plugin, given, warnings) {
                Ok(()) => {
                    inventory.remarks.push((3, format!("Parsed {shown} inventory source with {plugin} plugin")));
                    return Ok(true);
                }
                Err(err) => failures.push((plugin, err)),
            }
        }
    }
    for (plugin, err) in failures {
        warnings.push(failure(plugin, &shown, &err));
    }
    if inventory.rules.any_unparsed_is_failed {
        bail!("Completely failed to parse inventory source {shown}");
    }
    warnings.push(Diag::warning(format!("Unable to parse {shown} as an inventory source")));
    Ok(false)
}

/// The plugins that there are.
pub const PLUGINS: [&str; 9] = ["advanced_host_list", "auto", "constructed", "generator", "host_list", "ini", "script", "toml", "yaml"];

/// Why a plugin could not read a source, as ansible-core tells it.
fn failure(plugin: &str, shown: &str, err: &anyhow::Error) -> Diag {
    let (words, cause) = match err.downcast_ref::<Diag>() {
        Some(diag) if !diag.places.is_empty() => (diag.title.clone(), diag.with_origin()),
        Some(diag) => {
            (diag.title.clone(), format!("{}\nOrigin: <inventory plugin '{plugin}' with source '{shown}'>\n", diag.with_origin()))
        }
        None => (format!("{err:#}"), format!("{err:#}\nOrigin: <inventory plugin '{plugin}' with source '{shown}'>\n")),
    };
    let head = format!("Failed to parse inventory with '{plugin}' plugin");
    Diag::warning(format!("{head}: {words}\n\n{head}.\n\n<<< caused by >>>\n\n{cause}"))
}

/// Whether a plugin would try a source.
fn wants(inventory: &Inventory, plugin: &str, given: &str) -> bool {
    let path = Path::new(given);
    // A device or a pipe is as good as a file: `/dev/null` is an inventory without hosts.
    let is_file = path.exists() && !path.is_dir();
    let extension = path.extension().map(|extension| format!(".{}", extension.to_string_lossy()));
    let is_yaml = extension.as_ref().is_none_or(|extension| inventory.rules.yaml_extensions.contains(extension));
    match plugin {
        "host_list" | "advanced_host_list" => !path.exists() && given.contains(','),
        "script" => is_file && is_executable(path).unwrap_or(false),
        "auto" => is_file && matches!(extension.as_deref(), Some(".yml" | ".yaml")),
        "yaml" => is_file && is_yaml,
        "constructed" | "generator" => is_file && (is_yaml || extension.as_deref() == Some(".config")),
        "toml" => is_file && extension.as_deref() == Some(".toml"),
        "ini" => is_file && extension.as_deref() != Some(".toml"),
        _ => false,
    }
}

fn parse(inventory: &mut Inventory, plugin: &str, given: &str, warnings: &mut Vec<Diag>) -> anyhow::Result<()> {
    let path = Path::new(given);
    match plugin {
        "host_list" => {
            host_list(inventory, given);
            return Ok(());
        }
        "advanced_host_list" => return advanced_host_list(inventory, given),
        _ => {}
    }
    let file = absolute(path)?;
    if plugin == "script" {
        return script::add(inventory, path, &file, warnings);
    }
    let source = Source::read_noted(path)?;
    if plugin == "ini" {
        return Ok(ini::add(inventory, &source, &file, warnings)?);
    }
    if plugin == "toml" {
        return Ok(toml::add(inventory, &source, &file, warnings)?);
    }
    let (root, found) = source::yaml::load_one(&source)?;
    let described = root.get("plugin").and_then(Node::as_str).map(|name| name.strip_prefix("ansible.builtin.").unwrap_or(name).to_owned());
    match (plugin, described) {
        ("yaml", described) => {
            anyhow::ensure!(!root.is_null(), "Parsed empty YAML file");
            anyhow::ensure!(described.is_none(), "Plugin configuration YAML file, not YAML inventory");
            warnings.extend(found);
            Ok(yaml::add(inventory, &root, &file, warnings)?)
        }
        ("auto", Some(named)) if matches!(named.as_str(), "constructed" | "generator" | "toml" | "ini" | "yaml" | "script") => {
            warnings.extend(found);
            make(inventory, &named, &root, given)
        }
        ("auto", Some(named)) => bail!("inventory config '{}' specifies unknown plugin '{named}'", file.display()),
        ("auto", None) => bail!("no root 'plugin' key found, '{}' is not a valid YAML inventory plugin config file", file.display()),
        (_, _) if root.is_null() => bail!("{} is empty", file.display()),
        (_, Some(named)) if named == plugin => make(inventory, plugin, &root, given),
        (_, named) => bail!("Incorrect plugin name in file: {}", named.as_deref().unwrap_or("none found")),
    }
}

/// Lets a plugin that is described in a file make hosts and groups.
fn make(inventory: &mut Inventory, plugin: &str, root: &Node, given: &str) -> anyhow::Result<()> {
    match plugin {
        "constructed" => constructed::add(inventory, root).map_err(|err| err.context(format!("Failed to parse '{given}'."))),
        "generator" => generator::add(inventory, root),
        other => Err(Diag::error(format!("`{other}` reads a source itself and cannot be described by a file")).at(&root.span).into()),
    }
}

/// What the source looks like decides how it is read; what cannot be read is an error.
fn add_by_looks(inventory: &mut Inventory, given: &str, warnings: &mut Vec<Diag>) -> anyhow::Result<bool> {
    let path = Path::new(given);
    if path.is_dir() {
        for entry in entries(inventory, path)? {
            add_by_looks(inventory, &entry.to_string_lossy(), warnings)?;
        }
    } else if path.exists() {
        add_file(inventory, path, warnings)?;
    } else if given.contains(',') {
        host_list(inventory, given);
    } else {
        return Err(Diag::error(format!("the inventory `{given}` does not exist"))
            .hint(format!("if this is the name of a host, put a comma behind it: `{given},`"))
            .into());
    }
    Ok(true)
}

fn add_file(inventory: &mut Inventory, path: &Path, warnings: &mut Vec<Diag>) -> anyhow::Result<()> {
    let file = absolute(path)?;
    if is_executable(path)? && is_program(path)? {
        return script::add(inventory, path, &file, warnings);
    }
    let source = Source::read_noted(path)?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => Ok(toml::add(inventory, &source, &file, warnings)?),
        Some("yaml" | "yml" | "json") => add_yaml(inventory, &source, &file, warnings),
        Some(_) => Ok(ini::add(inventory, &source, &file, warnings)?),
        // Without extension it may be either. A mapping is YAML; what only tries to be one is reported as such.
        None => match source::yaml::load_one(&source) {
            Ok((Node { kind: Kind::Map(_), .. }, _)) => add_yaml(inventory, &source, &file, warnings),
            Err(diag) if looks_like_yaml(&source.text) => Err(diag.into()),
            _ => Ok(ini::add(inventory, &source, &file, warnings)?),
        },
    }
}

fn add_yaml(inventory: &mut Inventory, source: &Arc<Source>, file: &Path, warnings: &mut Vec<Diag>) -> anyhow::Result<()> {
    let (root, found) = source::yaml::load_one(source)?;
    warnings.extend(found);
    let Some(plugin) = root.get("plugin") else { return Ok(yaml::add(inventory, &root, file, warnings)?) };
    let named = plugin.as_str().unwrap_or_default();
    match named.strip_prefix("ansible.builtin.").unwrap_or(named) {
        named @ ("constructed" | "generator") => make(inventory, named, &root, &file.to_string_lossy()),
        _ => Err(Diag::error(format!("there is no inventory plugin `{named}`"))
            .at(&plugin.span)
            .note("there are `constructed` and `generator`")
            .did_you_mean(named, ["constructed", "generator"])
            .into()),
    }
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    let path = std::path::absolute(path).with_context(|| format!("cannot find the folder of `{}`", path.display()))?;
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    Ok(plain)
}

/// What a folder holds, by name, without what is left alone.
fn entries(inventory: &Inventory, dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let listing = || format!("cannot list the inventory folder `{}`", dir.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(listing)? {
        names.push(entry.with_context(listing)?.file_name());
    }
    names.sort();
    let mut ignored = Vec::new();
    for pattern in &inventory.rules.ignored_patterns {
        ignored.push(Pattern::new(pattern, Flags::default()).map_err(|err| anyhow!("wrong pattern of files to ignore: {err}"))?);
    }
    let mut kept = Vec::new();
    for name in names {
        let shown = name.to_string_lossy();
        let is_vars = matches!(&*shown, "group_vars" | "host_vars" | "vars_plugins");
        let mut is_ignored =
            is_vars || shown.starts_with('.') || inventory.rules.ignored_ends.iter().any(|end| shown.ends_with(end.as_str()));
        for pattern in &ignored {
            is_ignored |= pattern.is_found(&shown).map_err(|err| anyhow!("{err}"))?;
        }
        if !is_ignored {
            kept.push(dir.join(&name));
        }
    }
    Ok(kept)
}

/// `host,host:port,`.
fn host_list(inventory: &mut Inventory, given: &str) {
    for name in given.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let (host, port) = address::split_port(name);
        add_listed(inventory, &[host.to_owned()], port, name);
    }
}

/// The same with ranges. One that is almost a range stands for itself.
fn advanced_host_list(inventory: &mut Inventory, given: &str) -> anyhow::Result<()> {
    for name in given.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let (hosts, port) = match address::expand(name) {
            Ok(expanded) => expanded,
            Err(err) if err.is_no_number => bail!("Invalid data from string, could not parse: {err}"),
            Err(err) => {
                inventory.remarks.push((3, format!("Unable to parse address from hostname, leaving unchanged: {err}")));
                (vec![name.to_owned()], None)
            }
        };
        add_listed(inventory, &hosts, port, name);
    }
    Ok(())
}

fn add_listed(inventory: &mut Inventory, hosts: &[String], port: Option<u16>, name: &str) {
    let source = Source::given("<inventory>", name);
    let at = Node::string(name, source.span(0, name.len()));
    for host in hosts {
        if !inventory.has_host(host) {
            inventory.add_hosts(std::slice::from_ref(host), "ungrouped", port, &at, &[], None);
        }
    }
}

fn looks_like_yaml(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or("");
    first == "---" || first.ends_with(':') || first.starts_with("$ANSIBLE_VAULT;")
}

fn is_executable(path: &Path) -> anyhow::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    let meta = std::fs::metadata(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(meta.permissions().mode() & 0o111 != 0)
}

/// Something that can be executed: on some file systems every file is executable.
fn is_program(path: &Path) -> anyhow::Result<bool> {
    use std::io::Read;
    let reading = || format!("cannot read `{}`", path.display());
    let mut head = Vec::new();
    source::refuse_endless(path)
        .and_then(|()| std::fs::File::open(path))
        .with_context(reading)?
        .take(4)
        .read_to_end(&mut head)
        .with_context(reading)?;
    Ok(head.starts_with(b"#!") || head.starts_with(b"\x7fELF"))
}
