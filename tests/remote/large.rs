//! Files of a host that come to us: of any size, and whole or not at all.

use crate::sshd::{Proxy, Sshd, target};
use crate::support::{nodewright, said};
use nodewright::remote::{Connection, Run, RunError, Sought, Ssh};
use sha1::{Digest, Sha1};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// So many megabytes, no two of which are the same.
fn write_large(path: &Path, megabytes: usize) {
    let mut block: Vec<u8> = (0..1 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut file = std::fs::File::create(path).unwrap();
    for n in 0..megabytes {
        block[..8].copy_from_slice(&n.to_le_bytes());
        file.write_all(&block).unwrap();
    }
}

fn sha1(path: &Path) -> String {
    hex::encode(Sha1::digest(std::fs::read(path).unwrap()))
}

/// An inventory of the one host, through the proxy.
fn inventory(sshd: &Sshd, port: u16) -> String {
    format!(
        "web1 ansible_host=127.0.0.1 ansible_port={port} ansible_ssh_private_key_file={} ansible_ssh_host_key='{}' ansible_ssh_common_args='-F /dev/null'\n",
        sshd.at("id").display(),
        sshd.host_key()
    )
}

#[tokio::test]
async fn a_file_that_comes_goes_on_where_it_was() {
    let Some(sshd) = Sshd::start("").await else { return };
    let (from, to) = (sshd.at("it's large"), sshd.at("come"));
    write_large(&from, 8);
    let sum = sha1(&from);
    let proxy = Proxy::before(sshd.port).await;
    proxy.cut_next_connection_after(3 << 20);
    let ssh = Ssh { port: Some(proxy.port), reconnect_for: Some(Duration::from_secs(20)), ..sshd.ssh() };
    let connection = Connection::connect(&target(ssh)).await.unwrap();
    let receive = async |path: &Path| {
        let mut file = tokio::fs::File::create(&to).await.unwrap();
        let path = path.to_str().unwrap();
        connection.receive(&Sought { path, length: 8 << 20, checksum: &sum }, &mut file, Run::default()).await
    };
    assert_eq!(receive(&from).await.unwrap(), sum);
    assert_eq!((sha1(&to), proxy.connections.load(Ordering::SeqCst)), (sum.clone(), 2));
    let passed = proxy.passed[1].load(Ordering::SeqCst);
    assert!(passed < 9 << 20, "{passed} bytes: what had come already came again");
    let error = receive(&sshd.at("none")).await.unwrap_err();
    assert!(matches!(&error, RunError::Receive { what, reason } if what.ends_with("none") && reason.contains("No such file")), "{error}");
    connection.close().await;
}

#[tokio::test]
async fn one_that_is_replaced_on_the_way_is_no_mixture() {
    let Some(sshd) = Sshd::start("").await else { return };
    let (from, other, to) = (sshd.at("file"), sshd.at("other"), sshd.at("come"));
    write_large(&from, 8);
    write_large(&other, 7);
    let sums = [sha1(&from), sha1(&other)];
    let proxy = Proxy::before(sshd.port).await;
    proxy.cut_next_connection_after(3 << 20);
    let ssh = Ssh { port: Some(proxy.port), reconnect_for: Some(Duration::from_secs(20)), ..sshd.ssh() };
    let connection = Connection::connect(&target(ssh)).await.unwrap();
    let mut file = tokio::fs::File::create(&to).await.unwrap();
    let replace = async {
        while proxy.passed[1].load(Ordering::SeqCst) < 1 << 20 {
            tokio::task::yield_now().await;
        }
        std::fs::rename(&other, &from).unwrap();
    };
    let sought = Sought { path: from.to_str().unwrap(), length: 8 << 20, checksum: &sums[0] };
    let (sum, ()) = tokio::join!(connection.receive(&sought, &mut file, Run::default()), replace);
    let sum = sum.unwrap();
    assert!(sums.contains(&sum), "neither the one nor the other");
    assert_eq!(sha1(&to), sum);
    connection.close().await;
}

/// So many megabytes the program may take, whatever the size of the file: a debug build takes more than forty anyway.
const MOST_MEMORY: u64 = 70;

#[tokio::test]
async fn a_large_file_is_fetched_in_little_memory_over_a_line_that_breaks() {
    let Some(sshd) = Sshd::start_alone("").await else { return };
    let megabytes = std::env::var("FETCH_MEGABYTES").ok().and_then(|number| number.parse().ok()).unwrap_or(40);
    write_large(&sshd.at("large"), megabytes);
    let proxy = Proxy::before(sshd.port).await;
    proxy.cut_next_connection_after(megabytes << 19);
    let here = sshd.at("here");
    std::fs::create_dir(&here).unwrap();
    std::fs::write(here.join("hosts.ini"), inventory(&sshd, proxy.port)).unwrap();
    let play = format!(
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - fetch: {{src: '{}', dest: out/, flat: true}}\n      register: fetched\n    \
         - copy:\n        content: \"{{{{ lookup('pipe', 'grep VmHWM /proc/$PPID/status') }}}} {{{{ fetched.checksum == fetched.remote_checksum }}}}\"\n        \
         dest: {}\n    - fetch: {{src: '{0}', dest: out/, flat: true}}\n      register: again\n      failed_when: again is changed\n",
        sshd.at("large").display(),
        here.join("memory").display(),
    );
    std::fs::write(here.join("site.yaml"), play).unwrap();
    let run = || {
        let mut command = nodewright();
        command.args(["run", "-i", "hosts.ini", "site.yaml"]).current_dir(&here);
        command
    };
    let output = tokio::task::spawn_blocking({
        let mut command = run();
        move || command.output().unwrap()
    });
    let output = output.await.unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let same = Command::new("cmp").arg(sshd.at("large")).arg(here.join("out/large")).status().unwrap();
    assert!(same.success() && proxy.connections.load(Ordering::SeqCst) >= 2);
    let names: Vec<_> = std::fs::read_dir(here.join("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["large"]);
    let memory = std::fs::read_to_string(here.join("memory")).unwrap();
    let words: Vec<&str> = memory.split_whitespace().collect();
    let peak: u64 = words[1].parse().unwrap();
    println!("{megabytes} MB were fetched with a peak of {} MB", peak >> 10);
    assert!(words[3] == "True" && peak < MOST_MEMORY << 10, "{memory}");

    // Killed in the middle, the old file is what there is.
    let old = here.join("out/large");
    std::fs::write(&old, "old\n").unwrap();
    let mut child = run().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    let is_half_there = || {
        let entries = std::fs::read_dir(here.join("out")).unwrap().flatten();
        entries.filter(|entry| entry.file_name() != "large").any(|entry| entry.metadata().is_ok_and(|meta| meta.len() > 1 << 20))
    };
    while !is_half_there() {
        assert!(started.elapsed() < Duration::from_secs(60), "it does not begin");
        tokio::task::yield_now().await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(std::fs::read_to_string(&old).unwrap(), "old\n");
}
