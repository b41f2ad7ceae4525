//! The modules, one file per family; a file's head comment is its manual page.

mod attributes;
mod copy;
mod copy_tree;
mod file;
mod in_engine;
mod look;
mod put;
mod template;
mod write_file;

pub use in_engine::IN_ENGINE;

use crate::module::{AnyModule, Host};

/// Modules that work on a host, in alphabetical order.
pub static ON_HOST: &[&dyn AnyModule] = &[
    &Host(copy::Copy),
    &Host(file::File),
    &Host(template::Template),
];
