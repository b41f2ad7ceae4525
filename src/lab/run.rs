//! Running the machine's own commands (`ip`, `mount`, ...) and telling what they said when they fail; and detached processes,
//! which outlive the command that started them and are found again by a pid file.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::error::LabError;

/// Runs a command to its end. Its output is read; a failure carries it, with `action` in front.
pub fn run<S: AsRef<OsStr>>(action: &str, program: &str, args: impl IntoIterator<Item = S>) -> Result<String, LabError> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    let output = command.output().map_err(|err| LabError::Start { program: program.to_owned(), err })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    Err(LabError::Command {
        action: action.to_owned(),
        command: words(&command),
        ending: output.status.to_string(),
        output: if said.trim().is_empty() { String::new() } else { format!(": {}", said.trim()) },
    })
}

/// Whether a command that is asked a question says yes.
pub fn succeeds(program: &str, args: &[&str]) -> Result<bool, LabError> {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map(|status| status.success())
        .map_err(|err| LabError::Start { program: program.to_owned(), err })
}

/// Runs one of the lab's scripts; its progress goes to this process's stderr, its stdout comes back.
pub fn script(action: &str, path: &Path, args: &[&OsStr], environment: &[(&str, &Path)]) -> Result<String, LabError> {
    let mut command = Command::new("bash");
    command.arg(path).args(args).envs(environment.iter().copied()).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().map_err(|err| LabError::Start { program: "bash".to_owned(), err })?;
    if !output.status.success() {
        return Err(LabError::Command {
            action: action.to_owned(),
            command: words(&command),
            ending: output.status.to_string(),
            output: String::new(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// A process that outlives us. `mark` is a word of its command line by which it is told from a stranger that got its number
/// after a reboot of the machine.
pub struct Detached<'a> {
    pub pid_file: &'a Path,
    pub mark: &'a OsStr,
}

impl Detached<'_> {
    /// Starts `command` in a session of its own, with its output in `log`.
    pub fn start(&self, command: &[&OsStr], log: &Path) -> Result<(), LabError> {
        let out = File::create(log).map_err(LabError::path("create", log))?;
        let err = out.try_clone().map_err(LabError::path("open", log))?;
        let child = Command::new("setsid")
            .args(command)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(|err| LabError::Start { program: "setsid".to_owned(), err })?;
        fs::write(self.pid_file, child.id().to_string()).map_err(LabError::path("write", self.pid_file))
    }

    /// Its process id, if it runs.
    pub fn pid(&self) -> Option<u32> {
        let pid: u32 = fs::read_to_string(self.pid_file).ok()?.trim().parse().ok()?;
        is_running(pid, self.mark).then_some(pid)
    }

    /// Asks it to end with TERM, and waits.
    pub fn terminate(&self, limit: Duration) -> Result<bool, LabError> {
        let Some(pid) = self.pid() else { return Ok(true) };
        signal("TERM", pid)?;
        Ok(wait_until(limit, || self.pid().is_none()))
    }
}

/// Sends a signal; a process that is gone already is no failure.
pub fn signal(name: &str, pid: u32) -> Result<(), LabError> {
    succeeds("kill", &["-s", name, &pid.to_string()]).map(drop)
}

/// Looks again and again until the answer is yes or the time is up.
pub fn wait_until(limit: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_running(pid: u32, mark: &OsStr) -> bool {
    // A zombie has an empty command line: it is gone, and only its parent does not know yet
    let Ok(command_line) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    command_line.split(|&byte| byte == 0).any(|word| word == mark.as_encoded_bytes())
}
