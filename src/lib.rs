//! nodewright: Ansible's playbooks over one SSH connection and one shell per host, and Kubernetes clusters made with them.
//!
//! The folders in reading order, left to right as a run goes:
//!
//! | folder | what it is |
//! |---|---|
//! | [`cli`] | what was typed: one file per command, arguments in, an exit code out |
//! | [`config`] | `ansible.cfg` and `ANSIBLE_*`: one table of settings |
//! | [`source`] | text with positions: files, spans, YAML nodes, the one drawer of carets |
//! | [`playbook`] | what a file says, as data: play, block, task, keywords, roles, loading |
//! | [`inventory`] | who: hosts and groups, INI and YAML, patterns |
//! | [`vars`] | with what: one host's variables in order of precedence |
//! | [`template`] | minijinja behaving as Ansible does: filters, tests, lookups |
//! | [`python`] | what the language has from Python: regular expressions, file name patterns |
//! | [`sh`] | POSIX sh as data: the one place that quotes, scripts, outputs |
//! | [`module`] | the contract of a module: arguments, probe, decision, outcome |
//! | [`modules`] | one file per module family; its head comment is the manual page |
//! | [`remote`] | the wire: transports, shells, become, jobs, known hosts, ssh_config |
//! | [`engine`] | plays over hosts: strategy, blocks, tasks, loops, handlers |
//! | [`report`] | events and their sinks |
//! | [`journal`] | what a run did, kept: for `resume`, `history` and `show` |
//! | [`secrets`] | values that no output may show |
//! | [`vault`] | the envelope of ansible-vault and the passwords to it |
//! | [`lab`] | throwaway local hosts to run all this on |
//!
//! `engine` is the only place where they meet; `docs/architecture.md` says who may use whom.

mod ask;
pub mod cli;
pub mod config;
pub mod cost;
pub mod engine;
pub mod inventory;
pub mod journal;
pub mod lab;
pub mod module;
pub mod modules;
pub mod playbook;
pub mod python;
pub mod remote;
pub mod report;
pub mod secrets;
pub mod sh;
pub mod source;
pub mod template;
pub mod vars;
pub mod vault;

/// The version of ansible-core whose language is spoken.
pub const ANSIBLE_VERSION: &str = "2.21.5";
