//! The contract of a module. A module that works on a host is two scripts and a pure function: `probe` reads the host, `read` gives what
//! it said a type, `decide` says what is to change. Check mode is the engine not running `apply`; `--diff` prints what `decide` found.

mod args;
mod registry;
mod spec;

pub use args::Args;
pub use registry::{AnyModule, Host, Registered, find, known_names, resolve_name};
pub use spec::{FreeForm, Param, ParamKind, Secret, Spec};

use crate::sh::{Output, Script};
use serde_json::{Map, Value as Json};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// A module that works on a host. Implementors are unit structs, listed in `modules/mod.rs`.
pub trait Module: Send + Sync + 'static {
    /// What the probe's answer means. `()` for a module whose probe is only a guard or that has none.
    type State: Send;

    fn spec(&self) -> &'static Spec;

    /// A script that reads the host and changes nothing. `None`: there is nothing to read, `read` gets an empty output.
    fn probe(&self, args: &Args, context: &dyn Context) -> Result<Option<Script>, Failure>;

    /// The probe's answer with a type. Whatever cannot be read is a failure, never "absent".
    fn read(&self, args: &Args, output: &Output) -> Result<Self::State, Failure>;

    /// What is to be done. Reads no host and changes nothing; may read the controller's files through `context`.
    fn decide(&self, args: &Args, state: Self::State, context: &dyn Context) -> Result<Decision, Failure>;
}

/// What a module may ask of the controller while it decides.
pub trait Context: Send + Sync {
    fn check_mode(&self) -> bool;
    /// Whether `--diff` is on: contents for a diff need to be read only then.
    fn diff_mode(&self) -> bool;
    /// The controller's path of a file named by `src`, searched as Ansible does: role's `kind` folder, role, playbook's. `kind` is `files` or `templates`.
    fn find_file(&self, kind: &str, name: &str) -> Result<PathBuf, Failure>;
    /// A template file of the controller rendered with the task's variables. `options` are the arguments of the `template` module that matter to rendering.
    fn render_template(&self, name: &str, options: &TemplateOptions) -> Result<String, Failure>;
    /// A fact that is known of the host already (`os_family`, `pkg_mgr`, `distribution_release`), without gathering it.
    fn fact(&self, name: &str) -> Option<Json>;
    /// The facts, without `ansible_`, beyond which nobody will ask for any of those that are gathered now. `None`: that is not known.
    fn named_facts(&self) -> Option<&BTreeSet<String>> {
        None
    }
    /// The interpreter that `ansible_python_interpreter` names for the host.
    fn python(&self) -> Option<String>;
    /// Where relative destinations on the controller (fetch) stand: the playbook's folder.
    fn playbook_dir(&self) -> PathBuf;
    fn inventory_hostname(&self) -> &str;
    /// Whether a text has a secret in it: it must then not stand in the arguments of a process of ours.
    fn tells_secret(&self, text: &str) -> bool;
}

/// The parameters of `template` that change how a file is rendered.
#[derive(Clone, Debug)]
pub struct TemplateOptions {
    pub trim_blocks: bool,
    pub lstrip_blocks: bool,
    pub variable_start: Option<String>,
    pub variable_end: Option<String>,
    pub block_start: Option<String>,
    pub block_end: Option<String>,
    pub comment_start: Option<String>,
    pub comment_end: Option<String>,
    /// For `ansible_managed`, `template_destpath`.
    pub dest: String,
}

pub enum Decision {
    /// Everything is as asked, or the module only reports (`stat`): nothing is run.
    Unchanged(Outcome),
    Change(Change),
}

/// A change, ready to be made: nothing is left to decide.
pub struct Change {
    /// What the task returns if `apply` succeeds, or in check mode. `changed` is normally true.
    pub outcome: Outcome,
    pub apply: Apply,
    /// Turns what `apply` printed into the outcome. Without it: status 0 is success, anything else fails with what it printed.
    pub finish: Option<Finish>,
    /// What check mode reports instead of running `apply`. `None`: `outcome`, as if it had been applied.
    pub in_check_mode: Option<Outcome>,
}

pub enum Apply {
    /// Runs on the host as a job.
    OnHost(Script),
    /// Writes a file of the controller, parents included, beside and renamed (`fetch`).
    OnController { path: PathBuf, content: Vec<u8> },
    /// The same with a file of the host, which may be larger than memory. `finish` is told the SHA-1 of what came, as `sha1sum` would print
    /// it, and the file gets its name only if that is well.
    FromHost { source: String, length: u64, checksum: String, path: PathBuf },
}

pub type Finish = Box<dyn FnOnce(&Output, Outcome) -> Result<Outcome, Failure> + Send>;

impl Change {
    pub fn new(outcome: Outcome, apply: Script) -> Change {
        Change { outcome, apply: Apply::OnHost(apply), finish: None, in_check_mode: None }
    }

    pub fn finish(mut self, finish: impl FnOnce(&Output, Outcome) -> Result<Outcome, Failure> + Send + 'static) -> Change {
        self.finish = Some(Box::new(finish));
        self
    }

    pub fn in_check_mode(mut self, outcome: Outcome) -> Change {
        self.in_check_mode = Some(outcome);
        self
    }
}

impl From<Change> for Decision {
    fn from(change: Change) -> Decision {
        Decision::Change(change)
    }
}

/// What a task that did not fail returns.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub changed: bool,
    /// Return values beside `changed`, by Ansible's names (`stdout`, `rc`, `dest`, `stat`).
    pub data: Map<String, Json>,
    pub diff: Vec<Diff>,
    /// Ansible's module returns a list of diffs also where there is but one (`copy`, `lineinfile`).
    pub lists_diffs: bool,
    /// Ansible's module returns its diff also where none is asked for (`known_hosts`): it is then registered, and not shown.
    pub always_diffs: bool,
    /// Facts to keep for the host, by the names under which Ansible's module returns them (`ansible_os_family`, `packages`).
    pub facts: Map<String, Json>,
    pub warnings: Vec<String>,
    /// The task did nothing because of this (`creates` exists; check mode on a command).
    pub skipped: bool,
}

impl Outcome {
    pub fn unchanged() -> Outcome {
        Outcome::default()
    }

    pub fn changed() -> Outcome {
        Outcome { changed: true, ..Outcome::default() }
    }

    pub fn with(mut self, key: &str, value: impl Into<Json>) -> Outcome {
        self.data.insert(key.to_owned(), value.into());
        self
    }

    pub fn diff(mut self, diff: Diff) -> Outcome {
        self.diff.push(diff);
        self
    }
}

impl From<Outcome> for Decision {
    fn from(outcome: Outcome) -> Decision {
        Decision::Unchanged(outcome)
    }
}

/// Before and after, as Ansible's `diff` return value has them.
#[derive(Clone, Debug, Default)]
pub struct Diff {
    pub before_header: String,
    pub after_header: String,
    pub before: String,
    pub after: String,
    /// The two as mappings, where Ansible's module returns such and not texts (`file`).
    pub states: Option<Box<(Map<String, Json>, Map<String, Json>)>>,
    /// A diff that the host's own tool made (`git diff`); before and after are then empty.
    pub prepared: String,
}

/// Why a task failed. `data` carries return values as on success (`rc`, `stdout`).
#[derive(Clone, Debug)]
pub struct Failure {
    pub message: String,
    /// The argument that is at fault: the engine points at it.
    pub argument: Option<Box<str>>,
    /// What is wrong in a file of the controller, with its place there.
    pub diag: Option<Box<crate::source::Diag>>,
    pub data: Map<String, Json>,
}

impl Failure {
    pub fn new(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), argument: None, diag: None, data: Map::new() }
    }

    /// A failure because of one argument's value.
    pub fn argument(name: &str, message: impl Into<String>) -> Failure {
        Failure { argument: Some(name.into()), ..Failure::new(message) }
    }

    /// The same failure, because of one argument's value.
    pub fn of_argument(self, name: &str) -> Failure {
        Failure { argument: Some(name.into()), ..self }
    }

    pub fn with(mut self, key: &str, value: impl Into<Json>) -> Failure {
        self.data.insert(key.to_owned(), value.into());
        self
    }

    /// A script of ours that should have succeeded did not: what it was doing, its status and its words.
    pub fn script(doing: &str, output: &Output) -> Failure {
        let stderr = output.stderr_text().trim().to_owned();
        let stdout = output.stdout_text().trim().to_owned();
        let said = if stderr.is_empty() { &stdout } else { &stderr };
        Failure::new(format!("{doing}: exited {}: {said}", output.status))
            .with("rc", output.status)
            .with("stdout", stdout)
            .with("stderr", stderr)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<crate::python::regex::Error> for Failure {
    fn from(err: crate::python::regex::Error) -> Failure {
        Failure::new(err.to_string())
    }
}
