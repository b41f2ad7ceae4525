//! Events without secrets: every text that may hold one is masked before any sink sees it.

use super::Event;
use super::event::HostResult;
use crate::secrets::{mask as hide, mask_json};

pub fn mask(event: &mut Event) {
    match event {
        Event::PlayStarted { name, .. } | Event::TaskStarted { name, .. } => hide(name),
        Event::HostOutput { line, .. } => hide(line),
        Event::HostWaits { what, .. } => hide(what),
        Event::ItemFinished { result, .. } | Event::HostFinished { result, .. } => mask_result(result),
        Event::Retrying { name, result, delegated_to, .. } => {
            hide(name);
            delegated_to.iter_mut().for_each(hide);
            mask_json(result);
        }
        Event::Included { item, .. } => item.iter_mut().for_each(hide),
        Event::Recap { custom, .. } => custom.iter_mut().for_each(|(_, stats)| mask_json(stats)),
        Event::Warning { text } | Event::Meta { text, .. } | Event::Asked { question: text } => hide(text),
        Event::Broken { diagnosis, error } => {
            hide(diagnosis);
            hide(error);
        }
        Event::PlaybookStarted { .. }
        | Event::Resuming { .. }
        | Event::NoHostsMatched
        | Event::HostStarted { .. }
        | Event::HostSends { .. }
        | Event::HostReceives { .. }
        | Event::TaskCost { .. }
        | Event::HostCost { .. }
        | Event::RunCost { .. }
        | Event::NoMoreHosts
        | Event::Interrupted { .. }
        | Event::AsyncPolled { .. }
        | Event::AsyncEnded { .. } => {}
    }
}

fn mask_result(result: &mut HostResult) {
    let HostResult { item, result, diagnosis, error, delegated_to, .. } = result;
    item.iter_mut().chain(diagnosis).chain(error).chain(delegated_to).for_each(hide);
    mask_json(result);
}
