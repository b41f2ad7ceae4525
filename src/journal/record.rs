//! The lines of a journal that are no events.

use crate::sh::Output;
use crate::source::Checksum;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// The first line.
    Begun(Box<Header>),
    /// The run goes on after it was cut off. What comes of that follows.
    Resumed { at: jiff::Timestamp, version: String },
    /// Files that were read on the way, beside those of the first line.
    Files { files: BTreeMap<PathBuf, Checksum> },
    /// The key of what is sealed, under a password of the run's vaults.
    Key { envelope: String },
    /// What was answered to a play's prompts.
    Answered {
        play: usize,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answers: Option<BTreeMap<String, String>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sealed: Option<String>,
    },
    /// A task's condition does not hold.
    Passed { place: Place, condition: Json },
    /// A job is about to be sent to a host.
    Sends {
        place: Place,
        id: String,
        /// The host that gets it.
        to: String,
        at: jiff::Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        probe: Option<Printed>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sealed: Option<String>,
    },
    /// What came of a module.
    Did {
        place: Place,
        /// The task's name, for people.
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kept: Option<Box<Kept>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sealed: Option<String>,
    },
    /// What a host did in these turns says nothing any more: it followed a failure that was mended.
    Forgets { host: String, turns: Vec<usize> },
    /// The last line of a run that came to its end.
    Ended { code: u8, at: jiff::Timestamp },
}

/// What a run was asked, and where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Header {
    /// The form of the journal.
    pub journal: u32,
    pub id: String,
    /// Of the program.
    pub version: String,
    pub started: jiff::Timestamp,
    /// By which name the program was called: `nodewright` or `ansible-playbook`.
    pub program: String,
    /// What followed it on the command line. Values of `--extra-vars` are masked, and stand whole in `sealed_args`.
    pub args: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_args: Option<String>,
    /// The names of those variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_vars: Vec<String>,
    pub folder: PathBuf,
    pub playbooks: Vec<String>,
    pub check: bool,
    pub verbosity: u8,
    /// Settings that came from the environment.
    pub environment: BTreeMap<String, String>,
    pub files: BTreeMap<PathBuf, Checksum>,
}

/// Where in a run something was done: the how-many-eth turn of a host, at which task, at which item of its loop, in which attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    pub host: String,
    /// Stands for the task: the same for the same task of the same play in another run of the same files.
    pub task: String,
    pub turn: usize,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub item: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What came of a module, with all that the engine makes its result of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    #[serde(skip_serializing_if = "is_false")]
    pub changed: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub failed: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub skipped: bool,
    pub data: Map<String, Json>,
    /// Its facts; those that `data` holds as well are not written twice.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub facts: Map<String, Json>,
    #[serde(skip_serializing_if = "is_false")]
    pub facts_in_data: bool,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub set: Map<String, Json>,
    #[serde(skip_serializing_if = "is_false")]
    pub hidden: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub hides_diff: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub verbose: bool,
    /// It changed the engine itself, and only that is known of it.
    #[serde(skip_serializing_if = "is_false")]
    pub again: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// What a probe printed: by it the module decides the same again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Printed {
    status: i32,
    #[serde(with = "bytes")]
    stdout: Vec<u8>,
    #[serde(with = "bytes")]
    stderr: Vec<u8>,
    started: Duration,
    elapsed: Duration,
}

impl From<&Output> for Printed {
    fn from(output: &Output) -> Printed {
        let Output { status, stdout, stderr, started, elapsed } = output.clone();
        let started = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Printed { status, stdout, stderr, started, elapsed }
    }
}

impl From<Printed> for Output {
    fn from(printed: Printed) -> Output {
        let Printed { status, stdout, stderr, started, elapsed } = printed;
        Output { status, stdout, stderr, started: SystemTime::UNIX_EPOCH + started, elapsed }
    }
}

/// A job that was sent, as far as is known.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: String,
    pub to: String,
    pub at: jiff::Timestamp,
    /// What its module had been told before; `None` if that cannot be read any more.
    pub probe: Option<Printed>,
}

/// Bytes as a text where they are one, else in base64.
mod bytes {
    use super::{Engine, STANDARD};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Form {
        Text(String),
        Coded { base64: String },
    }

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => Form::Coded { base64: STANDARD.encode(bytes) }.serialize(serializer),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        match Form::deserialize(deserializer)? {
            Form::Text(text) => Ok(text.into_bytes()),
            Form::Coded { base64 } => STANDARD.decode(base64).map_err(serde::de::Error::custom),
        }
    }
}
