//! Hosts on which a job can hardly be done, and peers that are no hosts.

use crate::sshd::{Proxy, apply, probe, target};
use crate::users::{Host, sudo};
use nodewright::remote::{Become, BecomeMethod, ConnectError, Connection, Run, RunError, Ssh};
use nodewright::sh::Script;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

async fn refused(connection: &Connection, run: Run) -> String {
    match connection.apply(Script::new("echo done; exit 7"), run).await {
        Ok(output) => format!("{} {}", output.status, output.stdout_text().trim()),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn where_a_job_has_no_room_that_is_said() {
    let Some(host) = Host::start("").await else { return };
    let root = host.connect("root").await;
    // Read by the shell, not started: it need not be allowed to run.
    probe(&root, "mkdir -p /run/nodewright && mount -t tmpfs -o mode=700,noexec,size=64k tmpfs /run/nodewright").await;
    let root = host.connect("root").await;
    assert_eq!(refused(&root, Run::default()).await, "7 done");
    // As soon as the job before has left.
    probe(&root, "while [ -n \"$(ls /run/nodewright)\" ]; do sleep 0.05; done; head -c 70000 /dev/zero >/run/nodewright/full 2>/dev/null")
        .await;
    let said = refused(&root, Run::default()).await;
    assert!(said.starts_with("cannot start a job on the host: in /run/nodewright: "), "{said}");
    assert!(said.ends_with("(the disk is full: make room there)"), "{said}");
    assert_eq!(probe(&root, "ls /run/nodewright").await.stdout, b"full\n");
    probe(&root, "umount /run/nodewright").await;
    assert_eq!(refused(&root, Run::default()).await, "7 done");

    // Somebody was there before: none of the places is ours, and none is used.
    let before = "uid=$(id -u deploy); chown root /home/deploy; mount -t tmpfs -o mode=1777 tmpfs /tmp; umask 0
        for place in /var/tmp /tmp; do mkdir $place/nodewright-$uid && chown admin $place/nodewright-$uid; done
        rmdir /tmp/nodewright-$uid; mkdir /var/tmp/theirs && chown deploy /var/tmp/theirs && ln -s /var/tmp/theirs /tmp/nodewright-$uid";
    probe(&root, before).await;
    let deploy = host.connect("deploy").await;
    let said = refused(&deploy, Run::default()).await;
    let places = "no private directory can be made for it in any of: /home/deploy/.cache/nodewright/jobs /var/tmp/nodewright-";
    assert!(said.contains(places), "{said}");
    assert_eq!(
        probe(&deploy, "ls -A /var/tmp/theirs /var/tmp/nodewright-$(id -u)")
            .await
            .stdout_text()
            .lines()
            .filter(|line| line.len() > 20 && !line.contains(':'))
            .count(),
        0
    );
    assert_eq!(probe(&deploy, "echo fine").await.stdout, b"fine\n");
}

#[tokio::test]
async fn what_a_day_old_job_left_is_swept() {
    let Some(host) = Host::start("").await else { return };
    let root = host.connect("root").await;
    apply(&root, "true").await;
    let left = "cd /run/nodewright && mkdir aa bb && touch cc.done dd.done && touch -d '2 days ago' aa cc.done && touch -d '2051-01-01' bb";
    probe(&root, left).await;
    root.unfinished_jobs(Run::default()).await.unwrap();
    let started = Instant::now();
    loop {
        let there = probe(&root, "ls /run/nodewright | grep -E '^(aa|bb|cc|dd)'").await.stdout_text().replace('\n', " ");
        if there == "bb dd.done " {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{there}");
    }
}

#[tokio::test]
async fn endless_output_is_refused_and_nothing_of_it_stays() {
    let Some(host) = Host::start("").await else { return };
    let root = host.connect("root").await;
    // As much as is needed, so that the test does not fill the machine.
    probe(&root, "mkdir -p /run/nodewright && mount -t tmpfs -o mode=700,size=160m tmpfs /run/nodewright").await;
    let error = root.apply(Script::new("yes 'a line that never ends in time'"), Run::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "it wrote more than 64 MiB of output; its processes were killed");
    let started = Instant::now();
    while !probe(&root, "ls /run/nodewright").await.stdout.is_empty() {
        assert!(started.elapsed() < Duration::from_secs(30), "the output is still there");
    }
    // Long lines and what is no text arrive as they are.
    let output = apply(&root, "head -c 3000000 /dev/zero | tr '\\0' '\\377'; printf '\\n\\200\\0x'").await;
    assert!(output.stdout.len() == 3_000_004 && output.stdout.ends_with(b"\n\x80\0x"));
}

#[tokio::test]
async fn a_reboot_in_the_middle_is_told_as_one() {
    let Some(host) = Host::start("").await else { return };
    let root = host.connect("root").await;
    probe(&root, "cat /proc/sys/kernel/random/boot_id >/run/boot_id && mount --bind /run/boot_id /proc/sys/kernel/random/boot_id").await;
    let proxy = Arc::new(Proxy::before(host.port).await);
    let through = Connection::connect(&target(Ssh { port: Some(proxy.port), ..host.ssh("root") })).await.unwrap();
    let (begun, watch) = tokio::sync::oneshot::channel();
    let begun = std::sync::Mutex::new(Some(begun));
    let on_line = move |_: &str| {
        if let Some(begun) = begun.lock().unwrap().take() {
            let _ = begun.send(());
        }
    };
    let run = Run { on_line: Some(Arc::new(on_line)), ..Run::default() };
    let script = Script::new("echo begun; while [ ! -e /run/go ]; do sleep 0.1; done; echo end");
    let applying = tokio::spawn(async move { through.apply(script, run).await });
    watch.await.unwrap();
    probe(&root, "echo 00000000-0000-0000-0000-000000000000 >/run/boot_id").await;
    proxy.cut();
    let error = applying.await.unwrap().unwrap_err();
    assert!(matches!(&error, RunError::Gone { .. }) && error.to_string().contains("rebooted"), "{error}");
    probe(&root, "touch /run/go").await;
}

#[tokio::test]
async fn ways_to_become_somebody_that_do_not_lead_there() {
    let Some(host) = Host::start("").await else { return };
    let admin = host.connect("admin").await;
    let nowhere = Become { method: BecomeMethod::Sudo, user: "root".into(), exe: Some("/nowhere/sudo".into()), ..Become::default() };
    let said = refused(&admin, Run { r#become: Some(nowhere), ..Run::default() }).await;
    assert!(said.starts_with("cannot become `root`: ") && said.contains("is not installed on the host"), "{said}");
    let root = host.connect("root").await;
    probe(&root, "echo 'Defaults requiretty' >>/etc/sudoers").await;
    let said = refused(&admin, sudo("root", Some("secret-of-admin"))).await;
    assert!(said == "7 done" || said.starts_with("cannot become `root`: ") && said.contains("tty"), "{said}");
}

/// What somebody says who takes the connection.
async fn peer(says: &'static [u8], again: bool) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                while stream.write_all(says).await.is_ok() && again {}
                if !says.is_empty() {
                    let _ = stream.shutdown().await;
                }
                std::future::pending::<()>().await;
            });
        }
    });
    port
}

#[tokio::test]
async fn peers_that_are_no_ssh_server() {
    let peers: [(&str, &[u8], bool); 6] = [
        ("silent", b"", false),
        ("garbage", b"\xff\xfe\0\0\x17\x03", true),
        ("another protocol", b"HTTP/1.1 400 Bad Request\r\n\r\n", false),
        ("endless banner lines", b"welcome to this host\r\n", true),
        ("a banner line without end", &[b'x'; 4096], true),
        ("garbage behind the greeting", b"SSH-2.0-OpenSSH_9.9\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", true),
    ];
    for (name, says, again) in peers {
        let ssh = Ssh {
            host: "127.0.0.1".into(),
            port: Some(peer(says, again).await),
            connect_timeout: Some(Duration::from_secs(1)),
            connect_retries: Some(0),
            config_file: Some("/dev/null".into()),
            ..Ssh::default()
        };
        let started = Instant::now();
        let error = Connection::connect(&target(ssh)).await.err().unwrap();
        assert!(matches!(error, ConnectError::Broken { .. } | ConnectError::Silent { .. }), "{name}: {error}");
        assert!(started.elapsed() < Duration::from_secs(10), "{name}");
    }
}
