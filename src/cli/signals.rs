//! What signals mean to a run. They are received in a thread of their own: the others may be waiting for an answer on the terminal.
//!
//! Ctrl-C asks the run to end after what is running; again, to interrupt that on the hosts; a third time, to end at once. SIGTERM and SIGHUP
//! are like the first. Where somebody is being asked something there is nothing to wait for, and the run ends.

use crate::ask;
use crate::engine::Run;
use anyhow::Context;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The run that is to be told, while there is one.
static RUN: Mutex<Weak<Run>> = Mutex::new(Weak::new());
static WATCHED: OnceLock<()> = OnceLock::new();

/// Receives signals from now on.
///
/// # Errors
/// The system gives us no thread.
pub fn watch() -> anyhow::Result<()> {
    if WATCHED.set(()).is_err() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot watch for signals")?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || runtime.block_on(receive()))
        .context("cannot watch for signals")?;
    Ok(())
}

/// From now on it is this run that signals are about.
pub fn tell(run: &Arc<Run>) {
    *RUN.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(run);
}

async fn receive() {
    let ignored = ignored();
    let listen = |kind: SignalKind| {
        let bit = u32::try_from(kind.as_raw_value() - 1).unwrap_or(63);
        // As with `nohup`: whoever started us wants it so.
        if ignored >> bit & 1 == 1 { None } else { signal(kind).ok() }
    };
    let mut interrupts = listen(SignalKind::interrupt());
    let mut terminations = listen(SignalKind::terminate());
    let mut hang_ups = listen(SignalKind::hangup());
    loop {
        let (number, name) = tokio::select! {
            () = next(&mut interrupts) => (2, None),
            () = next(&mut terminations) => (15, Some("SIGTERM")),
            () = next(&mut hang_ups) => (1, Some("SIGHUP")),
        };
        let run = RUN.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        let was_asking = ask::abandon();
        match (run, name) {
            (None, _) => std::process::exit(128 + number),
            (Some(run), _) if was_asking => run.quit(),
            (Some(run), None) => run.interrupt(),
            (Some(run), Some(name)) => run.finish(name),
        }
    }
}

async fn next(signal: &mut Option<Signal>) {
    if let Some(signal) = signal
        && signal.recv().await.is_some()
    {
        return;
    }
    std::future::pending().await
}

/// The signals that were ignored when we were started, a bit for each.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
