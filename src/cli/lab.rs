//! `nodewright lab`: throwaway hosts on this machine.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use crate::lab::{HostStatus, Lab, Up};

/// Throwaway hosts on this machine, to try playbooks on: systemd-nspawn containers with systemd, sshd, apt and sudo
#[derive(Debug, Args)]
pub struct LabArgs {
    /// Which lab; several can run side by side, each with a network of its own
    #[arg(long, global = true, default_value = "lab", value_name = "LAB")]
    name: String,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Boot the hosts and write their inventory; the first use builds base system and mirror
    Up(UpArgs),
    /// List the hosts, their addresses and whether they run
    List,
    /// Log in to a host as `admin`, or run a command there
    Ssh {
        /// The host's name, as `lab list` shows it
        host: String,
        /// The command and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Power the hosts off and keep their disks
    Down,
    /// Power the hosts off and remove everything of this lab
    Destroy,
}

#[derive(Debug, Args)]
struct UpArgs {
    /// How many hosts [default: as many as there are, or 2]; the first is the control plane
    #[arg(long, value_name = "N")]
    nodes: Option<usize>,
    /// Build base system and mirror, and boot nothing
    #[arg(long)]
    base_only: bool,
    /// Start over: throw the hosts' disks away first
    #[arg(long)]
    fresh: bool,
    /// What the hosts install Kubernetes from
    #[arg(long, value_enum, default_value_t = From::Mirror)]
    packages: From,
}

/// What the hosts install Kubernetes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum From {
    /// The lab's own mirror: real Kubernetes 1.20, stand-ins for what Debian does not have
    Mirror,
    /// The real repositories
    Real,
    /// The real repositories if they can be reached from here, else the mirror
    Auto,
}

/// Runs one `lab` command.
pub fn run(args: &LabArgs) -> anyhow::Result<ExitCode> {
    let lab = Lab::named(&args.name)?;
    match &args.verb {
        Verb::Up(up) => return boot(&lab, up),
        Verb::List => print(&lab.list()?),
        Verb::Ssh { host, command } => {
            let status = lab.ssh(host, command)?.status()?;
            let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(255);
            return Ok(ExitCode::from(code));
        }
        Verb::Down => lab.down()?,
        Verb::Destroy => lab.destroy()?,
    }
    Ok(ExitCode::SUCCESS)
}

fn boot(lab: &Lab, args: &UpArgs) -> anyhow::Result<ExitCode> {
    let tell = |message: &str| anstream::eprintln!("lab: {message}");
    let real_packages = match args.packages {
        From::Mirror => false,
        From::Real => true,
        From::Auto => crate::lab::real_repositories_answer(),
    };
    if args.base_only {
        lab.build(real_packages, &tell)?;
        return Ok(ExitCode::SUCCESS);
    }
    let hosts = lab.up(&Up { nodes: args.nodes, fresh: args.fresh, real_packages }, &tell)?;
    print(&hosts);
    anstream::eprintln!("inventory: {}", lab.inventory_file().display());
    Ok(ExitCode::SUCCESS)
}

fn print(hosts: &[HostStatus]) {
    for host in hosts {
        let state = if host.is_running { "running" } else { "off" };
        anstream::println!("{}\t{}\t{state}", host.name, host.address);
    }
}
