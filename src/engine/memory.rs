//! What a run learns about its hosts and keeps from task to task and play to play: facts, `set_fact`, registered results, `include_vars`.

use super::fact_cache::FactCache;
use crate::vars::{VarMap, Variable, combine};
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

#[derive(Default)]
pub struct Memory {
    hosts: Mutex<HashMap<Arc<str>, Known>>,
    cache: Option<FactCache>,
}

/// What is known of one host. Cheap to clone.
#[derive(Clone, Default)]
pub struct Known {
    /// `ansible_facts` and, injected, each fact under the name that its module gave it: `ansible_NAME`.
    pub facts: Arc<VarMap>,
    pub set_facts_and_registered: Arc<VarMap>,
    pub include_vars: Arc<VarMap>,
    /// A play gathered its facts.
    pub is_gathered: bool,
}

/// The fact that says that the others were gathered.
const GATHERED: &str = "_ansible_facts_gathered";

impl Memory {
    pub fn new(cache: Option<FactCache>) -> Memory {
        Memory { hosts: Mutex::default(), cache }
    }

    /// Whether facts are kept for later runs.
    pub fn is_kept(&self) -> bool {
        self.cache.is_some()
    }

    pub fn of(&self, host: &str) -> Known {
        let mut hosts = self.hosts.lock().expect("no panic holds the lock");
        match hosts.get(host) {
            Some(known) => known.clone(),
            None if self.cache.is_none() => Known::default(),
            None => hosts.entry(host.into()).or_insert_with(|| self.remembered(host)).clone(),
        }
    }

    /// What earlier runs kept.
    fn remembered(&self, host: &str) -> Known {
        let mut known = Known::default();
        if let Some(mut facts) = self.cache.as_ref().and_then(|cache| cache.load(host)) {
            known.is_gathered = facts.remove(GATHERED) == Some(Json::Bool(true));
            known.add_facts(&facts);
        }
        known
    }

    /// A play has gathered the host's facts.
    pub fn gathered(&self, host: &Arc<str>) {
        self.update(host, |known| known.is_gathered = true);
        self.store(host);
    }

    /// Keeps a host's facts for later runs.
    fn store(&self, host: &Arc<str>) {
        let Some(cache) = &self.cache else { return };
        let known = self.of(host);
        let named = known.facts.iter().filter(|(name, _)| *name != "ansible_facts");
        let mut facts: Map<String, Json> = named
            .filter_map(|(name, value)| match value {
                Variable::Data(value) => Some((name.clone(), serde_json::to_value(value).ok()?)),
                Variable::Node(_) => None,
            })
            .collect();
        if known.is_gathered {
            facts.insert(GATHERED.to_owned(), Json::Bool(true));
        }
        // A cache that cannot be written makes the next run slower, not this one wrong.
        let _ = cache.store(host, &facts);
    }

    /// Keeps `set_fact` and registered values.
    pub fn set(&self, host: &Arc<str>, vars: impl IntoIterator<Item = (String, Variable)>) {
        self.update(host, |known| Arc::make_mut(&mut known.set_facts_and_registered).extend(vars));
    }

    pub fn include_vars(&self, host: &Arc<str>, vars: VarMap) {
        self.update(host, |known| combine(Arc::make_mut(&mut known.include_vars), vars));
    }

    /// Adds facts to those that are known: among the variables they have the names under which a module returned them, and in `ansible_facts` these without
    /// `ansible_`, but for `ansible_local`. What a fact has in itself is replaced whole.
    pub fn add_facts(&self, host: &Arc<str>, new: &Map<String, Json>) {
        self.update(host, |known| known.add_facts(new));
        self.store(host);
    }

    /// What is known of a host is again what it was.
    pub fn put_back(&self, host: &Arc<str>, before: Known) {
        self.update(host, |known| *known = before);
        self.store(host);
    }

    /// Forgets what was gathered, and keeps what was set.
    pub fn clear_facts(&self, host: &Arc<str>) {
        self.update(host, |known| {
            known.facts = Arc::default();
            known.is_gathered = false;
        });
        if let Some(cache) = &self.cache {
            cache.forget(host);
        }
    }

    fn update(&self, host: &Arc<str>, change: impl FnOnce(&mut Known)) {
        let mut hosts = self.hosts.lock().expect("no panic holds the lock");
        change(hosts.entry(host.clone()).or_insert_with(|| self.remembered(host)));
    }
}

impl Known {
    fn add_facts(&mut self, new: &Map<String, Json>) {
        let facts = Arc::make_mut(&mut self.facts);
        let mut all: Map<String, Json> = match facts.get("ansible_facts") {
            Some(Variable::Data(value)) => match serde_json::to_value(value) {
                Ok(Json::Object(map)) => map,
                _ => Map::new(),
            },
            _ => Map::new(),
        };
        for (name, value) in new {
            facts.insert(name.clone(), Variable::data(value));
            let short = name.strip_prefix("ansible_").filter(|_| name != "ansible_local").unwrap_or(name);
            all.insert(short.to_owned(), value.clone());
        }
        facts.insert("ansible_facts".to_owned(), Variable::data(&Json::Object(all)));
    }
}
