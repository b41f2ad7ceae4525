//! The parts of the script by the facts that they bring: where it is known which facts anybody will ask for, the others are not looked for.

use std::collections::BTreeSet;

/// What is looked at in one go. The platform always is; so are the files of `facts.d`, which may be programs and do what they like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Platform,
    /// The host's full name: asks name servers.
    FullName,
    Date,
    User,
    Environment,
    /// Starts a Python program on some systems.
    Release,
    Security,
    Files,
    Local,
    /// Starts Python.
    Python,
    Network,
    Hardware,
    Virtualization,
    Others,
}

use Part::*;

/// Facts without `ansible_`. An underscore at the end: whatever begins so.
const FACTS: &[(Part, &[&str])] = &[
    (
        Platform,
        &[
            "system",
            "kernel",
            "kernel_version",
            "nodename",
            "hostname",
            "userspace_bits",
            "userspace_architecture",
            "architecture",
            "machine",
            "machine_id",
            "distribution",
            "distribution_version",
            "distribution_major_version",
            "distribution_minor_version",
            "distribution_release",
            "distribution_file_parsed",
            "distribution_file_path",
            "distribution_file_variety",
            "os_family",
            "pkg_mgr",
            "service_mgr",
            "gather_subset",
            "module_setup",
        ],
    ),
    (FullName, &["fqdn", "domain"]),
    (Date, &["date_time"]),
    (
        User,
        &[
            "effective_user_id",
            "effective_group_id",
            "real_user_id",
            "real_group_id",
            "user_id",
            "user_uid",
            "user_gid",
            "user_gecos",
            "user_dir",
            "user_shell",
        ],
    ),
    (Environment, &["env"]),
    (Release, &["lsb"]),
    (Security, &["apparmor", "selinux", "selinux_python_present", "is_chroot", "system_capabilities", "system_capabilities_enforced"]),
    (Files, &["dns", "cmdline", "proc_cmdline", "fips", "ssh_host_key_"]),
    (Local, &["local"]),
    (Python, &["python", "python_version"]),
    (Network, &["interfaces", "all_ipv4_addresses", "all_ipv6_addresses", "default_ipv4", "default_ipv6", "locally_reachable_ips"]),
    (
        Hardware,
        &[
            "memtotal_mb",
            "memfree_mb",
            "swaptotal_mb",
            "swapfree_mb",
            "memory_mb",
            "flags",
            "processor",
            "processor_count",
            "processor_cores",
            "processor_threads_per_core",
            "processor_vcpus",
            "processor_nproc",
            "bios_date",
            "bios_vendor",
            "bios_version",
            "board_asset_tag",
            "board_name",
            "board_serial",
            "board_vendor",
            "board_version",
            "chassis_asset_tag",
            "chassis_serial",
            "chassis_vendor",
            "chassis_version",
            "product_name",
            "product_serial",
            "product_uuid",
            "product_version",
            "system_vendor",
            "form_factor",
            "uptime_seconds",
            "mounts",
            "devices",
            "device_links",
            "lvm",
        ],
    ),
    (Virtualization, &["virtualization_type", "virtualization_role", "virtualization_tech_guest", "virtualization_tech_host"]),
    (Others, &["systemd", "loadavg", "iscsi_iqn", "hostnqn", "fibre_channel_wwn"]),
];

/// Facts that other modules bring.
const OF_OTHERS: &[&str] = &["packages", "services", "mount_points"];

/// What brings the facts of a name. Of a name that is made of pieces only the beginning is known: it may be any fact that begins so. Nothing: it is none
/// that is known, an interface for example, whose name may be any.
fn parts_of(name: &str) -> impl Iterator<Item = Part> {
    let is_meant = move |fact: &&str| fact.starts_with(name) || (fact.ends_with('_') && name.starts_with(*fact));
    FACTS.iter().filter(move |(_, facts)| facts.iter().any(&is_meant)).map(|(part, _)| *part)
}

/// Which parts are wanted.
#[derive(Clone, Debug)]
pub struct Wanted(Option<Vec<Part>>);

impl Wanted {
    /// Those that bring the named facts; all, if it is not known which these are.
    pub fn of(named: Option<&BTreeSet<String>>) -> Wanted {
        let Some(named) = named else { return Wanted(None) };
        let mut wanted = vec![Platform, Local];
        for name in named {
            let before = wanted.len();
            wanted.extend(parts_of(name));
            if wanted.len() == before && !OF_OTHERS.contains(&name.as_str()) {
                return Wanted(None);
            }
        }
        Wanted(Some(wanted))
    }

    pub fn has(&self, part: Part) -> bool {
        self.0.as_ref().is_none_or(|parts| parts.contains(&part))
    }

    /// Whether a fact was looked for.
    pub fn brings(&self, fact: &str) -> bool {
        let Some(wanted) = &self.0 else { return true };
        let known =
            FACTS.iter().find(|(_, facts)| facts.iter().any(|known| *known == fact || (known.ends_with('_') && fact.starts_with(known))));
        // Interfaces have names of their own.
        wanted.contains(&known.map_or(Network, |(part, _)| *part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(names: &[&str]) -> Wanted {
        Wanted::of(Some(&names.iter().map(|name| (*name).to_owned()).collect()))
    }

    #[test]
    fn names_lead_to_what_brings_them() {
        let some = wanted(&["processor_vcpus", "ssh_host_key_rsa_public"]);
        let has = [Platform, Local, Hardware, Files, Python, Network, Date].map(|part| some.has(part));
        assert_eq!(has, [true, true, true, true, false, false, false]);
        assert!(some.brings("memtotal_mb") && some.brings("os_family") && !some.brings("eth0") && !some.brings("python"));
        // A beginning is all that begins so.
        assert!(wanted(&["p"]).has(Python) && wanted(&["p"]).has(Hardware) && !wanted(&["p"]).has(Network));
        assert!(wanted(&["eth0"]).has(Python) && wanted(&["eth0"]).brings("eth1"));
        assert!(wanted(&[""]).has(Others));
        assert!(!wanted(&[]).has(User) && wanted(&[]).brings("pkg_mgr"));
    }
}
