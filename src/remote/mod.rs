//! The wire: one connection per host, one open shell per user on it, scripts one after another. Knows scripts and outputs, not tasks.

use crate::sh::{Output, Script};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Whom to connect to, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The inventory's name, for messages.
    pub name: String,
    pub transport: Transport,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Transport {
    /// This machine: `connection: local`.
    Local,
    Ssh(Box<Ssh>),
}

/// What the inventory and the command line say; the rest comes from ssh_config.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ssh {
    /// A name or an address: what `ssh` would be given (an alias of ssh_config is resolved).
    pub host: String,
    pub port: Option<u16>,
    pub user: Option<String>,
    pub private_keys: Vec<PathBuf>,
    pub password: Option<String>,
    /// `ssh-ed25519 AAAA...`: the only key that is accepted from this host.
    pub pinned_host_key: Option<String>,
    pub accept_new_host_keys: bool,
    /// `user@host:port`, or several joined by commas, as in ssh_config.
    pub proxy_jump: Option<String>,
    pub connect_timeout: Option<Duration>,
}

/// As whom a script runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Become {
    pub method: BecomeMethod,
    pub user: String,
    pub password: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BecomeMethod {
    Sudo,
    Su,
}

/// How a script is run.
#[derive(Clone, Default)]
pub struct Run {
    pub r#become: Option<Become>,
    /// The process group is killed after this.
    pub timeout: Option<Duration>,
    /// Gets the script's output lines while it runs.
    pub on_line: Option<Arc<dyn Fn(&str) + Send + Sync>>,
}

/// An open connection to one host. Cheap to clone; calls may overlap: scripts of one user run in the order of the calls, and a call made
/// while another runs is on its way already.
#[derive(Clone)]
pub struct Connection {}

impl Connection {
    pub async fn connect(_target: &Target) -> Result<Connection, ConnectError> {
        todo!("helper remote")
    }

    /// Runs a script that only reads, to its end. If the connection is lost it is simply run again.
    pub async fn probe(&self, _script: Script, _run: Run) -> Result<Output, RunError> {
        todo!()
    }

    /// Runs a script that changes something, as a job: detached, in its own process group, never twice.
    pub async fn apply(&self, _script: Script, _run: Run) -> Result<Output, RunError> {
        todo!()
    }

    /// Ends the shells and the connection.
    pub async fn close(self) {
        todo!()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("BUG: replaced by remote")]
    Placeholder,
}

/// Why a script has no output.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("the connection was lost and could not be made again")]
    Lost(#[source] ConnectError),
    /// sudo or su did not let us in: an unreachable host, as in Ansible.
    #[error("cannot become `{user}`: {reason}")]
    Become { user: String, reason: String },
    #[error("timed out after {} s; its processes were killed", after.as_secs())]
    Timeout { after: Duration, stdout: Vec<u8>, stderr: Vec<u8> },
}
