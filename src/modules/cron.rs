//! Jobs and variables in a user's crontab or in a file of `/etc/cron.d`.
//!
//! ```yaml
//! - cron: {name: nightly dump, minute: "15", hour: "3", job: /usr/local/bin/dump, user: postgres}
//! - cron: {name: MAILTO, env: true, job: ops@example.org, cron_file: backup, user: root}
//! ```
//!
//! A job is known by its name, which stands above it as `#Ansible: name`. A file that has nothing left is removed. Returns `jobs`, `envs`,
//! `cron_file`; `backup_file` where one was made.

use super::attributes::{Fix, Wanted};
use super::edit::{self, Text};
use super::look::{FUNCTIONS, Fields};
use super::write_file::diff_of_contents;
use crate::module::{Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, quote, quote_all};
use serde_json::Value as Json;

pub struct Cron;

static SPEC: Spec = Spec {
    name: "ansible.builtin.cron",
    aliases: &[],
    params: &[
        Param::str("name").required(),
        Param::str("user"),
        Param::str("job").alias(&["value"]),
        Param::path("cron_file"),
        Param::str("state").default("present").choices(&["absent", "present"]),
        Param::bool("backup").default("false"),
        Param::str("minute").default("*"),
        Param::str("hour").default("*"),
        Param::str("day").default("*").alias(&["dom"]),
        Param::str("month").default("*"),
        Param::str("weekday").default("*").alias(&["dow"]),
        Param::str("special_time").choices(&["annually", "daily", "hourly", "monthly", "reboot", "weekly", "yearly"]),
        Param::bool("disabled").default("false"),
        Param::bool("env").default("false"),
        Param::str("insertafter"),
        Param::str("insertbefore"),
    ],
    free_form: FreeForm::None,
};

const NOTHING_WANTED: Wanted = Wanted { mode: None, owner: None, group: None };

/// The fields of a schedule, in their order.
const FIELDS: [&str; 5] = ["minute", "hour", "day", "month", "weekday"];

const MARK: &str = "#Ansible: ";

pub enum State {
    /// A user's own, as `crontab -l` shows it.
    User(String),
    File(Text),
}

impl Module for Cron {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        check(args)?;
        let mut text = format!("{FUNCTIONS}{WITH_CRONTAB}");
        match args.str("cron_file") {
            Some(file) => {
                text.push_str(&format!("p={}\ncase $p in /*) ;; *) p=/etc/cron.d/$p ;; esac\n", crate::sh::words::on_host(file)));
                text.push_str(&edit::ask(true, &NOTHING_WANTED));
            }
            // 1 is "no crontab for this user", and what else goes wrong with it Ansible does not tell apart either.
            None => text.push_str(&format!("crontab {} -l\nr=$?\nif [ $r -gt 1 ]; then exit $r; fi\n", whose(args))),
        }
        text.push_str("exit 0\n");
        Ok(Some(Script::new(text)))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<State, Failure> {
        if output.status == NO_CRONTAB {
            return Err(Failure::new("Failed to find required executable \"crontab\" in paths"));
        }
        if args.has("cron_file") {
            return Text::read(Fields::of("read the cron file", output)?, &NOTHING_WANTED).map(State::File);
        }
        if !output.success() {
            return Err(Failure::new(format!("Unable to read crontab: {}", output.stderr_text().trim())));
        }
        let text = String::from_utf8(output.stdout.clone()).map_err(|_| Failure::new("the crontab is not UTF-8"))?;
        Ok(State::User(without_header(&text)))
    }

    fn decide(&self, args: &Args, state: State, context: &dyn Context) -> Result<Decision, Failure> {
        let content = match &state {
            State::User(content) => content.as_str(),
            State::File(file) => file.content.as_str(),
        };
        let mut table = Table { lines: content.lines().map(str::to_owned).collect(), removed: false };
        let mut changed = if args.is("env") { table.set_variable(args)? } else { table.set_job(args)? };
        let goes = table.removed && args.has("cron_file") && table.lines.iter().all(|line| line.trim().is_empty());
        // A last line without an end is one that cron does not run.
        changed |= !content.is_empty() && !content.ends_with(['\n', '\r']);
        let new = table.render();
        let mut outcome = Outcome { changed, ..Outcome::default() };
        if goes {
            outcome = outcome.with("state", args.required("state")?);
        } else {
            outcome = outcome.with("jobs", table.job_names()).with("envs", table.variable_names());
        }
        if let Some(file) = args.str("cron_file") {
            outcome = outcome.with("cron_file", file);
            let base = file.rsplit('/').next().unwrap_or_default();
            if base.is_empty() || !base.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)) {
                outcome.warnings.push(format!(
                    "Filename portion of cron_file (\"{base}\") should consist solely of upper- and lower-case letters, digits, \
                     underscores, and hyphens"
                ));
            }
        }
        let job = args.str("job").unwrap_or_default();
        if job.trim_matches(['\r', '\n']).contains(['\r', '\n']) && !args.is("env") && !table.removed {
            outcome.warnings.push("Job should not contain line breaks".into());
        }
        if !changed {
            return Ok(outcome.into());
        }
        if context.diff_mode() {
            let header = match (&state, args.str("user")) {
                (State::File(file), _) => file.path.clone(),
                (State::User(_), Some(user)) => format!("crontab for user \"{user}\""),
                (State::User(_), None) => "crontab".into(),
            };
            let after = if goes { "/dev/null" } else { header.as_str() };
            outcome = outcome.diff(diff_of_contents((&header, after), Some(content.as_bytes()), new.as_bytes()));
        }
        let backup = if args.is("backup") && !goes { "b=$(mktemp \"${TMPDIR:-/tmp}/crontabXXXXXXXX\") || exit 1\n" } else { "b=''\n" };
        let script = match &state {
            State::File(file) if goes => Script::new(format!("rm -f -- {} || exit 1\n", quote(file.real()))),
            State::File(file) => {
                let copy = format!("{backup}if [ -n \"$b\" ] && [ -e \"$p\" ]; then cat -- \"$p\" > \"$b\" || exit 1; fi\nsay \"$b\"\n");
                file.write(&new, Fix { mode: (!file.exists()).then_some(0o644), ..Fix::default() }, &copy)?
            }
            State::User(_) => {
                let keep = if args.is("backup") { format!("crontab {} -l > \"$b\" 2>/dev/null\n", whose(args)) } else { String::new() };
                Script::new(format!("{FUNCTIONS}{backup}{keep}say \"$b\"\ncrontab {} - || exit 1\n", whose(args)))
                    .with_input(new.into_bytes())
            }
        };
        Ok(Change::new(outcome, script)
            .finish(move |output, mut outcome| {
                if !output.success() {
                    return Err(Failure::script("Failed to install new cronfile", output));
                }
                if !goes {
                    let backup = Fields::of("write the crontab", output)?.text()?;
                    if !backup.is_empty() {
                        outcome = outcome.with("backup_file", backup);
                    }
                }
                Ok(outcome)
            })
            .into())
    }
}

const NO_CRONTAB: i32 = 87;
const WITH_CRONTAB: &str = "command -v crontab > /dev/null || exit 87\n";

/// The words that name another user's crontab: only root may, so for oneself there are none.
fn whose(args: &Args) -> String {
    match args.str("user") {
        Some(user) => format!("$([ \"$(id -un)\" = {0} ] || printf '%s' {1})", quote(user), quote(&quote_all(["-u", user]))),
        None => String::new(),
    }
}

fn check(args: &Args) -> Result<(), Failure> {
    if args.has("insertafter") && args.has("insertbefore") {
        return Err(Failure::argument("insertafter", "parameters are mutually exclusive: insertafter|insertbefore"));
    }
    if args.str("cron_file") == Some("/etc/crontab") {
        return Err(Failure::argument("cron_file", "Will not manage /etc/crontab via cron_file, see documentation."));
    }
    if args.str("user").is_some_and(|user| user.contains(|c: char| c.is_whitespace() || c == '\'')) {
        return Err(Failure::argument("user", "is no user's name"));
    }
    if args.has("special_time") && FIELDS.iter().any(|field| args.str(field) != Some("*")) {
        return Err(Failure::argument("special_time", "You cannot combine special_time with any of the time or day/date parameters."));
    }
    let is_env = args.is("env");
    if args.required("state")? == "present" {
        if args.has("cron_file") && !args.has("user") {
            return Err(Failure::argument("cron_file", "To use cron_file=... parameter you must specify user=... as well"));
        }
        if !args.has("job") {
            return Err(Failure::new("You must specify 'job' to install a new cron job or variable"));
        }
        if !is_env && (args.has("insertafter") || args.has("insertbefore")) {
            return Err(Failure::argument("env", "Insertafter and insertbefore parameters are valid only with env=yes"));
        }
    }
    if is_env && args.required("name")?.contains(' ') {
        return Err(Failure::argument("name", "Invalid name for environment variable"));
    }
    Ok(())
}

/// What `crontab -l` puts above the user's lines is none of them.
fn without_header(text: &str) -> String {
    let is_header = |line: &str| {
        let inside = line.strip_prefix("# (").filter(|rest| rest.contains(')'));
        line.starts_with("# DO NOT EDIT THIS FILE - edit the master and reinstall.")
            || inside.is_some_and(|rest| (rest.starts_with("/tmp/") && rest.contains("installed on")) || rest.contains("version"))
    };
    text.split_inclusive('\n').enumerate().filter(|(at, line)| *at > 2 || !is_header(line)).map(|(_, line)| line).collect()
}

struct Table {
    lines: Vec<String>,
    removed: bool,
}

impl Table {
    /// Says whether that changes something.
    fn set_variable(&mut self, args: &Args) -> Result<bool, Failure> {
        let name = args.required("name")?;
        let at = self.variable(name);
        if args.required("state")? == "absent" {
            let start = format!("{name}=");
            self.lines.retain(|line| !line.starts_with(&start));
            return Ok(at.is_some());
        }
        let declaration = format!("{name}=\"{}\"", args.str("job").unwrap_or_default());
        let Some(at) = at else {
            let place = match (args.str("insertafter"), args.str("insertbefore")) {
                (None, None) => Some(0),
                (Some(other), _) => self.variable(other).map(|at| at + 1),
                (_, Some(other)) => self.variable(other),
            };
            let other = args.str("insertafter").or(args.str("insertbefore")).unwrap_or_default();
            let place = place.ok_or_else(|| Failure::new(format!("Variable named '{other}' not found.")))?;
            self.lines.insert(place, declaration);
            return Ok(true);
        };
        if self.lines[at] == declaration {
            return Ok(false);
        }
        let start = format!("{name}=");
        self.lines.iter_mut().filter(|line| line.starts_with(&start)).for_each(|line| declaration.clone_into(line));
        Ok(true)
    }

    fn variable(&self, name: &str) -> Option<usize> {
        let start = format!("{name}=");
        self.lines.iter().position(|line| line.starts_with(&start))
    }

    fn set_job(&mut self, args: &Args) -> Result<bool, Failure> {
        let name = args.required("name")?;
        let mark = format!("{MARK}{name}");
        if args.required("state")? == "absent" {
            self.removed = self.named(name).is_some();
            if self.removed {
                self.replace(&mark, None);
            }
            return Ok(self.removed);
        }
        let job = job_line(args)?;
        if let Some(there) = self.named(name) {
            let differs = self.lines[there] != job;
            if differs {
                self.replace(&mark, Some(&job));
            }
            return Ok(differs);
        }
        // A job without a name that does the same gets this one's.
        for at in (0..self.lines.len()).filter(|at| self.lines[*at] == job).collect::<Vec<_>>() {
            // As in Python, what stands before the first line is the last.
            let before = if at == 0 { self.lines.len() - 1 } else { at - 1 };
            if !self.lines[before].starts_with(MARK) {
                self.lines.insert(at, mark);
                return Ok(true);
            }
            if !name.is_empty() && self.lines[before] == format!("{MARK}None") {
                self.lines[before] = mark;
                return Ok(true);
            }
        }
        self.lines.extend([mark, job]);
        Ok(true)
    }

    /// Where the job of that name stands.
    fn named(&self, name: &str) -> Option<usize> {
        let mut at = 0;
        while at < self.lines.len() {
            if let Some(found) = self.lines[at].strip_prefix(MARK) {
                at += 1;
                if found == name && at < self.lines.len() {
                    return Some(at);
                }
            }
            at += 1;
        }
        None
    }

    /// Puts another line below each mark, or takes both away.
    fn replace(&mut self, mark: &str, job: Option<&str>) {
        let mut new = Vec::new();
        let mut lines = std::mem::take(&mut self.lines).into_iter();
        while let Some(line) = lines.next() {
            if line != mark {
                new.push(line);
            } else if lines.next().is_some()
                && let Some(job) = job
            {
                new.extend([line, job.to_owned()]);
            }
        }
        self.lines = new;
    }

    fn render(&self) -> String {
        let text = self.lines.join("\n");
        if text.is_empty() { text } else { format!("{}\n", text.trim_end_matches(['\r', '\n'])) }
    }

    fn job_names(&self) -> Json {
        self.lines.iter().filter_map(|line| line.strip_prefix(MARK)).collect()
    }

    fn variable_names(&self) -> Json {
        let name = |line: &String| line.split_once('=').map(|(name, _)| name.to_owned());
        let is_name = |name: &String| !name.is_empty() && !name.contains(char::is_whitespace);
        self.lines.iter().filter_map(name).filter(is_name).collect()
    }
}

fn job_line(args: &Args) -> Result<String, Failure> {
    let job = args.str("job").unwrap_or_default().trim_matches(['\r', '\n']);
    let mut words = Vec::new();
    let special = args.str("special_time").map(|time| format!("@{time}"));
    match &special {
        Some(time) => words.push(time.as_str()),
        None => FIELDS.iter().try_for_each(|field| args.required(field).map(|value| words.push(value)))?,
    }
    if args.has("cron_file") {
        words.push(args.str("user").unwrap_or_default());
    }
    words.push(job);
    let off = if args.is("disabled") { "#" } else { "" };
    Ok(format!("{off}{}", words.join(" ")))
}
