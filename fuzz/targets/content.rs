//! What stands in files and on the command line.

use super::{draw, draw_all, file, text};
use nodewright::inventory::Inventory;
use nodewright::module::TemplateOptions;
use nodewright::playbook::{Loader, key_value as pairs};
use nodewright::python::regex::{Flags, Pattern, Template};
use nodewright::source::yaml::{Loaded, load, load_one};
use nodewright::source::{Kind, Node, Source};
use nodewright::template::{Templar, outside, python_text, yaml as to_yaml};
use nodewright::vars::{Level, VarMap, Variable, View};
use nodewright::vault::{Envelope, Key, Keyring, Password};
use std::sync::{Arc, LazyLock};

pub fn yaml(data: &[u8]) {
    let source = Source::from_text("fuzz.yml", text(data));
    match load(&source) {
        Ok(Loaded { documents, warnings }) => {
            documents.iter().for_each(walk);
            draw_all(&warnings);
        }
        Err(diag) => draw(&diag),
    }
}

/// Every place is one in the text.
fn walk(node: &Node) {
    assert!(node.span.start <= node.span.end && node.span.end <= node.span.source.text.len(), "{:?}", node.span);
    std::hint::black_box(node.span.to_string());
    match &node.kind {
        Kind::Seq(items) => items.iter().for_each(walk),
        Kind::Map(pairs) => pairs.iter().for_each(|(key, value)| {
            walk(key);
            walk(value);
        }),
        _ => {}
    }
}

pub fn playbook(data: &[u8]) {
    static TEMPLAR: LazyLock<Arc<Templar>> = LazyLock::new(|| Arc::new(Templar::new()));
    let (rendering, checking, conditions, lookups) = (TEMPLAR.clone(), TEMPLAR.clone(), TEMPLAR.clone(), TEMPLAR.clone());
    let is_lenient = data.len().is_multiple_of(2);
    let loader = Loader {
        roles_path: Vec::new(),
        collections_path: Vec::new(),
        private_role_vars: false,
        is_lenient,
        render: Box::new(move |node, vars| {
            let mut view = View::default();
            view.add(Level::Play, Arc::new(vars.clone()));
            let value = outside::trying(|| rendering.render(node, &Arc::new(view)))?;
            Ok(Node::string(value.to_string(), node.span.clone()))
        }),
        check: Box::new(move |node| checking.check(node)),
        check_condition: Box::new(move |node| conditions.check_condition(node)),
        has_lookup: Box::new(move |name| lookups.has_lookup(name)),
    };
    match loader.playbook(&file("site.yml", data)) {
        Ok(playbook) => draw_all(&playbook.warnings),
        Err(findings) => draw_all(&findings),
    }
}

/// The first byte says which kind of file it is.
pub fn inventory(data: &[u8]) {
    let Some((kind, content)) = data.split_first() else { return };
    let name = ["hosts", "hosts.ini", "hosts.yml", "hosts.toml", "hosts.json"][usize::from(*kind) % 5];
    let mut warnings = Vec::new();
    match Inventory::load(&[file(name, content).display().to_string()], &mut warnings) {
        Ok(inventory) => {
            for host in inventory.hosts().iter().take(10) {
                std::hint::black_box((inventory.layers(host), inventory.groups_of(host)));
            }
            std::hint::black_box(inventory.groups());
        }
        Err(err) => {
            std::hint::black_box(format!("{err:#}"));
        }
    }
    draw_all(&warnings);
}

pub fn pattern(data: &[u8]) {
    static INVENTORY: LazyLock<Inventory> = LazyLock::new(|| {
        let text = "[web]\nweb[1:5].example\n[db]\ndb-[a:c] x=1\n[all_of:children]\nweb\ndb\n[v6]\n[fd00::1]:22\n";
        Inventory::load(&[file("hosts", text.as_bytes()).display().to_string()], &mut Vec::new()).expect("an inventory")
    });
    let mut unmatched = Vec::new();
    // `@` would read whatever file is named; that is its own matter.
    let pattern = text(data).replace('@', "");
    std::hint::black_box(INVENTORY.hosts_matching(&pattern, &mut unmatched).map_err(|err| err.to_string()).ok());
}

/// Variables of each kind, some of which are templates themselves.
static VIEW: LazyLock<Arc<View>> = LazyLock::new(|| {
    let source = Source::from_text(
        "vars.yml",
        "name: web1\nport: 8080\nratio: 2.5\non: true\nnothing: null\nhosts: [a, b, c]\nempty: []\n\
         nested: {a: {b: [1, {c: x}]}, 'k v': 2}\nusers: [{name: x, id: 1}, {name: y, id: 2}]\n\
         lazy: '{{ name }}-{{ port }}'\ndeep: '{{ lazy | upper }}'\nloop: '{{ loop2 }}'\nloop2: '{{ loop }}'\n\
         text: \"line one\\nline two\\n\"\naddress: 10.0.0.5/24\nsecret: '{{ undefined_one }}'\n",
    );
    let (node, _) = load_one(&source).expect("variables");
    let pairs = node.as_map().expect("a mapping").iter();
    let vars: VarMap = pairs.map(|(key, value)| (key.as_str().unwrap_or_default().to_owned(), Variable::from(value.clone()))).collect();
    let mut view = View::default();
    view.add(Level::Play, Arc::new(vars));
    Arc::new(view)
});

pub fn template(data: &[u8]) {
    // Who asks for a tree of files gets it: that of a machine takes as long as the machine is large.
    if data.windows(8).any(|word| word == b"filetree") {
        return;
    }
    let source = Source::from_text("fuzz.yml", text(data));
    let node = Node::string(source.text.as_str(), source.span(0, source.text.len()));
    let templar = Templar::new();
    draw_all(&templar.check(&node));
    std::hint::black_box(templar.needs(&node, false));
    outside::trying(|| match templar.render(&node, &VIEW) {
        Ok(value) => {
            std::hint::black_box((python_text(&value), serde_json::to_value(&value).map(|json| to_yaml(&json)).ok()));
        }
        Err(diag) => draw(&diag),
    });
}

pub fn condition(data: &[u8]) {
    let source = Source::from_text("fuzz.yml", text(data));
    let node = Node::string(source.text.as_str(), source.span(0, source.text.len()));
    let templar = Templar::new();
    draw_all(&templar.check_condition(&node));
    std::hint::black_box((templar.needs(&node, true), templar.truths(&node)));
    if let Err(diag) = outside::trying(|| templar.condition(&node, &VIEW)) {
        draw(&diag);
    }
}

/// The first byte holds the options.
pub fn template_file(data: &[u8]) {
    let Some((options, content)) = data.split_first() else { return };
    let bit = |n: u8| options & (1 << n) != 0;
    let some = |on: bool, word: &str| on.then(|| word.to_owned());
    let options = TemplateOptions {
        trim_blocks: !bit(0),
        lstrip_blocks: bit(1),
        variable_start: some(bit(2), "[["),
        variable_end: some(bit(2), "]]"),
        block_start: some(bit(3), "<%"),
        block_end: some(bit(3), "%>"),
        comment_start: some(bit(4), "##"),
        comment_end: some(bit(4), "##"),
        dest: "/r/out".to_owned(),
    };
    let source = Source::from_text("fuzz.j2", text(content));
    if let Err(diag) = outside::trying(|| Templar::new().render_file(&source, &options, &VIEW)) {
        draw(&diag);
    }
}

pub fn key_value(data: &[u8]) {
    let line = text(data);
    let source = Source::from_text("fuzz.yml", line.as_str());
    let node = Node::string(line.as_str(), source.span(0, line.len()));
    let Ok(words) = pairs::words(&line) else { return };
    let (named, kept): (Vec<_>, Vec<_>) = words.iter().cloned().partition(|word| pairs::key_value(&line, word.clone()).is_some());
    for word in named {
        if let Some((_, value)) = pairs::key_value(&line, word) {
            std::hint::black_box(pairs::piece(&node, value));
        }
    }
    std::hint::black_box(pairs::join(&line, &words, &kept));
}

pub fn extra_vars(data: &[u8]) {
    // What `@` names is read as YAML, which has a target of its own.
    let argument = text(data).trim_start().trim_start_matches('@').to_owned();
    if let Err(err) = nodewright::cli::extra_vars::read(&[argument]) {
        std::hint::black_box(format!("{err:#}"));
    }
}

pub fn ansible_cfg(data: &[u8]) {
    let path = file("ansible.cfg", data).display().to_string();
    let env = |name: &str| (name == "ANSIBLE_CONFIG").then(|| path.clone());
    if let Err(err) = nodewright::config::Config::of(&env) {
        std::hint::black_box(format!("{err:#}"));
    }
}

/// A pattern, a line break, a replacement, a line break, a text.
pub fn regex(data: &[u8]) {
    let text = text(data);
    let mut parts = text.splitn(3, '\n');
    let mut part = || parts.next().unwrap_or_default();
    let (pattern, replacement, subject) = (part(), part(), part());
    let flags =
        Flags { ignore_case: data.len().is_multiple_of(2), multiline: data.len().is_multiple_of(3), dotall: data.len().is_multiple_of(5) };
    let Ok(pattern) = Pattern::new(pattern, flags) else { return };
    let (Ok(found), Ok(template)) = (pattern.find_all(subject), Template::new(replacement)) else { return };
    std::hint::black_box(pattern.replace(subject, &found, &template).ok());
}

pub fn vault(data: &[u8]) {
    static KEYRING: LazyLock<Keyring> =
        LazyLock::new(|| Keyring::new(vec![Key { label: "ops".into(), password: Password::new(b"swordfish".to_vec()) }], false));
    match Envelope::parse(data).and_then(|envelope| KEYRING.decrypt(&envelope).map(|opened| opened.plain)) {
        Ok(plain) => {
            std::hint::black_box(plain);
        }
        Err(err) => {
            std::hint::black_box(err.to_string());
        }
    }
}
