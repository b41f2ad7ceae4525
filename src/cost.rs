//! What things cost, in numbers that can be added: counted by `remote`, attributed by `engine`, shown by `report`.

use serde::{Deserialize, Serialize};
use std::ops::{AddAssign, Sub};
use std::time::Duration;

/// What went over the connections to a host, and how long the host took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Connections made: one, and one more whenever it was lost.
    pub connections: u64,
    pub channels: u64,
    /// Waits for the host that could not overlap, because each asked something that depended on the answer before: the longest chain of them.
    pub round_trips: u64,
    /// As they travelled: encrypted, with everything that SSH adds.
    pub bytes_out: u64,
    pub bytes_in: u64,
    /// Scripts that only read.
    pub probes: u64,
    /// Scripts that change something.
    pub jobs: u64,
    /// Probes that were sent before their task's turn, and how many of their answers were used.
    pub ahead: u64,
    pub ahead_used: u64,
    /// Reaching the host and agreeing on keys.
    #[serde(with = "seconds")]
    pub connecting: Duration,
    /// Being let in.
    #[serde(with = "seconds")]
    pub authenticating: Duration,
    /// From a channel to a shell that listens, sudo included.
    #[serde(with = "seconds")]
    pub opening: Duration,
    /// How long the scripts took, by the host's own clock.
    #[serde(with = "seconds")]
    pub on_host: Duration,
}

/// How long a host's turn at a task took. The three parts are the whole of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Worked on here, or waited for something that is here.
    #[serde(with = "seconds")]
    pub controller: Duration,
    /// Waited for the host while it ran no script: the way there and back, connecting, logging in, opening a shell, sending files.
    #[serde(with = "seconds")]
    pub wire: Duration,
    /// Waited for the host while it ran scripts.
    #[serde(with = "seconds")]
    pub remote: Duration,
    #[serde(flatten)]
    pub counts: Counts,
}

impl Cost {
    pub fn turn(&self) -> Duration {
        self.controller + self.wire + self.remote
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        self.controller += other.controller;
        self.wire += other.wire;
        self.remote += other.remote;
        self.counts += other.counts;
    }
}

/// Seconds as a number: easier to compute with than what serde makes of a duration.
pub mod seconds {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::time::Duration;

    pub fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(time.as_secs_f64())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Counts {
    fn zip(self, other: Counts, number: fn(u64, u64) -> u64, time: fn(Duration, Duration) -> Duration) -> Counts {
        Counts {
            connections: number(self.connections, other.connections),
            channels: number(self.channels, other.channels),
            round_trips: number(self.round_trips, other.round_trips),
            bytes_out: number(self.bytes_out, other.bytes_out),
            bytes_in: number(self.bytes_in, other.bytes_in),
            probes: number(self.probes, other.probes),
            jobs: number(self.jobs, other.jobs),
            ahead: number(self.ahead, other.ahead),
            ahead_used: number(self.ahead_used, other.ahead_used),
            connecting: time(self.connecting, other.connecting),
            authenticating: time(self.authenticating, other.authenticating),
            opening: time(self.opening, other.opening),
            on_host: time(self.on_host, other.on_host),
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        *self = self.zip(other, u64::saturating_add, Duration::saturating_add);
    }
}

impl Sub for Counts {
    type Output = Counts;

    fn sub(self, other: Counts) -> Counts {
        self.zip(other, u64::saturating_sub, Duration::saturating_sub)
    }
}
