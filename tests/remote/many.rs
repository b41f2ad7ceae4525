//! How often a run waits for a host, and many hosts at once.

use crate::sshd::{Sshd, target};
use nodewright::remote::{Connection, Run, Ssh};
use nodewright::sh::Script;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A slow link, and how often the near side spoke after it had heard something.
struct SlowLink {
    port: u16,
    n_turns: Arc<AtomicUsize>,
}

impl SlowLink {
    async fn before(port: u16) -> SlowLink {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let own_port = listener.local_addr().unwrap().port();
        let (n_turns, has_heard) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
        let counted = n_turns.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
                let (turns, heard) = (counted.clone(), has_heard.clone());
                let speaks = move || {
                    turns.fetch_add(usize::from(heard.swap(false, Ordering::SeqCst)), Ordering::SeqCst);
                };
                let heard = has_heard.clone();
                delay(near_read, far_write, speaks, || ());
                delay(far_read, near_write, || (), move || heard.store(true, Ordering::SeqCst));
            }
        });
        SlowLink { port: own_port, n_turns }
    }
}

fn delay(
    mut from: impl AsyncReadExt + Unpin + Send + 'static,
    mut to: impl AsyncWriteExt + Unpin + Send + 'static,
    read: impl Fn() + Send + 'static,
    written: impl Fn() + Send + 'static,
) {
    let (sender, mut pieces) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(n @ 1..) = from.read(&mut buffer).await {
            read();
            let _ = sender.send((tokio::time::Instant::now() + Duration::from_millis(25), buffer[..n].to_vec()));
        }
    });
    tokio::spawn(async move {
        while let Some((when, piece)) = pieces.recv().await {
            tokio::time::sleep_until(when).await;
            written();
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
    });
}

#[tokio::test]
async fn nothing_is_waited_for_that_need_not_be() {
    let Some(sshd) = Sshd::start("").await else { return };
    let link = SlowLink::before(sshd.port).await;
    let connection = Connection::connect(&target(Ssh { port: Some(link.port), ..sshd.ssh() })).await.unwrap();
    let n_for_login = link.n_turns.load(Ordering::SeqCst);
    // The sides name themselves, choose their ways, make keys; then the service, the key and its signature are asked for.
    assert!(n_for_login <= 6, "{n_for_login} turns to log in");
    let jobs = connection.unfinished_jobs(Run::default());
    let probes = (0..24).map(|n| {
        let connection = connection.clone();
        tokio::spawn(async move { connection.probe(Script::new(format!("echo {n}")), Run::default()).await })
    });
    let probes: Vec<_> = probes.collect();
    assert!(jobs.await.unwrap().is_empty());
    for (n, probe) in probes.into_iter().enumerate() {
        assert_eq!(probe.await.unwrap().unwrap().stdout, format!("{n}\n").into_bytes());
    }
    // The channel, the program on it, and everything that is asked.
    let n_until_answered = link.n_turns.load(Ordering::SeqCst);
    assert!(n_until_answered <= n_for_login + 3, "{n_for_login} turns to log in, {n_until_answered} until all was answered");
    connection.close().await;
    assert!(link.n_turns.load(Ordering::SeqCst) <= n_until_answered + 1, "more than a goodbye");
}

/// As many hosts as one sshd has no room for, and connections as there may be no open files for.
#[tokio::test]
async fn many_hosts_few_files_and_a_full_sshd() {
    let Some(mut sshd) = Sshd::start("SetEnv SHLVL=1").await else { return };
    // The first value counts.
    let config = std::fs::read_to_string(sshd.at("sshd_config")).unwrap();
    std::fs::write(sshd.at("sshd_config"), format!("MaxStartups 3:50:20\n{config}")).unwrap();
    sshd.restart("").await;
    std::fs::write(sshd.at("known_hosts"), format!("[127.0.0.1]:{} {}\n", sshd.port, sshd.host_key())).unwrap();
    let hosts: String = (1..=40).map(|n| format!("h{n}\n")).collect();
    let vars = format!(
        "ansible_host=127.0.0.1\nansible_port={}\nansible_ssh_private_key_file={}\nansible_ssh_timeout=60\nansible_ssh_common_args=-F {}\n",
        sshd.port,
        sshd.at("id").display(),
        sshd.at("ssh_config").display()
    );
    std::fs::write(sshd.at("inventory.ini"), format!("{hosts}[all:vars]\n{vars}")).unwrap();
    std::fs::write(
        sshd.at("site.yaml"),
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - stat: {path: /}\n    - stat: {path: /tmp}\n",
    )
    .unwrap();
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 64; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_nodewright"), "run", "--forks", "40", "-i"])
        .args([sshd.at("inventory.ini"), sshd.at("site.yaml")])
        .env("XDG_STATE_HOME", sshd.directory.path())
        .output()
        .unwrap();
    let (told, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(told.matches("ok=2    changed=0    unreachable=0").count(), 40, "{told}\n{complained}");
    assert!(complained.contains("room for 24 connections"), "{complained}");
}
