//! `nodewright show`: what a run told, once more.

use super::Manner;
use super::history::how;
use super::run::style;
use crate::config::Config;
use crate::engine::Settings;
use crate::journal::{Reading, Record, Run, Told};
use crate::report::{JsonLines, Lines, Plain, Sink};
use anstream::eprintln;
use anyhow::Context;
use std::sync::Arc;

/// Tell again what a run told
#[derive(clap::Args)]
pub struct Args {
    /// The run, by its id or the beginning of it [default: the last one]
    run: Option<String>,
    /// One event per line, as JSON
    #[arg(long)]
    json: bool,
    /// Say more than the run did; may be repeated
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// Replays the events of a run.
///
/// # Errors
/// There is no such run, or its journal cannot be read.
pub fn run(args: &Args) -> anyhow::Result<u8> {
    let run = match &args.run {
        Some(id) => Run::named(id)?,
        None => Run::all()?.pop().context("there are no runs yet")?,
    };
    let mut reading = Reading::open(&run)?;
    let header = reading.header.clone();
    let mut settings = Settings::new(Arc::new(Config::load()?));
    settings.verbosity = args.verbose.max(header.verbosity);
    settings.check = header.check;
    let manner = if header.program == "nodewright" { Manner::Own } else { Manner::Ansible };
    let plain = || Plain::new(std::io::stdout(), std::io::stderr(), Lines::new(style(&settings, manner)));
    let mut sink: Box<dyn Sink> = if args.json { Box::new(JsonLines::new(std::io::stdout())) } else { Box::new(plain()) };
    while let Some(told) = reading.next()? {
        match told {
            Told::Event(event) => sink.tell(&event),
            Told::Record(record) => {
                if let (Record::Resumed { at, .. }, false) = (*record, args.json) {
                    eprintln!("\nresumed at {}", at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S"));
                    sink = Box::new(plain());
                }
            }
        }
    }
    let how = how(&Reading::open(&run)?.summary()?, run.is_alive());
    if !args.json && matches!(how, "killed" | "running" | "interrupted") {
        let words = if how == "running" { "is still going on" } else { "was cut off here" };
        eprintln!("\nthe run {} {words}", run.id);
    }
    Ok(0)
}
