//! The lookup `config`: a setting of `ansible.cfg` or the environment.

use super::Lookup;
use super::inline::named_text;
use crate::config::{self, Config};
use crate::template::args::Args;
use crate::template::fail::{Fail, Res};
use crate::template::lazy::Run;
use crate::template::value::{list, text, type_name};
use minijinja::Value;
use std::sync::{Arc, LazyLock};

pub(super) const TABLE: &[(&str, Lookup)] = &[("config", lookup)];

static CONFIG: LazyLock<Result<Config, String>> = LazyLock::new(|| Config::load().map_err(|err| format!("{err:#}")));

fn lookup(_: &Arc<Run>, terms: Vec<Value>, options: &mut Args) -> Res<Vec<Value>> {
    let on_missing = named_text(options, "on_missing")?.unwrap_or_else(|| "error".to_owned());
    if !matches!(on_missing.as_str(), "error" | "warn" | "skip") {
        return Err(Fail::error(format!("\"on_missing\" must be a string and one of \"error\", \"warn\" or \"skip\", not {on_missing}")));
    }
    for option in ["plugin_type", "plugin_name", "show_origin"] {
        if options.named(option).is_some() {
            return Err(Fail::error(format!("the option `{option}` is not supported: only settings of Ansible itself are known")));
        }
    }
    let config = CONFIG.as_ref().map_err(|err| Fail::error(err.clone()))?;
    let mut found = Vec::new();
    for term in terms {
        let Some(name) = term.as_str() else {
            return Err(Fail::error(format!(
                "Invalid setting identifier, \"{}\" is not a string, it is a <class '{}'>",
                text(&term)?,
                type_name(&term)
            )));
        };
        match config.get(name) {
            Some(config::Value::None) => found.push(Value::from(())),
            Some(config::Value::Bool(flag)) => found.push(Value::from(*flag)),
            Some(config::Value::Int(number)) => found.push(Value::from(*number)),
            Some(config::Value::Text(text)) => found.push(Value::from(text.as_str())),
            Some(config::Value::List(all)) => found.push(list(all.iter().map(|one| Value::from(one.as_str())))),
            None if on_missing == "error" => return Err(Fail::error(format!("No config definition exists for '{name}'."))),
            None => {}
        }
    }
    Ok(found)
}
