//! Whether the host is a guest, and of what; and what guests it could have.

use super::seen::Seen;
use serde_json::{Map, Value as Json};
use std::collections::BTreeSet;

/// The first thing that is found names the type; all of them are listed.
#[derive(Default)]
struct Found<'a> {
    kind: Option<(&'a str, &'a str)>,
    guest: BTreeSet<&'a str>,
    host: BTreeSet<&'a str>,
}

impl<'a> Found<'a> {
    fn guest(&mut self, tech: &'a str) {
        self.guest.insert(tech);
        self.kind.get_or_insert((tech, "guest"));
    }

    fn host(&mut self, tech: &'a str) {
        self.host.insert(tech);
        self.kind.get_or_insert((tech, "host"));
    }
}

pub fn virtualization(seen: &Seen, facts: &mut Map<String, Json>) {
    let mut found = Found::default();
    containers(seen, &mut found);
    machines(seen, &mut found);
    let modules: Vec<_> = seen.file_lines("/proc/modules").filter_map(|line| line.split(' ').next()).collect();
    if modules.contains(&"kvm") {
        found.host("kvm");
    }
    if modules.contains(&"vboxdrv") {
        found.host("virtualbox");
    }
    if modules.contains(&"virtio") {
        found.host.insert("kvm");
        found.kind.get_or_insert(("kvm", "guest"));
    }
    if seen.says("virtual", "/dev/kvm") {
        found.host("kvm");
    }
    let (kind, role) = found.kind.unwrap_or(("NA", "NA"));
    facts.insert("virtualization_type".into(), kind.into());
    facts.insert("virtualization_role".into(), role.into());
    facts.insert("virtualization_tech_guest".into(), found.guest.into_iter().map(Json::from).collect());
    facts.insert("virtualization_tech_host".into(), found.host.into_iter().map(Json::from).collect());
}

fn containers<'a>(seen: &'a Seen, found: &mut Found<'a>) {
    let exists = |path: &str| seen.says("virtual", path);
    for line in seen.file_lines("/proc/1/cgroup") {
        if line.contains("/docker/") || line.contains("/docker-") {
            found.guest("docker");
        }
        if line.contains("/lxc/") || line.contains("/machine.slice/machine-lxc") {
            found.guest("lxc");
        }
        if line.contains("/system.slice/containerd.service") {
            found.guest("containerd");
        }
    }
    for pair in seen.section("environment1").unwrap_or_default().split('\u{1d}') {
        for tech in ["lxc", "podman"] {
            if pair.contains(&format!("container={tech}")) {
                found.guest(tech);
            }
        }
        if pair.strip_prefix("container=").is_some_and(|value| !value.is_empty()) {
            found.guest("container");
        }
    }
    if exists("/proc/vz") && !exists("/proc/lve") {
        if exists("/proc/bc") { found.host("openvz") } else { found.guest("openvz") }
    }
    let container = seen.file("/run/systemd/container");
    if let Some(container) = container {
        found.guest(container);
    }
    if exists("/.dockerenv") || exists("/.dockerinit") {
        found.guest("docker");
    }
    if container.is_some() || ["docker", "lxc", "podman", "openvz", "containerd"].iter().any(|tech| found.guest.contains(tech)) {
        found.guest.insert("container");
    }
    if exists("/proc/xen") {
        if seen.file("/proc/xen/capabilities").is_some_and(|capabilities| capabilities.contains("control_d")) {
            found.host("xen");
        } else {
            found.kind.get_or_insert(("xen", "guest"));
        }
    }
}

/// Virtual machines, by what their firmware calls itself.
fn machines<'a>(seen: &'a Seen, found: &mut Found<'a>) {
    let file = |name: &str| seen.file(&format!("/sys/devices/virtual/dmi/id/{name}")).unwrap_or_default();
    let (product, vendor, bios, family) = (file("product_name"), file("sys_vendor"), file("bios_vendor"), file("product_family"));
    match product {
        "KVM" | "KVM Server" | "Bochs" | "AHV" | "CloudStack KVM Hypervisor" => found.guest("kvm"),
        "RHEV Hypervisor" if vendor == "Red Hat" => found.guest("RHEV"),
        "OpenStack Compute" | "OpenStack Nova" => found.guest("openstack"),
        "BHYVE" => found.guest("bhyve"),
        _ if product.starts_with("VMware") => found.guest("VMware"),
        _ => {}
    }
    match bios {
        "Xen" => found.guest("xen"),
        "innotek GmbH" => found.guest("virtualbox"),
        "Amazon EC2" | "DigitalOcean" | "Hetzner" | "Linode" => found.guest("kvm"),
        _ => {}
    }
    match vendor {
        "oVirt" => found.guest("oVirt"),
        "Red Hat" if family == "RHV" => found.guest("RHV"),
        "QEMU" | "Amazon EC2" | "DigitalOcean" | "Google" | "Scaleway" | "Nutanix" => found.guest("kvm"),
        "KubeVirt" => found.guest("KubeVirt"),
        "Microsoft Corporation" => found.guest("VirtualPC"),
        "Parallels Software International Inc." => found.guest("parallels"),
        "OpenStack Foundation" => found.guest("openstack"),
        _ => {}
    }
    let mut models = seen.file_lines("/proc/cpuinfo").filter(|line| line.starts_with("model name"));
    if models.any(|line| line.contains("QEMU Virtual CPU")) {
        found.guest("kvm");
    }
}
