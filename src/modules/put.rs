//! One content at one path: what `copy` and `template` share, from the look at the host to the decision.

use super::attributes::{Ids, Mode, Wanted};
use super::file::make_directories;
use super::look::{Entry, FUNCTIONS, Fields};
use super::write_file::{
    LARGE_INPUT, LARGEST_DIFF, Write, diff_of_contents, diff_of_states, diff_of_words, finish_look, finish_write, fix_script,
};
use crate::module::{Args, Change, Context, Decision, Diff, Failure, Outcome};
use crate::sh::{Input, Output, Script, quote, words};
use crate::source::{read_bytes, read_file, refuse_endless};
use crate::vault::{Plain, is_encrypted};
use md5::Md5;
use serde_json::Map;
use sha1::{Digest, Sha1};
use std::any::TypeId;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// What is to be put there.
pub enum Content {
    /// Made here. Shown in a diff under this name, unless it is a secret: it was made of something encrypted.
    Bytes { name: String, bytes: Vec<u8>, is_secret: bool },
    /// A file of the controller.
    File(PathBuf),
    /// A file of the host, with its SHA-1 and what it is.
    OnHost { path: String, checksum: String, entry: Entry },
}

/// What is at the destination.
pub struct Destination {
    /// The file itself: `dest`, or a file in it if `dest` is a directory.
    pub path: String,
    /// `dest` is a directory, or is written like one.
    pub in_directory: bool,
    entry: Option<Entry>,
    /// What a link leads to, if there is something.
    target: Option<Entry>,
    folder: String,
    folder_exists: bool,
    checksum: Option<String>,
    ids: Ids,
    /// Only for a diff, and only if it is not too large.
    content: Option<Vec<u8>>,
}

/// Lines of a probe that say what [`Destination::read`] reads. `name` is the file's name if `dest` is a directory.
pub fn ask(args: &Args, name: &str, context: &dyn Context) -> Result<String, Failure> {
    let dest = words::on_host(args.required("dest")?);
    let mut text = format!(
        "holds=1\nd={dest}\nin=''\ncase $d in */) in=1 ;; *) if [ -d \"$d\" ]; then in=1; d=$d/; fi ;; esac\n\
         while :; do case $d in *//) d=${{d%/}} ;; *) break ;; esac; done\n\
         if [ -n \"$in\" ]; then d=\"${{d}}\"{}; fi\n",
        quote(name)
    );
    if args.is("follow") {
        text.push_str("if [ -L \"$d\" ] && [ -e \"$d\" ]; then r=$(readlink -f -- \"$d\" && echo .) && d=${r%??}; fi\n");
    }
    text.push_str(
        "case $d in */*) f=${d%/*}; f=${f:-/} ;; *) f=. ;; esac\n\
         say \"$d\"; say \"$in\"; say \"$f\"\n\
         if [ -d \"$f\" ]; then say 1; else say ''; fi\n\
         look \"$d\"\n\
         if [ -L \"$d\" ]; then look \"$d\" -L; fi\n\
         if [ -f \"$d\" ]; then sum \"$d\"; else say ''; fi\n",
    );
    text.push_str(&Wanted::of(args)?.ask_ids());
    if context.diff_mode() {
        text.push_str(&format!(
            "say diff\nlet_go; holds=''\nif [ -f \"$d\" ] && [ \"$(wc -c < \"$d\")\" -le {LARGEST_DIFF} ]; then say content; cat -- \"$d\"; else say ''; fi\n"
        ));
    } else {
        text.push_str("say ''\nlet_go; holds=''\n");
    }
    Ok(text)
}

/// The whole probe, where there is nothing else to ask.
pub fn probe(args: &Args, name: &str, context: &dyn Context) -> Result<Script, Failure> {
    Ok(Script::new(format!("{FUNCTIONS}{}exit 0\n", ask(args, name, context)?)))
}

impl Destination {
    pub fn read_output(args: &Args, output: &Output) -> Result<Destination, Failure> {
        Destination::read(args, Fields::of(&format!("look at {}", args.required("dest")?), output)?)
    }

    pub fn read(args: &Args, mut fields: Fields) -> Result<Destination, Failure> {
        let path = fields.text()?;
        let in_directory = !fields.text()?.is_empty();
        let folder = fields.text()?;
        let folder_exists = !fields.text()?.is_empty();
        let entry = fields.entry(&path).or_else(|failure| {
            // Below a file there is nothing, and nothing can be.
            if failure.message.ends_with("Not a directory") && !folder_exists { Ok(None) } else { Err(failure) }
        })?;
        let is_link = entry.as_ref().is_some_and(Entry::is_link);
        let target = if is_link { fields.entry_of_link(&path)? } else { None };
        let checksum = fields.sum()?.filter(|checksum| !checksum.is_empty());
        let ids = Wanted::of(args)?.ids(&mut fields)?;
        let content = if fields.text()?.is_empty() || fields.text()?.is_empty() { None } else { Some(fields.rest().to_vec()) };
        Ok(Destination { path, in_directory, entry, target, folder, folder_exists, checksum, ids, content })
    }

    /// Puts the content there, unless it is there.
    pub fn decide(self, args: &Args, content: Content, context: &dyn Context) -> Result<Decision, Failure> {
        let mut wanted = Wanted::of(args)?;
        if wanted.mode == Some(Mode::Preserve) {
            wanted.mode = Some(Mode::Octal(content.mode()?));
        }
        let path = self.path.as_str();
        let source = content.name();
        let described = |outcome: Outcome| outcome.with("dest", path).with("src", source.as_str());
        // A link that is not followed is not looked through: it is replaced.
        let is_unfollowed_link = self.entry.as_ref().is_some_and(Entry::is_link);
        let there = self.entry.as_ref().filter(|_| !is_unfollowed_link);
        if there.is_some_and(Entry::is_dir) || (is_unfollowed_link && self.target.as_ref().is_some_and(Entry::is_dir)) {
            return Err(Failure::argument("dest", format!("{path} is a directory")).with("dest", path));
        }
        if !args.bool("force").unwrap_or(true)
            && let Some(entry) = &self.entry
        {
            let mut outcome = described(listed(false));
            if matches!(content, Content::OnHost { .. }) {
                entry.add_to(&mut outcome.data);
                outcome = outcome.with("msg", "file already exists");
            }
            return Ok(outcome.into());
        }
        let checksum = content.checksum()?;
        if let Some(expected) = args.str("checksum")
            && expected != checksum
        {
            return Err(Failure::argument("checksum", "Copied file does not match the expected checksum. Transfer failed.")
                .with("checksum", checksum)
                .with("expected_checksum", expected));
        }
        let described = |outcome: Outcome| described(outcome).with("checksum", checksum.as_str());
        if let Some(entry) = there.filter(|_| self.checksum.as_deref() == Some(checksum.as_str())) {
            let fix = wanted.fix(entry, &self.ids)?;
            let mut outcome = Outcome { changed: !fix.is_nothing(), ..described(listed(false)).with("path", path) };
            entry.add_to(&mut outcome.data);
            if fix.is_nothing() {
                return Ok(outcome.into());
            }
            if context.diff_mode() {
                let (mut before, mut after) =
                    (Map::from_iter([("path".to_owned(), path.into())]), Map::from_iter([("path".to_owned(), path.into())]));
                fix.diff(entry, &mut before, &mut after);
                outcome = outcome.diff(diff_of_states(before, after));
            }
            let script = fix_script(path, &fix.lines("\"$p\"", false));
            return Ok(Change::new(outcome, script).finish(finish_look(format!("change {path}"), path.to_owned())).into());
        }
        let mut outcome = described(listed(true));
        if context.diff_mode() && !matches!(content, Content::OnHost { .. }) {
            outcome.diff.extend(Some(self.diff(&content)?).filter(|diff| diff.before != diff.after));
        }
        // Whether a folder, a user or a group is missing cannot be known while nothing is really made.
        if context.check_mode() {
            let outcome = content.md5sum()?.add_to(outcome)?;
            return Ok(Change::new(outcome, Script::default()).into());
        }
        let mut before = String::new();
        if !self.folder_exists {
            if !self.in_directory {
                let message = format!("Destination directory {} does not exist", self.folder);
                return Err(Failure::argument("dest", message).with("checksum", checksum));
            }
            let fix = wanted.for_directories(args)?.fix_new(0o777, true, &self.ids)?;
            before = format!("p={}\n{}p={}\n", quote(&self.folder), make_directories(&fix), quote(path));
        }
        let mut fix = match there {
            Some(entry) => wanted.fix(entry, &self.ids)?,
            None => wanted.fix_new(0o666, false, &self.ids)?,
        };
        let md5sum = content.md5sum()?;
        let mut source = if content.is_large() { LARGE_INPUT } else { "cat" }.to_owned();
        let mut input = Input::None;
        match content {
            Content::Bytes { bytes, .. } => input = Input::Bytes(bytes.into()),
            Content::File(path) => input = Input::File(path),
            Content::OnHost { path, entry, .. } => {
                source = format!("cat -- {}", quote(&path));
                // As Ansible: a file that is replaced on the host takes its source's mode.
                if there.is_some() && wanted.mode.is_none() {
                    fix.mode = Some(entry.mode());
                }
            }
        }
        let write = Write {
            path,
            replaces: there,
            fix,
            source: &source,
            checksum: Some(&checksum),
            validate: args.str("validate"),
            backup: args.is("backup"),
            before: &before,
        };
        let script = Script { input, ..write.script()? };
        let finish = finish_write(format!("write {path}"), path.to_owned());
        Ok(Change::new(outcome, script).finish(move |output, outcome| md5sum.add_to(finish(output, outcome)?)).into())
    }

    fn diff(&self, content: &Content) -> Result<Diff, Failure> {
        let name = content.name();
        let before_header = if self.checksum.is_some() { self.path.as_str() } else { "" };
        let after_header = if matches!(content, Content::Bytes { .. }) && name.is_empty() { self.path.as_str() } else { name.as_str() };
        let headers = (before_header, after_header);
        let size = self.target.as_ref().or(self.entry.as_ref()).map_or(0, |entry| entry.size);
        let too_large = |which: &str| diff_of_words(headers, format!("diff skipped: {which} file size is greater than {LARGEST_DIFF}\n"));
        if size > LARGEST_DIFF {
            return Ok(too_large("destination"));
        }
        let after = match content {
            Content::Bytes { is_secret: true, .. } => {
                return Ok(diff_of_words(headers, "diff skipped: the source is encrypted\n".to_owned()));
            }
            Content::Bytes { bytes, .. } => bytes.clone(),
            Content::File(path) => {
                if path.metadata().is_ok_and(|meta| meta.len() > LARGEST_DIFF) {
                    return Ok(too_large("source"));
                }
                read(path)?
            }
            Content::OnHost { .. } => Vec::new(),
        };
        Ok(diff_of_contents(headers, self.content.as_deref(), &after))
    }
}

fn listed(changed: bool) -> Outcome {
    Outcome { changed, lists_diffs: true, ..Outcome::default() }
}

impl Wanted {
    /// What is asked of directories that are made on the way.
    pub fn for_directories(&self, args: &Args) -> Result<Wanted, Failure> {
        let mode = args.str("directory_mode").map(Mode::parse).transpose()?;
        Ok(Wanted { mode, ..self.clone() })
    }
}

impl Content {
    /// A file of the controller, decrypted if it is encrypted and `decrypt` wants that.
    pub fn of_file(path: PathBuf, decrypt: bool) -> Result<Content, Failure> {
        Ok(match if decrypt { decrypted(&path)? } else { None } {
            Some(plain) => Content::Bytes { name: path.to_string_lossy().into_owned(), bytes: plain.to_vec(), is_secret: true },
            None => Content::File(path),
        })
    }

    fn name(&self) -> String {
        match self {
            Content::Bytes { name, .. } => name.clone(),
            Content::File(path) => path.to_string_lossy().into_owned(),
            Content::OnHost { path, .. } => path.clone(),
        }
    }

    fn checksum(&self) -> Result<String, Failure> {
        match self {
            Content::Bytes { bytes, .. } => Ok(sha1_of(bytes)),
            Content::File(path) => checksum_of(path),
            Content::OnHost { checksum, .. } => Ok(checksum.clone()),
        }
    }

    /// Of what is sent; of a file of the host it is not known.
    fn md5sum(&self) -> Result<Md5sum, Failure> {
        Ok(match self {
            Content::Bytes { bytes, .. } => Md5sum::Known(Some(hex::encode(Md5::digest(bytes)))),
            Content::File(path) if self.is_large() => {
                let path = path.clone();
                Md5sum::Computed(std::thread::spawn(move || digest_of::<Md5>(&path)))
            }
            Content::File(path) => Md5sum::Known(Some(digest_of::<Md5>(path)?)),
            Content::OnHost { .. } => Md5sum::Known(None),
        })
    }

    /// Whether what is done with it takes long enough to be done side by side.
    fn is_large(&self) -> bool {
        const LARGE: u64 = 1 << 20;
        match self {
            Content::Bytes { bytes, .. } => bytes.len() as u64 > LARGE,
            Content::File(path) => path.metadata().is_ok_and(|metadata| metadata.len() > LARGE),
            Content::OnHost { entry, .. } => entry.size > LARGE,
        }
    }

    /// For `mode: preserve`.
    fn mode(&self) -> Result<u32, Failure> {
        match self {
            // What has no file has Ansible's temporary file's mode.
            Content::Bytes { name, .. } if name.is_empty() => Ok(0o600),
            Content::Bytes { name, .. } => mode_of(Path::new(name)),
            Content::File(path) => mode_of(path),
            Content::OnHost { entry, .. } => Ok(entry.mode()),
        }
    }
}

/// What results say of a content beside its SHA-1. A large file's takes as long as sending it does, and is made meanwhile.
enum Md5sum {
    Known(Option<String>),
    Computed(JoinHandle<Result<String, Failure>>),
}

impl Md5sum {
    fn add_to(self, outcome: Outcome) -> Result<Outcome, Failure> {
        let md5sum = match self {
            Md5sum::Known(None) => return Ok(outcome),
            Md5sum::Known(Some(md5sum)) => md5sum,
            // Its own panic, if it had one, goes on here.
            Md5sum::Computed(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?,
        };
        Ok(outcome.with("md5sum", md5sum))
    }
}

/// Whether a file of the controller is encrypted.
pub fn is_encrypted_file(path: &Path) -> Result<bool, Failure> {
    let mut head = [0; 32];
    let length = refuse_endless(path).and_then(|()| std::fs::File::open(path)?.read(&mut head));
    let length = length.map_err(|err| Failure::argument("src", format!("read {}: {err}", path.display())))?;
    Ok(is_encrypted(&head[..length]))
}

/// What is in a file of the controller, if it is encrypted.
pub fn decrypted(path: &Path) -> Result<Option<Arc<Plain>>, Failure> {
    if !is_encrypted_file(path)? {
        return Ok(None);
    }
    let (plain, _) = read_bytes(path).map_err(|err| Failure::argument("src", err.into_diag().title))?;
    Ok(Some(Arc::new(plain)))
}

pub fn mode_of(path: &Path) -> Result<u32, Failure> {
    use std::os::unix::fs::PermissionsExt;
    let meta = path.metadata().map_err(|err| Failure::argument("src", format!("look at {}: {err}", path.display())))?;
    Ok(meta.permissions().mode() & 0o7777)
}

/// A file of the controller.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    read_file(path).map_err(|err| Failure::argument("src", format!("read {}: {err}", path.display())))
}

/// SHA-1 of a file of the controller, which may be larger than memory.
pub fn checksum_of(path: &Path) -> Result<String, Failure> {
    digest_of::<Sha1>(path)
}

/// Once for all hosts that want to know it, for as long as the file stays as it is.
fn digest_of<D: Digest + 'static>(path: &Path) -> Result<String, Failure> {
    type Known = Mutex<Option<((SystemTime, u64), String)>>;
    static KNOWN: Mutex<BTreeMap<(PathBuf, TypeId), Arc<Known>>> = Mutex::new(BTreeMap::new());
    let failed = |err: std::io::Error| Failure::argument("src", format!("read {}: {err}", path.display()));
    let metadata = path.metadata().map_err(failed)?;
    let written = metadata.modified().map_err(failed)?;
    let stamp = (written, metadata.len());
    let known = {
        let mut all = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry((path.to_owned(), TypeId::of::<D>())).or_default().clone()
    };
    // Those who ask meanwhile wait for the answer.
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((then, digest)) = known.as_ref()
        && *then == stamp
    {
        return Ok(digest.clone());
    }
    let digest = read_digest::<D>(path)?;
    // A file may change twice within one tick of its clock: what was written just now is not relied on.
    *known = written.elapsed().is_ok_and(|age| age > Duration::from_secs(2)).then(|| (stamp, digest.clone()));
    Ok(digest)
}

fn read_digest<D: Digest>(path: &Path) -> Result<String, Failure> {
    let failed = |err: std::io::Error| Failure::argument("src", format!("read {}: {err}", path.display()));
    let mut file = refuse_endless(path).and_then(|()| std::fs::File::open(path)).map_err(failed)?;
    let (mut sum, mut buffer) = (D::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(hex::encode(sum.finalize())),
            length => sum.update(&buffer[..length]),
        }
    }
}

/// SHA-1 of a content, as the host's `sha1sum` writes it.
pub fn sha1_of(content: &[u8]) -> String {
    hex::encode(Sha1::digest(content))
}
