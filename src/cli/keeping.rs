//! What a run's journal begins with: the command line, without what might be secret, and all on which the way of the run depends.

use super::{Manner, extra_vars};
use crate::journal::{Header, Journal, VERSION, is_wanted};
use crate::secrets::{MASK, masked};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a run was asked.
pub struct Asked<'a> {
    /// The words behind the program's name.
    pub args: &'a [String],
    pub extra_vars: &'a [String],
    pub playbooks: &'a [PathBuf],
    pub check: bool,
    pub verbosity: u8,
}

/// Begins a journal, unless none is wanted.
///
/// # Errors
/// Why there is none, although one is wanted.
pub fn begin(asked: &Asked, manner: Manner) -> anyhow::Result<Option<Journal>> {
    if !is_wanted() {
        return Ok(None);
    }
    let shown: Vec<String> = asked.args.iter().map(|arg| without_values(arg, asked.extra_vars)).collect();
    let header = Header {
        journal: VERSION,
        id: String::new(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: jiff::Timestamp::now(),
        program: if manner == Manner::Own { "nodewright" } else { "ansible-playbook" }.to_owned(),
        args: shown.clone(),
        sealed_args: None,
        extra_vars: names(asked.extra_vars)?,
        folder: std::env::current_dir().unwrap_or_default(),
        playbooks: asked.playbooks.iter().map(|path| path.display().to_string()).collect(),
        check: asked.check,
        verbosity: asked.verbosity,
        environment: environment(),
        files: crate::source::noted(),
    };
    Journal::begin(header, (shown != asked.args).then_some(asked.args)).map(Some)
}

/// Which variables are given on the command line itself. A name that is a secret is not told.
fn names(extra_vars: &[String]) -> anyhow::Result<Vec<String>> {
    let inline: Vec<String> = extra_vars.iter().filter(|given| !given.trim().starts_with('@')).cloned().collect();
    Ok(extra_vars::read(&inline)?.into_keys().filter(|name| masked(name).is_none()).collect())
}

/// An argument without the values of extra variables: what they are called tells nothing, what they are may.
fn without_values(arg: &str, extra_vars: &[String]) -> String {
    let value = extra_vars.iter().filter(|value| !value.starts_with('@') && !value.is_empty()).find(|value| arg.ends_with(value.as_str()));
    match value {
        Some(value) => format!("{}{MASK}", &arg[..arg.len() - value.len()]),
        None => masked(arg).unwrap_or_else(|| arg.to_owned()),
    }
}

/// The settings that came from the environment.
pub fn environment() -> BTreeMap<String, String> {
    let is_setting = |name: &str| name.starts_with("ANSIBLE_");
    let is_about_output = |name: &str| ["COLOR", "DISPLAY", "VERBOSITY", "CALLBACK"].iter().any(|word| name.contains(word));
    let all = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
    let settings = all.filter(|(name, _)| is_setting(name) && !is_about_output(name));
    settings.map(|(name, value)| (name, masked(&value).unwrap_or(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_extra_variables_are_left_out() {
        let extra_vars = ["pin=2 4".to_owned(), "@vars.yml".to_owned()];
        let args = ["-vepin=2 4", "pin=2 4", "--extra-vars=pin=2 4", "@vars.yml", "site.yml"];
        let shown: Vec<String> = args.iter().map(|arg| without_values(arg, &extra_vars)).collect();
        assert_eq!(shown, ["-ve********", "********", "--extra-vars=********", "@vars.yml", "site.yml"]);
    }
}
