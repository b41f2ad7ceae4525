//! What a run tells, written into its journal.

use super::Journal;
use crate::report::{Event, Sink};
use serde_json::Value as Json;
use std::sync::Arc;

/// Longer texts are shortened: the journal holds the whole of a result where it is needed, and this is for people.
const MOST: usize = 64 << 10;
/// So many items of a list at most.
const MOST_ITEMS: usize = 10_000;

pub struct EventSink(pub Arc<Journal>);

impl Sink for EventSink {
    fn tell(&mut self, event: &Event) {
        let result = match event {
            Event::HostFinished { result, .. } | Event::ItemFinished { result, .. } => &result.result,
            _ => return self.0.write(event),
        };
        if !is_long(result) {
            return self.0.write(event);
        }
        let mut event = event.clone();
        if let Event::HostFinished { result, .. } | Event::ItemFinished { result, .. } = &mut event {
            shorten(&mut result.result);
        }
        self.0.write(&event);
    }
}

fn is_long(value: &Json) -> bool {
    match value {
        Json::String(text) => text.len() > MOST,
        Json::Array(items) => items.len() > MOST_ITEMS || items.iter().any(is_long),
        Json::Object(map) => map.values().any(is_long),
        _ => false,
    }
}

fn shorten(value: &mut Json) {
    match value {
        Json::String(text) if text.len() > MOST => {
            let end = (0..=MOST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let n_more = text.len() - end;
            text.truncate(end);
            text.push_str(&format!("… ({n_more} bytes more)"));
        }
        Json::Array(items) => {
            let n_more = items.len().saturating_sub(MOST_ITEMS);
            items.truncate(MOST_ITEMS);
            items.iter_mut().for_each(shorten);
            if n_more > 0 {
                items.push(format!("… ({n_more} more)").into());
            }
        }
        Json::Object(map) => map.values_mut().for_each(shorten),
        _ => {}
    }
}
