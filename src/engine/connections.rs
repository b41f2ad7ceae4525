//! The open connections of a run: one for each target, made when it is needed first, and what an earlier run left going on there.
//! Where fewer files may be open than there are hosts, those that nobody uses are closed for others, and made again in their turn.

use super::connect::Place;
use super::costs::Meters;
use crate::remote::{Become, ConnectError, Connection, Run as Running, RunError, Target, Transport, UnfinishedJob};
use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

/// So many files are open besides connections: playbooks, keys, looking up names.
const OTHER_FILES: u64 = 40;
/// Whoever waits so long for others to let go of theirs gets one more.
const PATIENCE: Duration = Duration::from_secs(30);

const NONE: u8 = 0;
const MET: u8 = 1;
const TOLD: u8 = 2;

/// The open connections of a run.
pub struct Connections {
    pub meters: Meters,
    /// Jobs of an earlier life of this run: their tasks wait for them.
    own: Arc<HashSet<String>>,
    /// By the names of the hosts.
    open: Mutex<HashMap<String, Vec<Arc<Open>>>>,
    /// For how many connections files may be open.
    room: Arc<Semaphore>,
    limit: usize,
    /// Whether it was too little, and whether that was said.
    shortage: AtomicU8,
    /// Counts the uses of all of them.
    clock: AtomicU64,
}

struct Open {
    target: Target,
    made: OnceCell<Made>,
    last_used: AtomicU64,
    /// Of each user: whether jobs of an earlier run go on.
    leftovers: Mutex<HashMap<Option<Become>, Arc<Leftovers>>>,
}

struct Made {
    connection: Connection,
    _room: Option<OwnedSemaphorePermit>,
}

/// Jobs that outlived their run, at one place. The question goes out before anything else that is asked there, and nobody waits for its
/// answer to ask on; but what was answered meanwhile counts only if there were none.
pub struct Leftovers {
    r#become: Option<Become>,
    own: Arc<HashSet<String>>,
    question: Mutex<Option<Question>>,
    /// Whether some were waited for.
    known: OnceCell<bool>,
}

type Question = Pin<Box<dyn Future<Output = Result<Vec<UnfinishedJob>, RunError>> + Send>>;

impl Leftovers {
    fn at(place: &Place, connection: &Connection, own: &Arc<HashSet<String>>) -> Leftovers {
        // On this machine other runs may be at work for good reasons of their own: nothing here was cut off from its controller.
        if place.target.transport == Transport::Local {
            return Leftovers { r#become: None, own: own.clone(), question: Mutex::default(), known: OnceCell::new_with(Some(false)) };
        }
        let r#become = place.r#become.clone();
        let question: Question = Box::pin(connection.unfinished_jobs(Running { r#become: r#become.clone(), ..Running::default() }));
        Leftovers { r#become, own: own.clone(), question: Mutex::new(Some(question)), known: OnceCell::new() }
    }

    pub fn are_known(&self) -> bool {
        self.known.initialized()
    }

    /// Waits until nothing of an earlier run goes on any more, and tells `waits` for what. Says whether there was something.
    pub async fn end(&self, connection: &Connection, waits: impl Fn(String)) -> Result<bool, RunError> {
        let run = || Running { r#become: self.r#become.clone(), ..Running::default() };
        let ending = async {
            let question = self.question.lock().expect("no panic holds the lock").take();
            let jobs = match question {
                Some(question) => question.await?,
                // Whoever asked before did not wait for the answer.
                None => connection.unfinished_jobs(run()).await?,
            };
            let jobs: Vec<_> = jobs.into_iter().filter(|job| !self.own.contains(&job.id)).collect();
            for job in &jobs {
                let seconds = job.since.elapsed().unwrap_or_default().as_secs();
                waits(format!("`{}`, which an earlier run started {seconds} s ago and which still goes on", job.what));
                match connection.wait_for_job(job, run()).await {
                    // How it ended is the tasks' to find out: they look at what is there.
                    Ok(_) | Err(RunError::Gone { .. }) => {}
                    Err(err) => return Err(err),
                }
            }
            Ok(!jobs.is_empty())
        };
        self.known.get_or_try_init(|| ending).await.copied()
    }
}

impl Connections {
    /// `costs_since`: as in [`super::Settings`].
    pub fn new(costs_since: Option<Instant>, own: HashSet<String>) -> Connections {
        let files = crate::remote::allow_open_files();
        let limit = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX).clamp(4, Semaphore::MAX_PERMITS);
        Connections {
            meters: Meters::new(costs_since),
            own: Arc::new(own),
            open: Mutex::default(),
            room: Arc::new(Semaphore::new(limit)),
            limit,
            shortage: AtomicU8::new(NONE),
            clock: AtomicU64::new(0),
        }
    }

    /// The connection to a target, made now if there is none.
    pub async fn to(&self, target: &Target) -> Result<Connection, ConnectError> {
        Ok(self.made(&self.entry(target)).await?.connection.clone())
    }

    /// The connection to a place, and what an earlier run may have left going on there: that is asked first of all.
    pub async fn at(&self, place: &Place) -> Result<(Connection, Arc<Leftovers>), ConnectError> {
        let entry = self.entry(&place.target);
        let connection = self.made(&entry).await?.connection.clone();
        let mut leftovers = entry.leftovers.lock().expect("no panic holds the lock");
        let of_user = leftovers.entry(place.r#become.clone()).or_insert_with(|| Arc::new(Leftovers::at(place, &connection, &self.own)));
        Ok((connection, of_user.clone()))
    }

    /// The connection to a place, if it is open and what an earlier run may have left there has been asked.
    pub fn ready(&self, place: &Place) -> Option<Connection> {
        let open = self.open.lock().expect("no panic holds the lock");
        let entry = open.get(&place.target.name)?.iter().find(|entry| entry.target == place.target)?;
        let connection = &entry.made.get()?.connection;
        let leftovers = entry.leftovers.lock().expect("no panic holds the lock");
        leftovers.contains_key(&place.r#become).then(|| connection.clone())
    }

    /// What is to be said, once, of a system that allows too few open files.
    pub fn complaint(&self) -> Option<String> {
        let is_new = self.shortage.compare_exchange(MET, TOLD, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        is_new.then(|| {
            format!(
                "so few files may be open at once (`ulimit -n`) that there is room for {} connections: they are closed and made again in turn",
                self.limit
            )
        })
    }

    /// Ends the connection to a target; the next use makes a new one (`reset_connection`, after a reboot).
    pub async fn drop(&self, target: &Target) {
        let entry = {
            let mut open = self.open.lock().expect("no panic holds the lock");
            let of_host = open.get_mut(&target.name);
            of_host.and_then(|of_host| of_host.iter().position(|entry| entry.target == *target).map(|at| of_host.swap_remove(at)))
        };
        if let Some(made) = entry.as_ref().and_then(|entry| entry.made.get()) {
            made.connection.clone().close().await;
        }
    }

    /// What runs over them is interrupted, and nothing new is begun.
    pub fn interrupt(&self) {
        let open = self.open.lock().expect("no panic holds the lock");
        open.values().flatten().filter_map(|entry| entry.made.get()).for_each(|made| made.connection.interrupt());
    }

    pub async fn close(&self) {
        let open = std::mem::take(&mut *self.open.lock().expect("no panic holds the lock"));
        let mut closing = tokio::task::JoinSet::new();
        for entry in open.into_values().flatten() {
            if let Some(made) = entry.made.get() {
                closing.spawn(made.connection.clone().close());
            }
        }
        closing.join_all().await;
    }

    fn entry(&self, target: &Target) -> Arc<Open> {
        let mut open = self.open.lock().expect("no panic holds the lock");
        let of_host = open.entry(target.name.clone()).or_default();
        let entry = match of_host.iter().find(|entry| entry.target == *target) {
            Some(entry) => entry.clone(),
            None => {
                let (made, leftovers, last_used) = (OnceCell::new(), Mutex::default(), AtomicU64::new(0));
                let entry = Arc::new(Open { target: target.clone(), made, last_used, leftovers });
                of_host.push(entry.clone());
                entry
            }
        };
        entry.last_used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        entry
    }

    async fn made<'a>(&self, entry: &'a Open) -> Result<&'a Made, ConnectError> {
        let making = async {
            let room = self.room_for(&entry.target).await;
            let connection = Box::pin(Connection::measured(&entry.target, self.meters.of(&entry.target))).await?;
            Ok(Made { connection, _room: room })
        };
        entry.made.get_or_try_init(|| making).await
    }

    async fn room_for(&self, target: &Target) -> Option<OwnedSemaphorePermit> {
        let n_files = match &target.transport {
            // Three pipes, and something to wait with for its end; a jump host and a proxy have theirs too.
            Transport::Local => 4,
            Transport::Ssh(ssh) if ssh.proxy_jump.is_some() => 2,
            Transport::Ssh(_) => 1,
        };
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            if let Ok(room) = self.room.clone().try_acquire_many_owned(n_files) {
                return Some(room);
            }
            let _ = self.shortage.compare_exchange(NONE, MET, Ordering::Relaxed, Ordering::Relaxed);
            match self.take_idle() {
                Some(Made { connection, _room }) => connection.close().await,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
        None
    }

    /// The one that was not used for longest, if nobody uses it now.
    fn take_idle(&self) -> Option<Made> {
        let mut open = self.open.lock().expect("no panic holds the lock");
        // Nobody else can come by one while the lock is held.
        let is_idle = |entry: &&Arc<Open>| Arc::strong_count(entry) == 1 && entry.made.get().is_some_and(|made| made.connection.is_idle());
        let entry = open.values().flatten().filter(is_idle).min_by_key(|entry| entry.last_used.load(Ordering::Relaxed))?.clone();
        let of_host = open.get_mut(&entry.target.name)?;
        of_host.retain(|other| !Arc::ptr_eq(other, &entry));
        Arc::into_inner(entry)?.made.into_inner()
    }
}
