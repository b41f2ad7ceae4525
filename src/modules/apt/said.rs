//! What apt-get printed, simulated or for real: whether it changed anything, which packages, and why it failed.

use crate::module::Diff;
use std::collections::BTreeMap;

/// A version before and after.
type Versions<'a> = (Option<&'a str>, Option<&'a str>);

/// The packages of a run, by name.
type Changes<'a> = BTreeMap<&'a str, Versions<'a>>;

/// Whether apt-get had anything to do.
pub fn is_change(stdout: &str) -> bool {
    stdout.lines().any(|line| {
        is_busy_summary(line)
            || line.starts_with("Setting up ")
            || line.starts_with("Removing ")
            || line.starts_with("Purging ")
            || is_simulated(line)
    })
}

fn is_simulated(line: &str) -> bool {
    ["Inst ", "Remv ", "Purg ", "Conf "].iter().any(|verb| line.starts_with(verb))
}

/// `1 upgraded, 0 newly installed, 1 downgraded, 0 to remove and 7 not upgraded.`
fn is_busy_summary(line: &str) -> bool {
    if !line.contains(" upgraded, ") || !line.contains(" newly installed, ") {
        return false;
    }
    let acts = line.split(" and ").next().unwrap_or(line);
    acts.split(", ").any(|part| part.split(' ').next().and_then(|count| count.parse::<u32>().ok()).is_some_and(|count| count > 0))
}

/// Packages and their versions, before and after.
pub fn diff(stdout: &str) -> Option<Diff> {
    let mut changes = Changes::new();
    for line in stdout.lines() {
        note(line.trim_end(), &mut changes);
    }
    if changes.is_empty() {
        return None;
    }
    let side = |pick: for<'a> fn(&Versions<'a>) -> Option<&'a str>| -> String {
        changes.iter().filter_map(|(name, versions)| Some(format!("{name} {}\n", pick(versions)?))).collect()
    };
    Some(Diff {
        before_header: "packages before".into(),
        after_header: "packages after".into(),
        before: side(|versions| versions.0),
        after: side(|versions| versions.1),
        ..Diff::default()
    })
}

fn note<'a>(line: &'a str, changes: &mut Changes<'a>) {
    let inside = |text: &'a str, open: char, close: char| {
        let start = text.find(open)? + 1;
        Some(text[start..].split([close, ' ']).next().unwrap_or_default())
    };
    let Some((verb, rest)) = line.split_once(' ') else { return };
    let (name, about) = rest.split_once(' ').unwrap_or((rest, ""));
    match verb {
        // Inst nginx [1.22] (1.24 Debian:13/stable [amd64])
        "Inst" => {
            let old = about.starts_with('[').then(|| inside(about, '[', ']')).flatten();
            changes.insert(name, (old, inside(about, '(', ')')));
        }
        "Remv" | "Purg" => {
            changes.insert(name, (inside(about, '[', ']'), None));
        }
        // Unpacking nginx (1.24) over (1.22) ...
        "Unpacking" => {
            let old = about.split_once(" over ").and_then(|(_, old)| inside(old, '(', ')'));
            changes.insert(name, (old, inside(about, '(', ')')));
        }
        "Removing" => {
            changes.insert(name, (inside(about, '(', ')'), None));
        }
        _ => {}
    }
}

/// Ansible's words for what apt-get answers when a package is not there to be had.
pub fn why(stderr: &str) -> Option<String> {
    stderr.lines().find_map(|line| {
        let said = line.strip_prefix("E: ")?;
        if let Some(name) =
            said.strip_prefix("Unable to locate package ").or_else(|| said.strip_prefix("Couldn't find any package by glob "))
        {
            return Some(format!("No package matching '{}' is available", name.trim_matches('\'')));
        }
        if let Some((version, name)) =
            said.strip_prefix("Version '").and_then(|rest| rest.strip_suffix("' was not found")?.split_once("' for '"))
        {
            return Some(format!("no available installation candidate for {name}={version}"));
        }
        let name = said.strip_prefix("Package '")?.strip_suffix("' has no installation candidate")?;
        Some(format!("no available installation candidate for {name}"))
    })
}

/// The lines that say what went wrong.
pub fn errors(stderr: &str) -> String {
    let is_error = |line: &&str| line.starts_with("E: ") || line.starts_with("dpkg: error") || line.starts_with("Failed to lock");
    let found: Vec<_> = stderr.lines().filter(is_error).collect();
    if found.is_empty() { stderr.trim().to_owned() } else { found.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_work_from_none() {
        assert!(!is_change("Reading package lists...\n0 upgraded, 0 newly installed, 0 to remove and 12 not upgraded.\n"));
        assert!(is_change("0 upgraded, 0 newly installed, 1 downgraded, 0 to remove and 0 not upgraded.\n"));
        assert!(is_change(
            "0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n1 not fully installed or removed.\nSetting up kubelet (1.36.2-1.1) ...\n"
        ));
    }

    #[test]
    fn shows_versions_before_and_after() {
        let diff = diff("Inst runc [1.1.4] (1.1.5+ds1 Debian:12.5/oldstable [amd64])\nInst jq (1.6-2.1 Debian:12 [amd64])\nRemv mawk [1.3.4]\nConf jq (1.6-2.1 Debian:12 [amd64])\n").unwrap();
        assert_eq!((diff.before.as_str(), diff.after.as_str()), ("mawk 1.3.4\nrunc 1.1.4\n", "jq 1.6-2.1\nrunc 1.1.5+ds1\n"));
        let diff = super::diff("Unpacking runc (1.1.5) over (1.1.4) ...\r\nUnpacking jq (1.6) ...\nRemoving mawk (1.3.4) ...\nPurging configuration files for mawk (1.3.4) ...\n").unwrap();
        assert_eq!((diff.before.as_str(), diff.after.as_str()), ("mawk 1.3.4\nrunc 1.1.4\n", "jq 1.6\nrunc 1.1.5\n"));
    }

    #[test]
    fn says_what_is_not_to_be_had() {
        assert_eq!(why("N: x\nE: Unable to locate package kubelt\n").as_deref(), Some("No package matching 'kubelt' is available"));
        assert_eq!(
            why("E: Version '9.9' for 'busybox' was not found").as_deref(),
            Some("no available installation candidate for busybox=9.9")
        );
        assert_eq!(why("E: Package 'x' has no installation candidate").as_deref(), Some("no available installation candidate for x"));
        assert_eq!(why("E: Held packages were changed and -y was used without --allow-change-held-packages."), None);
    }
}
