//! What a run learns about its hosts and keeps from task to task and play to play: facts, `set_fact`, registered results, `include_vars`.

use crate::vars::{VarMap, Variable, combine};
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

#[derive(Default)]
pub struct Memory {
    hosts: Mutex<HashMap<Arc<str>, Known>>,
}

/// What is known of one host. Cheap to clone.
#[derive(Clone, Default)]
pub struct Known {
    /// `ansible_facts` and, injected, `ansible_NAME` for each fact.
    pub facts: Arc<VarMap>,
    pub set_facts_and_registered: Arc<VarMap>,
    pub include_vars: Arc<VarMap>,
}

impl Memory {
    pub fn of(&self, host: &str) -> Known {
        self.hosts.lock().expect("no panic holds the lock").get(host).cloned().unwrap_or_default()
    }

    /// Keeps `set_fact` and registered values.
    pub fn set(&self, host: &Arc<str>, vars: impl IntoIterator<Item = (String, Variable)>) {
        self.update(host, |known| Arc::make_mut(&mut known.set_facts_and_registered).extend(vars));
    }

    pub fn include_vars(&self, host: &Arc<str>, vars: VarMap) {
        self.update(host, |known| combine(Arc::make_mut(&mut known.include_vars), vars));
    }

    /// Adds facts (without the `ansible_` prefix) to those that are known; members of `ansible_local` and the like are replaced whole.
    pub fn add_facts(&self, host: &Arc<str>, new: &Map<String, Json>) {
        self.update(host, |known| {
            let facts = Arc::make_mut(&mut known.facts);
            let mut all: Map<String, Json> = match facts.get("ansible_facts") {
                Some(Variable::Data(value)) => match serde_json::to_value(value) {
                    Ok(Json::Object(map)) => map,
                    _ => Map::new(),
                },
                _ => Map::new(),
            };
            for (name, value) in new {
                let injected = if has_own_name(name) { name.clone() } else { format!("ansible_{name}") };
                facts.insert(injected, Variable::data(value));
                all.insert(name.clone(), value.clone());
            }
            facts.insert("ansible_facts".to_owned(), Variable::data(&Json::Object(all)));
        });
    }

    /// Forgets what was gathered, and keeps what was set.
    pub fn clear_facts(&self, host: &Arc<str>) {
        self.update(host, |known| known.facts = Arc::default());
    }

    fn update(&self, host: &Arc<str>, change: impl FnOnce(&mut Known)) {
        change(self.hosts.lock().expect("no panic holds the lock").entry(host.clone()).or_default());
    }
}

/// Facts of modules other than `setup`: among the variables they have no prefix.
fn has_own_name(fact: &str) -> bool {
    matches!(fact, "services" | "packages" | "gather_subset" | "module_setup") || fact.starts_with("getent_")
}
