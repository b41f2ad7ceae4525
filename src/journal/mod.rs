//! The journal of a run: what it was asked, what it told, and what has been done on which host, as lines of JSON in a folder of its own. With it
//! `resume` goes on with a run that was cut off, `history` lists runs and `show` tells one again.
//!
//! A line is written whole before anything depends on it, so that a controller that is killed loses nothing that it did. What is secret lies in it
//! sealed, under a key that is kept in memory only ([`seal`]). [`write`] is the run's own hand, [`read`] everybody else's, [`past`] what a run that
//! goes on needs to know.

mod past;
mod read;
mod record;
mod seal;
mod sink;
mod write;

pub use past::{Item, Past, Turn};
pub use read::{Reading, Summary, Told};
pub use record::{Header, Job, Kept, Place, Printed, Record};
pub use seal::Seal;
pub use sink::EventSink;
pub use write::Journal;

use crate::source::nearest;
use anyhow::{Context, bail};
use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The form of the journal. Another number is another form, and is not read.
pub const VERSION: u32 = 1;

/// So many runs are kept, unless `NODEWRIGHT_JOURNAL_KEEP` says another number.
const KEPT: usize = 50;

const FILE: &str = "journal.jsonl";
/// The name of a journal that could not be written to its end.
const BROKEN: &str = "journal.broken.jsonl";

/// A run's journal, and what it held before this process took it up.
pub struct Keeping {
    pub journal: Arc<Journal>,
    pub past: Past,
}

/// The folder of all runs: `$XDG_STATE_HOME/nodewright/runs`. `None`: there is no place for it.
pub fn folder() -> Option<PathBuf> {
    let given = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = given("XDG_STATE_HOME").or_else(|| given("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("nodewright/runs"))
}

/// Whether the environment allows journals.
pub fn is_wanted() -> bool {
    std::env::var_os("NODEWRIGHT_JOURNAL").is_none_or(|value| value != "0")
}

/// A run that has a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub id: String,
    folder: PathBuf,
}

impl Run {
    /// All runs, the oldest first.
    pub fn all() -> anyhow::Result<Vec<Run>> {
        let folder = folder().context("there are no journals: neither XDG_STATE_HOME nor HOME is set")?;
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(err) => return Err(err).with_context(|| format!("cannot list `{}`", folder.display())),
        };
        let mut runs: Vec<Run> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let id = entry.file_name().into_string().ok()?;
                Some(Run { id, folder: entry.path() })
            })
            .filter(|run| run.path().exists())
            .collect();
        runs.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(runs)
    }

    /// The run of an id, or of the beginning of one if only one begins so.
    ///
    /// # Errors
    /// None or several do.
    pub fn named(id: &str) -> anyhow::Result<Run> {
        let mut runs = Run::all()?;
        if let Some(at) = runs.iter().position(|run| run.id == id) {
            return Ok(runs.swap_remove(at));
        }
        let (mut found, others): (Vec<Run>, Vec<Run>) = runs.into_iter().partition(|run| run.id.starts_with(id) && !id.is_empty());
        match found.len() {
            1 => Ok(found.swap_remove(0)),
            0 => match nearest(id, others.iter().map(|run| run.id.as_str())) {
                Some(near) => bail!("there is no run `{id}`; did you mean `{near}`? `nodewright history` lists them"),
                None => bail!("there is no run `{id}`; `nodewright history` lists them"),
            },
            _ => bail!("`{id}` may be any of {}", found.iter().map(|run| format!("`{}`", run.id)).collect::<Vec<_>>().join(", ")),
        }
    }

    pub fn path(&self) -> PathBuf {
        let whole = self.folder.join(FILE);
        if whole.exists() { whole } else { self.folder.join(BROKEN) }
    }

    /// Whether it could not be written to its end.
    pub fn is_broken(&self) -> bool {
        !self.folder.join(FILE).exists()
    }

    /// Whether the run is still alive: it holds its journal as long as it lives.
    pub fn is_alive(&self) -> bool {
        File::open(self.path()).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    fn remove(&self) {
        seal::forget(&self.id);
        // What cannot be removed now is tried again by the next run.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Removes the oldest runs beyond those that are kept; none that is alive.
fn sweep() {
    let keep = std::env::var("NODEWRIGHT_JOURNAL_KEEP").ok().and_then(|text| text.parse().ok()).unwrap_or(KEPT);
    let runs = Run::all().unwrap_or_default();
    let n_over = runs.len().saturating_sub(keep.max(1));
    runs[..n_over].iter().filter(|run| !run.is_alive()).for_each(Run::remove);
}

/// Makes a folder that only its owner may enter, with those above it.
fn make_private(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
