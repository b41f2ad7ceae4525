//! What a lab needs from the machine: Linux, root, a few commands. Missing commands are installed where apt-get can;
//! everything else is said, with the way to get it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::error::LabError;

/// Command and the Debian package that has it.
const COMMANDS: &[(&str, &str)] = &[
    ("bash", "bash"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("systemd-nspawn", "systemd-container"),
    ("setsid", "util-linux"),
    ("flock", "util-linux"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("python3", "python3-minimal"),
    ("curl", "curl"),
    ("dpkg-deb", "dpkg"),
    ("debootstrap", "debootstrap"),
    ("apt-ftparchive", "apt-utils"),
    ("gpg", "gpg"),
    ("zstd", "zstd"),
];

const WATCHERS: &str = "/proc/sys/fs/inotify/max_user_instances";
const WATCHERS_PER_HOST: usize = 16;

/// Checks, and installs what can be installed. `tell` hears of installations.
pub fn satisfy(tell: &dyn Fn(&str)) -> Result<(), LabError> {
    platform()?;
    let missing = missing(COMMANDS);
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    let commands: Vec<&str> = missing.iter().map(|(command, _)| *command).collect();
    let cannot = |why: String| LabError::CannotRunHere {
        reason: format!("{} missing{why}", commands.join(", ")),
        hint: format!("on Debian and Ubuntu: apt-get install {}", packages.join(" ")),
    };
    if !is_in_path("apt-get") {
        return Err(cannot(", and there is no apt-get to install it with".to_owned()));
    }
    tell(&format!("installing {}", packages.join(" ")));
    if !apt_get(&[&["install", "-y", "-qq", "--no-install-recommends"], packages.as_slice()].concat()) {
        apt_get(&["update", "-qq"]);
        apt_get(&[&["install", "-y", "-qq", "--no-install-recommends"], packages.as_slice()].concat());
    }
    if missing.iter().any(|(command, _)| !is_in_path(command)) {
        return Err(cannot(", and apt-get could not install it".to_owned()));
    }
    Ok(())
}

/// Whether the repositories that a cluster is really made from can be reached.
pub fn real_repositories_answer() -> bool {
    let addresses = ["https://pkgs.k8s.io/core:/stable:/v1.37/deb/Release.key", "https://download.opensuse.org/", "https://github.com/"];
    addresses.iter().all(|address| {
        let args = ["-fsSL", "--max-time", "8", "-o", "/dev/null", address];
        Command::new("curl").args(args).stdin(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    })
}

/// Every host's systemd watches files, and the kernel counts watchers per user, which is root for all of them: 128 are enough for a
/// dozen hosts. Raises the limit where it is too low for `n_hosts`; like packet forwarding, it stays as it is afterwards.
pub fn allow_watches(n_hosts: usize) -> Result<(), LabError> {
    let said = fs::read_to_string(WATCHERS).map_err(LabError::path("read", WATCHERS))?;
    let wanted = 128 + WATCHERS_PER_HOST * n_hosts;
    if said.trim().parse::<usize>().is_ok_and(|limit| limit < wanted) {
        fs::write(WATCHERS, wanted.to_string()).map_err(LabError::path("write", WATCHERS))?;
    }
    Ok(())
}

fn platform() -> Result<(), LabError> {
    if !cfg!(target_os = "linux") {
        return Err(LabError::CannotRunHere {
            reason: format!("its hosts are systemd-nspawn containers, which need Linux; this is {}", std::env::consts::OS),
            hint: "use a Linux machine, or hosts of your own in an inventory".to_owned(),
        });
    }
    if !is_root() {
        return Err(LabError::CannotRunHere {
            reason: "it makes network namespaces, mounts and control groups, which needs root".to_owned(),
            hint: "run the same command with sudo".to_owned(),
        });
    }
    if !Path::new("/sys/fs/cgroup").is_dir() {
        return Err(LabError::CannotRunHere {
            reason: "/sys/fs/cgroup is not there".to_owned(),
            hint: "mount control groups (systemd does it at boot)".to_owned(),
        });
    }
    let is_overlay_known = std::fs::read_to_string("/proc/filesystems").is_ok_and(|text| text.contains("\toverlay"));
    if !is_overlay_known && !Command::new("modprobe").arg("overlay").stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return Err(LabError::CannotRunHere {
            reason: "the kernel has no overlay file system".to_owned(),
            hint: "load it with `modprobe overlay`, from the package of your kernel's modules".to_owned(),
        });
    }
    Ok(())
}

/// Whether the effective user is root: the second of the four numbers in `Uid:`.
fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| status.lines().any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0")))
}

fn missing<'a>(commands: &'a [(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    commands.iter().filter(|(command, _)| !is_in_path(command)).copied().collect()
}

fn is_in_path(command: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(command).is_file())
}

fn apt_get(args: &[&str]) -> bool {
    Command::new("apt-get")
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
