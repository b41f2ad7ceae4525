//! Inventories as files: `tests/inventory/*.case` says what is on disk and what is asked; the snapshot beside it is the answer.
//! The answers were compared with those of ansible-core 2.21.
//!
//! A case is a list of files, each headed by `==== path` (`==== path +x` for a script). The last one is `==== ask`:
//! `inventory SOURCE`, `playbook DIR`, `pattern PATTERN`, `add_host NAME GROUP,GROUP`, `group_by HOST GROUP PARENT,PARENT`.

use nodewright::inventory::Inventory;
use nodewright::source::{Kind, Node};
use nodewright::vars::{VarMap, Variable, View};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[test]
fn cases() {
    insta::glob!("inventory/*.case", |path| {
        let case = std::fs::read_to_string(path).expect("the case can be read");
        insta::assert_snapshot!(answer(&case));
    });
}

#[test]
fn errors_point_at_the_place() {
    let cases = [
        ("hosts", "[web:childen]\n"),
        ("hosts", "[we b]\n"),
        ("hosts", "[web] ; comment\n"),
        ("hosts", "a b\n"),
        ("hosts", "a b=1 c='x\n"),
        ("hosts", "a: b=1\n[x]\n"),
        ("hosts", "web:\n  hosts: [a]\n  - b\n"),
        ("hosts", "[wbe:vars]\na=1\n[web]\n"),
        ("hosts", "[all:children]\nx\n[web:vars]\n"),
        ("hosts", "[a:children]\nb\n[b:children]\na\n"),
        ("hosts", "[a:children]\na\n"),
        ("hosts", "[a:children]\nb c\n"),
        ("hosts", "[a]\n[a:vars]\nx\n"),
        ("hosts", "h id=[1,123456789012345678901]\n"),
        ("hosts", "web[1:]\n"),
        ("hosts", "web[01:9]\n"),
        ("hosts", "web[c:a]\n"),
        ("hosts", "web[5:1]\n"),
        ("hosts", "web[1:2:0]\n"),
        ("hosts", "web[1:99999999]\n"),
        ("hosts", "web[x]\n"),
        ("hosts", "h x='unquoted flag' flag=yes\n[broken\n"),
        ("hosts.yml", "web:\n  hosts: [a, b]\n"),
        ("hosts.yml", "web:\n  host:\n    a:\n  hosts:\n    a: 5\n"),
        ("hosts.yml", "web:\n  hosts:\n    10:\n"),
        ("hosts.yml", "web:\n  children:\n    x: [a]\n"),
        ("hosts.yml", "a:\n  children:\n    b:\n      children:\n        a:\n"),
        ("hosts.yml", "web:\n  hosts:\n    a: {yes: 1}\n"),
        ("hosts.yml", "plugin: aws_ec2\n"),
        ("hosts.yml", "- a\n"),
        ("hosts.yml", "x: 5\nweb:\n  vars: {ansible_group_priority: high}\n  hosts: {web: {a: 1, a: 2}}\n"),
        ("hosts.toml", "[web]\n"),
    ];
    let mut said = String::new();
    for (name, text) in cases {
        let case = format!("==== {name}\n{text}==== ask\ninventory {name}\n");
        writeln!(said, "======== {name}: {text:?}\n{}", answer(&case)).expect("writing to a string");
    }
    insta::assert_snapshot!(said);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]
    #[test]
    fn nothing_panics(text in "([-\\[\\]{}:,=&!#;'\"\\\\ \n\t.]|[a-z0-9]|\\PC|\n\\[a|:vars\\]\n|:children\\]\n| x=|\\[1:3\\]){0,60}", pattern in "[-a-c0-2\\[\\]:,&!~*?.]{0,12}") {
        let root = tempfile::tempdir().expect("a folder can be made");
        let path = root.path().join("hosts");
        std::fs::write(&path, text).expect("a file can be written");
        let sources = [path.display().to_string()];
        if let Ok(inventory) = Inventory::load(&sources, &mut Vec::new()) {
            for (host, _) in inventory.hosts().iter().zip(0..9) {
                inventory.layers(host);
            }
            let _any = inventory.hosts_matching(&pattern, &mut Vec::new());
        }
    }
}

fn answer(case: &str) -> String {
    let root = tempfile::tempdir().expect("a folder can be made");
    let mut ask = "";
    for part in case.split("==== ").skip(1) {
        let (head, text) = part.split_once('\n').expect("a head is a line");
        match head.split_once(' ') {
            _ if head == "ask" => ask = text,
            Some((path, "+x")) => write_file(&root.path().join(path), text, 0o755),
            _ => write_file(&root.path().join(head), text, 0o644),
        }
    }
    let mut said = String::new();
    if let Err(err) = asked(root.path(), ask, &mut said) {
        writeln!(said, "{err:#}").expect("writing to a string");
    }
    said.replace(&*root.path().to_string_lossy(), "[ROOT]")
}

fn write_file(path: &Path, text: &str, mode: u32) {
    std::fs::create_dir_all(path.parent().expect("it is in the root")).expect("a folder can be made");
    std::fs::write(path, text).expect("a file can be written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("its mode can be set");
}

fn asked(root: &Path, ask: &str, said: &mut String) -> anyhow::Result<()> {
    let lines = || ask.lines().filter_map(|line| line.split_once(' '));
    let sources: Vec<String> = lines()
        .filter(|(verb, _)| *verb == "inventory")
        .map(|(_, source)| if source.contains(',') { source.to_owned() } else { root.join(source).display().to_string() })
        .collect();
    let mut warnings = Vec::new();
    let inventory = Inventory::load(&sources, &mut warnings);
    for warning in &warnings {
        writeln!(said, "{warning}")?;
    }
    let mut inventory = inventory?;
    for (verb, rest) in lines() {
        let words: Vec<&str> = rest.split(' ').collect();
        let list = |at: usize| words.get(at).into_iter().flat_map(|list| list.split(',')).map(str::to_owned).collect::<Vec<_>>();
        match verb {
            "playbook" => {
                for warning in inventory.add_playbook_dir(&root.join(rest))? {
                    writeln!(said, "{warning}")?;
                }
            }
            "add_host" => writeln!(said, "add_host {rest}: {}", inventory.add_host(words[0], &list(1), VarMap::new())?)?,
            "group_by" => writeln!(said, "group_by {rest}: {}", inventory.add_to_group(words[0], words[1], &list(2))?)?,
            _ => {}
        }
    }
    for host in inventory.hosts().iter().map(|host| &**host).chain(["localhost"]) {
        let mut view = View::default();
        for (level, vars) in inventory.layers(host) {
            view.add(level, vars);
        }
        // Which Python the controller has is its own business.
        let names = view.names().filter(|name| *name != "ansible_python_interpreter");
        let vars: BTreeMap<_, _> = names.map(|name| (name, view.get(name).map(as_json))).collect();
        let groups = inventory.groups_of(host);
        let file = inventory.file_of(host).map(|file| file.strip_prefix(root).unwrap_or(&file).display().to_string());
        writeln!(said, "host {host} {}", json!({ "file": file, "groups": groups, "vars": vars }))?;
    }
    for (group, hosts) in inventory.groups() {
        writeln!(said, "group {group} {}", names(&hosts))?;
    }
    for (_, pattern) in lines().filter(|(verb, _)| *verb == "pattern") {
        let mut unmatched = Vec::new();
        match inventory.hosts_matching(pattern, &mut unmatched) {
            Ok(hosts) => writeln!(said, "pattern {pattern} {}", names(&hosts))?,
            Err(err) => writeln!(said, "pattern {pattern} failed: {err}")?,
        }
        for pattern in unmatched {
            writeln!(said, "    nothing matches {pattern}")?;
        }
    }
    Ok(())
}

fn names(hosts: &[std::sync::Arc<str>]) -> Value {
    hosts.iter().map(|host| host.to_string()).collect()
}

fn as_json(variable: &Variable) -> Value {
    match variable {
        Variable::Node(node) => node_as_json(node),
        Variable::Data(value) => serde_json::from_str(&value.to_string()).unwrap_or_else(|_| value.to_string().into()),
    }
}

fn node_as_json(node: &Node) -> Value {
    match &node.kind {
        Kind::Null => Value::Null,
        Kind::Bool(value) => json!(value),
        Kind::Int(value) => json!(value),
        Kind::Float(value) => json!(value),
        Kind::Str(string) => json!(&*string.text),
        Kind::Vault(vaulted) => json!({"__ansible_vault": &**vaulted}),
        Kind::Seq(items) => items.iter().map(node_as_json).collect(),
        Kind::Map(pairs) => {
            pairs.iter().map(|(key, value)| (key.as_str().unwrap_or(key.span.text()).to_owned(), node_as_json(value))).collect()
        }
    }
}
