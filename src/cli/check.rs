//! `nodewright check`: what can be known of a playbook without any host.

use super::{Findings, Manner, extra_vars, foresee, reading};
use crate::config::Config;
use crate::secrets::without;
use crate::source::Level;
use crate::template::Templar;
use std::path::PathBuf;
use std::sync::Arc;

/// Check playbooks without running anything
///
/// All findings at once: unknown keywords, modules, arguments, filters and tests; missing handlers, files and roles; conditionals that cannot be boolean;
/// with an inventory, variables that nothing defines and strings that look like booleans.
#[derive(clap::Args)]
pub struct Args {
    /// Playbooks, with all that they import
    #[arg(required = true)]
    playbooks: Vec<PathBuf>,
    /// Variables that imports with templated names need: `key=value`, YAML, JSON or `@FILE`
    #[arg(short, long)]
    extra_vars: Vec<String>,
    /// An inventory to look at too, as `run` takes it: then it is known which variables nothing defines
    #[arg(short, long = "inventory", visible_alias = "inventory-file")]
    inventory: Vec<String>,
    #[command(flatten)]
    vault: super::vault::Options,
}

pub fn run(args: &Args) -> anyhow::Result<u8> {
    let config = Config::load()?;
    args.vault.provide(&config)?;
    reading::settle(&config);
    let extra_vars = Arc::new(extra_vars::read(&args.extra_vars)?);
    let templar = Arc::new(Templar::new());
    let loader = reading::loader(&templar, &extra_vars, &config, Manner::Own);
    let mut warnings = Vec::new();
    let sources = if args.inventory.is_empty() { config.list("DEFAULT_HOST_LIST") } else { &args.inventory };
    let is_named = !args.inventory.is_empty() || config.is_given("DEFAULT_HOST_LIST");
    let inventory =
        is_named.then(|| reading::inventory(sources, &config, Manner::Own, &templar, &extra_vars, &mut warnings)).transpose()?;
    let playbooks = reading::playbooks(&loader, &args.playbooks, &mut warnings)?;
    let found = foresee::findings(&playbooks, inventory.as_ref(), &extra_vars, &templar, &config);
    if found.iter().any(|diag| diag.level == Level::Error) {
        warnings.extend(found);
        return Err(Findings(warnings).into());
    }
    for warning in warnings.iter().chain(&found) {
        anstream::eprintln!("{}\n", without(warning.render(true)));
    }
    Ok(0)
}
