//! What the integration tests share: the binary, labs that go down with the test, and skipping by name.

#![allow(dead_code, reason = "each test binary uses its part of this")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub fn nodewright() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nodewright"));
    command.env_remove("ANSIBLE_INVENTORY").env("NO_COLOR", "1").env("NODEWRIGHT_JOURNAL", "0").stdin(Stdio::null());
    command
}

pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Says that a test was not run, and why. `scripts/test` repeats these lines at its end.
pub fn skip(test: &str, why: &str) {
    println!("skipped: {test}: {why}");
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Everything a command said, for a failing assertion.
pub fn said(output: &Output) -> String {
    format!("exit: {:?}\n--- stdout\n{}\n--- stderr\n{}", output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Throwaway hosts that are destroyed when this is dropped, also when the test fails.
pub struct Lab {
    name: &'static str,
}

impl Lab {
    /// Boots a lab. `Err`: why it cannot run here.
    pub fn up(name: &'static str, args: &[&str]) -> Result<Lab, String> {
        if !is_root() {
            return Err("needs root".to_owned());
        }
        if !has("systemd-nspawn") {
            return Err("needs systemd-nspawn (package systemd-container)".to_owned());
        }
        let lab = Lab { name };
        let output = lab.command(&["up", "--fresh"]).args(args).output().expect("the binary starts");
        assert!(output.status.success(), "lab up failed\n{}", said(&output));
        Ok(lab)
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = nodewright();
        command.args(["lab", "--name", self.name]).args(args);
        command
    }

    pub fn inventory(&self) -> PathBuf {
        self.dir().join("inventory.yaml")
    }

    pub fn dir(&self) -> PathBuf {
        let home = std::env::var_os("NODEWRIGHT_LAB_HOME").map_or_else(|| PathBuf::from("/var/lib/nodewright/lab"), PathBuf::from);
        home.join("labs").join(self.name)
    }

    /// Runs a command on a host as root and returns what it printed.
    pub fn on(&self, host: &str, script: &str) -> Output {
        self.command(&["ssh", host, "--", "sudo", "sh", "-c", &format!("'{}'", script.replace('\'', "'\\''"))])
            .output()
            .expect("the binary starts")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // A second failure would hide the first.
        let _ = self.command(&["destroy"]).output();
    }
}

pub fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

pub fn has(program: &str) -> bool {
    Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Whether Kubernetes' binaries are at hand, so that a test does not have to build them for nine minutes.
pub fn has_kubernetes() -> bool {
    std::env::var_os("NODEWRIGHT_KUBERNETES").is_some()
        || Path::new("/var/lib/nodewright/lab/mirror").exists()
        || project().join("../shared/testbed/kubernetes-1.20.2-amd64.tar.zst").exists()
}

/// An ansible-playbook with ansible.posix and community.general: `NODEWRIGHT_ANSIBLE_PLAYBOOK`, or one that pip installs below `target/`, by the newest
/// Python that is there: of ansible-core 2.21, whose language we speak, Python 3.12 is the oldest.
pub fn ansible_playbook() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("NODEWRIGHT_ANSIBLE_PLAYBOOK") {
        return Ok(path.into());
    }
    let (python, version) = newest_python().ok_or("needs python3")?;
    let venv = project().join(format!("target/ansible-python{version}"));
    let program = venv.join("bin/ansible-playbook");
    if program.exists() {
        return Ok(program);
    }
    let run = |command: &mut Command| {
        command.output().map_err(|err| err.to_string()).and_then(|output| if output.status.success() { Ok(()) } else { Err(said(&output)) })
    };
    run(Command::new(python).args(["-m", "venv"]).arg(&venv)).map_err(|err| format!("python3 cannot make an environment: {err}"))?;
    run(Command::new(venv.join("bin/pip")).args(["install", "--quiet", "ansible", "jmespath", "netaddr"]))
        .map_err(|err| format!("pip cannot install ansible: {err}"))?;
    Ok(program)
}

/// The same, if it speaks the version of the language that we do.
pub fn ansible_playbook_2_21() -> Result<PathBuf, String> {
    let ansible = ansible_playbook()?;
    let version = Command::new(&ansible).arg("--version").output().map_err(|err| err.to_string())?;
    match text(&version.stdout).contains("[core 2.21.") {
        true => Ok(ansible),
        false => Err("needs ansible-core 2.21, for which pip needs Python 3.12 or newer".to_owned()),
    }
}

/// The newest Python that can be found and works, with its version: of PATH, and of pyenv, which keeps those that are not chosen out of it.
fn newest_python() -> Option<(PathBuf, String)> {
    let mut candidates: Vec<PathBuf> = ["python3.14", "python3.13", "python3.12", "python3"].map(PathBuf::from).into();
    let pyenv = std::env::home_dir().unwrap_or_default().join(".pyenv/versions");
    candidates.extend(std::fs::read_dir(pyenv).into_iter().flatten().flatten().map(|entry| entry.path().join("bin/python3")));
    let version = |python: &PathBuf| {
        let program = "import sys; print('%d.%d' % sys.version_info[:2])";
        let output = Command::new(python).args(["-c", program]).output().ok().filter(|output| output.status.success())?;
        let text = text(&output.stdout).trim().to_owned();
        let minor: u32 = text.strip_prefix("3.")?.parse().ok()?;
        Some((minor, text))
    };
    let found = candidates.into_iter().filter_map(|python| version(&python).map(|(minor, version)| (minor, python, version)));
    found.max_by_key(|(minor, ..)| *minor).map(|(_, python, version)| (python, version))
}

/// The counts of a recap, `changed` and so on, by host.
pub fn recap(stdout: &str) -> Vec<(String, Vec<(String, u32)>)> {
    let recap = stdout.split("PLAY RECAP").nth(1).unwrap_or_default();
    let host = |line: &str| {
        let (name, counts) = line.split_once(" : ")?;
        let counts = counts
            .split_whitespace()
            .filter_map(|field| field.split_once('='))
            .map(|(name, count)| (name.to_owned(), count.parse().unwrap_or(u32::MAX)));
        Some((name.trim().to_owned(), counts.collect()))
    };
    recap.lines().filter_map(host).collect()
}

/// The count of one field over all hosts.
pub fn total(stdout: &str, field: &str) -> u32 {
    let recap = recap(stdout);
    assert!(!recap.is_empty(), "no recap in:\n{stdout}");
    recap.iter().flat_map(|(_, counts)| counts).filter(|(name, _)| name == field).map(|(_, count)| count).sum()
}

fn is_header(line: &str) -> bool {
    ["PLAY ", "TASK ", "RUNNING HANDLER ", "NO MORE HOSTS"].iter().any(|start| line.starts_with(start))
}

fn is_result(line: &str) -> bool {
    let starts = ["ok: [", "changed: [", "skipping: [", "failed: [", "fatal: [", "included: ", "FAILED - RETRYING", "...ignoring"];
    starts.iter().any(|start| line.starts_with(start)) || line.contains(" : ok=")
}

/// A run's output without what may differ: stars, times, paths, the order of hosts within a task, the results of failures (their words are our own).
pub fn transcript(stdout: &str, places: &[(&Path, &str)], code: Option<i32>) -> String {
    let mut out = String::new();
    let mut records: Vec<String> = Vec::new();
    let flush = |records: &mut Vec<String>, out: &mut String| {
        records.sort();
        out.extend(records.drain(..));
    };
    // ansible-core explains a failure before its line, in words of its own; so do we, on standard error.
    let mut in_explanation = false;
    for line in stdout.lines() {
        in_explanation = line.starts_with("[ERROR]") || (in_explanation && !is_header(line) && !is_result(line));
        if in_explanation || line.starts_with("No config file found") {
            continue;
        }
        // How often one has to look at a job is a matter of time.
        if line.starts_with("FAILED - RETRYING") && line.contains("until it has ended") {
            continue;
        }
        let line = places.iter().fold(line.to_owned(), |line, (path, name)| line.replace(&path.display().to_string(), name));
        let line = line.trim_end();
        let line = line.split_once(": jid=").map_or(line, |(before, _)| before);
        if line.is_empty() {
            continue;
        }
        // ansible-core says this twice when the hosts that are left are not to go on.
        if line.starts_with("NO MORE HOSTS") && out.trim_end().ends_with("NO MORE HOSTS LEFT") && records.is_empty() {
            continue;
        }
        if is_header(line) {
            flush(&mut records, &mut out);
            out.push_str(line.trim_end_matches('*').trim_end());
            out.push('\n');
        } else if is_result(line) {
            records.push(format!("{}\n", settled(line)));
        } else if let Some(record) = records.last_mut() {
            record.push_str(line);
            record.push('\n');
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    flush(&mut records, &mut out);
    out.push_str(&format!("exit {}\n", code.unwrap_or(-1)));
    out
}

/// A result's line without the result of a failure, and with the hosts of an include in order.
fn settled(line: &str) -> String {
    if let Some((file, hosts)) = line.strip_prefix("included: ").and_then(|line| line.split_once(" for ")) {
        let (hosts, item) = hosts.split_once(" => ").unwrap_or((hosts, ""));
        let mut hosts: Vec<&str> = hosts.split(", ").collect();
        hosts.sort_unstable();
        return format!("included: {file} for {} {item}", hosts.join(", ")).trim_end().to_owned();
    }
    match line.split_once("! => {") {
        Some((before, _)) => format!("{before}!"),
        None => match (line.starts_with("failed: ["), line.split_once(") => {")) {
            (true, Some((before, _))) => format!("{before})"),
            _ => line.to_owned(),
        },
    }
}

/// Every file below some folders with its mode, owner and content, but for what every boot makes anew.
pub fn files(lab: &Lab, folders: &str) -> BTreeMap<String, String> {
    let script = r#"find FOLDERS -xdev \( -type f -o -type l \) ! -path "/etc/ssh/ssh_host_*" ! -name machine-id ! -name "*~" ! -name .updated -print0 | sort -z | while IFS= read -r -d "" file; do printf "%s %s %s\n" "$(stat -c "%a:%U:%G:%F" "$file" | tr " " -)" "$(if [ -L "$file" ]; then readlink "$file" | tr " " -; else sha256sum < "$file" | cut -c1-64; fi)" "$file"; done"#
        .replace("FOLDERS", folders);
    let output = lab.on("node-1", &format!("exec bash -c {}", shell_quote(&script)));
    assert!(output.status.success(), "{}", said(&output));
    let entry = |line: &str| {
        let mut parts = line.splitn(3, ' ');
        let what = format!("{} {}", parts.next()?, parts.next()?);
        Some((parts.next()?.to_owned(), what))
    };
    text(&output.stdout).lines().filter_map(entry).collect()
}

fn shell_quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
