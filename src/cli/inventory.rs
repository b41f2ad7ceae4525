//! The drop-in `ansible-inventory`: what the inventory holds, as JSON, YAML, TOML or a tree.

use super::options::Hosts;
use super::{Manner, OptionError, extra_vars, greet, reading, run};
use crate::config::Config;
use crate::inventory::{Inventory, ShownGroup};
use crate::source::{Diag, Kind, Node, Tag};
use crate::template::{self, Templar};
use crate::vars::{Level, VarMap, Variable, View};
use anyhow::Context;
use serde_json::{Map, Value as Json, json};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

/// The name by which ansible-core knows the form of this JSON.
const PROFILE: &str = "inventory_legacy";

/// Variables of the host itself that every host has.
const OF_EVERY_HOST: [&str; 7] =
    ["ansible_facts", "group_names", "inventory_dir", "inventory_file", "inventory_hostname", "inventory_hostname_short", "playbook_dir"];

/// Show the inventory
#[derive(clap::Args)]
pub struct Args {
    /// Where the tree of --graph begins
    #[arg(value_name = "GROUP")]
    group: Option<String>,
    /// All hosts and groups
    #[arg(long)]
    list: bool,
    /// The variables of one host
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// The groups and hosts as a tree
    #[arg(long)]
    graph: bool,
    /// With variables, in the tree
    #[arg(long)]
    vars: bool,
    /// As YAML
    #[arg(short, long)]
    yaml: bool,
    /// As TOML
    #[arg(long)]
    toml: bool,
    /// With the variables where they were said: those of groups with the groups
    #[arg(long)]
    export: bool,
    /// Into a file
    #[arg(long, value_name = "OUTPUT_FILE")]
    output: Option<PathBuf>,
    /// Where group_vars and host_vars are looked for too
    #[arg(long, value_name = "BASEDIR")]
    playbook_dir: Option<PathBuf>,
    #[command(flatten)]
    hosts: Hosts,
    /// Say more; may be repeated
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// Shows what was asked for.
///
/// # Errors
/// What is wrong with arguments, settings or inventory.
pub fn run(args: Args, manner: Manner) -> anyhow::Result<u8> {
    match [args.list, args.host.is_some(), args.graph].iter().filter(|given| **given).count() {
        1 => {}
        0 => return Err(misuse("No action selected, at least one of --host, --graph or --list needs to be specified.")),
        _ => return Err(misuse("Conflicting options used, only one of --host, --graph or --list can be used at the same time.")),
    }
    let config = Config::load()?;
    let mut warnings: Vec<Diag> = config.warnings.iter().map(Diag::warning).collect();
    let verbosity = args.verbose.max(config.number("DEFAULT_VERBOSITY").unwrap_or(0).clamp(0, 6) as u8);
    greet("ansible-inventory", &config, verbosity);
    args.hosts.provide(&config)?;
    let extra_vars = Arc::new(extra_vars::read(&args.hosts.extra_vars)?);
    let templar = Arc::new(Templar::new());
    let sources = args.hosts.sources(&config);
    let mut inventory = reading::inventory(&sources, &config, manner, &templar, &extra_vars, &mut warnings)?;
    reading::tell_remarks(&inventory, verbosity);
    let dir = args.playbook_dir.clone().or_else(|| config.path("PLAYBOOK_DIR"));
    let export = args.export || config.flag("INVENTORY_EXPORT");
    if dir.is_some() || !export {
        warnings.extend(inventory.add_playbook_dir(&dir.unwrap_or_else(|| PathBuf::from(".")))?);
    }
    let shown = Shown { inventory, extra_vars, export };
    let result = shown.what(&args, &config, &mut warnings);
    run::tell_warnings(&warnings, manner);
    let text = result?;
    match &args.output {
        None => println!("{}", text.strip_suffix('\n').unwrap_or(&text)),
        Some(path) => std::fs::write(path, &text).with_context(|| format!("Unable to write to destination file '{}'.", path.display()))?,
    }
    Ok(0)
}

fn misuse(words: &str) -> anyhow::Error {
    OptionError(words.to_owned()).into()
}

struct Shown {
    inventory: Inventory,
    extra_vars: Arc<VarMap>,
    export: bool,
}

impl Shown {
    fn what(&self, args: &Args, config: &Config, warnings: &mut Vec<Diag>) -> anyhow::Result<String> {
        if let Some(pattern) = &args.host {
            let hosts = reading::hosts_matching(&self.inventory, pattern, config, warnings)?;
            let [host] = hosts.as_slice() else { return Err(misuse("You must pass a single valid host to --host parameter")) };
            let vars = self.host_vars(host);
            return match (args.yaml, args.toml) {
                (true, _) => Ok(template::yaml(&plain(&vars))),
                (_, true) => toml(&plain(&vars)),
                _ => Ok(written(&json_of(&vars))),
            };
        }
        if args.graph {
            let start = args.group.as_deref().unwrap_or("all");
            let group = self.inventory.group(start).ok_or_else(|| misuse("Pattern must be valid group name when using --graph"))?;
            let mut lines = Vec::new();
            self.graph(start, &group, 0, args.vars, &mut lines);
            return Ok(lines.join("\n"));
        }
        let mut hosts = self.inventory.hosts();
        if let Some(limit) = args.hosts.limit() {
            let limited = reading::hosts_matching(&self.inventory, limit, config, warnings)?;
            hosts.retain(|host| limited.contains(host));
        }
        match (args.yaml, args.toml) {
            (true, _) => Ok(template::yaml(&self.nested(&hosts))),
            (_, true) => toml(&self.tables(&hosts)),
            _ => Ok(written(&self.list(&hosts))),
        }
    }

    fn host_vars(&self, host: &str) -> VarMap {
        let mut vars = if self.export {
            self.inventory.own_vars(host)
        } else {
            let mut view = View::default();
            for (level, layer) in self.inventory.layers(host) {
                view.add(level, layer);
            }
            view.add(Level::Extra, self.extra_vars.clone());
            view.names().filter_map(|name| Some((name.to_owned(), view.get(name)?.clone()))).collect()
        };
        vars.retain(|name, _| !OF_EVERY_HOST.contains(&name.as_str()));
        vars
    }

    fn graph(&self, name: &str, group: &ShownGroup, depth: usize, with_vars: bool, lines: &mut Vec<String>) {
        let line = |depth: usize, text: String| if depth == 0 { text } else { format!("{}--{text}", "  |".repeat(depth)) };
        let vars = |vars: &VarMap, depth: usize, lines: &mut Vec<String>| {
            let mut sorted: Vec<_> = vars.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            lines.extend(
                sorted.into_iter().map(|(name, value)| line(depth, format!("{{{name} = {}}}", template::python_text(&value_of(value))))),
            );
        };
        lines.push(line(depth, format!("@{name}:")));
        for child in &group.children {
            if let Some(below) = self.inventory.group(child) {
                self.graph(child, &below, depth + 1, with_vars, lines);
            }
        }
        if name != "all" {
            for host in &group.hosts {
                lines.push(line(depth + 1, host.to_string()));
                if with_vars {
                    vars(&self.host_vars(host), depth + 2, lines);
                }
            }
        }
        if with_vars {
            vars(&group.vars, depth + 1, lines);
        }
    }

    /// What a script prints for `--list`.
    fn list(&self, hosts: &[Arc<str>]) -> Json {
        let mut all = Map::new();
        self.list_group("all", &hosts.iter().cloned().collect(), &mut HashSet::new(), &mut all);
        let with_vars = hosts.iter().map(|host| (host.to_string(), json_of(&self.host_vars(host))));
        let hostvars: Map<String, Json> = with_vars.filter(|(_, vars)| vars.as_object().is_some_and(|vars| !vars.is_empty())).collect();
        all.insert("_meta".to_owned(), json!({"hostvars": hostvars, "profile": PROFILE}));
        Json::Object(all)
    }

    fn list_group(&self, name: &str, hosts: &HashSet<Arc<str>>, seen: &mut HashSet<String>, all: &mut Map<String, Json>) {
        let Some(group) = self.inventory.group(name) else { return };
        let mut shown = Map::new();
        let own: Vec<Json> = group.hosts.iter().filter(|host| hosts.contains(*host)).map(|host| Json::from(&**host)).collect();
        if name != "all" && !own.is_empty() {
            shown.insert("hosts".to_owned(), own.into());
        }
        if !group.children.is_empty() {
            shown.insert("children".to_owned(), group.children.clone().into());
        }
        for child in &group.children {
            if seen.insert(child.clone()) {
                self.list_group(child, hosts, seen, all);
            }
        }
        if self.export && !group.vars.is_empty() {
            shown.insert("vars".to_owned(), json_of(&group.vars));
        }
        if !shown.is_empty() {
            all.insert(name.to_owned(), Json::Object(shown));
        }
    }

    /// As a YAML inventory: groups within groups.
    fn nested(&self, hosts: &[Arc<str>]) -> Json {
        let mut top = Map::new();
        let (mut groups, mut said) = (HashSet::new(), HashSet::new());
        self.nested_group("all", &hosts.iter().cloned().collect(), &mut groups, &mut said, &mut top);
        Json::Object(top)
    }

    fn nested_group(
        &self,
        name: &str,
        hosts: &HashSet<Arc<str>>,
        groups: &mut HashSet<String>,
        said: &mut HashSet<Arc<str>>,
        into: &mut Map<String, Json>,
    ) {
        let Some(group) = self.inventory.group(name) else { return };
        let (mut shown, mut children) = (Map::new(), Map::new());
        for child in group.children.iter().filter(|child| *child != "all") {
            if groups.contains(child) {
                children.insert(child.clone(), json!({}));
            } else {
                self.nested_group(child, hosts, groups, said, &mut children);
                groups.insert(child.clone());
            }
        }
        let mut own = Map::new();
        for host in group.hosts.iter().filter(|host| name != "all" && hosts.contains(*host)) {
            let vars = if said.insert(host.clone()) { plain(&self.host_vars(host)) } else { json!({}) };
            own.insert(host.to_string(), vars);
        }
        let parts = [("children", children), ("hosts", own)];
        shown.extend(parts.into_iter().filter(|(_, part)| !part.is_empty()).map(|(key, part)| (key.to_owned(), Json::Object(part))));
        if self.export && !group.vars.is_empty() {
            shown.insert("vars".to_owned(), plain(&group.vars));
        }
        if !shown.is_empty() {
            into.insert(name.to_owned(), Json::Object(shown));
        }
    }

    /// As a TOML inventory: a table per group.
    fn tables(&self, hosts: &[Arc<str>]) -> Json {
        let mut top = Map::new();
        self.table("all", &hosts.iter().cloned().collect(), &mut HashSet::new(), &mut top);
        Json::Object(top)
    }

    fn table(&self, name: &str, hosts: &HashSet<Arc<str>>, said: &mut HashSet<Arc<str>>, into: &mut Map<String, Json>) {
        let Some(group) = self.inventory.group(name) else { return };
        let mut shown = Map::new();
        if name != "all" && !group.children.is_empty() {
            shown.insert("children".to_owned(), group.children.clone().into());
        }
        for child in &group.children {
            self.table(child, hosts, said, into);
        }
        let mut own = Map::new();
        for host in group.hosts.iter().filter(|host| name != "all" && hosts.contains(*host)) {
            let vars = if said.insert(host.clone()) { plain(&self.host_vars(host)) } else { json!({}) };
            own.insert(host.to_string(), vars);
        }
        if !own.is_empty() {
            shown.insert("hosts".to_owned(), Json::Object(own));
        }
        if self.export && !group.vars.is_empty() {
            shown.insert("vars".to_owned(), plain(&group.vars));
        }
        if !shown.is_empty() {
            into.insert(name.to_owned(), Json::Object(shown));
        }
    }
}

fn written(json: &Json) -> String {
    crate::report::indented_json(json)
}

fn toml(json: &Json) -> anyhow::Result<String> {
    let table: toml::Table = serde_json::from_value(json.clone()).context("the inventory has values that TOML cannot hold")?;
    toml::to_string(&table).context("the inventory cannot be written as TOML")
}

fn value_of(variable: &Variable) -> minijinja::Value {
    match variable {
        Variable::Node(node) => crate::vars::value_of(&node_json(node, false)),
        Variable::Data(value) => value.clone(),
    }
}

/// Variables as JSON in which strings that are no templates say so.
fn json_of(vars: &VarMap) -> Json {
    Json::Object(vars.iter().map(|(name, value)| (name.clone(), variable_json(value, true))).collect())
}

fn plain(vars: &VarMap) -> Json {
    Json::Object(vars.iter().map(|(name, value)| (name.clone(), variable_json(value, false))).collect())
}

fn variable_json(variable: &Variable, marked: bool) -> Json {
    match variable {
        Variable::Node(node) => node_json(node, marked),
        Variable::Data(value) => {
            let json = serde_json::to_value(value).unwrap_or_else(|_| Json::from(value.to_string()));
            if marked { data_json(json) } else { json }
        }
    }
}

/// Finished data: none of its strings is a template.
fn data_json(json: Json) -> Json {
    match json {
        Json::String(text) => json!({"__ansible_unsafe": text}),
        Json::Array(items) => items.into_iter().map(data_json).collect(),
        Json::Object(map) => Json::Object(map.into_iter().map(|(key, value)| (key, data_json(value))).collect()),
        other => other,
    }
}

fn node_json(node: &Node, marked: bool) -> Json {
    match &node.kind {
        Kind::Null => Json::Null,
        Kind::Bool(truth) => (*truth).into(),
        Kind::Int(number) => (*number).into(),
        Kind::Float(number) => (*number).into(),
        Kind::Str(string) if marked && string.tag == Tag::Unsafe => json!({"__ansible_unsafe": &*string.text}),
        Kind::Str(string) => Json::from(&*string.text),
        Kind::Vault(vaulted) => json!({"__ansible_vault": &**vaulted}),
        Kind::Seq(items) => items.iter().map(|item| node_json(item, marked)).collect(),
        Kind::Map(pairs) => {
            let name = |key: &Node| match node_json(key, false) {
                Json::String(text) => text,
                other => other.to_string(),
            };
            Json::Object(pairs.iter().map(|(key, value)| (name(key), node_json(value, marked))).collect())
        }
    }
}
