//! The modules, one file per family; a file's head comment is its manual page.

mod alternatives;
mod apt;
mod apt_repository;
mod assemble;
mod attributes;
mod authorized_key;
mod blockinfile;
mod command;
mod copy;
mod copy_tree;
mod cron;
mod deb822_repository;
mod debconf;
mod dnf;
mod dpkg_selections;
mod edit;
mod fetch;
mod file;
mod find;
mod get_url;
mod getent;
mod git;
mod group;
mod hostname;
mod in_engine;
mod ini_file;
mod iptables;
mod known_hosts;
mod lineinfile;
mod locale_gen;
mod look;
mod modprobe;
mod mount;
mod package;
mod package_facts;
mod ping;
mod pip;
mod put;
mod replace;
mod rpm_key;
mod sections;
mod service_facts;
mod setup;
mod slurp;
mod stat;
mod sysctl;
mod systemd;
mod tempfile;
mod template;
mod timezone;
#[cfg(test)]
mod trial;
mod ufw;
mod unarchive;
mod uri;
mod user;
mod wait_for;
mod web;
mod write_file;
mod yum_repository;

pub use in_engine::{IN_ENGINE, TAKES_ANY_PARAMETER};

use crate::module::{AnyModule, Host};

/// Modules that work on a host, in alphabetical order.
pub static ON_HOST: &[&dyn AnyModule] = &[
    &Host(alternatives::Alternatives),
    &Host(apt::Apt),
    &Host(apt_repository::AptRepository),
    &Host(assemble::Assemble),
    &Host(authorized_key::AuthorizedKey),
    &Host(blockinfile::BlockInFile),
    &Host(command::Command),
    &Host(copy::Copy),
    &Host(cron::Cron),
    &Host(debconf::Debconf),
    &Host(deb822_repository::Deb822Repository),
    &Host(dnf::Dnf),
    &Host(dpkg_selections::DpkgSelections),
    &Host(fetch::Fetch),
    &Host(file::File),
    &Host(find::Find),
    &Host(getent::Getent),
    &Host(get_url::GetUrl),
    &Host(git::Git),
    &Host(group::Group),
    &Host(hostname::Hostname),
    &Host(ini_file::IniFile),
    &Host(iptables::Iptables),
    &Host(known_hosts::KnownHosts),
    &Host(lineinfile::LineInFile),
    &Host(locale_gen::LocaleGen),
    &Host(modprobe::Modprobe),
    &Host(mount::Mount),
    &Host(package::Package),
    &Host(package_facts::PackageFacts),
    &Host(ping::Ping),
    &Host(pip::Pip),
    &Host(command::Raw),
    &Host(replace::Replace),
    &Host(rpm_key::RpmKey),
    &Host(command::ScriptFile),
    &Host(systemd::Service),
    &Host(service_facts::ServiceFacts),
    &Host(setup::Setup),
    &Host(command::Shell),
    &Host(slurp::Slurp),
    &Host(stat::Stat),
    &Host(sysctl::Sysctl),
    &Host(systemd::Systemd),
    &Host(tempfile::TempFile),
    &Host(template::Template),
    &Host(timezone::Timezone),
    &Host(ufw::Ufw),
    &Host(unarchive::Unarchive),
    &Host(uri::Uri),
    &Host(user::User),
    &Host(wait_for::WaitFor),
    &Host(yum_repository::YumRepository),
];
