//! `nodewright check`: what can be known of a playbook without any host.

use super::{Manner, extra_vars, reading};
use crate::config::Config;
use crate::template::Templar;
use std::path::PathBuf;
use std::sync::Arc;

/// Check playbooks without running anything
///
/// All findings at once: unknown keywords, modules, arguments, filters and tests; missing handlers, files and roles; conditionals that cannot be boolean.
#[derive(clap::Args)]
pub struct Args {
    /// Playbooks, with all that they import
    #[arg(required = true)]
    playbooks: Vec<PathBuf>,
    /// Variables that imports with templated names need: `key=value`, YAML, JSON or `@FILE`
    #[arg(short, long)]
    extra_vars: Vec<String>,
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
    reading::playbooks(&loader, &args.playbooks, &mut warnings)?;
    for warning in warnings {
        anstream::eprintln!("{}\n", warning.render(true));
    }
    Ok(0)
}
