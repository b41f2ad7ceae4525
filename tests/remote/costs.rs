//! What `--profile` counts, against what went over the wire: a run of the program on two hosts, which are two names of one sshd.

use crate::sshd::{Proxy, Sshd};
use serde_json::Value as Json;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Each of them asks its host once.
const TASKS: [&str; 8] = [
    "file: {path: '[DIR]', state: directory, mode: '0710'}",
    "copy: {dest: '[DIR]/motd', content: \"be kind\\n\", mode: '0640'}",
    "lineinfile: {path: '[DIR]/motd', line: be kind}",
    "file: {path: '[DIR]/link', src: motd, state: link}",
    "file: {path: '[DIR]/gone', state: absent}",
    "copy: {dest: '[DIR]/other', content: \"other\\n\", mode: '0600'}",
    "stat: {path: '[DIR]/other'}",
    "slurp: {src: '[DIR]/motd'}",
];

struct Hosts {
    sshd: Sshd,
    proxies: [Proxy; 2],
}

impl Hosts {
    async fn start() -> Option<Hosts> {
        let sshd = Sshd::start_alone("").await?;
        let proxies = [Proxy::before(sshd.port).await, Proxy::before(sshd.port).await];
        let hosts = Hosts { sshd, proxies };
        let ssh = |proxy: &Proxy| format!("{{ansible_host: 127.0.0.1, ansible_port: {}}}", proxy.port);
        let [web1, web2] = hosts.proxies.each_ref().map(ssh);
        std::fs::write(
            hosts.sshd.at("hosts.yaml"),
            format!(
                "all:\n  vars: {{ansible_ssh_private_key_file: {}, ansible_ssh_host_key: '{}', ansible_ssh_common_args: '-F {}'}}\n  \
                 hosts:\n    web1: {web1}\n    web2: {web2}\n",
                hosts.sshd.at("id").display(),
                hosts.sshd.host_key(),
                hosts.sshd.at("ssh_config").display(),
            ),
        )
        .unwrap();
        Some(hosts)
    }

    /// Runs a play of these tasks, and returns the profile and the number of bytes that passed to and from each host.
    async fn run(&self, tasks: &[String], more_args: &[&str]) -> (Json, [[usize; 2]; 2]) {
        self.proxies.iter().for_each(|proxy| proxy.passed.iter().for_each(|count| count.store(0, Ordering::SeqCst)));
        let play: String = tasks.iter().map(|task| format!("    - {task}\n")).collect();
        std::fs::write(self.sshd.at("site.yaml"), format!("- hosts: all\n  gather_facts: false\n  tasks:\n{play}")).unwrap();
        let mut run = Command::new(env!("CARGO_BIN_EXE_nodewright"));
        run.env("NODEWRIGHT_JOURNAL", "0")
            .arg("run")
            .arg("-i")
            .arg(self.sshd.at("hosts.yaml"))
            .arg("--profile-to")
            .arg(self.sshd.at("profile.json"));
        run.args(more_args).arg(self.sshd.at("site.yaml"));
        let output = tokio::task::spawn_blocking(move || run.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let profile: Json = serde_json::from_slice(&std::fs::read(self.sshd.at("profile.json")).unwrap()).unwrap();
        // The last words may still be on their way through the proxy.
        let (mut passed, started) = (self.passed(), Instant::now());
        let out = |host: &str| profile["hosts"][host]["counts"]["bytes_out"].as_u64().unwrap_or_default();
        while (passed[0][0] as u64) < out("web1") || (passed[1][0] as u64) < out("web2") {
            assert!(started.elapsed() < Duration::from_secs(10), "{passed:?} of {profile:#}");
            tokio::time::sleep(Duration::from_millis(5)).await;
            passed = self.passed();
        }
        (profile, passed)
    }

    fn passed(&self) -> [[usize; 2]; 2] {
        self.proxies.each_ref().map(|proxy| proxy.passed.each_ref().map(|count| count.load(Ordering::SeqCst)))
    }
}

fn count(profile: &Json, host: &str, what: &str) -> u64 {
    profile["hosts"][host]["counts"][what].as_u64().unwrap_or_else(|| panic!("{what} of {host} in {profile:#}"))
}

fn tasks(dir: &Path) -> Vec<String> {
    TASKS.iter().map(|task| task.replace("[DIR]", &dir.display().to_string())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_counts_what_went_over_the_wire() {
    let Some(hosts) = Hosts::start().await else { return };
    let mut tasks = tasks(&hosts.sshd.at("etc"));
    hosts.run(&tasks, &["--forks", "1"]).await;

    // TCP; versions with offers, the exchange of keys; the service, the key, its signature.
    const LOGGING_IN: u64 = 6;
    // The channel; the program; its first words, with which goes what the first task asks.
    const SHELL: u64 = 3;
    let (profile, passed) = hosts.run(&tasks, &[]).await;
    for (host, [up, down]) in ["web1", "web2"].into_iter().zip(passed) {
        let exactly = [("connections", 1), ("channels", 1), ("probes", 1 + 8), ("jobs", 0)];
        for (what, number) in exactly {
            assert_eq!(count(&profile, host, what), number, "{what} of {host}: {profile:#}");
        }
        let ahead = count(&profile, host, "ahead");
        assert!((6..=7).contains(&ahead) && count(&profile, host, "ahead_used") == ahead, "{host}: {profile:#}");
        // All the other tasks together need one. A better way to log in may need fewer than this.
        let round_trips = count(&profile, host, "round_trips");
        assert!(round_trips <= LOGGING_IN + SHELL + 1, "{host}: {round_trips}");
        // The farewell goes out when everything has been told, and nobody listens to what sshd says to it.
        for (what, passed, most) in [("bytes_out", up, 200), ("bytes_in", down, 500)] {
            let not_counted = (passed as u64).checked_sub(count(&profile, host, what)).expect("nothing is counted that did not pass");
            assert!(not_counted < most, "{host}: {not_counted} {what} more");
        }
        let parts = &profile["hosts"][host]["turns"];
        let sum: f64 = ["controller", "wire", "remote", "idle"].iter().map(|part| parts[part].as_f64().unwrap()).sum();
        assert!(sum <= profile["wall"].as_f64().unwrap(), "{profile:#}");
    }

    // Asked one after another, each task costs one; and what one asks and is told is counted where it happens.
    let (apart, _) = hosts.run(&tasks, &["--no-read-ahead"]).await;
    assert!(count(&apart, "web1", "round_trips") >= count(&profile, "web1", "round_trips") + 6, "{apart:#}");
    assert_eq!(count(&apart, "web1", "ahead"), 0);
    for task in &apart["tasks"].as_array().unwrap()[1..] {
        assert_eq!((&task["hosts"]["web2"]["round_trips"], &task["hosts"]["web2"]["probes"]), (&1.into(), &1.into()), "{task:#}");
        assert!(task["hosts"]["web2"]["bytes_out"].as_u64().unwrap() > 150, "{task:#}");
    }

    // What changes is a job; what was read before it says nothing any more. Another user has a shell and a channel of their own.
    std::fs::remove_file(hosts.sshd.at("etc/motd")).unwrap();
    let before = profile;
    tasks.push("{stat: {path: /}, become: true, become_method: su, become_user: nobody}".to_owned());
    let (profile, _) = hosts.run(&tasks, &["--limit", "web1"]).await;
    assert_eq!((count(&profile, "web1", "connections"), count(&profile, "web1", "channels")), (1, 2));
    assert_eq!(count(&profile, "web1", "jobs"), 1, "{profile:#}");
    assert!(count(&profile, "web1", "ahead_used") < count(&profile, "web1", "ahead"), "{profile:#}");
    assert!(count(&profile, "web1", "round_trips") > count(&before, "web1", "round_trips"));
}
