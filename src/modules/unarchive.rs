//! Unpacks an archive into a folder, with the host's own `tar` or `unzip`.
//!
//! ```yaml
//! - unarchive: {src: "https://example.org/etcd-v3.5.tar.gz", dest: /opt/etcd, remote_src: true, extra_opts: [--strip-components=1]}
//! ```
//!
//! `src` is a file of the controller; with `remote_src` it is one of the host, or an address that the host downloads. Nothing is unpacked if everything in
//! the archive is there already as it is in the archive. An archive with a member that would land outside of `dest` is refused. GNU tar unpacks tar files, compressed with
//! whatever the host has programs for; zip files need `unzip`. As Ansible's, it skips tar files in check mode. Returns `dest`, `src`, `handler`,
//! `extract_results`, `files` if `list_files`, and `mode`, `owner`, `group`, `size`, `state` of `dest`.

mod script;

use super::attributes::{Mode, Wanted};
use super::get_url::request;
use super::look::{Entry, FUNCTIONS, Fields};
use super::put::{self, checksum_of, sha1_of};
use crate::module::{Args, Change, Context, Decision, Diff, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Input, Output, Script, words};
use script::{Owners, Part};
use serde_json::{Value as Json, json};
use std::path::PathBuf;

pub struct Unarchive;

static SPEC: Spec = Spec {
    name: "ansible.builtin.unarchive",
    aliases: &[],
    params: &[
        Param::path("src").required(),
        Param::path("dest").required(),
        Param::bool("remote_src"),
        Param::bool("copy"),
        Param::path("creates"),
        Param::bool("list_files").default("false"),
        Param::bool("keep_newer").default("false"),
        Param::list("exclude"),
        Param::list("include"),
        Param::list("extra_opts"),
        Param::bool("validate_certs").default("true"),
        Param::int("io_buffer_size").default("65536"),
        Param::bool("decrypt").default("true"),
        Param::mode("mode"),
        Param::str("owner"),
        Param::str("group"),
    ],
    free_form: FreeForm::None,
};

pub enum State {
    Created,
    NoFolder,
    /// The host's numbers for `owner` and `group`; in check mode also what would be unpacked.
    Ready {
        uid: Option<u32>,
        gid: Option<u32>,
        would: Option<Report>,
    },
}

/// What the script said.
pub enum Report {
    /// Check mode, and no zip file.
    CannotTell,
    Refused(String),
    Done(Done),
}

#[derive(Default)]
pub struct Done {
    handler: String,
    differs: bool,
    /// For zip files: what differs, a line each.
    differences: String,
    /// Command, status and words of the unpacking, if there was any.
    extraction: Option<(Vec<String>, u32, String, String)>,
    fixed: bool,
    entry: Option<Entry>,
    files: Vec<String>,
}

/// Where the archive is.
enum Source {
    Controller(PathBuf),
    Host(String),
    Address(String),
}

impl Source {
    fn of(args: &Args, context: &dyn Context) -> Result<Source, Failure> {
        let src = args.required("src")?;
        if args.has("copy") && args.has("remote_src") {
            return Err(Failure::argument("copy", "parameters are mutually exclusive: ('copy', 'remote_src')"));
        }
        let is_remote = args.bool("copy").map_or(args.is("remote_src"), |copy| !copy);
        match (is_remote, src.contains("://")) {
            (true, true) => Ok(Source::Address(src.to_owned())),
            (true, false) => Ok(Source::Host(src.to_owned())),
            (false, true) => Err(Failure::argument("src", "Unsupported option, an URI src is only supported when remote_src is True")),
            (false, false) => context.find_file("files", src).map(Source::Controller),
        }
    }

    /// As it is returned: Ansible has the name of a temporary file for what it copied.
    fn shown(&self) -> String {
        match self {
            Source::Controller(path) => path.display().to_string(),
            Source::Host(path) => path.clone(),
            Source::Address(url) => url.clone(),
        }
    }

    /// Lines that make `$a` the archive's path, and what they read.
    fn fetch(&self, args: &Args) -> Result<(String, Input), Failure> {
        match self {
            Source::Controller(path) => {
                let decrypted = if args.is("decrypt") { put::decrypted(path)? } else { None };
                let checksum = match &decrypted {
                    Some(plain) => sha1_of(plain),
                    None => checksum_of(path)?,
                };
                let lines = format!(
                    "a=$x/source\ncat > \"$a\" || exit 1\ns=$(LC_ALL=C sha1sum < \"$a\") || exit 1\n\
                     [ \"${{s%% *}}\" = {checksum} ] || no 'the archive arrived damaged'\n"
                );
                Ok((lines, decrypted.map_or_else(|| Input::File(path.clone()), |plain| Input::Bytes(plain.as_slice().into()))))
            }
            Source::Host(path) => Ok((format!("a={}\n", words::on_host(path)), Input::None)),
            Source::Address(url) => Ok((script::download(url), Input::Bytes(request(args, url, None)?.into()))),
        }
    }
}

impl Module for Unarchive {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, context: &dyn Context) -> Result<Option<Script>, Failure> {
        let source = Source::of(args, context)?;
        let mut text = format!("{FUNCTIONS}d={}\n", words::on_host(args.required("dest")?));
        if let Some(creates) = args.str("creates") {
            text += &format!("if [ -e {} ]; then say created; exit 0; fi\n", words::on_host(creates));
        }
        text += "if [ ! -d \"$d\" ]; then say 'no folder'; exit 0; fi\nsay ready\n";
        text += &Wanted::of(args)?.ask_ids();
        let mut script = Script::default();
        if context.check_mode() {
            let (fetch, input) = source.fetch(args)?;
            // Nothing but a temporary folder is touched.
            text += &script::text(args, &fetch, Part::Compare, &Owners::default())?;
            script.input = input;
        }
        Ok(Some(Script { text, ..script }))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<State, Failure> {
        let mut fields = Fields::of(&format!("look at {}", args.required("dest")?), output)?;
        match fields.text()?.as_str() {
            "created" => return Ok(State::Created),
            "no folder" => return Ok(State::NoFolder),
            _ => {}
        }
        let fix = Wanted { mode: None, ..Wanted::of(args)? };
        let ids = fix.ids(&mut fields)?;
        let fix = fix.fix_new(0, false, &ids)?;
        let would = if fields.is_empty() { None } else { Some(report(args, fields)?) };
        Ok(State::Ready { uid: fix.uid, gid: fix.gid, would })
    }

    fn decide(&self, args: &Args, state: State, context: &dyn Context) -> Result<Decision, Failure> {
        let dest = args.required("dest")?;
        if args.has("include") && args.has("exclude") {
            return Err(Failure::argument("exclude", "parameters are mutually exclusive: include|exclude"));
        }
        if Wanted::of(args)?.mode == Some(Mode::Preserve) {
            return Err(Failure::argument("mode", "mode must be in octal or symbolic form"));
        }
        let skipped = |msg: String| Outcome { skipped: true, ..Outcome::default() }.with("msg", msg);
        let (uid, gid, would) = match state {
            State::Created => return Ok(skipped(format!("skipped, since {} exists", args.str("creates").unwrap_or_default())).into()),
            State::NoFolder => return Err(Failure::argument("dest", format!("dest '{dest}' must be an existing dir"))),
            State::Ready { uid, gid, would } => (uid, gid, would),
        };
        let source = Source::of(args, context)?;
        let (src, diff_mode) = (source.shown(), context.diff_mode());
        let told = Telling { src, dest: dest.to_owned(), diff_mode, lists: args.is("list_files") };
        match would {
            Some(Report::CannotTell) => {
                Ok(skipped("remote module (ansible.legacy.unarchive) does not support check mode when using gtar".into()).into())
            }
            Some(report) => {
                let outcome = told.outcome(report)?;
                Ok(if outcome.changed { Change::new(outcome, Script::default()).into() } else { outcome.into() })
            }
            None => {
                let (fetch, input) = source.fetch(args)?;
                let text =
                    format!("{FUNCTIONS}d={}\n{}", words::on_host(dest), script::text(args, &fetch, Part::Unpack, &Owners { uid, gid })?);
                let args = args.clone();
                let finish = move |output: &Output, _: Outcome| {
                    let fields = Fields::of(&format!("unpack {} to {}", told.src, told.dest), output)?;
                    told.outcome(report(&args, fields)?)
                };
                Ok(Change::new(Outcome::changed(), Script { text, input, ..Script::default() }).finish(finish).into())
            }
        }
    }
}

/// Reads what [`script::text`] said.
fn report(args: &Args, mut fields: Fields) -> Result<Report, Failure> {
    match fields.text()?.as_str() {
        "skipped" => return Ok(Report::CannotTell),
        "no" => return Ok(Report::Refused(fields.text()?)),
        _ => {}
    }
    let mut done = Done { handler: fields.text()?, differs: !fields.text()?.is_empty(), differences: fields.text()?, ..Done::default() };
    if let Some(status) = fields.number()? {
        let (stdout, stderr) = (fields.text()?, fields.text()?);
        let n_words = fields.number()?.unwrap_or(0);
        let command = (0..n_words).map(|_| fields.text()).collect::<Result<_, _>>()?;
        done.extraction = Some((command, status, stdout, stderr));
    }
    done.fixed = !fields.text()?.is_empty();
    done.entry = fields.entry(args.required("dest")?)?;
    let names = String::from_utf8_lossy(fields.rest()).into_owned();
    done.files = names.lines().map(|name| name.strip_prefix('/').unwrap_or(name).to_owned()).collect();
    Ok(Report::Done(done))
}

/// What of a report is told, and how.
struct Telling {
    src: String,
    dest: String,
    diff_mode: bool,
    lists: bool,
}

impl Telling {
    fn outcome(&self, report: Report) -> Result<Outcome, Failure> {
        let done = match report {
            Report::Done(done) => done,
            Report::Refused(why) => return Err(Failure::argument("src", why)),
            Report::CannotTell => return Err(Failure::new("the host could not tell what is in the archive")),
        };
        let mut outcome = Outcome { changed: done.differs || done.fixed, ..Outcome::default() }
            .with("src", self.src.as_str())
            .with("dest", self.dest.as_str())
            .with("handler", done.handler);
        if let Some(entry) = &done.entry {
            entry.add_to(&mut outcome.data);
        }
        if self.diff_mode && !done.differences.is_empty() {
            outcome = outcome.diff(Diff { prepared: done.differences, ..Diff::default() });
        }
        if let Some((command, status, stdout, stderr)) = done.extraction {
            let results: Json = json!({"cmd": command, "rc": status, "out": stdout, "err": stderr});
            if status != 0 {
                let mut failure = Failure::new(format!("failed to unpack {} to {}", self.src, self.dest));
                failure.data = outcome.data;
                return Err(failure.with("extract_results", results));
            }
            outcome = outcome.with("extract_results", results);
        }
        if self.lists {
            outcome = outcome.with("files", done.files);
        }
        Ok(outcome)
    }
}
