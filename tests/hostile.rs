//! Files that are made to hurt, given to the program: it ends by itself, with an error that says where, within limits of memory and time.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Kilobytes of address space, of which threads and what is mapped take the greater part.
const MEMORY: u32 = 1_500_000;
/// Seconds of processor time, of a build without optimisation.
const SECONDS: u32 = 20;

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn run(folder: &Path, args: &[&str]) -> Output {
    let limited = format!("ulimit -v {MEMORY}; ulimit -t {SECONDS}; exec timeout -k 1 120 \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &limited, "sh", env!("CARGO_BIN_EXE_nodewright")]).args(args).current_dir(folder).stdin(Stdio::null());
    command.env("HOME", folder).env("XDG_STATE_HOME", folder).env("MALLOC_ARENA_MAX", "1").env_remove("ANSIBLE_CONFIG");
    command.output().expect("the program starts")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// It ended by itself, wrongly, and said this.
fn refused(name: &str, output: &Output, words: &str) {
    let said = said(output);
    let shown: String = said.chars().take(3000).collect();
    let status = output.status.code();
    assert!(matches!(status, Some(1..=8 | 250)), "{name}: {:?}\n{shown}", output.status);
    assert!(!said.contains("panicked"), "{name}:\n{shown}");
    assert!(said.contains(words), "{name}: `{words}` is not in\n{shown}");
}

const PLAY: &str = "- hosts: localhost\n  gather_facts: false\n  tasks:\n";

#[test]
fn templates_without_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = run(folder.path(), &["run", "-c", "local", project().join("tests/hostile/templates.yml").to_str().expect("UTF-8")]);
    let said = said(&output);
    let shown: String = said.lines().filter(|line| line.len() < 1000).collect::<Vec<_>>().join("\n");
    let asked = std::fs::read_to_string(project().join("tests/hostile/templates.yml")).expect("the playbook").matches("\n    - ").count();
    assert!(said.contains(&format!("ok={asked}")) && said.contains(&format!("ignored={asked}")), "{:?} {asked}\n{shown}", output.status);
}

/// Files of a playbook, by name, and what is said of them.
#[test]
fn files_of_every_kind() {
    let bomb: String = (1..12).map(|n| format!("a{n}: &a{n} [{}]\n", format!("*a{},", n - 1).repeat(10))).collect();
    let play = |tasks: &str| format!("{PLAY}{tasks}").into_bytes();
    let deep = |n: usize| format!("- hosts: {}{}\n", "[".repeat(n), "]".repeat(n)).into_bytes();
    let cases: Vec<(&str, Vec<(&str, Vec<u8>)>, &str)> = vec![
        ("aliases", vec![("site.yml", format!("a0: &a0 x\n{bomb}").into_bytes())], "aliases"),
        ("deep flow", vec![("site.yml", deep(100_000))], "nested deeper than"),
        ("deep block", vec![("site.yml", ("- ".repeat(20_000) + "x\n").into_bytes())], "nested deeper than"),
        ("deep JSON", vec![("site.yml", format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000)).into_bytes())], "nested deeper than"),
        ("deep mappings", vec![("site.yml", "{a: ".repeat(50_000).into_bytes())], "nested deeper than"),
        ("no UTF-8", vec![("site.yml", b"- hosts: all\n  name: \xff\xfe\n".to_vec())], "is not UTF-8"),
        ("NUL", vec![("site.yml", b"- hosts: all\0\n  tasks: []\n".to_vec())], "site.yml"),
        ("huge number", vec![("site.yml", b"- hosts: localhost\n  serial: 99999999999999999999999\n".to_vec())], "site.yml:2"),
        ("a line of megabytes", vec![("site.yml", play(&format!("  - debug: {{msg: \"{}{{{{\"}}\n", "x".repeat(4 << 20))))], "site.yml"),
        (
            "includes itself",
            vec![("site.yml", play("  - include_tasks: t.yml\n")), ("t.yml", b"- include_tasks: t.yml\n".to_vec())],
            "t.yml",
        ),
        ("imports itself", vec![("site.yml", play("  - import_tasks: t.yml\n")), ("t.yml", b"- import_tasks: t.yml\n".to_vec())], "t.yml"),
        (
            "playbooks in a circle",
            vec![("site.yml", b"- import_playbook: b.yml\n".to_vec()), ("b.yml", b"- import_playbook: site.yml\n".to_vec())],
            "b.yml",
        ),
        (
            "role needs itself",
            vec![
                ("site.yml", b"- hosts: localhost\n  gather_facts: false\n  roles: [a]\n".to_vec()),
                ("roles/a/meta/main.yml", b"dependencies: [b]\n".to_vec()),
                ("roles/b/meta/main.yml", b"dependencies: [a]\n".to_vec()),
            ],
            "roles/",
        ),
        (
            "role includes itself",
            vec![("site.yml", play("  - include_role: {name: a}\n")), ("roles/a/tasks/main.yml", b"- include_role: {name: a}\n".to_vec())],
            "nested",
        ),
        (
            "template no UTF-8",
            vec![("site.yml", play("  - template: {src: t.j2, dest: /tmp/nothing}\n")), ("t.j2", b"\xff\xfe{{ 1 }}".to_vec())],
            "t.j2",
        ),
        (
            "template of 10000 braces",
            vec![
                ("site.yml", play("  - template: {src: t.j2, dest: /tmp/nothing}\n")),
                ("t.j2", format!("{{{{ {}1 }}}}", "(".repeat(10_000)).into_bytes()),
            ],
            "t.j2",
        ),
        (
            "vars no UTF-8",
            vec![("site.yml", b"- hosts: localhost\n  vars_files: [v.yml]\n".to_vec()), ("v.yml", b"a: \xff\n".to_vec())],
            "v.yml",
        ),
        (
            "group_vars no UTF-8",
            vec![("site.yml", play("  - debug: {msg: x}\n")), ("group_vars/all.yml", b"a: \xff\n".to_vec())],
            "all.yml",
        ),
        (
            "vault",
            vec![
                ("site.yml", b"- hosts: localhost\n  vars_files: [v.yml]\n".to_vec()),
                ("v.yml", b"$ANSIBLE_VAULT;1.1;AES256\n\xff\xff\n".to_vec()),
            ],
            "v.yml",
        ),
        (
            "settings",
            vec![("site.yml", play("  - debug: {msg: x}\n")), ("ansible.cfg", b"[defaults]\nforks = \xff\n".to_vec())],
            "ansible.cfg",
        ),
    ];
    for (name, files, words) in &cases {
        let folder = tempfile::tempdir().expect("a folder");
        for (file, content) in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
            std::fs::write(path, content).expect("it can be written");
        }
        refused(name, &run(folder.path(), &["run", "-c", "local", "-i", "localhost,", "site.yml"]), words);
    }
}

#[test]
fn inventories() {
    for (name, file, content, words) in [
        ("a range of all", "hosts", "web[0:999999999]\n".to_owned(), "stands for more than"),
        ("ranges of ranges", "hosts", format!("h{}\n", "[0:9]".repeat(30)), "stands for more than"),
        ("numbers", "hosts", "web[0:99999999999999999999999]\n".to_owned(), "hosts"),
        ("no UTF-8", "hosts.ini", "\u{0}\u{fffd}[".to_owned(), "hosts.ini"),
        ("a circle", "hosts.yml", "all: {children: {a: {children: {b: {children: {a: {}}}}}}}\n".to_owned(), "hosts.yml"),
        ("deep", "hosts.yml", "all: {children: {a: ".to_owned() + &"{children: {a: ".repeat(5000), "hosts.yml"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(file), content).expect("a file");
        std::fs::write(folder.path().join("site.yml"), "- hosts: nobody\n").expect("a playbook");
        let output = run(folder.path(), &["run", "-i", file, "site.yml"]);
        let said = said(&output);
        let shown: String = said.chars().take(2000).collect();
        assert!(output.status.code().is_some() && !said.contains("panicked"), "{name}: {:?}\n{shown}", output.status);
        assert!(said.contains(words), "{name}:\n{shown}");
    }
}

/// What is no file, where a file is meant; and folders that lead back to themselves.
#[test]
fn what_is_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    assert!(Command::new("mkfifo").arg(at("pipe")).status().is_ok_and(|status| status.success()));
    std::fs::create_dir_all(at("dir/roles")).expect("a folder");
    symlink("..", at("dir/roles/again")).expect("a link");
    symlink("self", at("self")).expect("a link");
    let write = |name: &str, tasks: &str| std::fs::write(at(name), format!("{PLAY}{tasks}")).expect("a playbook");
    write("vars.yml", "  - include_vars: {file: pipe}\n");
    write("lookup.yml", "  - debug: {msg: \"{{ lookup('file', 'pipe') }}\"}\n");
    write("template.yml", "  - template: {src: pipe, dest: /tmp/nothing}\n");
    write("copy.yml", "  - copy: {src: pipe, dest: /tmp/nothing}\n");
    write("include.yml", "  - include_tasks: pipe\n");
    write("script.yml", "  - script: pipe\n");
    write("assemble.yml", "  - assemble: {src: self, dest: /tmp/nothing}\n");
    let local = ["run", "-c", "local", "-i", "localhost,"];
    for (args, words) in [
        (&["pipe"][..], "named pipe"),
        (&["/dev/zero"], "device"),
        (&["dir"], "dir"),
        (&["self"], "self"),
        (&["vars.yml"], "named pipe"),
        (&["lookup.yml"], "named pipe"),
        (&["template.yml"], "named pipe"),
        (&["copy.yml"], "named pipe"),
        (&["include.yml"], "named pipe"),
        (&["script.yml"], "pipe"),
        (&["assemble.yml"], "self"),
        (&["copy.yml", "-e", "@pipe"], "named pipe"),
        (&["copy.yml", "-e", "@/dev/zero"], "device"),
        (&["copy.yml", "-l", "@pipe"], "named pipe"),
        (&["copy.yml", "-i", "pipe"], "pipe"),
    ] {
        let args: Vec<&str> = local.iter().chain(args).copied().collect();
        refused(&args.join(" "), &run(folder.path(), &args), words);
    }
    std::fs::write(at("site.yml"), "- hosts: nobody\n").expect("a playbook");
    let output = run(folder.path(), &["run", "-i", "dir", "site.yml"]);
    assert!(output.status.code().is_some(), "{:?}", output.status);
}
