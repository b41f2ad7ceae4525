//! A task's arguments after templating: canonical names, Ansible's conversions, defaults filled in.

use super::{Failure, Param, ParamKind, Secret, Spec};
use serde_json::{Map, Value as Json};

/// Arguments by canonical name. What was not given and has no default is absent, as is what was `omit` or null.
#[derive(Clone, Debug, Default)]
pub struct Args {
    values: Map<String, Json>,
}

impl Args {
    /// Converts what a task says to what the module's spec asks for.
    ///
    /// # Errors
    /// An unknown, missing or unconvertible argument, named in [`Failure::argument`].
    pub fn convert(spec: &'static Spec, given: &Map<String, Json>) -> Result<Args, Failure> {
        let mut values = Map::new();
        for (word, value) in given {
            let Some(param) = spec.param(word) else {
                return Err(unsupported(spec, given));
            };
            if value.is_null() {
                continue;
            }
            let converted = convert(param, value).map_err(|message| Failure::argument(word, message))?;
            let other = values.insert(param.name.to_owned(), converted.clone());
            if other.is_some_and(|other| other != converted) {
                return Err(Failure::argument(word, format!("`{}` is given twice, under another name of it too", param.name)));
            }
        }
        for param in spec.params {
            if values.contains_key(param.name) {
                continue;
            }
            if let Some(default) = param.default {
                let value = convert(param, &Json::from(default))
                    .map_err(|message| Failure::new(format!("BUG: default of `{}`: {message}", param.name)))?;
                values.insert(param.name.to_owned(), value);
            }
        }
        let mut missing: Vec<_> =
            spec.params.iter().filter(|param| param.required && !values.contains_key(param.name)).map(|param| param.name).collect();
        if !missing.is_empty() {
            missing.sort_unstable();
            return Err(Failure::new(format!("missing required arguments: {}", missing.join(", "))));
        }
        Ok(Args { values })
    }

    pub fn get(&self, name: &str) -> Option<&Json> {
        self.values.get(name)
    }

    /// The texts that no output may show: values of parameters that are secrets.
    pub fn secrets(&self, spec: &Spec) -> impl Iterator<Item = String> {
        let is_secret = |param: &&Param| match param.secret {
            Secret::No => false,
            Secret::Yes => true,
            Secret::If(other, value) => self.str(other) == Some(value),
        };
        spec.params.iter().filter(is_secret).filter_map(|param| self.values.get(param.name)).map(text_of)
    }

    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    pub fn str(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.as_str()
    }

    /// A parameter that the spec requires or defaults.
    pub fn required(&self, name: &str) -> Result<&str, Failure> {
        self.str(name).ok_or_else(|| Failure::new(format!("missing required arguments: {name}")))
    }

    pub fn bool(&self, name: &str) -> Option<bool> {
        self.values.get(name)?.as_bool()
    }

    /// A boolean whose absence means false.
    pub fn is(&self, name: &str) -> bool {
        self.bool(name).unwrap_or(false)
    }

    pub fn int(&self, name: &str) -> Option<i64> {
        self.values.get(name)?.as_i64()
    }

    pub fn float(&self, name: &str) -> Option<f64> {
        self.values.get(name)?.as_f64()
    }

    /// A list's members as strings; `None` where the parameter was not given.
    pub fn list(&self, name: &str) -> Option<Vec<String>> {
        Some(self.values.get(name)?.as_array()?.iter().map(text_of).collect())
    }

    pub fn dict(&self, name: &str) -> Option<&Map<String, Json>> {
        self.values.get(name)?.as_object()
    }
}

/// All that was given and no parameter answers to.
fn unsupported(spec: &'static Spec, given: &Map<String, Json>) -> Failure {
    let mut unknown: Vec<&str> = given.keys().map(String::as_str).filter(|word| spec.param(word).is_none()).collect();
    unknown.sort_unstable();
    let mut known: Vec<&str> = spec.params.iter().map(|param| param.name).collect();
    known.sort_unstable();
    let mut aliases: Vec<&str> = spec.params.iter().flat_map(|param| param.aliases).copied().collect();
    aliases.sort_unstable();
    let aliases = if aliases.is_empty() { String::new() } else { format!(" ({})", aliases.join(", ")) };
    let (name, words) = (spec.short_name(), unknown.join(", "));
    let message =
        format!("Unsupported parameters for ({name}) module: {words}. Supported parameters include: {}{aliases}.", known.join(", "));
    unknown.first().map_or_else(|| Failure::new(message.clone()), |word| Failure::argument(word, message.clone()))
}

/// A scalar as Python's `str` would print it.
fn text_of(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Bool(true) => "True".into(),
        Json::Bool(false) => "False".into(),
        other => other.to_string(),
    }
}

impl Param {
    /// Whether a value that stands in a playbook can be this parameter's.
    ///
    /// # Errors
    /// What is wrong with it, as [`Args::convert`] would say.
    pub fn check(&self, value: &Json) -> Result<(), String> {
        convert(self, value).map(drop)
    }
}

fn convert(param: &Param, value: &Json) -> Result<Json, String> {
    let wrong = |wanted: &str| format!("`{}` must be {wanted}, not {}", param.name, describe(value));
    let converted = match param.kind {
        ParamKind::Raw => value.clone(),
        ParamKind::Str | ParamKind::Path => match value {
            // As Ansible: a structure given for a string is its JSON (`content: {a: 1}`).
            Json::Array(_) | Json::Object(_) => Json::from(value.to_string()),
            scalar => Json::from(text_of(scalar)),
        },
        ParamKind::Bool => match value {
            Json::Bool(_) => value.clone(),
            Json::Number(number) if number.as_f64() == Some(1.0) => true.into(),
            Json::Number(number) if number.as_f64() == Some(0.0) => false.into(),
            Json::String(text) => parse_bool(text).ok_or_else(|| wrong("a boolean (`true` or `false`)"))?.into(),
            _ => return Err(wrong("a boolean (`true` or `false`)")),
        },
        ParamKind::Int => match value {
            Json::Number(number) if number.is_i64() => value.clone(),
            Json::Number(number) => match number.as_f64() {
                // Beyond that not every whole number is a float.
                Some(float) if float.fract() == 0.0 && float.abs() < 9e15 => (float as i64).into(),
                _ => return Err(wrong("a whole number")),
            },
            Json::String(text) => text.trim().parse::<i64>().map_err(|_| wrong("a whole number"))?.into(),
            _ => return Err(wrong("a whole number")),
        },
        ParamKind::Float => match value {
            Json::Number(_) => value.clone(),
            Json::String(text) => text.trim().parse::<f64>().map_err(|_| wrong("a number"))?.into(),
            _ => return Err(wrong("a number")),
        },
        ParamKind::List => match value {
            Json::Array(_) => value.clone(),
            Json::String(text) => text.split(',').map(|part| Json::from(part.trim())).collect(),
            Json::Number(_) => Json::Array(vec![text_of(value).into()]),
            _ => return Err(wrong("a list")),
        },
        ParamKind::Dict => match value {
            Json::Object(_) => value.clone(),
            Json::String(text) => serde_json::from_str::<Map<String, Json>>(text).map_err(|_| wrong("a mapping"))?.into(),
            _ => return Err(wrong("a mapping")),
        },
        ParamKind::Mode => match value {
            Json::Number(number) => match number.as_u64() {
                Some(mode) if mode <= 0o7777 => format!("{mode:04o}").into(),
                _ => return Err(wrong("a file mode such as \"0644\" or \"u=rw,g=r\"")),
            },
            Json::String(text) if !text.is_empty() => text.clone().into(),
            _ => return Err(wrong("a file mode such as \"0644\" or \"u=rw,g=r\"")),
        },
    };
    // What YAML took for a boolean (`upgrade: yes`) is among the choices in small letters.
    let converted = match converted.as_str() {
        Some(word @ ("True" | "False")) if !param.choices.is_empty() => word.to_lowercase().into(),
        _ => converted,
    };
    if !param.choices.is_empty() {
        let check = |value: &Json| {
            let text = text_of(value);
            if param.choices.contains(&text.as_str()) {
                Ok(())
            } else {
                Err(format!("value of {} must be one of: {}, got: {text}", param.name, param.choices.join(", ")))
            }
        };
        match &converted {
            Json::Array(items) => items.iter().try_for_each(check)?,
            other => check(other)?,
        }
    }
    Ok(converted)
}

/// Ansible's words for true and false.
fn parse_bool(text: &str) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "yes" | "on" | "true" | "y" | "t" | "1" | "1.0" => Some(true),
        "no" | "off" | "false" | "n" | "f" | "0" | "0.0" => Some(false),
        _ => None,
    }
}

fn describe(value: &Json) -> String {
    match value {
        Json::Null => "nothing".into(),
        Json::Array(_) => "a list".into(),
        Json::Object(_) => "a mapping".into(),
        Json::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    static SPEC: Spec = Spec {
        name: "ansible.builtin.sample",
        aliases: &[],
        params: &[
            Param::path("path").required().alias(&["dest"]),
            Param::mode("mode"),
            Param::bool("force").default("yes"),
            Param::list("name"),
            Param::int("retries"),
            Param::str("state").choices(&["present", "absent"]),
        ],
        free_form: super::super::FreeForm::None,
    };

    fn check(given: Json) -> Result<Json, String> {
        Args::convert(&SPEC, given.as_object().expect("a case is a mapping"))
            .map(|args| Json::Object(args.values))
            .map_err(|failure| failure.message)
    }

    #[test]
    fn converts_as_ansible_does() {
        assert_eq!(
            check(json!({"dest": "/x", "mode": 448, "force": "off", "name": "a, b", "retries": "7"})),
            Ok(json!({"path": "/x", "mode": "0700", "force": false, "name": ["a", "b"], "retries": 7}))
        );
        assert_eq!(check(json!({"path": 5, "state": null})), Ok(json!({"path": "5", "force": true})));
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(check(json!({"mode": 1})), Err("missing required arguments: path".into()));
        assert_eq!(check(json!({"path": "/x", "retries": "many"})), Err("`retries` must be a whole number, not `many`".into()));
        assert_eq!(check(json!({"path": "/x", "state": "gone"})), Err("value of state must be one of: present, absent, got: gone".into()));
        assert_eq!(
            check(json!({"path": "/x", "state": "Present"})),
            Err("value of state must be one of: present, absent, got: Present".into())
        );
        assert_eq!(
            check(json!({"path": "/x", "retries": u64::MAX})),
            Err("`retries` must be a whole number, not `18446744073709551615`".into())
        );
        assert_eq!(check(json!({"path": "/x", "dest": "/y"})), Err("`path` is given twice, under another name of it too".into()));
        assert_eq!(check(json!({"pth": "/x"})), Err("Unsupported parameters for (sample) module: pth. Supported parameters include: force, mode, name, path, retries, state (dest).".into()));
    }
}
