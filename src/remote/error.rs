//! Why there is no connection, and why a script has no output.

use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use super::known_hosts::HostKeyError;

#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("cannot tell from the ssh configuration how to reach `{host}`: {reason}")]
    Config { host: String, reason: String },
    #[error("cannot find the address of `{host}`")]
    Resolve {
        host: String,
        #[source]
        source: Arc<io::Error>,
    },
    #[error("cannot connect to {address}")]
    Tcp {
        address: String,
        #[source]
        source: Arc<io::Error>,
    },
    #[error("no answer from {address} within {} s", after.as_secs_f32())]
    Timeout { address: String, after: Duration },
    #[error("{address} took the connection, and then said nothing that we could go on with for {} s", after.as_secs_f32())]
    Silent { address: String, after: Duration },
    #[error("the connection to {address} broke off: {reason}")]
    Broken { address: String, reason: String },
    #[error("{address} offers no {what} that is allowed: it has {}; {advice}", listed(offered))]
    NothingInCommon { address: String, what: &'static str, offered: Vec<String>, advice: String },
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    #[error("{address} does not let `{user}` in (it allows: {}); tried: {}", listed(allowed), listed(tried))]
    Auth { address: String, user: String, tried: Vec<String>, allowed: Vec<String> },
    #[error("cannot get through the jump host `{via}`")]
    Jump {
        via: String,
        #[source]
        source: Box<ConnectError>,
    },
}

fn listed(words: &[String]) -> String {
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

impl ConnectError {
    /// Whether it may go better in a moment: the host boots, the network is away. A wrong key or password stays wrong.
    pub fn is_transient(&self) -> bool {
        match self {
            ConnectError::Resolve { .. } | ConnectError::Tcp { .. } | ConnectError::Timeout { .. } => true,
            ConnectError::Silent { .. } | ConnectError::Broken { .. } => true,
            ConnectError::Config { .. } | ConnectError::HostKey(_) | ConnectError::Auth { .. } => false,
            ConnectError::NothingInCommon { .. } => false,
            ConnectError::Jump { source, .. } => source.is_transient(),
        }
    }

    /// Whether there was a host, and the connection did not last.
    pub(super) fn is_cut(&self) -> bool {
        match self {
            ConnectError::Silent { .. } | ConnectError::Broken { .. } => true,
            ConnectError::Jump { source, .. } => source.is_cut(),
            _ => false,
        }
    }
}

/// Why a script has no output.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RunError {
    #[error("the connection was lost and could not be made again")]
    Lost(#[source] ConnectError),
    /// sudo or su did not let us in: an unreachable host, as in Ansible.
    #[error("cannot become `{user}`: {reason}")]
    Become { user: String, reason: String },
    #[error("timed out after {} s; its processes were killed", after.as_secs_f32())]
    Timeout { after: Duration, stdout: Vec<u8>, stderr: Vec<u8> },
    /// Nothing can be run there at all.
    #[error("cannot run a shell on the host: {0}")]
    Shell(String),
    /// The job could not be set up; nothing was run.
    #[error("cannot start a job on the host: {0}")]
    Start(String),
    /// It was started, and nobody knows how it ended.
    #[error("{why}: it is not known how this ended")]
    Gone { why: &'static str, stdout: Vec<u8>, stderr: Vec<u8> },
    #[error("interrupted")]
    Interrupted,
    #[error("it wrote more than {} MiB of output; its processes were killed", limit >> 20)]
    TooMuchOutput { limit: usize },
    #[error("cannot send `{what}` to the host: {reason}")]
    Send { what: String, reason: String },
    #[error("cannot bring `{what}` from the host: {reason}")]
    Receive { what: String, reason: String },
    #[error("`{0}` cannot be the name of an environment variable")]
    EnvironmentName(String),
    #[error("a script cannot contain a NUL character")]
    Nul,
}
