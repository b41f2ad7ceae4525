//! `tests/content/`, which uses everything that real Kubernetes content was counted to use, through nodewright and through ansible-playbook: the same recap,
//! the same tasks, the same files on a fresh host; and a second run that changes the same.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use support::{Lab, ansible_playbook_2_21, files, project, said, skip, text, transcript};

/// No mirror: nothing is installed that is not there.
const LAB: &[&str] = &["--nodes", "1", "--packages", "real"];

#[test]
fn content_runs_as_by_ansible() {
    const NAME: &str = "content_runs_as_by_ansible";
    let ansible = match ansible_playbook_2_21() {
        Ok(ansible) => ansible,
        Err(why) => return skip(NAME, &why),
    };
    let links = tempfile::tempdir().expect("a folder for the link");
    let ours = links.path().join("ansible-playbook");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_nodewright"), &ours).expect("a link can be made");
    let by_us = match run_twice(&ours) {
        Ok(done) => done,
        Err(why) => return skip(NAME, &why),
    };
    let by_ansible = run_twice(&ansible).expect("a lab could be made before");
    for (n, (theirs, seen)) in by_ansible.runs.iter().zip(&by_us.runs).enumerate() {
        let diff = similar::TextDiff::from_lines(theirs, seen).unified_diff().header("ansible-core", "nodewright").to_string();
        assert!(theirs == seen, "run {} differs:\n{diff}\n{}", n + 1, by_us.said);
    }
    let paths = by_ansible.files.keys().chain(by_us.files.keys());
    let different: Vec<_> = paths.filter(|path| by_us.files.get(*path) != by_ansible.files.get(*path)).collect();
    assert!(different.is_empty(), "these differ: {different:#?}");
    assert!(by_us.files.keys().any(|path| path.ends_with("/everything.txt")), "the content wrote nothing: {:#?}", by_us.files);
}

/// What two runs of a program said, and what they left.
struct Done {
    runs: Vec<String>,
    files: BTreeMap<String, String>,
    said: String,
}

fn run_twice(program: &Path) -> Result<Done, String> {
    let lab = Lab::up("content", LAB)?;
    let fetched = tempfile::tempdir().expect("a folder for what is fetched");
    let outputs: Vec<Output> = (0..2).map(|_| run(program, &lab, fetched.path())).collect();
    let runs = outputs
        .iter()
        .map(|output| transcript(&text(&output.stdout), &[(fetched.path(), "[FETCHED]"), (project(), "[PROJECT]")], output.status.code()))
        .collect();
    let said = outputs.iter().map(said).collect::<Vec<_>>().join("\n");
    let mut files = files(&lab, "/etc /opt/content /home /usr/bin/content-alternative /var/lib/dpkg/alternatives/content");
    let plain = std::fs::read_to_string(fetched.path().join("plain.txt")).unwrap_or_default();
    // What the programs keep for themselves is their own business, and each lab has its own key.
    files.retain(|path, _| ![".ansible/", ".cache/nodewright/", "authorized_keys"].iter().any(|own| path.contains(own)));
    files.insert("fetched".to_owned(), plain);
    Ok(Done { runs, files, said })
}

fn run(program: &Path, lab: &Lab, fetched: &Path) -> Output {
    let known_hosts = format!("-o UserKnownHostsFile={}", lab.dir().join("known_hosts").display());
    let mut command = Command::new(program);
    command
        .args(["site.yml", "-e"])
        .arg(format!("fetched={}", fetched.display()))
        .arg("-i")
        .arg(lab.inventory())
        .env("ANSIBLE_NOCOLOR", "1")
        .env("NODEWRIGHT_JOURNAL", "0")
        .env("ANSIBLE_DEPRECATION_WARNINGS", "0")
        .env("ANSIBLE_PIPELINING", "1")
        .env_remove("ANSIBLE_INVENTORY")
        .current_dir(project().join("tests/content"));
    if !program.starts_with(std::env::temp_dir()) {
        command.args(["--ssh-common-args", &known_hosts]);
    }
    command.output().expect("the program starts")
}
