//! A real sshd of this user on a free port of 127.0.0.1, and a proxy in front of one.

use nodewright::remote::{Connection, Run, Ssh, Target, Transport};
use nodewright::sh::{Output, Script};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SSHD: &str = "/usr/sbin/sshd";

pub struct Sshd {
    pub port: u16,
    pub directory: TempDir,
    child: Child,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn keygen(file: &Path, kind: &str, passphrase: &str) {
    let made = Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", passphrase, "-f"]).arg(file).status().unwrap();
    assert!(made.success());
}

pub fn public(file: &Path) -> String {
    std::fs::read_to_string(format!("{}.pub", file.display())).unwrap().trim().to_owned()
}

impl Sshd {
    /// None, with a word about it, where there is no sshd.
    pub async fn start(settings: &str) -> Option<Sshd> {
        if !Path::new(SSHD).exists() {
            eprintln!("skipped: {SSHD} is not there");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        keygen(&at("host_ed25519"), "ed25519", "");
        keygen(&at("id"), "ed25519", "");
        std::fs::copy(at("id.pub"), at("authorized_keys")).unwrap();
        let _ = std::fs::create_dir("/run/sshd");
        let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let config = format!(
            "{settings}\nListenAddress 127.0.0.1:{port}\nHostKey {0}/host_ed25519\nAuthorizedKeysFile {0}/authorized_keys\nStrictModes no\nUsePAM no\n\
             PidFile none\nPermitRootLogin yes\nPasswordAuthentication no\nMaxStartups 100\nLogLevel ERROR\n",
            directory.path().display()
        );
        std::fs::write(at("sshd_config"), config).unwrap();
        std::fs::write(
            at("ssh_config"),
            format!(
                "Host *\n  UserKnownHostsFile {0}/known_hosts\n  GlobalKnownHostsFile none\n  IdentityFile {0}/none\n",
                directory.path().display()
            ),
        )
        .unwrap();
        let child = spawn(&at("sshd_config"), port).await;
        Some(Sshd { port, directory, child })
    }

    pub fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Again on the same port, with one more setting.
    pub async fn restart(&mut self, setting: &str) {
        self.stop();
        let config = self.at("sshd_config");
        std::fs::write(&config, std::fs::read_to_string(&config).unwrap() + setting + "\n").unwrap();
        self.child = spawn(&config, self.port).await;
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn host_key(&self) -> String {
        public(&self.at("host_ed25519"))
    }

    /// What gets in.
    pub fn ssh(&self) -> Ssh {
        Ssh {
            host: "127.0.0.1".into(),
            port: Some(self.port),
            private_keys: vec![self.at("id")],
            pinned_host_key: Some(self.host_key()),
            config_file: Some(self.at("ssh_config")),
            ..Ssh::default()
        }
    }

    pub async fn connect(&self) -> Connection {
        Connection::connect(&target(self.ssh())).await.unwrap()
    }
}

async fn spawn(config: &Path, port: u16) -> Child {
    let child = Command::new(SSHD).args(["-D", "-e", "-f"]).arg(config).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(10), "sshd does not start");
        tokio::task::yield_now().await;
    }
    child
}

pub fn target(ssh: Ssh) -> Target {
    Target { name: "web1".into(), transport: Transport::Ssh(Box::new(ssh)) }
}

pub async fn probe(connection: &Connection, text: &str) -> Output {
    connection.probe(Script::new(text), Run::default()).await.unwrap()
}

pub async fn apply(connection: &Connection, text: &str) -> Output {
    connection.apply(Script::new(text), Run::default()).await.unwrap()
}

/// Forwards connections, and cuts each after so many bytes from the host.
pub struct Proxy {
    pub port: u16,
    cut_after: Arc<AtomicUsize>,
    pub connections: Arc<AtomicUsize>,
    cut: tokio::sync::watch::Sender<()>,
    is_stalled: Arc<AtomicBool>,
    /// Connections that there are hold back what goes to the host, also when the other side is gone.
    is_held: tokio::sync::watch::Sender<bool>,
}

impl Proxy {
    pub async fn before(port: u16) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let own_port = listener.local_addr().unwrap().port();
        let cut_after = Arc::new(AtomicUsize::new(usize::MAX));
        let connections = Arc::new(AtomicUsize::new(0));
        let (cut, watch) = tokio::sync::watch::channel(());
        let is_stalled = Arc::new(AtomicBool::new(false));
        let (is_held, held) = tokio::sync::watch::channel(false);
        let stalls = is_stalled.clone();
        let (limit, count) = (cut_after.clone(), connections.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                if stalls.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
                let stalls = stalls.clone();
                let (limit, mut watch) = (limit.swap(usize::MAX, Ordering::SeqCst), watch.clone());
                watch.mark_unchanged();
                let held = if *held.borrow() { tokio::sync::watch::channel(false).1 } else { held.clone() };
                tokio::spawn(async move {
                    tokio::select! {
                        () = forward(near, far, limit, stalls, held) => (),
                        _ = watch.changed() => (),
                    }
                });
            }
        });
        Proxy { port: own_port, cut_after, connections, cut, is_stalled, is_held }
    }

    pub fn cut_next_connection_after(&self, bytes: usize) {
        self.cut_after.store(bytes, Ordering::SeqCst);
    }

    /// Nothing passes any more, and nothing ends either; new connections do, at once.
    pub fn stall(&self) {
        self.is_stalled.store(true, Ordering::SeqCst);
    }

    /// From now on nothing goes to the host and nothing comes from it, over the connections that there are; the other side sees no end of it.
    /// What it says is kept until it is let go.
    pub fn hold(&self) {
        self.is_held.send_replace(true);
    }

    /// What was held reaches the host.
    pub fn let_go(&self) {
        self.is_held.send_replace(false);
    }

    pub fn cut(&self) {
        self.cut.send(()).unwrap();
    }
}

async fn forward(near: TcpStream, far: TcpStream, limit: usize, stalls: Arc<AtomicBool>, mut held: tokio::sync::watch::Receiver<bool>) {
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    let (mut near_read, mut near_write) = near.into_split();
    let (mut far_read, mut far_write) = far.into_split();
    let mut is_up = held.clone();
    let up = async {
        let mut buffer = [0; 4096];
        loop {
            let read = near_read.read(&mut buffer).await;
            let _ = is_up.wait_for(|held| !held).await;
            match read {
                Ok(n) if n > 0 && far_write.write_all(&buffer[..n]).await.is_ok() => (),
                _ => return,
            }
        }
    };
    let down = async {
        let mut left = limit;
        let mut buffer = [0; 4096];
        while let Ok(n) = far_read.read(&mut buffer).await {
            if stalls.load(Ordering::SeqCst) {
                return std::future::pending().await;
            }
            let _ = held.wait_for(|held| !held).await;
            let n = n.min(left);
            left -= n;
            if n == 0 || near_write.write_all(&buffer[..n]).await.is_err() {
                return;
            }
        }
    };
    // The end of either direction is the end of both.
    tokio::select! { () = up => (), () = down => () }
}
