//! Reading a journal, line by line.

use super::record::{Header, Record};
use super::{Run, VERSION};
use crate::report::{Event, Stats, Status};
use crate::source::Checksum;
use anyhow::{Context, bail};
use indexmap::IndexMap;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::time::SystemTime;

/// A journal that is being read.
pub struct Reading {
    pub header: Header,
    lines: BufReader<File>,
    line: Vec<u8>,
    number: usize,
    path: String,
}

/// What a line says.
pub enum Told {
    Event(Box<Event>),
    Record(Box<Record>),
}

/// What a run came to, as far as its journal tells.
#[derive(Default)]
pub struct Summary {
    pub hosts: IndexMap<String, Stats>,
    /// How it ended, by its own words, and when.
    pub ended: Option<(u8, jiff::Timestamp)>,
    pub n_resumed: usize,
    /// When the last line was written.
    pub last: Option<jiff::Timestamp>,
}

impl Reading {
    /// Opens a journal.
    ///
    /// # Errors
    /// It cannot be read, or is of another form.
    pub fn open(run: &Run) -> anyhow::Result<Reading> {
        let path = run.path();
        let shown = path.display().to_string();
        let file = File::open(&path).with_context(|| format!("cannot read `{shown}`"))?;
        let (mut lines, mut line) = (BufReader::new(file), Vec::new());
        lines.read_until(b'\n', &mut line).with_context(|| format!("cannot read `{shown}`"))?;
        #[derive(Deserialize)]
        struct Form {
            journal: u32,
        }
        match serde_json::from_slice::<Form>(&line) {
            Ok(Form { journal: VERSION }) => {}
            Ok(Form { journal }) => {
                bail!(
                    "the journal of {} has the form {journal}, and this nodewright knows {VERSION}: it was written by another version",
                    run.id
                )
            }
            Err(_) => bail!("`{shown}` does not begin as a journal does"),
        }
        let Ok(Record::Begun(header)) = serde_json::from_slice(&line) else { bail!("`{shown}` does not begin as a journal does") };
        Ok(Reading { header: *header, lines, line, number: 1, path: shown })
    }

    /// The next line; `None` at the end. A line that was torn by a power cut counts as none.
    ///
    /// # Errors
    /// A line in the middle cannot be read.
    pub fn next(&mut self) -> anyhow::Result<Option<Told>> {
        if !self.advance()? {
            return Ok(None);
        }
        let told = if self.line.starts_with(b"{\"event\"") {
            serde_json::from_slice(&self.line).map(|event| Told::Event(Box::new(event)))
        } else {
            serde_json::from_slice(&self.line).map(|record| Told::Record(Box::new(record)))
        };
        match told {
            Ok(told) => Ok(Some(told)),
            Err(err) => {
                // Where a run goes on behind it, the line was the last one before.
                let (number, goes_on) = (self.number, self.advance()?);
                match serde_json::from_slice(&self.line) {
                    _ if !goes_on => Ok(None),
                    Ok(record @ Record::Resumed { .. }) => Ok(Some(Told::Record(Box::new(record)))),
                    _ => bail!("`{}`, line {number}: {err}", self.path),
                }
            }
        }
    }

    fn advance(&mut self) -> anyhow::Result<bool> {
        self.line.clear();
        self.number += 1;
        let n_read = self.lines.read_until(b'\n', &mut self.line).with_context(|| format!("cannot read `{}`", self.path))?;
        Ok(n_read > 0 && self.line.ends_with(b"\n"))
    }

    /// Every file that the run has read.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn files(mut self) -> anyhow::Result<BTreeMap<PathBuf, Checksum>> {
        let mut all = self.header.files.clone();
        while self.advance()? {
            if self.line.starts_with(b"{\"record\":\"files\"")
                && let Ok(Record::Files { files }) = serde_json::from_slice(&self.line)
            {
                all.extend(files);
            }
        }
        Ok(all)
    }

    /// What the run came to. Of a run that told no recap, what its hosts came to so far.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn summary(mut self) -> anyhow::Result<Summary> {
        #[derive(Deserialize)]
        struct Finished {
            result: OfHost,
        }
        #[derive(Deserialize)]
        struct OfHost {
            host: String,
            status: Status,
            ignored: bool,
            rescued: bool,
        }
        #[derive(Deserialize)]
        struct Recap {
            hosts: IndexMap<String, Stats>,
        }
        let mut summary = Summary::default();
        let modified = self.lines.get_ref().metadata().and_then(|meta| meta.modified()).ok();
        summary.last = modified.and_then(|time: SystemTime| jiff::Timestamp::try_from(time).ok());
        while self.advance()? {
            let line = &self.line;
            if line.starts_with(b"{\"event\":\"host_finished\"") {
                let Ok(Finished { result }) = serde_json::from_slice(line) else { continue };
                count(summary.hosts.entry(result.host).or_default(), result.status, result.ignored, result.rescued);
            } else if line.starts_with(b"{\"event\":\"recap\"") {
                if let Ok(Recap { hosts }) = serde_json::from_slice(line) {
                    summary.hosts = hosts;
                }
            } else if line.starts_with(b"{\"record\":\"resumed\"") {
                // It tells again what was done before.
                summary = Summary { n_resumed: summary.n_resumed + 1, last: summary.last, ..Summary::default() };
            } else if line.starts_with(b"{\"record\":\"ended\"")
                && let Ok(Record::Ended { code, at }) = serde_json::from_slice(line)
            {
                summary.ended = Some((code, at));
            }
        }
        Ok(summary)
    }
}

fn count(stats: &mut Stats, status: Status, ignored: bool, rescued: bool) {
    match status {
        Status::Ok => stats.ok += 1,
        Status::Changed => {
            stats.ok += 1;
            stats.changed += 1;
        }
        Status::Skipped => stats.skipped += 1,
        Status::Failed | Status::Unreachable if ignored => {
            stats.ok += 1;
            stats.ignored += 1;
        }
        Status::Failed if rescued => stats.rescued += 1,
        Status::Failed => stats.failed += 1,
        Status::Unreachable => stats.unreachable += 1,
    }
}
