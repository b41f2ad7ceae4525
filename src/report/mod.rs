//! What a run tells, as events in order, and the sinks that show them. Sinks know nothing but events.

mod diff;
mod dump;
mod event;
mod json;
mod lines;
mod mask;
mod minimal;
mod plain;
mod profile;
mod terminal;
mod tree;

pub use dump::{Dump, Format};
pub use event::{Event, HostResult, Stats, Status, TaskKind};
pub use json::JsonLines;
pub use lines::{Lines, Style};
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
    sender: Option<mpsc::Sender<Event>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Reporter {
    pub fn start(mut sinks: Vec<Box<dyn Sink>>) -> Reporter {
        let (sender, receiver) = mpsc::channel::<Event>();
        let thread = std::thread::spawn(move || {
            for event in receiver {
                sinks.iter_mut().for_each(|sink| sink.tell(&event));
            }
        });
        Reporter { sender: Some(sender), thread: Some(thread) }
    }

    /// A function that tells an event. It holds the reporter open until it is dropped.
    pub fn teller(&self) -> impl Fn(Event) + Send + Sync + 'static + use<> {
        let sender = self.sender.clone().expect("the reporter is open until it is dropped");
        move |mut event| {
            if secrets::any() {
                mask::mask(&mut event);
            }
            // Only a sink's panic closes the channel, and then there is nobody left to tell.
            drop(sender.send(event));
        }
    }
}

impl Drop for Reporter {
    /// Waits until everything has been told.
    fn drop(&mut self) {
        drop(self.sender.take());
        if let Some(thread) = self.thread.take() {
            // A sink that panicked has said so itself.
            let _ = thread.join();
        }
    }
}
