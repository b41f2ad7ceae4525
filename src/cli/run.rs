//! `nodewright run`, and the drop-in `ansible-playbook`: playbooks over an inventory.

use super::options::{Connecting, Hosts, Running};
use super::{Manner, callbacks, extra_vars, foresee, greet, keeping, listing, reading, signals};
use crate::config::{Config, Value};
use crate::engine::{Run, Settings, TagSelection};
use crate::inventory::Inventory;
use crate::journal::{EventSink, Journal, Keeping, Past};
use crate::report::{Dump, Event, Format, Profile, Reporter, Sink, Style};
use crate::secrets::without;
use crate::source::{Diag, Level};
use crate::template::Templar;
use anyhow::{Context, bail};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Run playbooks on the hosts of an inventory
///
/// A playbook that is not found as a file is looked for among the shipped ones: `playbooks/cluster.yaml` works anywhere.
#[derive(clap::Args)]
pub struct Args {
    /// Playbooks, run in order
    #[arg(required = true, value_name = "PLAYBOOK")]
    playbooks: Vec<PathBuf>,
    #[command(flatten)]
    hosts: Hosts,
    #[command(flatten)]
    connecting: Connecting,
    #[command(flatten)]
    running: Running,
    /// Only tasks with one of these tags (comma separated)
    #[arg(short, long, value_delimiter = ',')]
    tags: Vec<String>,
    /// No tasks with one of these tags (comma separated)
    #[arg(long, value_delimiter = ',')]
    skip_tags: Vec<String>,
    /// Run handlers of hosts that failed, too
    #[arg(long)]
    force_handlers: bool,
    /// Begin with the first task of this name (a pattern)
    #[arg(long, value_name = "NAME")]
    start_at_task: Option<String>,
    /// Ask before each task
    #[arg(long)]
    step: bool,
    /// Tell where the time went, after the run: per task and per host
    ///
    /// A host's turn at a task is divided into three parts that add up to it. Remote: it was waited for the host while the host ran scripts, by the
    /// host's own clock (which most shells know in steps of 10 ms: small values are right in their sum, not one by one). Wire: it was waited for the
    /// host otherwise; the way there and back, connecting, logging in, sudo and shells, sending files. Controller: the rest. A host is idle when it is not
    /// its turn, because others are not ready yet. Round trips are the longest chain of waits: what travels together counts once.
    #[arg(long)]
    profile: bool,
    /// Write all of that into a file, as JSON
    #[arg(long, value_name = "FILE")]
    profile_to: Option<PathBuf>,
    /// Keep no journal: the run cannot be resumed, and `history` does not list it
    #[arg(long)]
    no_journal: bool,
    #[command(flatten)]
    listing: listing::Wanted,
    /// How to tell of the run: live on a terminal, plain lines elsewhere, one event per line as JSON
    #[arg(long, default_value = "auto", value_parser = ["auto", "plain", "json"])]
    output: String,
}

impl Args {
    /// What `-e` was given.
    pub fn extra_vars(&self) -> &[String] {
        &self.hosts.extra_vars
    }
}

/// Runs the playbooks, or lists what is in them.
///
/// # Errors
/// What is wrong with arguments, settings, inventory or playbooks. What goes wrong on hosts is in the exit code.
pub fn run(args: Args, manner: Manner) -> anyhow::Result<u8> {
    run_with(args, manner, None)
}

/// Runs the playbooks, or goes on with an earlier run of them.
///
/// # Errors
/// As [`run`].
pub fn run_with(args: Args, manner: Manner, resumed: Option<&crate::journal::Run>) -> anyhow::Result<u8> {
    let began = Instant::now();
    let config = Arc::new(Config::load()?);
    let mut warnings: Vec<Diag> = config.warnings.iter().map(Diag::warning).collect();
    warnings.extend(args.connecting.warnings().chain(args.running.warnings()).map(Diag::warning));
    let verbosity = args.running.verbosity(&config);
    if manner == Manner::Ansible {
        greet("ansible-playbook", &config, verbosity);
    }
    for path in &args.playbooks {
        crate::playbook::shipped::locate(path)?;
    }
    args.hosts.provide(&config)?;
    let extra_vars = Arc::new(extra_vars::read(&args.hosts.extra_vars)?);
    let sources = args.hosts.sources(&config);
    let templar = Arc::new(Templar::new());
    let inventory = reading::inventory(&sources, &config, manner, &templar, &extra_vars, &mut warnings)?;
    reading::tell_remarks(&inventory, verbosity);
    reading::warn_of_no_hosts(&inventory, "all", &config, &mut warnings);
    if let Some(limit) = args.hosts.limit() {
        let matched = reading::hosts_matching(&inventory, limit, &config, &mut warnings);
        let leaves_some = matched.as_ref().is_ok_and(|hosts| !hosts.is_empty() || inventory.hosts().is_empty());
        if !leaves_some {
            tell_warnings(&warnings, manner);
            matched?;
            bail!("Specified inventory, host pattern and/or --limit leaves us with no hosts to target.");
        }
    }
    let loader = reading::loader(&templar, &extra_vars, &config, manner);
    let playbooks = match reading::playbooks(&loader, &args.playbooks, &mut warnings) {
        Ok(playbooks) => playbooks,
        Err(err) => {
            tell_warnings(&warnings, manner);
            return Err(err);
        }
    };

    if manner == Manner::Own {
        let found = foresee::findings(&playbooks, Some(&inventory), &extra_vars, &templar, &config);
        // The run goes on: what is wrong may stand where it never gets to.
        warnings.extend(found.into_iter().map(|diag| Diag { level: Level::Warning, ..diag }));
    }
    let tags = |given: &[String], setting: &str| if given.is_empty() { config.list(setting).to_vec() } else { given.to_vec() };
    let mut settings = Settings {
        forks: args.running.forks(&config),
        limit: args.hosts.limit().map(str::to_owned),
        tags: TagSelection::new(tags(&args.tags, "TAGS_RUN"), tags(&args.skip_tags, "TAGS_SKIP")),
        check: args.running.check,
        diff: args.running.diff(&config),
        extra_vars,
        force_handlers: args.force_handlers || config.flag("DEFAULT_FORCE_HANDLERS"),
        read_ahead: args.running.reads_ahead(&config),
        verbosity,
        tells_results: args.output == "json",
        connection: args.connecting.settings(&config)?,
        inventory_sources: sources,
        start_at_task: args.start_at_task,
        step: args.step,
        costs_since: (args.profile || args.profile_to.is_some()).then_some(began),
        keeping: None,
        config,
    };
    if args.listing.anything() {
        tell_warnings(&warnings, manner);
        let run = Run::new(settings, inventory, loader, templar, |_| {});
        return args.listing.tell(&run, &playbooks);
    }
    let mut sinks = callbacks::of_playbooks(&args.output, &settings, manner, &mut warnings)?;
    if settings.costs_since.is_some() {
        // Not a result of the run: what reads its output goes on reading the same.
        let out = args.profile.then(std::io::stderr);
        sinks.push(Box::new(Profile::new(out, args.profile_to)));
    }
    settings.keeping = match resumed {
        Some(run) => {
            let (_, past, seal) = Past::read(run)?;
            let journal = Journal::reopen(run, seal, past.files.clone())?;
            Some(Keeping { journal: Arc::new(journal), past })
        }
        None if args.no_journal => None,
        None => {
            let command_line: Vec<String> = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
            let asked = keeping::Asked {
                args: &command_line,
                extra_vars: &args.hosts.extra_vars,
                playbooks: &args.playbooks,
                check: settings.check,
                verbosity,
            };
            let begun = keeping::begin(&asked, manner).unwrap_or_else(|err| {
                // Under Ansible's name nobody has asked for it.
                if manner == Manner::Own || verbosity > 0 {
                    warnings.push(Diag::warning(format!("no journal is kept of this run: {err:#}")));
                }
                None
            });
            begun.map(|journal| Keeping { journal: Arc::new(journal), past: Past::default() })
        }
    };
    let warnings: Vec<String> = warnings.iter().map(|warning| shown(warning, manner)).collect();
    let flush_cache = args.hosts.flush_cache;
    carry_out(settings, inventory, loader, templar, warnings, sinks, |run| async move {
        if flush_cache {
            run.flush_cache();
        }
        Box::pin(run.playbooks(playbooks)).await
    })
}

/// Runs plays, with everything around them: events to the sinks, signals, the end of the runtime.
pub fn carry_out<F: Future<Output = crate::engine::Ending> + Send + 'static>(
    settings: Settings,
    inventory: Inventory,
    loader: crate::playbook::Loader,
    templar: Arc<Templar>,
    warnings: Vec<String>,
    mut sinks: Vec<Box<dyn Sink>>,
    plays: impl FnOnce(Arc<Run>) -> F,
) -> anyhow::Result<u8> {
    let journal = settings.keeping.as_ref().map(|keeping| keeping.journal.clone());
    if let Some(journal) = &journal {
        sinks.push(Box::new(EventSink(journal.clone())));
    }
    let reporter = Reporter::start(sinks);
    let tell = reporter.teller();
    warnings.into_iter().for_each(|text| tell(Event::Warning { text }));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let (ending, is_over) = runtime.block_on(async {
        let run = Run::new(settings, inventory, loader, templar, tell);
        signals::tell(&run);
        // A task of its own: a question that waits for its answer holds up the thread that asks it.
        let plays = tokio::spawn(plays(run.clone()));
        tokio::select! {
            ended = plays => match ended {
                Ok(ending) => (ending, true),
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            },
            () = run.given_up() => (run.recap(), false),
        }
    });
    if is_over {
        runtime.shutdown_timeout(Duration::from_secs(2));
    } else {
        runtime.shutdown_background();
    }
    drop(reporter);
    if let Some(journal) = journal {
        journal.end(ending as u8);
    }
    Ok(ending as u8)
}

/// A warning as an event has it.
pub fn shown(warning: &Diag, manner: Manner) -> String {
    match manner {
        Manner::Own => warning.to_string(),
        Manner::Ansible => warning.with_origin(),
    }
}

pub fn tell_warnings(warnings: &[Diag], manner: Manner) {
    for warning in warnings {
        match manner {
            Manner::Own => anstream::eprintln!("{}\n", without(warning.render(true))),
            Manner::Ansible => eprintln!("[WARNING]: {}", without(warning.with_origin())),
        }
    }
}

/// How lines look, by the settings.
pub fn style(settings: &Settings, manner: Manner) -> Style {
    let config = &settings.config;
    let no_colour = config.flag("NOCOLOR") || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let number = |name: &str| config.number(name).and_then(|number| usize::try_from(number).ok());
    Style {
        dump: Dump {
            verbosity: settings.verbosity,
            format: match config.text("CALLBACK_RESULT_FORMAT") {
                Some("yaml") => yaml(config),
                _ => Format::Json,
            },
            pretty: match config.get("CALLBACK_FORMAT_PRETTY") {
                Some(Value::Bool(pretty)) => Some(*pretty),
                _ => None,
            },
            indentation: number("CALLBACK_RESULT_INDENTATION").unwrap_or(4),
        },
        colour: config.flag("FORCE_COLOR") || (std::io::stdout().is_terminal() && !no_colour),
        origins: manner == Manner::Ansible,
        show_ok: config.flag("DISPLAY_OK_HOSTS"),
        show_skipped: config.flag("DISPLAY_SKIPPED_HOSTS"),
        show_included: config.flag("DISPLAY_INCLUDED_HOSTS"),
        failed_on_stderr: config.flag("DISPLAY_FAILED_STDERR"),
        mark_check_mode: config.flag("CHECK_MODE_MARKERS"),
        is_check: settings.check,
        show_path_on_failure: config.flag("SHOW_TASK_PATH_ON_FAILURE"),
        show_starts: config.flag("SHOW_PER_HOST_START"),
        show_custom_stats: config.flag("SHOW_CUSTOM_STATS"),
        diff_context: number("DIFF_CONTEXT").unwrap_or(3),
    }
}

/// Results as YAML, by the settings.
pub fn yaml(config: &Config) -> Format {
    Format::Yaml {
        write: crate::template::yaml_document,
        width: match config.text("CALLBACK_YAML_LINE_WIDTH") {
            Some("no-break") => i32::MAX as usize,
            Some("terminal-width") => console::Term::stdout().size_checked().map_or(79, |(_, columns)| columns.into()),
            _ => 80,
        },
    }
}
