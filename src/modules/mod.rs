//! The modules, one file per family; a file's head comment is its manual page.

mod apt;
mod attributes;
mod blockinfile;
mod command;
mod copy;
mod copy_tree;
mod edit;
mod fetch;
mod file;
mod fnmatch;
mod in_engine;
mod lineinfile;
mod look;
mod put;
mod regex;
mod replace;
mod setup;
mod slurp;
mod stat;
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
    &Host(blockinfile::BlockInFile),
    &Host(command::Command),
    &Host(copy::Copy),
    &Host(fetch::Fetch),
    &Host(file::File),
    &Host(lineinfile::LineInFile),
    &Host(command::Raw),
    &Host(replace::Replace),
    &Host(command::ScriptFile),
    &Host(systemd::Service),
    &Host(setup::Setup),
    &Host(command::Shell),
    &Host(slurp::Slurp),
    &Host(stat::Stat),
    &Host(systemd::Systemd),
    &Host(template::Template),
];
