//! A machine of one's own, as far as ssh can see: users, sudo, `/run` and homes in a mount namespace (see `tests/remote/users.sh`).

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
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

pub fn open_to_all(paths: &[&Path]) {
    for path in paths {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
}

impl Host {
    /// None, with a word about it, where there is none.
    pub async fn start() -> Option<Host> {
        for needed in ["/usr/sbin/sshd", "/usr/bin/sudo", "/usr/bin/unshare", "/usr/bin/nsenter", "/usr/sbin/useradd"] {
            if !Path::new(needed).exists() {
                crate::support::skip("cuts", &format!("{needed} is not there"));
                return None;
            }
        }
        let directory = tempfile::tempdir().unwrap();
        open_to_all(&[directory.path()]);
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir(at("over")).unwrap();
        let keygen = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(at("id")).status().unwrap();
        assert!(keygen.success());
        let key = std::fs::read_to_string(at("id.pub")).unwrap();
        let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let mut unshare = Command::new("unshare");
        unshare.arg("-m").arg("sh").arg(crate::support::project().join("tests/remote/users.sh")).arg(at("over")).arg(port.to_string());
        let mut child = unshare.arg(key.trim()).arg("").stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if child.try_wait().unwrap().is_some() {
                crate::support::skip("cuts", "users of our own need root and mount namespaces");
                return None;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "the host does not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Some(Host { port, directory, child })
    }

    /// A folder that is the same inside and outside.
    pub fn place(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    /// How to get in, for an inventory. A silence is noticed soon.
    pub fn vars(&self) -> String {
        let key = std::fs::read_to_string(self.directory.path().join("host.pub")).unwrap();
        format!(
            "  vars:\n    ansible_host: 127.0.0.1\n    ansible_user: nopass\n    ansible_ssh_private_key_file: {}\n    \
             ansible_ssh_host_key: '{}'\n    ansible_ssh_common_args: -F /dev/null -o ServerAliveInterval=1 -o ServerAliveCountMax=2\n",
            self.directory.path().join("id").display(),
            key.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
        )
    }

    async fn inside(&self, script: &str) -> String {
        let mut command = tokio::process::Command::new("nsenter");
        command.args(["-m", "-t", &self.child.id().to_string(), "sh", "-c", script]);
        crate::support::text(&command.output().await.unwrap().stdout)
    }

    pub async fn forget_jobs(&self) {
        self.inside("rm -rf /run/nodewright /home/*/.cache /var/tmp/nodewright-in-*").await;
    }

    /// What jobs left behind, as soon as nothing is left, or after a while.
    pub async fn jobs_left(&self) -> Vec<String> {
        let started = Instant::now();
        loop {
            let left = self.inside("ls -d /run/nodewright/* /home/*/.cache/nodewright/jobs/* /var/tmp/nodewright-* 2>/dev/null").await;
            // A note that a job is done stays for a day.
            let left: Vec<String> = left.lines().filter(|path| !path.ends_with(".done")).map(str::to_owned).collect();
            if left.is_empty() || started.elapsed() > Duration::from_secs(3) {
                return left;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
