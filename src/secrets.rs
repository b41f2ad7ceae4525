//! Values that no output may show. Whoever learns one registers it; [`Reporter`](crate::report::Reporter) masks them before anybody is told.
//! One registry for the process: a secret of one play is a secret in all others.

use aho_corasick::{AhoCorasick, MatchKind};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

/// What stands where a secret would.
pub const MASK: &str = "********";

/// Shorter values are parts of ordinary words: masking them hides everything else as well, and so tells where they are.
const SHORTEST: usize = 4;

/// Of a text of several lines each is a secret of its own, since output comes in lines; only long ones, as `---` and `}` are none.
const SHORTEST_LINE: usize = 8;

/// Until the first secret is known, masking is one look at this.
static ANY: AtomicBool = AtomicBool::new(false);

static REGISTRY: LazyLock<RwLock<Registry>> = LazyLock::new(RwLock::default);

#[derive(Default)]
struct Registry {
    values: HashSet<String>,
    /// Made when something is to be masked, of all values that are known by then.
    search: Option<Arc<AhoCorasick>>,
}

/// Makes a value a secret.
pub fn register(value: &str) {
    let whole = value.trim();
    let mut found = Vec::new();
    if is_telling(whole) {
        found.push(whole.to_owned());
        let mut escaped = serde_json::Value::from(whole).to_string();
        escaped.pop();
        escaped.remove(0);
        if escaped != whole {
            found.push(escaped);
        }
    }
    if whole.contains('\n') {
        found.extend(whole.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE).map(str::to_owned));
    }
    {
        let known = &REGISTRY.read().unwrap_or_else(PoisonError::into_inner).values;
        found.retain(|value| !known.contains(value));
    }
    if found.is_empty() {
        return;
    }
    let mut registry = REGISTRY.write().unwrap_or_else(PoisonError::into_inner);
    for value in found {
        if registry.values.insert(value) {
            registry.search = None;
            ANY.store(true, Ordering::Release);
        }
    }
}

/// Whether seeing this value anywhere tells something: short ones, words for truth, and small numbers do not.
fn is_telling(value: &str) -> bool {
    let is_small_number = value.len() < 6 && value.bytes().all(|byte| byte.is_ascii_digit());
    value.chars().count() >= SHORTEST
        && !is_small_number
        && !matches!(value.to_ascii_lowercase().as_str(), "true" | "false" | "null" | "none")
}

/// Whether there is anything to mask.
pub fn any() -> bool {
    ANY.load(Ordering::Acquire)
}

/// The text without secrets; `None` if it has none.
pub fn masked(text: &str) -> Option<String> {
    if !any() {
        return None;
    }
    let search = search()?;
    let mut out = String::new();
    let mut last = 0;
    for found in search.find_iter(text) {
        out.push_str(&text[last..found.start()]);
        out.push_str(MASK);
        last = found.end();
    }
    if last == 0 {
        return None;
    }
    out.push_str(&text[last..]);
    Some(out)
}

/// Masks a text in place.
pub fn mask(text: &mut String) {
    if let Some(masked) = masked(text) {
        *text = masked;
    }
}

/// Masks all strings of a value, keys included.
pub fn mask_json(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => mask(text),
        serde_json::Value::Array(items) => items.iter_mut().for_each(mask_json),
        serde_json::Value::Object(map) => {
            map.values_mut().for_each(mask_json);
            if map.keys().any(|key| masked(key).is_some()) {
                *map = std::mem::take(map).into_iter().map(|(key, value)| (masked(&key).unwrap_or(key), value)).collect();
            }
        }
        // A number that is a secret is one as a whole.
        serde_json::Value::Number(number) if masked(&number.to_string()).is_some_and(|masked| masked == MASK) => *value = MASK.into(),
        _ => {}
    }
}

fn search() -> Option<Arc<AhoCorasick>> {
    if let Some(search) = &REGISTRY.read().unwrap_or_else(PoisonError::into_inner).search {
        return Some(search.clone());
    }
    let mut registry = REGISTRY.write().unwrap_or_else(PoisonError::into_inner);
    if registry.search.is_none() {
        // The longest first: a secret that begins like another is masked whole. Only far too many values fail.
        registry.search = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&registry.values).ok().map(Arc::new);
    }
    registry.search.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        for value in [
            "tiger-lily",
            "tiger-lily-2\n",
            "key \"q\"",
            "-----BEGIN\nMIIEpAIBAAKCAQEA\n-----END",
            "no",
            "8080",
            "true",
            "xyz",
            "908172635",
        ] {
            register(value);
        }
        let mut value = json!({
            "cmd": "login tiger-lily-2 tiger-lily", "tiger-lily": 1, "json": "{\"k\": \"key \\\"q\\\"\"}", "pin": 908172635, "rc": 8080,
            "lines": ["MIIEpAIBAAKCAQEA", "no, true, xyz, 8080"],
        });
        mask_json(&mut value);
        let masked = json!({
            "cmd": "login ******** ********", "********": 1, "json": "{\"k\": \"********\"}", "pin": "********", "rc": 8080,
            "lines": ["********", "no, true, xyz, 8080"],
        });
        assert_eq!(value, masked);
        assert_eq!(super::masked("nothing here"), None);
    }
}
