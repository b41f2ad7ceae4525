//! Lookups of variables, the environment, commands and passwords.

use super::Lookup;
use crate::python::regex::{Flags, Pattern};
use crate::source::nearest;
use crate::template::args::Args;
use crate::template::fail::{Fail, Lack, Res, check, is_undefined};
use crate::template::lazy::Run;
use crate::template::outside;
use crate::template::value::{text, type_name};
use minijinja::Value;
use std::process::Command;
use std::sync::Arc;

pub(super) const TABLE: &[(&str, Lookup)] = &[
    ("vars", vars),
    ("varnames", varnames),
    ("env", |_, terms, options| {
        let default = options.named("default");
        let look = |term: &Value| match (std::env::var(text(term)?), &default) {
            (Ok(value), _) => Ok(Value::from(value)),
            (Err(_), Some(default)) if is_undefined(default) => {
                Err(Fail::undefined(Lack::Words(format!("The environment variable '{}' is not set.", text(term)?))))
            }
            (Err(_), Some(default)) => check(default).map(|()| default.clone()),
            (Err(_), None) => Ok(Value::from("")),
        };
        terms.iter().map(look).collect()
    }),
    ("pipe", |run, terms, _| {
        let output = |term: &Value| Ok(Value::from(command(run, &text(term)?)?.trim_end_matches(['\n', '\r'])));
        terms.iter().map(output).collect()
    }),
    ("lines", |run, terms, _| {
        let mut lines = Vec::new();
        for term in &terms {
            lines.extend(command(run, &text(term)?)?.lines().map(Value::from));
        }
        Ok(lines)
    }),
];

fn vars(run: &Arc<Run>, terms: Vec<Value>, options: &mut Args) -> Res<Vec<Value>> {
    let default = options.named("default");
    let mut found = Vec::new();
    for term in terms {
        check(&term)?;
        let Some(name) = term.as_str() else {
            return Err(Fail::error(format!("Variable name must be 'str' not '{}'.", type_name(&term))));
        };
        let value = run.variable(name).or_else(|| {
            let of_host = run.variable("hostvars")?;
            let host = run.variable("inventory_hostname")?;
            of_host.as_object()?.get_value(&host)?.as_object()?.get_value_by_str(name)
        });
        found.push(match (value, &default) {
            (Some(value), Some(default)) if is_undefined(&value) => default.clone(),
            (Some(value), _) => {
                check(&value)?;
                value
            }
            (None, Some(default)) => default.clone(),
            (None, None) => {
                let fail = Fail::undefined(Lack::Words(format!("No variable named '{name}' was found.")));
                return Err(match nearest(name, run.view.names()) {
                    Some(near) => fail.hint(format!("did you mean `{near}`?")),
                    None => fail,
                });
            }
        });
    }
    Ok(found)
}

fn varnames(run: &Arc<Run>, terms: Vec<Value>, _: &mut Args) -> Res<Vec<Value>> {
    let mut found = Vec::new();
    for term in terms {
        let Some(pattern) = term.as_str() else {
            return Err(Fail::error(format!(
                "Invalid setting identifier, \"{}\" is not a string, it is a <class '{}'>",
                text(&term)?,
                type_name(&term)
            )));
        };
        let regex = Pattern::new(pattern, Flags::default())
            .map_err(|err| Fail::error(format!("Unable to use \"{pattern}\" as a search parameter: {err}")))?;
        for name in run.view.names() {
            if regex.is_found(name)? {
                found.push(Value::from(name));
            }
        }
    }
    Ok(found)
}

/// What a command prints on the controller, in the playbook's folder.
fn command(run: &Arc<Run>, line: &str) -> Res<String> {
    outside::acts()?;
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(line);
    if let Some(dir) = run.variable("playbook_dir").and_then(|dir| dir.as_str().map(str::to_owned)) {
        shell.current_dir(dir);
    }
    let output = shell.output().map_err(|err| Fail::error(format!("cannot run `{line}`: {err}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let code = output.status.code().unwrap_or(-1);
        let fail = Fail::error(format!("lookup_plugin.pipe({line}) returned {code}"));
        return Err(if said.is_empty() { fail } else { fail.hint(format!("it said: {said}")) });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
