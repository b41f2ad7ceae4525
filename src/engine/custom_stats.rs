//! `set_stats`: numbers and words that a playbook gathers for the recap.

use super::actions::Action;
use super::execute::{Executed, arguments};
use crate::module::Failure;
use crate::source::Diag;
use indexmap::IndexMap;
use serde_json::{Map, Value as Json, json};
use std::sync::{Mutex, PoisonError};

/// What was gathered: of the whole run under no name, of each host under its own.
#[derive(Default)]
pub struct CustomStats(Mutex<IndexMap<Option<String>, Map<String, Json>>>);

impl CustomStats {
    fn add(&self, host: Option<&str>, data: &Map<String, Json>, aggregate: bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stats = all.entry(host.map(str::to_owned)).or_default();
        for (name, value) in data {
            match stats.get_mut(name).filter(|_| aggregate) {
                Some(there) => join(there, value),
                None => drop(stats.insert(name.clone(), value.clone())),
            }
        }
    }

    /// Hosts in the order of their names, then the whole run.
    pub fn told(&self) -> Vec<(Option<String>, Json)> {
        let mut all: Vec<_> = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().into_iter().collect();
        all.sort_by_key(|(host, _)| (host.is_none(), host.clone()));
        all.into_iter().map(|(host, stats)| (host, Json::Object(stats))).collect()
    }
}

/// Adds to what is there, as Python's `+` and Ansible's merging do; what is of another type is passed over.
fn join(there: &mut Json, more: &Json) {
    let whole = |value: &Json| value.as_i64().or_else(|| value.as_bool().map(i64::from));
    match (&mut *there, more) {
        (Json::Object(there), Json::Object(more)) => merge(there, more),
        (Json::Array(there), Json::Array(more)) => there.extend(more.iter().cloned()),
        (Json::String(there), Json::String(more)) => there.push_str(more),
        (Json::Number(a), Json::Number(b)) if a.is_f64() => {
            if let (Some(a), Some(b), true) = (a.as_f64(), b.as_f64(), b.is_f64()) {
                *there = json!(a + b);
            }
        }
        (Json::Bool(_), Json::Number(_)) => {}
        (Json::Bool(_) | Json::Number(_), _) => {
            if let (Some(a), Some(b)) = (whole(there), whole(more)) {
                *there = json!(a.saturating_add(b));
            }
        }
        _ => {}
    }
}

fn merge(there: &mut Map<String, Json>, more: &Map<String, Json>) {
    for (key, value) in more {
        match (there.get_mut(key), value) {
            (Some(Json::Object(inner)), Json::Object(value)) => merge(inner, value),
            _ => drop(there.insert(key.clone(), value.clone())),
        }
    }
}

impl Action<'_> {
    pub(super) fn set_stats(&self) -> Result<Executed, Diag> {
        const WORDS: [&str; 3] = ["data", "per_host", "aggregate"];
        let task_run = self.task_run;
        let given = arguments(&task_run.playing, task_run.task(), self.view)?;
        if let Some(word) = given.keys().find(|word| !WORDS.contains(&word.as_str())) {
            return Ok(Executed::failed(format!("Invalid options for set_stats: {word}")));
        }
        // What is neither true nor false is false.
        let flag = |name: &str, default| match given.get(name) {
            None | Some(Json::Null) => default,
            Some(value) => task_run.playing.run.truth_of(&crate::vars::value_of(value)).unwrap_or(false),
        };
        let (per_host, aggregate) = (flag("per_host", false), flag("aggregate", true));
        let data = match given.get("data") {
            None | Some(Json::Null) => Map::new(),
            Some(Json::Object(data)) => data.clone(),
            Some(_) => return Ok(Executed::failed("The 'data' option needs to be a dictionary/hash")),
        };
        if let Some(name) = data.keys().find(|name| !super::actions::is_name(name)) {
            return Err(self.at_argument(Failure::argument("data", format!("Invalid variable name '{name}'."))));
        }
        task_run.playing.run.custom_stats.add(per_host.then_some(&*task_run.host), &data, aggregate);
        let mut executed = Executed::default();
        executed.data.insert("ansible_stats".into(), json!({ "data": data, "per_host": per_host, "aggregate": aggregate }));
        Ok(executed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stats_add_up_by_type() {
        let stats = CustomStats::default();
        let add = |host, data: Json, aggregate| stats.add(host, data.as_object().expect("the case is a mapping"), aggregate);
        add(None, json!({"a": 1, "m": {"x": [1], "y": 2}, "l": [1], "s": "q", "t": true, "u": 1.5}), true);
        add(None, json!({"a": 5, "m": {"x": [2], "z": 3}, "l": [2], "s": "r", "t": true, "u": 2}), true);
        add(None, json!({"a": "word"}), true);
        add(Some("web2"), json!({"b": 1}), true);
        add(Some("web2"), json!({"b": 7}), false);
        add(Some("web1"), json!({"b": 4}), true);
        let expected = vec![
            (Some("web1".to_owned()), json!({"b": 4})),
            (Some("web2".to_owned()), json!({"b": 7})),
            (None, json!({"a": 6, "m": {"x": [2], "y": 2, "z": 3}, "l": [1, 2], "s": "qr", "t": 2, "u": 1.5})),
        ];
        assert_eq!(stats.told(), expected);
    }
}
