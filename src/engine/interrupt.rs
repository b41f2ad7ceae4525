//! How a run is stopped before its end: first what is running ends, then it is interrupted on the hosts, then everything is left as it is.
//! Called by `cli::signals`; whoever waits asks here whether to go on.

use super::{Ending, Run};
use crate::report::Event;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::sync::watch;

/// What has been asked for, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    None,
    /// What is running ends, and nothing new is begun. Mere waiting ends at once.
    Finish,
    /// What runs on the hosts is interrupted.
    Interrupt,
    /// Everything is left as it is.
    Quit,
}

/// Who or what stops a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Ctrl-C.
    User,
    /// SIGTERM.
    Terminated,
    /// SIGHUP: the terminal is gone.
    HungUp,
}

impl Cause {
    pub fn ending(self) -> Ending {
        match self {
            Cause::User => Ending::Interrupted,
            Cause::Terminated => Ending::Terminated,
            Cause::HungUp => Ending::HungUp,
        }
    }
}

/// What was interrupted ends within this time, or is left as it is.
const GRACE: Duration = Duration::from_secs(15);

pub(super) struct Interrupts {
    level: watch::Sender<Stop>,
    /// Who was the first to ask for anything.
    cause: OnceLock<Cause>,
}

impl Default for Interrupts {
    fn default() -> Interrupts {
        Interrupts { level: watch::channel(Stop::None).0, cause: OnceLock::new() }
    }
}

impl Run {
    /// One step further than what was asked for before: Ctrl-C, pressed again.
    pub fn interrupt(&self) {
        match self.level() {
            Stop::None => self.finish(Cause::User),
            Stop::Finish => {
                self.raise(Stop::Interrupt, Cause::User, "interrupting what runs on the hosts; Ctrl-C once more quits at once");
                self.connections.interrupt();
            }
            Stop::Interrupt | Stop::Quit => self.quit(Cause::User),
        }
    }

    /// Asks the run to stop after what is running.
    pub fn finish(&self, cause: Cause) {
        if self.level() == Stop::None {
            let why = match cause {
                Cause::User => "interrupted",
                Cause::Terminated => "SIGTERM",
                Cause::HungUp => "SIGHUP",
            };
            let words = "what is running ends first, and nothing else is begun; Ctrl-C once more interrupts it on the hosts";
            self.raise(Stop::Finish, cause, &format!("{why}: {words}"));
        }
    }

    /// Ends the run where it is. What runs on the hosts goes on there.
    pub fn quit(&self, cause: Cause) {
        if self.level() < Stop::Quit {
            self.raise(Stop::Quit, cause, "quitting; what runs on the hosts goes on there, and the next run waits for it");
        }
    }

    fn raise(&self, level: Stop, cause: Cause, words: &str) {
        // Whoever came first keeps the exit code.
        let _ = self.interrupts.cause.set(cause);
        // Told first: the recap is the last that is told.
        self.emit(Event::Interrupted { text: words.to_owned() });
        self.interrupts.level.send_replace(level);
    }

    pub(super) fn level(&self) -> Stop {
        *self.interrupts.level.borrow()
    }

    pub(super) fn stopped_by(&self) -> Option<Cause> {
        self.interrupts.cause.get().copied()
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.level() > Stop::None
    }

    /// Returns when so much has been asked for.
    pub(super) async fn interrupted(&self, least: Stop) {
        // The sender lives as long as the run.
        let _ = self.interrupts.level.subscribe().wait_for(|level| *level >= least).await;
    }

    /// Returns when the run is not to be waited for any longer.
    pub async fn given_up(&self) {
        tokio::select! {
            () = self.interrupted(Stop::Quit) => {}
            () = async {
                self.interrupted(Stop::Interrupt).await;
                tokio::time::sleep(GRACE).await;
            } => {}
        }
    }

    /// Does something that may be interrupted; `None` if it was.
    pub(super) async fn unless_interrupted<T>(&self, least: Stop, doing: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = doing => Some(done),
            () = self.interrupted(least) => None,
        }
    }
}
