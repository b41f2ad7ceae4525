//! The modules, one file per family; a file's head comment is its manual page.

mod attributes;
mod blockinfile;
mod copy;
mod copy_tree;
mod edit;
mod fetch;
mod file;
mod find;
mod get_url;
mod hostname;
mod in_engine;
mod lineinfile;
mod look;
mod modprobe;
mod mount;
mod put;
mod regex;
mod replace;
mod slurp;
mod stat;
mod sysctl;
mod tempfile;
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
    &Host(find::Find),
    &Host(get_url::GetUrl),
    &Host(hostname::Hostname),
    &Host(lineinfile::LineInFile),
    &Host(modprobe::Modprobe),
    &Host(mount::Mount),
    &Host(replace::Replace),
    &Host(slurp::Slurp),
    &Host(stat::Stat),
    &Host(sysctl::Sysctl),
    &Host(tempfile::TempFile),
    &Host(template::Template),
];
