//! What tasks cost: how long a host's turn waited for the host, and for what. Nothing of it is done unless `--profile` asks.
//!
//! A turn is from a host's beginning of a task to its end. While the turn waits for the host, a [`Waiting`] is held; when it is let go, it takes what
//! the host's meter has counted since the last one was. The rest of the turn is the controller's.

use super::Run;
use super::task::TaskRun;
use crate::cost::{Cost, Counts};
use crate::remote::{Meter, Target};
use crate::report::Event;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The meters of all hosts. They outlive connections, so that what a reboot costs is counted too.
pub struct Meters {
    /// Since when the program is at work, if it is to be told what that costs.
    since: Option<Instant>,
    of_hosts: Mutex<HashMap<String, Arc<Meter>>>,
}

impl Meters {
    pub fn new(since: Option<Instant>) -> Meters {
        Meters { since, of_hosts: Mutex::default() }
    }

    pub fn of(&self, target: &Target) -> Arc<Meter> {
        let mut hosts = self.of_hosts.lock().expect("no panic holds the lock");
        let new = || Arc::new(if self.since.is_some() { Meter::with_clock() } else { Meter::default() });
        hosts.entry(target.name.clone()).or_insert_with(new).clone()
    }

    fn counts(&self) -> Vec<(String, Counts)> {
        let hosts = self.of_hosts.lock().expect("no panic holds the lock");
        let mut counts: Vec<_> = hosts.iter().map(|(host, meter)| (host.clone(), meter.counts())).collect();
        counts.sort_by(|(one, _), (other, _)| one.cmp(other));
        counts
    }
}

/// What a host's turn has cost so far.
#[derive(Default)]
pub struct Spent {
    waited: Mutex<(Duration, Counts)>,
}

impl Spent {
    fn cost(&self, turn: Duration) -> Cost {
        let (waited, counts) = *self.waited.lock().expect("no panic holds the lock");
        let remote = counts.on_host;
        Cost { controller: turn.saturating_sub(waited), wire: waited.saturating_sub(remote), remote, counts }
    }
}

/// Held while a turn waits for a host.
pub struct Waiting {
    spent: Arc<Spent>,
    meter: Arc<Meter>,
    since: Instant,
}

impl Waiting {
    pub fn new(spent: &Arc<Spent>, meter: Arc<Meter>) -> Waiting {
        Waiting { spent: spent.clone(), meter, since: Instant::now() }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let waited = self.since.elapsed();
        let mut spent = self.spent.waited.lock().expect("no panic holds the lock");
        spent.0 += waited;
        spent.1 += self.meter.take(waited);
    }
}

impl TaskRun {
    /// From now on the turn waits for a host, until this is dropped.
    pub fn waiting(&self, target: &Target) -> Option<Waiting> {
        self.spent.as_ref().map(|spent| Waiting::new(spent, self.playing.run.connections.meters.of(target)))
    }

    /// Tells what the turn has cost.
    pub fn tell_cost(&self, turn: Duration) {
        if let Some(spent) = &self.spent {
            self.playing.run.emit(Event::TaskCost { task: self.number, host: self.host.to_string(), cost: spent.cost(turn) });
        }
    }
}

impl Run {
    /// What a turn that begins now is counted in.
    pub(super) fn spending(&self) -> Option<Arc<Spent>> {
        self.connections.meters.since.map(|_| Arc::default())
    }

    /// Tells what all hosts have cost, and the program itself. `started`: when the first play began.
    pub(super) fn tell_costs(&self, started: Instant) {
        let Some(since) = self.connections.meters.since else { return };
        for (host, counts) in self.connections.meters.counts() {
            self.emit(Event::HostCost { host, counts });
        }
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        self.emit(Event::RunCost {
            wall: since.elapsed(),
            loading: started.duration_since(since),
            cpu: Duration::try_from(cpu).unwrap_or_default(),
            peak_memory: peak_memory(),
        });
    }
}

/// The most memory that this process has had at a time, in bytes, where the system says it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    kilobytes.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
