//! Runs `tests/template/*.yml`: templates, conditionals and template files with what ansible-core makes of them. To add one, write it there.

use super::{Templar, is_omit};
use crate::module::TemplateOptions;
use crate::source::{Diag, Node, Source, yaml};
use crate::vars::{Level, VarMap, Variable, View};
use std::path::Path;
use std::sync::Arc;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/template")
}

fn load(name: &str) -> Node {
    let source = Source::read(&folder().join(name)).expect(name);
    yaml::load(&source).expect(name).documents.remove(0)
}

fn view(doc: &Node) -> Arc<View> {
    let pairs = doc.get("vars").and_then(Node::as_map).unwrap_or_default();
    let mut vars: VarMap =
        pairs.iter().map(|(name, value)| (name.as_str().unwrap_or("").to_owned(), Variable::from(value.clone()))).collect();
    vars.insert("playbook_dir".to_owned(), Variable::Data(folder().display().to_string().into()));
    let mut view = View::default();
    view.add(Level::Play, Arc::new(vars));
    Arc::new(view)
}

fn options() -> TemplateOptions {
    TemplateOptions {
        trim_blocks: true,
        lstrip_blocks: false,
        variable_start: None,
        variable_end: None,
        block_start: None,
        block_end: None,
        comment_start: None,
        comment_end: None,
        dest: "/etc/x".to_owned(),
    }
}

fn outcome(case: &Node, view: &Arc<View>) -> Result<serde_json::Value, Diag> {
    let templar = Templar::new();
    if let Some(template) = case.get("template") {
        let value = templar.render(template, view)?;
        return Ok(if is_omit(&value) { "<omit>".into() } else { serde_json::to_value(&value).expect("plain data") });
    }
    if let Some(condition) = case.get("when") {
        return templar.condition(condition, view).map(Into::into);
    }
    let text = case.get("file").and_then(Node::as_str).expect("a case has `template`, `when` or `file`");
    templar.render_file(&Source::from_text("case.j2", text), &options(), view).map(Into::into)
}

fn check(name: &str) {
    let doc = load(name);
    let view = view(&doc);
    let mut wrong = Vec::new();
    for case in doc.get("cases").and_then(Node::as_seq).expect("cases") {
        let got = outcome(case, &view).map_err(|diag| diag.title);
        let right = match (&got, case.get("gives"), case.get("fails")) {
            (Ok(got), Some(gives), None) => *got == json(gives),
            (Err(title), None, Some(fails)) => title.contains(fails.as_str().unwrap_or("?")),
            _ => false,
        };
        if !right {
            wrong.push(format!("{}\n  got {got:?}", case.span.text()));
        }
    }
    assert!(wrong.is_empty(), "{} of {name} are different:\n{}", wrong.len(), wrong.join("\n"));
}

fn json(node: &Node) -> serde_json::Value {
    serde_json::to_value(super::filters::yaml_value(node).expect("plain data")).expect("plain data")
}

#[test]
fn expressions() {
    check("expressions.yml");
}

#[test]
fn filters() {
    check("filters.yml");
}

#[test]
fn statements() {
    check("statements.yml");
}

#[test]
fn files() {
    check("files.yml");
}

#[test]
fn conditions() {
    check("conditions.yml");
}

#[test]
fn content() {
    check("content.yml");
}

#[test]
fn roles() {
    check("roles.yml");
}

#[test]
fn collections() {
    check("collections.yml");
}

#[test]
fn networks() {
    check("networks.yml");
}

/// What is wrong in a user's file is shown there, whole.
#[test]
fn errors_point_at_the_users_own_line() {
    let doc = load("errors.yml");
    let view = view(&doc);
    let shown = doc.get("cases").and_then(Node::as_seq).expect("cases").iter().map(|case| match outcome(case, &view) {
        Ok(value) => format!("no error but {value}\n"),
        Err(diag) => diag.render(false).replace(&folder().display().to_string(), "[TESTS]"),
    });
    insta::with_settings!({ snapshot_path => folder(), prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("errors", shown.collect::<Vec<_>>().join("\n\n"));
    });
}

#[test]
fn the_check_before_the_run_finds_all_of_it() {
    let doc = load("errors.yml");
    let unchecked = doc.get("check").expect("check");
    let templar = Templar::new();
    let mut titles: Vec<String> = templar.check(unchecked.get("values").expect("values")).into_iter().map(|diag| diag.title).collect();
    titles.extend(templar.check_condition(unchecked.get("conditions").expect("conditions")).into_iter().map(|diag| diag.title));
    assert_eq!(
        titles,
        [
            "No filter named 'uper'.",
            "No test named 'defind'.",
            "The lookup plugin 'fiel' was not found.",
            "Syntax error in template: unexpected end of input, expected end of variable block",
            "No filter named 'nope'.",
            "Syntax error in expression: unexpected end of input, expected expression",
        ]
    );
}

#[test]
fn names_are_rendered_as_far_as_they_can_be() {
    let view = view(&load("errors.yml"));
    let name = Node::string("install {{ package }} for {{ nobody }}", Source::from_text("x", "").span(0, 0));
    assert_eq!(Templar::new().render_name(&name, &view), "install nginx for << error 1 - 'nobody' is undefined >>");
}

#[test]
fn texts_of_hosts_are_never_templates() {
    let mut view = View::default();
    let said = Variable::Data("{{ lookup('pipe', 'echo pwned') }}".into());
    view.add(Level::SetFactsAndRegistered, Arc::new(VarMap::from([("said".to_owned(), said)])));
    let view = Arc::new(view);
    let span = Source::from_text("x", "").span(0, 0);
    let templar = Templar::new();
    let shown = templar.render(&Node::string("{{ said }}", span.clone()), &view).expect("renders");
    assert_eq!(shown.as_str(), Some("{{ lookup('pipe', 'echo pwned') }}"));
    assert!(templar.condition(&Node::string("{{ said }}", span), &view).is_err());
}

#[test]
fn a_view_is_rendered_when_it_is_looked_at() {
    let view = view(&load("errors.yml"));
    let vars = Templar::lazy_map(view);
    assert_eq!(vars.get_attr("package").expect("a mapping").as_str(), Some("nginx"));
    let mut around = View::default();
    around.add(
        Level::Magic,
        Arc::new(VarMap::from([("hostvars".to_owned(), Variable::Data(minijinja::Value::from_pairs([("web1", vars)])))])),
    );
    let span = Source::from_text("x", "").span(0, 0);
    let expr = Node::string(
        "{{ hostvars['web1'].package }} {{ hostvars.web2.package | default('none') }} {{ ['web1'] | map('extract', hostvars, 'package') | first }}",
        span,
    );
    let shown = Templar::new().render(&expr, &Arc::new(around)).expect("renders");
    assert_eq!(shown.as_str(), Some("nginx none nginx"));
}

proptest::proptest! {
    /// Whatever a template says, it ends, with a value or an error.
    #[test]
    fn no_template_panics(text in "(\\{\\{|\\}\\}|\\{%|%\\}|[a-d]|nope| |\\||\\.|\\(|\\)|\\[|\\]|'|\"|,|:|-|\\+|\\*|/|%|~|=|<|1|0|9999999999999999999| is | in | if | else |for |endfor|endif|set |not |first|join|map|split|range|default|format|indent|\\\\|é|\n){0,24}") {
        let view = view(&load("errors.yml"));
        let span = Source::from_text("x", "").span(0, 0);
        let templar = Templar::new();
        let _ = templar.render(&Node::string(format!("{{{{ {text} }}}}"), span.clone()), &view);
        let _ = templar.render(&Node::string(text.clone(), span.clone()), &view);
        let _ = templar.condition(&Node::string(text, span), &view);
    }
}

/// Every filter, method and operator with numbers and texts that are far out: it ends, with a value or an error.
#[test]
fn extremes_end() {
    let far = ["0", "-1", "70000", "170141183460469231731687303715884105727", "(-170141183460469231731687303715884105727 - 1)", "1e300"];
    let values = ["''", "'é'", "'--9'", "'::/0'", "[]", "[3, 'a']", "{}", "{'é': 1}", "none"].into_iter().chain(far);
    let one = ["", "'é'", "'[('", "'::/1', 1", "[1]"].into_iter().chain(far).map(str::to_owned);
    let args: Vec<String> = one.chain(far.map(|number| format!("'x', {number}"))).collect();
    let methods = "capitalize center count encode endswith expandtabs find format index isalnum join ljust lower lstrip partition replace rfind rindex \
        rjust rpartition rsplit rstrip split splitlines startswith strip swapcase title upper zfill append extend insert pop remove reverse sort get \
        items keys update setdefault bit_length strftime";
    let (view, templar, span) = (view(&load("errors.yml")), Templar::new(), Source::from_text("x", "").span(0, 0));
    let render = |text: String| drop(templar.render(&Node::string(format!("{{{{ {text} }}}}"), span.clone()), &view));
    // Hashing a password is slow on purpose.
    let names: Vec<String> = super::filters::all_names().filter(|name| !name.ends_with("password_hash")).collect();
    for value in values {
        for arg in &args {
            names.iter().for_each(|name| render(format!("{value} | {name}({arg})")));
            methods.split_whitespace().for_each(|name| render(format!("({value}).{name}({arg})")));
        }
        for arg in far {
            ["+", "-", "*", "/", "//", "%", "**", "~", "<"].into_iter().for_each(|op| render(format!("{value} {op} {arg}")));
            render(format!("({value})[{arg}:{arg}:{arg}]"));
            render(format!("'%70000d %c %.900f %e %*d' % ({arg}, {arg}, {arg}, {arg}, {arg}, {arg})"));
            render(format!("'{{:70000}} {{:>99999}} {{:,d}}'.format({value}, {arg}, {arg})"));
        }
    }
}
