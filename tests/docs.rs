//! `docs/modules.md`, `docs/compatibility.md` and `docs/glossary.md` say what the code says. `UPDATE=1 cargo test --test docs` writes the first two anew.

use nodewright::module::{FreeForm, ParamKind, Registered, Spec};
use nodewright::playbook::vocabulary;
use nodewright::template::Templar;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;

#[test]
fn modules_page_is_up_to_date() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/modules.md");
    let wanted = modules_page();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&page, &wanted).expect("the page is written");
    }
    let found = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(found == wanted, "docs/modules.md is not what the code says: run `UPDATE=1 cargo test --test docs`");
}

#[test]
fn compatibility_page_is_up_to_date() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compatibility.md");
    let found = std::fs::read_to_string(&page).expect("the page is there");
    let (prose, _) = found.split_once(MADE).expect("the page says where its generated part begins");
    let wanted = format!("{prose}{MADE}{}", compatibility_tables());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&page, &wanted).expect("the page is written");
        return;
    }
    assert!(found == wanted, "docs/compatibility.md is not what the code says: run `UPDATE=1 cargo test --test docs`");
}

/// Below this line the compatibility page is made from the code; above it is prose.
const MADE: &str = "<!-- Made from the code below this line: `UPDATE=1 cargo test --test docs` -->\n";

/// Each name that ansible-core has, and whether it runs. `tests/docs/ansible.json` holds the names, as `ansible-doc` gives them.
fn compatibility_tables() -> String {
    let names =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docs/ansible.json")).expect("the names are there");
    let names: Value = serde_json::from_str(&names).expect("the names are JSON");
    let templar = Templar::new();
    let mut page = String::new();

    page.push_str("\n## Keywords\n\n| keyword | runs in | refused in |\n|---|---|---|\n");
    for (keyword, places) in names["keywords"].as_object().expect("keywords with places") {
        let places: Vec<&str> = places.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let (read, not): (Vec<&str>, Vec<&str>) = places.iter().partition(|place| vocabulary::reads(place, keyword));
        let instead = vocabulary::instead_of_keyword(keyword).map(|words| format!(": {words}")).unwrap_or_default();
        let refused = if not.is_empty() { String::new() } else { format!("{}{instead}", not.join(", ")) };
        let _ = writeln!(page, "| `{keyword}` | {} | {refused} |", read.join(", "));
    }

    page.push_str("\n## Modules\n\nThe parameters of those that run are on [a page of their own](modules.md).\n\n| module | | parameters that are refused |\n|---|---|---|\n");
    for (name, params) in names["modules"].as_object().expect("modules with parameters") {
        let short = name.rsplit('.').next().unwrap_or(name);
        let Some(module) = nodewright::module::find(name) else {
            let instead = vocabulary::instead_of_module(short).unwrap_or("");
            let _ = writeln!(page, "| `{name}` | refused | {instead} |");
            continue;
        };
        let params: Vec<&str> = params.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let takes = |param: &str| {
            let free = matches!(module.spec().free_form, FreeForm::Param(_)) && param.replace('-', "_").starts_with("free_form");
            free || nodewright::modules::TAKES_ANY_PARAMETER.contains(&module.spec().name) || module.spec().param(param).is_some()
        };
        let refused: Vec<String> = params.into_iter().filter(|param| !takes(param)).map(|param| format!("`{param}`")).collect();
        let _ = writeln!(page, "| `{name}` | runs | {} |", refused.join(", "));
    }

    let kinds: [(&str, &str, &dyn Fn(&str) -> bool); 3] = [
        ("Filters", "filters", &|name| templar.has_filter(name)),
        ("Tests", "tests", &|name| templar.has_test(name)),
        ("Lookups", "lookups", &|name| templar.has_lookup(name)),
    ];
    for (title, kind, has) in kinds {
        let all: Vec<&str> = names[kind].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let (run, refused): (Vec<&str>, Vec<&str>) = all.into_iter().partition(|name| has(name));
        let list = |names: &[&str]| {
            names.iter().map(|name| format!("`{}`", name.trim_start_matches("ansible.builtin."))).collect::<Vec<_>>().join(", ")
        };
        let _ = writeln!(page, "\n## {title}\n\nThese {} run: {}.\n", run.len(), list(&run));
        let _ = writeln!(page, "These {} are refused: {}.", refused.len(), list(&refused));
    }
    page
}

#[test]
fn words_of_the_glossary_are_in_the_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/glossary.md")).expect("the glossary is there");
    let mut n_words = 0;
    for row in page.lines().filter(|line| line.contains("` in `src/")) {
        let quoted: Vec<&str> = row.split('`').collect();
        let [.., name, _, file, _] = quoted[..] else { panic!("a row ends with a name and a file: {row}") };
        let code = std::fs::read_to_string(root.join(file)).unwrap_or_else(|err| panic!("{file}: {err}"));
        let is_defined = ["struct", "enum", "trait", "type", "fn"].iter().any(|word| {
            code.match_indices(&format!("{word} {name}")).any(|(at, found)| !code[at + found.len()..].starts_with(char::is_alphanumeric))
        });
        assert!(is_defined, "{file} does not define {name}");
        n_words += 1;
    }
    assert!(n_words > 30, "{n_words} words");
}

fn modules_page() -> String {
    let mut modules: Vec<Registered> = nodewright::modules::ON_HOST.iter().map(|module| Registered::OnHost(*module)).collect();
    modules.extend(nodewright::modules::IN_ENGINE.iter().map(Registered::InEngine));
    modules.sort_by_key(|module| module.spec().short_name());
    let mut page = String::from(
        "# Modules\n\nMade from the code. A parameter that is not listed is refused before anything runs. The short name works as well as the full one.\n\n",
    );
    for module in &modules {
        let spec = module.spec();
        let _ = writeln!(page, "- [{}](#{})", spec.name, spec.short_name());
    }
    for module in modules {
        section(&mut page, module.spec(), matches!(module, Registered::InEngine(_)));
    }
    page
}

fn section(page: &mut String, spec: &Spec, in_engine: bool) {
    let place = if in_engine { "on the controller" } else { "on the host" };
    let _ = writeln!(page, "\n## {}\n\n`{}`, {place}.", spec.short_name(), spec.name);
    if !spec.aliases.is_empty() {
        let _ = writeln!(page, "Also: `{}`.", spec.aliases.join("`, `"));
    }
    if let FreeForm::Param(name) = spec.free_form {
        let _ = writeln!(page, "Text after the module's name is `{name}`.");
    }
    if spec.params.is_empty() {
        return;
    }
    let _ = writeln!(page, "\n| parameter | type | default | values |\n|---|---|---|---|");
    for param in spec.params {
        let names: Vec<String> = std::iter::once(&param.name).chain(param.aliases).map(|name| format!("`{name}`")).collect();
        let kind = match param.kind {
            ParamKind::Str => "string",
            ParamKind::Path => "path",
            ParamKind::Bool => "boolean",
            ParamKind::Int => "whole number",
            ParamKind::Float => "number",
            ParamKind::List => "list",
            ParamKind::Dict => "mapping",
            ParamKind::Raw => "anything",
            ParamKind::Mode => "file mode",
        };
        let default = match (param.required, param.default) {
            (true, _) => "**required**".to_owned(),
            (false, Some(default)) => format!("`{default}`"),
            (false, None) => String::new(),
        };
        let _ = writeln!(page, "| {} | {kind} | {default} | {} |", names.join(", "), param.choices.join(", "));
    }
}
