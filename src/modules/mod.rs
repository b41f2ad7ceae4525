//! The modules, one file per family; a file's head comment is its manual page.

mod command;
mod in_engine;
#[cfg(test)]
mod trial;

pub use in_engine::IN_ENGINE;

use crate::module::{AnyModule, Host};

/// Modules that work on a host, in alphabetical order.
pub static ON_HOST: &[&dyn AnyModule] = &[
    &Host(command::Command),
    &Host(command::Raw),
    &Host(command::ScriptFile),
    &Host(command::Shell),
];
