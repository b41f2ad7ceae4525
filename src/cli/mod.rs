//! What was typed: one file per command, arguments in, one call, an exit code out.

mod check;
mod extra_vars;
mod lab;
mod reading;
mod run;

use crate::source::Diag;
use anstream::eprintln;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Turns a list of SSH hosts into a working Kubernetes cluster, and any other set of hosts into what a playbook says.
///
/// Reads Ansible's playbook language; needs nothing on the hosts but sshd and a POSIX sh.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Args),
    Check(check::Args),
    Lab(lab::LabArgs),
}

/// Exit codes, as ansible-playbook has them; `2` and `4` also say how the run went (see [`crate::engine::Ending`]).
mod exit {
    /// Something was wrong that is not the hosts' fault: a missing playbook, a limit that matches nothing.
    pub const ERROR: u8 = 1;
    /// The user's files or arguments could not be read.
    pub const PARSE: u8 = 4;
}

/// The whole program.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => done(run::run(args)),
        Command::Check(args) => done(check::run(&args)),
        Command::Lab(args) => lab::run(&args).unwrap_or_else(|err| done(Err(err))),
    }
}

/// A command's end: its exit code, or the error with all its causes.
fn done(result: anyhow::Result<u8>) -> ExitCode {
    let err = match result {
        Ok(code) => return ExitCode::from(code),
        Err(err) => err,
    };
    if let Some(findings) = err.downcast_ref::<Findings>() {
        findings.print();
        return ExitCode::from(exit::PARSE);
    }
    if let Some(diag) = err.downcast_ref::<Diag>() {
        eprintln!("{}", diag.render(true));
        return ExitCode::from(exit::PARSE);
    }
    eprintln!("error: {err:#}");
    ExitCode::from(exit::ERROR)
}

/// What is wrong with the user's files, all of it.
#[derive(Debug, thiserror::Error)]
#[error("{} found", n_errors(.0))]
struct Findings(Vec<Diag>);

impl Findings {
    fn print(&self) {
        for diag in &self.0 {
            eprintln!("{}\n", diag.render(true));
        }
        if self.0.len() > 1 {
            eprintln!("{}; nothing was run", n_errors(&self.0));
        }
    }
}

fn n_errors(findings: &[Diag]) -> String {
    match findings.iter().filter(|diag| diag.level == crate::source::Level::Error).count() {
        1 => "1 error".to_owned(),
        n => format!("{n} errors"),
    }
}
