//! A text file of the host that is changed in place: what `lineinfile`, `blockinfile`, `replace`, `ini_file` and others share. The probe sends
//! the whole file, the modules make the new content of it, and it is written back like any other.

use super::attributes::{Fix, Ids, Wanted};
use super::file::make_directories;
use super::look::{Entry, FUNCTIONS, Fields};
use super::put::sha1_of;
use super::write_file::{Write, diff_of_contents, diff_of_states, finish_look, finish_write, fix_script};
use crate::module::{Args, Change, Context, Decision, Failure, Outcome, Spec};
use crate::python::regex::{Flags, Pattern};
use crate::sh::{Output, Script, quote, words};
use serde_json::{Map, Value as Json};

/// The file as it is.
pub struct Text {
    /// As the task says it, expanded.
    pub path: String,
    /// What is written: a link's target.
    real: String,
    entry: Option<Entry>,
    ids: Ids,
    /// Empty where there is no file.
    pub content: String,
}

/// How a module tells of its change.
pub struct Telling<'a> {
    /// Ansible's `msg` for the change of the content.
    pub msg: &'a str,
    /// The return value that names the backup: `backup` (always there) or `backup_file`.
    pub backup_key: &'static str,
    /// Put after the path in the headers of the content's diff.
    pub header_suffix: &'static str,
    /// Return what is at the path too: Ansible does so for modules that return `path` or `dest`.
    pub shows_file: bool,
}

pub fn probe(args: &Args) -> Result<Script, Failure> {
    probe_at(args, true)
}

/// The same where a link is replaced by a file unless it is followed.
pub fn probe_at(args: &Args, follow: bool) -> Result<Script, Failure> {
    let path = words::on_host(args.required("path")?);
    let show = encoding(args)?.map_or("cat --".to_owned(), |encoding| format!("iconv -f {encoding} -t UTF-8 --"));
    Ok(Script::new(format!("{FUNCTIONS}p={path}\n{}exit 0\n", ask_as(&show, follow, &Wanted::of(args)?))))
}

/// Lines of a probe that say what [`Text::read`] reads of the path `$p`; nothing may be said after them.
pub fn ask(follow: bool, wanted: &Wanted) -> String {
    ask_as("cat --", follow, wanted)
}

fn ask_as(show: &str, follow: bool, wanted: &Wanted) -> String {
    let resolve = if follow { "if [ -L \"$p\" ]; then r=$(real \"$p\" && echo .) && r=${r%??}; fi\n" } else { "" };
    format!(
        "holds=1\nr=$p\n{resolve}say \"$p\"; say \"$r\"\nlook \"$r\" -L\n{}let_go; holds=''\nif [ -f \"$r\" ]; then {show} \"$r\" || exit 1; fi\n",
        wanted.ask_ids()
    )
}

/// What the host's iconv calls the encoding that Python calls so. None: UTF-8, which is what is spoken here.
pub fn encoding(args: &Args) -> Result<Option<String>, Failure> {
    let Some(name) = args.str("encoding") else { return Ok(None) };
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_-. ".contains(c)) {
        return Err(Failure::argument("encoding", format!("unknown encoding: {name}")));
    }
    let plain = name.to_uppercase().replace(['_', ' '], "-");
    Ok(match plain.as_str() {
        "UTF-8" | "UTF8" | "U8" => None,
        "LATIN-1" | "LATIN1" | "L1" | "LATIN" | "8859" => Some("ISO-8859-1".into()),
        other => Some(match other.strip_prefix("ISO8859-").or(other.strip_prefix("WINDOWS-")) {
            Some(number) if other.starts_with("ISO") => format!("ISO-8859-{number}"),
            Some(number) => format!("CP{number}"),
            None => other.to_owned(),
        }),
    })
}

pub fn read(args: &Args, output: &Output) -> Result<Text, Failure> {
    let fields = Fields::of(&format!("read {}", args.required("path")?), output)?;
    Text::read(fields, &Wanted::of(args)?)
}

impl Text {
    pub fn read(mut fields: Fields, wanted: &Wanted) -> Result<Text, Failure> {
        let (path, real) = (fields.text()?, fields.text()?);
        let entry = fields.entry(&real)?;
        let ids = wanted.ids(&mut fields)?;
        if entry.as_ref().is_some_and(Entry::is_dir) {
            return Err(Failure::argument("path", format!("Path {path} is a directory !")).with("rc", 256));
        }
        let content = String::from_utf8(fields.rest().to_vec())
            .map_err(|_| Failure::argument("path", format!("{path} is not UTF-8, and cannot be edited as text")))?;
        Ok(Text { path, real, entry, ids, content })
    }

    pub fn exists(&self) -> bool {
        self.entry.is_some()
    }

    /// Where the content is: a link's target if it is followed.
    pub fn real(&self) -> &str {
        &self.real
    }

    /// What every file module returns of its file.
    pub fn add_to(&self, outcome: &mut Outcome) {
        self.entry.iter().for_each(|entry| entry.add_to(&mut outcome.data));
    }

    pub fn umask(&self) -> u32 {
        self.ids.umask
    }

    /// A script that makes `content` the file's, for [`finish_write`]. What `fix` does not say stays, or is as it is for a new file.
    pub fn write(&self, content: &str, fix: Fix, before: &str) -> Result<Script, Failure> {
        let mode = fix.mode.or(self.entry.is_none().then_some(0o666 & !self.ids.umask));
        let checksum = sha1_of(content.as_bytes());
        let write = Write {
            path: &self.real,
            replaces: self.entry.as_ref(),
            fix: Fix { mode, ..fix },
            source: "cat",
            checksum: Some(&checksum),
            validate: None,
            backup: false,
            before,
        };
        Ok(write.script()?.with_input(content.as_bytes().to_vec()))
    }

    /// The decision that makes `content` the file's, with the attributes that the task asks for.
    pub fn decide(
        self,
        args: &Args,
        context: &dyn Context,
        outcome: Outcome,
        content: String,
        telling: &Telling,
    ) -> Result<Decision, Failure> {
        let wanted = Wanted::of(args)?;
        let is_new = self.entry.is_none();
        let differs = is_new || content != self.content;
        let fix = match &self.entry {
            Some(entry) => wanted.fix(entry, &self.ids)?,
            // Whether the owner will exist cannot be known while nothing is really made.
            None if context.check_mode() => Fix::default(),
            None => wanted.fix_new(0o666, false, &self.ids)?,
        };
        let (mut before, mut after) = (Map::new(), Map::new());
        match &self.entry {
            Some(entry) => fix.diff(entry, &mut before, &mut after),
            None => fix.diff_new(0o666, &self.ids, &mut before, &mut after),
        }
        let mut msg = if differs { telling.msg.to_owned() } else { String::new() };
        if before != after {
            let joined = if msg.is_empty() { "" } else { " and " };
            msg.push_str(joined);
            msg.push_str("ownership, perms or SE linux context changed");
        }
        let changed = differs || !fix.is_nothing();
        let mut outcome = Outcome { changed, ..outcome }.with("msg", msg);
        if telling.backup_key == "backup" {
            outcome = outcome.with("backup", "");
        }
        if telling.shows_file {
            outcome = outcome.with("path", self.path.as_str());
            self.add_to(&mut outcome);
        }
        if !changed {
            return Ok(outcome.into());
        }
        if context.diff_mode() {
            let header = format!("{}{}", self.path, telling.header_suffix);
            if differs {
                let diff = diff_of_contents((&header, &header), Some(self.content.as_bytes()), content.as_bytes());
                outcome.diff.extend(Some(diff).filter(|diff| diff.before != diff.after));
            }
            if before != after {
                let header = format!("{} (file attributes)", self.path);
                let mut diff = diff_of_states(before, after);
                (diff.before_header, diff.after_header, diff.states) = (header.clone(), header, None);
                outcome = outcome.diff(diff);
            }
        }
        if context.check_mode() {
            return Ok(Change::new(outcome, Script::default()).into());
        }
        let doing = format!("change {}", self.path);
        let shows_file = telling.shows_file;
        if !differs {
            let script = fix_script(&self.real, &fix.lines("\"$p\"", false));
            let finish = finish_look(doing, self.real.clone());
            let change = Change::new(outcome, script).finish(move |output, outcome| {
                let seen = finish(output, outcome.clone())?;
                Ok(if shows_file { seen } else { outcome })
            });
            return Ok(change.into());
        }
        let mut folders = String::new();
        if is_new && let Some((folder, _)) = self.real.rsplit_once('/').filter(|(folder, _)| !folder.is_empty()) {
            let fix = Fix { uid: None, gid: None, mode: Some(0o777 & !self.ids.umask) };
            folders = format!("p={}\n{}p={}\n", quote(folder), make_directories(&fix), quote(&self.real));
        }
        // What is written in another encoding has a sum that is not known here.
        let encoding = encoding(args)?;
        let checksum = encoding.is_none().then(|| sha1_of(content.as_bytes()));
        let source = encoding.map_or("cat".to_owned(), |encoding| format!("iconv -f UTF-8 -t {encoding}"));
        let write = Write {
            path: &self.real,
            replaces: self.entry.as_ref(),
            fix,
            source: &source,
            checksum: checksum.as_deref(),
            validate: args.str("validate"),
            backup: args.is("backup"),
            before: &folders,
        };
        let script = write.script()?.with_input(content.into_bytes());
        let key = telling.backup_key;
        let finish = finish_write(doing, self.real.clone());
        let change = Change::new(outcome, script).finish(move |output, mut outcome| {
            let mut written = finish(output, Outcome::default()).map_err(|failure| match failure.data.get("exit_status") {
                Some(status) => {
                    let stderr = failure.data.get("stderr").and_then(|stderr| stderr.as_str()).unwrap_or_default();
                    Failure { message: format!("failed to validate: rc:{status} error:{stderr}"), ..failure }
                }
                None => failure,
            })?;
            if let Some(backup) = written.data.shift_remove("backup_file") {
                outcome.data.insert(key.into(), backup);
            }
            if shows_file {
                outcome.data.append(&mut written.data);
            }
            Ok(outcome)
        });
        Ok(change.into())
    }
}

/// The arguments as return values, which some of Ansible's modules hand back.
pub fn told(spec: &Spec, args: &Args) -> Outcome {
    let value = |name: &str| args.get(name).cloned().unwrap_or(Json::Null);
    spec.params.iter().fold(Outcome::unchanged(), |outcome, param| outcome.with(param.name, value(param.name)))
}

/// A pattern that a line is searched for. `argument` is where it comes from.
pub fn pattern(argument: &str, pattern: &str) -> Result<Pattern, Failure> {
    Pattern::new(pattern, Flags::default()).map_err(|err| Failure::from(err).of_argument(argument))
}

/// Lines with their line breaks, as Python's `readlines` gives them.
pub fn lines_of(content: &str) -> Vec<String> {
    content.split_inclusive('\n').map(str::to_owned).collect()
}

/// A line without its line break.
pub fn bare(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}
