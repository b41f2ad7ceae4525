//! A task's turn in the journal: what came of it is written down before anything depends on it, and where an earlier life of the run has written
//! it down already, that is taken and no host is asked.
//!
//! What is kept is what a module returned, item by item and attempt by attempt, and which conditions did not hold. All that the engine makes of it
//! (what counts as changed, what is registered and notified, which file is included) it makes anew. So a run that goes on comes to where it was
//! with all that it had learnt, and no state of the engine has to be kept.

use super::Run;
use super::attempt::Attempt;
use super::connect::Place;
use super::execute::Executed;
use super::interrupt::Stop;
use super::play::Playing;
use super::task::TaskRun;
use super::wire::Wire;
use crate::journal::{Item, Job, Keeping, Kept, Place as At, Printed, Record};
use crate::module::{Failure, Registered};
use crate::playbook::Task;
use crate::remote::JobName;
use crate::report::Event;
use crate::sh::Output;
use crate::source::Node;
use crate::vars::{Variable, View};
use minijinja::Value;
use serde_json::Value as Json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// These change the engine itself: when they are taken from the journal they are done all the same.
const DONE_AGAIN: [&str; 6] = ["add_host", "group_by", "include_role", "include_tasks", "include_vars", "set_stats"];

/// A host's turn at a task.
pub struct Turn {
    /// Stands for the task in the journal.
    task: String,
    number: usize,
    /// What an earlier life of the run did in it.
    past: Mutex<Option<crate::journal::Turn>>,
    present: Mutex<Present>,
    /// Something of it is done now.
    is_live: AtomicBool,
}

#[derive(Default)]
struct Present {
    item: String,
    attempt: u32,
    /// Something of the item is done now.
    is_live: bool,
    /// Jobs of which the host may forget what they left, when that is written down.
    ended: Vec<(Wire, String)>,
}

impl Turn {
    pub fn begin(playing: &Playing, host: &str, task: &Task) -> Turn {
        let Some(keeping) = &playing.run.settings.keeping else {
            return Turn {
                task: String::new(),
                number: 0,
                past: Mutex::default(),
                present: Mutex::default(),
                is_live: AtomicBool::new(true),
            };
        };
        let task = playing.mark_of(task);
        let past = keeping.past.take(host, &task);
        let number = past.as_ref().map_or_else(|| playing.run.next_turn.fetch_add(1, Ordering::Relaxed), |past| past.number);
        let is_live = AtomicBool::new(past.is_none());
        Turn { task, number, past: Mutex::new(past), present: Mutex::default(), is_live }
    }

    /// Nothing of it has been done by this process.
    pub fn is_past(&self) -> bool {
        !self.is_live.load(Ordering::Relaxed)
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was done of the present item.
    fn item(&self) -> Option<Item> {
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        past.as_ref()?.item(&self.present().item).cloned()
    }

    fn job(&self) -> Option<Job> {
        self.item()?.job(self.present().attempt).cloned()
    }

    /// What the job's module had been told, where a job of an earlier life may be there: by it the module decides the same again.
    pub fn probed(&self) -> Option<Output> {
        Some(self.job()?.probe?.into())
    }

    /// Whether the journal has what came of an attempt of the present item.
    pub fn has(&self, attempt: u32) -> bool {
        self.item().is_some_and(|item| item.did(attempt).is_some())
    }

    /// The present item's turn has come: its number, or what it is.
    pub fn begin_item(&self, index: usize, item: &Value, is_secret: bool) {
        let json = super::plain(item).to_string();
        let mut present = self.present();
        // By what it is, so that a list in another order is the same list; but what is secret leaves no trace.
        present.item = match is_secret || crate::secrets::tells(&json) {
            true => format!("{index}"),
            false => format!("={}", short_hash(&[&json])),
        };
        present.is_live = false;
        present.attempt = 0;
    }
}

impl Playing {
    /// What stands for a task in the journal: the same as long as play, file and name are.
    fn mark_of(&self, task: &Task) -> String {
        let name = task.name.as_ref().and_then(Node::as_str).unwrap_or_default();
        short_hash(&[&self.name, &task.span.source.name, &task.action.name, name])
    }

    /// Whether the journal says that a host has had a turn at a task that is to come.
    pub fn was_done_by(&self, host: &str, task: &Task) -> bool {
        self.run.settings.keeping.as_ref().is_some_and(|keeping| keeping.past.has(host, &self.mark_of(task)))
    }
}

fn short_hash(words: &[&str]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, words.join("\0").as_bytes());
    hex::encode(&digest.as_ref()[..8])
}

impl TaskRun {
    fn keeping(&self) -> Option<&Keeping> {
        self.playing.run.settings.keeping.as_ref()
    }

    fn at(&self) -> At {
        let present = self.turn.present();
        let (task, item) = (self.turn.task.clone(), present.item.clone());
        At { host: self.host.to_string(), task, turn: self.turn.number, item, attempt: present.attempt }
    }

    /// The present item as it was, if the journal has all of it and it did not fail.
    pub(super) async fn item_again(&self, view: &Arc<View>) -> Option<Attempt> {
        let item = self.turn.item()?;
        if let Some(condition) = item.passed {
            return Some(Attempt::skipped(condition));
        }
        let attempt = self.forgive(self.unforgiven(view).await, view);
        let is_loss = attempt.has_trouble() && !attempt.ignored && !self.rescues;
        if self.turn.present().is_live || !is_loss {
            return Some(attempt);
        }
        self.begin_anew();
        None
    }

    /// What failed is tried again; what followed from the failure says nothing any more.
    pub(super) fn begin_anew(&self) {
        let Some(keeping) = self.keeping() else { return };
        if let Some(past) = self.turn.past.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            past.forget_item(&self.turn.present().item);
        }
        let run = &self.playing.run;
        let keywords = &self.task().keywords;
        let is_fatal_for_all = keywords.any_errors_fatal.is_some()
            || keywords.run_once.is_some()
            || run.settings.config.flag("ANY_ERRORS_FATAL")
            || self.playing.max_fail_percentage.is_some();
        let hosts: Vec<&Arc<str>> = if is_fatal_for_all { self.playing.batch.iter().collect() } else { vec![&self.host] };
        for host in hosts {
            let turns = keeping.past.forget(host);
            if !turns.is_empty() {
                keeping.journal.write(&Record::Forgets { host: host.to_string(), turns });
            }
        }
    }

    /// Begins an attempt; gives what came of it, if that is known already.
    pub(super) fn begin_attempt(&self, attempt: u32) -> Option<Kept> {
        self.turn.present().attempt = attempt;
        self.turn.item()?.did(attempt).cloned()
    }

    /// From here on the present item is done by this process.
    pub(super) fn go_live(&self) {
        self.turn.present().is_live = true;
        if !self.turn.is_live.swap(true, Ordering::Relaxed) {
            self.playing.run.emit(Event::HostStarted { task: self.number, host: self.host.to_string() });
        }
    }

    /// Whether what came of the present item was known already.
    pub(super) fn is_item_past(&self) -> bool {
        self.turn.is_past() || (self.turn.item().is_some() && !self.turn.present().is_live)
    }

    /// Whether a module is done again, although the journal knows what came of it.
    pub(super) fn is_done_again(&self) -> bool {
        matches!(self.task().action.module, Registered::InEngine(spec) if DONE_AGAIN.contains(&spec.short_name()))
    }

    /// A module's doing as the journal has it, with what it leaves behind.
    pub(super) fn executed_again(&self, kept: Kept, place: &Place, view: &Arc<View>) -> Executed {
        let Kept { changed, failed, skipped, data, facts, facts_in_data, set, hidden, hides_diff, verbose, again: _ } = kept;
        let facts = match facts_in_data {
            true => data.get("ansible_facts").and_then(Json::as_object).cloned().unwrap_or_default(),
            false => facts,
        };
        let set = set.iter().map(|(name, value)| (name.clone(), Variable::data(value))).collect();
        let executed = Executed { changed, failed, skipped, data, facts, set, hidden, hides_diff, verbose, ..Executed::default() };
        let delegate = (place.target.name != *self.host).then_some(place.target.name.as_str());
        self.keep(&executed, delegate, view);
        executed
    }

    /// Writes down that a condition of the present item does not hold.
    pub(super) fn write_passed(&self, condition: &Json) {
        if let Some(keeping) = self.keeping() {
            let mut condition = condition.clone();
            crate::secrets::mask_json(&mut condition);
            keeping.journal.write(&Record::Passed { place: self.at(), condition });
        }
    }

    /// Writes down what came of the present attempt, and lets the host forget it. That a host could not be reached is no doing.
    pub(super) fn write_did(&self, executed: &Executed, view: &Arc<View>) {
        let Some(keeping) = self.keeping() else { return };
        if executed.unreachable || self.leaves_off_a_reboot(executed) {
            return;
        }
        let facts_in_data = !executed.facts.is_empty()
            && executed.data.get("ansible_facts").and_then(Json::as_object).is_some_and(|facts| *facts == executed.facts);
        let again = self.is_done_again();
        let kept = Kept {
            changed: executed.changed,
            failed: executed.failed,
            skipped: executed.skipped,
            data: if again { serde_json::Map::new() } else { executed.data.clone() },
            facts: if facts_in_data || again { serde_json::Map::new() } else { executed.facts.clone() },
            facts_in_data: facts_in_data && !again,
            set: executed.set.iter().filter_map(|(name, value)| Some((name.clone(), as_json(value)?))).collect(),
            hidden: executed.hidden,
            hides_diff: executed.hides_diff,
            verbose: executed.verbose,
            again,
        };
        let (place, mut name) = (self.at(), self.name.clone());
        crate::secrets::mask(&mut name);
        let is_secret = (self.is_no_log(view) || executed.hidden) && !again;
        keeping.journal.write_either(Box::new(kept), is_secret, |kept, sealed| Record::Did {
            place: place.clone(),
            name: name.clone(),
            kept,
            sealed,
        });
        for (wire, job) in std::mem::take(&mut self.turn.present().ended) {
            wire.forget_later(job);
        }
    }

    /// A reboot that nobody waits for any longer is not one that failed: it goes on, and a run that goes on waits for it.
    fn leaves_off_a_reboot(&self, executed: &Executed) -> bool {
        let is_reboot = self.task().action.module.spec().short_name() == "reboot";
        is_reboot && executed.failed && self.playing.run.level() >= Stop::Interrupt
    }

    /// Writes down that a job is about to be sent, and gives it its name: that of an earlier life's job, if that may be there.
    pub(super) fn name_job(&self, place: &Place, probe: Option<&Output>, view: &Arc<View>) -> Result<Option<JobName>, Failure> {
        let Some(keeping) = self.keeping() else { return Ok(None) };
        let name = match self.turn.job() {
            Some(job) if job.to != place.target.name => {
                return Err(Failure::new(format!(
                    "this was begun on `{}`, and would now go on on `{}`: whether it ended there is not known",
                    job.to, place.target.name
                )));
            }
            Some(job) => {
                let sent = jiff::Timestamp::now().duration_since(job.at).try_into().unwrap_or_default();
                JobName { id: job.id, sent: Some(sent) }
            }
            None => {
                let name = JobName::new();
                let (at, now, to) = (self.at(), jiff::Timestamp::now(), place.target.name.clone());
                keeping.journal.write_either(probe.map(Printed::from), self.is_no_log(view), |probe, sealed| Record::Sends {
                    place: at.clone(),
                    id: name.id.clone(),
                    to: to.clone(),
                    at: now,
                    probe: probe.flatten(),
                    sealed,
                });
                name
            }
        };
        Ok(Some(name))
    }

    /// The end of a job was seen: when that is written down, the host may forget it.
    pub(super) fn saw_end(&self, wire: &Wire, job: Option<String>) {
        self.turn.present().ended.extend(job.map(|job| (wire.clone(), job)));
    }
}

/// A value as JSON has it; nothing of a template.
fn as_json(variable: &Variable) -> Option<Json> {
    match variable {
        Variable::Data(value) => Some(super::plain(value)),
        Variable::Node(_) => None,
    }
}

impl Run {
    /// Says what is known already, when a run goes on.
    pub(super) fn tell_past(&self) {
        let Some(Keeping { journal, past }) = self.settings.keeping.as_ref().filter(|keeping| keeping.past.is_known) else { return };
        self.emit(Event::Resuming { run: journal.run.id.clone(), done: past.n_done.clone() });
        if !past.lost.is_empty() {
            self.warn(format!(
                "what came of these holds secrets, and their key is gone from memory; they are done again: {}",
                past.lost.join(", ")
            ));
        }
    }
}
