//! Modules under real shells: every case in `cases/` is run in a scratch folder under each shell that is here, step by step, probe, decide,
//! apply, and again, which must find nothing to do. What the steps return and what is left on disk has to be what ansible-core was seen to
//! return and to leave (`record.py`); where we mean to differ, the step's `differs` says what we return instead.

mod downloads;
mod host;
mod hostile;
mod mounts;
mod uri;

use host::{Shell, Step};
use serde_json::{Map, Value as Json, json};
use std::path::Path;
use std::sync::Mutex;

#[test]
fn cases_under_every_shell() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/modules/cases");
    let only = std::env::var("CASE").unwrap_or_default();
    let mut paths: Vec<_> = std::fs::read_dir(&folder).expect("the cases are there").flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let shells = Shell::all();
    let mut cases = Vec::new();
    for path in paths {
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        if name.contains(&only) {
            let text = std::fs::read_to_string(&path).expect("a case can be read");
            let case: Json = serde_json::from_str(&text).expect("a case is JSON");
            // Not every tool has a busybox's twin: `not_under` names the shells whose tools are too few.
            let is_left_out =
                |shell: &&Shell| case["not_under"].as_array().is_some_and(|names| names.iter().any(|name| name == shell.name));
            cases.extend(shells.iter().filter(|shell| !is_left_out(shell)).map(|shell| (name.clone(), case.clone(), shell)));
        }
    }
    let n_run = cases.len();
    let n_threads = std::thread::available_parallelism().map_or(2, usize::from).min(n_run);
    // Taken from the end: the threads never wait for each other.
    let left = Mutex::new(cases);
    let work = || {
        let next = || left.lock().expect("nobody panics with the lock").pop();
        std::iter::from_fn(next).flat_map(|(name, case, shell)| check(&name, &case, shell)).collect::<Vec<_>>()
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a check ends")).collect()
    });
    assert!(n_run > 0, "no case was run");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn check(name: &str, case: &Json, shell: &Shell) -> Vec<String> {
    let mut wrong = Vec::new();
    let host = host::Host::new(shell);
    for (file, content) in case["files"].as_object().into_iter().flatten() {
        host.write_controller_file(file, content.as_str().unwrap_or_default());
    }
    host.set_up(case["setup"].as_str().unwrap_or_default());
    for (at, given) in case["steps"].as_array().into_iter().flatten().enumerate() {
        let step = Step::of(given);
        let place = format!("{name} under {}, step {}: {} {}", shell.name, at + 1, step.module, step.args);
        let expected = expected(given);
        let returned = host.run(&step);
        let returned = comparable(&returned, &expected);
        if returned != expected {
            wrong.push(format!("{place}\n   returned {returned}\n   expected {expected}"));
        }
        let settles = given.get("settles") != Some(&json!(false));
        if settles && !step.check && returned["changed"] == json!(true) {
            let again = host.run(&Step { check: true, ..step });
            if again["changed"] != json!(false) || again.get("failed").is_some() {
                wrong.push(format!("{place}\n   again    {again}"));
            }
        }
    }
    let expected: Vec<&str> = case["tree"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    let tree = host.tree();
    if tree != expected {
        let lines = |tree: &[&str]| tree.iter().map(|line| format!("\n     {line}")).collect::<String>();
        let missing: Vec<&str> = expected.iter().copied().filter(|line| !tree.iter().any(|is| is == line)).collect();
        let extra: Vec<&str> = tree.iter().map(String::as_str).filter(|line| !expected.contains(line)).collect();
        wrong.push(format!("{name} under {}: tree\n   missing{}\n   extra{}", shell.name, lines(&missing), lines(&extra)));
    }
    wrong
}

/// What was recorded, as far as it is compared, with what is meant to differ.
fn expected(given: &Json) -> Json {
    let mut returns = given["returns"].as_object().cloned().unwrap_or_default();
    returns.remove("src").filter(|src| *src != json!("[TMP]") && !src.is_null()).map(|src| returns.insert("src".into(), src));
    let changed = returns.get("changed") == Some(&json!(true));
    match returns.remove("diff") {
        Some(diff) if changed => {
            let diffs = match diff {
                Json::Array(diffs) => diffs,
                one => vec![one],
            };
            let shows = |diff: &Json| diff.get("prepared").is_some() || diff["before"] != diff["after"];
            let diffs: Vec<Json> = diffs.iter().map(plain_diff).filter(shows).collect();
            if !diffs.is_empty() {
                returns.insert("diff".into(), diffs.into());
            }
        }
        _ => {}
    }
    if returns.contains_key("failed") {
        returns.retain(|key, _| ["failed", "changed", "msg"].contains(&key.as_str()));
    }
    for (key, value) in given["differs"].as_object().into_iter().flatten() {
        if value.is_null() {
            returns.remove(key)
        } else {
            returns.insert(key.clone(), value.clone())
        };
    }
    returns.into()
}

/// A recorded diff as text, the way it is shown.
fn plain_diff(diff: &Json) -> Json {
    if let Some(prepared) = diff.get("prepared") {
        return json!({"prepared": prepared});
    }
    let text = |key: &str| match &diff[key] {
        Json::Object(state) => {
            let mut state = state.clone();
            state.sort_keys();
            let mut shown = Vec::new();
            let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
            serde::Serialize::serialize(&state, &mut serde_json::Serializer::with_formatter(&mut shown, formatter)).expect("memory");
            String::from_utf8_lossy(&shown).into_owned() + "\n"
        }
        Json::String(text) => text.clone(),
        _ => String::new(),
    };
    let mut after = text("after");
    let mut before = text("before");
    let words = |which: &str| format!("diff skipped: {which} file appears to be binary\n");
    if diff.get("dst_binary").is_some() {
        (before, after) = (String::new(), words("destination"));
    } else if diff.get("src_binary").is_some() {
        (before, after) = (String::new(), words("source"));
    }
    let header = |key: &str| diff[key].as_str().filter(|header| *header != "[TMP]").unwrap_or_default().to_owned();
    json!({"before_header": header("before_header"), "after_header": header("after_header"), "before": before, "after": after})
}

/// What we returned, as far as it was recorded: more may be said, and a failure has words of its own.
fn comparable(returned: &Json, expected: &Json) -> Json {
    let failed = returned.get("failed");
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
    let keys = expected.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
    let mut same: Map<String, Json> = keys.filter_map(|key| Some((key.to_owned(), returned.get(key)?.clone()))).collect();
    if !is_root {
        // The cases were recorded as root.
        for key in ["uid", "gid", "owner", "group"] {
            expected.get(key).map(|root| same.insert(key.into(), root.clone()));
        }
    }
    if let Some(Json::Array(files)) = same.get_mut("files") {
        for file in files.iter_mut().filter(|file| file.is_object()) {
            *file = file["path"].clone();
        }
    }
    if let (Some(Json::Object(stat)), Some(recorded)) = (same.get_mut("stat"), expected.get("stat")) {
        stat.retain(|key, _| recorded.get(key).is_some());
    }
    if let Some(failed) = failed {
        same.insert("failed".into(), failed.clone());
        if let Some(msg) = expected.get("msg") {
            same.insert("msg".into(), if expected.get("failed").is_some() { msg.clone() } else { returned["msg"].clone() });
        }
    }
    if let (Some(Json::Array(ours)), Some(Json::Array(recorded))) = (same.get_mut("diff"), expected.get("diff")) {
        // What Ansible shows under a temporary file's name we show under the source's.
        for (ours, _) in ours.iter_mut().zip(recorded).filter(|(_, recorded)| recorded["after_header"] == json!("")) {
            ours["after_header"] = json!("");
        }
    }
    if let Some(size) = same.get_mut("size").filter(|_| expected["state"] == json!("link")) {
        // A link's length is that of the scratch folder's name.
        *size = expected["size"].clone();
    }
    same.into()
}
