//! The modules, one file per family; a file's head comment is its manual page.

mod apt;
mod attributes;
mod command;
mod copy;
mod copy_tree;
mod file;
mod fnmatch;
mod in_engine;
mod look;
mod put;
mod setup;
mod systemd;
mod template;
mod write_file;
#[cfg(test)]
mod trial;

pub use in_engine::{IN_ENGINE, TAKES_ANY_PARAMETER};

use crate::module::{AnyModule, Host};

/// Modules that work on a host, in alphabetical order.
pub static ON_HOST: &[&dyn AnyModule] = &[
    &Host(apt::Apt),
    &Host(command::Command),
    &Host(copy::Copy),
    &Host(file::File),
    &Host(command::Raw),
    &Host(command::ScriptFile),
    &Host(systemd::Service),
    &Host(setup::Setup),
    &Host(command::Shell),
    &Host(systemd::Systemd),
    &Host(template::Template),
];
