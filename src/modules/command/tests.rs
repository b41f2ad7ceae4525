//! The whole of a task under every shell a host may have, in a folder that is thrown away.

use super::*;
use crate::modules::trial::{Controller, shells, task};

fn in_every_shell(check: impl Fn(&[&str], &str)) {
    for shell in shells() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        check(shell, folder.path().to_str().expect("a plain path"));
    }
}

fn picked(outcome: &Outcome, names: &[&str]) -> Json {
    let mut picked: Map<String, Json> =
        names.iter().filter_map(|name| Some((name.to_string(), outcome.data.get(*name)?.clone()))).collect();
    picked.insert("changed".into(), outcome.changed.into());
    Json::Object(picked)
}

#[test]
fn expands_variables_and_home_but_no_globs() {
    in_every_shell(|shell, folder| {
        let given = json!({"_raw_params": "printf '%s|' $HOME/x ${HOME} '~' ~/a $NW_NOPE \"*\" 'a  b' '' \\$HOME", "chdir": folder});
        let outcome = task(shell, &Command, given, &Controller::default()).unwrap();
        let home = std::env::var("HOME").unwrap();
        let expected = format!("{home}/x|{home}|{home}|{home}/a|$NW_NOPE|*|a  b||{home}|");
        assert_eq!(outcome.data["stdout"], expected.as_str(), "{shell:?}");
        assert_eq!(outcome.data["cmd"][2], "$HOME/x");
        let given = json!({"argv": ["printf", "%s|", "$HOME", "~"], "expand_argument_vars": false});
        let outcome = task(shell, &Command, given, &Controller::default()).unwrap();
        assert_eq!(outcome.data["stdout"], "$HOME|~|", "{shell:?}");
    });
}

#[test]
fn tells_what_could_not_be_run_from_what_failed() {
    in_every_shell(|shell, folder| {
        let run = |given| task(shell, &Command, given, &Controller::default()).unwrap_err();
        let failure = run(json!({"_raw_params": "cd /"}));
        assert_eq!(
            (failure.message.as_str(), &failure.data["rc"]),
            ("Error executing command: [Errno 2] No such file or directory: b'cd'", &json!(2)),
            "{shell:?}"
        );
        std::fs::write(format!("{folder}/plain"), "").unwrap();
        let failure = run(json!({"argv": ["./plain"], "chdir": folder}));
        assert_eq!(failure.data["rc"], 13);
        let failure = run(json!({"_raw_params": "true", "chdir": format!("{folder}/gone")}));
        assert_eq!(
            failure.message,
            format!("Unable to change directory before execution: [Errno 2] No such file or directory: b'{folder}/gone'")
        );
        let failure = run(json!({"_raw_params": "sh -c 'echo out; echo err >&2; exit 127'"}));
        assert_eq!(
            (&failure.data["rc"], &failure.data["stdout"], &failure.data["stderr_lines"], &failure.data["changed"]),
            (&json!(127), &json!("out"), &json!(["err"]), &json!(true))
        );
        assert_eq!(run(json!({"_raw_params": "it's"})).message, "cannot split the command into words: No closing quotation");
    });
}

#[test]
fn looks_before_it_runs() {
    in_every_shell(|shell, folder| {
        std::fs::write(format!("{folder}/made.one"), "").unwrap();
        let run = |given, check_mode| task(shell, &Command, given, &Controller { check_mode, ..Controller::default() }).unwrap();
        let names = &["stdout", "msg", "rc"];
        let outcome = run(json!({"_raw_params": "touch x", "creates": "made.*", "chdir": folder}), false);
        let expected = json!({"changed": false, "rc": 0, "stdout": "skipped, since made.* exists", "msg": "Did not run command since 'made.*' exists"});
        assert_eq!(picked(&outcome, names), expected, "{shell:?}");
        let outcome = run(json!({"_raw_params": "touch x", "removes": "gone.*", "chdir": folder}), true);
        assert_eq!(outcome.data["msg"], "Would not run command since 'gone.*' does not exist");
        let outcome = run(json!({"_raw_params": "touch x", "creates": "x", "removes": "made.one", "chdir": folder}), true);
        assert!(outcome.changed && !outcome.skipped);
        assert!(run(json!({"_raw_params": "touch x"}), true).skipped);
        assert!(!std::path::Path::new(folder).join("x").exists());
        assert!(run(json!({"_raw_params": "touch x", "creates": "x", "chdir": folder}), false).changed);
        assert!(!run(json!({"_raw_params": "touch x", "creates": "x", "chdir": folder}), false).changed);
    });
}

#[test]
fn feeds_standard_input_and_keeps_line_ends_as_asked() {
    in_every_shell(|shell, _| {
        let run = |given| task(shell, &Shell, given, &Controller::default()).unwrap();
        assert_eq!(run(json!({"cmd": "cat", "stdin": "a", "strip_empty_ends": false})).data["stdout"], "a\n");
        assert_eq!(run(json!({"cmd": "cat", "stdin": "a\n\n"})).data["stdout"], "a");
        assert_eq!(run(json!({"cmd": "cat; echo b", "stdin": "a", "stdin_add_newline": "no"})).data["stdout"], "ab");
        assert_eq!(run(json!({"cmd": "printf 'gr\\374n'"})).data["stdout"], "gr\u{fffd}n");
        assert_eq!(
            run(json!({"cmd": "echo a | tr a b; X='q u'; echo \"$X\" $0", "executable": "/bin/bash"})).data["stdout"],
            "b\nq u /bin/bash"
        );
    });
}

#[test]
fn a_line_with_a_secret_is_no_argument() {
    in_every_shell(|shell, folder| {
        let line = "echo \"$0|${1-none}|$(tr '\\0' ' ' </proc/$$/cmdline)\"; cat; exec >x; echo SECR'E'T'\n'; cat <<NODEWRIGHT\ninner\nNODEWRIGHT\n(exit 3)\n# SECRET";
        for with in ["/bin/sh", "/bin/bash"] {
            let given = json!({"cmd": line, "executable": with, "stdin": "input", "chdir": folder});
            let failure = task(shell, &Shell, given, &Controller::default()).unwrap_err();
            let stdout = failure.data["stdout"].as_str().unwrap().to_owned();
            let expected = format!("{with}|none|{with} -c eval \"$(cat <&9 9<&-)\" 9<&- \ninput");
            assert_eq!((stdout, &failure.data["rc"]), (expected, &json!(3)), "{shell:?} {with}");
            assert!(std::fs::read_to_string(format!("{folder}/x")).unwrap().ends_with("inner\n"));
        }
        let outcome = task(shell, &Raw, json!({"_raw_params": "echo SECRET $0"}), &Controller::default()).unwrap();
        assert_eq!(outcome.data["stdout"], "SECRET /bin/sh\n");
    });
}

#[test]
fn runs_a_file_of_the_controller_and_removes_it() {
    in_every_shell(|shell, folder| {
        std::fs::write(format!("{folder}/my job.sh"), "#!/bin/sh\necho \"$#|$2|$(pwd)|$0\"; cat; echo e >&2; exit $3\n").unwrap();
        let controller = Controller { files: folder.into(), ..Controller::default() };
        let outcome = task(shell, &ScriptFile, json!({"_raw_params": "'my job.sh' a \"b c\" 0", "chdir": "/usr"}), &controller).unwrap();
        let stdout = outcome.data["stdout"].as_str().unwrap();
        let path = stdout.trim_end().strip_prefix("3|b c|/usr|").unwrap_or_else(|| panic!("{shell:?} {stdout}"));
        assert!(!std::path::Path::new(path).exists() && path.ends_with("/my job.sh"));
        let failure = task(shell, &ScriptFile, json!({"cmd": "'my job.sh' a b 4", "executable": "/bin/bash"}), &controller).unwrap_err();
        assert_eq!(
            (failure.message.as_str(), &failure.data["rc"], &failure.data["stderr"]),
            ("non-zero return code", &json!(4), &json!("e\n"))
        );
        let outcome = task(shell, &ScriptFile, json!({"cmd": "'my job.sh' a b 4", "creates": "/etc/host*"}), &controller).unwrap();
        assert!(outcome.skipped);
        let outcome = task(shell, &Raw, json!({"_raw_params": "printf 'a\\n'; echo b >&2"}), &controller).unwrap();
        assert_eq!(picked(&outcome, &["stdout", "stderr", "rc"]), json!({"stdout": "a\n", "stderr": "b\n", "rc": 0, "changed": true}));
    });
}
