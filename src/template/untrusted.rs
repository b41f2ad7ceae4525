//! Text that looks like a template and is none: it came from a host, or is marked `!unsafe`. It is never rendered; one may ask to be told of it.

use super::fail::{Fail, Res};
use crate::source::{Node, origin};
use std::sync::{Mutex, OnceLock, PoisonError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untrusted {
    Ignore,
    Warn,
    Fail,
}

static WANTED: OnceLock<Untrusted> = OnceLock::new();

static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// What is to be done about such text, from here on. The first call counts.
pub fn treat_untrusted(how: Untrusted) {
    let _ = WANTED.set(how);
}

/// What is worth a warning since the last call.
pub fn take_warnings() -> Vec<String> {
    std::mem::take(&mut *WARNINGS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Called with a string that is used as it stands.
pub(super) fn met(node: &Node, text: &str) -> Res<()> {
    let how = WANTED.get().copied().unwrap_or(Untrusted::Ignore);
    if how == Untrusted::Ignore || !crate::source::may_be_template(text) {
        return Ok(());
    }
    let title = "Encountered untrusted template or expression.";
    // It is told when the task's turn has come.
    if how == Untrusted::Fail || super::outside::is_trying() {
        return Err(Fail::error(title).at(Some(node.span.clone())));
    }
    let advice =
        "Templates and expressions must be defined by trusted sources such as playbooks or roles, not untrusted ones such as results.";
    let words = format!("{title}\n{}\n{advice}\n", origin(&node.span));
    WARNINGS.lock().unwrap_or_else(PoisonError::into_inner).push(words);
    Ok(())
}
