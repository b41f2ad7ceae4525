//! Checks out a git repository, with the host's own git.
//!
//! ```yaml
//! - git: {repo: "https://github.com/kubernetes-sigs/kubespray.git", dest: /opt/kubespray, version: v2.28.0, depth: 1}
//! ```
//!
//! What is not there is cloned; what is there is fetched and switched to `version` (a branch, a tag or a commit; `HEAD`: the remote's own branch). Changes of tracked
//! files fail the task unless `force`. git is never asked for a password: a repository that needs one fails. In check mode only the remote is asked, and nothing is fetched, so
//! `--diff` then shows commits only if they are there already. Returns `before`, `after`, `remote_url_changed`, `submodules_changed`, `git_dir_before`, `git_dir_now`.

mod script;

use super::look::{FUNCTIONS, Fields};
use super::write_file::CLEANING;
use crate::module::{Args, Change, Context, Decision, Diff, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script};
use serde_json::Value as Json;

pub struct Git;

static SPEC: Spec = Spec {
    name: "ansible.builtin.git",
    aliases: &[],
    params: &[
        Param::str("repo").required().alias(&["name"]),
        Param::path("dest"),
        Param::str("version").default("HEAD"),
        Param::str("remote").default("origin"),
        Param::str("refspec"),
        Param::str("reference"),
        Param::bool("force").default("false"),
        Param::int("depth"),
        Param::bool("clone").default("true"),
        Param::bool("update").default("true"),
        Param::bool("bare").default("false"),
        Param::bool("recursive").default("true"),
        Param::bool("single_branch").default("false"),
        Param::bool("track_submodules").default("false"),
        Param::bool("verify_commit").default("false"),
        Param::list("gpg_allowlist"),
        Param::bool("accept_hostkey").default("false"),
        Param::bool("accept_newhostkey").default("false"),
        Param::path("key_file"),
        Param::str("ssh_opts"),
        Param::path("executable"),
        Param::raw("umask"),
        Param::path("archive"),
        Param::str("archive_prefix"),
        Param::path("separate_git_dir"),
    ],
    free_form: FreeForm::None,
};

/// What the script told, in order; nothing where it has not run yet.
pub struct Told(Option<Vec<(String, String)>>);

impl Module for Git {
    type State = Told;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, context: &dyn Context) -> Result<Option<Script>, Failure> {
        check(args)?;
        if context.check_mode() { Ok(Some(script(args, context)?)) } else { Ok(None) }
    }

    fn read(&self, args: &Args, output: &Output) -> Result<Told, Failure> {
        let ran = !output.success() || !output.stdout.is_empty();
        Ok(Told(if ran { Some(told(args, output)?) } else { None }))
    }

    fn decide(&self, args: &Args, state: Told, context: &dyn Context) -> Result<Decision, Failure> {
        match state.0 {
            Some(told) => {
                let outcome = outcome(told)?;
                Ok(if outcome.changed { Change::new(outcome, Script::default()).into() } else { outcome.into() })
            }
            None => {
                let args = args.clone();
                let script = script(&args, context)?;
                Ok(Change::new(Outcome::changed(), script).finish(move |output, _| outcome(told(&args, output)?)).into())
            }
        }
    }
}

fn script(args: &Args, context: &dyn Context) -> Result<Script, Failure> {
    let text = script::text(args, context.check_mode(), context.diff_mode())?;
    Ok(Script::new(format!("{FUNCTIONS}m=$(umask)\n{CLEANING}{text}")))
}

/// What needs no host to be wrong.
fn check(args: &Args) -> Result<(), Failure> {
    for (one, other) in [("separate_git_dir", "bare"), ("accept_hostkey", "accept_newhostkey")] {
        let given = |name| args.bool(name).unwrap_or(args.has(name));
        if given(one) && given(other) {
            return Err(Failure::argument(other, format!("parameters are mutually exclusive: {one}|{other}")));
        }
    }
    if args.has("archive_prefix") && !args.has("archive") {
        return Err(Failure::argument("archive_prefix", "missing parameter(s) required by 'archive_prefix': archive"));
    }
    if !args.has("dest") && args.is("clone") {
        return Err(Failure::new("the destination directory must be specified unless clone=no"));
    }
    match args.get("umask") {
        None => Ok(()),
        Some(Json::String(digits)) if u32::from_str_radix(digits, 8).is_ok_and(|mask| mask <= 0o777) => Ok(()),
        Some(Json::String(_)) => Err(Failure::argument("umask", "umask must be an octal integer")),
        Some(_) => Err(Failure::argument("umask", "umask must be defined as a quoted octal integer")),
    }
}

fn told(args: &Args, output: &Output) -> Result<Vec<(String, String)>, Failure> {
    let mut fields = Fields::of(&format!("check out {}", args.required("repo")?), output)?;
    let mut told = Vec::new();
    while !fields.is_empty() {
        told.push((fields.text()?, fields.text()?));
    }
    Ok(told)
}

fn outcome(told: Vec<(String, String)>) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::unchanged();
    let mut is_failed = false;
    for (key, value) in told {
        match key.as_str() {
            "failed" => is_failed = true,
            "changed" => outcome.changed = value == "1",
            "diff" => outcome = outcome.diff(Diff { prepared: value, ..Diff::default() }),
            "warning" => outcome.warnings.push(value),
            "remote_url_changed" | "submodules_changed" => outcome = outcome.with(&key, value == "1"),
            "before" if value.is_empty() => outcome = outcome.with("before", Json::Null),
            "rc" => outcome = outcome.with("rc", value.parse::<i64>().unwrap_or(1)),
            _ => outcome = outcome.with(&key, value),
        }
    }
    if !is_failed {
        return Ok(outcome);
    }
    let message = outcome.data.remove("msg").and_then(|msg| msg.as_str().map(str::to_owned)).unwrap_or_default();
    let mut failure = Failure::new(message);
    failure.data = outcome.data;
    Err(failure)
}
