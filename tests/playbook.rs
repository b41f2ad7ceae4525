//! Cases of loading playbooks: each file of `playbook/ok` with an outline of what was read, each of `playbook/errors` with all findings.

use nodewright::playbook::{Entry, Keywords, Loader, Loop, Play, Register, Role};
use nodewright::source::{Diag, Kind, Node};
use nodewright::vars::{VarMap, Variable};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

#[test]
fn good_playbooks() {
    insta::glob!("playbook/ok/*.yaml", |path| {
        let playbook = match loader().playbook(&relative(path)) {
            Ok(playbook) => playbook,
            Err(findings) => panic!("{}", rendered(&findings)),
        };
        let mut out = rendered(&playbook.warnings);
        playbook.plays.iter().for_each(|play| outline(play, &mut out));
        insta::assert_snapshot!(out);
    });
}

#[test]
fn wrong_playbooks() {
    insta::glob!("playbook/errors/*.yaml", |path| {
        let findings = match loader().playbook(&relative(path)) {
            Ok(_) => panic!("{}: nothing was found wrong", path.display()),
            Err(findings) => findings,
        };
        insta::assert_snapshot!(rendered(&findings));
    });
}

/// As a user would name it, whatever folder the project stands in.
fn relative(path: &Path) -> std::path::PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    path.strip_prefix(&root).map(Path::to_owned).unwrap_or(path)
}

fn rendered(findings: &[Diag]) -> String {
    findings.iter().map(|diag| format!("{diag}\n\n")).collect()
}

/// A loader that knows one filter and replaces variables, no more.
fn loader() -> Loader {
    Loader {
        roles_path: Vec::new(),
        collections_path: Vec::new(),
        private_role_vars: false,
        is_lenient: false,
        render: Box::new(|node, vars| {
            let mut text = node.as_str().unwrap_or("").to_owned();
            for (name, value) in vars {
                text = text.replace(&format!("{{{{ {name} }}}}"), &text_of(value));
            }
            match text.find("{{") {
                Some(_) => Err(Diag::error("a variable is not defined").at(&node.span)),
                None => Ok(Node::string(text, node.span.clone())),
            }
        }),
        check: Box::new(check),
        check_condition: Box::new(|node| match node.as_str() {
            Some(text) if text.contains("==") || !text.contains('=') => Vec::new(),
            _ => vec![Diag::error("syntax error in a condition").at(&node.span)],
        }),
        has_lookup: Box::new(|name| ["items", "dict", "fileglob"].contains(&name)),
    }
}

fn check(node: &Node) -> Vec<Diag> {
    match &node.kind {
        Kind::Seq(items) => items.iter().flat_map(check).collect(),
        Kind::Map(pairs) => pairs.iter().flat_map(|(_, value)| check(value)).collect(),
        Kind::Str(string) => match string.text.find("| nosuch") {
            Some(at) => vec![Diag::error("there is no filter `nosuch`").at(&node.locate(at + 2..at + 8))],
            None => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn text_of(value: &Variable) -> String {
    match value {
        Variable::Node(node) => text(node),
        Variable::Data(data) => data.to_string(),
    }
}

fn outline(play: &Play, out: &mut String) {
    let _ = writeln!(out, "play {} on {}", name(&play.name), text(&play.hosts));
    let _ = writeln!(out, "  vars {}{}", vars(&play.vars), keywords(&play.keywords));
    for role in &play.static_roles {
        outline_role(role, out);
    }
    let sections = [
        ("pre_tasks", &play.pre_tasks),
        ("roles", &play.roles),
        ("tasks", &play.tasks),
        ("post_tasks", &play.post_tasks),
        ("handlers", &play.handlers),
    ];
    for (what, entries) in sections {
        if !entries.is_empty() {
            let _ = writeln!(out, "  {what}");
            entries.iter().for_each(|entry| outline_entry(entry, 4, out));
        }
    }
}

fn outline_role(role: &Arc<Role>, out: &mut String) {
    let parent = role.parent.as_ref().map(|parent| format!(" for {}", parent.name)).unwrap_or_default();
    let (defaults, own, params) = (vars(&role.defaults), vars(&role.vars), vars(&role.params));
    let needs: Vec<&str> = role.dependencies.iter().map(|role| role.name.as_str()).collect();
    let _ = writeln!(out, "  role {}{parent}: defaults {defaults} vars {own} params {params} needs {needs:?}", role.name);
}

fn outline_entry(entry: &Entry, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    match entry {
        Entry::Block(block) => {
            let role = block.role_call.as_ref().map(|call| format!(" of role {} [{}]", call.role.name, call.key)).unwrap_or_default();
            let _ = writeln!(out, "{pad}block {}{role}", name(&block.name));
            for (what, entries) in [("", &block.block), ("rescue", &block.rescue), ("always", &block.always)] {
                if !what.is_empty() && !entries.is_empty() {
                    let _ = writeln!(out, "{pad}{what}");
                }
                entries.iter().for_each(|entry| outline_entry(entry, indent + 2, out));
            }
        }
        Entry::Task(task) => {
            let args: Vec<String> = task.action.args.iter().map(|(word, value)| format!("{word}={}", quoted(value))).collect();
            let from = task.action.args_from.as_ref().map(|from| format!(" and {}", text(from))).unwrap_or_default();
            let module = task.action.module.spec().name;
            let _ = writeln!(out, "{pad}{}: {module} {}{from}{}", name(&task.name), args.join(" "), keywords(&task.keywords));
            match &task.register {
                None => {}
                Some(Register::Whole(name)) => drop(writeln!(out, "{pad}  register {name}")),
                Some(Register::Parts(parts)) => {
                    let parts: Vec<String> = parts.iter().map(|(name, part)| format!("{name}: {}", text(part))).collect();
                    let _ = writeln!(out, "{pad}  register {{{}}}", parts.join(", "));
                }
            }
            let words = [
                ("until", &task.until),
                ("retries", &task.retries),
                ("delay", &task.delay),
                ("changed_when", &task.changed_when),
                ("failed_when", &task.failed_when),
            ];
            for (word, value) in words {
                if let Some(value) = value {
                    let _ = writeln!(out, "{pad}  {word} {}", text(value));
                }
            }
            for (word, values) in [("notify", &task.notify), ("listen", &task.listen)] {
                if !values.is_empty() {
                    let _ = writeln!(out, "{pad}  {word} {}", list(values));
                }
            }
            if let Some(Loop { lookup, over, control }) = &task.looped {
                let by = control.loop_var.as_ref().map(|name| format!(" as {}", text(name))).unwrap_or_default();
                let _ = writeln!(out, "{pad}  loop {} over {}{by}", lookup.as_deref().unwrap_or("-"), text(over));
            }
            if let Some(include) = &task.include {
                let _ = writeln!(out, "{pad}  hands down vars {}{}", vars(&include.vars), keywords(&include.keywords));
            }
        }
    }
}

fn keywords(keywords: &Keywords) -> String {
    let mut out = String::new();
    let defaults = keywords.module_defaults.iter().map(|defaults| defaults.written.clone()).collect();
    let lists = [
        ("when", &keywords.when),
        ("tags", &keywords.tags),
        ("environment", &keywords.environment),
        ("module_defaults", &defaults),
        ("notify", &keywords.notify),
    ];
    for (word, values) in lists {
        if !values.is_empty() {
            let _ = write!(out, " | {word} {}", list(values));
        }
    }
    for map in &keywords.vars {
        let _ = write!(out, " | vars {}", vars(map));
    }
    let values = [
        ("become", &keywords.r#become),
        ("become_user", &keywords.become_user),
        ("delegate_to", &keywords.delegate_to),
        ("run_once", &keywords.run_once),
        ("ignore_errors", &keywords.ignore_errors),
        ("no_log", &keywords.no_log),
        ("connection", &keywords.connection),
        ("check_mode", &keywords.check_mode),
    ];
    for (word, value) in values {
        if let Some(value) = value {
            let _ = write!(out, " | {word} {}", text(value));
        }
    }
    out
}

fn vars(vars: &VarMap) -> String {
    let pairs: Vec<String> = vars.iter().map(|(name, value)| format!("{name}={}", text_of(value))).collect();
    format!("{{{}}}", pairs.join(", "))
}

fn name(node: &Option<Node>) -> String {
    node.as_ref().map_or("-".to_owned(), text)
}

fn list(nodes: &[Node]) -> String {
    format!("[{}]", nodes.iter().map(text).collect::<Vec<_>>().join(", "))
}

fn quoted(node: &Node) -> String {
    match node.as_str() {
        Some(text) => format!("{text:?}"),
        None => text(node),
    }
}

fn text(node: &Node) -> String {
    match &node.kind {
        Kind::Null => "null".to_owned(),
        Kind::Bool(value) => value.to_string(),
        Kind::Int(value) => value.to_string(),
        Kind::Float(value) => value.to_string(),
        Kind::Str(string) => string.text.to_string(),
        Kind::Vault(_) => "an encrypted value".to_owned(),
        Kind::Seq(items) => list(items),
        Kind::Map(pairs) => {
            format!("{{{}}}", pairs.iter().map(|(key, value)| format!("{}: {}", text(key), text(value))).collect::<Vec<_>>().join(", "))
        }
    }
}
