//! What signals mean to a command. They are received in a thread of their own: the others may be waiting for an answer on the terminal.
//!
//! Ctrl-C asks a run to end after what is running; again, to interrupt that on the hosts; a third time, to end at once. SIGTERM and SIGHUP
//! are like the first. Where somebody is being asked something, or where there is no run, there is nothing to wait for, and the program ends.

use super::Manner;
use crate::ask;
use crate::engine::{Cause, Run};
use anyhow::Context;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The run that is to be told, while there is one.
static RUN: Mutex<Weak<Run>> = Mutex::new(Weak::new());
/// How many there are whose business signals are meanwhile; and those who take Ctrl-C alone.
static HELD: AtomicUsize = AtomicUsize::new(0);
static INTERRUPTS_HELD: AtomicUsize = AtomicUsize::new(0);

/// As long as this is there, signals end nothing here.
pub struct Held(&'static AtomicUsize);

impl Held {
    fn of(count: &'static AtomicUsize) -> Held {
        count.fetch_add(1, Ordering::SeqCst);
        Held(count)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// All signals are the caller's business until this is dropped.
pub fn hold() -> Held {
    Held::of(&HELD)
}

/// Ctrl-C is meant for another program on the terminal until this is dropped.
pub fn hold_interrupts() -> Held {
    Held::of(&INTERRUPTS_HELD)
}

/// A signal ended what was being done, and that was left tidily.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub struct Ended {
    pub cause: Cause,
    pub words: String,
}

impl Ended {
    pub fn code(&self) -> u8 {
        self.cause.ending() as u8
    }
}

/// The signals that are received. `None`: whoever started us wants it ignored, as `nohup` does.
struct Signals {
    interrupts: Option<Signal>,
    terminations: Option<Signal>,
    hang_ups: Option<Signal>,
}

impl Signals {
    fn listen() -> Signals {
        let ignored = ignored();
        let listen = |kind: SignalKind| {
            let bit = u32::try_from(kind.as_raw_value() - 1).unwrap_or(63);
            if ignored >> bit & 1 == 1 { None } else { signal(kind).ok() }
        };
        Signals {
            interrupts: listen(SignalKind::interrupt()),
            terminations: listen(SignalKind::terminate()),
            hang_ups: listen(SignalKind::hangup()),
        }
    }

    async fn next(&mut self) -> Cause {
        tokio::select! {
            () = next(&mut self.interrupts) => Cause::User,
            () = next(&mut self.terminations) => Cause::Terminated,
            () = next(&mut self.hang_ups) => Cause::HungUp,
        }
    }
}

/// Receives signals from now on.
///
/// # Errors
/// The system gives us no thread.
pub fn watch(manner: Manner) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot watch for signals")?;
    // Before the thread begins: the first question may come sooner.
    let signals = {
        let _inside = runtime.enter();
        Signals::listen()
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || runtime.block_on(receive(signals, manner)))
        .context("cannot watch for signals")?;
    Ok(())
}

/// From now on it is this run that signals are about.
pub fn tell(run: &Arc<Run>) {
    *RUN.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(run);
}

async fn receive(mut signals: Signals, manner: Manner) {
    loop {
        let cause = signals.next().await;
        let is_held = |count: &AtomicUsize| count.load(Ordering::SeqCst) > 0;
        if is_held(&HELD) || (cause == Cause::User && is_held(&INTERRUPTS_HELD)) {
            continue;
        }
        let run = RUN.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        let was_asking = ask::abandon();
        match (run, cause) {
            (None, _) => end(cause, manner),
            (Some(run), _) if was_asking => run.quit(cause),
            (Some(run), Cause::User) => run.interrupt(),
            (Some(run), _) => run.finish(cause),
        }
    }
}

fn end(cause: Cause, manner: Manner) -> ! {
    match (cause, manner) {
        (Cause::User, Manner::Ansible) => eprintln!("[ERROR]: User interrupted execution"),
        (Cause::User, Manner::Own) => eprintln!("error: interrupted"),
        // Whoever ends us so knows it.
        _ => {}
    }
    std::process::exit((cause.ending() as u8).into())
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
