//! What was typed: one file per command, arguments in, one call, an exit code out. Called by one of Ansible's names, the program takes that
//! command's arguments.

mod adhoc;
mod callbacks;
mod check;
mod explain;
pub mod extra_vars;
mod foresee;
mod history;
mod inventory;
mod keeping;
mod lab;
mod listing;
mod options;
mod reading;
mod resume;
mod run;
mod show;
mod signals;
mod vault;

use crate::secrets::{mask_panics, without};
use crate::source::Diag;
use anstream::eprintln;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::path::Path;
use std::process::ExitCode;

/// Turns a list of SSH hosts into a working Kubernetes cluster, and any other set of hosts into what a playbook says.
///
/// Reads Ansible's playbook language; needs nothing on the hosts but sshd and a POSIX sh. Called as `ansible-playbook` (through a link), it takes
/// that command's arguments and behaves as it does.
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
    Explain(explain::Args),
    Resume(resume::Args),
    History(history::Args),
    Show(show::Args),
    Lab(lab::LabArgs),
}

/// How the program behaves where its own way and Ansible's differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Findings before the run, drawn with carets.
    Own,
    /// As the program whose name was used: what Ansible finds only when it gets there is found there, errors look as Ansible prints them.
    Ansible,
}

/// Exit codes, as ansible-playbook has them; [`crate::engine::Ending`] has those that say how a run went.
mod exit {
    /// Something was wrong that is not the hosts' fault: a missing playbook, a limit that matches nothing.
    pub const ERROR: u8 = 1;
    /// The user's files or arguments could not be read.
    pub const PARSE: u8 = 4;
    /// Options that do not go together.
    pub const OPTIONS: u8 = 5;
}

/// The whole program.
pub fn main() -> ExitCode {
    mask_panics();
    end_when_nobody_reads();
    write_no_cores();
    let called = std::env::args_os().next().unwrap_or_default();
    match Path::new(&called).file_name().and_then(|name| name.to_str()) {
        Some("ansible") => drop_in::<adhoc::Args>("ansible", adhoc::run),
        Some("ansible-inventory") => drop_in::<inventory::Args>("ansible-inventory", inventory::run),
        Some("ansible-playbook") => drop_in::<run::Args>("ansible-playbook", run::run),
        Some("ansible-vault") => drop_in::<vault::Args>("ansible-vault", vault::main),
        _ => own(),
    }
}

/// What lies in memory stays there when the program crashes. A limit that cannot be set is no reason to refuse work: the system may have none.
fn write_no_cores() {
    let _ = rlimit::setrlimit(rlimit::Resource::CORE, 0, 0);
}

/// A reader of the output that went away (`| head`) is no mistake: what would panic where it prints ends the program as SIGPIPE would.
fn end_when_nobody_reads() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let words = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
        if words.starts_with("failed printing to stdout") && words.contains("Broken pipe") {
            std::process::exit(141);
        }
        usual(panic);
    }));
}

fn own() -> ExitCode {
    let command = Cli::parse().command;
    if matches!(command, Command::Run(_) | Command::Check(_) | Command::Explain(_) | Command::Resume(_))
        && let Err(err) = signals::watch(Manner::Own)
    {
        return done(Err(err), Manner::Own);
    }
    match command {
        Command::Run(args) => done(run::run(args, Manner::Own), Manner::Own),
        Command::Explain(args) => done(explain::run(&args), Manner::Own),
        Command::Check(args) => done(check::run(&args), Manner::Own),
        Command::Resume(args) => done(resume::run(&args), Manner::Own),
        Command::History(args) => done(history::run(&args), Manner::Own),
        Command::Show(args) => done(show::run(&args), Manner::Own),
        Command::Lab(args) => lab::run(&args).unwrap_or_else(|err| done(Err(err), Manner::Own)),
    }
}

/// Runs as one of Ansible's commands.
fn drop_in<A: clap::Args + FromArgMatches>(name: &'static str, run: impl FnOnce(A, Manner) -> anyhow::Result<u8>) -> ExitCode {
    #[derive(Parser)]
    #[command(disable_version_flag = true)]
    struct Called<A: clap::Args> {
        #[command(flatten)]
        args: A,
        /// Show the version of the language, the configuration file and the program, and exit
        #[arg(long)]
        version: bool,
    }
    if std::env::args_os().skip(1).any(|arg| arg == "--version") {
        return version(name);
    }
    let matches = Called::<A>::command().name(name).bin_name(name).infer_long_args(true).get_matches();
    match Called::<A>::from_arg_matches(&matches) {
        Ok(called) => {
            debug_assert!(!called.version, "it was looked for before");
            done(signals::watch(Manner::Ansible).and_then(|()| run(called.args, Manner::Ansible)), Manner::Ansible)
        }
        Err(err) => err.exit(),
    }
}

/// The first line names the version of ansible-core whose language is spoken: scripts read it.
fn version(name: &str) -> ExitCode {
    let config = match crate::config::Config::load() {
        Ok(config) => config,
        Err(err) => return done(Err(err), Manner::Ansible),
    };
    tell_version(name, &config);
    ExitCode::SUCCESS
}

fn tell_version(name: &str, config: &crate::config::Config) {
    let program = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
    println!("{name} [core {}]", crate::ANSIBLE_VERSION);
    println!("  config file = {}", config.file().map_or_else(|| "None".to_owned(), |path| path.display().to_string()));
    println!("  executable location = {program}");
    println!("  nodewright version = {}", env!("CARGO_PKG_VERSION"));
}

/// A command's end: its exit code, or the error with all its causes.
fn done(result: anyhow::Result<u8>, manner: Manner) -> ExitCode {
    let err = match result {
        Ok(code) => return ExitCode::from(code),
        Err(err) => err,
    };
    // That a file cannot be decrypted is no mistake in it.
    let is_locked = |diag: &Diag| diag.is_locked;
    let exit = match (err.downcast_ref::<Findings>(), err.downcast_ref::<Diag>()) {
        (Some(findings), _) if findings.0.iter().any(is_locked) => exit::ERROR,
        (_, Some(diag)) if is_locked(diag) => exit::ERROR,
        (None, None) if err.is::<signals::Ended>() => err.downcast_ref::<signals::Ended>().map_or(exit::ERROR, signals::Ended::code),
        (None, None) if err.is::<OptionError>() || err.is::<crate::config::Invalid>() => exit::OPTIONS,
        (None, None) => exit::ERROR,
        _ => exit::PARSE,
    };
    match (err.downcast_ref::<Findings>(), err.downcast_ref::<Diag>(), manner) {
        (Some(findings), _, Manner::Own) => findings.print(),
        (Some(findings), _, Manner::Ansible) => findings.0.iter().for_each(|diag| eprintln!("[ERROR]: {}", without(diag.with_origin()))),
        (_, Some(diag), Manner::Own) => eprintln!("{}", without(diag.render(true))),
        (_, Some(diag), Manner::Ansible) => eprintln!("[ERROR]: {}", without(diag.with_origin())),
        (_, _, Manner::Own) => eprintln!("error: {}", without(format!("{err:#}"))),
        (_, _, Manner::Ansible) => eprintln!("[ERROR]: {}", without(format!("{err:#}"))),
    }
    ExitCode::from(exit)
}

/// What a command that was asked to say more begins with.
fn greet(name: &str, config: &crate::config::Config, verbosity: u8) {
    if verbosity >= 2 {
        tell_version(name, config);
    }
    if verbosity >= 1 {
        match config.file() {
            Some(file) => println!("Using {} as config file", file.display()),
            None => println!("No config file found; using defaults"),
        }
    }
}

/// Options that are each right, and wrong together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct OptionError(String);

/// What is wrong with the user's files, all of it.
#[derive(Debug, thiserror::Error)]
#[error("{} found", n_errors(.0))]
struct Findings(Vec<Diag>);

impl Findings {
    fn print(&self) {
        for diag in &self.0 {
            eprintln!("{}\n", without(diag.render(true)));
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
