//! Passwords, sudo and su: an sshd with users of its own (see `users.sh`).

use crate::sshd::{keygen, public, target};
use nodewright::remote::{Become, BecomeMethod, ConnectError, Connection, Run, RunError, Ssh};
use nodewright::sh::{Output, Script};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::TcpStream;

pub struct Host {
    pub port: u16,
    directory: TempDir,
    child: Child,
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Host {
    pub async fn start(setting: &str) -> Option<Host> {
        for needed in ["/usr/sbin/sshd", "/usr/bin/sudo", "/usr/bin/unshare", "/usr/sbin/useradd"] {
            if !Path::new(needed).exists() {
                eprintln!("skipped: {needed} is not there");
                return None;
            }
        }
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("over")).unwrap();
        keygen(&directory.path().join("id"), "ed25519", "");
        let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let mut unshare = Command::new("unshare");
        unshare.args(["-m", "sh", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/remote/users.sh")]).arg(directory.path().join("over"));
        unshare.arg(port.to_string()).arg(public(&directory.path().join("id"))).arg(setting).stdin(Stdio::null()).stderr(Stdio::null());
        let mut child = unshare.spawn().unwrap();
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if child.try_wait().unwrap().is_some() {
                eprintln!("skipped: users of our own need root and mount namespaces");
                return None;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "the host does not start");
            tokio::task::yield_now().await;
        }
        Some(Host { port, directory, child })
    }

    pub fn ssh(&self, user: &str) -> Ssh {
        Ssh {
            host: "127.0.0.1".into(),
            port: Some(self.port),
            user: Some(user.into()),
            private_keys: vec![self.directory.path().join("id")],
            pinned_host_key: Some(std::fs::read_to_string(self.directory.path().join("host.pub")).unwrap()),
            config_file: Some("/dev/null".into()),
            ..Ssh::default()
        }
    }

    pub async fn connect(&self, user: &str) -> Connection {
        Connection::connect(&target(self.ssh(user))).await.unwrap()
    }
}

pub fn sudo(user: &str, password: Option<&str>) -> Run {
    let password = password.map(Into::into);
    Run { r#become: Some(Become { method: BecomeMethod::Sudo, user: user.into(), password, ..Become::default() }), ..Run::default() }
}

fn su(user: &str, password: Option<&str>) -> Run {
    let password = password.map(Into::into);
    Run { r#become: Some(Become { method: BecomeMethod::Su, user: user.into(), password, ..Become::default() }), ..Run::default() }
}

/// Who we are, with which home, as a probe, as a job, and as one that gets a large file.
async fn who(connection: &Connection, run: Run) -> Result<String, RunError> {
    let text = "echo $(id -un) $HOME";
    let said = |output: Output| output.stdout_text().trim().to_owned();
    let probed = said(connection.probe(Script::new(text), run.clone()).await?);
    assert_eq!(said(connection.apply(Script::new(text), run.clone()).await?), probed);
    let large = vec![b'x'; 300_000];
    assert_eq!(
        said(connection.apply(Script::new("id -un; wc -c").with_input(large), run).await?),
        format!("{}\n300000", probed.split(' ').next().unwrap())
    );
    Ok(probed)
}

#[tokio::test]
async fn sudo_and_su_with_and_without_a_password() {
    let Some(host) = Host::start("").await else { return };
    let nopass = host.connect("nopass").await;
    assert_eq!(who(&nopass, Run::default()).await.unwrap(), "nopass /home/nopass");
    assert_eq!(who(&nopass, sudo("root", None)).await.unwrap(), "root /root");
    assert_eq!(who(&nopass, sudo("deploy", None)).await.unwrap(), "deploy /home/deploy");
    assert_eq!(who(&nopass, sudo("deploy", Some("not needed"))).await.unwrap(), "deploy /home/deploy");
    assert_eq!(who(&nopass, sudo("nopass", Some("nobody asks"))).await.unwrap(), "nopass /home/nopass");

    let admin = host.connect("admin").await;
    assert_eq!(who(&admin, sudo("root", Some("secret-of-admin"))).await.unwrap(), "root /root");
    assert_eq!(who(&admin, su("root", Some("secret-of-root"))).await.unwrap(), "root /root");
    assert_eq!(who(&admin, su("deploy", Some("secret-of-deploy"))).await.unwrap(), "deploy /home/deploy");
    let root = host.connect("root").await;
    assert_eq!(who(&root, su("deploy", None)).await.unwrap(), "deploy /home/deploy");
    // All of them over one connection, each with a shell of its own.
    let (one, two, three) = tokio::join!(
        admin.probe(Script::new("id -un"), sudo("root", Some("secret-of-admin"))),
        admin.probe(Script::new("id -un"), Run::default()),
        admin.probe(Script::new("id -un"), su("deploy", Some("secret-of-deploy"))),
    );
    assert_eq!([one, two, three].map(|output| output.unwrap().stdout_text().into_owned()), ["root\n", "admin\n", "deploy\n"]);
}

#[tokio::test]
async fn whoever_is_not_let_in_is_told_why() {
    let Some(host) = Host::start("").await else { return };
    let admin = host.connect("admin").await;
    let why = async |connection: &Connection, run: Run| connection.probe(Script::new("true"), run).await.unwrap_err().to_string();
    assert_eq!(why(&admin, sudo("root", Some("wrong"))).await, "cannot become `root`: sudo does not accept the password");
    let started = Instant::now();
    assert_eq!(why(&admin, sudo("root", Some("wrong"))).await, "cannot become `root`: sudo does not accept the password");
    assert!(started.elapsed() < Duration::from_millis(500), "a wrong password is not tried twice");
    assert!(why(&admin, sudo("root", None)).await.contains("sudo asks for a password and none was given"));
    assert_eq!(why(&admin, su("root", Some("wrong"))).await, "cannot become `root`: su does not accept the password");
    assert!(why(&admin, su("root", None)).await.contains("su asks for a password and none was given"));
    let deploy = host.connect("deploy").await;
    let said = why(&deploy, sudo("root", Some("secret-of-deploy"))).await;
    assert!(said.contains("not in the sudoers file"), "{said}");
    let said = why(&deploy, sudo("nobody-here", Some("secret-of-deploy"))).await;
    assert!(said.contains("unknown user"), "{said}");
    assert_eq!(deploy.probe(Script::new("echo fine"), Run::default()).await.unwrap().stdout, b"fine\n");
}

#[tokio::test]
async fn a_timeout_reaches_what_runs_as_another_user() {
    let Some(host) = Host::start("").await else { return };
    let admin = host.connect("admin").await;
    for is_job in [false, true] {
        let run = Run { timeout: Some(Duration::from_secs(1)), ..sudo("root", Some("secret-of-admin")) };
        let script = Script::new("sh -c 'echo $$; exec sleep 985'; true");
        let result = if is_job { admin.apply(script, run).await } else { admin.probe(script, run).await };
        let Err(RunError::Timeout { stdout, .. }) = result else { panic!("{result:?}") };
        let pid = String::from_utf8(stdout).unwrap().trim().to_owned();
        let started = Instant::now();
        while admin.probe(Script::new(format!("kill -0 {pid}")), sudo("root", Some("secret-of-admin"))).await.unwrap().success() {
            assert!(started.elapsed() < Duration::from_secs(10), "it still runs");
        }
    }
}

#[tokio::test]
async fn no_password_can_be_seen_on_the_host() {
    let Some(host) = Host::start("").await else { return };
    let admin = host.connect("admin").await;
    let look = "for p in /proc/[0-9]*; do { tr '\\0' ' ' <$p/cmdline; tr '\\0' ' ' <$p/environ; echo; } 2>/dev/null; done | grep -c 'secret-of-[ar]'; echo; grep -rl 'secret-of-[ar]' /run /tmp/nodewright* /var/tmp/nodewright* 2>/dev/null | wc -l";
    let output = admin.apply(Script::new(look), sudo("root", Some("secret-of-admin"))).await.unwrap();
    // The script is there itself, as a file of its job; nothing else is.
    let text = output.stdout_text().into_owned();
    assert_eq!(text.split_whitespace().next(), Some("0"), "{text}");
}

#[tokio::test]
async fn logging_in_with_a_password() {
    for setting in
        ["KbdInteractiveAuthentication yes\nPasswordAuthentication no", "KbdInteractiveAuthentication no\nPasswordAuthentication yes"]
    {
        let Some(host) = Host::start(setting).await else { return };
        let ssh = |password: &str| Ssh { private_keys: Vec::new(), password: Some(password.into()), ..host.ssh("deploy") };
        let connection = Connection::connect(&target(ssh("secret-of-deploy"))).await.unwrap();
        assert_eq!(who(&connection, Run::default()).await.unwrap(), "deploy /home/deploy");
        let error = Connection::connect(&target(ssh("wrong"))).await.err().unwrap();
        assert!(matches!(&error, ConnectError::Auth { tried, .. } if tried.iter().any(|tried| tried.contains("the password"))), "{error}");
        assert!(!format!("{:?} {error:?}", ssh("wrong")).contains("wrong"));
    }
    // Two factors: a key and then the password.
    let Some(host) = Host::start("AuthenticationMethods publickey,keyboard-interactive\nKbdInteractiveAuthentication yes").await else {
        return;
    };
    let ssh = Ssh { password: Some("secret-of-deploy".into()), ..host.ssh("deploy") };
    Connection::connect(&target(ssh)).await.unwrap().close().await;
}
