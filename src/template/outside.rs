//! Lookups that do more than read: commands, passwords that are made, requests over the network. They run when their task's turn has come, and
//! not while the engine tries what a coming task would ask; what they may have changed, it asks again.

use super::fail::{Fail, Res};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

static ACTED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static TRYING: Cell<bool> = const { Cell::new(false) };
}

/// How often a lookup has acted so far.
pub fn n_acted() -> usize {
    ACTED.load(Ordering::SeqCst)
}

/// Evaluates ahead of time: what would act is an error.
pub fn trying<T>(work: impl FnOnce() -> T) -> T {
    let before = TRYING.replace(true);
    let result = work();
    TRYING.set(before);
    result
}

/// Whether this is evaluated ahead of time.
pub fn is_trying() -> bool {
    TRYING.get()
}

/// Called by lookups that act, before they do.
pub(super) fn acts() -> Res<()> {
    if TRYING.get() {
        return Err(Fail::error("this is evaluated when its turn comes"));
    }
    ACTED.fetch_add(1, Ordering::SeqCst);
    Ok(())
}
