//! Decisions from what a Debian 12 host said of a user.

use super::*;
use crate::modules::trial::{Controller, apply_of, decide};
use serde_json::{Value as Json, json};

const DEPLOY: &str = "passwd:deploy:x:1001:1001:De Ploy:/srv/deploy:/bin/bash\nshadow:deploy:$6$salt$hash:20000:0:99999:7:::\ngroups:deploy sudo adm\nprimary:deploy\nhome:\n\
    group:sudo:x:27:deploy\ngroup:adm:x:4:deploy\ngroup:docker:x:990:\ngroup:deploy:x:1001:\n";
const NONE: &str = "absent:\ngroup:docker:x:990:\n";

/// The lines before the host is asked again, and what the script reads.
fn calls(given: Json, probe: &str) -> (Vec<String>, String) {
    match decide(&User, given, probe, &Controller::default()).unwrap_or_else(|failure| panic!("{failure}")) {
        Decision::Unchanged(_) => (Vec::new(), String::new()),
        change => {
            let script = apply_of(change).1;
            let lines = script.text.lines().skip(1).take_while(|line| !line.starts_with("entry=")).map(|line| line.replace(" || exit $?", "").replace(" </dev/null", "")).collect();
            let input = match script.input {
                crate::sh::Input::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                _ => String::new(),
            };
            (lines, input)
        }
    }
}

#[test]
fn leaves_alone_what_is_as_asked() {
    for given in [
        json!({"name": "deploy"}),
        json!({"name": "deploy", "uid": 1001, "group": "deploy", "shell": "/bin/bash", "home": "/srv/deploy", "comment": "De Ploy", "password": "$6$salt$hash"}),
        json!({"name": "deploy", "groups": "adm,sudo"}),
        json!({"name": "deploy", "groups": ["adm"], "append": true, "group": 1001}),
        json!({"name": "deploy", "password": "$6$other$hash", "update_password": "on_create", "password_lock": false}),
        json!({"name": "deploy", "expires": -1, "password_expire_max": 99999}),
    ] {
        assert_eq!(calls(given.clone(), DEPLOY).0, Vec::<String>::new(), "{given}");
    }
    assert!(calls(json!({"name": "deploy", "state": "absent"}), NONE).0.is_empty());
}

#[test]
fn changes_what_differs() {
    assert_eq!(calls(json!({"name": "deploy", "groups": ["docker"], "append": true, "shell": "/bin/sh"}), DEPLOY).0, ["usermod -a -G docker -s /bin/sh -- deploy"]);
    assert_eq!(calls(json!({"name": "deploy", "groups": [], "home": "/home/d x", "move_home": true}), DEPLOY).0, ["home='/home/d x'", "mkdir -p -- \"${home%/*}/\"", "usermod -G '' -d '/home/d x' -m -- deploy"]);
    assert_eq!(calls(json!({"name": "deploy", "password_lock": true, "expires": 1893456000, "password_expire_min": 2}), DEPLOY).0, ["usermod -e 2030-01-01 -L -- deploy", "chage -m 2 -- deploy"]);
    let (lines, input) = calls(json!({"name": "deploy", "password": "$6$new$hash", "password_lock": true}), DEPLOY);
    assert_eq!((lines, input.as_str()), (vec!["chpasswd -e".to_owned()], "deploy:!$6$new$hash\n"));
}

#[test]
fn makes_and_removes() {
    let given = json!({"name": "ci", "groups": "docker", "system": true, "create_home": false, "uid": 700, "comment": "C I", "password": "$6$a$b"});
    let (lines, input) = calls(given, NONE);
    assert_eq!(lines, ["useradd -u 700 -G docker -c 'C I' -M -r -- ci", "chpasswd -e"]);
    assert_eq!(input, "ci:$6$a$b\n");
    assert_eq!(calls(json!({"name": "ci", "home": "/srv/a/ci"}), NONE).0, ["home=/srv/a/ci", "mkdir -p -- \"${home%/*}/\"", "useradd -m -d /srv/a/ci -- ci"]);
    let refused = decide(&User, json!({"name": "ci", "groups": "dokcer"}), NONE, &Controller::default()).map(|_| ()).unwrap_err();
    assert_eq!(refused.message, "Group dokcer does not exist");
    let (_, script) = apply_of(decide(&User, json!({"name": "deploy", "state": "absent", "remove": true}), DEPLOY, &Controller::default()).unwrap());
    assert_eq!(script.text, "userdel -r deploy\n");
}
