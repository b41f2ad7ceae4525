//! Values that no output may show. Whoever learns one registers it; [`Reporter`](crate::report::Reporter) masks them before anybody is told.
//! One registry for the process: a secret of one play is a secret in all others. [`forms`] has what a secret may look like elsewhere.

mod forms;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
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
    /// What was registered, so that nothing is taken twice.
    known: HashSet<String>,
    /// What is to be looked for and is in no search yet.
    fresh: Vec<String>,
    /// Searches are made when something is to be masked. Each has at least twice as many values as the next, so that a value that is learnt
    /// late does not cost a search of all anew.
    searches: Vec<Search>,
}

struct Search {
    values: Vec<String>,
    automaton: Arc<AhoCorasick>,
}

/// Makes a value a secret.
pub fn register(value: &str) {
    let whole = value.trim();
    let mut found: Vec<&str> = Vec::new();
    if is_telling(whole) {
        found.push(whole);
    }
    if whole.contains('\n') {
        found.extend(whole.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE));
    }
    {
        let known = &REGISTRY.read().unwrap_or_else(PoisonError::into_inner).known;
        found.retain(|value| !known.contains(*value));
    }
    if found.is_empty() {
        return;
    }
    let mut registry = REGISTRY.write().unwrap_or_else(PoisonError::into_inner);
    for value in found {
        if registry.known.insert(value.to_owned()) {
            registry.fresh.extend(forms::of(value));
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
    let mut places: Vec<(usize, usize)> = Vec::new();
    for search in searches() {
        let mut found_by_this: Vec<(usize, usize)> = Vec::new();
        for found in search.find_overlapping_iter(text) {
            let (mut start, end) = (found.start(), found.end());
            // They come in the order of their ends; secrets that overlap or touch are one place.
            while let Some((earlier, _)) = found_by_this.pop_if(|(_, known)| *known >= start) {
                start = start.min(earlier);
            }
            found_by_this.push((start, end));
        }
        places.extend(found_by_this);
    }
    places.sort_unstable();
    let mut out = String::new();
    let mut last = 0;
    for (start, end) in joined(places) {
        out.push_str(&text[last..start]);
        out.push_str(MASK);
        last = end;
    }
    if last == 0 {
        return None;
    }
    out.push_str(&text[last..]);
    Some(out)
}

/// Places in order, each apart from the next.
fn joined(places: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    let mut joined: Vec<(usize, usize)> = Vec::new();
    for (start, end) in places {
        match joined.last_mut() {
            Some(last) if last.1 >= start => last.1 = last.1.max(end),
            _ => joined.push((start, end)),
        }
    }
    joined
}

/// Whether the text has a secret in it.
pub fn tells(text: &str) -> bool {
    any() && searches().iter().any(|search| search.is_match(text))
}

/// A text that is to be printed by others than the reporter.
pub fn without(text: impl Into<String>) -> String {
    let text = text.into();
    masked(&text).unwrap_or(text)
}

/// Panics and what they were about are an output, too.
pub fn mask_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let payload = panic.payload();
        let words =
            payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("it says nothing");
        // A secret is known to be one here, or it stands in the words of nothing that is read: then the usual way shows more.
        match masked(words) {
            None => usual(panic),
            Some(words) => {
                let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
                anstream::eprintln!("BUG: panicked{place}:\n{words}");
            }
        }
    }));
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

fn searches() -> Vec<Arc<AhoCorasick>> {
    let ready = |registry: &Registry| registry.searches.iter().map(|search| search.automaton.clone()).collect();
    {
        let registry = REGISTRY.read().unwrap_or_else(PoisonError::into_inner);
        if registry.fresh.is_empty() {
            return ready(&registry);
        }
    }
    let mut registry = REGISTRY.write().unwrap_or_else(PoisonError::into_inner);
    let mut values = std::mem::take(&mut registry.fresh);
    while let Some(search) = registry.searches.pop_if(|search| search.values.len() < 2 * values.len()) {
        values.extend(search.values);
    }
    if !values.is_empty() {
        // All matches are wanted, also those within others. Not the kind that is fastest with few values: it takes long to make.
        let kind = Some(AhoCorasickKind::ContiguousNFA);
        match AhoCorasick::builder().match_kind(MatchKind::Standard).kind(kind).build(&values) {
            Ok(automaton) => registry.searches.push(Search { values, automaton: Arc::new(automaton) }),
            // Gigabytes of secrets: better no output than theirs.
            Err(err) => panic!("there are too many secrets to mask: {err}"),
        }
    }
    ready(&registry)
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

    #[test]
    fn learnt_late_and_across_each_other() {
        for n in 0..300 {
            register(&format!("late-{n:03}-{n:03}"));
            if n % 7 == 0 {
                assert_eq!(super::masked(&format!("late-000-000, late-{n:03}-{n:03}")).as_deref(), Some("********, ********"));
            }
        }
        register("overlap-ab");
        assert!(tells("overlap-ab"));
        register("ab-behind");
        assert_eq!(super::masked("late-001-001 overlap-ab-behind late-299-299.").as_deref(), Some("******** ******** ********."));
        let long = format!("long {}", "0123456789 ".repeat(500));
        register(&long);
        assert_eq!(super::masked(&format!("<{}>", long.trim())).as_deref(), Some("<********>"));
    }
}
