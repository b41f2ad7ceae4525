//! The interface between a run and everything that tells of it.

use crate::cost::{self, Cost, Counts};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::time::Duration;

/// One thing that happened, in order. Secrets are masked before an event is made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A run that was cut off goes on. So many tasks each host has done already; they are told with `before`.
    Resuming {
        run: String,
        done: IndexMap<String, usize>,
    },
    PlaybookStarted {
        playbook: String,
        n_plays: usize,
    },
    /// `hosts` are all hosts of the play; empty: no host matched.
    PlayStarted {
        name: String,
        hosts: Vec<String>,
        check_mode: bool,
    },
    /// No host of the inventory matches the play's pattern: it is passed over.
    NoHostsMatched,
    /// A task, handler or fact gathering begins on some hosts. `name` is as Ansible prints it: `role : name`. `place` is `file:line`.
    TaskStarted {
        task: usize,
        /// The number under which it began for the first time: another batch does it again, and so may handlers be.
        #[serde(default)]
        first: usize,
        name: String,
        kind: TaskKind,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<String>,
        /// The module, as the playbook names it.
        #[serde(default)]
        action: String,
        place: String,
        check_mode: bool,
    },
    /// A host has begun the task. `task` is the number given in `TaskStarted`.
    HostStarted {
        task: usize,
        host: String,
    },
    /// A line of output of a running script.
    HostOutput {
        task: usize,
        host: String,
        line: String,
    },
    /// How much of a large file is on its way to the host, in bytes: of the task it is for.
    HostSends {
        task: usize,
        host: String,
        sent: u64,
        total: u64,
    },
    /// How much of a large file of the host has come, in bytes.
    HostReceives {
        task: usize,
        host: String,
        received: u64,
        total: u64,
    },
    /// Something that the host waits for: `apt's lock, held by unattended-upgr (pid 812)`.
    HostWaits {
        task: usize,
        host: String,
        what: String,
    },
    /// One item of a loop is done.
    ItemFinished {
        task: usize,
        result: HostResult,
    },
    /// `until` was not met yet.
    Retrying {
        task: usize,
        host: String,
        delegated_to: Option<String>,
        name: String,
        left: u32,
        result: Json,
        /// Print the result, as with what ends a task.
        verbose: bool,
    },
    /// What a `meta` task does, or why it does nothing.
    Meta {
        task: usize,
        text: String,
    },
    /// A task with `async` was looked after, and goes on.
    AsyncPolled {
        task: usize,
        host: String,
        job: String,
    },
    /// A task with `async` that was waited for has ended.
    AsyncEnded {
        task: usize,
        host: String,
        job: String,
        failed: bool,
    },
    HostFinished {
        task: usize,
        result: HostResult,
    },
    /// Tasks were included for hosts.
    Included {
        task: usize,
        file: String,
        hosts: Vec<String>,
        item: Option<String>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        before: bool,
    },
    /// What a host's turn at a task cost. Told only if somebody asked (`--profile`), as the next two.
    TaskCost {
        task: usize,
        host: String,
        cost: Cost,
    },
    /// What all connections to a host cost.
    HostCost {
        host: String,
        counts: Counts,
    },
    /// What the program itself cost.
    RunCost {
        #[serde(with = "cost::seconds")]
        wall: Duration,
        /// Before the first play: reading inventory and playbooks.
        #[serde(with = "cost::seconds")]
        loading: Duration,
        #[serde(with = "cost::seconds")]
        cpu: Duration,
        /// In bytes.
        peak_memory: Option<u64>,
    },
    NoMoreHosts,
    /// The run is asked to end early: what that means now.
    Interrupted {
        text: String,
    },
    /// Something is asked on the terminal before the run goes on.
    Asked {
        question: String,
    },
    Warning {
        text: String,
    },
    /// A mistake that ends the run: drawn with its caret, and as ansible-core prints it.
    Broken {
        diagnosis: String,
        error: String,
    },
    /// The last event. Hosts in the order of their names.
    Recap {
        hosts: IndexMap<String, Stats>,
        /// What `set_stats` gathered, of hosts and (without a name) of the whole run.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        custom: Vec<(Option<String>, Json)>,
        elapsed: Duration,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    Task,
    Handler,
    GatherFacts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Ok,
    Changed,
    Skipped,
    Failed,
    Unreachable,
}

/// How a task, or one item of its loop, ended on a host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostResult {
    pub host: String,
    /// The module's short name.
    pub module: Cow<'static, str>,
    /// Where it was done, if not on `host`.
    pub delegated_to: Option<String>,
    pub status: Status,
    /// The failure was ignored (`ignore_errors`, `ignore_unreachable`).
    pub ignored: bool,
    /// The failure is followed by a `rescue`.
    pub rescued: bool,
    /// It was done before the run was cut off, and is not done again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub before: bool,
    /// The loop item's label, for an item.
    pub item: Option<String>,
    /// The whole loop is done; `result.results` holds the items.
    pub is_loop: bool,
    /// What the module returned, censored if `no_log`.
    pub result: Json,
    /// Print the result even when nothing failed (`debug`), as Ansible's `_ansible_verbose_always`.
    pub verbose: bool,
    /// What was wrong in the user's own file, drawn with its caret, without colour.
    pub diagnosis: Option<String>,
    /// Why it failed and where that stands, as ansible-core prints it.
    pub error: Option<String>,
    pub elapsed: Duration,
}

/// A host's line of the recap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    pub ok: u32,
    pub changed: u32,
    pub unreachable: u32,
    pub failed: u32,
    pub skipped: u32,
    pub rescued: u32,
    pub ignored: u32,
}
