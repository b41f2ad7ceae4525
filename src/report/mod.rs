//! What a run tells, as events in order, and the sinks that show them. Sinks know nothing but events.

mod event;

pub use event::{Event, HostResult, Stats, Status, TaskKind};
