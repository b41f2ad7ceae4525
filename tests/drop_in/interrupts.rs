//! Signals, and Ctrl-C at questions that do not show what is typed: how the programs end, and what becomes of the terminal. The exit codes are those of
//! ansible-core 2.21.

use crate::{folder, text};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Says how the terminal is, runs the rest of the line as a process whose number it says, and says how that ended and how the terminal is then.
const AROUND: &str =
    "trap : INT; echo \"<$(stty -g)>\"; sh -c 'echo \"pid $$;\"; exec \"$@\"' - \"$@\"; echo \"rc $?;\"; echo \"<$(stty -g)>\"";

/// Whoever starts the tests in the background has them ignore Ctrl-C, and so would what they start.
const HEEDING: &str = "--default-signal=INT,TERM,HUP";

enum Then<'a> {
    Type(&'a str),
    Signal(&'a str),
}

/// Starts a program on a terminal of its own, waits for its question, and does something about it. What comes of it: the exit code.
fn at_question(dir: &Path, line: &str, question: &str, then: Then) -> Result<i32, String> {
    let words = shell_words::join(["sh", "-c", AROUND, "-"].into_iter().chain(line.split(' ')));
    let mut script = Command::new("env")
        .args([HEEDING, "timeout", "20", "script", "--quiet", "--command", &words, "/dev/null"])
        .current_dir(dir)
        .env_clear()
        .env("HOME", dir)
        .env("PATH", format!("{}:/usr/bin:/bin", dir.display()))
        .env("NODEWRIGHT_JOURNAL", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|err| err.to_string())?;
    let (mut keys, mut screen) = (script.stdin.take().expect("piped"), script.stdout.take().expect("piped"));
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    let mut is_asked = false;
    while let Ok(length @ 1..) = screen.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..length]);
        if !is_asked && text(&seen).contains(question) {
            is_asked = true;
            match then {
                Then::Type(what) => keys.write_all(what.as_bytes()).map_err(|err| err.to_string())?,
                Then::Signal(signal) => kill(between(&text(&seen), "pid ", ";").ok_or("no number of the process")?, signal),
            }
        }
    }
    script.wait().map_err(|err| err.to_string())?;
    let seen = text(&seen);
    let (before, after) = (between(&seen, "<", ">"), seen.rfind('<').and_then(|at| between(&seen[at..], "<", ">")));
    match between(&seen, "rc ", ";").and_then(|code| code.parse().ok()) {
        Some(code) if is_asked && before.is_some_and(|before| before.contains(':')) && before == after => Ok(code),
        _ => Err(seen),
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    Some(text.split_once(start)?.1.split_once(end)?.0)
}

fn kill(process: impl std::fmt::Display, signal: &str) {
    let status = Command::new("kill").args([format!("-{signal}"), process.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "the process is there");
}

#[test]
fn the_terminal_is_as_it_was_before_the_question() {
    let dir = folder(&[
        ("hosts", "web1 ansible_connection=local\n"),
        ("ask.yml", "- hosts: all\n  gather_facts: false\n  vars_prompt: [{name: pin, prompt: The pin}]\n  tasks: [{debug: }]\n"),
        ("work.yml", "- hosts: all\n  gather_facts: false\n  tasks: [{debug: }]\n"),
        ("locked.yml", "$ANSIBLE_VAULT;1.1;AES256\n6130\n"),
    ]);
    for name in ["ansible-playbook", "ansible", "ansible-inventory", "ansible-vault"] {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_nodewright"), dir.path().join(name)).expect("a link");
    }
    let ctrl_c = || Then::Type("\u{3}");
    let cases = [
        ("ansible-playbook -i hosts ask.yml", "The pin: ", ctrl_c(), 99),
        ("ansible-playbook -i hosts ask.yml", "The pin: ", Then::Signal("TERM"), 143),
        ("ansible-playbook -i hosts ask.yml", "The pin: ", Then::Type("1\n"), 0),
        ("ansible-playbook -i hosts --ask-become-pass work.yml", "BECOME password: ", ctrl_c(), 99),
        ("ansible-playbook -i hosts --ask-become-pass work.yml", "BECOME password: ", Then::Signal("HUP"), 129),
        ("ansible-playbook -i hosts --ask-vault-pass work.yml", "Vault password: ", ctrl_c(), 99),
        ("ansible -i hosts --ask-pass all -m ping", "SSH password: ", ctrl_c(), 99),
        ("ansible-inventory -i hosts --ask-vault-pass --list", "Vault password: ", ctrl_c(), 99),
        ("ansible-vault view --ask-vault-pass locked.yml", "Vault password: ", ctrl_c(), 99),
        ("ansible-vault view --ask-vault-pass locked.yml", "Vault password: ", Then::Signal("TERM"), 143),
    ];
    let wrong: Vec<String> = cases
        .into_iter()
        .filter_map(|(line, question, then, code)| match at_question(dir.path(), line, question, then) {
            Ok(ended) if ended == code => None,
            Ok(ended) => Some(format!("{line} ended with {ended}, not {code}")),
            Err(seen) => Some(format!("{line}: not as before, or not ended:\n{seen}")),
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Ends also when the whole folder is gone.
const WORK: &str = "touch begun; while [ -e begun ] && [ ! -e go ]; do sleep 0.05; done";

/// A run whose task goes on until the file `go` is there.
struct Running {
    dir: tempfile::TempDir,
    child: Child,
}

impl Running {
    fn begin(name: &str, args: &[&str]) -> Running {
        let dir = folder(&[
            ("hosts", "web1 ansible_connection=local\n"),
            ("work.yml", &format!("- hosts: all\n  gather_facts: false\n  tasks:\n  - shell: {WORK}\n  - shell: touch late\n")),
        ]);
        let program = dir.path().join(name);
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_nodewright"), &program).expect("a link");
        let child = Command::new("/usr/bin/env")
            .arg(HEEDING)
            .arg(&program)
            .args(["-i", "hosts"])
            .args(args)
            .current_dir(dir.path())
            .env_clear()
            .env("HOME", dir.path())
            .env("PATH", "/usr/bin:/bin")
            .env("NODEWRIGHT_JOURNAL", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.path().join("said")).expect("a file"))
            .spawn()
            .expect("the program starts");
        let running = Running { dir, child };
        running.wait_for("the task begins", || running.at("begun").exists());
        running
    }

    fn at(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn wait_for(&self, what: &str, is_so: impl Fn() -> bool) {
        let started = Instant::now();
        while !is_so() {
            assert!(started.elapsed() < Duration::from_secs(20), "{what}: not within 20 seconds");
            std::thread::yield_now();
        }
    }

    /// Sends a signal, and waits until the run says what it makes of it.
    fn signal(&self, signal: &str, words: &str) {
        kill(self.child.id(), signal);
        self.wait_for(words, || std::fs::read(self.at("said")).is_ok_and(|said| text(&said).contains(words)));
    }

    fn end(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            match self.child.try_wait().expect("it can be asked") {
                Some(status) => return status,
                None => assert!(started.elapsed() < Duration::from_secs(20), "it does not end"),
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The task ends also where the test has failed.
        let _ = std::fs::write(self.at("go"), "");
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

#[test]
fn a_run_that_is_to_end_ends_after_what_is_running() {
    for (signal, words, code) in [("INT", "interrupted:", 99), ("TERM", "SIGTERM:", 143), ("HUP", "SIGHUP:", 129)] {
        let mut running = Running::begin("ansible-playbook", &["work.yml"]);
        running.signal(signal, words);
        std::fs::write(running.at("go"), "").expect("a file");
        assert_eq!(running.end().code(), Some(code), "{signal}");
        assert!(!running.at("late").exists(), "{signal}: nothing new is begun");
    }
}

#[test]
fn ctrl_c_once_more_interrupts_what_is_running() {
    let mut running = Running::begin("ansible", &["all", "-m", "shell", "-a", WORK]);
    running.signal("INT", "interrupted:");
    running.signal("INT", "interrupting what runs");
    assert_eq!(running.end().code(), Some(99));
    assert!(!running.at("go").exists());
}
