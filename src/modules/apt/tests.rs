//! Decisions from what a Debian 12 host said.

use super::*;
use crate::modules::trial::{Controller, apply_of, decide, said};
use serde_json::json;

const PROBE: &str = include_str!("../../../tests/modules/recorded/apt.debian-12");

fn decided(given: serde_json::Value) -> Decision {
    decide(&Apt, given, PROBE, &Controller::default()).unwrap_or_else(|failure| panic!("{failure}"))
}

fn steps(given: serde_json::Value) -> Vec<String> {
    let (_, script) = apply_of(decided(given));
    let options = "-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=600 ";
    let calls = ["apt-get -y", "apt-mark", "update_lists 5", "dpkg --compare"];
    script.text.lines().filter(|line| calls.iter().any(|call| line.starts_with(call))).map(|line| line.replace(options, "").replace(" || exit $?", "")).collect()
}

#[test]
fn leaves_alone_what_is_there() {
    for given in [
        json!({"name": ["jq", "libc6>=2.30", "tree=2.*"]}),
        json!({"name": "awk"}),
        json!({"name": "jq:amd64", "update_cache": true, "cache_valid_time": 3600}),
        json!({"name": ["nosuch"], "only_upgrade": true}),
        json!({"name": ["nosuch", "busybox=9"], "state": "absent"}),
        json!({"name": "vim-common", "state": "absent"}),
    ] {
        assert!(matches!(decided(given.clone()), Decision::Unchanged(_)), "{given}");
    }
}

#[test]
fn runs_apt_for_the_rest() {
    assert_eq!(steps(json!({"name": ["jq", "mawk>=9", "tree=1.8-*", "socat"]})), [
        "apt-get -y install mawk tree=1.8-* socat",
        "dpkg --compare-versions \"$(dpkg-query -W -f '${Version}' mawk)\" ge 9 || { echo \"E: Version '>=9' for 'mawk' was not found\" >&2; exit 100; }",
    ]);
    assert_eq!(steps(json!({"name": "libjq1", "update_cache": true})), ["update_lists 5 12 600", "apt-mark manual libjq1 >&2"]);
    assert_eq!(steps(json!({"name": ["tree", "vim-common", "jq=9"], "state": "absent", "purge": true, "autoremove": true})), ["apt-get -y --purge --auto-remove remove tree vim-common"]);
    assert_eq!(steps(json!({"name": "busybox", "state": "latest", "allow_change_held_packages": true, "default_release": "bookworm-backports"})), ["apt-get -y -t bookworm-backports --allow-change-held-packages install busybox"]);
}

#[test]
fn counts_as_changed_what_apt_did() {
    let finish = |given, stdout: &str| match decided(given) {
        Decision::Change(Change { outcome, finish: Some(finish), .. }) => finish(&said(stdout), outcome),
        _ => panic!("no change"),
    };
    let zero = "0 upgraded, 0 newly installed, 0 to remove and 3 not upgraded.\n";
    let outcome = finish(json!({"name": "jq", "update_cache": true}), "Hit:1 x\nnodewright: cache 5 7\nnodewright: begin\n").unwrap();
    assert_eq!((outcome.changed, &outcome.data["cache_updated"], &outcome.data["cache_update_time"]), (false, &json!(true), &json!(7)));
    let outcome = finish(json!({"update_cache": true}), "Hit:1 x\nnodewright: cache 5 5\nnodewright: begin\n").unwrap();
    assert!(!outcome.changed);
    assert!(finish(json!({"update_cache": true}), "nodewright: cache 5 7\nnodewright: begin\n").unwrap().changed);
    assert!(!finish(json!({"name": "awk2"}), &format!("nodewright: begin\nNote, selecting 'mawk' instead of 'awk2'\n{zero}")).unwrap().changed);
    let outcome = finish(json!({"name": "socat"}), "waiting\nnodewright: begin\n0 upgraded, 1 newly installed, 0 to remove and 0 not upgraded.\n").unwrap();
    assert!(outcome.changed && outcome.data["stdout"].as_str().unwrap().starts_with("0 upgraded, 1"));
}

#[test]
fn refuses_what_cannot_be_meant() {
    let refused = |given| Request::of(&crate::modules::trial::args(&Apt, given)).unwrap_err().message;
    assert_eq!(refused(json!({"name": "a", "deb": "/x.deb"})), "parameters are mutually exclusive: deb|name|upgrade");
    assert_eq!(refused(json!({"name": "a=1=2;b"})), "invalid package spec: a=1=2;b");
    assert_eq!(refused(json!({"force_apt_get": true})), "one of the following is required: autoremove, deb, name, update_cache, upgrade");
}
