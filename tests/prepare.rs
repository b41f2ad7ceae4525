//! `prepare.yaml` through nodewright and through ansible-playbook leaves the same files on a fresh host.

mod support;

use std::collections::BTreeMap;
use std::process::Command;
use support::{Lab, ansible_playbook, nodewright, project, said, skip, text};

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
    let fresh = files(&ours);
    let output = nodewright()
        .args(["run", "playbooks/prepare.yaml", "-e", VERSION, "-i"])
        .arg(ours.inventory())
        .current_dir(project())
        .output()
        .expect("the binary starts");
    assert!(output.status.success(), "{}", said(&output));
    let by_us = files(&ours);
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
    let by_ansible = files(&theirs);

    let changed: Vec<&String> = by_ansible.iter().filter(|(path, what)| fresh.get(*path) != Some(what)).map(|(path, _)| path).collect();
    assert!(changed.iter().any(|path| path.contains("modules-load.d")), "prepare.yaml left nothing that could be compared: {changed:?}");
    let different: Vec<_> = by_ansible.keys().chain(by_us.keys()).filter(|path| by_us.get(*path) != by_ansible.get(*path)).collect();
    assert!(different.is_empty(), "these differ: {different:#?}");
}

/// Every file of /etc with its mode, owner and content, but for what every boot makes anew.
fn files(lab: &Lab) -> BTreeMap<String, String> {
    let script = r#"find /etc -xdev \( -type f -o -type l \) ! -path "/etc/ssh/ssh_host_*" ! -name machine-id ! -name "*~" ! -name .updated -print0 | sort -z | while IFS= read -r -d "" file; do printf "%s %s %s\n" "$(stat -c "%a:%U:%G:%F" "$file" | tr " " -)" "$(if [ -L "$file" ]; then readlink "$file" | tr " " -; else sha256sum < "$file" | cut -c1-64; fi)" "$file"; done"#;
    let output = lab.on("node-1", &format!("exec bash -c {}", shell_quote(script)));
    assert!(output.status.success(), "{}", said(&output));
    let entry = |line: &str| {
        let mut parts = line.splitn(3, ' ');
        let what = format!("{} {}", parts.next()?, parts.next()?);
        Some((parts.next()?.to_owned(), what))
    };
    text(&output.stdout).lines().filter_map(entry).collect()
}

fn shell_quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
