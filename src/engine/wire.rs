//! A task's way to its host: the connection, and how its scripts run there.

use super::Run;
use super::connect::Place;
use super::connections::Leftovers;
use super::costs::{Spent, Waiting};
use super::execute::Trouble;
use super::task::TaskRun;
use crate::remote::{Connection, JobName, JobState, Meter, OnSent, Run as Running, RunError, Sought};
use crate::report::Event;
use crate::sh::{Output, Script};
use crate::vars::View;
use std::sync::Arc;
use std::time::Duration;

/// A task's way to its host: the connection, and how its scripts run.
#[derive(Clone)]
pub struct Wire {
    connection: Connection,
    leftovers: Arc<Leftovers>,
    waits: Arc<dyn Fn(String) + Send + Sync>,
    run: Arc<Run>,
    running: Running,
    on_received: OnSent,
    spent: Option<Arc<Spent>>,
}

impl Wire {
    pub async fn open(task_run: &TaskRun, place: &Place, view: &Arc<View>) -> Result<Wire, Trouble> {
        let run = &task_run.playing.run;
        let keywords = &task_run.task().keywords;
        let timeout = run.timeout_of(keywords, view)?;
        let waiting = task_run.waiting(&place.target);
        let opened = run.connections.at(place).await;
        if let Some(words) = run.connections.complaint() {
            run.warn(words);
        }
        let (connection, leftovers) = opened.map_err(|err| Trouble::Unreachable(super::chain(&err)))?;
        drop(waiting);
        let (events, number, host) = (run.clone(), task_run.number, task_run.host.to_string());
        let waits = move |what| events.emit(Event::HostWaits { task: number, host: host.clone(), what });
        let (events, number, host) = (run.clone(), task_run.number, task_run.host.to_string());
        let no_log = task_run.is_no_log(view);
        let on_line = move |line: &str| {
            if !no_log {
                events.emit(Event::HostOutput { task: number, host: host.clone(), line: line.to_owned() });
            }
        };
        let (events, number, host) = (run.clone(), task_run.number, task_run.host.to_string());
        let on_sent = move |sent, total| events.emit(Event::HostSends { task: number, host: host.clone(), sent, total });
        let (events, number, host) = (run.clone(), task_run.number, task_run.host.to_string());
        let on_received = move |received, total| events.emit(Event::HostReceives { task: number, host: host.clone(), received, total });
        let waits: Arc<dyn Fn(String) + Send + Sync> = Arc::new(waits);
        let told = waits.clone();
        let on_wait = move |what: &str| {
            // The names of processes have their arguments with them.
            told(if no_log { "something (`no_log` is set for the task)".to_owned() } else { what.to_owned() });
        };
        let stall_after = run.settings.config.number("NODEWRIGHT_STALL_AFTER").and_then(|seconds| u64::try_from(seconds).ok());
        let running = Running {
            r#become: place.r#become.clone(),
            timeout,
            on_line: Some(Arc::new(on_line)),
            on_sent: Some(Arc::new(on_sent)),
            on_wait: Some(Arc::new(on_wait)),
            stall_after: stall_after.filter(|seconds| *seconds > 0).map(Duration::from_secs),
            title: task_run.name.clone(),
            ..Running::default()
        };
        Ok(Wire {
            connection,
            leftovers,
            waits,
            run: run.clone(),
            running,
            on_received: Arc::new(on_received),
            spent: task_run.spent.clone(),
        })
    }

    /// From now on the task waits for the host, until this is dropped.
    pub fn waiting(&self) -> Option<Waiting> {
        self.spent.as_ref().map(|spent| Waiting::new(spent, self.meter().clone()))
    }

    /// The same way for a script that goes together with others, and for which the task does not wait at once.
    pub fn together(&self, question: u64) -> Wire {
        let running = Running { question: Some(question), ..self.running.clone() };
        Wire { running, spent: None, ..self.clone() }
    }

    pub fn meter(&self) -> &Arc<Meter> {
        self.connection.meter()
    }

    /// Runs a script that only reads.
    pub async fn ask(&self, script: Script) -> Result<Output, RunError> {
        let _waiting = self.waiting();
        let quiet = Running { on_line: None, ..self.running.clone() };
        if !self.leftovers.are_known() {
            let (answer, had_to_wait) = tokio::join!(self.connection.probe(script.clone(), quiet.clone()), self.settle());
            if !had_to_wait? {
                return answer;
            }
        }
        self.connection.probe(script, quiet).await
    }

    /// Nothing is changed while a job of an earlier run goes on.
    async fn settle(&self) -> Result<bool, RunError> {
        let had_to_wait = self.leftovers.end(&self.connection, self.waits.as_ref()).await?;
        if had_to_wait {
            // Nor does what was read ahead meanwhile count.
            self.run.ahead.something_changes();
        }
        Ok(had_to_wait)
    }

    /// Starts a script as a job that nobody follows; it is killed after `seconds`. Returns its id.
    pub async fn start(&self, script: Script, seconds: u64, job: Option<JobName>) -> Result<String, RunError> {
        let _waiting = self.waiting();
        self.settle().await?;
        let alone = Running { on_line: None, timeout: Some(Duration::from_secs(seconds)), job, ..self.running.clone() };
        self.connection.start(script, alone).await
    }

    pub async fn look(&self, job: &str) -> Result<JobState, RunError> {
        let _waiting = self.waiting();
        self.connection.look(job, Running { on_line: None, ..self.running.clone() }).await
    }

    pub async fn forget(&self, job: &str) -> Result<(), RunError> {
        let _waiting = self.waiting();
        self.connection.forget(job, Running { on_line: None, ..self.running.clone() }).await
    }

    pub async fn apply(&self, script: Script, job: Option<JobName>) -> Result<Output, RunError> {
        let _waiting = self.waiting();
        self.settle().await?;
        self.connection.apply(script, Running { job, ..self.running.clone() }).await
    }

    /// Brings a file of the host to an empty one of ours; returns the SHA-1 of what came.
    pub async fn receive(&self, sought: &Sought<'_>, to: &mut tokio::fs::File) -> Result<String, RunError> {
        let _waiting = self.waiting();
        let running = Running { on_sent: Some(self.on_received.clone()), ..self.running.clone() };
        self.connection.receive(sought, to, running).await
    }

    /// Lets the host forget a job, whenever it is spoken to next.
    pub fn forget_later(&self, job: String) {
        self.connection.forget_later(job, &self.running.r#become);
    }
}
