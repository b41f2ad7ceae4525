//! Lookups of variables, the environment, commands and passwords.

use super::Lookup;
use super::files::on_controller;
use crate::python::regex::{Flags, Pattern};
use crate::template::args::Args;
use crate::template::fail::{Fail, Lack, Res, check, is_undefined};
use crate::template::lazy::Run;
use crate::template::value::{is_list, items, text, type_name};
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
    ("password", password),
];

fn vars(run: &Arc<Run>, terms: Vec<Value>, options: &mut Args) -> Res<Vec<Value>> {
    let default = options.named("default");
    let mut found = Vec::new();
    for term in terms {
        check(&term)?;
        let Some(name) = term.as_str() else {
            return Err(Fail::error(format!("Variable name must be a string not {}", type_name(&term))));
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
            (None, None) => return Err(Fail::undefined(Lack::Name(name.to_owned(), run.view.clone()))),
        });
    }
    Ok(found)
}

fn varnames(run: &Arc<Run>, terms: Vec<Value>, _: &mut Args) -> Res<Vec<Value>> {
    let mut found = Vec::new();
    for term in terms {
        let regex = Pattern::new(&text(&term)?, Flags::default())?;
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
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(line);
    if let Some(dir) = run.variable("playbook_dir").and_then(|dir| dir.as_str().map(str::to_owned)) {
        shell.current_dir(dir);
    }
    let output = shell.output().map_err(|err| Fail::error(format!("cannot run `{line}`: {err}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Fail::error(format!("`{line}` ended with {}: {said}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `path length=20 chars=ascii_letters,digits`: the password of the file, made and kept there if there is none yet.
fn password(run: &Arc<Run>, terms: Vec<Value>, options: &mut Args) -> Res<Vec<Value>> {
    let mut passwords = Vec::new();
    let (own_length, own_chars, own_seed) = (options.named("length"), options.named("chars"), options.named("seed"));
    for term in terms {
        let term = text(&term)?;
        let mut words = term.split(' ');
        let path = words.next().unwrap_or("").to_owned();
        let (mut length, mut chars) = (20usize, "ascii_letters,digits,.,:-_".to_owned());
        let mut set = |key: &str, value: String| -> Res<()> {
            match key {
                "length" => length = value.parse().map_err(|_| Fail::error(format!("length '{value}' is not a number")))?,
                "chars" => chars = value,
                other => return Err(Fail::error(format!("the option `{other}` is not supported"))),
            }
            Ok(())
        };
        for word in words.filter(|word| !word.is_empty()) {
            let (key, value) = word.split_once('=').ok_or_else(|| Fail::error(format!("`{word}` is not `key=value`")))?;
            set(key, value.to_owned())?;
        }
        if own_seed.is_some() {
            return Err(Fail::error("the option `seed` is not supported"));
        }
        if let Some(value) = &own_length {
            set("length", text(value)?)?;
        }
        if let Some(value) = &own_chars {
            let value = if is_list(value) { items(value)?.iter().map(text).collect::<Res<Vec<_>>>()?.join(",") } else { text(value)? };
            set("chars", value)?;
        }
        passwords.push(Value::from(kept_password(run, &path, length.min(4096), &alphabet(&chars))?));
    }
    Ok(passwords)
}

fn alphabet(chars: &str) -> Vec<char> {
    let comma = chars.contains(",,");
    let mut all: Vec<char> = Vec::new();
    for set in chars.replace(",,", ",").split(',').filter(|set| !set.is_empty()) {
        match set {
            "ascii_letters" => all.extend(('a'..='z').chain('A'..='Z')),
            "ascii_lowercase" => all.extend('a'..='z'),
            "ascii_uppercase" => all.extend('A'..='Z'),
            "digits" => all.extend('0'..='9'),
            "hexdigits" => all.extend(('0'..='9').chain('a'..='f').chain('A'..='F')),
            "punctuation" => all.extend((33u8..127).map(char::from).filter(char::is_ascii_punctuation)),
            literal => all.extend(literal.chars()),
        }
    }
    if comma {
        all.push(',');
    }
    let mut seen = std::collections::HashSet::new();
    all.retain(|c| seen.insert(*c));
    all
}

fn kept_password(run: &Arc<Run>, path: &str, length: usize, alphabet: &[char]) -> Res<String> {
    if alphabet.is_empty() {
        return Err(Fail::error("there are no characters to make a password of"));
    }
    let path = on_controller(run, path);
    let keep = path != std::path::Path::new("/dev/null");
    if keep && path.exists() {
        let content = std::fs::read_to_string(&path).map_err(|err| Fail::error(format!("cannot read `{}`: {err}", path.display())))?;
        let line = content.trim_end_matches(['\n', '\r']);
        return Ok(line.split_once(" salt=").map_or(line, |(password, _)| password).to_owned());
    }
    let password: String = (0..length).map(|_| alphabet[rand::random_range(0..alphabet.len())]).collect();
    if keep {
        let write = || -> std::io::Result<()> {
            use std::io::Write;
            use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
            if let Some(parent) = path.parent() {
                std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
            }
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            writeln!(file, "{password}")
        };
        write().map_err(|err| Fail::error(format!("cannot write `{}`: {err}", path.display())))?;
    }
    Ok(password)
}
