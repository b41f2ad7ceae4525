//! The network of one lab: a bridge with an own 10.77.N.0/24, a network namespace per host, and the way out through the machine.
//! Everything is named after the lab, so that labs never touch each other's.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::Path;

use super::error::LabError;
use super::run::{run, succeeds};

/// One lock for the whole machine: networks are chosen and made under it, whichever home a lab has.
const LOCK: &str = "/run/nodewright-lab.lock";
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// A lab's network: N of 10.77.N.0/24.
#[derive(Debug, Clone)]
pub struct Network {
    lab: String,
    third: u8,
}

impl Network {
    /// The network that `file` remembers, or a free one, which `file` then remembers; with its bridge up.
    pub fn up(lab: &str, file: &Path) -> Result<Network, LabError> {
        let _lock = lock()?;
        let bridge = bridge(lab);
        let addresses = run("list addresses", "ip", ["-4", "-o", "addr", "show"])?;
        let routes = run("list routes", "ip", ["-4", "route", "show"])?;
        let remembered = Network::remembered(lab, file);
        let is_ours = |network: &Network| {
            let address = format!(" {}/24 ", network.gateway());
            addresses.lines().any(|line| line.contains(&format!(": {bridge} ")) && line.contains(&address))
        };
        // A remembered one may have been taken by somebody else while the lab was down
        let network = match remembered {
            Some(network) if is_ours(&network) => network,
            Some(network) if is_free(network.third, &addresses, &routes) => network,
            _ => {
                let third = (0..=255).find(|&third| is_free(third, &addresses, &routes)).ok_or(LabError::NoFreeNetwork)?;
                Network { lab: lab.to_owned(), third }
            }
        };
        fs::write(file, network.third.to_string()).map_err(LabError::path("write", file))?;
        if !succeeds("ip", &["link", "show", &bridge])? {
            run("make the lab's bridge", "ip", ["link", "add", &bridge, "type", "bridge"])?;
        }
        if !is_ours(&network) {
            run("clear the bridge", "ip", ["addr", "flush", "dev", &bridge])?;
            let address = format!("{}/24", network.gateway());
            run("give the bridge its address", "ip", ["addr", "add", &address, "dev", &bridge])?;
        }
        run("switch the bridge on", "ip", ["link", "set", &bridge, "up"])?;
        network.forward()?;
        Ok(network)
    }

    /// The network a lab was given before, whether it is up or not.
    pub fn remembered(lab: &str, file: &Path) -> Option<Network> {
        let third = fs::read_to_string(file).ok()?.trim().parse().ok()?;
        Some(Network { lab: lab.to_owned(), third })
    }

    /// Removes the bridge and the rules. Hosts have been detached before. Forwarding stays on: others may have come to rely on it.
    pub fn down(&self) -> Result<(), LabError> {
        let _lock = lock()?;
        let bridge = bridge(&self.lab);
        for rule in self.rules() {
            while succeeds("iptables", &words("-D", &rule))? {}
        }
        if succeeds("ip", &["link", "show", &bridge])? {
            run("remove the lab's bridge", "ip", ["link", "del", &bridge])?;
        }
        Ok(())
    }

    /// The machine's own address in the lab.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.third, 1)
    }

    /// The address of the host with this index, from 1.
    pub fn address(&self, index: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.third, 10 + index)
    }

    /// What a host's supervisor needs to make its network: bridge, interface on the machine's side, hardware address, address with
    /// its bits, gateway.
    pub fn of_host(&self, index: u8) -> [String; 5] {
        [
            bridge(&self.lab),
            self.interface(index),
            // locally administered; the same at every boot, as on a machine of its own
            format!("02:4e:57:4d:{:02x}:{index:02x}", self.third),
            format!("{}/24", self.address(index)),
            self.gateway().to_string(),
        ]
    }

    /// Removes a host's namespace and interface, if they are there.
    pub fn detach(&self, namespace: &str, index: u8) -> Result<(), LabError> {
        let outside = self.interface(index);
        if succeeds("ip", &["link", "show", &outside])? {
            run("remove a host's interface", "ip", ["link", "del", &outside])?;
        }
        if Path::new("/run/netns").join(namespace).exists() {
            run("remove a host's network namespace", "ip", ["netns", "del", namespace])?;
        }
        Ok(())
    }

    fn interface(&self, index: u8) -> String {
        format!("nw-{}.{index:x}", self.lab)
    }

    fn forward(&self) -> Result<(), LabError> {
        let forwarding = fs::read_to_string(FORWARDING).map_err(LabError::path("read", FORWARDING))?;
        if forwarding.trim() == "0" {
            fs::write(FORWARDING, "1").map_err(LabError::path("write", FORWARDING))?;
        }
        for rule in self.rules() {
            if !succeeds("iptables", &words("-C", &rule))? {
                // First in its chain: whatever forbids forwarding on this machine comes later
                run("let the hosts reach the world", "iptables", words("-I", &rule))?;
            }
        }
        Ok(())
    }

    /// Table and the rest of each rule, without its verb.
    fn rules(&self) -> Vec<(&'static str, Vec<String>)> {
        let bridge = bridge(&self.lab);
        let network = format!("10.77.{}.0/24", self.third);
        let own = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        vec![
            ("nat", own(&["POSTROUTING", "-s", &network, "!", "-d", &network, "-j", "MASQUERADE"])),
            ("filter", own(&["FORWARD", "-i", &bridge, "-j", "ACCEPT"])),
            ("filter", own(&["FORWARD", "-o", &bridge, "-j", "ACCEPT"])),
        ]
    }
}

fn words<'a>(verb: &'a str, (table, rule): &'a (&'static str, Vec<String>)) -> Vec<&'a str> {
    [&["-w", "-t", table, verb][..], &rule.iter().map(String::as_str).collect::<Vec<_>>()].concat()
}

/// `nw-` and the lab's name; with nine letters of name and a host's number in two hexadecimal digits it stays within the kernel's fifteen.
fn bridge(lab: &str) -> String {
    format!("nw-{lab}")
}

fn is_free(third: u8, addresses: &str, routes: &str) -> bool {
    let prefix = format!("10.77.{third}.");
    let is_used = |text: &str| text.split_whitespace().any(|word| word.starts_with(&prefix));
    // a route to all of 10.77 (or of 10) is somebody else's network: every choice would be as bad, and ours is more specific
    !is_used(addresses) && !is_used(routes)
}

fn lock() -> Result<File, LabError> {
    let file = File::create(LOCK).map_err(LabError::path("create", LOCK))?;
    file.lock().map_err(LabError::path("lock", LOCK))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_free_if_no_address_and_no_route_is_in_it() {
        let addresses = "2: eth0    inet 10.77.3.9/16 brd 10.77.255.255 scope global eth0\n";
        let routes = "default via 192.0.2.1 dev eth0\n10.77.40.0/24 via 192.0.2.9 dev eth0\n";
        let taken: Vec<u8> = (0..=255).filter(|&third| !is_free(third, addresses, routes)).collect();
        assert_eq!(taken, [3, 40, 255]);
    }

    #[test]
    fn interface_names_fit_the_kernel() {
        let network = Network { lab: "abcdefghi".to_owned(), third: 7 };
        let [bridge, interface, mac, address, gateway] = network.of_host(244);
        assert_eq!((bridge.as_str(), interface.as_str()), ("nw-abcdefghi", "nw-abcdefghi.f4"));
        assert!(interface.len() <= 15);
        assert_eq!((mac.as_str(), address.as_str(), gateway.as_str()), ("02:4e:57:4d:07:f4", "10.77.7.254/24", "10.77.7.1"));
    }
}
