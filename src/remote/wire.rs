//! A way to a host: starts programs there and carries their streams. Either russh or a child of ours; nothing above knows which.
//! Makes a lost connection again.

use super::error::ConnectError;
use super::{Meter, Target, Transport, local, ssh};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How often the first connection is tried again after it was cut, if no setting says otherwise.
const CUT_RETRIES: u32 = 4;
/// An sshd that has too many at its door turns some away at random, at once: they come again for so long, if no other time is given.
const DOORSTEP: Duration = Duration::from_secs(10);

/// A program that runs on the host.
pub(super) struct Process {
    pub stdin: Box<dyn AsyncWrite + Send + Unpin>,
    /// Ends without `Exit` when the connection is lost.
    pub output: mpsc::Receiver<Piece>,
}

#[derive(Debug)]
pub(super) enum Piece {
    Out(Vec<u8>),
    Err(Vec<u8>),
    Exit(i32),
}

impl Piece {
    pub fn len(&self) -> usize {
        match self {
            Piece::Out(bytes) | Piece::Err(bytes) => bytes.len(),
            Piece::Exit(_) => 0,
        }
    }
}

pub(super) struct Wire {
    pub target: Target,
    /// The shell that runs everything on the host.
    pub sh: String,
    /// This run of nodewright: its own jobs are not those of an earlier one, on whichever connection they are seen.
    pub run: String,
    /// Whom we were not allowed to become, and why: a wrong password is not tried again.
    pub refused: Mutex<HashMap<super::Become, String>>,
    /// Streams of files use a channel each, and sshd allows ten in all.
    pub streams: tokio::sync::Semaphore,
    pub meter: Arc<Meter>,
    /// What is running is to end, and nothing new to begin.
    pub interrupts: tokio::sync::watch::Sender<bool>,
    session: tokio::sync::Mutex<Option<Arc<Session>>>,
}

pub(super) enum Session {
    Local { user: String },
    Ssh(ssh::Session),
}

impl Session {
    async fn open(target: &Target, meter: &Arc<Meter>) -> Result<Session, ConnectError> {
        match &target.transport {
            Transport::Local => Ok(Session::Local { user: local::user_name().await }),
            Transport::Ssh(ssh) => Ok(Session::Ssh(ssh::Session::open(ssh, meter).await?)),
        }
    }

    fn is_closed(&self) -> bool {
        match self {
            Session::Local { .. } => false,
            Session::Ssh(session) => session.is_closed(),
        }
    }

    pub fn user(&self) -> &str {
        match self {
            Session::Local { user } => user,
            Session::Ssh(session) => session.user(),
        }
    }

    /// Starts a command line that every login shell understands.
    pub async fn start(&self, command: &str) -> Result<Process, ConnectError> {
        match self {
            Session::Local { .. } => local::start(command),
            Session::Ssh(session) => session.start(command).await,
        }
    }
}

/// Where nobody listens there is nobody to wait for. But a connection that was there and broke off is worth another try: the network is poor,
/// or sshd turns some away while too many come at once.
async fn first_session(target: &Target, meter: &Arc<Meter>) -> Result<Session, ConnectError> {
    let (given, doorstep) = match &target.transport {
        Transport::Local => (None, Duration::ZERO),
        Transport::Ssh(ssh) => (ssh.connect_retries, ssh.connect_timeout.unwrap_or(DOORSTEP)),
    };
    let give_up = Instant::now() + doorstep;
    let mut pauses = Pauses::default();
    let mut n_left = given.unwrap_or(CUT_RETRIES);
    loop {
        match Session::open(target, meter).await {
            Err(ConnectError::Broken { .. }) if given.is_none() && Instant::now() < give_up => pauses.pause().await,
            Err(error) if n_left > 0 && (error.is_cut() || (given.is_some() && error.is_transient())) => pauses.pause().await,
            settled => return settled,
        }
        n_left = n_left.saturating_sub(1);
    }
}

/// Longer from try to try.
struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Pauses {
        Pauses(Duration::from_millis(100))
    }
}

impl Pauses {
    async fn pause(&mut self) {
        // Not all hosts of a run at the same moment.
        tokio::time::sleep(self.0.mul_f64(rand::random_range(0.75..1.25))).await;
        self.0 = (self.0 * 2).min(Duration::from_secs(10));
    }
}

impl Wire {
    pub async fn open(target: &Target, sh: &str, run: &str, meter: Arc<Meter>) -> Result<Wire, ConnectError> {
        let session = first_session(target, &meter).await?;
        Ok(Wire {
            target: target.clone(),
            sh: sh.to_owned(),
            run: run.to_owned(),
            refused: Mutex::default(),
            streams: tokio::sync::Semaphore::new(2),
            meter,
            interrupts: tokio::sync::watch::channel(false).0,
            session: tokio::sync::Mutex::new(Some(Arc::new(session))),
        })
    }

    /// The connection, made again if it was lost, for as long as the target allows.
    pub async fn session(&self) -> Result<Arc<Session>, ConnectError> {
        let mut session = self.session.lock().await;
        if let Some(open) = session.as_ref()
            && !open.is_closed()
        {
            return Ok(open.clone());
        }
        *session = None;
        let give_up = Instant::now() + self.reconnect_for();
        let mut pauses = Pauses::default();
        loop {
            match Session::open(&self.target, &self.meter).await {
                Ok(open) => return Ok(session.insert(Arc::new(open)).clone()),
                Err(error) if !error.is_transient() || Instant::now() + pauses.0 > give_up => return Err(error),
                Err(_) => pauses.pause().await,
            }
        }
    }

    pub fn reconnect_for(&self) -> Duration {
        match &self.target.transport {
            Transport::Local => Duration::ZERO,
            Transport::Ssh(ssh) => ssh.reconnect_for.unwrap_or(Duration::from_secs(300)),
        }
    }

    pub async fn close(&self) {
        if let Some(session) = self.session.lock().await.take()
            && let Session::Ssh(session) = session.as_ref()
        {
            session.close().await;
        }
    }
}
