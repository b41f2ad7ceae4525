//! The modules, one file per family; a file's head comment is its manual page.

mod in_engine;

pub use in_engine::{IN_ENGINE, TAKES_ANY_PARAMETER};

use crate::module::AnyModule;

/// Modules that work on a host, in alphabetical order.
pub static ON_HOST: &[&dyn AnyModule] = &[];
