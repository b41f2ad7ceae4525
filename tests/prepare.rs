//! `prepare.yaml` through nodewright and through ansible-playbook leaves the same files on a fresh host.

mod support;

use std::process::Command;
use support::{Lab, ansible_playbook, files, nodewright, project, said, skip};

/// No mirror: `prepare.yaml` installs nothing.
const LAB: &[&str] = &["--nodes", "1", "--packages", "real"];
/// A version that may run on cgroup v1, should the machine have no other.
const VERSION: &str = "kubernetes_version=1.20.2";

#[test]
fn prepare_leaves_what_ansible_leaves() {
    const NAME: &str = "prepare_leaves_what_ansible_leaves";
    let ansible = match ansible_playbook() {
        Ok(ansible) => ansible,
        Err(why) => return skip(NAME, &why),
    };
    let ours = match Lab::up("prepare", LAB) {
        Ok(lab) => lab,
        Err(why) => return skip(NAME, &why),
    };
    let fresh = files(&ours, "/etc");
    let output = nodewright()
        .args(["run", "playbooks/prepare.yaml", "-e", VERSION, "-i"])
        .arg(ours.inventory())
        .current_dir(project())
        .output()
        .expect("the binary starts");
    assert!(output.status.success(), "{}", said(&output));
    let by_us = files(&ours, "/etc");
    drop(ours);

    let theirs = Lab::up("prepare", LAB).expect("it ran before");
    let known_hosts = format!("-o UserKnownHostsFile={}", theirs.dir().join("known_hosts").display());
    let mut command = Command::new(ansible);
    command
        .args(["playbooks/prepare.yaml", "-e", VERSION, "--ssh-common-args", &known_hosts, "-i"])
        .arg(theirs.inventory())
        .current_dir(project());
    let output = command.output().expect("ansible-playbook starts");
    assert!(output.status.success(), "{}", said(&output));
    let by_ansible = files(&theirs, "/etc");

    let changed: Vec<&String> = by_ansible.iter().filter(|(path, what)| fresh.get(*path) != Some(what)).map(|(path, _)| path).collect();
    assert!(changed.iter().any(|path| path.contains("modules-load.d")), "prepare.yaml left nothing that could be compared: {changed:?}");
    let different: Vec<_> = by_ansible.keys().chain(by_us.keys()).filter(|path| by_us.get(*path) != by_ansible.get(*path)).collect();
    assert!(different.is_empty(), "these differ: {different:#?}");
}
