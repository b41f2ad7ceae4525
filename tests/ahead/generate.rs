//! Small playbooks at random whose tasks read what tasks before them wrote: few files, written, linked, removed, asked about and run again,
//! by several hosts, users and handlers. With one host at a time all of them work in one folder, else each has its own.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

#[derive(Clone, Debug)]
pub struct Case {
    pub playbook: Json,
    pub args: Vec<&'static str>,
}

impl Case {
    /// Hosts go through it each at its own pace.
    pub fn is_free(&self) -> bool {
        self.playbook.as_array().is_some_and(|plays| plays.iter().any(|play| play.get("strategy").is_some()))
    }
}

pub const INVENTORY: &str = "[all]\nh1\nh2\n[all:vars]\nansible_connection=local\n";

const PATHS: [&str; 6] =
    ["{{ d }}/f0", "{{ d }}/f1", "{{ d }}/f2", "{{ d }}/sub", "{{ d }}/sub/f0", "{{ d }}/{{ r0.size | default('f1') }}"];
const REGISTERED: [&str; 3] = ["r0", "r1", "r2"];

fn one_of(words: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    proptest::sample::select(words).prop_map(str::to_owned)
}

fn maybe<S: Strategy>(percent: u32, strategy: S) -> impl Strategy<Value = Option<S::Value>> {
    option::weighted(f64::from(percent) / 100.0, strategy)
}

fn path() -> impl Strategy<Value = String> + Clone {
    one_of(&PATHS)
}

fn content() -> impl Strategy<Value = String> + Clone {
    one_of(&[
        "one\n",
        "two\n",
        "one\ntwo\n",
        "{{ inventory_hostname }}\n",
        "{{ (r0.stat | default({})).exists | default('never asked') }}\n",
        "{{ r1.content | default('') | b64decode }}and more\n",
        "{{ item | default('no item') }}\n",
    ])
}

fn mode() -> impl Strategy<Value = String> + Clone {
    one_of(&["0600", "0644", "0711", "0755"])
}

/// A module's name and arguments.
fn action() -> BoxedStrategy<Json> {
    let line = || one_of(&["one", "three", "{{ r2.changed | default('four') }}"]);
    prop_oneof![
        5 => (path(), content(), mode()).prop_map(|(dest, content, mode)| json!({"copy": {"dest": dest, "content": content, "mode": mode}})),
        3 => (path(), one_of(&["absent", "directory", "file"]), mode())
            .prop_map(|(path, state, mode)| if state == "absent" { json!({"file": {"path": path, "state": state}}) } else { json!({"file": {"path": path, "state": state, "mode": mode}}) }),
        // Never into itself: of `a -> a/b` some `readlink -f` find no end.
        1 => (one_of(&["{{ d }}/f0", "{{ d }}/f1"]), path()).prop_map(|(src, dest)| json!({"file": {"src": src, "dest": dest, "state": "link", "force": true}})),
        3 => (path(), line(), any::<bool>()).prop_map(|(path, line, create)| json!({"lineinfile": {"path": path, "line": line, "create": create}})),
        1 => (path(), line()).prop_map(|(path, line)| json!({"lineinfile": {"path": path, "line": line, "state": "absent"}})),
        1 => (path(), line()).prop_map(|(path, block)| json!({"blockinfile": {"path": path, "block": block, "create": true}})),
        1 => (path(), content()).prop_map(|(path, with)| json!({"replace": {"path": path, "regexp": "^o", "replace": with}})),
        6 => path().prop_map(|path| json!({"stat": {"path": path}})),
        2 => path().prop_map(|path| json!({"slurp": {"src": path}})),
        2 => (path(), path()).prop_map(|(path, creates)| json!({"shell": {"cmd": format!("echo more >> {path}"), "creates": creates}})),
        1 => path().prop_map(|path| json!({"shell": format!("rm -rf {path}")})),
        1 => path().prop_map(|path| json!({"command": format!("cat {path}"), "changed_when": false})),
        2 => Just(json!({"debug": {"msg": "{{ (r0.stat | default({})).exists | default('-') }} {{ r1.content | default('-') }} {{ r2.changed | default('-') }}"}})),
        1 => content().prop_map(|text| json!({"set_fact": {"r0": {"size": "f2", "said": text}}})),
    ]
    .boxed()
}

fn condition() -> impl Strategy<Value = String> + Clone {
    one_of(&[
        "(r0.stat | default({})).exists | default(true)",
        "not (r1 is defined and r1 is changed)",
        "r2 is undefined or r2 is not failed",
        "inventory_hostname != 'h2'",
        "item is undefined or 'f1' not in item",
        "false",
    ])
}

fn task() -> BoxedStrategy<Json> {
    let judged = (maybe(25, condition()), maybe(40, one_of(&REGISTERED)), maybe(25, one_of(&["write", "append"])), maybe(8, condition()));
    let turned = (maybe(25, vec(path(), 1..5)), maybe(10, one_of(&["h1", "h2"])), maybe(8, Just(true)), maybe(10, Just("nobody")));
    let more = (maybe(6, Just(2)), maybe(6, any::<bool>()), maybe(75, Just(true)), maybe(5, Just("ANSWER={{ r0 is defined }}")));
    (action(), judged, turned, more)
        .prop_map(|(mut task, (when, register, notify, changed), (items, delegate, once, user), (retries, check, ignore, environment))| {
            let map = task.as_object_mut().expect("an action is a mapping");
            let mut put = |key: &str, value: Option<Json>| value.map(|value| map.insert(key.to_owned(), value));
            put("when", when.map(Json::from));
            put("register", register.map(Json::from));
            put("notify", notify.map(Json::from));
            put("changed_when", changed.map(Json::from));
            put("delegate_to", delegate.map(Json::from));
            put("run_once", once.map(Json::from));
            put("become", user.map(|_| true.into()));
            put("become_user", user.map(Json::from));
            put("check_mode", check.map(Json::from));
            put("ignore_errors", ignore.map(Json::from));
            put("environment", environment.map(|pair| json!({"ANSWER": pair})));
            put("retries", retries.map(Json::from));
            if retries.is_some() {
                put("delay", Some(0.into()));
                put("until", Some("r2 is defined and r2 is not changed".into()));
                put("register", Some("r2".into()));
            }
            if let Some(items) = items {
                put("loop", Some(items.into()));
                with_item(map);
            }
            task
        })
        .boxed()
}

/// The task does something else for each item.
fn with_item(task: &mut Map<String, Json>) {
    for args in task.values_mut().filter_map(Json::as_object_mut) {
        for name in ["path", "dest"] {
            if let Some(path) = args.get_mut(name) {
                *path = "{{ item }}".into();
            }
        }
    }
}

/// Who comes first is chance, where every host goes at its own pace.
fn without_run_once(value: &mut Json) {
    match value {
        Json::Array(items) => items.iter_mut().for_each(without_run_once),
        Json::Object(map) => {
            map.remove("run_once");
            map.values_mut().for_each(without_run_once);
        }
        _ => {}
    }
}

fn tasks() -> BoxedStrategy<Vec<Json>> {
    let entry = prop_oneof![12 => task(), 1 => Just(json!({"meta": "flush_handlers"}))];
    let entry = entry.prop_recursive(2, 8, 3, |inner| {
        (vec(inner.clone(), 1..4), maybe(60, vec(inner.clone(), 1..3)), maybe(40, vec(inner, 1..2)), maybe(20, condition())).prop_map(
            |(block, rescue, always, when)| {
                let mut map = Map::from_iter([("block".to_owned(), block.into())]);
                for (key, value) in [("rescue", rescue.map(Json::from)), ("always", always.map(Json::from)), ("when", when.map(Json::from))]
                {
                    map.extend(value.map(|value| (key.to_owned(), value)));
                }
                map.into()
            },
        )
    });
    vec(entry, 5..12).boxed()
}

pub fn case() -> BoxedStrategy<Case> {
    let handler = |name: &'static str| {
        (action(), maybe(30, condition())).prop_map(move |(mut handler, when)| {
            handler["name"] = name.into();
            if let Some(when) = when {
                handler["when"] = when.into();
            }
            handler["ignore_errors"] = true.into();
            handler
        })
    };
    let plays = vec((tasks(), handler("write"), handler("append"), maybe(25, Just("free"))), 1..3);
    (plays, any::<bool>(), maybe(15, Just("--check")), maybe(30, Just("--diff")))
        .prop_map(|(plays, shares, check, diff)| {
            let folder = if shares { "work" } else { "work/{{ inventory_hostname }}" };
            let play = |(tasks, write, append, strategy): (Vec<Json>, Json, Json, Option<&str>)| {
                let mut play = json!({
                    "hosts": "all", "gather_facts": false, "vars": {"d": format!("{{{{ playbook_dir }}}}/{folder}")}, "tasks": tasks,
                    "handlers": [write, append],
                });
                if let Some(strategy) = strategy.filter(|_| !shares) {
                    play["strategy"] = strategy.into();
                    without_run_once(&mut play);
                }
                play
            };
            let mut args = if shares { vec!["--forks", "1"] } else { Vec::new() };
            // Of several hosts at once, diffs would be in any order.
            args.extend(check.into_iter().chain(diff.filter(|_| shares)));
            Case { playbook: plays.into_iter().map(play).collect(), args }
        })
        .boxed()
}
