//! Scripts, jobs and files over a connection.

use crate::sshd::{Sshd, apply, probe};
use nodewright::remote::{ConnectError, Run, RunError};
use nodewright::sh::Script;
use std::path::Path;
use std::time::{Duration, Instant};

#[tokio::test]
async fn whatever_the_login_shell_is_and_says() {
    for shell in ["/bin/sh", "/usr/bin/fish", "/bin/tcsh", "/bin/bash"] {
        if !Path::new(shell).exists() {
            eprintln!("skipped: {shell} is not there");
            continue;
        }
        let noise = "head -c 300000 /dev/urandom; head -c 300000 /dev/zero | tr '\\\\0' x >&2";
        let Some(sshd) = Sshd::start(&format!("ForceCommand {noise}; exec {shell} -c \"$SSH_ORIGINAL_COMMAND\"")).await else { return };
        let connection = sshd.connect().await;
        let output = probe(&connection, "echo out; echo err >&2; exit 4").await;
        assert_eq!((output.status, &output.stdout[..], &output.stderr[..]), (4, &b"out\n"[..], &b"err\n"[..]), "{shell}");
        assert_eq!(apply(&connection, "echo out; exit 4").await.status, 4, "{shell}");
    }
}

#[tokio::test]
async fn an_account_without_a_shell_says_so() {
    let Some(sshd) = Sshd::start("ForceCommand echo This account is not available.; exit 1").await else { return };
    let error = sshd.connect().await.probe(Script::new("true"), Run::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot run a shell on the host: the login shell says: This account is not available.");
}

#[tokio::test]
async fn a_connection_renews_its_keys_and_files_arrive_whole() {
    let Some(sshd) = Sshd::start("RekeyLimit 1M\nMaxSessions 2").await else { return };
    let file = sshd.at("large");
    let bytes: Vec<u8> = (0..8_000_000u32).flat_map(|n| (n ^ 0x5bd1_e995).to_le_bytes()).collect();
    std::fs::write(&file, &bytes).unwrap();
    let connection = sshd.connect().await;
    let copy = sshd.at("copy");
    let script = || Script::new(format!("cat >>{}; echo done", copy.display())).with_file(&file);
    let started = Instant::now();
    let (one, two) =
        tokio::join!(connection.apply(script(), Run::default()), connection.probe(Script::new("cksum").with_file(&file), Run::default()));
    eprintln!("twice 32 MB in {:?}", started.elapsed());
    assert_eq!(one.unwrap().stdout, b"done\n");
    assert!(std::fs::read(&copy).unwrap() == bytes);
    let sum = two.unwrap().stdout_text().into_owned();
    assert!(sum.ends_with(" 32000000\n"), "{sum}");
    let back = probe(&connection, &format!("cat {}", copy.display())).await;
    assert!(back.stdout == bytes);
    let missing = connection.apply(Script::new("cat").with_file("/no/such/file"), Run::default()).await;
    assert!(matches!(missing, Err(RunError::Send { .. })), "{missing:?}");
}

#[tokio::test]
async fn fifty_probes_travel_together() {
    let Some(sshd) = Sshd::start("").await else { return };
    let connection = sshd.connect().await;
    probe(&connection, "true").await;
    let started = Instant::now();
    let answers: Vec<_> = (0..50)
        .map(|n| {
            let connection = connection.clone();
            tokio::spawn(async move { probe(&connection, &format!("echo {n}")).await })
        })
        .collect();
    for (n, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap().stdout, format!("{n}\n").as_bytes());
    }
    let together = started.elapsed();
    let started = Instant::now();
    for _ in 0..20 {
        apply(&connection, "true").await;
    }
    eprintln!("50 probes in {together:?}, a job in {:?}", started.elapsed() / 20);
    // 15 ms when the machine is idle.
    assert!(together < Duration::from_secs(3), "{together:?}");
    connection.close().await;
}

#[tokio::test]
async fn closing_lets_the_host_clean_up() {
    let Some(sshd) = Sshd::start("").await else { return };
    let connection = sshd.connect().await;
    let place = apply(&connection, "ls -d /run/nodewright/*/ ~/.cache/nodewright/jobs/*/ 2>/dev/null | while read d; do grep -q 'very own word' $d/script && echo $d; done").await;
    let place = place.stdout_text().trim().to_owned();
    assert!(place.contains("nodewright"), "{place}");
    connection.close().await;
    let started = Instant::now();
    while Path::new(&place).exists() {
        assert!(started.elapsed() < Duration::from_secs(10), "{place} is still there");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn after_a_closed_connection_it_is_simply_made_again() {
    let Some(mut sshd) = Sshd::start("").await else { return };
    let connection = sshd.connect().await;
    probe(&connection, "true").await;
    connection.clone().close().await;
    assert_eq!(probe(&connection, "echo again").await.stdout, b"again\n");
    // And if the key is not accepted any more, that is said at once.
    std::fs::write(sshd.at("authorized_keys"), "").unwrap();
    sshd.restart("").await;
    connection.clone().close().await;
    let error = connection.probe(Script::new("true"), Run::default()).await.unwrap_err();
    assert!(matches!(error, RunError::Lost(ConnectError::Auth { .. })), "{error:?}");
}
