//! What callbacks add to the output of `callbacks/site.yml`: as Ansible with ansible.posix does, but for the times.
//! `RECORD=/path/to/ansible-playbook cargo test --test drop_in callbacks` writes the expectations anew with the real thing.

use crate::support::{project, text};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

#[test]
fn callbacks_show_what_they_show_with_ansible() {
    let cases: [(&str, &[(&str, &str)]); 3] = [
        ("of the file", &[]),
        (
            "of the environment",
            &[
                ("ANSIBLE_CALLBACKS_ENABLED", "profile_roles,ansible.posix.profile_tasks"),
                ("PROFILE_TASKS_TASK_OUTPUT_LIMIT", "1"),
                ("PROFILE_TASKS_SORT_ORDER", "descending"),
                ("PROFILE_TASKS_SUMMARY_ONLY", "yes"),
            ],
        ),
        ("without results that are not wanted", &[("PROFILE_TASKS_TASK_OUTPUT_LIMIT", "-7"), ("ANSIBLE_DISPLAY_OK_HOSTS", "no")]),
    ];
    let dir = project().join("tests/drop_in/callbacks");
    let mut seen = String::new();
    for (name, env) in cases {
        let output = run(&dir, env);
        seen.push_str(&format!("=== {name}\n{}exit {:?}\n", masked(&text(&output.stdout), &dir), output.status.code()));
        let n_warnings = text(&output.stderr).matches("Skipping callback plugin 'nosuch', unable to load").count();
        assert_eq!(n_warnings, usize::from(env.iter().all(|(name, _)| *name != "ANSIBLE_CALLBACKS_ENABLED")), "{}", text(&output.stderr));
    }
    let expected = dir.join("expected");
    if std::env::var_os("RECORD").is_some() {
        std::fs::write(&expected, seen).expect("the expectation is written");
        return;
    }
    let wanted = std::fs::read_to_string(&expected).expect("the expectation is there");
    let diff = similar::TextDiff::from_lines(&wanted, &seen).unified_diff().header("ansible-playbook", "nodewright").to_string();
    assert!(diff.is_empty(), "{diff}");
}

fn run(dir: &Path, env: &[(&str, &str)]) -> Output {
    let mut command = match std::env::var_os("RECORD") {
        Some(oracle) => {
            let python = Path::new(&oracle).with_file_name("python");
            let mut ansible = Command::new(&oracle);
            ansible.args(["-e", &format!("ansible_python_interpreter={}", python.display())]);
            ansible
        }
        None => {
            let mut ours = Command::new(env!("CARGO_BIN_EXE_nodewright"));
            ours.arg0("ansible-playbook");
            ours
        }
    };
    command.arg("site.yml").current_dir(dir).env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8");
    command.envs([("NODEWRIGHT_JOURNAL", "0"), ("ANSIBLE_NOCOLOR", "1")]).envs(env.iter().copied());
    command.output().expect("the program starts")
}

/// The output without times, and without what their length and order decide.
fn masked(stdout: &str, dir: &Path) -> String {
    let mut out = String::new();
    let mut roles: Vec<String> = Vec::new();
    for line in stdout.replace(&dir.display().to_string(), "[HERE]").lines() {
        let digits = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "N");
        let line = match line.split_once(" (") {
            Some((_, times)) if times.starts_with("0:") => format!("[DATE] ({}", digits(times).trim_end_matches(['*', ' '])),
            _ if line.starts_with("Playbook run took") => digits(line),
            _ if line.ends_with('s') && line.contains(" ---") => digits(line),
            _ => line.to_owned(),
        };
        let in_roles = out.contains("ROLES RECAP") && !out.contains("TASKS RECAP");
        if in_roles && line.contains(" ---") {
            roles.push(line);
            continue;
        }
        roles.sort();
        roles.drain(..).for_each(|role| out.push_str(&format!("{role}\n")));
        out.push_str(&line);
        out.push('\n');
    }
    out
}
