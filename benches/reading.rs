//! What a run costs before the first host is asked: YAML, loading with its checks, templates, and the plan, on content of kubespray's size.

#[path = "content/mod.rs"]
mod content;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use nodewright::inventory::Inventory;
use nodewright::playbook::Loader;
use nodewright::source::{Kind, Node, Source, yaml};
use nodewright::template::Templar;
use nodewright::vars::{Level, VarMap, Variable, View};

fn reading(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    content::write(folder.path()).expect("the content is written");
    let site = folder.path().join("site.yaml");
    let inventory = folder.path().join("inventory.yaml");

    let sources: Vec<Arc<Source>> =
        yaml_files(folder.path()).iter().map(|path| Source::read(path).expect("a file that was just written")).collect();
    criterion.bench_function("YAML", |bencher| {
        bencher.iter(|| sources.iter().map(|source| yaml::load(source).is_ok()).filter(|ok| *ok).count())
    });

    let templar = Arc::new(Templar::new());
    let loader = loader(&templar);
    criterion
        .bench_function("loading and checking", |bencher| bencher.iter(|| loader.playbook(&site).map_err(|found| found.len()).is_ok()));

    let (view, expressions) = variables(folder.path(), &inventory);
    criterion.bench_function("templates of variables", |bencher| {
        bencher.iter(|| {
            expressions.iter().map(|node| templar.render(node, &view).expect("every variable is defined").to_string().len()).sum::<usize>()
        });
    });

    criterion.bench_function("list-tasks, the whole process", |bencher| {
        bencher.iter(|| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_nodewright"));
            command.args(["run", "--list-tasks", "-i"]).args([&inventory, &site]).stdout(Stdio::null());
            assert!(command.status().expect("the binary starts").success());
        });
    });
}

/// As the commands load, but for what comes from settings.
fn loader(templar: &Arc<Templar>) -> Loader {
    let (rendering, checking, conditions, lookups) = (templar.clone(), templar.clone(), templar.clone(), templar.clone());
    Loader {
        roles_path: Vec::new(),
        collections_path: Vec::new(),
        private_role_vars: false,
        is_lenient: false,
        render: Box::new(move |node, vars| {
            let mut view = View::default();
            view.add(Level::Play, Arc::new(vars.clone()));
            Ok(Node::string(rendering.render(node, &Arc::new(view))?.to_string(), node.span.clone()))
        }),
        check: Box::new(move |node| checking.check(node)),
        check_condition: Box::new(move |node| conditions.check_condition(node)),
        has_lookup: Box::new(move |name| lookups.has_lookup(name)),
    }
}

/// What one host sees of group_vars and all roles' defaults, and each of these variables' values.
fn variables(folder: &Path, inventory: &Path) -> (Arc<View>, Vec<Arc<Node>>) {
    let inventory = Inventory::load(&[inventory.display().to_string()], &mut Vec::new()).expect("the inventory is read");
    let mut view = View::default();
    for (level, vars) in inventory.layers("node1") {
        view.add(level, vars);
    }
    let mut values = Vec::new();
    for path in yaml_files(folder).iter().filter(|path| path.ends_with("defaults/main.yaml")) {
        let (node, _) = yaml::load_one(&Source::read(path).expect("a file that was just written")).expect("valid YAML");
        let Kind::Map(entries) = node.kind else { continue };
        let defaults: VarMap =
            entries.into_iter().filter_map(|(name, value)| Some((name.as_str()?.to_owned(), Variable::Node(Arc::new(value))))).collect();
        values.extend(defaults.values().filter_map(|variable| match variable {
            Variable::Node(node) => Some(node.clone()),
            Variable::Data(_) => None,
        }));
        view.add(Level::RoleDefaults, Arc::new(defaults));
    }
    (Arc::new(view), values)
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder that was just written") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            found.extend(yaml_files(&path));
        } else if path.extension().is_some_and(|end| end == "yaml") {
            found.push(path);
        }
    }
    found.sort();
    found
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = reading
}
criterion_main!(benches);
