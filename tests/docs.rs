//! `docs/modules.md` and `docs/glossary.md` say what the code says. `UPDATE=1 cargo test --test docs` writes it anew.

use nodewright::module::{FreeForm, ParamKind, Registered, Spec};
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
