//! The modules, one file per family; a file's head comment is its manual page.

mod attributes;
mod blockinfile;
mod copy;
mod copy_tree;
mod edit;
mod fetch;
mod file;
mod in_engine;
mod lineinfile;
mod look;
mod put;
mod regex;
mod replace;
mod slurp;
mod stat;
mod template;
mod write_file;

pub use in_engine::IN_ENGINE;

use crate::module::{AnyModule, Host};

/// Modules that work on a host, in alphabetical order.
pub static ON_HOST: &[&dyn AnyModule] = &[
    &Host(blockinfile::BlockInFile),
    &Host(copy::Copy),
    &Host(fetch::Fetch),
    &Host(file::File),
    &Host(lineinfile::LineInFile),
    &Host(replace::Replace),
    &Host(slurp::Slurp),
    &Host(stat::Stat),
    &Host(template::Template),
];
