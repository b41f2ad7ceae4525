//! `gather_subset`: which of the collectors are asked for.

use crate::module::Failure;

/// What is gathered, by how much it costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subset {
    /// Everything of the `min` subset but the platform, which is always looked at.
    pub minimal: bool,
    pub network: bool,
    pub hardware: bool,
    pub virtualization: bool,
    /// systemd, load, iSCSI, NVMe, Fibre Channel.
    pub others: bool,
}

const MINIMAL: &[&str] = &[
    "min", "apparmor", "caps", "system_capabilities", "system_capabilities_enforced", "cmdline", "date_time", "distribution", "distribution_version",
    "distribution_release", "distribution_major_version", "os_family", "dns", "env", "fips", "local", "lsb", "pkg_mgr", "platform", "system", "kernel",
    "kernel_version", "machine", "architecture", "machine_id", "python", "python_version", "selinux", "service_mgr", "ssh_pub_keys", "user", "user_id",
    "user_uid", "user_gid", "user_gecos", "user_dir", "user_shell", "real_user_id", "effective_user_id", "effective_group_ids", "chroot", "is_chroot",
];
const NETWORK: &[&str] = &["network", "interfaces", "default_ipv4", "default_ipv6", "all_ipv4_addresses", "all_ipv6_addresses", "locally_reachable_ips"];
const HARDWARE: &[&str] = &["hardware", "processor", "processor_cores", "processor_count", "mounts", "devices"];
const VIRTUALIZATION: &[&str] =
    &["virtual", "virtualization_type", "virtualization_role", "virtualization_tech_guest", "virtualization_tech_host"];
const OTHERS: &[&str] = &["systemd", "loadavg", "iscsi", "nvme", "fibre_channel_wwn"];
/// Tools of other systems that Ansible would run: they give nothing here, as on a host that has them not.
const FOREIGN: &[&str] = &["facter", "ohai"];

impl Subset {
    pub fn of(words: &[String]) -> Result<Subset, Failure> {
        let minimal = Subset { minimal: true, ..Subset::default() };
        let all = Subset { minimal: true, network: true, hardware: true, virtualization: true, others: true };
        let is_negative = |word: &&String| word.starts_with('!');
        let mut subset = if words.iter().all(|word| is_negative(&word)) { all } else { minimal };
        for word in words.iter().filter(|word| !is_negative(word)) {
            if word == "all" { subset = all } else { subset.set(word, true)? }
        }
        for word in words.iter().filter(is_negative) {
            match &word[1..] {
                // What is named beside `!all` stays.
                "all" => {
                    let mut left = minimal;
                    for word in words.iter().filter(|word| !is_negative(word) && *word != "all") {
                        left.set(word, true)?;
                    }
                    subset = left;
                }
                word => subset.set(word, false)?,
            }
        }
        Ok(subset)
    }

    fn set(&mut self, word: &str, wanted: bool) -> Result<(), Failure> {
        let groups = [(MINIMAL, &mut self.minimal), (NETWORK, &mut self.network), (HARDWARE, &mut self.hardware), (VIRTUALIZATION, &mut self.virtualization), (OTHERS, &mut self.others)];
        for (names, flag) in groups {
            if names.contains(&word) {
                // To leave out one member of a group leaves the group: its other members are asked for.
                if wanted || names[0] == word || names == OTHERS {
                    *flag = wanted;
                }
                return Ok(());
            }
        }
        if FOREIGN.contains(&word) && !wanted {
            return Ok(());
        }
        if FOREIGN.contains(&word) {
            return Err(Failure::argument("gather_subset", format!("`{word}` runs a tool of its own, which is not supported")));
        }
        let allowed: Vec<_> = ["all"].iter().chain(MINIMAL).chain(NETWORK).chain(HARDWARE).chain(VIRTUALIZATION).chain(OTHERS).copied().collect();
        Err(Failure::argument("gather_subset", format!("Bad subset '{word}' given to Ansible. gather_subset options allowed: {}", allowed.join(", "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_what_playbooks_ask_for() {
        let check = |words: &str| Subset::of(&words.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let minimal = Subset { minimal: true, ..Subset::default() };
        assert_eq!(check("!all").unwrap(), minimal);
        assert_eq!(check("min").unwrap(), minimal);
        assert_eq!(check("!all !min network").unwrap(), Subset { network: true, ..Subset::default() });
        assert_eq!(check("!all default_ipv4").unwrap(), Subset { network: true, ..minimal });
        assert!(check("all").unwrap().hardware && !check("!hardware").unwrap().hardware && check("!hardware").unwrap().network);
        assert!(check("nonsense").unwrap_err().message.starts_with("Bad subset 'nonsense' given to Ansible."));
    }
}
