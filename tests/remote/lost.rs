//! Connections that break off: nothing is lost, nothing is done twice.

use crate::sshd::{Proxy, Sshd, apply, probe, target};
use nodewright::remote::{ConnectError, Connection, Run, RunError, Ssh};
use nodewright::sh::Script;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

async fn behind_proxy(sshd: &Sshd) -> (Proxy, Connection) {
    let proxy = Proxy::before(sshd.port).await;
    let ssh = Ssh { port: Some(proxy.port), reconnect_for: Some(Duration::from_secs(20)), ..sshd.ssh() };
    let connection = Connection::connect(&target(ssh)).await.unwrap();
    (proxy, connection)
}

#[tokio::test]
async fn a_job_goes_on_and_is_followed_from_the_byte_last_seen() {
    let Some(sshd) = Sshd::start("").await else { return };
    let (proxy, connection) = behind_proxy(&sshd).await;
    let proxy = Arc::new(proxy);
    let (log, go) = (sshd.at("log"), sshd.at("go"));
    std::fs::write(&go, "").unwrap();
    let on_line = {
        let (proxy, go) = (proxy.clone(), go.clone());
        move |line: &str| {
            if line == "middle" {
                proxy.cut();
                std::fs::remove_file(&go).unwrap();
            }
        }
    };
    let run = Run { on_line: Some(Arc::new(on_line)), title: "cut".into(), ..Run::default() };
    let text = format!(
        "echo start >>{log}; head -c 100000 /dev/zero | tr '\\0' a; echo; echo middle; while [ -e {go} ]; do sleep 0.05; done; echo late; echo err >&2; echo end >>{log}; exit 9",
        log = log.display(),
        go = go.display()
    );
    let output = connection.apply(Script::new(text), run).await.unwrap();
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "start\nend\n");
    assert_eq!(output.status, 9);
    assert_eq!(output.stdout_text(), format!("{}\nmiddle\nlate\n", "a".repeat(100_000)));
    assert_eq!(output.stderr_text(), "err\n");
    assert_eq!(proxy.connections.load(Ordering::SeqCst), 2);
    assert_eq!(connection.unfinished_jobs(Run::default()).await.unwrap().iter().filter(|job| job.what == "cut").count(), 0);
}

#[tokio::test]
async fn cut_anywhere_each_job_starts_once_and_ends_once() {
    let Some(sshd) = Sshd::start("").await else { return };
    let log = sshd.at("log");
    // From the middle of the key exchange of a shell's channel to after the answers.
    for cut in 0..12 {
        let proxy = Proxy::before(sshd.port).await;
        proxy.cut_next_connection_after(2200 + cut * 503);
        let ssh = Ssh { port: Some(proxy.port), reconnect_for: Some(Duration::from_secs(20)), ..sshd.ssh() };
        let Ok(connection) = Connection::connect(&target(ssh)).await else { continue };
        let _ = std::fs::remove_file(&log);
        for n in 0..3 {
            let text = format!("echo start {n} >>{0}; echo out; echo err >&2; echo end {n} >>{0}; exit {n}", log.display());
            let output = connection.apply(Script::new(text), Run::default()).await.unwrap();
            assert_eq!((output.status, &output.stdout[..], &output.stderr[..]), (n, &b"out\n"[..], &b"err\n"[..]), "cut {cut}");
            assert_eq!(probe(&connection, "echo probed").await.stdout, b"probed\n");
        }
        let log = std::fs::read_to_string(&log).unwrap();
        assert_eq!(log, "start 0\nend 0\nstart 1\nend 1\nstart 2\nend 2\n", "cut {cut}");
        connection.close().await;
    }
}

#[tokio::test]
async fn what_arrives_after_all_was_done_is_not_done_again() {
    let Some(sshd) = Sshd::start("").await else { return };
    let proxy = Proxy::before(sshd.port).await;
    let options = [("serveraliveinterval", "1"), ("serveralivecountmax", "1")];
    let options = options.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let connection = Connection::connect(&target(Ssh { port: Some(proxy.port), options, ..sshd.ssh() })).await.unwrap();
    let shell = probe(&connection, "echo $$").await.stdout_text().trim().to_owned();
    let log = sshd.at("log");
    proxy.hold();
    apply(&connection, &format!("echo once >>{}", log.display())).await;
    assert_eq!(proxy.connections.load(Ordering::SeqCst), 2);
    connection.close().await;
    proxy.let_go();
    let started = Instant::now();
    while Path::new("/proc").join(&shell).exists() {
        assert!(started.elapsed() < Duration::from_secs(10), "the first shell does not end");
        tokio::task::yield_now().await;
    }
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "once\n");
}

#[tokio::test]
async fn a_file_on_its_way_is_sent_again() {
    let Some(sshd) = Sshd::start("").await else { return };
    let file = sshd.at("large");
    let bytes: Vec<u8> = (0..2_000_000u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&file, &bytes).unwrap();
    let (proxy, connection) = behind_proxy(&sshd).await;
    probe(&connection, "true").await;
    // Each megabyte is acknowledged with window adjustments: some of them pass, then the line is dead.
    proxy.cut_next_connection_after(4000);
    proxy.cut();
    let output = connection.apply(Script::new("cksum").with_file(&file), Run::default()).await.unwrap();
    assert!(output.stdout_text().ends_with(" 8000000\n"));
    assert!(proxy.connections.load(Ordering::SeqCst) >= 2);
}

#[tokio::test]
async fn a_host_that_stays_away_is_given_up() {
    let Some(mut sshd) = Sshd::start("").await else { return };
    let proxy = Proxy::before(sshd.port).await;
    let ssh = Ssh { port: Some(proxy.port), reconnect_for: Some(Duration::from_millis(300)), ..sshd.ssh() };
    let connection = Connection::connect(&target(ssh)).await.unwrap();
    probe(&connection, "true").await;
    sshd.stop();
    proxy.cut();
    let error = connection.probe(Script::new("echo x"), Run::default()).await.unwrap_err();
    assert!(matches!(&error, RunError::Lost(lost) if lost.is_transient()), "{error:?}");
    assert!(!matches!(error, RunError::Lost(ConnectError::Auth { .. })));
}

/// With the usual settings it takes eight times as long: `remote::ssh` says so of its numbers.
#[tokio::test]
async fn a_network_that_falls_silent_is_noticed_after_three_intervals() {
    let Some(sshd) = Sshd::start("").await else { return };
    let proxy = Proxy::before(sshd.port).await;
    let options = [("serveraliveinterval", "1"), ("serveralivecountmax", "2")];
    let ssh = Ssh {
        port: Some(proxy.port),
        options: options.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        reconnect_for: Some(Duration::ZERO),
        connect_timeout: Some(Duration::from_millis(100)),
        ..sshd.ssh()
    };
    let connection = Connection::connect(&target(ssh)).await.unwrap();
    probe(&connection, "true").await;
    proxy.stall();
    let started = Instant::now();
    let error = connection.probe(Script::new("true"), Run::default()).await.unwrap_err();
    assert!(matches!(error, RunError::Lost(_)), "{error:?}");
    assert!((2..8).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
}
