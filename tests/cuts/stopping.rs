//! Runs that are asked to end early, by signals, and jobs from which nothing is heard.

use crate::host::Host;
use crate::support;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A run, its output in files, so that it can be looked at while it goes on.
struct Running {
    child: Child,
    place: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(host: &Host, name: &str, tasks: &str) -> Running {
        let place = host.place().join(name);
        std::fs::create_dir_all(&place).unwrap();
        crate::host::open_to_all(&[&place]);
        let inventory = format!("all:\n  hosts:\n    web1: {{ ansible_port: {} }}\n{}", host.port, host.vars());
        std::fs::write(place.join("inventory.yaml"), inventory).unwrap();
        let play = format!("- hosts: all\n  gather_facts: false\n  vars: {{ at: '{}' }}\n  tasks:\n{tasks}", place.display());
        std::fs::write(place.join("site.yaml"), play).unwrap();
        let file = |name: &str| Stdio::from(std::fs::File::create(place.join(name)).unwrap());
        // Whoever starts the tests in the background has them ignore Ctrl-C, and so would what they start.
        let program = support::nodewright();
        let mut command = Command::new("env");
        command.arg("--default-signal=INT,TERM,HUP").arg(program.get_program()).stdin(Stdio::null());
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.args(["run", "-i", "inventory.yaml", "site.yaml"]).current_dir(&place).env("NODEWRIGHT_STALL_AFTER", "2");
        let child = command.stdout(file("stdout")).stderr(file("stderr")).spawn().unwrap();
        Running { child, place }
    }

    fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.place.join(file)).unwrap_or_default()
    }

    fn wait_for(&self, file: &str, words: &str) {
        let started = Instant::now();
        while !self.text(file).contains(words) {
            assert!(
                started.elapsed() < Duration::from_secs(40),
                "no `{words}` in {file}:\n{}\n{}",
                self.text("stdout"),
                self.text("stderr")
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Ctrl-C, as soon as the one before was understood.
    fn interrupt(&self, times: usize) {
        for words in &["interrupted: what is running ends first", "interrupting what runs on the hosts", "quitting"][..times] {
            self.signal("INT");
            self.wait_for("stderr", words);
        }
    }

    fn end(mut self) -> (Option<i32>, String, String) {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(started.elapsed() < Duration::from_secs(40), "it does not end:\n{}\n{}", self.text("stdout"), self.text("stderr"));
            std::thread::sleep(Duration::from_millis(20));
        };
        let recap = self.text("stdout").lines().find(|line| line.contains("unreachable=")).unwrap_or("no recap").to_owned();
        (status.code(), recap.split_whitespace().collect::<Vec<_>>().join(" "), self.text("marks"))
    }

    fn touch(&self, name: &str) {
        std::fs::write(self.place.join(name), "").unwrap();
    }
}

const TWO: &str = "    - shell: 'echo start >>{{ at }}/marks; while [ ! -e {{ at }}/go ]; do sleep 0.05; done; echo end >>{{ at }}/marks'
    - shell: 'echo second >>{{ at }}/marks'
";
const STUBBORN: &str = "    - shell: \"trap '' TERM; echo start >>{{ at }}/marks; while [ ! -e {{ at }}/go ]; do sleep 0.05; done; echo end >>{{ at }}/marks\"\n";

fn recap(what: &str) -> String {
    format!("web1 : {what} skipped=0 rescued=0 ignored=0")
}

fn all_of_it(host: &Host) {
    for (signal, status) in [("INT", 99), ("TERM", 143), ("HUP", 129)] {
        let running = Running::start(host, signal, TWO);
        running.wait_for("marks", "start");
        running.signal(signal);
        running.wait_for("stderr", "what is running ends first");
        running.touch("go");
        assert_eq!(running.end(), (Some(status), recap("ok=1 changed=1 unreachable=0 failed=0"), "start\nend\n".to_owned()), "{signal}");
    }

    let running = Running::start(host, "twice", TWO);
    running.wait_for("marks", "start");
    running.interrupt(2);
    assert_eq!(running.end(), (Some(99), recap("ok=0 changed=0 unreachable=0 failed=1"), "start\n".to_owned()));

    let running = Running::start(host, "thrice", STUBBORN);
    running.wait_for("marks", "start");
    running.interrupt(3);
    let go = running.place.join("go");
    let (status, _, marks) = running.end();
    assert_eq!((status, marks.as_str()), (Some(99), "start\n"));
    std::fs::write(go, "").unwrap();

    for (name, tasks, shows) in [
        ("retries", "    - shell: 'false'\n      retries: 3\n      delay: 1000\n", "RETRYING"),
        ("pause", "    - pause: { seconds: 1000 }\n", "Pausing for 1000 seconds"),
    ] {
        let running = Running::start(host, name, tasks);
        running.wait_for("stdout", shows);
        running.interrupt(1);
        assert_eq!(running.end().0, Some(99), "{name}");
    }

    let running = Running::start(host, "wait_for", "    - wait_for: { path: '{{ at }}/never', timeout: 1000 }\n");
    running.wait_for("stdout", "TASK [wait_for]");
    running.interrupt(1);
    assert_eq!(running.end().0, Some(99));

    let running = Running::start(host, "stall", "    - shell: 'echo begun; sleep 321; echo done'\n      become: true\n");
    running.wait_for("stderr", "web1 waits for `sleep 321` (pid ");
    running.wait_for("stderr", "no output and no work for 2 s");
    running.interrupt(2);
    assert_eq!(running.end().0, Some(99));
}

#[tokio::test]
async fn a_run_that_is_asked_to_end_does_so() {
    let Some(host) = Host::start().await else { return };
    assert!(Path::new("/proc/self/stat").exists());
    tokio::task::spawn_blocking(move || all_of_it(&host)).await.unwrap();
}
