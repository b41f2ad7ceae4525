//! The inventory of a lab: its hosts with their pinned keys, and what such hosts need to be told to become a cluster.

use std::fmt::Write as _;
use std::path::Path;

/// Where the hosts' Kubernetes comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packages {
    /// The lab's own mirror at this address: real Kubernetes 1.20, and stand-ins for what Debian does not have.
    Mirror(String),
    /// The real repositories, with the playbooks' own defaults.
    Real,
}

/// A host as the inventory shows it.
pub struct Entry {
    pub name: String,
    pub address: String,
    pub host_key: String,
}

/// The inventory as YAML; the first host is the control plane.
pub fn render(lab: &str, entries: &[Entry], private_key: &Path, packages: &Packages, is_swap_on: bool) -> String {
    let mut text = format!("# Written by `nodewright lab up`: the hosts of lab `{lab}`, containers on this machine.\n\nall:\n  vars:\n");
    let mut line = |text_line: &str| {
        text.push_str(text_line);
        text.push('\n');
    };
    line("    ansible_user: admin");
    line(&format!("    ansible_ssh_private_key_file: {}", quote(&private_key.display().to_string())));
    if let Packages::Mirror(url) = packages {
        line("");
        line("    # Kubernetes is real and built from Debian's source. What Debian does not have is stood in for: CRI-O and crictl by");
        line("    # scripts over containerd, Flannel by a script that sets routes, CoreDNS by dnsmasq, nginx by busybox.");
        line("    kubernetes_version: \"1.20.2\"");
        line(&format!("    package_mirror: {url}"));
        line(&format!("    cni_manifest_url: {url}/manifests/kube-flannel.yml"));
        line("    pause_image: k8s.gcr.io/pause:3.2");
        line("    containerd_repository: \"\"");
        line("    containerd_packages: [containerd]");
        line("    verify_image: nodewright.lab/nginx:stand-in");
        line("    lab_web_image: nodewright.lab/nginx:stand-in");
        line("    lab_stand_ins: [cri-o, crictl, flannel, coredns, nginx]");
    }
    line("");
    line("    # The hosts are containers: the kernel's configuration is not where kubeadm looks, and the conntrack sysctls of a");
    line("    # network namespace cannot be written.");
    let mut ignored = vec!["SystemVerification"];
    if is_swap_on {
        ignored.push("Swap");
    }
    line(&format!("    kubeadm_ignore_preflight_errors: [{}]", ignored.join(", ")));
    if is_swap_on {
        line("    # Swap is on, and belongs to the whole machine: a host cannot switch it off.");
        line("    kubelet_configuration: {failSwapOn: false}");
    }
    line("    kube_proxy_configuration: {conntrack: {maxPerCore: 0}}");
    let (control_plane, workers) = entries.split_at(entries.len().min(1));
    for (group, members) in [("control_plane", control_plane), ("workers", workers)] {
        let _ = write!(text, "\n{group}:\n  hosts:{}\n", if members.is_empty() { " {}" } else { "" });
        for entry in members {
            let _ = writeln!(text, "    {}:", entry.name);
            let _ = writeln!(text, "      ansible_host: {}", entry.address);
            let _ = writeln!(text, "      ansible_ssh_host_key: {}", quote(&entry.host_key));
        }
    }
    text
}

/// What ssh's known_hosts says of the same hosts.
pub fn known_hosts(entries: &[Entry]) -> String {
    entries.iter().map(|entry| format!("{} {}\n", entry.address, entry.host_key)).collect()
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, address: &str) -> Entry {
        Entry { name: name.to_owned(), address: address.to_owned(), host_key: format!("ssh-ed25519 KEY-OF-{name}") }
    }

    #[test]
    fn the_first_host_is_the_control_plane() {
        let entries = [entry("node-1", "10.77.3.11"), entry("node-2", "10.77.3.12")];
        let mirror = Packages::Mirror("http://10.77.3.1:8080".to_owned());
        insta::assert_snapshot!(render("shop", &entries, Path::new("/srv/o'lab/id"), &mirror, true));
    }

    #[test]
    fn a_lab_of_one_host_has_no_workers() {
        let text = render("lab", &[entry("node-1", "10.77.0.11")], Path::new("/id"), &Packages::Real, false);
        assert!(text.ends_with("workers:\n  hosts: {}\n"), "{text}");
        assert!(!text.contains("package_mirror"), "{text}");
    }
}
