//! Facts from what hosts said, and the script itself under every shell.

use super::*;
use crate::modules::trial::{Controller, args, decide, run, shells};
use serde_json::{Value as Json, json};

/// A Debian 12 container, and beside it what an Ubuntu 24.04 says where it differs.
const DEBIAN: &str = include_str!("../../../tests/modules/recorded/setup.debian-12");

fn facts_of(given: Json, probe: &str) -> Map<String, Json> {
    match decide(&Setup, given, probe, &Controller::default()) {
        Ok(Decision::Unchanged(outcome)) => {
            let short = |name: &str| name.strip_prefix("ansible_").unwrap_or(name).to_owned();
            outcome.facts.into_iter().map(|(name, value)| (short(&name), value)).collect()
        }
        Ok(_) => panic!("facts change nothing"),
        Err(failure) => panic!("{failure}"),
    }
}

#[test]
fn tells_of_a_debian_host() {
    let facts = facts_of(json!({}), DEBIAN);
    let expected = json!({
        "os_family": "Debian", "distribution": "Debian", "distribution_version": "12.15", "distribution_major_version": "12", "distribution_minor_version": "15",
        "distribution_release": "bookworm", "architecture": "x86_64", "userspace_bits": "64", "system": "Linux", "hostname": "sysd1", "pkg_mgr": "apt", "service_mgr": "systemd",
        "virtualization_type": "container", "virtualization_role": "guest", "all_ipv4_addresses": ["10.79.0.11"], "user_id": "root", "lsb": {},
        "processor_count": 1, "processor_cores": 2, "processor_threads_per_core": 1, "processor_vcpus": 2, "is_chroot": false, "fips": false,
        "dns": {"nameservers": ["10.255.255.53"]}, "selinux": {"status": "disabled"}, "memtotal_mb": 24105,
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(facts.get(name), Some(value), "{name}");
    }
    let default = &facts["default_ipv4"];
    let wanted = json!({"address": "10.79.0.11", "gateway": "10.79.0.1", "interface": "host0", "prefix": "24", "netmask": "255.255.255.0", "network": "10.79.0.0", "alias": "host0",
        "broadcast": "", "macaddress": default["macaddress"], "mtu": 1500, "type": "ether"});
    assert_eq!(default, &wanted);
    assert_eq!(facts["date_time"]["tz"], "UTC");
}

#[test]
fn tells_of_an_ubuntu_host() {
    let start = DEBIAN.find("/etc/os-release:").unwrap();
    let end = DEBIAN.find("/proc/1/comm:").unwrap();
    let ubuntu = "/etc/os-release:PRETTY_NAME=\"Ubuntu 24.04.1 LTS\"\n/etc/os-release:NAME=\"Ubuntu\"\n/etc/os-release:VERSION_ID=\"24.04\"\n/etc/os-release:VERSION_CODENAME=noble\n\
        /etc/os-release:ID=ubuntu\n/etc/debian_version:trixie/sid\n/etc/lsb-release:DISTRIB_ID=Ubuntu\n/etc/lsb-release:DISTRIB_RELEASE=24.04\n/etc/lsb-release:DISTRIB_CODENAME=noble\n\
        /etc/lsb-release:DISTRIB_DESCRIPTION=\"Ubuntu 24.04.1 LTS\"\n";
    let facts = facts_of(
        json!({"filter": ["ansible_distribution*", "lsb", "os_fam*"]}),
        &format!("{}{ubuntu}{}", &DEBIAN[..start], &DEBIAN[end..]),
    );
    let expected = json!({
        "distribution": "Ubuntu", "distribution_version": "24.04", "distribution_major_version": "24", "distribution_release": "noble", "distribution_file_parsed": true,
        "distribution_file_path": "/etc/os-release", "distribution_file_variety": "Debian", "os_family": "Debian",
        "lsb": {"id": "Ubuntu", "release": "24.04", "codename": "noble", "description": "Ubuntu 24.04.1 LTS", "major_release": "24"},
        "gather_subset": ["all"], "module_setup": true,
    });
    assert_eq!(Json::Object(facts), expected);
}

#[test]
fn every_shell_says_the_same_and_runs_local_facts() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("role.fact"), "[General]\nRole = worker node\n").unwrap();
    std::fs::write(path("disks.fact"), "#!/bin/sh\necho '{\"data\": [\"sdb\"]}'\n").unwrap();
    std::fs::write(path("bad.fact"), "#!/bin/sh\necho no >&2\nexit 3\n").unwrap();
    for name in ["disks.fact", "bad.fact"] {
        std::fs::set_permissions(path(name), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    for shell in shells() {
        let given = json!({"gather_subset": ["all"], "fact_path": folder.path().to_str().unwrap(), "filter": ["local", "system", "processor_nproc", "user_uid"]});
        let script = Setup.probe(&args(&Setup, given.clone()), &Controller::default()).unwrap().unwrap();
        let facts = facts_of(given, &run(shell, &script).stdout_text());
        let local = json!({"role": {"General": {"role": "worker node"}}, "disks": {"data": ["sdb"]}, "bad": format!("Failure executing fact script ({}), rc: 3, err: no\n", path("bad.fact").display())});
        assert_eq!((&facts["local"], &facts["system"]), (&local, &json!("Linux")), "{shell:?}");
        assert!(facts["processor_nproc"].is_u64() && facts["user_uid"].is_u64());
    }
}
