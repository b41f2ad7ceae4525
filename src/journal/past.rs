//! What a run that was cut off has done already, for the run that goes on: taken turn by turn, each once.

use super::Run;
use super::read::{Reading, Told};
use super::record::{Header, Job, Kept, Place, Printed, Record};
use super::seal::Seal;
use crate::source::Checksum;
use indexmap::IndexMap;
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// What the journal of a run holds.
#[derive(Default)]
pub struct Past {
    /// There was an earlier life of the run.
    pub is_known: bool,
    /// By host and task, in the order of their turns.
    turns: Mutex<HashMap<String, HashMap<String, VecDeque<Turn>>>>,
    answers: BTreeMap<usize, BTreeMap<String, String>>,
    /// Jobs of which the run did not see the end.
    pub jobs: HashSet<String>,
    /// The number of the next turn.
    pub next_turn: usize,
    /// How many tasks each host has done.
    pub n_done: IndexMap<String, usize>,
    /// `host: task` of what was done and cannot be read any more.
    pub lost: Vec<String>,
    /// Every file that the run has read.
    pub files: BTreeMap<PathBuf, Checksum>,
    /// The last word: how the run ended.
    pub ended: Option<u8>,
}

/// One host's turn at one task.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    pub number: usize,
    items: HashMap<String, Item>,
}

/// One item of a task's loop, or the task.
#[derive(Clone, Debug, Default)]
pub struct Item {
    /// The condition that did not hold.
    pub passed: Option<Json>,
    did: BTreeMap<u32, Kept>,
    jobs: BTreeMap<u32, Job>,
}

impl Turn {
    pub fn forget_item(&mut self, key: &str) {
        self.items.remove(key);
    }

    pub fn item(&self, key: &str) -> Option<&Item> {
        self.items.get(key)
    }
}

impl Item {
    /// What came of an attempt.
    pub fn did(&self, attempt: u32) -> Option<&Kept> {
        self.did.get(&attempt)
    }

    /// The job of an attempt whose end was not seen.
    pub fn job(&self, attempt: u32) -> Option<&Job> {
        self.jobs.get(&attempt)
    }
}

impl Past {
    /// Reads a whole journal. With it come its first line and its key, if that can be had.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn read(run: &Run) -> anyhow::Result<(Header, Past, Option<Seal>)> {
        let mut reading = Reading::open(run)?;
        let mut records = Vec::new();
        while let Some(told) = reading.next()? {
            if let Told::Record(record) = told {
                records.push(*record);
            }
        }
        let header = reading.header;
        let envelopes: Vec<String> =
            records.iter().filter_map(|record| if let Record::Key { envelope } = record { Some(envelope.clone()) } else { None }).collect();
        let seal = Seal::find(&header.id, &envelopes);
        let mut gathering = Gathering {
            past: Past { is_known: true, files: header.files.clone(), ..Past::default() },
            seal: seal.as_ref(),
            turns: BTreeMap::new(),
        };
        records.into_iter().for_each(|record| gathering.add(record));
        let past = gathering.done();
        Ok((header, past, seal))
    }

    /// A host's turn at a task, if it has had one that was not taken yet.
    pub fn take(&self, host: &str, task: &str) -> Option<Turn> {
        self.lock().get_mut(host)?.get_mut(task)?.pop_front()
    }

    /// Whether a host has had a turn at a task that was not taken yet.
    pub fn has(&self, host: &str, task: &str) -> bool {
        self.lock().get(host).and_then(|tasks| tasks.get(task)).is_some_and(|turns| !turns.is_empty())
    }

    /// Lets go of all that a host did and nobody took yet; returns the turns.
    pub fn forget(&self, host: &str) -> Vec<usize> {
        let tasks = self.lock().remove(host).unwrap_or_default();
        tasks.into_values().flatten().map(|turn| turn.number).collect()
    }

    pub fn answers(&self, play: usize) -> Option<&BTreeMap<String, String>> {
        self.answers.get(&play)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, HashMap<String, VecDeque<Turn>>>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Gathering<'a> {
    past: Past,
    seal: Option<&'a Seal>,
    turns: BTreeMap<(String, usize), (String, Turn)>,
}

impl Gathering<'_> {
    fn item(&mut self, place: Place) -> &mut Item {
        self.past.next_turn = self.past.next_turn.max(place.turn + 1);
        let Place { host, task, turn, item, .. } = place;
        let (_, turn) = self.turns.entry((host, turn)).or_insert_with(|| (task, Turn { number: turn, ..Turn::default() }));
        turn.items.entry(item).or_default()
    }

    fn add(&mut self, record: Record) {
        match record {
            Record::Passed { place, condition } => *self.item(place) = Item { passed: Some(condition), ..Item::default() },
            Record::Sends { place, id, to, at, probe, sealed } => {
                let probe: Option<Printed> = probe.or_else(|| self.open(sealed.as_deref()?));
                let attempt = place.attempt;
                let item = self.item(place);
                // Whatever came behind belongs to an earlier time.
                item.passed = None;
                item.did.split_off(&attempt);
                item.jobs = BTreeMap::from([(attempt, Job { id, to, at, probe })]);
            }
            Record::Did { place, name, kept, sealed } => {
                let kept: Option<Kept> = kept.map(|kept| *kept).or_else(|| self.open(sealed.as_deref()?));
                let (attempt, host) = (place.attempt, place.host.clone());
                let item = self.item(place);
                item.passed = None;
                item.did.split_off(&attempt);
                item.jobs.clear();
                match kept {
                    Some(kept) => drop(item.did.insert(attempt, kept)),
                    None => self.past.lost.push(format!("{host}: {name}")),
                }
            }
            Record::Answered { play, answers, sealed } => {
                if let Some(answers) = answers.or_else(|| self.open(sealed.as_deref()?)) {
                    self.past.answers.insert(play, answers);
                }
            }
            Record::Forgets { host, turns } => turns.into_iter().for_each(|turn| drop(self.turns.remove(&(host.clone(), turn)))),
            Record::Files { files } => self.past.files.extend(files),
            Record::Resumed { .. } => self.past.ended = None,
            Record::Ended { code, .. } => self.past.ended = Some(code),
            Record::Begun(_) | Record::Key { .. } => {}
        }
    }

    fn open<T: serde::de::DeserializeOwned>(&self, sealed: &str) -> Option<T> {
        serde_json::from_slice(&self.seal?.open(sealed)?).ok()
    }

    fn done(self) -> Past {
        let mut past = self.past;
        let mut turns: HashMap<String, HashMap<String, VecDeque<Turn>>> = HashMap::new();
        for ((host, _), (task, turn)) in self.turns {
            past.jobs.extend(turn.items.values().flat_map(|item| item.jobs.values()).map(|job| job.id.clone()));
            if turn.items.values().all(|item| item.jobs.is_empty()) {
                *past.n_done.entry(host.clone()).or_default() += 1;
            }
            turns.entry(host).or_default().entry(task).or_default().push_back(turn);
        }
        past.turns = Mutex::new(turns);
        past
    }
}
