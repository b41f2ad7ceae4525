//! One lab host: its disk (an overlay on the shared base, and plain directories for what cannot live on one), its boot, its end.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cgroups;
use super::error::LabError;
use super::network::Network;
use super::run::{Detached, run, signal, succeeds, wait_until};

/// How long a boot may take until sshd answers, and a shutdown until the host is forced off.
const BOOT_LIMIT: Duration = Duration::from_secs(60);
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(40);

/// Directories of the machine's own disk that a host sees under /var/lib: overlay on overlay is refused, and etcd wants fsync.
const PLAIN: [&str; 4] = ["containerd", "containers", "kubelet", "etcd"];

/// One host of a lab. `directory` is all that is kept of it.
#[derive(Debug, Clone)]
pub struct Host {
    pub lab: String,
    pub name: String,
    pub index: u8,
    pub directory: PathBuf,
}

/// What a host boots with.
pub struct BootWith<'a> {
    pub network: &'a Network,
    pub supervise: &'a Path,
    pub images: &'a Path,
}

impl Host {
    /// A name for what is the machine's: network namespace, control groups.
    pub fn machine_name(&self) -> String {
        format!("nw-{}-{}", self.lab, self.name)
    }

    /// Whether its supervisor runs.
    pub fn is_running(&self) -> bool {
        self.supervisor().pid().is_some()
    }

    /// Whether its disk was made, to the end.
    pub fn is_created(&self) -> bool {
        self.directory.join("index").exists()
    }

    /// Makes the disk of a new host, with a key of its own and the lab's in `admin`'s home.
    pub fn create(&self, base: &Path, public_key: &Path) -> Result<(), LabError> {
        for name in PLAIN.iter().chain(&["root", "work", "up"]) {
            let path = self.directory.join(name);
            fs::create_dir_all(&path).map_err(LabError::path("create", path))?;
        }
        self.write("base", &base.display().to_string())?;
        let key = self.directory.join("ssh_host_ed25519_key");
        let comment = format!("{}@{}", self.name, self.lab);
        run(
            "make a host key",
            "ssh-keygen",
            ["-q", "-t", "ed25519", "-N", "", "-C", &comment, "-f"].map(OsStr::new).into_iter().chain([key.as_os_str()]),
        )?;
        self.mount()?;
        let root = self.directory.join("root");
        install(&root.join("etc/hostname"), &format!("{}\n", self.name), 0o644)?;
        install(&root.join("etc/hosts"), &format!("127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {}\n", self.name), 0o644)?;
        install(&root.join("etc/machine-id"), &format!("{:032x}\n", rand::random::<u128>()), 0o444)?;
        install(&root.join("opt/nodewright-lab/product_uuid"), &format!("{}\n", uuid(rand::random())), 0o400)?;
        for (name, mode) in [("ssh_host_ed25519_key", 0o600), ("ssh_host_ed25519_key.pub", 0o644)] {
            let path = self.directory.join(name);
            let text = fs::read_to_string(&path).map_err(LabError::path("read", path))?;
            install(&root.join("etc/ssh").join(name), &text, mode)?;
        }
        let authorized = fs::read_to_string(public_key).map_err(LabError::path("read", public_key))?;
        install(&root.join("home/admin/.ssh/authorized_keys"), &authorized, 0o600)?;
        run(
            "give `admin` its home",
            "chroot",
            [root.as_os_str(), OsStr::new("chown"), OsStr::new("-R"), OsStr::new("admin:admin"), OsStr::new("/home/admin/.ssh")],
        )?;
        // Last: a host without it was not finished, and is made again
        self.write("index", &self.index.to_string())
    }

    /// Boots it and waits for its sshd.
    pub fn boot(&self, with: &BootWith) -> Result<(), LabError> {
        // What a machine that went down without notice, or a supervisor that was killed, left behind
        cgroups::kill(&self.machine_name());
        self.mount()?;
        let root = self.directory.join("root");
        install(&root.join("etc/resolv.conf"), &resolvers()?, 0o644)?;
        self.declare_built_in_modules(&root)?;
        let machine = self.machine_name();
        let network = with.network.of_host(self.index);
        let mut command = vec![
            OsStr::new("sh"),
            with.supervise.as_os_str(),
            self.directory.as_os_str(),
            OsStr::new(&machine),
            OsStr::new(&self.name),
            with.images.as_os_str(),
        ];
        command.extend(network.iter().map(OsStr::new));
        self.supervisor().start(&command, &self.console())?;
        self.wait_for_sshd(with.network.address(self.index))
    }

    /// Powers it off in order, or by force after a while, and takes back what the machine lent it. The disk stays.
    pub fn power_off(&self, network: Option<&Network>) -> Result<(), LabError> {
        self.supervisor().terminate(SHUTDOWN_LIMIT)?;
        self.pull_the_plug(network)
    }

    /// Ends it at once and takes back what the machine lent it. The disk stays.
    pub fn pull_the_plug(&self, network: Option<&Network>) -> Result<(), LabError> {
        let machine = self.machine_name();
        if let Some(pid) = self.supervisor().pid() {
            signal("KILL", pid)?;
            if !wait_until(Duration::from_secs(5), || self.supervisor().pid().is_none()) {
                return Err(LabError::StillRunning { host: self.name.clone(), pid });
            }
        }
        wait_until(Duration::from_secs(10), || {
            cgroups::kill(&machine);
            cgroups::remove(&machine)
        });
        self.switch_swap_off()?;
        self.unmount()?;
        if let Some(network) = network {
            network.detach(&machine, self.index)?;
        }
        let pid_file = self.directory.join("pid");
        if pid_file.exists() {
            fs::remove_file(&pid_file).map_err(LabError::path("remove", pid_file))?;
        }
        Ok(())
    }

    /// Removes its disk. It is off.
    pub fn remove(&self) -> Result<(), LabError> {
        match fs::remove_dir_all(&self.directory) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => Err(LabError::path("remove", &self.directory)(err)),
            _ => Ok(()),
        }
    }

    /// Its public host key, as known_hosts and inventories want it: type and key, no comment.
    pub fn host_key(&self) -> Result<String, LabError> {
        let path = self.directory.join("ssh_host_ed25519_key.pub");
        let text = fs::read_to_string(&path).map_err(LabError::path("read", path))?;
        Ok(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
    }

    fn supervisor(&self) -> SupervisorOf<'_> {
        SupervisorOf { host: self, pid_file: self.directory.join("pid") }
    }

    fn console(&self) -> PathBuf {
        self.directory.join("console.log")
    }

    fn write(&self, name: &str, text: &str) -> Result<(), LabError> {
        let path = self.directory.join(name);
        fs::write(&path, format!("{text}\n")).map_err(LabError::path("write", path))
    }

    fn mount(&self) -> Result<(), LabError> {
        let root = self.directory.join("root");
        if is_mounted(&root)? {
            return Ok(());
        }
        let path = self.directory.join("base");
        let base = fs::read_to_string(&path).map_err(LabError::path("read", path))?;
        let layers = format!(
            "lowerdir={},upperdir={},workdir={}",
            base.trim(),
            self.directory.join("up").display(),
            self.directory.join("work").display()
        );
        let words = ["-t", "overlay", "overlay", "-o", &layers].map(OsStr::new);
        run("mount a host's disk", "mount", words.into_iter().chain([root.as_os_str()])).map(drop)
    }

    fn unmount(&self) -> Result<(), LabError> {
        let root = self.directory.join("root");
        if !is_mounted(&root)? {
            return Ok(());
        }
        // The kernel may still be taking the host's last processes apart
        let umount = || run("unmount a host's disk", "umount", [OsStr::new("-R"), root.as_os_str()]).map(drop);
        if wait_until(Duration::from_secs(5), || umount().is_ok()) { Ok(()) } else { umount() }
    }

    /// Swap belongs to the machine, not to the host that switched it on, and its file cannot be removed while it is on.
    fn switch_swap_off(&self) -> Result<(), LabError> {
        let Ok(swaps) = fs::read_to_string("/proc/swaps") else { return Ok(()) };
        let listed: Vec<&Path> = swaps.lines().skip(1).filter_map(|line| line.split_whitespace().next().map(Path::new)).collect();
        let folders = PLAIN.map(|plain| self.directory.join(plain));
        for file in folders.iter().flat_map(|folder| listed.iter().flat_map(|path| candidates(folder, path))) {
            // Another host's swap file may have the same name: ours is then a plain file that swapoff does not know
            if file.is_file() {
                succeeds("swapoff", &[&file.display().to_string()])?;
            }
        }
        Ok(())
    }

    /// A kernel with everything built in has no /lib/modules, and modprobe fails though the feature is there: says what is
    /// built in, so that modprobe answers as it does on a stock kernel.
    fn declare_built_in_modules(&self, root: &Path) -> Result<(), LabError> {
        let path = "/proc/sys/kernel/osrelease";
        let release = fs::read_to_string(path).map_err(LabError::path("read", path))?;
        let release = release.trim();
        let folder = root.join("usr/lib/modules").join(release);
        if Path::new("/lib/modules").join(release).is_dir() || folder.join("modules.builtin.bin").exists() {
            return Ok(());
        }
        let modules = ["fs/overlayfs/overlay", "net/bridge/br_netfilter", "net/bridge/bridge", "net/netfilter/nf_conntrack"];
        let list: String = modules.iter().map(|module| format!("kernel/{module}.ko\n")).collect();
        install(&folder.join("modules.order"), "", 0o644)?;
        install(&folder.join("modules.builtin"), &list, 0o644)?;
        run("index the built-in modules", "chroot", [root.as_os_str(), OsStr::new("depmod"), OsStr::new(release)]).map(drop)
    }

    fn wait_for_sshd(&self, address: Ipv4Addr) -> Result<(), LabError> {
        let mut answer = Err(io::Error::other("no connection"));
        let ended = wait_until(BOOT_LIMIT, || {
            answer = banner(address);
            answer.is_ok() || !self.is_running()
        });
        let Err(last) = answer else { return Ok(()) };
        if ended {
            let console = self.console();
            let said = fs::read(&console).map_err(LabError::path("read", &console))?;
            return Err(LabError::Ended { host: self.name.clone(), said: last_lines(&String::from_utf8_lossy(&said), 5) });
        }
        let seconds = BOOT_LIMIT.as_secs();
        let last = last.to_string();
        Err(LabError::NoAnswer { host: self.name.clone(), address: address.to_string(), seconds, last, console: self.console() })
    }
}

/// Where in `folder` a file may lie that the kernel lists as `path`, which is as seen from wherever it was switched on.
fn candidates(folder: &Path, path: &Path) -> Vec<PathBuf> {
    let names: Vec<_> = path.components().skip(1).collect();
    (0..names.len()).map(|n| folder.join(names[n..].iter().collect::<PathBuf>())).collect()
}

fn last_lines(text: &str, n_lines: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(n_lines)..].join("\n")
}

/// A host's supervisor; owns the path that `Detached` borrows.
struct SupervisorOf<'a> {
    host: &'a Host,
    pid_file: PathBuf,
}

impl SupervisorOf<'_> {
    fn detached(&self) -> Detached<'_> {
        Detached { pid_file: &self.pid_file, mark: self.host.directory.as_os_str() }
    }

    fn pid(&self) -> Option<u32> {
        self.detached().pid()
    }

    fn start(&self, command: &[&OsStr], log: &Path) -> Result<(), LabError> {
        self.detached().start(command, log)
    }

    fn terminate(&self, limit: Duration) -> Result<bool, LabError> {
        self.detached().terminate(limit)
    }
}

/// Reads the first bytes that an SSH server says.
fn banner(address: Ipv4Addr) -> io::Result<()> {
    let limit = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((address, 22)), limit)?;
    stream.set_read_timeout(Some(limit))?;
    let mut said = [0; 4];
    stream.read_exact(&mut said)?;
    if &said == b"SSH-" { Ok(()) } else { Err(io::Error::other("something that is not sshd answered")) }
}

/// Writes a file anew, never through a link that is there.
fn install(path: &Path, text: &str, mode: u32) -> Result<(), LabError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(LabError::path("create", parent))?;
    }
    match fs::remove_file(path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(LabError::path("replace", path)(err)),
        _ => {}
    }
    fs::write(path, text).map_err(LabError::path("write", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(LabError::path("set the mode of", path))
}

/// The machine's name servers, as they are reached from another network namespace.
fn resolvers() -> Result<String, LabError> {
    let path = Path::new("/etc/resolv.conf");
    let text = fs::read_to_string(path).map_err(LabError::path("read", path))?;
    let is_local =
        text.lines().any(|line| line.trim_start().strip_prefix("nameserver").is_some_and(|rest| rest.trim().starts_with("127.")));
    match fs::read_to_string("/run/systemd/resolve/resolv.conf") {
        Ok(upstream) if is_local => Ok(upstream),
        _ => Ok(text),
    }
}

fn is_mounted(path: &Path) -> Result<bool, LabError> {
    succeeds("mountpoint", &["-q", &path.display().to_string()])
}

/// A random UUID in its usual form.
fn uuid(bits: u128) -> String {
    let hex = format!("{:032x}", bits & !(0xf << 76) & !(0x3 << 62) | (4 << 76) | (2 << 62));
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_file_is_looked_for_under_every_name_it_may_have() {
        let found = candidates(Path::new("/lab/containers"), Path::new("/var/swap"));
        assert_eq!(found, [Path::new("/lab/containers/var/swap"), Path::new("/lab/containers/swap")]);
    }

    #[test]
    fn uuids_are_of_version_four() {
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef), "01234567-89ab-4def-8123-456789abcdef");
    }
}
