//! Settings of `ansible.cfg` and of `ANSIBLE_*` variables: one table says which there are, [`Config::load`] reads them once.
//!
//! Where a setting comes from, nearest first: the environment, the file, the default. The file is the first of `$ANSIBLE_CONFIG`, `./ansible.cfg`
//! (not in a folder that everybody may write to), `~/.ansible.cfg` and `/etc/ansible/ansible.cfg`.

mod settings;

pub use settings::{Kind, SETTINGS, Setting};

use anyhow::{Context, bail};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Every setting with its value. Names are those of `ansible-config list`.
#[derive(Clone, Debug)]
pub struct Config {
    file: Option<PathBuf>,
    values: HashMap<&'static str, Value>,
    /// What is worth a warning: a file that was passed over.
    /// Settings that are not at their defaults because somebody said so.
    given: HashSet<&'static str>,
    pub warnings: Vec<String>,
}

/// A setting whose value is not of its kind.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(String);

/// A setting's value, of the setting's kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    Text(String),
    List(Vec<String>),
}

impl Config {
    /// Reads the file that counts and the environment of this process.
    ///
    /// # Errors
    /// A file that cannot be read, a value that is not of its setting's kind: with the name of the file or variable.
    pub fn load() -> anyhow::Result<Config> {
        Config::of(&|name| std::env::var(name).ok().filter(|value| !value.is_empty() || name == "ANSIBLE_INVENTORY"))
    }

    /// The same with variables of another environment.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn of(env: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Config> {
        let mut warnings = Vec::new();
        let file = find_file(env, &mut warnings);
        let sections = file.as_deref().map(read_file).transpose()?.unwrap_or_default();
        let dir = file.as_deref().and_then(Path::parent).map(Path::to_owned);
        let (mut values, mut given) = (HashMap::new(), HashSet::new());
        for setting in SETTINGS {
            let from_env = setting.env.iter().find_map(|name| Some((format!("env: {name}"), env(name)?, None)));
            let from_file = || {
                setting.ini.iter().find_map(|(section, key)| {
                    let value = sections.get(*section)?.get(*key)?.clone()?;
                    let name = file.as_deref().unwrap_or(Path::new("")).display().to_string();
                    Some((name, value, dir.as_deref()))
                })
            };
            let said = from_env.or_else(from_file);
            if said.is_some() {
                given.insert(setting.name);
            }
            let value = match said {
                Some((from, text, dir)) => parse(setting, &text, dir)
                    .map_err(|err| Invalid(format!("Config '{}' from '{from}' has an invalid value: {err:#}", setting.name)))?,
                None => default(setting),
            };
            values.insert(setting.name, value);
        }
        Ok(Config { file, values, given, warnings })
    }

    /// The file that was read: `ansible_config_file`.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Whether the file or the environment says something of a setting.
    pub fn is_given(&self, name: &str) -> bool {
        self.given.contains(name)
    }

    /// A setting by its name. `None`: there is no such setting.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    pub fn flag(&self, name: &str) -> bool {
        matches!(self.values.get(name), Some(Value::Bool(true)))
    }

    /// `None`: not set.
    pub fn number(&self, name: &str) -> Option<i64> {
        match self.values.get(name) {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        }
    }

    /// `None`: not set.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub fn list(&self, name: &str) -> &[String] {
        match self.values.get(name) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }

    pub fn paths(&self, name: &str) -> Vec<PathBuf> {
        self.list(name).iter().map(PathBuf::from).collect()
    }

    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }
}

impl Default for Config {
    /// The defaults alone.
    fn default() -> Config {
        let values = SETTINGS.iter().map(|setting| (setting.name, default(setting)));
        Config { file: None, values: values.collect(), given: HashSet::new(), warnings: Vec::new() }
    }
}

fn default(setting: &Setting) -> Value {
    match setting.default {
        "" if !matches!(setting.kind, Kind::List | Kind::Paths) => Value::None,
        text => parse(setting, text, None).expect("the table's defaults are of their kinds"),
    }
}

type Sections = HashMap<String, HashMap<String, Option<String>>>;

fn find_file(env: &dyn Fn(&str) -> Option<String>, warnings: &mut Vec<String>) -> Option<PathBuf> {
    if let Some(named) = env("ANSIBLE_CONFIG") {
        let path = PathBuf::from(home(&named));
        let path = if path.is_dir() { path.join("ansible.cfg") } else { path };
        if path.is_file() {
            return Some(std::path::absolute(&path).unwrap_or(path));
        }
    }
    if let Ok(dir) = std::env::current_dir() {
        let path = dir.join("ansible.cfg");
        if path.is_file() {
            if is_world_writable(&dir) {
                warnings.push(format!(
                    "Ansible is being run in a world writable directory ({}), ignoring it as an ansible.cfg source",
                    dir.display()
                ));
            } else {
                return Some(path);
            }
        }
    }
    [PathBuf::from(home("~/.ansible.cfg")), PathBuf::from("/etc/ansible/ansible.cfg")].into_iter().find(|path| path.is_file())
}

fn is_world_writable(dir: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(dir).is_ok_and(|meta| meta.permissions().mode() & 0o002 != 0)
}

fn read_file(path: &Path) -> anyhow::Result<Sections> {
    let text = crate::source::read_text(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    crate::source::note(path, text.as_bytes());
    let mut parser = configparser::ini::Ini::new();
    parser.set_multiline(true);
    parser.set_comment_symbols(&['#', ';']);
    parser.set_inline_comment_symbols(Some(&[';']));
    match parser.read(text) {
        Ok(sections) => Ok(sections),
        Err(message) => bail!("`{}` is no configuration file: {message}", path.display()),
    }
}

/// A path of a setting that is no path for every plugin: `~` and `$VARS` are expanded.
pub fn expanded(text: &str) -> String {
    home(text)
}

/// `~` at the beginning, and `$VARS`, as Ansible expands them in paths.
fn home(text: &str) -> String {
    let text = match (text.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/')), std::env::home_dir()) {
        (Some(rest), Some(home)) => format!("{}{rest}", home.display()),
        _ => text.to_owned(),
    };
    let mut expanded = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let (name, tail) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some(split) => split,
            None => after.split_at(after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len())),
        };
        match std::env::var(name) {
            Ok(value) if !name.is_empty() => expanded.push_str(&value),
            _ => expanded.push_str(&rest[before.len()..rest.len() - tail.len()]),
        }
        rest = tail;
    }
    expanded.push_str(rest);
    expanded
}

/// A path as Ansible resolves it: relative ones of a file belong to the file's folder, others to the current one.
fn resolve(text: &str, dir: Option<&Path>) -> String {
    let text = home(text.trim());
    let text = text.strip_prefix("{{CWD}}/").unwrap_or(&text);
    if Path::new(text).is_absolute() {
        return text.to_owned();
    }
    let base = match dir {
        Some(dir) => dir.to_owned(),
        None => std::env::current_dir().unwrap_or_default(),
    };
    crate::playbook::search::tidy(&base.join(text)).to_string_lossy().into_owned()
}

fn parse(setting: &Setting, text: &str, dir: Option<&Path>) -> anyhow::Result<Value> {
    let text = text.trim();
    let unquoted = ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(text);
    let words = |separator: char| unquoted.split(separator).map(str::trim).filter(|word| !word.is_empty());
    Ok(match setting.kind {
        Kind::Bool => match unquoted.to_lowercase().as_str() {
            "y" | "yes" | "on" | "1" | "true" | "t" | "1.0" => Value::Bool(true),
            "n" | "no" | "off" | "0" | "false" | "f" | "0.0" | "" => Value::Bool(false),
            _ => bail!("`{text}` is neither true nor false"),
        },
        _ if unquoted.is_empty() && !matches!(setting.kind, Kind::List | Kind::Paths) => Value::None,
        Kind::Int => match unquoted.parse() {
            Ok(number) => Value::Int(number),
            Err(_) => bail!("`{text}` is not a whole number"),
        },
        Kind::Choice(choices) => match choices.contains(&unquoted) {
            true => Value::Text(unquoted.to_owned()),
            false => bail!("`{text}` is none of {}", choices.join(", ")),
        },
        Kind::Text => Value::Text(unquoted.to_owned()),
        Kind::Path => Value::Text(resolve(unquoted, dir)),
        Kind::List => Value::List(words(',').map(str::to_owned).collect()),
        Kind::Paths => Value::List(words(':').map(|word| resolve(word, dir)).collect()),
        // A list of hosts is left as it is; a list of files has commas too.
        Kind::Inventories => {
            let is_hosts = unquoted.ends_with(',');
            let one = |word: &str| if is_hosts { word.to_owned() } else { resolve(word, dir) };
            match is_hosts || Path::new(&resolve(unquoted, dir)).exists() {
                true => Value::List(vec![one(unquoted)]),
                false => Value::List(words(',').map(one).collect()),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_beats_the_file_and_the_file_the_default() {
        let dir = tempfile::tempdir().expect("a folder can be made");
        let path = dir.path().join("ansible.cfg");
        std::fs::write(&path, "[defaults]\nforks = 7 ; as many as there are\nroles_path = roles:/opt/roles\ntimeout=3\n")
            .expect("it can be written");
        let path = path.to_string_lossy().into_owned();
        let env = |name: &str| match name {
            "ANSIBLE_CONFIG" => Some(path.clone()),
            "ANSIBLE_TIMEOUT" => Some("33".to_owned()),
            _ => None,
        };
        let config = Config::of(&env).expect("the file is valid");
        assert_eq!(config.number("DEFAULT_FORKS"), Some(7));
        assert_eq!(config.number("DEFAULT_TIMEOUT"), Some(33));
        assert_eq!(config.paths("DEFAULT_ROLES_PATH"), [dir.path().join("roles"), PathBuf::from("/opt/roles")]);
        assert_eq!(config.text("DEFAULT_STRATEGY"), Some("linear"));

        let wrong = Config::of(&|name| (name == "ANSIBLE_FORKS").then(|| "many".to_owned()));
        assert_eq!(
            format!("{:#}", wrong.expect_err("that is no number")),
            "Config 'DEFAULT_FORKS' from 'env: ANSIBLE_FORKS' has an invalid value: `many` is not a whole number"
        );
    }
}
