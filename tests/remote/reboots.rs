//! A reboot that the controller does not live to see the end of: a run that goes on waits for it, and sets off no other. The host's boot is a file
//! here, so that nothing has to be rebooted; `tests/lab.rs` does it for real.

use crate::sshd::Sshd;
use crate::support::{nodewright, said, text};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

struct Scene {
    sshd: Sshd,
    at: PathBuf,
}

impl Scene {
    fn new(sshd: Sshd, name: &str) -> Scene {
        let at = sshd.at(name);
        std::fs::create_dir(&at).unwrap();
        std::fs::write(at.join("boot"), "1\n").unwrap();
        let hosts = format!(
            "web1 ansible_host=127.0.0.1 ansible_port={} ansible_ssh_private_key_file={} ansible_ssh_host_key='{}' ansible_ssh_common_args='-F /dev/null'\n",
            sshd.port,
            sshd.at("id").display(),
            sshd.host_key()
        );
        std::fs::write(at.join("hosts.ini"), hosts).unwrap();
        let play = format!(
            "- hosts: all\n  gather_facts: false\n  tasks:\n    - reboot:\n        boot_time_command: echo asked >>{0}/asked; cat {0}/boot\n        \
             reboot_command: echo off >>{0}/reboots; while [ ! -e {0}/up ]; do sleep 0.05; done; echo 2 >{0}/boot\n        \
             test_command: grep 2 {0}/boot\n        reboot_timeout: 60\n    - copy: {{content: after, dest: {0}/after}}\n",
            at.display()
        );
        std::fs::write(at.join("site.yaml"), play).unwrap();
        Scene { sshd, at }
    }

    fn start(&self, args: &[&str]) -> Child {
        let mut command: Command = nodewright();
        command.env_remove("NODEWRIGHT_JOURNAL").env("XDG_STATE_HOME", self.at.join("state")).current_dir(&self.at).args(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.at.join(name)).unwrap_or_default()
    }

    fn until(&self, is_so: impl Fn(&Scene) -> bool) {
        let started = Instant::now();
        while !is_so(self) {
            assert!(started.elapsed() < Duration::from_secs(60), "it does not come to that: {:?}", self.read("reboots"));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn n_asked(&self) -> usize {
        self.read("asked").lines().count()
    }

    /// A run that is killed as soon as the reboot is set off.
    fn cut_off(&self) {
        let mut run = self.start(&["run", "-i", "hosts.ini", "site.yaml"]);
        self.until(|scene| !scene.read("reboots").is_empty());
        run.kill().unwrap();
        run.wait().unwrap();
    }

    fn come_up(&self) {
        std::fs::write(self.at.join("up"), "").unwrap();
    }

    fn ended_well(&self, output: &Output) {
        assert!(output.status.success(), "{}", said(output));
        assert!(text(&output.stdout).contains("changed=2"), "{}", said(output));
        assert_eq!((self.read("reboots").as_str(), self.read("after").as_str()), ("off\n", "after"));
    }
}

#[tokio::test]
async fn a_reboot_that_was_set_off_is_waited_for_and_not_repeated() {
    let Some(sshd) = Sshd::start_alone("").await else { return };
    tokio::task::spawn_blocking(move || {
        // The host has not gone down yet when the run goes on.
        let down = Scene::new(sshd, "down");
        down.cut_off();
        let before = down.n_asked();
        let resumed = down.start(&["resume"]);
        // It was asked before the job was sent again, and again behind it.
        down.until(|scene| scene.n_asked() >= before + 2);
        down.come_up();
        down.ended_well(&resumed.wait_with_output().unwrap());

        // It is up again.
        let up = Scene::new(down.sshd, "up");
        up.cut_off();
        up.come_up();
        up.until(|scene| scene.read("boot") == "2\n");
        up.ended_well(&up.start(&["resume"]).wait_with_output().unwrap());
    })
    .await
    .unwrap();
}
