//! Writing a journal: one line at a time, each in one write.

use super::record::{Header, Record};
use super::seal::Seal;
use super::{BROKEN, FILE, Run, folder, make_private, sweep};
use crate::secrets;
use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The journal of the present run. Held locked as long as it is open.
pub struct Journal {
    pub run: Run,
    file: Mutex<Option<File>>,
    /// Something was written that may not be on the disk yet.
    is_ahead: Arc<AtomicBool>,
    seal: Option<Seal>,
    has_envelopes: AtomicBool,
    /// What went wrong and was not told yet.
    complaint: Mutex<Option<String>>,
    complains: AtomicBool,
    files: Mutex<BTreeMap<PathBuf, crate::source::Checksum>>,
}

impl Journal {
    /// Begins the journal of a new run. `args`: the whole command line, to be sealed, where the header has it masked.
    ///
    /// # Errors
    /// There is no place for it.
    pub fn begin(mut header: Header, args: Option<&[String]>) -> anyhow::Result<Journal> {
        let all = folder().context("neither XDG_STATE_HOME nor HOME is set")?;
        make_private(&all).with_context(|| format!("cannot make `{}`", all.display()))?;
        sweep();
        // To the millisecond: ids are sorted by, and two runs may begin in a second.
        let stamp = header.started.strftime("%Y%m%dT%H%M%S.%3f");
        let mut tries = 0;
        let run = loop {
            let id = format!("{stamp}-{:04x}", rand::random::<u16>());
            let folder = all.join(&id);
            match std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&folder) {
                Ok(()) => break Run { id, folder },
                Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists && tries < 100 => tries += 1,
                Err(err) => return Err(err).with_context(|| format!("cannot make `{}`", folder.display())),
            }
        };
        let path = run.folder.join(FILE);
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path);
        let file = file.with_context(|| format!("cannot make `{}`", path.display()))?;
        file.try_lock().with_context(|| format!("cannot lock `{}`", path.display()))?;
        let seal = Seal::new(&run.id);
        header.id.clone_from(&run.id);
        let journal = Journal::of(run, file, seal, header.files.clone());
        // Nothing stands before the first line, not even the key to what is sealed in it.
        let seal = |args| journal.seal.as_ref().and_then(|seal| seal.close(&serde_json::to_vec(args).ok()?)).unwrap_or_default();
        header.sealed_args = args.map(seal);
        let is_sealed = header.sealed_args.is_some();
        journal.write(&Record::Begun(Box::new(header)));
        if is_sealed {
            journal.keep_key();
        }
        match journal.complaint() {
            None => Ok(journal),
            Some(words) => bail!(words),
        }
    }

    /// Opens the journal of a run that was cut off, to go on in it.
    ///
    /// # Errors
    /// Somebody holds it, or it cannot be written.
    pub fn reopen(run: &Run, seal: Option<Seal>, files: BTreeMap<PathBuf, crate::source::Checksum>) -> anyhow::Result<Journal> {
        let path = run.path();
        let shown = || format!("cannot open `{}`", path.display());
        let mut file = OpenOptions::new().read(true).append(true).open(&path).with_context(shown)?;
        if file.try_lock().is_err() {
            bail!("the run {} is still going on", run.id);
        }
        // A power cut may have torn the last line.
        let mut last = [b'\n'];
        if file.seek(SeekFrom::End(-1)).is_ok() {
            file.read_exact(&mut last).with_context(shown)?;
        }
        let journal = Journal::of(run.clone(), file, seal, files);
        if last != *b"\n" {
            journal.write_line(b"\n");
        }
        journal.write(&Record::Resumed { at: jiff::Timestamp::now(), version: env!("CARGO_PKG_VERSION").to_owned() });
        Ok(journal)
    }

    fn of(run: Run, file: File, seal: Option<Seal>, files: BTreeMap<PathBuf, crate::source::Checksum>) -> Journal {
        let is_ahead = Arc::new(AtomicBool::new(false));
        if let Ok(same) = file.try_clone() {
            sync_every_second(same, &is_ahead);
        }
        Journal {
            run,
            is_ahead,
            file: Mutex::new(Some(file)),
            seal,
            has_envelopes: AtomicBool::new(false),
            complaint: Mutex::default(),
            complains: AtomicBool::new(false),
            files: Mutex::new(files),
        }
    }

    /// Writes one line. That there is no room for it ends the journal and not the run: see [`Journal::complaint`].
    pub fn write(&self, record: &impl Serialize) {
        match serde_json::to_vec(record) {
            Ok(mut line) => {
                line.push(b'\n');
                self.write_line(&line);
            }
            Err(err) => self.give_up(&lock(&self.file).take(), &err.to_string()),
        }
    }

    /// Writes what somebody may have to keep to himself: as it is if that holds no secret, else sealed. `is_secret`: it is one as a whole.
    /// `line` makes the line, of the content or of its sealed form.
    pub fn write_either<T: Serialize>(&self, content: T, is_secret: bool, line: impl Fn(Option<T>, Option<String>) -> Record) {
        let sealed = |content: &T| self.seal(&serde_json::to_vec(content).unwrap_or_default());
        if is_secret {
            return self.write(&line(None, sealed(&content)));
        }
        if !secrets::any() {
            return self.write(&line(Some(content), None));
        }
        match serde_json::to_value(&content).map_or(true, |value| holds_secret(&value)) {
            true => self.write(&line(None, sealed(&content))),
            false => self.write(&line(Some(content), None)),
        }
    }

    /// A text under the run's key. Without a key it is lost, and will be seen to be.
    fn seal(&self, plain: &[u8]) -> Option<String> {
        self.keep_key();
        self.seal.as_ref().map_or_else(|| Some(String::new()), |seal| seal.close(plain))
    }

    /// Keeps the key under the run's passwords, once it is needed.
    fn keep_key(&self) {
        if let Some(seal) = self.seal.as_ref().filter(|_| !self.has_envelopes.swap(true, Ordering::Relaxed)) {
            seal.envelopes().into_iter().for_each(|envelope| self.write(&Record::Key { envelope }));
        }
    }

    /// Writes down which files were read since the last time.
    pub fn note_files(&self) {
        let mut known = lock(&self.files);
        let new: BTreeMap<_, _> = crate::source::noted().into_iter().filter(|(path, now)| known.get(path) != Some(now)).collect();
        if !new.is_empty() {
            known.extend(new.clone());
            self.write(&Record::Files { files: new });
        }
    }

    /// The last line. Nobody will go on with a run that ended well: its key goes.
    pub fn end(&self, code: u8) {
        self.write(&Record::Ended { code, at: jiff::Timestamp::now() });
        if let Some(file) = lock(&self.file).as_ref() {
            // It is ended all the same.
            let _ = file.sync_data();
        }
        if code == 0 {
            super::seal::forget(&self.run.id);
        }
    }

    fn write_line(&self, line: &[u8]) {
        let mut open = lock(&self.file);
        let Some(file) = open.as_mut() else { return };
        self.is_ahead.store(true, Ordering::Relaxed);
        if let Err(err) = file.write_all(line) {
            let file = open.take();
            self.give_up(&file, &err.to_string());
        }
    }

    /// A journal with a hole would have a later run do again what was done: from here on there is none, and its name says so.
    fn give_up(&self, file: &Option<File>, why: &str) {
        if file.is_none() {
            return;
        }
        let _ = std::fs::rename(self.run.folder.join(FILE), self.run.folder.join(BROKEN));
        let words = format!(
            "the journal of this run cannot be written any further ({why}): the run goes on, but it cannot be resumed if it is cut off"
        );
        *lock(&self.complaint) = Some(words);
        self.complains.store(true, Ordering::Release);
    }

    /// What went wrong with the journal, once.
    pub fn complaint(&self) -> Option<String> {
        if !self.complains.load(Ordering::Acquire) {
            return None;
        }
        lock(&self.complaint).take()
    }
}

/// What is written outlives this process at once, and a power cut within a second. To wait for the disk at every line would cost more than the work.
fn sync_every_second(file: File, is_ahead: &Arc<AtomicBool>) {
    let journal = Arc::downgrade(is_ahead);
    std::thread::spawn(move || {
        while let Some(is_ahead) = journal.upgrade() {
            // A disk that fails will fail the next line as well.
            let _ = is_ahead.swap(false, Ordering::Relaxed).then(|| file.sync_data());
            drop(is_ahead);
            std::thread::sleep(Duration::from_secs(1));
        }
    });
}

fn holds_secret(value: &Json) -> bool {
    match value {
        Json::String(text) => secrets::tells(text),
        Json::Array(items) => items.iter().any(holds_secret),
        Json::Object(map) => map.iter().any(|(key, value)| secrets::tells(key) || holds_secret(value)),
        Json::Number(number) => secrets::tells(&number.to_string()),
        Json::Null | Json::Bool(_) => false,
    }
}

/// A lock whose holder panicked is still good: a line is written whole or not at all.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
