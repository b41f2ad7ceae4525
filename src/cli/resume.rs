//! `nodewright resume`: goes on with a run that was cut off, or that failed, where each of its hosts left it.

use super::{Manner, extra_vars, keeping, run};
use crate::journal::{Header, Reading, Run, Seal};
use crate::secrets::MASK;
use crate::source::{Checksum, checksum};
use anyhow::{Context, bail};
use clap::{CommandFactory, FromArgMatches, Parser};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Go on with a run that was cut off or has failed
///
/// What each host has done is not done again: results, facts and notified handlers are taken from the run's journal. A task that was under way is
/// followed to its end on its host; one that failed is tried again. Passwords are asked for again, for the journal has none.
#[derive(clap::Args)]
pub struct Args {
    /// The run, by its id or the beginning of it [default: the last one of this folder that did not end well]
    run: Option<String>,
    /// Go on although playbooks, inventory or settings have changed since
    #[arg(long)]
    anyway: bool,
    /// Say more; may be repeated
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Options for `run`, added to those that the run had: `-- --forks 5 -e color=red`
    #[arg(last = true, value_name = "OPTIONS")]
    more: Vec<String>,
}

/// Takes up a run.
///
/// # Errors
/// Why it cannot go on, and as [`run::run`].
pub fn run(args: &Args) -> anyhow::Result<u8> {
    let resumed = match &args.run {
        Some(id) => Run::named(id)?,
        None => last_of_here()?,
    };
    let header = check(&resumed)?;
    std::env::set_current_dir(&header.folder)
        .with_context(|| format!("cannot go to `{}`, where the run was started", header.folder.display()))?;
    let changed = changes(&resumed, &header)?;
    if !changed.is_empty() && !args.anyway {
        bail!(
            "since the run {} these have changed:\n  {}\nWhat its journal says may not fit any more. `--anyway` goes on all the same",
            resumed.id,
            changed.join("\n  ")
        );
    }
    let (mut words, has_all) = command_line(&header)?;
    words.extend((0..args.verbose).map(|_| "-v".to_owned()));
    words.extend(args.more.iter().cloned());
    let manner = if header.program == "nodewright" { Manner::Own } else { Manner::Ansible };
    let asked = parsed(&words, manner)?;
    if !has_all {
        are_given_again(&header, asked.extra_vars())?;
    }
    run::run_with(asked, manner, Some(&resumed))
}

/// The last run that was started in this folder, did not end well, and was not simply run again since.
fn last_of_here() -> anyhow::Result<Run> {
    let here = std::env::current_dir()?;
    let mut ended_well: Vec<Vec<String>> = Vec::new();
    for run in Run::all()?.into_iter().rev() {
        let Ok(reading) = Reading::open(&run) else { continue };
        let header = reading.header.clone();
        if header.folder != here || header.check {
            continue;
        }
        match reading.summary()?.ended {
            Some((0, _)) => ended_well.push(header.args),
            _ if run.is_alive() || ended_well.contains(&header.args) => {}
            _ => return Ok(run),
        }
    }
    bail!(
        "there is nothing to resume: no run of this folder was cut off or has failed and was not done since; `nodewright history` lists all"
    )
}

/// Whether the run can go on at all.
fn check(run: &Run) -> anyhow::Result<Header> {
    if run.is_alive() {
        bail!("the run {} is still going on", run.id);
    }
    if run.is_broken() {
        bail!("the journal of {} could not be written to its end: what the run has done since is not known", run.id);
    }
    let reading = Reading::open(run)?;
    let header = reading.header.clone();
    if header.check {
        bail!("the run {} was a check, and has changed nothing that could be gone on with: run it again", run.id);
    }
    if let Some((0, _)) = reading.summary()?.ended {
        bail!("the run {} ended well: there is nothing to resume", run.id);
    }
    Ok(header)
}

/// What is not as it was when the run read it.
fn changes(run: &Run, header: &Header) -> anyhow::Result<Vec<String>> {
    let files: BTreeMap<PathBuf, Checksum> = Reading::open(run)?.files()?;
    let mut changed: Vec<String> = files
        .into_iter()
        .filter_map(|(path, before)| match std::fs::read(&path) {
            Ok(content) if checksum(&content) == before => None,
            Ok(_) => Some(path.display().to_string()),
            Err(err) => Some(format!("{}: {err}", path.display())),
        })
        .collect();
    let now = keeping::environment();
    let names = header.environment.keys().chain(now.keys().filter(|name| !header.environment.contains_key(*name)));
    changed.extend(names.filter(|name| header.environment.get(*name) != now.get(*name)).map(|name| format!("the environment's {name}")));
    Ok(changed)
}

/// What the run was asked, behind the program's name, and whether that is all: without the key the values of extra variables are missing.
fn command_line(header: &Header) -> anyhow::Result<(Vec<String>, bool)> {
    let Some(sealed) = &header.sealed_args else { return Ok((header.args.clone(), true)) };
    let whole = Seal::find(&header.id, &[]).and_then(|seal| serde_json::from_slice(&seal.open(sealed)?).ok());
    if let Some(whole) = whole {
        return Ok((whole, true));
    }
    let mut words: Vec<String> = Vec::new();
    for word in &header.args {
        if word == MASK {
            words.pop();
        } else if !word.ends_with(MASK) {
            words.push(word.clone());
        }
    }
    Ok((words, false))
}

/// Refuses to go on without a value that the run had.
fn are_given_again(header: &Header, extra_vars: &[String]) -> anyhow::Result<()> {
    let given = extra_vars::read(extra_vars)?;
    let missing: Vec<&str> = header.extra_vars.iter().map(String::as_str).filter(|name| !given.contains_key(*name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let (names, again) = (missing.join("`, `"), missing.iter().map(|name| format!(" -e {name}=VALUE")).collect::<String>());
    bail!(
        "the values of extra variables are not in the journal, and the key to them is gone from memory. Give `{names}` again: \
         nodewright resume {} --{again}",
        header.id
    )
}

/// The words of a command line, understood as `run` understands them; of what is given twice, the later counts.
fn parsed(words: &[String], manner: Manner) -> anyhow::Result<run::Args> {
    #[derive(Parser)]
    #[command(disable_version_flag = true)]
    struct Again {
        #[command(flatten)]
        args: run::Args,
    }
    let words = if manner == Manner::Own { words.get(1..).unwrap_or_default() } else { words };
    let command =
        Again::command().name("nodewright resume").args_override_self(true).infer_long_args(manner == Manner::Ansible).no_binary_name(true);
    let matches = command.try_get_matches_from(words)?;
    Ok(Again::from_arg_matches(&matches)?.args)
}
