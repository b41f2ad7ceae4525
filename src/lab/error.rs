//! What can go wrong with a lab: what was being done, to what, and why it did not work.

use std::io;
use std::path::PathBuf;

/// Everything a lab command can fail with.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    #[error("a lab cannot run here: {reason}\nhint: {hint}")]
    CannotRunHere { reason: String, hint: String },
    #[error("`{name}` cannot be the name of a lab: up to nine of a-z, 0-9 and -, beginning with a letter")]
    Name { name: String },
    #[error("lab `{lab}` has no host `{host}`; it has {known}")]
    NoSuchHost { lab: String, host: String, known: String },
    #[error(
        "lab `{lab}` has {existing} hosts, more than the {wanted} asked for\nhint: `lab up --fresh --nodes {wanted}` starts over with {wanted}"
    )]
    MoreHosts { lab: String, existing: usize, wanted: usize },
    #[error("host `{host}` is not running\nhint: `lab up` boots it")]
    NotRunning { host: String },
    #[error("a lab has 1 to {most} hosts, not {wanted}")]
    TooManyHosts { wanted: usize, most: usize },
    #[error("no free network: 10.77.0.0/24 to 10.77.255.0/24 are all in use on this machine")]
    NoFreeNetwork,
    #[error("{action} `{}`", path.display())]
    Path {
        action: &'static str,
        path: PathBuf,
        #[source]
        err: io::Error,
    },
    #[error("start `{program}`")]
    Start {
        program: String,
        #[source]
        err: io::Error,
    },
    #[error("{action}: `{command}` {ending}{output}")]
    Command { action: String, command: String, ending: String, output: String },
    #[error("host `{host}` did not answer on {address}:22 within {seconds} s: {last}\nhint: its console is in {}", console.display())]
    NoAnswer { host: String, address: String, seconds: u64, last: String, console: PathBuf },
    #[error("host `{host}` ended while it booted:\n{said}")]
    Ended { host: String, said: String },
    #[error("the mirror's server on {address} did not come up within {seconds} s\nhint: see {}", log.display())]
    NoServer { address: String, seconds: u64, log: PathBuf },
    #[error("host `{host}` would not power off, process {pid} is still there")]
    StillRunning { host: String, pid: u32 },
    #[error("BUG: {0} is not among the embedded lab scripts")]
    MissingScript(&'static str),
}

impl LabError {
    /// For `map_err`: an io error met while doing `action` to `path`.
    pub fn path(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> LabError {
        let path = path.into();
        move |err| LabError::Path { action, path, err }
    }
}
