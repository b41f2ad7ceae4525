//! The program under Ansible's names: what `ansible` and `ansible-inventory` print, what callbacks add, how signals end it. The outputs were compared with
//! those of ansible-core 2.21.

#[path = "drop_in/callbacks.rs"]
mod callbacks;
#[path = "drop_in/interrupts.rs"]
mod interrupts;
mod support;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use support::text;

/// What a command prints, both outputs and the exit code.
fn said(dir: &Path, name: &str, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_nodewright"))
        .arg0(name)
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("HOME", dir)
        .env("PATH", "/usr/bin:/bin")
        .output()
        .expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&*dir.to_string_lossy(), "[DIR]");
    format!("{}{}rc={:?}", text(&output.stderr), text(&output.stdout), output.status.code())
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder can be made");
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).expect("a file can be written");
    }
    dir
}

#[test]
fn adhoc_results_are_told_host_by_host() {
    let dir = folder(&[("hosts", "[all:vars]\nansible_connection=local\n[web]\nweb[1:2]\n")]);
    let mut all = String::new();
    for args in [
        &["web", "-f", "1", "-m", "debug", "-a", "msg={{ inventory_hostname }}"][..],
        &["web1", "-a", "printf 'one\\ntwo'", "-o"],
        &["web1", "-m", "shell", "-a", "echo out; echo err >&2; exit 3"],
        &["web1", "-m", "command", "-a", "touch new", "-C"],
        &["web1", "-m", "nosuch"],
        &["web", "--list-hosts", "-l", "!web1"],
        &["db", "-m", "ping"],
        &["web", "-m", "ping", "-l", "db"],
        &["site.yml", "-m", "shell"],
    ] {
        let mut with_hosts = vec!["-i", "hosts"];
        with_hosts.extend(args);
        all.push_str(&format!("$ ansible {}\n{}\n\n", args.join(" "), said(dir.path(), "ansible", &with_hosts)));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn inventories_are_shown() {
    let dir = folder(&[
        ("a.ini", "[we-b]\nweb1 port=8080\n[we-b:vars]\ntier=front\n"),
        ("b.toml", "[db]\nchildren = [\"main\"]\n[db.hosts.db1]\nsize = 3.5\n"),
        ("c.yml", "plugin: constructed\ncompose:\n  url: inventory_hostname ~ ':' ~ port\nkeyed_groups:\n- {key: tier, prefix: t}\n"),
        ("broken.ini", "[web:nope]\n"),
    ]);
    let mut all = String::new();
    for args in [
        &["-i", "a.ini", "-i", "b.toml", "-i", "c.yml", "--list"][..],
        &["-i", "a.ini", "-i", "c.yml", "--graph", "--vars"],
        &["-i", "a.ini", "--list", "--export", "-y"],
        &["-i", "b.toml", "--host", "db1", "--toml"],
        &["-i", "broken.ini", "--graph"],
        &["--list", "--graph"],
    ] {
        all.push_str(&format!("$ ansible-inventory {}\n{}\n\n", args.join(" "), said(dir.path(), "ansible-inventory", args)));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn facts_are_kept_until_they_are_flushed() {
    let dir = folder(&[(
        "ansible.cfg",
        "[defaults]\nfact_caching=jsonfile\nfact_caching_connection=facts\nlocalhost_warning=false\n[inventory]\ninventory_unparsed_warning=false\n",
    )]);
    let msg = ["localhost", "-m", "debug", "-a", "msg={{ ansible_facts.colour | default('none') }}"];
    said(dir.path(), "ansible", &["localhost", "-m", "set_fact", "-a", "colour=green cacheable=true"]);
    assert!(said(dir.path(), "ansible", &msg).contains("\"msg\": \"green\""));
    let mut flushing = vec!["--flush-cache"];
    flushing.extend(msg);
    assert!(said(dir.path(), "ansible", &flushing).contains("\"msg\": \"none\""));
    assert!(said(dir.path(), "ansible", &msg).contains("\"msg\": \"none\""));
}

#[test]
fn a_reader_that_went_away_is_no_mistake() {
    let dir = folder(&[("hosts", "web1\n"), ("site.yml", "- hosts: all\n  tasks: [{debug: }]\n")]);
    for (name, args) in
        [("ansible-inventory", &["--list"][..]), ("ansible-playbook", &["site.yml", "--list-tasks"]), ("ansible", &["--version"])]
    {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_nodewright"));
        command.arg0(name).args(args).current_dir(dir.path()).env_clear().env("ANSIBLE_INVENTORY", "hosts").stdout(writer);
        let output = command.output().expect("the program starts");
        assert_eq!((text(&output.stderr), output.status.code()), (String::new(), Some(141)), "{name}");
    }
}
