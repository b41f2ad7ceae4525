//! `nodewright history`: the runs of which there are journals.

use crate::journal::{Reading, Run, Summary};
use crate::report::Stats;
use anstream::println;
use serde_json::json;
use std::time::Duration;

/// List the runs of the last time, and how they ended
#[derive(clap::Args)]
pub struct Args {
    /// Only runs that were started in this folder
    #[arg(long)]
    here: bool,
    /// One line of JSON per run
    #[arg(long)]
    json: bool,
}

/// Lists the runs, the latest last.
///
/// # Errors
/// The folder of the journals cannot be read.
pub fn run(args: &Args) -> anyhow::Result<u8> {
    let here = std::env::current_dir()?;
    let mut rows = Vec::new();
    for run in Run::all()? {
        let reading = match Reading::open(&run) {
            Ok(reading) => reading,
            Err(err) => {
                anstream::eprintln!("{err:#}");
                continue;
            }
        };
        let header = reading.header.clone();
        if args.here && header.folder != here {
            continue;
        }
        let is_alive = run.is_alive();
        let summary = reading.summary()?;
        let total = total(&summary);
        let how = how(&summary, &run, is_alive);
        let until = match (&summary.ended, is_alive) {
            (Some((_, at)), _) => Some(*at),
            (None, true) => Some(jiff::Timestamp::now()),
            (None, false) => summary.last,
        };
        let took = until.and_then(|until| Duration::try_from(until.duration_since(header.started)).ok()).unwrap_or_default();
        if args.json {
            let command = [std::slice::from_ref(&header.program), &header.args].concat();
            let can_be_resumed = !run.is_broken() && !is_alive && !header.check && how != "ok";
            let line = json!({
                "run": run.id, "started": header.started, "seconds": took.as_secs_f64(), "ended": how, "exit": summary.ended.map(|(code, _)| code),
                "command": command, "folder": header.folder, "playbooks": header.playbooks,
                "check": header.check, "resumed": summary.n_resumed, "hosts": summary.hosts, "can_be_resumed": can_be_resumed,
            });
            println!("{line}");
            continue;
        }
        let started = header.started.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string();
        let check = if header.check { " (check)" } else { "" };
        let counts = [summary.hosts.len() as u32, total.ok, total.changed, total.failed + total.unreachable].map(|count| count.to_string());
        let [hosts, ok, changed, failed] = counts;
        rows.push([run.id, started, words_of(took), how.to_owned(), hosts, ok, changed, failed, header.playbooks.join(" ") + check]);
    }
    if !args.json {
        show(rows);
    }
    Ok(0)
}

/// How a run ended, in a word.
pub fn how(summary: &Summary, run: &Run, is_alive: bool) -> &'static str {
    match summary.ended {
        Some((0, _)) => "ok",
        Some((4, _)) => "unreachable",
        Some((99 | 129 | 130 | 143, _)) => "interrupted",
        Some((1, _)) => "broken",
        Some(_) => "failed",
        None if is_alive => "running",
        // The disk was full before it ended.
        None if run.is_broken() => "unknown",
        None => "killed",
    }
}

fn total(summary: &Summary) -> Stats {
    summary.hosts.values().fold(Stats::default(), |sum, stats| Stats {
        ok: sum.ok + stats.ok,
        changed: sum.changed + stats.changed,
        failed: sum.failed + stats.failed,
        unreachable: sum.unreachable + stats.unreachable,
        ..sum
    })
}

fn words_of(took: Duration) -> String {
    let seconds = took.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", took.as_secs_f64()),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

fn show(rows: Vec<[String; 9]>) {
    if rows.is_empty() {
        println!("no runs yet");
        return;
    }
    let head = ["RUN", "STARTED", "TOOK", "ENDED", "HOSTS", "OK", "CHANGED", "FAILED", "PLAYBOOKS"].map(str::to_owned);
    let all: Vec<[String; 9]> = std::iter::once(head).chain(rows).collect();
    let widths: Vec<usize> =
        (0..9).map(|column| all.iter().map(|row| console::measure_text_width(&row[column])).max().unwrap_or(0)).collect();
    for row in all {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("{}", cells.join("  ").trim_end());
    }
}
