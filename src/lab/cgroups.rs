//! The control groups of a host, one of its own name in every hierarchy the machine has mounted. Its supervisor makes them;
//! here they are emptied and removed.

use std::fs;
use std::path::{Path, PathBuf};

use super::run::signal;

/// Kills what runs in the groups of this name. It may take a moment until it is gone.
pub fn kill(name: &str) {
    for group in groups(name) {
        for pid in processes(&group) {
            // a process that cannot be killed shows in `remove`, which then fails
            let _ = signal("KILL", pid);
        }
    }
}

/// Removes the groups of this name; false while something still runs in them.
pub fn remove(name: &str) -> bool {
    groups(name).iter().all(|group| remove_tree(group))
}

fn groups(name: &str) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let hierarchies = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let folder = words.nth(1)?;
        matches!(words.next()?, "cgroup" | "cgroup2").then(|| Path::new(folder).join(name))
    });
    hierarchies.filter(|group| group.is_dir()).collect()
}

fn processes(group: &Path) -> Vec<u32> {
    let own = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let mut pids: Vec<u32> = own.lines().filter_map(|line| line.parse().ok()).collect();
    for child in children(group) {
        pids.extend(processes(&child));
    }
    pids
}

fn remove_tree(group: &Path) -> bool {
    let are_children_gone = children(group).iter().all(|child| remove_tree(child));
    are_children_gone && (fs::remove_dir(group).is_ok() || !group.exists())
}

fn children(group: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(group) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}
