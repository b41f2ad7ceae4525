//! The modules, one file per family; a file's head comment is its manual page.

mod apt;
mod apt_repository;
mod command;
mod deb822_repository;
mod dpkg_selections;
mod fnmatch;
mod getent;
mod group;
mod in_engine;
mod package;
mod package_facts;
mod ping;
mod service_facts;
mod setup;
mod systemd;
#[cfg(test)]
mod trial;
mod user;
mod wait_for;

pub use in_engine::IN_ENGINE;

use crate::module::{AnyModule, Host};

/// Modules that work on a host, in alphabetical order.
pub static ON_HOST: &[&dyn AnyModule] = &[
    &Host(apt::Apt),
    &Host(apt_repository::AptRepository),
    &Host(command::Command),
    &Host(command::Raw),
    &Host(command::ScriptFile),
    &Host(command::Shell),
    &Host(deb822_repository::Deb822Repository),
    &Host(dpkg_selections::DpkgSelections),
    &Host(getent::Getent),
    &Host(group::Group),
    &Host(package::Package),
    &Host(package_facts::PackageFacts),
    &Host(ping::Ping),
    &Host(service_facts::ServiceFacts),
    &Host(setup::Setup),
    &Host(systemd::Service),
    &Host(systemd::Systemd),
    &Host(user::User),
    &Host(wait_for::WaitFor),
];
