//! Throwaway hosts on this machine, to run playbooks on: systemd-nspawn containers that boot systemd and sshd, each with a disk, an
//! address and control groups of its own; and the mirror they install from. Used by `nodewright lab` and by tests.
//!
//! A lab lives in `HOME/labs/NAME`, where HOME is `NODEWRIGHT_LAB_HOME` or `/var/lib/nodewright/lab`. Base system and mirror are
//! shared by all labs of a home. What the machine lends a lab (bridge, namespaces, control groups, mounts, rules) carries the
//! lab's name and is given back by `down` and `destroy`.

mod cgroups;
mod error;
mod host;
mod inventory;
mod network;
mod requirements;
mod run;
mod scripts;
mod server;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use error::LabError;
pub use requirements::real_repositories_answer;

use host::{BootWith, Host};
use inventory::{Entry, Packages};
use network::Network;
use scripts::Scripts;
use server::Server;

/// Addresses end at .254.
const MOST_HOSTS: usize = 244;

/// How many hosts are made or booted at a time: with more, none would be up before the time that a boot may take.
const AT_ONCE: usize = 12;

/// One lab, whether it is up or not.
pub struct Lab {
    name: String,
    home: PathBuf,
    directory: PathBuf,
}

/// What `Lab::up` is asked for.
#[derive(Debug, Clone, Default)]
pub struct Up {
    /// How many hosts; as many as there are, or two, if not said.
    pub nodes: Option<usize>,
    /// Start over with new disks.
    pub fresh: bool,
    /// Install from the real repositories instead of the lab's mirror.
    pub real_packages: bool,
}

/// A host as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostStatus {
    pub name: String,
    pub address: Ipv4Addr,
    pub is_running: bool,
}

impl Lab {
    /// The lab of this name in the user's lab home.
    pub fn named(name: &str) -> Result<Lab, LabError> {
        let home = std::env::var_os("NODEWRIGHT_LAB_HOME").map_or_else(|| PathBuf::from("/var/lib/nodewright/lab"), PathBuf::from);
        Lab::in_home(&home, name)
    }

    /// The lab of this name in another home.
    pub fn in_home(home: &Path, name: &str) -> Result<Lab, LabError> {
        let is_letter = |byte: u8| byte.is_ascii_lowercase();
        let is_valid = name.len() <= 9
            && name.bytes().next().is_some_and(is_letter)
            && name.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit() || byte == b'-');
        if !is_valid {
            return Err(LabError::Name { name: name.to_owned() });
        }
        let home = std::path::absolute(home).map_err(LabError::path("find", home))?;
        let directory = home.join("labs").join(name);
        Ok(Lab { name: name.to_owned(), home, directory })
    }

    /// Builds what all hosts share, the base system and (unless packages are `real`) the mirror, and returns the base.
    /// Returns at once if they are there. `tell` hears of what takes time.
    pub fn build(&self, real_packages: bool, tell: &dyn Fn(&str)) -> Result<PathBuf, LabError> {
        requirements::satisfy(tell)?;
        fs::create_dir_all(&self.home).map_err(LabError::path("create", &self.home))?;
        let scripts = Scripts::unpack(&self.home)?;
        let base = scripts::run("build the base system", &scripts.path("base/build")?, &[self.home.as_os_str()], &[])?;
        if !real_packages {
            let kubernetes = scripts::cached_kubernetes();
            let environment: Vec<_> = kubernetes.iter().map(|path| ("NODEWRIGHT_KUBERNETES", path.as_path())).collect();
            scripts::run("build the mirror", &scripts.path("mirror/build")?, &[self.mirror().as_os_str()], &environment)?;
        }
        Ok(PathBuf::from(base))
    }

    /// Boots the lab: builds what is missing, makes hosts that are missing, boots those that are off, side by side, and writes
    /// key, inventory and known_hosts. Does nothing to hosts that run.
    pub fn up(&self, up: &Up, tell: &dyn Fn(&str)) -> Result<Vec<HostStatus>, LabError> {
        let base = self.build(up.real_packages, tell)?;
        fs::create_dir_all(self.directory.join("hosts")).map_err(LabError::path("create", &self.directory))?;
        let _lock = self.lock()?;
        let network = Network::up(&self.name, &self.directory.join("network"))?;
        if up.fresh {
            self.remove_hosts(Some(&network))?;
        }
        let hosts = self.wanted_hosts(up.nodes)?;
        requirements::allow_watches(hosts.len())?;
        let key = self.make_key()?;
        let server = Server::new(&self.directory, network.gateway());
        if !up.real_packages {
            server.start(&self.mirror())?;
        }
        let scripts = Scripts::unpack(&self.home)?;
        let supervise = scripts.path("host/supervise")?;
        let images = if up.real_packages { PathBuf::new() } else { self.mirror().join("images") };
        let with = BootWith { network: &network, supervise: &supervise, images: &images };
        side_by_side(&hosts, |host| {
            if host.is_running() {
                return Ok(());
            }
            if !host.is_created() {
                host.pull_the_plug(Some(&network))?;
                host.remove()?;
                host.create(&base, &key.with_extension("pub"))?;
            }
            host.boot(&with)
        })?;
        let packages = if up.real_packages { Packages::Real } else { Packages::Mirror(server.url()) };
        self.write_inventory(&hosts, &network, &key, &packages)?;
        Ok(self.status_of(&hosts, &network))
    }

    /// Its hosts, in order.
    pub fn list(&self) -> Result<Vec<HostStatus>, LabError> {
        let Some(network) = self.network() else { return Ok(Vec::new()) };
        Ok(self.status_of(&self.hosts()?, &network))
    }

    /// The command that logs in to a host as `admin`, or runs `words` there.
    pub fn ssh(&self, host: &str, words: &[String]) -> Result<Command, LabError> {
        let statuses = self.list()?;
        let Some(status) = statuses.iter().find(|status| status.name == host) else {
            let names: Vec<&str> = statuses.iter().map(|status| status.name.as_str()).collect();
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(LabError::NoSuchHost { lab: self.name.clone(), host: host.to_owned(), known });
        };
        if !status.is_running {
            return Err(LabError::NotRunning { host: host.to_owned() });
        }
        let mut command = Command::new("ssh");
        command.args(["-q", "-F", "none", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes", "-o"]);
        command.arg(format!("UserKnownHostsFile={}", self.known_hosts_file().display()));
        command.arg("-i").arg(self.key_file()).arg(format!("admin@{}", status.address)).arg("--").args(words);
        Ok(command)
    }

    /// Powers the hosts off and gives back what the machine lent. Disks, key and addresses stay.
    pub fn down(&self) -> Result<(), LabError> {
        if !self.directory.exists() {
            return Ok(());
        }
        requirements::satisfy(&|_| ())?;
        let _lock = self.lock()?;
        let network = self.network();
        side_by_side(&self.hosts()?, |host| host.power_off(network.as_ref()))?;
        self.give_back(network.as_ref())
    }

    /// Ends the hosts at once and removes all of the lab. Base system and mirror stay, for the next one.
    pub fn destroy(&self) -> Result<(), LabError> {
        if !self.directory.exists() {
            return Ok(());
        }
        requirements::satisfy(&|_| ())?;
        let _lock = self.lock()?;
        let network = self.network();
        self.remove_hosts(network.as_ref())?;
        self.give_back(network.as_ref())?;
        fs::remove_dir_all(&self.directory).map_err(LabError::path("remove", &self.directory))
    }

    /// The inventory that `up` wrote.
    pub fn inventory_file(&self) -> PathBuf {
        self.directory.join("inventory.yaml")
    }

    /// The private key that opens the hosts.
    pub fn key_file(&self) -> PathBuf {
        self.directory.join("id")
    }

    /// The hosts' keys, for ssh.
    pub fn known_hosts_file(&self) -> PathBuf {
        self.directory.join("known_hosts")
    }

    fn mirror(&self) -> PathBuf {
        self.home.join("mirror")
    }

    fn network(&self) -> Option<Network> {
        Network::remembered(&self.name, &self.directory.join("network"))
    }

    fn host(&self, index: u8) -> Host {
        let name = format!("node-{index}");
        Host { lab: self.name.clone(), directory: self.directory.join("hosts").join(&name), name, index }
    }

    fn hosts(&self) -> Result<Vec<Host>, LabError> {
        let folder = self.directory.join("hosts");
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let mut hosts = Vec::new();
        for entry in fs::read_dir(&folder).map_err(LabError::path("list", &folder))? {
            let entry = entry.map_err(LabError::path("list", &folder))?;
            let name = entry.file_name();
            if let Some(index) = name.to_str().and_then(|name| name.strip_prefix("node-")?.parse().ok()) {
                hosts.push(self.host(index));
            }
        }
        hosts.sort_by_key(|host| host.index);
        Ok(hosts)
    }

    fn wanted_hosts(&self, nodes: Option<usize>) -> Result<Vec<Host>, LabError> {
        let existing = self.hosts()?.len();
        let wanted = nodes.unwrap_or(if existing == 0 { 2 } else { existing });
        if wanted < existing {
            return Err(LabError::MoreHosts { lab: self.name.clone(), existing, wanted });
        }
        if wanted == 0 || wanted > MOST_HOSTS {
            return Err(LabError::TooManyHosts { wanted, most: MOST_HOSTS });
        }
        Ok((1..).take(wanted).map(|index| self.host(index)).collect())
    }

    fn make_key(&self) -> Result<PathBuf, LabError> {
        let key = self.key_file();
        if !key.exists() {
            let words = ["-q", "-t", "ed25519", "-N", "", "-C", "nodewright-lab", "-f"].map(OsStr::new);
            run::run("make the lab's key", "ssh-keygen", words.into_iter().chain([key.as_os_str()]))?;
        }
        Ok(key)
    }

    fn write_inventory(&self, hosts: &[Host], network: &Network, key: &Path, packages: &Packages) -> Result<(), LabError> {
        let mut entries = Vec::new();
        for host in hosts {
            let address = network.address(host.index).to_string();
            entries.push(Entry { name: host.name.clone(), address, host_key: host.host_key()? });
        }
        // The first line of /proc/swaps is its heading
        let is_swap_on = fs::read_to_string("/proc/swaps").is_ok_and(|swaps| swaps.lines().count() > 1);
        let inventory = inventory::render(&self.name, &entries, key, packages, is_swap_on);
        for (path, text) in [(self.inventory_file(), inventory), (self.known_hosts_file(), inventory::known_hosts(&entries))] {
            fs::write(&path, text).map_err(LabError::path("write", &path))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).map_err(LabError::path("set the mode of", path))?;
        }
        Ok(())
    }

    fn status_of(&self, hosts: &[Host], network: &Network) -> Vec<HostStatus> {
        let status =
            |host: &Host| HostStatus { name: host.name.clone(), address: network.address(host.index), is_running: host.is_running() };
        hosts.iter().map(status).collect()
    }

    fn remove_hosts(&self, network: Option<&Network>) -> Result<(), LabError> {
        side_by_side(&self.hosts()?, |host| {
            host.pull_the_plug(network)?;
            host.remove()
        })
    }

    fn give_back(&self, network: Option<&Network>) -> Result<(), LabError> {
        let Some(network) = network else { return Ok(()) };
        Server::new(&self.directory, network.gateway()).stop()?;
        network.down()
    }

    /// One command at a time changes a lab.
    fn lock(&self) -> Result<File, LabError> {
        let path = self.directory.join("lock");
        let file = File::create(&path).map_err(LabError::path("create", &path))?;
        file.lock().map_err(LabError::path("lock", path))?;
        Ok(file)
    }
}

/// Does the same to all hosts, several at once; the first failure, in the hosts' order, is the result.
fn side_by_side(hosts: &[Host], work: impl Fn(&Host) -> Result<(), LabError> + Sync) -> Result<(), LabError> {
    let next = AtomicUsize::new(0);
    let take = || hosts.get(next.fetch_add(1, Ordering::Relaxed));
    let mut failures: Vec<(u8, LabError)> = std::thread::scope(|scope| {
        let worker = || {
            let ended = std::iter::from_fn(take).map(|host| (host.index, work(host)));
            ended.filter_map(|(index, result)| Some((index, result.err()?))).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..hosts.len().min(AT_ONCE)).map(|_| scope.spawn(worker)).collect();
        // A panic in a thread is a panic here: nothing is known about its host
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    failures.sort_by_key(|(index, _)| *index);
    failures.into_iter().next().map_or(Ok(()), |(_, err)| Err(err))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for name in ["lab", "t-12", "abcdefghi"] {
            assert!(Lab::in_home(Path::new("/tmp/x"), name).is_ok(), "{name}");
        }
        for name in ["", "abcdefghij", "1st", "Lab", "a/b", "-a", "a b"] {
            assert!(matches!(Lab::in_home(Path::new("/tmp/x"), name), Err(LabError::Name { .. })), "{name}");
        }
    }

    #[test]
    fn hosts_are_listed_by_number_and_only_hosts() {
        let home = tempfile::tempdir().expect("a temporary directory");
        let lab = Lab::in_home(home.path(), "t").expect("a name");
        for name in ["node-10", "node-9", "lost+found", "node-x"] {
            fs::create_dir_all(home.path().join("labs/t/hosts").join(name)).expect("a directory");
        }
        let names: Vec<String> = lab.hosts().expect("hosts").into_iter().map(|host| host.name).collect();
        assert_eq!(names, ["node-9", "node-10"]);
    }
}
