//! `nodewright explain`: every place that sets a variable, in order of precedence, and the one that wins.

use super::options::Hosts;
use super::{Manner, extra_vars, reading};
use crate::config::Config;
use crate::engine::{Definition, Run, Settings};
use crate::secrets::without;
use crate::source::Diag;
use crate::template::Templar;
use crate::vars::Level;
use anyhow::bail;
use std::path::PathBuf;
use std::sync::Arc;

/// Say where a variable is set, and which place wins
///
/// Looks through inventory, group_vars and host_vars, and through the playbooks with all that they import and include by fixed names. Nothing is run.
#[derive(clap::Args)]
pub struct Args {
    /// The variable
    variable: String,
    /// Playbooks to look through, beside the inventory
    #[arg(value_name = "PLAYBOOK")]
    playbooks: Vec<PathBuf>,
    /// For which host
    #[arg(short = 'H', long)]
    host: String,
    #[command(flatten)]
    hosts: Hosts,
}

pub fn run(args: &Args) -> anyhow::Result<u8> {
    let config = Arc::new(Config::load()?);
    let mut warnings: Vec<Diag> = Vec::new();
    args.hosts.provide(&config)?;
    let extra_vars = Arc::new(extra_vars::read(&args.hosts.extra_vars)?);
    let sources = args.hosts.sources(&config);
    let templar = Arc::new(Templar::new());
    let inventory = reading::inventory(&sources, &config, Manner::Own, &templar, &extra_vars, &mut warnings)?;
    if !inventory.has_host(&args.host) {
        let known: Vec<String> = inventory.hosts().iter().map(ToString::to_string).collect();
        bail!("the inventory has no host `{}`; it has {}", args.host, known.join(", "));
    }
    let loader = reading::loader(&templar, &extra_vars, &config, Manner::Own);
    let playbooks = reading::playbooks(&loader, &args.playbooks, &mut warnings)?;
    let run = Run::new(Settings { extra_vars, ..Settings::new(config) }, inventory, loader, templar, |_| {});
    let definitions = run.explain(&args.variable, &args.host, &playbooks)?;
    if definitions.is_empty() {
        anstream::println!("{} is set nowhere for {}", args.variable, args.host);
        return Ok(1);
    }
    let winner = definitions.iter().rposition(Definition::counts_everywhere);
    anstream::println!("{} of {}, what counts least first:", args.variable, args.host);
    for (n, definition) in definitions.iter().enumerate() {
        let mark = if Some(n) == winner { '*' } else { ' ' };
        let value = definition.value.as_deref().unwrap_or("(asked for)");
        let scope = definition.scope.as_ref().map(|scope| format!(", {scope}")).unwrap_or_default();
        let line = format!("{mark} {:<34} {} = {value}{scope}", words(definition.level), definition.place);
        anstream::println!("{}", without(line));
    }
    match winner {
        Some(winner) if winner + 1 == definitions.len() => anstream::println!("* wins"),
        Some(_) => anstream::println!("* wins everywhere but where one below it counts"),
        None => anstream::println!("no place counts everywhere: where two of them meet, the lower wins"),
    }
    Ok(0)
}

/// A level in the words of Ansible's documentation, with its number there.
fn words(level: Level) -> &'static str {
    match level {
        Level::RoleDefaults | Level::OwnRoleDefaults => "2 role defaults",
        Level::InventoryGroups => "3 inventory, group",
        Level::InventoryGroupVarsAll => "4 inventory group_vars/all",
        Level::PlaybookGroupVarsAll => "5 playbook group_vars/all",
        Level::InventoryGroupVars => "6 inventory group_vars",
        Level::PlaybookGroupVars => "7 playbook group_vars",
        Level::InventoryHost => "8 inventory, host",
        Level::InventoryHostVars => "9 inventory host_vars",
        Level::PlaybookHostVars => "10 playbook host_vars",
        Level::Facts => "11 facts",
        Level::Play => "12 play vars",
        Level::VarsPrompt => "13 vars_prompt",
        Level::VarsFiles => "14 vars_files",
        Level::RoleVars | Level::OwnRoleVars => "15 role vars",
        Level::BlockAndTask => "16, 17 block and task vars",
        Level::IncludeVars => "18 include_vars",
        Level::SetFactsAndRegistered => "19 set_fact and register",
        Level::RoleParams => "20 role params",
        Level::IncludeParams => "21 include params",
        Level::Loop => "the loop",
        Level::Extra => "22 extra vars",
        Level::Magic => "magic variables",
    }
}
