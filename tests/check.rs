//! `nodewright check` with an inventory: what playbooks and inventory say of a run together. The findings in full are in `playbook/errors`.

mod support;

use support::{nodewright, project, said};

#[test]
fn what_nothing_defines_and_what_only_looks_like_a_boolean() {
    let output = nodewright().args(["check", "-i", "tests/check/hosts.ini", "tests/check/site.yaml"]).current_dir(project()).output();
    insta::assert_snapshot!(said(&output.expect("the program starts")));
}

/// The cases of other tests are well: no alarm is given without a reason.
#[test]
fn no_false_alarms() {
    let mut checked = 0;
    for folder in ["tests/run", "tests/content", "playbooks"] {
        for entry in std::fs::read_dir(project().join(folder)).expect("the folder is there") {
            let path = entry.expect("it can be read").path();
            if !path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
                continue;
            }
            // One case is given a variable on its command line.
            let args = ["check", "-i", "tests/run/inventory.ini", "-e", "by=b"];
            let output = nodewright().args(args).arg(&path).current_dir(project()).output().expect("the program starts");
            let words = said(&output);
            assert!(!words.contains("unknown variable"), "{}:\n{words}", path.display());
            checked += 1;
        }
    }
    assert!(checked > 50, "{checked}");
}
