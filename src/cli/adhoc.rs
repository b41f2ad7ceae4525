//! The drop-in `ansible`: one task on the hosts of a pattern. It is made into a play of one task and run like any other.

use super::options::{Connecting, Hosts, Running};
use super::{Manner, OptionError, callbacks, extra_vars, greet, reading, run};
use crate::config::Config;
use crate::engine::{Settings, TagSelection};
use crate::inventory::Inventory;
use crate::playbook::{Entry, Playbook};
use crate::report::Tree;
use crate::source::{Diag, Kind, Node, Source, Span, yaml};
use crate::template::Templar;
use crate::vars::{Level, VarMap, View};
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use std::sync::Arc;

/// Modules that are nothing without arguments.
const NEED_ARGUMENTS: [&str; 4] = ["command", "raw", "script", "shell"];

/// Run one task on the hosts of a pattern
#[derive(clap::Args)]
pub struct Args {
    /// Which hosts
    pattern: String,
    /// The module [default: command]
    #[arg(short, long)]
    module_name: Option<String>,
    /// Its arguments: `key=value ...`, the command itself, or a mapping in JSON or YAML
    #[arg(short = 'a', long = "args", value_name = "MODULE_ARGS", allow_hyphen_values = true)]
    module_args: Option<String>,
    /// Let the task go on for so many seconds while the hosts are asked how it is
    #[arg(short = 'B', long = "background", value_name = "SECONDS", default_value_t = 0)]
    background: u64,
    /// Ask so often, in seconds, with -B [default: 15]; 0: leave the task alone
    #[arg(short = 'P', long = "poll", value_name = "POLL_INTERVAL")]
    poll: Option<u64>,
    /// A line per host
    #[arg(short, long)]
    one_line: bool,
    /// Write each host's result into a file of its name in this folder
    #[arg(short, long)]
    tree: Option<PathBuf>,
    /// List the hosts that match; run nothing
    #[arg(long)]
    list_hosts: bool,
    /// Where roles, group_vars and files are looked for [default: the current folder]
    #[arg(long, value_name = "BASEDIR")]
    playbook_dir: Option<PathBuf>,
    /// End the task after so many seconds
    #[arg(long)]
    task_timeout: Option<u64>,
    #[command(flatten)]
    hosts: Hosts,
    #[command(flatten)]
    connecting: Connecting,
    #[command(flatten)]
    running: Running,
}

/// Runs the task.
///
/// # Errors
/// What is wrong with arguments, settings or inventory. What goes wrong on hosts is in the exit code.
pub fn run(args: Args, manner: Manner) -> anyhow::Result<u8> {
    let config = Arc::new(Config::load()?);
    let mut warnings: Vec<Diag> = config.warnings.iter().map(Diag::warning).collect();
    warnings.extend(args.connecting.warnings().chain(args.running.warnings()).map(Diag::warning));
    let verbosity = args.running.verbosity(&config);
    greet("ansible", &config, verbosity);
    args.hosts.provide(&config)?;
    let extra_vars = Arc::new(extra_vars::read(&args.hosts.extra_vars)?);
    let templar = Arc::new(Templar::new());
    let sources = args.hosts.sources(&config);
    let inventory = reading::inventory(&sources, &config, manner, &templar, &extra_vars, &mut warnings)?;
    reading::tell_remarks(&inventory, verbosity);
    let hosts = match matching(&inventory, &args, &config, &mut warnings) {
        Ok(hosts) => hosts,
        Err(err) => {
            run::tell_warnings(&warnings, manner);
            return Err(err);
        }
    };
    if args.list_hosts {
        run::tell_warnings(&warnings, manner);
        println!("  hosts ({}):", hosts.len());
        hosts.iter().for_each(|host| println!("    {host}"));
        return Ok(0);
    }
    let module = rendered(args.module_name.as_deref().or_else(|| config.text("DEFAULT_MODULE_NAME")), &templar, &extra_vars)?;
    if let Some(words) = misuse(&module, &args, &config) {
        run::tell_warnings(&warnings, manner);
        return Err(OptionError(words).into());
    }

    let dir = args.playbook_dir.clone().or_else(|| config.path("PLAYBOOK_DIR")).unwrap_or_else(|| PathBuf::from("."));
    let loader = reading::loader(&templar, &extra_vars, &config, manner);
    let settings = Settings {
        forks: args.running.forks(&config),
        limit: args.hosts.limit().map(str::to_owned),
        tags: TagSelection::new(config.list("TAGS_RUN").to_vec(), config.list("TAGS_SKIP").to_vec()),
        check: args.running.check,
        diff: args.running.diff(&config),
        extra_vars,
        force_handlers: config.flag("DEFAULT_FORCE_HANDLERS"),
        read_ahead: args.running.reads_ahead(&config),
        verbosity,
        tells_results: true,
        connection: args.connecting.settings(&config)?,
        inventory_sources: sources,
        start_at_task: None,
        step: false,
        costs_since: None,
        keeping: None,
        config: config.clone(),
    };
    let mut sinks = callbacks::of_adhoc(args.one_line, &settings, manner, &mut warnings)?;
    if let Some(dir) = &args.tree {
        sinks.push(Box::new(Tree::new(dir, run::style(&settings, manner).dump)));
    }
    // The task is shown with its arguments as they were understood, so it is read twice.
    let understood = loader.single(&play(&module, &args, &config, None)?, &dir).map_err(super::Findings)?;
    let playbook = loader.single(&play(&module, &args, &config, Some(&understood))?, &dir).map_err(super::Findings)?;
    let playbooks = vec![(dir.join("__adhoc_playbook__"), playbook)];
    let warnings = warnings.iter().map(|warning| run::shown(warning, manner)).collect();
    let flush_cache = args.hosts.flush_cache;
    run::carry_out(settings, inventory, loader, templar, warnings, sinks, |run| async move {
        if flush_cache {
            run.flush_cache();
        }
        Box::pin(run.playbooks(playbooks)).await
    })
}

/// The hosts that the pattern and the limit leave. None at all is an error only with a limit.
fn matching(inventory: &Inventory, args: &Args, config: &Config, warnings: &mut Vec<Diag>) -> anyhow::Result<Vec<Arc<str>>> {
    reading::warn_of_no_hosts(inventory, &args.pattern, config, warnings);
    let limited = match args.hosts.limit() {
        Some(limit) => Some(reading::hosts_matching(inventory, limit, config, warnings)?),
        None => None,
    };
    let matched = reading::hosts_matching(inventory, &args.pattern, config, warnings);
    // Without a limit, a pattern that matches nothing is nobody's mistake.
    let mut hosts = if args.hosts.limit.is_none() { matched.unwrap_or_default() } else { matched? };
    hosts.retain(|host| limited.as_ref().is_none_or(|limited| limited.contains(host)));
    if hosts.is_empty() && !inventory.hosts().is_empty() {
        anyhow::ensure!(args.hosts.limit.is_none(), "Specified inventory, host pattern and/or --limit leaves us with no hosts to target.");
        warnings.push(Diag::warning("No hosts matched, nothing to do"));
    }
    Ok(hosts)
}

/// The module's name, which may be a template.
fn rendered(name: Option<&str>, templar: &Templar, extra_vars: &Arc<VarMap>) -> anyhow::Result<String> {
    let name = name.unwrap_or("command");
    let mut view = View::default();
    view.add(Level::Extra, extra_vars.clone());
    let node = Node::string(name, given("-m", name));
    Ok(templar.render(&node, &Arc::new(view))?.to_string())
}

/// Why the module cannot be run this way.
fn misuse(module: &str, args: &Args, config: &Config) -> Option<String> {
    let short = module.strip_prefix("ansible.builtin.").or_else(|| module.strip_prefix("ansible.legacy.")).unwrap_or(module);
    if NEED_ARGUMENTS.contains(&short) && text(args, config).is_empty() {
        let hint = if args.pattern.ends_with(".yml") { " (did you mean to run ansible-playbook?)" } else { "" };
        return Some(format!("No argument passed to {module} module{hint}"));
    }
    (short == "import_playbook").then(|| format!("'{module}' is not a valid action for ad-hoc commands"))
}

fn text<'a>(args: &'a Args, config: &'a Config) -> &'a str {
    args.module_args.as_deref().or_else(|| config.text("DEFAULT_MODULE_ARGS")).unwrap_or_default()
}

/// The place of a text that was given with an option.
fn given(option: &str, text: &str) -> Span {
    Source::given(format!("<CLI option '{option}'>"), text).span(0, text.len())
}

/// A play of one task.
fn play(module: &str, args: &Args, config: &Config, understood: Option<&Playbook>) -> anyhow::Result<Node> {
    let text = text(args, config);
    let is_mapping = text.starts_with('{') && text.ends_with('}');
    let mut action_args = match is_mapping {
        true => yaml::load_one(&Source::given("<CLI option '-a'>", text))?.0,
        false => Node::string(text, given("-a", text)),
    };
    let mut action = module;
    let timeout = args.task_timeout.or_else(|| config.number("TASK_TIMEOUT")?.try_into().ok()).unwrap_or(0);
    let poll = args.poll.or_else(|| config.number("DEFAULT_POLL_INTERVAL")?.try_into().ok()).unwrap_or(15);
    let source = Source::given(format!("<adhoc '{module}' task>"), described(module, args.background, timeout, poll, understood));
    let at = source.span(0, source.text.len());
    if crate::module::find(module).is_none() {
        action = "ansible.builtin.fail";
        let words = format!("Task failed: Cannot resolve '{module}' to an action or module.");
        let words = Node::new(Kind::Str(crate::source::Str { text: words.into(), tag: crate::source::Tag::Unsafe }), at.clone());
        action_args = map(&at, vec![("msg", words)]);
    }
    let number = |number: u64| Node::new(Kind::Int(number.try_into().unwrap_or(i64::MAX)), at.clone());
    let mut task = vec![(action, action_args)];
    if timeout > 0 {
        task.push(("timeout", number(timeout)));
    }
    if args.background > 0 {
        task.extend([("async", number(args.background)), ("poll", number(poll))]);
    }
    let tasks = Node::new(Kind::Seq(vec![map(&at, task)]), at.clone());
    let play = vec![
        ("name", Node::string("Ansible Ad-Hoc", at.clone())),
        ("hosts", Node::string(args.pattern.as_str(), at.clone())),
        ("gather_facts", Node::new(Kind::Bool(false), at.clone())),
        ("tasks", tasks),
    ];
    Ok(map(&at, play))
}

/// The task as Python would print it: the place of errors in the task as a whole.
fn described(module: &str, background: u64, timeout: u64, poll: u64, understood: Option<&Playbook>) -> String {
    let mut args = serde_json::Map::new();
    if let Some(Entry::Task(task)) = understood.and_then(|playbook| playbook.plays.first()?.tasks.first())
        && task.action.name == module
    {
        args.extend(task.action.args.iter().map(|(name, value)| (name.clone(), value.as_str().map_or(Json::Null, Json::from))));
    }
    let mut described = json!({"action": module, "args": args, "timeout": timeout});
    if !matches!(module.rsplit('.').next(), Some("include_role" | "include_tasks")) {
        described["async_val"] = background.into();
        described["poll"] = poll.into();
    }
    crate::template::python_text(&crate::vars::value_of(&described))
}

fn map(at: &Span, pairs: Vec<(&str, Node)>) -> Node {
    Node::new(Kind::Map(pairs.into_iter().map(|(key, value)| (Node::string(key, at.clone()), value)).collect()), at.clone())
}
