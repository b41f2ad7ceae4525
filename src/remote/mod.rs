//! The wire: one connection per host, one open shell per user on it, scripts one after another. Knows scripts and outputs, not tasks.
//!
//! From the bottom up: [`ssh`] and [`local`] start programs on a host and carry their streams ([`wire`] hides which); [`escalate`] says which
//! command line gives a shell as somebody else; [`shell`] opens such a shell and stays at its side; [`queue`] puts scripts through it,
//! one after another, and after a lost connection goes on where it was; [`upload`] brings what is too large for a script, and [`download`] what is too large for its output.

use crate::sh::{Output, Script};
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;

mod algorithms;
mod auth;
mod call;
mod download;
mod error;
mod escalate;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod guarded;
mod known_hosts;
mod lines;
mod local;
mod meter;
mod negotiation;
mod prompt;
mod queue;
mod shared_file;
mod shell;
mod ssh;
mod ssh_config;
mod ssh_files;
pub(crate) mod ssh_options;
mod text;
mod upload;
mod wire;

pub use download::Sought;
pub use error::{ConnectError, HostKeyError, RunError};
pub use local::allow_open_files;
pub use meter::Meter;

/// A password: never shown by `{:?}`.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Drop for Secret {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

impl Secret {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<S: Into<String>> From<S> for Secret {
    fn from(text: S) -> Secret {
        let text = text.into();
        crate::secrets::register(&text);
        Secret(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

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
    pub password: Option<Secret>,
    /// `ssh-ed25519 AAAA...`: the only key that is accepted from this host.
    pub pinned_host_key: Option<String>,
    pub accept_new_host_keys: bool,
    /// Words of ssh_config, in small letters, that beat what the files say.
    pub options: Vec<(String, String)>,
    /// `user@host:port`, or several joined by commas, as in ssh_config.
    pub proxy_jump: Option<String>,
    /// Ten seconds if neither this nor ssh_config says otherwise.
    pub connect_timeout: Option<Duration>,
    /// Instead of `~/.ssh/config`, as `ssh -F`.
    pub config_file: Option<PathBuf>,
    /// How often to try again to connect at first, whatever is in the way. If not given: a few times where the connection was there and broke off.
    pub connect_retries: Option<u32>,
    /// How long to try to make a lost connection again: five minutes if not given.
    pub reconnect_for: Option<Duration>,
}

/// As whom a script runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Become {
    pub method: BecomeMethod,
    pub user: String,
    pub password: Option<Secret>,
    /// Instead of the flags that are given otherwise: `-H` to sudo, none to su.
    pub flags: Option<String>,
    /// The program, if it is not the one of that name in the PATH.
    pub exe: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BecomeMethod {
    #[default]
    Sudo,
    Su,
}

/// Gets the lines of a script's output while it runs.
pub type OnLine = Arc<dyn Fn(&str) + Send + Sync>;

/// Hears how much of a large file is on its way already, and of how much.
pub type OnSent = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// How a script is run.
#[derive(Clone, Default)]
pub struct Run {
    pub r#become: Option<Become>,
    /// The process group is killed after this.
    pub timeout: Option<Duration>,
    pub on_line: Option<OnLine>,
    pub on_sent: Option<OnSent>,
    /// Gets to know what is waited for.
    pub on_wait: Option<OnLine>,
    /// After so long without output and without work, it is asked what a job waits for.
    pub stall_after: Option<Duration>,
    /// What a later run calls this job if it finds it unfinished: the task's name.
    pub title: String,
    /// By [`Meter::ask`], where several scripts are decided on at once: they make one round trip, whenever each of them gets on its way.
    pub question: Option<u64>,
    /// What the job is called, where somebody keeps account of it.
    pub job: Option<JobName>,
}

/// The name of a job, chosen before it is sent. What it leaves on the host stays there until [`Connection::forget_later`].
#[derive(Clone, Debug)]
pub struct JobName {
    pub id: String,
    /// It may be there already, sent so long ago by a run that did not see its end: then it is followed from its beginning and not started again.
    pub sent: Option<Duration>,
}

impl JobName {
    pub fn new() -> JobName {
        JobName { id: frame::random_id(), sent: None }
    }
}

impl Default for JobName {
    fn default() -> JobName {
        JobName::new()
    }
}

/// A job of an earlier run that still goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct UnfinishedJob {
    pub id: String,
    pub since: SystemTime,
    /// The title it was started with.
    pub what: String,
}

/// How a job stands that was started aside.
#[derive(Clone, Debug)]
pub enum JobState {
    Running,
    /// `late`: it was killed because its time was over.
    Ended {
        output: Output,
        late: bool,
    },
    /// The host knows nothing of it, or it was ended from outside.
    Gone,
}

/// An open connection to one host. Cheap to clone; calls may overlap: scripts of one user run in the order of the calls, and a probe made
/// while another runs is on its way already.
#[derive(Clone)]
pub struct Connection {
    inner: Arc<Inner>,
}

struct Inner {
    wire: Arc<wire::Wire>,
    queues: Mutex<HashMap<Option<Become>, mpsc::UnboundedSender<call::Call>>>,
    ended: Mutex<Vec<tokio::task::JoinHandle<()>>>,
}

impl Connection {
    pub async fn connect(target: &Target) -> Result<Connection, ConnectError> {
        Connection::measured(target, Arc::default()).await
    }

    /// Connects, and counts what that and everything after it costs.
    pub async fn measured(target: &Target, meter: Arc<Meter>) -> Result<Connection, ConnectError> {
        static RUN: OnceLock<String> = OnceLock::new();
        Connection::of_run(target, "/bin/sh", RUN.get_or_init(frame::random_id), meter).await
    }

    async fn of_run(target: &Target, sh: &str, run: &str, meter: Arc<Meter>) -> Result<Connection, ConnectError> {
        let wire = Arc::new(wire::Wire::open(target, sh, run, meter).await?);
        Ok(Connection { inner: Arc::new(Inner { wire, queues: Mutex::default(), ended: Mutex::default() }) })
    }

    /// What this connection and those before it to the same host have cost.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.inner.wire.meter
    }

    /// Runs a script that only reads, to its end. If the connection is lost it is simply run again.
    pub async fn probe(&self, script: Script, run: Run) -> Result<Output, RunError> {
        text::check(&script)?;
        let input = upload::prepare(&self.inner.wire, &run, &script.input).await?;
        self.call(&run, call::Work::Probe(text::Probe { script, input })).await
    }

    /// Runs a script that changes something, as a job: detached, in its own process group, never twice.
    pub async fn apply(&self, script: Script, run: Run) -> Result<Output, RunError> {
        text::check(&script)?;
        let input = upload::prepare(&self.inner.wire, &run, &script.input).await?;
        self.call(&run, call::Work::Job(text::Job::new(&run, script, input, false))).await
    }

    /// Writes a file of the host to an empty one of ours, of whatever size, and returns the SHA-1 of what came: a file may change on the way.
    pub async fn receive(&self, sought: &Sought<'_>, to: &mut tokio::fs::File, run: Run) -> Result<String, RunError> {
        download::receive(&self.inner.wire, &run, sought, to).await
    }

    /// Starts a script as a job and does not wait for it; returns its id, for [`Connection::look`]. No later run waits for it either.
    pub async fn start(&self, script: Script, run: Run) -> Result<String, RunError> {
        text::check(&script)?;
        let input = upload::prepare(&self.inner.wire, &run, &script.input).await?;
        let job = text::Job::new(&run, script, input, true);
        let id = job.name.id.clone();
        self.call(&run, call::Work::Job(job)).await.map(|_| id)
    }

    /// How a job stands that was started aside.
    pub async fn look(&self, id: &str, run: Run) -> Result<JobState, RunError> {
        self.probe(text::look(id), run).await.map(text::looked)
    }

    /// Removes what a job left that was started aside.
    pub async fn forget(&self, id: &str, run: Run) -> Result<(), RunError> {
        self.probe(Script::new(format!("rm -rf -- \"$nw_jobs\"/{}", crate::sh::quote(id))), run).await.map(drop)
    }

    /// Removes what a job left whose end was seen: with the next words to the host, or the last ones.
    pub fn forget_later(&self, id: String, r#become: &Option<Become>) {
        let (call, _) = call::Call::new(&Run::default(), call::Work::Forget(id));
        // If the shell is gone, a later run removes it.
        let _ = self.queue(r#become).send(call);
    }

    /// Jobs of earlier runs, of the user that `run` names, that have not ended. Removes what older ones left behind.
    /// The question is on its way when this returns: before what is asked later.
    pub fn unfinished_jobs(&self, run: Run) -> impl Future<Output = Result<Vec<UnfinishedJob>, RunError>> + Send + use<> {
        let probe = text::Probe { script: Script::new("nw_unfinished"), input: upload::Prepared::None };
        let answer = self.send(&run, call::Work::Probe(probe));
        async move { Ok(answer.await?.stdout_text().lines().filter_map(text::unfinished_job).collect()) }
    }

    /// Follows a job of another run to its end. What it leaves is not removed at once, for that run may still be there and follow it too.
    pub async fn wait_for_job(&self, job: &UnfinishedJob, run: Run) -> Result<Output, RunError> {
        self.call(&run, call::Work::Follow(job.id.clone())).await
    }

    /// Whether this is the only handle to it: then nothing goes on there either.
    pub fn is_idle(&self) -> bool {
        Arc::strong_count(&self.inner) == 1
    }

    /// Ends what is running: probes at once, jobs by a signal, and their end is waited for. Nothing new is begun from now on.
    pub fn interrupt(&self) {
        self.inner.wire.interrupts.send_replace(true);
    }

    /// Ends the shells and the connection.
    pub async fn close(self) {
        let since = Instant::now();
        lock(&self.inner.queues).clear();
        let ended = std::mem::take(&mut *lock(&self.inner.ended));
        for queue in ended {
            let _ = queue.await;
        }
        self.inner.wire.close().await;
        self.inner.wire.meter.count(|counts| counts.closing += since.elapsed());
    }

    async fn call(&self, run: &Run, work: call::Work) -> Result<Output, RunError> {
        self.send(run, work).await
    }

    /// Takes its place in the queue at once.
    fn send(&self, run: &Run, work: call::Work) -> impl Future<Output = Result<Output, RunError>> + Send + use<> {
        let (call, answer) = call::Call::new(run, work);
        let sent = self.queue(&run.r#become).send(call);
        async move {
            let closed = || RunError::Shell("the connection was closed".to_owned());
            sent.map_err(|_| closed())?;
            answer.await.unwrap_or_else(|_| Err(closed()))
        }
    }

    fn queue(&self, r#become: &Option<Become>) -> mpsc::UnboundedSender<call::Call> {
        let mut queues = lock(&self.inner.queues);
        match queues.get(r#become) {
            Some(queue) if !queue.is_closed() => queue.clone(),
            _ => {
                let (queue, ended) = queue::start(self.inner.wire.clone(), r#become.clone());
                lock(&self.inner.ended).push(ended);
                queues.insert(r#become.clone(), queue.clone());
                queue
            }
        }
    }
}

/// A lock whose holder panicked is still good: nothing is left half-done under it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
