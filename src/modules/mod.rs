//! The modules, one file per family; a file's head comment is its manual page.

mod apt;
mod command;
mod fnmatch;
mod in_engine;
mod setup;
mod systemd;
#[cfg(test)]
mod trial;

pub use in_engine::{IN_ENGINE, TAKES_ANY_PARAMETER};

use crate::module::{AnyModule, Host};

/// Modules that work on a host, in alphabetical order.
pub static ON_HOST: &[&dyn AnyModule] = &[
    &Host(apt::Apt),
    &Host(command::Command),
    &Host(command::Raw),
    &Host(command::ScriptFile),
    &Host(command::Shell),
    &Host(systemd::Service),
    &Host(setup::Setup),
    &Host(systemd::Systemd),
];
