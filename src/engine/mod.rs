//! Plays over hosts. The only place where the language, the modules, the wire and the events meet.
//!
//! [`Run`] holds what lasts for the whole run; `play` takes one play through its batches; `strategy` decides which host does which task next,
//! asking each host's `cursor`; `task` runs one task on one host; `attempt` one item of it; `execute` runs one module there; `actions` are the
//! modules of the engine itself.

mod actions;
mod ahead;
mod argument_spec;
mod asynchronous;
mod attempt;
mod batches;
mod connect;
mod connections;
mod costs;
mod cursor;
mod custom_stats;
mod execute;
mod explaining;
mod fact_cache;
mod fetched;
mod handlers;
mod in_flight;
mod include;
mod include_vars;
mod interrupt;
mod journaling;
mod listing;
mod looping;
mod memory;
mod meta;
mod named_facts;
mod outcome;
mod play;
mod prompt;
mod ssh_args;
mod strategy;
mod tags;
mod task;
mod validating;
mod variables;
mod vars_files;
mod waiting;
mod wire;

pub use connect::{ConnectionSettings, SshArgs};
pub use explaining::Definition;
pub use interrupt::Cause;
pub use listing::Listed;
pub use tags::TagSelection;

use crate::config::Config;
use crate::inventory::Inventory;
use crate::journal::Keeping;
use crate::playbook::{Loader, Playbook};
use crate::report::{Event, Stats};
use crate::source::Diag;
use crate::template::Templar;
use crate::vars::VarMap;
use connections::Connections;
use indexmap::IndexMap;
use memory::Memory;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::Instant;

/// What the command line and the environment ask of a run.
pub struct Settings {
    /// How many hosts work at once.
    pub forks: usize,
    /// A host pattern that narrows every play's hosts.
    pub limit: Option<String>,
    pub tags: TagSelection,
    pub check: bool,
    pub diff: bool,
    pub extra_vars: Arc<VarMap>,
    pub force_handlers: bool,
    /// Send probes of coming tasks early.
    pub read_ahead: bool,
    pub verbosity: u8,
    /// When the program began to work, if it is to be told what everything costs.
    pub costs_since: Option<Instant>,
    /// Results are told in full, gathered facts among them.
    pub tells_results: bool,
    pub connection: ConnectionSettings,
    /// As given on the command line, for the variable `ansible_inventory_sources`.
    pub inventory_sources: Vec<String>,
    /// A pattern: the tasks before the first of such a name are passed over.
    pub start_at_task: Option<String>,
    /// Ask before each task.
    pub step: bool,
    /// Where what is done is written down, and what was done before.
    pub keeping: Option<Keeping>,
    pub config: Arc<Config>,
}

impl Settings {
    /// The settings of a run of which nothing was asked.
    pub fn new(config: Arc<Config>) -> Settings {
        Settings {
            forks: 50,
            limit: None,
            tags: TagSelection::new(Vec::new(), Vec::new()),
            check: false,
            diff: false,
            extra_vars: Arc::default(),
            force_handlers: false,
            read_ahead: true,
            verbosity: 0,
            costs_since: None,
            tells_results: true,
            connection: ConnectionSettings::default(),
            inventory_sources: Vec::new(),
            start_at_task: None,
            step: false,
            keeping: None,
            config,
        }
    }
}

/// How a run ended. The numbers are Ansible's exit codes, and those that a shell has for programs that a signal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Ok = 0,
    /// A play could not be run as it is written.
    Broken = 1,
    Failed = 2,
    Unreachable = 4,
    Interrupted = 99,
    HungUp = 129,
    Terminated = 143,
}

/// Why a host is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    Failed,
    Unreachable,
}

/// What `add_host` or `group_by` adds to the inventory.
enum Added {
    Host { name: String, groups: Vec<String>, vars: VarMap },
    ToGroup { host: Arc<str>, group: String, parents: Vec<String> },
}

impl Added {
    fn to(&self, inventory: &mut Inventory) -> Result<bool, Diag> {
        match self {
            Added::Host { name, groups, vars } => inventory.add_host(name, groups, vars.clone()),
            Added::ToGroup { host, group, parents } => inventory.add_to_group(host, group, parents),
        }
    }
}

/// One run of one or more playbooks: everything that outlives a play.
pub struct Run {
    settings: Settings,
    templar: Arc<Templar>,
    loader: Loader,
    /// The facts that may be asked for, if that is known.
    named_facts: OnceLock<BTreeSet<String>>,
    inventory: RwLock<Inventory>,
    memory: Memory,
    decrypted: vars_files::Decrypted,
    custom_stats: custom_stats::CustomStats,
    connections: Connections,
    ahead: ahead::Ahead,
    background: asynchronous::Background,
    stats: Mutex<IndexMap<String, Stats>>,
    /// Failed or unreachable: they take no part in later plays.
    out: Mutex<HashMap<Arc<str>, Loss>>,
    events: Box<dyn Fn(Event) + Send + Sync>,
    next_task: AtomicUsize,
    /// Turns in the journal, and prompts.
    next_turn: AtomicUsize,
    next_prompts: AtomicUsize,
    start_at: Mutex<Option<String>>,
    /// Ask before each task; no longer, when that was answered so.
    asks: AtomicBool,
    /// What tasks added to the inventory, in order.
    added: Mutex<Vec<Added>>,
    /// What has been warned of and need not be again.
    warned: Mutex<std::collections::HashSet<String>>,
    interrupts: interrupt::Interrupts,
    started: Instant,
    broken: AtomicBool,
    /// The recap has been told.
    is_told: AtomicBool,
    forks: Arc<tokio::sync::Semaphore>,
}

impl Run {
    pub fn new(
        settings: Settings,
        inventory: Inventory,
        loader: Loader,
        templar: Arc<Templar>,
        events: impl Fn(Event) + Send + Sync + 'static,
    ) -> Arc<Run> {
        let cache = fact_cache::FactCache::configured(&settings.config).unwrap_or_else(|words| {
            events(Event::Warning { text: words });
            None
        });
        let past = settings.keeping.as_ref().map(|keeping| &keeping.past);
        let next_turn = AtomicUsize::new(past.map_or(0, |past| past.next_turn));
        let connections = Connections::new(settings.costs_since, past.map(|past| past.jobs.clone()).unwrap_or_default());
        let forks = Arc::new(tokio::sync::Semaphore::new(settings.forks.max(1)));
        let (start_at, asks) = (Mutex::new(settings.start_at_task.clone()), AtomicBool::new(settings.step));
        Arc::new(Run {
            settings,
            templar,
            loader,
            named_facts: OnceLock::new(),
            inventory: RwLock::new(inventory),
            memory: Memory::new(cache),
            decrypted: vars_files::Decrypted::default(),
            custom_stats: custom_stats::CustomStats::default(),
            connections,
            ahead: ahead::Ahead::default(),
            background: asynchronous::Background::default(),
            stats: Mutex::default(),
            out: Mutex::default(),
            events: Box::new(events),
            next_task: AtomicUsize::new(0),
            next_turn,
            next_prompts: AtomicUsize::new(0),
            start_at,
            asks,
            added: Mutex::default(),
            warned: Mutex::default(),
            interrupts: interrupt::Interrupts::default(),
            started: Instant::now(),
            broken: AtomicBool::new(false),
            is_told: AtomicBool::new(false),
            forks,
        })
    }

    /// Runs the plays in order and tells the recap. Connections are closed at the end.
    pub async fn playbooks(self: &Arc<Self>, playbooks: Vec<(PathBuf, Playbook)>) -> Ending {
        self.tell_past();
        if !self.shows_facts()
            && let Some(named) = named_facts::of(self, &playbooks)
        {
            let _ = self.named_facts.set(named);
        }
        'all: for (path, playbook) in playbooks {
            self.emit(Event::PlaybookStarted { playbook: path.display().to_string(), n_plays: playbook.plays.len() });
            for play in playbook.plays {
                let go_on = play::run(self, Arc::new(play), &path).await;
                if !go_on || self.is_interrupted() {
                    break 'all;
                }
            }
        }
        if let Some(name) = self.start_at() {
            let words = format!("No matching task \"{name}\" found. Note: --start-at-task can only follow static includes.");
            self.emit(Event::Broken { diagnosis: format!("error: {words}"), error: words });
        }
        self.background.leave();
        if self.is_interrupted() {
            // What was asked of hosts and not waited for would hold up the end.
            self.connections.interrupt();
        }
        self.connections.close().await;
        self.recap()
    }

    /// Tells how the hosts fared, once: nothing is told of the run afterwards.
    pub fn recap(&self) -> Ending {
        let ending = self.ending();
        if !self.is_told.swap(true, Ordering::SeqCst) {
            let mut hosts = self.stats.lock().expect("no panic holds the lock").clone();
            hosts.sort_keys();
            self.tell_costs(self.started);
            self.emit(Event::Recap { hosts, custom: self.custom_stats.told(), elapsed: self.started.elapsed() });
        }
        ending
    }

    /// Whether whatever facts are gathered can be seen.
    fn shows_facts(&self) -> bool {
        self.settings.tells_results || self.settings.verbosity > 0 || self.memory.is_kept()
    }

    /// Forgets the facts that earlier runs kept: `--flush-cache`.
    pub fn flush_cache(&self) {
        let hosts = self.inventory().hosts();
        hosts.iter().chain([&Arc::from("localhost")]).for_each(|host| self.memory.clear_facts(host));
    }

    /// What counts is who is out at the end: `meta: clear_host_errors` forgives.
    fn ending(&self) -> Ending {
        let out = self.out.lock().expect("no panic holds the lock");
        if let Some(cause) = self.stopped_by() {
            cause.ending()
        } else if self.broken.load(Ordering::Relaxed) {
            Ending::Broken
        } else if out.values().any(|loss| *loss == Loss::Unreachable) {
            Ending::Unreachable
        } else if !out.is_empty() {
            Ending::Failed
        } else {
            Ending::Ok
        }
    }

    /// Tells of a mistake that is no host's: the run ends with it.
    fn broke(&self, diag: &Diag) {
        self.broken.store(true, Ordering::Relaxed);
        self.emit(Event::Broken { diagnosis: diag.to_string(), error: diag.with_origin() });
    }

    fn emit(&self, event: Event) {
        for text in crate::template::take_warnings() {
            (self.events)(Event::Warning { text });
        }
        if let Some(text) = self.settings.keeping.as_ref().and_then(|keeping| keeping.journal.complaint()) {
            (self.events)(Event::Warning { text });
        }
        (self.events)(event);
    }

    fn warn(&self, text: impl Into<String>) {
        self.emit(Event::Warning { text: text.into() });
    }

    /// Warns of a variable with a name that means something else, once.
    fn warn_if_reserved(&self, name: &str, at: &crate::source::Span) {
        if let Some(words) = crate::playbook::reserved(name) {
            self.warn_once(format!("{words}\n{}", crate::source::origin(at)));
        }
    }

    /// Whether variables of included roles are seen outside of them: not, unless the settings say so outright.
    fn includes_publicly(&self) -> bool {
        let config = &self.settings.config;
        config.is_given("DEFAULT_PRIVATE_ROLE_VARS") && !config.flag("DEFAULT_PRIVATE_ROLE_VARS")
    }

    fn warn_once(&self, text: String) {
        if self.warned.lock().expect("no panic holds the lock").insert(text.clone()) {
            self.warn(text);
        }
    }

    /// Reads the inventory anew (`meta: refresh_inventory`). What `add_host` and `group_by` added stays.
    fn refresh_inventory(&self, playbook_dir: &std::path::Path) -> Result<(), Diag> {
        let wrong = |err: anyhow::Error| Diag::error(format!("{err:#}"));
        let mut warnings = Vec::new();
        let mut inventory = self.inventory().again(&mut warnings).map_err(wrong)?;
        warnings.extend(inventory.add_playbook_dir(playbook_dir).map_err(wrong)?);
        for added in self.added.lock().expect("no panic holds the lock").iter() {
            added.to(&mut inventory)?;
        }
        warnings.iter().for_each(|warning| self.warn(warning.title.clone()));
        *self.inventory.write().expect("no panic holds the lock") = inventory;
        Ok(())
    }

    /// Adds to the inventory; says whether that changed it.
    fn add_to_inventory(&self, added: Added) -> Result<bool, Diag> {
        let changed = added.to(&mut self.inventory.write().expect("no panic holds the lock"))?;
        self.added.lock().expect("no panic holds the lock").push(added);
        Ok(changed)
    }

    /// The task with which the run is to start, as long as it was not found.
    fn start_at(&self) -> Option<String> {
        self.start_at.lock().expect("no panic holds the lock").clone()
    }

    fn has_started(&self) {
        *self.start_at.lock().expect("no panic holds the lock") = None;
    }

    /// A number for a task's events.
    fn new_task_number(&self) -> usize {
        self.next_task.fetch_add(1, Ordering::Relaxed)
    }

    fn count(&self, host: &str, count: impl FnOnce(&mut Stats)) {
        count(self.stats.lock().expect("no panic holds the lock").entry(host.to_owned()).or_default());
    }

    fn inventory(&self) -> std::sync::RwLockReadGuard<'_, Inventory> {
        self.inventory.read().expect("no panic holds the lock")
    }

    fn is_out(&self, host: &str) -> bool {
        self.out.lock().expect("no panic holds the lock").contains_key(host)
    }

    fn is_unreachable(&self, host: &str) -> bool {
        matches!(self.out.lock().expect("no panic holds the lock").get(host), Some(Loss::Unreachable))
    }

    fn put_out(&self, host: &Arc<str>, loss: Loss) {
        self.out.lock().expect("no panic holds the lock").insert(host.clone(), loss);
    }

    fn bring_back(&self, host: &str) {
        self.out.lock().expect("no panic holds the lock").remove(host);
    }
}

/// An error with its causes on one line.
fn chain(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut source = err.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// A value as JSON; as text, if it has no such form.
fn plain(value: &minijinja::Value) -> serde_json::Value {
    serde_json::to_value(value).unwrap_or_else(|_| serde_json::Value::from(value.to_string()))
}
