//! Playbooks of `tests/run/`, run on this machine (`connection: local`) and compared with what ansible-core did with them:
//! tasks in order, how each ended on each host, what was shown, the recap and the exit code.
//!
//! A playbook may say in its head how it is run: `# run: --check --tags web`, several times for several runs. Where ansible-core's way is a mistake, it
//! says `# differs: why`, and what is expected is our own.
//! `RECORD=/path/to/ansible-playbook CASE=name cargo test --test run` writes the expectations anew with the real thing; without `CASE`, all of them.

mod support;

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};
use support::{nodewright, project, said, text, transcript};

#[test]
fn as_ansible_core_does() {
    all_cases(&[]);
}

/// Reading ahead changes when a host is asked, never what comes of it.
#[test]
fn the_same_without_reading_ahead() {
    if std::env::var_os("RECORD").is_none() {
        all_cases(&["--no-read-ahead"]);
    }
}

fn all_cases(more_args: &[&str]) {
    let dir = project().join("tests/run");
    let only = std::env::var("CASE").ok();
    let mut names: Vec<String> = std::fs::read_dir(&dir)
        .expect("the cases are there")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok()?.strip_suffix(".yaml").map(str::to_owned))
        .filter(|name| only.as_ref().is_none_or(|only| only.split(',').any(|only| only == name)))
        .collect();
    names.sort();
    assert!(names.len() >= if only.is_some() { 1 } else { 30 }, "cases are missing: {names:?}");
    let failed: Vec<String> = names.iter().filter_map(|name| check(&dir, name, more_args).err()).collect();
    assert!(failed.is_empty(), "{} of {} cases differ\n{}", failed.len(), names.len(), failed.join("\n"));
}

fn check(dir: &Path, name: &str, more_args: &[&str]) -> Result<(), String> {
    let expected = dir.join(format!("{name}.expected"));
    let playbook = dir.join(format!("{name}.yaml"));
    let written = std::fs::read_to_string(&playbook).expect("the case is readable");
    let mut runs: Vec<&str> = written.lines().filter_map(|line| line.strip_prefix("# run:")).map(str::trim).collect();
    if runs.is_empty() {
        runs.push("");
    }
    let (mut seen, mut everything) = (String::new(), String::new());
    let program = if written.contains("\n# differs: ") { None } else { std::env::var_os("RECORD") };
    for args in runs {
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let output = run(
            program.as_deref(),
            dir,
            name,
            &args.split_whitespace().chain(more_args.iter().copied()).collect::<Vec<_>>(),
            scratch.path(),
        );
        if !args.is_empty() {
            seen.push_str(&format!("$ {args}\n"));
        }
        seen.push_str(&transcript(&text(&output.stdout), &[(scratch.path(), "[SCRATCH]"), (dir, "[HERE]")], output.status.code()));
        everything.push_str(&said(&output));
    }
    if std::env::var_os("RECORD").is_some() {
        std::fs::write(&expected, seen).expect("the expectation is written");
        return Ok(());
    }
    let wanted = std::fs::read_to_string(&expected).map_err(|err| format!("{}: {err}", expected.display()))?;
    if seen == wanted {
        return Ok(());
    }
    let diff = similar::TextDiff::from_lines(&wanted, &seen).unified_diff().header("ansible-core", "nodewright").to_string();
    Err(format!("=== {name}\n{diff}\n{everything}"))
}

/// Runs a case with ansible-playbook, or with ourselves.
fn run(oracle: Option<&OsStr>, dir: &Path, name: &str, args: &[&str], scratch: &Path) -> Output {
    let mut command = match oracle {
        Some(oracle) => {
            let python = Path::new(oracle).with_file_name("python");
            let mut ansible = Command::new(oracle);
            ansible.env("ANSIBLE_NOCOLOR", "1").args(["-e", &format!("ansible_python_interpreter={}", python.display())]);
            ansible
        }
        None => {
            let mut ours = nodewright();
            ours.arg("run");
            ours
        }
    };
    command.arg(format!("{name}.yaml")).args(["-i", "inventory.ini"]).args(args);
    command.current_dir(dir).env("SCRATCH", scratch).stdin(std::process::Stdio::null()).output().expect("the program starts")
}
