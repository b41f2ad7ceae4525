//! `nodewright run`: playbooks over an inventory.

use super::{extra_vars, reading};
use crate::engine::{ConnectionSettings, Run, Settings, TagSelection};
use crate::inventory::Inventory;
use crate::remote::{BecomeMethod, Secret};
use crate::report::{Event, JsonLines, Plain, Reporter, Sink, Terminal};
use crate::template::Templar;
use crate::vars::VarMap;
use anyhow::{Context, bail};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Run playbooks on the hosts of an inventory
///
/// A playbook that is not found as a file is looked for among the shipped ones: `playbooks/cluster.yaml` works anywhere.
#[derive(clap::Args)]
pub struct Args {
    /// Playbooks, run in order
    #[arg(required = true)]
    playbooks: Vec<PathBuf>,
    /// An inventory: a YAML or INI file, a folder, or `host,host,`; may be given several times
    #[arg(short, long, env = "ANSIBLE_INVENTORY", value_delimiter = None)]
    inventory: Vec<String>,
    /// Narrow the hosts to a pattern
    #[arg(short, long)]
    limit: Option<String>,
    /// Only tasks with one of these tags (comma separated)
    #[arg(short, long, value_delimiter = ',')]
    tags: Vec<String>,
    /// No tasks with one of these tags (comma separated)
    #[arg(long, value_delimiter = ',')]
    skip_tags: Vec<String>,
    /// Variables that beat all others: `key=value`, YAML, JSON or `@FILE`
    #[arg(short, long)]
    extra_vars: Vec<String>,
    /// Change nothing: say what would be changed
    #[arg(short = 'C', long)]
    check: bool,
    /// Show what changes in files
    #[arg(short = 'D', long)]
    diff: bool,
    /// How many hosts work at once
    #[arg(short, long, default_value_t = 50)]
    forks: usize,
    /// Run handlers of hosts that failed, too
    #[arg(long)]
    force_handlers: bool,
    /// Ask a host about a task only when its turn has come
    #[arg(long)]
    no_read_ahead: bool,
    /// Log in as this user
    #[arg(short, long)]
    user: Option<String>,
    /// Log in with this key
    #[arg(long, alias = "key-file")]
    private_key: Vec<PathBuf>,
    /// Ask for the login password
    #[arg(short = 'k', long)]
    ask_pass: bool,
    /// Become another user on the hosts
    #[arg(short, long)]
    r#become: bool,
    /// Whom to become [default: root]
    #[arg(long)]
    become_user: Option<String>,
    /// How to become [default: sudo]
    #[arg(long, value_parser = ["sudo", "su"])]
    become_method: Option<String>,
    /// Ask for the become password
    #[arg(short = 'K', long)]
    ask_become_pass: bool,
    /// `ssh` or `local`
    #[arg(short, long, value_parser = ["ssh", "local"])]
    connection: Option<String>,
    /// Give up connecting after so many seconds [default: 10]
    #[arg(short = 'T', long)]
    timeout: Option<u64>,
    /// Accept and remember the keys of hosts that known_hosts does not know; a changed key is refused all the same
    #[arg(long)]
    accept_new_host_keys: bool,
    /// How to tell of the run: live on a terminal, plain lines elsewhere, one event per line as JSON
    #[arg(long, default_value = "auto", value_parser = ["auto", "plain", "json"])]
    output: String,
    /// Say more; may be repeated
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

pub fn run(args: Args) -> anyhow::Result<u8> {
    let mut warnings = Vec::new();
    let extra_vars = Arc::new(extra_vars::read(&args.extra_vars)?);
    let templar = Arc::new(Templar::new());
    let loader = reading::loader(&templar, &extra_vars);
    let playbooks = reading::playbooks(&loader, &args.playbooks, &mut warnings)?;
    let inventory = Inventory::load(&args.inventory, &mut warnings)?;
    if let Some(limit) = &args.limit
        && inventory.hosts_matching(limit, &mut Vec::new())?.is_empty()
    {
        bail!("the limit `{limit}` matches no host of the inventory");
    }

    let settings = settings(&args, extra_vars)?;
    let reporter = Reporter::start(vec![sink(&args)]);
    let tell = reporter.teller();
    for warning in &warnings {
        tell(Event::Warning { text: warning.to_string() });
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let ending = runtime.block_on(async {
        let run = Run::new(settings, inventory, loader, templar, tell);
        let interrupted = run.clone();
        tokio::spawn(async move {
            // The first Ctrl-C lets the running tasks end; the second ends the program.
            if tokio::signal::ctrl_c().await.is_ok() {
                interrupted.interrupt();
            }
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(130);
            }
        });
        run.playbooks(playbooks).await
    });
    runtime.shutdown_timeout(Duration::from_secs(2));
    drop(reporter);
    Ok(ending as u8)
}

fn settings(args: &Args, extra_vars: Arc<VarMap>) -> anyhow::Result<Settings> {
    let ask = |question: &str| rpassword::prompt_password(question).map(Secret::from).with_context(|| format!("cannot ask: {question}"));
    let password = if args.ask_pass { Some(ask("SSH password: ")?) } else { None };
    let become_password = match args.ask_become_pass {
        true => Some(ask("BECOME password: ")?),
        false => None,
    };
    Ok(Settings {
        forks: args.forks,
        limit: args.limit.clone(),
        tags: TagSelection::new(args.tags.clone(), args.skip_tags.clone()),
        check: args.check,
        diff: args.diff,
        extra_vars,
        force_handlers: args.force_handlers,
        read_ahead: !args.no_read_ahead,
        verbosity: args.verbose,
        connection: ConnectionSettings {
            user: args.user.clone(),
            private_keys: args.private_key.clone(),
            password,
            connection: args.connection.clone(),
            accept_new_host_keys: args.accept_new_host_keys,
            connect_timeout: args.timeout.map(Duration::from_secs),
            r#become: args.r#become,
            become_user: args.become_user.clone(),
            become_method: args.become_method.as_deref().map(|method| if method == "su" { BecomeMethod::Su } else { BecomeMethod::Sudo }),
            become_password,
        },
        async_dir: std::env::var("ANSIBLE_ASYNC_DIR").ok().filter(|dir| !dir.is_empty()),
        inventory_sources: args.inventory.clone(),
    })
}

fn sink(args: &Args) -> Box<dyn Sink> {
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let live = std::io::stdout().is_terminal() && std::io::stderr().is_terminal() && !no_colour && !dumb;
    match args.output.as_str() {
        "json" => Box::new(JsonLines::new(std::io::stdout())),
        "auto" if live => {
            console::set_colors_enabled(true);
            Box::new(Terminal::new(args.verbose))
        }
        _ => Box::new(Plain::new(std::io::stdout(), std::io::stderr(), args.verbose, false)),
    }
}
