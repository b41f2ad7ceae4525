//! What a run tells, as events in order, and the sinks that show them. Sinks know nothing but events.

mod callbacks;
mod diff;
mod dump;
mod event;
mod json;
mod junit;
mod lines;
mod mask;
mod minimal;
mod plain;
mod profile;
mod terminal;
mod tree;

pub use callbacks::{Accompanied, DATETIME_FORMAT, Order, ProfileRoles, ProfileTasks, TasksWanted, Timer};
pub use dump::{Dump, Format};
pub use event::{Event, HostResult, Stats, Status, TaskKind};
pub use json::JsonLines;
pub use junit::{Junit, ReportWanted};
pub use lines::{Lines, Style, ToLines};
pub use minimal::{Form, Minimal};
pub use plain::Plain;
pub use profile::Profile;
pub use terminal::Terminal;
pub use tree::Tree;

use crate::secrets;
use std::sync::mpsc;

/// JSON over several lines, keys sorted.
pub fn indented_json(value: &serde_json::Value) -> String {
    dump::indented(&dump::sorted(value.clone()), 4)
}

/// Something that tells of a run.
pub trait Sink: Send {
    fn tell(&mut self, event: &Event);
}

/// Takes events from all over a run and tells them to its sinks, in order, in a thread of its own.
pub struct Reporter {
    /// None: that was all.
    sender: mpsc::Sender<Option<Event>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Reporter {
    pub fn start(mut sinks: Vec<Box<dyn Sink>>) -> Reporter {
        let (sender, receiver) = mpsc::channel::<Option<Event>>();
        let thread = std::thread::spawn(move || {
            for event in receiver.into_iter().map_while(|event| event) {
                sinks.iter_mut().for_each(|sink| sink.tell(&event));
            }
        });
        Reporter { sender, thread: Some(thread) }
    }

    /// A function that tells an event.
    pub fn teller(&self) -> impl Fn(Event) + Send + Sync + 'static + use<> {
        let sender = self.sender.clone();
        move |mut event| {
            if secrets::any() {
                mask::mask(&mut event);
            }
            // When a sink has panicked, or the run is over, there is nobody left to tell.
            drop(sender.send(Some(event)));
        }
    }
}

impl Drop for Reporter {
    /// Waits until everything has been told. What somebody may still have to tell of a run that is over is not waited for.
    fn drop(&mut self) {
        drop(self.sender.send(None));
        if let Some(thread) = self.thread.take() {
            // A sink that panicked has said so itself.
            let _ = thread.join();
        }
    }
}
