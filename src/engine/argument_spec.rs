//! Values against a specification of arguments, as roles and plays have them (`meta/argument_specs.yml`) and as `validate_argument_spec` checks
//! them: aliases, defaults, what is required, types, choices, and the same for what lies inside. Pure; all mistakes are told at once.

use serde_json::{Map, Value as Json};
use std::collections::BTreeSet;

/// What is wrong with `given`, in the words of ansible-core; nothing if it fits.
pub fn mistakes(spec: &Map<String, Json>, given: &Map<String, Json>) -> Vec<String> {
    let mut checking = Checking::default();
    checking.level(spec, &mut given.clone(), &Relations::default());
    let Checking { mut mistakes, unsupported, supported, .. } = checking;
    if !unsupported.is_empty() {
        let names: Vec<String> = unsupported.into_iter().collect();
        mistakes.push(format!("{}. Supported parameters include: {supported}.", names.join(", ")));
    }
    mistakes
}

#[derive(Default)]
struct Checking {
    mistakes: Vec<String>,
    /// The options that led to the values under check.
    context: Vec<String>,
    unsupported: BTreeSet<String>,
    supported: String,
}

/// What options of one level ask of each other.
#[derive(Default)]
struct Relations<'a> {
    mutually_exclusive: Option<&'a Json>,
    required_together: Option<&'a Json>,
    required_one_of: Option<&'a Json>,
    required_if: Option<&'a Json>,
    required_by: Option<&'a Json>,
}

impl Checking {
    fn level(&mut self, spec: &Map<String, Json>, given: &mut Map<String, Json>, relations: &Relations) {
        let aliases = self.aliases(spec, given);
        self.unsupported(spec, given, &aliases);
        self.exclusive(relations.mutually_exclusive, given);
        set_defaults(spec, given, false);
        let missing: BTreeSet<&str> = spec
            .iter()
            .filter(|(name, option)| is(option, "required") && !given.contains_key(*name))
            .map(|(name, _)| name.as_str())
            .collect();
        if !missing.is_empty() {
            self.say_here(format!("missing required arguments: {}", missing.into_iter().collect::<Vec<_>>().join(", ")));
        }
        self.types(spec, given);
        self.choices(spec, given);
        self.relations(relations, given);
        set_defaults(spec, given, true);
        self.inside(spec, given);
    }

    /// A mistake, and where its values lie.
    fn say_here(&mut self, words: String) {
        let found = if self.context.is_empty() { String::new() } else { format!(" found in {}", self.context.join(" -> ")) };
        self.mistakes.push(words + &found);
    }

    /// Gives values their first names; returns all aliases.
    fn aliases(&mut self, spec: &Map<String, Json>, given: &mut Map<String, Json>) -> Vec<String> {
        let mut all = Vec::new();
        for (name, option) in spec {
            if !option["default"].is_null() && is(option, "required") {
                self.mistakes.push(format!("internal error: required and default are mutually exclusive for {name}"));
            }
            for alias in option["aliases"].as_array().into_iter().flatten().map(plain_text) {
                if let Some(value) = given.get(&alias).cloned() {
                    given.insert(name.clone(), value);
                }
                all.push(alias);
            }
        }
        all
    }

    fn unsupported(&mut self, spec: &Map<String, Json>, given: &Map<String, Json>, aliases: &[String]) {
        for name in given.keys().filter(|name| !spec.contains_key(*name) && !aliases.contains(name)) {
            let path: Vec<&str> = self.context.iter().chain([name]).map(String::as_str).collect();
            self.unsupported.insert(path.join("."));
            let known: BTreeSet<&str> = spec.keys().map(String::as_str).collect();
            self.supported = known.into_iter().collect::<Vec<_>>().join(", ");
            if !aliases.is_empty() {
                let aliases: BTreeSet<&str> = aliases.iter().map(String::as_str).collect();
                self.supported.push_str(&format!(" ({})", aliases.into_iter().collect::<Vec<_>>().join(", ")));
            }
        }
    }

    fn types(&mut self, spec: &Map<String, Json>, given: &mut Map<String, Json>) {
        for (name, option) in spec {
            let Some(value) = given.get(name).cloned() else { continue };
            if value.is_null() && !is(option, "required") && option["default"].is_null() {
                continue;
            }
            let wanted = option["type"].as_str().unwrap_or("str");
            let mut converted = match convert(wanted, &value) {
                Ok(converted) => converted,
                Err(why) => {
                    let found = if self.context.is_empty() { String::new() } else { format!(" found in '{}'.", self.context.join(" -> ")) };
                    let kind = type_name(&value);
                    self.mistakes
                        .push(format!("argument '{name}' is of type {kind}{found} and we were unable to convert to {wanted}: {why}"));
                    continue;
                }
            };
            if let (Some(elements), Json::Array(items)) = (option["elements"].as_str(), &mut converted) {
                self.elements(name, elements, items);
            }
            given.insert(name.clone(), converted);
        }
    }

    fn elements(&mut self, name: &str, wanted: &str, items: &mut Vec<Json>) {
        let found = if self.context.is_empty() { String::new() } else { format!(" found in '{}'", self.context.join(" -> ")) };
        let mut kept = Vec::new();
        for item in items.drain(..) {
            match convert(wanted, &item) {
                Ok(item) => kept.push(item),
                Err(why) => {
                    let kind = type_name(&item);
                    self.mistakes.push(format!(
                        "Elements value for option '{name}'{found} is of type {kind} and we were unable to convert to {wanted}: {why}"
                    ));
                }
            }
        }
        *items = kept;
    }

    fn choices(&mut self, spec: &Map<String, Json>, given: &Map<String, Json>) {
        for (name, option) in spec {
            let Some(value) = given.get(name) else { continue };
            let choices = match &option["choices"] {
                Json::Null => continue,
                Json::Array(choices) => choices,
                other => {
                    self.say_here(format!("internal error: choices for argument {name} are not iterable: {}", plain_text(other)));
                    continue;
                }
            };
            let join = |values: &[&Json]| values.iter().map(|value| plain_text(value)).collect::<Vec<_>>().join(", ");
            let all = join(&choices.iter().collect::<Vec<_>>());
            match value {
                Json::Array(items) => {
                    let others: Vec<&Json> = items.iter().filter(|item| !choices.contains(item)).collect();
                    if !others.is_empty() {
                        self.say_here(format!("value of {name} must be one or more of: {all}. Got no match for: {}", join(&others)));
                    }
                }
                value if choices.contains(value) || is_the_boolean(value, choices) => {}
                value => self.say_here(format!("value of {name} must be one of: {all}, got: {}", plain_text(value))),
            }
        }
    }

    fn exclusive(&mut self, groups: Option<&Json>, given: &Map<String, Json>) {
        let clashes: Vec<String> = groups_of(groups)
            .into_iter()
            .filter(|group| group.iter().filter(|name| given.contains_key(*name)).count() > 1)
            .map(|group| group.join("|"))
            .collect();
        if !clashes.is_empty() {
            self.say_here(format!("parameters are mutually exclusive: {}", clashes.join(", ")));
        }
    }

    fn relations(&mut self, relations: &Relations, given: &Map<String, Json>) {
        let has = |name: &String| given.contains_key(name);
        if let Some(group) =
            groups_of(relations.required_together).into_iter().find(|group| group.iter().any(has) && !group.iter().all(has))
        {
            self.say_here(format!("parameters are required together: {}", group.join(", ")));
        }
        if let Some(group) = groups_of(relations.required_one_of).into_iter().find(|group| !group.iter().any(has)) {
            self.say_here(format!("one of the following is required: {}", group.join(", ")));
        }
        let is_given = |name: &String| given.get(name).is_some_and(|value| !value.is_null());
        for rule in relations.required_if.and_then(Json::as_array).into_iter().flatten() {
            let (Some(name), value, wanted) = (rule[0].as_str(), &rule[1], words_of(&rule[2])) else { continue };
            let any = rule[3] == true;
            let missing: Vec<&String> = wanted.iter().filter(|name| !has(name)).collect();
            let least = if any { wanted.len() } else { 1 };
            if given.get(name) == Some(value) && !missing.is_empty() && missing.len() >= least {
                let missing = missing.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                let which = if any { "any" } else { "all" };
                self.say_here(format!("{name} is {} but {which} of the following are missing: {missing}", plain_text(value)));
                break;
            }
        }
        for (name, wanted) in relations.required_by.and_then(Json::as_object).into_iter().flatten() {
            let missing: Vec<String> = words_of(wanted).into_iter().filter(|name| !is_given(name)).collect();
            if is_given(name) && !missing.is_empty() {
                self.say_here(format!("missing parameter(s) required by '{name}': {}", missing.join(", ")));
                break;
            }
        }
    }

    /// The options of options.
    fn inside(&mut self, spec: &Map<String, Json>, given: &mut Map<String, Json>) {
        for (name, option) in spec {
            let is_list = option["type"] == "list" && option["elements"] == "dict";
            let Some(inner) = option["options"].as_object().filter(|_| is_list || option["type"] == "dict") else { continue };
            if is(option, "apply_defaults") && given.get(name).is_none_or(Json::is_null) {
                given.insert(name.clone(), Json::Object(Map::new()));
            }
            let values = match given.get(name) {
                None | Some(Json::Null) => continue,
                Some(Json::Array(items)) => items.clone(),
                Some(value) => vec![value.clone()],
            };
            self.context.push(name.clone());
            for value in values {
                match value {
                    Json::Object(mut value) => self.level(inner, &mut value, &Relations::of(option)),
                    _ => self.mistakes.push(format!("value of '{name}' must be of type dict or list of dicts")),
                }
            }
            self.context.pop();
        }
    }
}

impl<'a> Relations<'a> {
    fn of(option: &'a Json) -> Relations<'a> {
        let rule = |name: &str| option.get(name).filter(|rule| !rule.is_null());
        Relations {
            mutually_exclusive: rule("mutually_exclusive"),
            required_together: rule("required_together"),
            required_one_of: rule("required_one_of"),
            required_if: rule("required_if"),
            required_by: rule("required_by"),
        }
    }
}

/// A value as Python's `str` would print it.
fn plain_text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Bool(true) => "True".into(),
        Json::Bool(false) => "False".into(),
        Json::Null => "None".into(),
        other => other.to_string(),
    }
}

fn is(option: &Json, key: &str) -> bool {
    option[key] == true
}

/// `all`: what has no default becomes null.
fn set_defaults(spec: &Map<String, Json>, given: &mut Map<String, Json>, all: bool) {
    for (name, option) in spec {
        let default = option.get("default").cloned().unwrap_or_default();
        if !given.contains_key(name) && (all || !default.is_null()) {
            given.insert(name.clone(), default);
        }
    }
}

/// A list of words, or a list of such lists.
fn groups_of(rule: Option<&Json>) -> Vec<Vec<String>> {
    let Some(parts) = rule.and_then(Json::as_array) else { return Vec::new() };
    if parts.iter().any(Json::is_array) { parts.iter().map(words_of).collect() } else { vec![words_of(&Json::Array(parts.clone()))] }
}

fn words_of(value: &Json) -> Vec<String> {
    match value {
        Json::Array(items) => items.iter().map(plain_text).collect(),
        Json::Null => Vec::new(),
        one => vec![plain_text(one)],
    }
}

/// What YAML took for a boolean and was made a text again means the one choice that is such a boolean.
fn is_the_boolean(value: &Json, choices: &[Json]) -> bool {
    let truth = match value.as_str() {
        Some("True") => true,
        Some("False") => false,
        _ => return false,
    };
    let means = |choice: &&Json| match choice {
        Json::Bool(choice) => *choice == truth,
        Json::Number(number) => number.as_f64() == Some(f64::from(u8::from(truth))),
        Json::String(word) => boolean(word) == Some(truth),
        _ => false,
    };
    choices.iter().filter(means).count() == 1
}

fn boolean(word: &str) -> Option<bool> {
    match word.trim().to_lowercase().as_str() {
        "yes" | "on" | "true" | "y" | "t" | "1" | "1.0" => Some(true),
        "no" | "off" | "false" | "n" | "f" | "0" | "0.0" => Some(false),
        _ => None,
    }
}

/// Python's name of a value's type.
fn type_name(value: &Json) -> &'static str {
    match value {
        Json::Null => "NoneType",
        Json::Bool(_) => "bool",
        Json::Number(number) if number.is_f64() => "float",
        Json::Number(_) => "int",
        Json::String(_) => "str",
        Json::Array(_) => "list",
        Json::Object(_) => "dict",
    }
}

/// A value as Python's `repr` writes it in the messages about numbers.
fn quoted(value: &Json) -> String {
    match value {
        Json::String(text) => format!("'{text}'"),
        other => plain_text(other),
    }
}

fn convert(wanted: &str, value: &Json) -> Result<Json, String> {
    let class = || format!("<class '{}'>", type_name(value));
    match wanted {
        "raw" => Ok(value.clone()),
        "str" | "path" => Ok(match value {
            Json::Null => "".into(),
            other => plain_text(other).into(),
        }),
        "bool" => match value {
            Json::Bool(_) => Ok(value.clone()),
            Json::Number(_) | Json::String(_) => boolean(&plain_text(value)).map(Json::from).ok_or_else(|| {
                let words = "'0', '1', 'f', 'false', 'n', 'no', 'off', 'on', 't', 'true', 'y', 'yes'";
                format!("The value {} is not a valid boolean. Valid booleans include: {words}", quoted(value))
            }),
            _ => Err(format!("{} cannot be converted to a bool", class())),
        },
        "int" => {
            let whole = |number: f64| (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64);
            let number = match value {
                Json::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(whole)),
                Json::String(text) => {
                    let text = text.trim();
                    text.parse::<i64>().ok().or_else(|| text.parse::<f64>().ok().and_then(whole))
                }
                Json::Bool(truth) => return Ok(Json::Bool(*truth)),
                _ => None,
            };
            number.map(Json::from).ok_or_else(|| format!("\"{}\" cannot be converted to an int", quoted(value)))
        }
        "float" => match value {
            Json::Number(number) => Ok(number.as_f64().map_or_else(|| value.clone(), Json::from)),
            Json::String(text) => {
                text.trim().parse::<f64>().map(Json::from).map_err(|_| format!("{} cannot be converted to a float", class()))
            }
            Json::Bool(truth) => Ok(f64::from(u8::from(*truth)).into()),
            _ => Err(format!("{} cannot be converted to a float", class())),
        },
        "list" => match value {
            Json::Array(_) => Ok(value.clone()),
            Json::String(text) => Ok(text.split(',').map(Json::from).collect()),
            Json::Number(_) | Json::Bool(_) => Ok(Json::Array(vec![plain_text(value).into()])),
            _ => Err(format!("{} cannot be converted to a list", class())),
        },
        "dict" => match value {
            Json::Object(_) => Ok(value.clone()),
            Json::String(text) => dictionary(text),
            _ => Err(format!("{} cannot be converted to a dict", class())),
        },
        "json" | "jsonarg" => match value {
            Json::String(text) => Ok(text.trim().into()),
            Json::Array(_) | Json::Object(_) => Ok(value.to_string().into()),
            _ => Err(format!("{} cannot be converted to a json string", class())),
        },
        "bytes" | "bits" => {
            let what = if wanted == "bytes" { "Byte" } else { "Bit" };
            size(&plain_text(value), wanted == "bits")
                .map(Json::from)
                .ok_or_else(|| format!("{} cannot be converted to a {what} value", class()))
        }
        other => Err(format!("there is no type `{other}`")),
    }
}

/// A mapping written as text: JSON, or `a=1, b=2`.
fn dictionary(text: &str) -> Result<Json, String> {
    if text.starts_with('{') {
        return serde_json::from_str(text).map_err(|_| "unable to evaluate string as dictionary".to_owned());
    }
    if !text.contains('=') {
        return Err("dictionary requested, could not parse JSON or key=value".to_owned());
    }
    let text = text.replace(',', " ");
    let pairs = shell_words::split(&text).ok().and_then(|words| {
        words.iter().map(|word| word.split_once('=').map(|(key, value)| (key.to_owned(), Json::from(value)))).collect::<Option<Map<_, _>>>()
    });
    pairs.map(Json::Object).ok_or_else(|| "unable to evaluate string in the \"key=value\" format as dictionary".to_owned())
}

/// `10K`, `1.5 MB`: a number of bytes, or of bits.
fn size(text: &str, bits: bool) -> Option<i64> {
    let text = text.trim();
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().ok()?;
    let unit = unit.trim();
    let mut letters = unit.chars();
    let power = match letters.next() {
        None => return Some(number as i64),
        Some(first) => "BKMGTPEZY".find(first.to_ascii_uppercase())?,
    };
    let rest = letters.as_str();
    let is_unit = rest.is_empty() || (power > 0 && (if bits { rest == "b" } else { rest == "B" }));
    is_unit.then_some((number * 1024_f64.powi(i32::try_from(power).ok()?)) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(spec: Json, given: Json) -> Vec<String> {
        mistakes(spec.as_object().expect("a mapping"), given.as_object().expect("a mapping"))
    }

    #[test]
    fn what_fits_is_converted_on_the_way() {
        let spec = json!({
            "port": {"type": "int", "required": true}, "names": {"type": "list", "elements": "str"},
            "tls": {"type": "bool", "default": false, "aliases": ["secure"]}, "limit": {"type": "bytes"},
            "user": {"type": "dict", "options": {"name": {"required": true}, "shell": {"choices": ["sh", "zsh"]}}},
        });
        let given = json!({"port": "8443", "names": "a,b", "secure": "on", "limit": "2K", "user": {"name": 5, "shell": "zsh"}});
        assert_eq!(check(spec, given), Vec::<String>::new());
    }

    #[test]
    fn every_mistake_is_told() {
        let spec = json!({
            "port": {"type": "int"}, "state": {"choices": ["present", "absent"]}, "path": {"required": true}, "owner": {"required": true},
            "users": {"type": "list", "elements": "dict", "required_together": [["uid", "gid"]],
                "options": {"uid": {"type": "int"}, "gid": {"type": "int"}, "name": {"required": true}}},
        });
        let given = json!({"port": "many", "state": "gone", "users": [{"uid": 7, "nam": "x"}], "what": 1});
        assert_eq!(
            check(spec, given),
            [
                "missing required arguments: owner, path",
                "argument 'port' is of type str and we were unable to convert to int: \"'many'\" cannot be converted to an int",
                "value of state must be one of: present, absent, got: gone",
                "missing required arguments: name found in users",
                "parameters are required together: uid, gid found in users",
                "users.nam, what. Supported parameters include: gid, name, uid.",
            ]
        );
    }
}
