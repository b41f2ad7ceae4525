//! Playbooks of `tests/run/`, run on this machine (`connection: local`) and compared with what ansible-core did with them:
//! tasks in order, how each ended on each host, what was shown, and the recap.
//!
//! `RECORD=/path/to/ansible-playbook cargo test --test run` writes the expectations anew with the real thing.

mod support;

use std::path::Path;
use std::process::Command;
use support::{nodewright, project, said, text};

#[test]
fn as_ansible_core_does() {
    let dir = project().join("tests/run");
    let mut names: Vec<String> = std::fs::read_dir(&dir)
        .expect("the cases are there")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok()?.strip_suffix(".yaml").map(str::to_owned))
        .filter(|name| name != "included")
        .collect();
    names.sort();
    assert!(names.len() >= 7, "cases are missing: {names:?}");
    let failed: Vec<String> = names.iter().filter_map(|name| check(&dir, name).err()).collect();
    assert!(failed.is_empty(), "{} of {} cases differ\n{}", failed.len(), names.len(), failed.join("\n"));
}

fn check(dir: &Path, name: &str) -> Result<(), String> {
    let expected = dir.join(format!("{name}.expected"));
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let playbook = format!("{name}.yaml");
    if let Some(oracle) = std::env::var_os("RECORD") {
        let python = Path::new(&oracle).with_file_name("python");
        let mut ansible = Command::new(&oracle);
        ansible.args([&playbook, "-i", "inventory.ini", "-e", &format!("ansible_python_interpreter={}", python.display())]);
        let output = ansible.current_dir(dir).env("SCRATCH", scratch.path()).env("ANSIBLE_NOCOLOR", "1").output().expect("the oracle starts");
        std::fs::write(&expected, transcript(&text(&output.stdout), scratch.path(), output.status.code())).expect("the expectation is written");
        return Ok(());
    }
    let output =
        nodewright().args(["run", &playbook, "-i", "inventory.ini"]).current_dir(dir).env("SCRATCH", scratch.path()).output().expect("the binary starts");
    let seen = transcript(&text(&output.stdout), scratch.path(), output.status.code());
    let wanted = std::fs::read_to_string(&expected).map_err(|err| format!("{}: {err}", expected.display()))?;
    if seen == wanted {
        return Ok(());
    }
    let diff = similar::TextDiff::from_lines(&wanted, &seen).unified_diff().header("ansible-core", "nodewright").to_string();
    Err(format!("=== {name}\n{diff}\n{}", said(&output)))
}

/// A run's output without what may differ: stars, times, paths, the order of hosts within a task, the results of failures (their words are our own).
fn transcript(stdout: &str, scratch: &Path, code: Option<i32>) -> String {
    let mut out = String::new();
    let mut records: Vec<String> = Vec::new();
    let is_header = |line: &str| ["PLAY ", "TASK ", "RUNNING HANDLER ", "NO MORE HOSTS"].iter().any(|start| line.starts_with(start));
    let is_result = |line: &str| ["ok: [", "changed: [", "skipping: [", "failed: [", "fatal: [", "included: ", "FAILED - RETRYING", "a  ", "b  ", "c  ", "d  "].iter().any(|start| line.starts_with(start));
    let flush = |records: &mut Vec<String>, out: &mut String| {
        records.sort();
        out.extend(records.drain(..));
    };
    // ansible-core explains a failure before its line, in words of its own; so do we, on standard error.
    let mut in_explanation = false;
    for line in stdout.lines() {
        in_explanation = line.starts_with("[ERROR]") || (in_explanation && !is_header(line) && !is_result(line));
        if in_explanation {
            continue;
        }
        let line = line.replace(&scratch.display().to_string(), "[SCRATCH]").replace(&project().join("tests/run").display().to_string(), "[HERE]");
        let line = line.trim_end();
        if line.is_empty() {
            continue;
        }
        if is_header(line) {
            flush(&mut records, &mut out);
            out.push_str(line.trim_end_matches('*').trim_end());
            out.push('\n');
        } else if is_result(line) {
            let line = match line.split_once("! => {") {
                Some((before, _)) => format!("{before}!"),
                None => match (line.starts_with("failed: ["), line.split_once(") => {")) {
                    (true, Some((before, _))) => format!("{before})"),
                    _ => line.to_owned(),
                },
            };
            records.push(format!("{line}\n"));
        } else if let Some(record) = records.last_mut() {
            record.push_str(line);
            record.push('\n');
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    flush(&mut records, &mut out);
    out.push_str(&format!("exit {}\n", code.unwrap_or(-1)));
    out
}
