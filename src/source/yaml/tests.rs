//! Expectations were confirmed against PyYAML 6.0 and ansible-core 2.21's loader.

use super::*;
use crate::source::Tag;
use std::fmt::Write;

/// A value in one line: strings quoted, unsafe ones with a `!`, floats with their fraction.
fn show(node: &Node) -> String {
    match &node.kind {
        Kind::Null => "null".to_owned(),
        Kind::Bool(value) => value.to_string(),
        Kind::Int(value) => value.to_string(),
        Kind::Float(value) => format!("{value:?}"),
        Kind::Str(string) => format!("{}{:?}", if string.tag == Tag::Unsafe { "!" } else { "" }, string.text),
        Kind::Vault(vaulted) => format!("!vault {vaulted:?}"),
        Kind::Seq(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        Kind::Map(pairs) => {
            format!("{{{}}}", pairs.iter().map(|(key, value)| format!("{}: {}", show(key), show(value))).collect::<Vec<_>>().join(", "))
        }
    }
}

fn one(text: &str) -> Result<(String, Vec<Diag>), Diag> {
    load_one(&Source::from_text("f.yml", text)).map(|(node, warnings)| (show(&node), warnings))
}

fn value(text: &str) -> String {
    one(text).unwrap_or_else(|diag| panic!("{text:?}: {diag}")).0
}

fn refused(text: &str) -> String {
    match one(text) {
        Ok((value, _)) => panic!("{text:?} was read as {value}"),
        Err(diag) => diag.to_string(),
    }
}

#[test]
fn encrypted_values_are_kept_as_they_are() {
    let vaulted = "$ANSIBLE_VAULT;1.1;AES256\n00\n";
    assert_eq!(value("a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  00\n"), format!("{{\"a\": !vault {vaulted:?}}}"));
    let json = format!("[{{\"__ansible_vault\": {vaulted:?}}}, {{\"__ansible_vault\": \"x\"}}]");
    assert_eq!(value(&json), format!("[!vault {vaulted:?}, {{\"__ansible_vault\": \"x\"}}]"));
}

#[test]
fn plain_scalars() {
    let cases = [
        ("0644", "420"),
        ("-0644", "-420"),
        ("0o644", "\"0o644\""),
        ("08", "\"08\""),
        ("0_", "0"),
        ("0b101", "5"),
        ("0x_fF", "255"),
        ("1_000", "1000"),
        ("+12", "12"),
        ("12:30:45", "45045"),
        ("22:22", "1342"),
        ("22:60", "\"22:60\""),
        ("1:2:3.5", "3723.5"),
        ("00:30", "\"00:30\""),
        ("1e3", "\"1e3\""),
        ("1.0e3", "\"1.0e3\""),
        ("1.0e+3", "1000.0"),
        ("1.", "1.0"),
        ("1.10", "1.1"),
        (".5", "0.5"),
        ("-.5", "\"-.5\""),
        ("-.inf", "-inf"),
        (".NaN", "NaN"),
        ("+.nan", "\"+.nan\""),
        ("1.2.3", "\"1.2.3\""),
        ("10.0.0.1", "\"10.0.0.1\""),
        ("yes", "true"),
        ("Off", "false"),
        ("oN", "\"oN\""),
        ("y", "\"y\""),
        ("N", "\"N\""),
        ("~", "null"),
        ("", "null"),
        ("Null", "null"),
        ("'null'", "\"null\""),
        ("=", "\"=\""),
        ("-", "[null]"),
        ("2024-01-02", "\"2024-01-02\""),
        ("2024-1-2", "\"2024-1-2\""),
        ("2001-12-14t21:59:43.10-05:00", "\"2001-12-14T21:59:43.100000-05:00\""),
        ("2001-12-14 1:02:03 Z", "\"2001-12-14T01:02:03+00:00\""),
        ("9223372036854775807", "9223372036854775807"),
        ("! 12", "12"),
        ("!!str 12", "\"12\""),
        ("!!int '0x10'", "16"),
        ("!!float 5", "5.0"),
        ("!!bool 'Yes'", "true"),
        ("!!null x", "null"),
        ("!!binary aGVs bG8=", "\"hello\""),
        ("!unsafe '{{ x }}'", "!\"{{ x }}\""),
        ("!unsafe '5'", "5"),
        ("!unsafe {a: [b, 1]}", "{!\"a\": [!\"b\", 1]}"),
    ];
    for (text, expected) in cases {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn json_is_read_as_json() {
    assert_eq!(
        value(r#" {"a": 1e3, "b": "\ud83d\ude00\/\u00e9", "c": [true, null, -0.5, NaN], "d": 644} "#).replace("NaN", "nan"),
        "{\"a\": 1000.0, \"b\": \"😀/é\", \"c\": [true, null, -0.5, nan], \"d\": 644}"
    );
    // This is not JSON, and YAML has octal.
    assert_eq!(value(r#"{"a": 1e3, "b": 0644}"#), r#"{"a": "1e3", "b": 420}"#);
    assert_eq!(value(r#"{"x": {"__ansible_unsafe": "{{ y }}"}}"#), r#"{"x": !"{{ y }}"}"#);
}

#[test]
fn anchors_and_merge_keys() {
    let text =
        "base: &base {a: 1, b: 2}\nmore: &more {b: 3, c: 4}\nx:\n  b: 9\n  <<: [*base, *more]\ny: {<<: *more, <<: *base}\nz: *base\n";
    // Of several mappings the first wins; merged keys come first.
    assert_eq!(
        value(text),
        r#"{"base": {"a": 1, "b": 2}, "more": {"b": 3, "c": 4}, "x": {"b": 9, "c": 4, "a": 1}, "y": {"b": 2, "c": 4, "a": 1}, "z": {"a": 1, "b": 2}}"#
    );
    assert!(one(text).expect("it loads").1.is_empty());
    assert_eq!(value("{'<<': 1}"), r#"{"<<": 1}"#);
}

#[test]
fn spans_are_exact() {
    let text =
        "# ä\r\nké: 'it''s'\r\nb: !unsafe &n \"x\\ty\" # c\nc: |-\n  one\n  two\n\nd:\n- [1, {e: 2}]\n-\ne: *n\nf: &m\n  g: h\n\n# end\n";
    let source = Source::from_text("f.yml", text);
    let (node, _) = load_one(&source).expect("it loads");
    let mut found = String::new();
    fn walk(node: &Node, found: &mut String) {
        writeln!(found, "{} {:?}", node.span, node.span.text()).expect("writing to a string");
        for item in node.as_seq().unwrap_or_default() {
            walk(item, found);
        }
        for (key, value) in node.as_map().unwrap_or_default() {
            walk(key, found);
            walk(value, found);
        }
    }
    walk(&node, &mut found);
    insta::assert_snapshot!(found);
}

#[test]
fn duplicate_keys_are_a_warning_with_both_places() {
    let (value, warnings) = one("a: 1\nb: 2\na: 3\n").expect("it loads");
    assert_eq!(value, r#"{"a": 3, "b": 2}"#);
    assert_eq!(warnings.len(), 1);
    insta::assert_snapshot!(warnings[0].to_string());
}

#[test]
fn errors_point_at_the_place() {
    let cases = [
        "a: b: c",
        "a:\n\t- b",
        "a: @b",
        "a: {{ x }}",
        "a: {{ x }}/y",
        "a: \"x",
        "a:\n  - b\n c: d",
        "a: *nope\n",
        "a: &a [*a]",
        "a: &x 1\nb: &x 2",
        "a: !vault |\n  not encrypted",
        "a: !foo bar",
        "a: !!set {b}",
        "a: !!str [b]",
        "a: !!int x",
        "a: 99999999999999999999",
        "a: 2024-13-45",
        "? [a]\n: b",
        "<<: 5",
        "a: 1\n---\nb: 2\n",
        "a: \u{7}b",
        "[!!str, x]",
        "a: \"\\",
        "{\"a\": 99999999999999999999}",
    ];
    let said: String = cases.iter().map(|text| format!("==== {text:?}\n{}\n", refused(text))).collect();
    insta::assert_snapshot!(said);
}

#[test]
fn a_last_line_without_line_break() {
    let cases = [
        ("a: |\n  x", r#""x""#),
        ("a: |+\n  x\n", r#""x\n""#),
        ("a: |+\n  x", r#""x""#),
        ("a: >-\n  x\n  y", r#""x y""#),
        ("a: |\n  x\n  ", r#""x\n""#),
        ("a: |+\n  x\n\n  ", r#""x\n\n""#),
        ("a: |\n  x\n# c", r#""x\n""#),
        ("a: |\r\n  x\r\n  y", r#""x\ny""#),
    ];
    for (text, expected) in cases {
        assert_eq!(value(text), format!("{{\"a\": {expected}}}"), "{text:?}");
    }
}

#[test]
fn nothing_is_null() {
    for text in ["", "# comment\n", "---\n", "\u{feff}"] {
        assert_eq!(value(text), "null", "{text:?}");
    }
    assert_eq!(value("\u{feff}a: 1\n...\n"), r#"{"a": 1}"#);
    assert_eq!(value("ａ: 1"), r#"{"ａ": 1}"#);
}

#[test]
fn bombs_are_stopped() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let alias = format!("*a{}", n - 1);
        writeln!(bomb, "a{n}: &a{n} [{}]", [alias.as_str(); 10].join(", ")).expect("writing to a string");
    }
    assert!(refused(&bomb).contains("stand for more than"));
    assert!(refused(&"[".repeat(50_000)).contains("nested deeper"));
    assert!(refused(&"{a: ".repeat(50_000)).contains("nested deeper"));
    assert!(refused(&"- ".repeat(50_000)).contains("nested deeper"));
}

proptest::proptest! {
    #[test]
    fn nothing_panics(text in "([-\\[\\]{}:,&*!#|>'\"%@`\\\\ \n\t\r]|[a-z0-9.~<=]|\\PC|: |- |!!str |<<: |&a |\\*a |\\\\u12){0,60}") {
        let source = Source::from_text("f.yml", text);
        match load(&source) {
            Ok(loaded) => for document in &loaded.documents {
                show(document);
                document.span.text();
            },
            Err(diag) => { diag.to_string(); }
        }
    }
}
