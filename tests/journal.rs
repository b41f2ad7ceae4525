//! A controller that is killed with SIGKILL, and the run that goes on: nothing is done twice, nothing is lost. `scripts/sigkills` does the same at
//! random moments on lab hosts; here the moments are those that differ.

mod support;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::{nodewright, project, said, text};

struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Scratch {
        let scratch = Scratch(tempfile::tempdir().expect("a scratch folder"));
        for host in ["one", "two"] {
            std::fs::create_dir_all(scratch.path().join(host)).expect("a folder for the host");
        }
        let hosts = "one ansible_connection=local\ntwo ansible_connection=local\n[all:vars]\ndir={{ root }}/{{ inventory_hostname }}\n";
        std::fs::write(scratch.path().join("hosts.ini"), hosts).expect("the inventory can be written");
        scratch
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = nodewright();
        command
            .env_remove("NODEWRIGHT_JOURNAL")
            .env("XDG_STATE_HOME", self.path().join("state"))
            .current_dir(project().join("tests/journal"));
        command.args(args);
        command
    }

    fn run(&self, playbook: &str) -> Command {
        let inventory = self.path().join("hosts.ini").display().to_string();
        let root = format!("root={}", self.path().display());
        self.command(&["run", "-i", &inventory, "-e", &root, playbook])
    }

    fn marks(&self, host: &str) -> String {
        std::fs::read_to_string(self.path().join(host).join("marks")).unwrap_or_default()
    }

    /// Every file of a host but the random number, with the marks in order.
    fn state(&self, host: &str) -> Vec<(String, String)> {
        let mut files: Vec<(String, String)> = std::fs::read_dir(self.path().join(host))
            .expect("the folder is there")
            .map(|entry| entry.expect("it can be listed").path())
            .map(|path| {
                (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap_or_default())
            })
            .filter(|(name, _)| name != "number")
            .collect();
        files.sort();
        files
    }

    /// Starts a run and kills it as soon as a host's marks end with `line`.
    fn kill_at(&self, mut command: Command, line: &str) {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts");
        let started = Instant::now();
        while !self.marks("one").contains(&format!("{line}\n")) && !self.marks("two").contains(&format!("{line}\n")) {
            assert!(started.elapsed() < Duration::from_secs(120), "nothing came to `{line}`:\n{}", self.marks("one"));
            assert!(child.try_wait().expect("it can be asked").is_none(), "the run ended before `{line}`");
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().expect("it can be killed");
        child.wait().expect("it has ended");
    }
}

fn ended_well(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}

#[test]
fn nothing_is_done_twice_and_nothing_is_lost() {
    let undisturbed = Scratch::new();
    let whole = undisturbed.run("work.yaml").output().expect("the binary starts");
    ended_well(&whole);

    let scratch = Scratch::new();
    scratch.kill_at(scratch.run("work.yaml"), "start two");
    for moment in ["start l3", "end b2", "start h1", "start once"] {
        scratch.kill_at(scratch.command(&["resume"]), moment);
    }
    let history = scratch.command(&["history", "--json"]).output().expect("the binary starts");
    let row: serde_json::Value = serde_json::from_slice(&history.stdout).unwrap_or_else(|err| panic!("{err}: {}", said(&history)));
    assert_eq!((&row["ended"], &row["resumed"], &row["can_be_resumed"]), (&"killed".into(), &4.into(), &true.into()), "{row}");

    let resumed = scratch.command(&["resume"]).output().expect("the binary starts");
    ended_well(&resumed);
    for host in ["one", "two"] {
        assert_eq!(scratch.state(host), undisturbed.state(host), "{host}");
    }
    // The recap counts what the whole run came to, and what was done before is not told again.
    assert_eq!(support::recap(&text(&resumed.stdout)), support::recap(&text(&whole.stdout)), "{}", said(&resumed));
    assert!(!text(&resumed.stdout).contains("TASK [two]"), "{}", said(&resumed));

    let shown = scratch.command(&["show"]).output().expect("the binary starts");
    assert!(text(&shown.stdout).contains("TASK [two]") && text(&shown.stdout).ends_with(&text(&resumed.stdout)), "{}", said(&shown));
    let again = scratch.command(&["resume"]).output().expect("the binary starts");
    assert!(!again.status.success() && text(&again.stderr).contains("nothing to resume"), "{}", said(&again));
    let named = scratch.command(&["resume", "2026"]).output().expect("the binary starts");
    assert!(text(&named.stderr).contains("ended well"), "{}", said(&named));
}

#[test]
fn what_failed_is_tried_again_and_changed_files_are_refused() {
    let scratch = Scratch::new();
    let (playbook, dir) = (scratch.path().join("site.yaml"), scratch.path().join("one"));
    let written = |last: &str| {
        let text = format!(
            "- hosts: one\n  gather_facts: false\n  tasks:\n    - block:\n        - shell: echo a >>{{{{ dir }}}}/marks; echo tiger-lily\n          \
             no_log: true\n          register: a\n        - shell: test -e {{{{ dir }}}}/mended\n        - shell: echo {{{{ a.stdout }}}} >{{{{ dir }}}}/{last}\n      \
             always:\n        - shell: echo always >>{{{{ dir }}}}/marks\n"
        );
        std::fs::write(&playbook, text).expect("the playbook can be written");
    };
    written("b");
    let path = playbook.display().to_string();
    let failed = scratch.run(&path).output().expect("the binary starts");
    assert_eq!(failed.status.code(), Some(2), "{}", said(&failed));
    std::fs::write(dir.join("mended"), "").expect("it can be mended");

    // No secret in the journal.
    for entry in std::fs::read_dir(scratch.path().join("state/nodewright/runs")).expect("there are journals") {
        let journal = std::fs::read_to_string(entry.expect("it can be listed").path().join("journal.jsonl")).expect("it can be read");
        assert!(!journal.contains("tiger-lily"), "{journal}");
    }
    written("c");
    let refused = scratch.command(&["resume"]).output().expect("the binary starts");
    assert!(!refused.status.success() && text(&refused.stderr).contains("site.yaml"), "{}", said(&refused));
    let resumed = scratch.command(&["resume", "--anyway"]).output().expect("the binary starts");
    ended_well(&resumed);
    // What had followed from the failure follows from the success as well.
    assert_eq!(scratch.marks("one"), "a\nalways\nalways\n");
    assert_eq!(std::fs::read_to_string(dir.join("c")).expect("it was written"), "tiger-lily\n");
}

#[test]
fn without_the_key_the_variables_that_are_missing_are_named() {
    let scratch = Scratch::new();
    let memory = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let playbook = scratch.path().join("site.yaml");
    let site = "- hosts: one\n  gather_facts: false\n  tasks:\n    - shell: echo {{ colour }} {{ size }} {{ taste }} >>{{ dir }}/marks; test -e {{ dir }}/mended\n";
    std::fs::write(&playbook, site).expect("the playbook can be written");
    std::fs::write(scratch.path().join("more.yml"), "taste: sweet\n").expect("the variables can be written");
    let (path, more) = (playbook.display().to_string(), format!("@{}/more.yml", scratch.path().display()));
    let mut run = scratch.run(&path);
    let failed = run.args(["-e", "colour=red size=7", "-e", &more]).env("XDG_RUNTIME_DIR", memory.path()).output();
    assert_eq!(failed.expect("the binary starts").status.code(), Some(2));
    std::fs::write(scratch.path().join("one/mended"), "").expect("it can be mended");

    let resume = |args: &[&str]| {
        let mut command = scratch.command(&["resume"]);
        command.args(args).env("XDG_RUNTIME_DIR", memory.path()).output().expect("the binary starts")
    };
    std::fs::remove_dir_all(memory.path().join("nodewright-keys")).expect("there was a key");
    let refused = resume(&["--", "-e", "size=7"]);
    assert!(!refused.status.success());
    let words = text(&refused.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("Give `root`, `colour` again: nodewright resume ") && words.contains(" -- -e root=VALUE -e colour=VALUE"),
        "{words}"
    );
    assert!(!words.contains("taste") && !words.contains("red"), "{words}");
    let root = format!("root={}", scratch.path().display());
    ended_well(&resume(&["--", "-e", "size=7", "-e", "colour=blue", "-e", &root]));
    assert_eq!(scratch.marks("one"), "red 7 sweet\nblue 7 sweet\n");
}
