//! Small playbooks at random: nested blocks, failures, handlers, loops, includes, roles, tags, and variables at all levels.
//!
//! What is generated has one outcome: no shuffled order, no `free`, nothing that takes time or touches the machine. Names are few, so that
//! variables, tags and handlers meet each other.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

/// A playbook with everything beside it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Paths and contents; JSON is YAML.
    pub files: Vec<(String, Json)>,
    pub args: Vec<String>,
}

pub const INVENTORY: &str = "\
[web]\nh1 tier=1\nh2 v1=inventory_host\n[db]\nh3 tier=3\n[solo]\nh4\n[web:vars]\nv0=inventory_group\n[all:vars]\nansible_connection=local\ntier=0\n";

const VARS: [&str; 5] = ["v0", "v1", "v2", "v3", "v4"];
const REGISTERED: [&str; 3] = ["r0", "r1", "r2"];
const TAGS: [&str; 5] = ["t0", "t1", "t2", "always", "never"];
const HANDLERS: [&str; 4] = ["handler 0", "handler 1", "handler 2", "topic"];

fn one_of(words: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    proptest::sample::select(words).prop_map(str::to_owned)
}

fn chance(percent: u32) -> impl Strategy<Value = bool> {
    (0..100_u32).prop_map(move |n| n < percent)
}

fn maybe<S: Strategy>(percent: u32, strategy: S) -> impl Strategy<Value = Option<S::Value>> {
    option::weighted(f64::from(percent) / 100.0, strategy)
}

/// An expression that every host can evaluate.
fn condition() -> BoxedStrategy<String> {
    prop_oneof![
        one_of(&["inventory_hostname == 'h1'", "inventory_hostname != 'h2'", "inventory_hostname in groups['web']", "tier | int > 0"]),
        one_of(&VARS).prop_map(|var| format!("{var} is defined")),
        one_of(&VARS).prop_map(|var| format!("({var} | default('x') | string | length) > 6")),
        one_of(&REGISTERED).prop_map(|var| format!("({var} | default({{}})).changed | default(false)")),
        one_of(&REGISTERED).prop_map(|var| format!("{var} is not failed")).prop_map(|test| {
            let var = &test[..2];
            format!("{var} is undefined or {test}")
        }),
        one_of(&["true", "false", "not (tier | int == 1)", "item is undefined or item != 2"]),
    ]
    .boxed()
}

/// A value of a variable: plain, or a template of another.
fn value() -> BoxedStrategy<Json> {
    prop_oneof![
        (0..9_i64).prop_map(Json::from),
        one_of(&["one", "two words", "", "yes"]).prop_map(Json::from),
        any::<bool>().prop_map(Json::from),
        Just(json!(["a", 1, null])),
        Just(json!({"k": "{{ inventory_hostname }}", "n": 2})),
        Just(json!("{{ inventory_hostname }}-{{ tier }}")),
        Just(json!("{{ tier | int + 1 }}")),
    ]
    .boxed()
}

fn vars() -> impl Strategy<Value = Json> {
    vec((one_of(&VARS), value()), 1..3).prop_map(|pairs| Json::Object(pairs.into_iter().collect()))
}

fn tags() -> impl Strategy<Value = Json> {
    vec(one_of(&TAGS), 1..3).prop_map(Json::from)
}

fn shown() -> String {
    VARS.iter().map(|var| format!("{{{{ {var} | default('-') }}}}")).collect::<Vec<_>>().join(" / ")
}

/// Keywords that any task may have.
fn keywords() -> BoxedStrategy<Map<String, Json>> {
    let first = (maybe(30, condition()), maybe(12, vars()), maybe(20, tags()), maybe(10, Just(json!(true))), maybe(6, Just(json!(true))));
    let second = (maybe(25, one_of(&REGISTERED)), maybe(30, vec(one_of(&HANDLERS), 1..3)), maybe(25, condition()), maybe(12, condition()));
    let third = (
        maybe(20, vec(1..4_i64, 0..4)),
        maybe(6, one_of(&["h1", "h3", "{{ groups['db'][0] }}"])),
        maybe(6, 0..2_i64),
        maybe(5, any::<bool>()),
    );
    (first, second, third)
        .prop_map(|((when, vars, tags, ignore, once), (register, notify, changed, failed), (items, delegate, retries, check))| {
            let mut map = Map::new();
            let mut put = |key: &str, value: Option<Json>| value.map(|value| map.insert(key.to_owned(), value));
            put("when", when.map(Json::from));
            put("vars", vars);
            put("tags", tags);
            put("ignore_errors", ignore);
            put("run_once", once);
            put("register", register.map(Json::from));
            put("notify", notify.map(Json::from));
            put("changed_when", changed.map(Json::from));
            put("failed_when", failed.map(Json::from));
            put("loop", items.map(Json::from));
            put("delegate_to", delegate.map(Json::from));
            put("retries", retries.map(Json::from));
            put("check_mode", check.map(Json::from));
            if map.contains_key("retries") {
                map.insert("delay".to_owned(), json!(0));
                map.insert("until".to_owned(), json!("tier | int < 3"));
            }
            map
        })
        .boxed()
}

fn action() -> impl Strategy<Value = (&'static str, Json)> {
    prop_oneof![
        6 => Just(("debug", json!({"msg": shown()}))),
        4 => (one_of(&VARS), value()).prop_map(|(var, value)| ("set_fact", json!({ var: value }))),
        2 => Just(("fail", json!({"msg": "on purpose"}))),
        2 => condition().prop_map(|condition| ("assert", json!({"that": [condition], "quiet": true}))),
        1 => one_of(&["g0", "tier_{{ tier }}"]).prop_map(|group| ("group_by", json!({"key": group}))),
    ]
}

fn task() -> BoxedStrategy<Json> {
    (action(), keywords(), 0..1000_u32, chance(80))
        .prop_map(|((module, args), mut map, n, named)| {
            map.insert(module.to_owned(), args);
            if named {
                map.insert("name".to_owned(), json!(format!("task {n} {{{{ v0 | default('-') }}}}")));
            }
            if module == "assert" || module == "fail" {
                map.remove("changed_when");
            }
            // In ansible-core a changed `group_by` notifies nobody, because the change is only seen after the handlers were.
            if module == "group_by" {
                map.remove("notify");
                map.remove("failed_when");
            }
            // Who failed for `run_once` only is, in ansible-core, out of the next play although a rescue has caught it.
            // Of a loop that fails, ansible-core shows the delegate as it was written.
            if map.contains_key("loop") && map.get("delegate_to").and_then(Json::as_str).is_some_and(|host| host.contains("{{")) {
                map.insert("delegate_to".to_owned(), json!("h3"));
            }
            if module == "assert" || module == "fail" || ["failed_when", "until"].iter().any(|word| map.contains_key(*word)) {
                map.remove("run_once");
            }
            Json::Object(map)
        })
        .boxed()
}

/// `meta`, includes and imports, with the few keywords that they share.
fn special() -> BoxedStrategy<Json> {
    let meta = one_of(&["flush_handlers", "noop", "clear_host_errors", "end_host", "clear_facts"]);
    let file = one_of(&["parts/p0.yml", "parts/p1.yml"]);
    let role = one_of(&["r0", "r1"]);
    let keywords = (maybe(30, condition()), maybe(25, vars()), maybe(25, tags()));
    prop_oneof![
        (meta, maybe(40, condition())).prop_map(|(meta, when)| with(json!({"meta": meta}), [("when", when.map(Json::from))])),
        (file.clone(), keywords, maybe(25, vec(1..4_i64, 0..3)), maybe(20, tags())).prop_map(|(file, (when, vars, tags), items, apply)| {
            let args = with(json!({"file": file}), [("apply", apply.map(|tags| json!({"tags": tags})))]);
            let task = json!({"include_tasks": args});
            with(task, [("when", when.map(Json::from)), ("vars", vars), ("tags", tags), ("loop", items.map(Json::from))])
        }),
        (file, maybe(30, condition()), maybe(25, vars()), maybe(25, tags())).prop_map(|(file, when, vars, tags)| {
            with(json!({"import_tasks": file}), [("when", when.map(Json::from)), ("vars", vars), ("tags", tags)])
        }),
        (role.clone(), maybe(30, condition()), maybe(25, vars()), maybe(25, tags()), any::<bool>()).prop_map(
            |(role, when, vars, tags, public)| {
                let task = json!({"include_role": {"name": role, "public": public}});
                with(task, [("when", when.map(Json::from)), ("vars", vars), ("tags", tags)])
            }
        ),
        (role, maybe(30, condition()), maybe(25, vars()), maybe(25, tags())).prop_map(|(role, when, vars, tags)| {
            with(json!({"import_role": {"name": role}}), [("when", when.map(Json::from)), ("vars", vars), ("tags", tags)])
        }),
    ]
    .boxed()
}

fn with<const N: usize>(mut object: Json, more: [(&str, Option<Json>); N]) -> Json {
    for (key, value) in more {
        if let (Some(map), Some(value)) = (object.as_object_mut(), value) {
            map.insert(key.to_owned(), value);
        }
    }
    object
}

/// Tasks and blocks, three deep. `special` ones only where nothing includes itself.
fn tasks(with_special: bool) -> BoxedStrategy<Vec<Json>> {
    let leaf = if with_special { prop_oneof![6 => task(), 2 => special()].boxed() } else { task().boxed() };
    let entry = leaf.prop_recursive(3, 12, 3, |inner| {
        let list = || vec(inner.clone(), 1..3);
        let block = (
            list(),
            maybe(50, list()),
            maybe(40, list()),
            maybe(30, condition()),
            maybe(25, vars()),
            maybe(20, tags()),
            maybe(10, Just(json!(true))),
        );
        block.prop_map(|(block, rescue, always, when, vars, tags, ignore)| {
            with(
                json!({ "block": block }),
                [
                    ("rescue", rescue.map(Json::from)),
                    ("always", always.map(Json::from)),
                    ("when", when.map(Json::from)),
                    ("vars", vars),
                    ("tags", tags),
                    ("ignore_errors", ignore),
                ],
            )
        })
    });
    vec(entry, 1..5).boxed()
}

fn handlers() -> BoxedStrategy<Vec<Json>> {
    let more = || (maybe(25, condition()), maybe(30, one_of(&["handler 1", "handler 2"])), maybe(15, Just("handler fails")), any::<bool>());
    (more(), more(), more())
        .prop_map(|(zero, one, two)| {
            [zero, one, two]
                .into_iter()
                .enumerate()
                .map(|(n, (when, notify, fails, listens))| {
                    let action = if fails.is_some() {
                        json!({"fail": {"msg": "handler"}})
                    } else {
                        json!({"debug": {"msg": shown()}, "changed_when": true})
                    };
                    let listen = listens.then(|| json!("topic"));
                    let task = with(action, [("when", when.map(Json::from)), ("notify", notify.map(Json::from)), ("listen", listen)]);
                    with(task, [("name", Some(json!(format!("handler {n}"))))])
                })
                .collect()
        })
        .boxed()
}

fn play() -> BoxedStrategy<Json> {
    let hosts = one_of(&["all", "all", "web", "web:db", "all:!h4", "h1,h3", "web[0]"]);
    let role = (one_of(&["r0", "r1"]), maybe(30, vars()), maybe(30, tags()), maybe(30, value()))
        .prop_map(|(role, vars, tags, param)| with(json!({"role": role}), [("vars", vars), ("tags", tags), ("v3", param)]));
    let lists = (maybe(25, tasks(true)), maybe(30, vec(role, 1..3)), tasks(true), maybe(20, tasks(true)), handlers());
    let words = (
        maybe(50, vars()),
        maybe(15, prop_oneof![Just(json!(1)), Just(json!(2)), Just(json!("50%"))]),
        maybe(15, tags()),
        maybe(20, Just(json!(true))),
    );
    let more = (
        maybe(15, proptest::sample::select(vec![0, 25, 50, 99]).prop_map(Json::from)),
        maybe(15, one_of(&["reverse_inventory", "sorted", "reverse_sorted"])),
    );
    (hosts, lists, words, more)
        .prop_map(|(hosts, (pre, roles, tasks, post, handlers), (vars, serial, tags, force), (fail, order))| {
            with(
                json!({"hosts": hosts, "gather_facts": false, "tasks": tasks, "handlers": handlers}),
                [
                    ("pre_tasks", pre.map(Json::from)),
                    ("roles", roles.map(Json::from)),
                    ("post_tasks", post.map(Json::from)),
                    ("vars", vars),
                    ("serial", serial),
                    ("tags", tags),
                    ("force_handlers", force),
                    ("max_fail_percentage", fail),
                    ("order", order.map(Json::from)),
                ],
            )
        })
        .boxed()
}

/// Leaves away what no two programs need agree on.
fn settled(value: &mut Json, without_always: bool, with_fixed_names: bool) {
    match value {
        Json::Array(items) => items.iter_mut().for_each(|item| settled(item, without_always, with_fixed_names)),
        Json::Object(map) => {
            if without_always {
                map.remove("always");
                map.remove("force_handlers");
            }
            if let (true, Some(Json::String(name))) = (with_fixed_names, map.get_mut("name"))
                && let Some((fixed, _)) = name.split_once(" {{")
            {
                *name = fixed.to_owned();
            }
            map.values_mut().for_each(|value| settled(value, without_always, with_fixed_names));
        }
        _ => {}
    }
}

/// Tells every variable of every host, in the end.
fn last_play() -> Json {
    let names: Vec<&str> = VARS.iter().chain(&REGISTERED).copied().collect();
    let telling = json!({
        "name": "variables",
        "debug": {"msg": "{{ hostvars[item.0][item.1] | default('-') }}"},
        "loop": "{{ groups['all'] | product(names) }}",
        "loop_control": {"label": "{{ item.0 }} {{ item.1 }}"},
        "tags": ["always"],
    });
    json!({"hosts": "localhost", "gather_facts": false, "connection": "local", "vars": {"names": names}, "tasks": [telling]})
}

fn args() -> BoxedStrategy<Vec<String>> {
    let option = prop_oneof![
        one_of(&TAGS).prop_map(|tag| vec!["--tags".to_owned(), tag]),
        one_of(&TAGS).prop_map(|tag| vec!["--skip-tags".to_owned(), tag]),
        one_of(&VARS).prop_map(|var| vec!["-e".to_owned(), format!("{var}=extra")]),
        one_of(&["web,localhost", "!h1", "h2,h3,localhost"]).prop_map(|limit| vec!["--limit".to_owned(), limit]),
        Just(vec!["--check".to_owned()]),
        Just(vec!["--force-handlers".to_owned()]),
    ];
    prop_oneof![3 => Just(Vec::new()), 2 => option].boxed()
}

pub fn case() -> BoxedStrategy<Case> {
    let parts = (tasks(false), tasks(false));
    let role = || (tasks(false), vars(), vars(), handlers());
    let levels = (maybe(50, vars()), maybe(50, vars()), maybe(40, vars()));
    (vec(play(), 1..3), parts, (role(), role(), chance(30)), levels, args())
        .prop_map(|(mut plays, parts, (r0, r1, depends), levels, mut args)| {
            let any = |word: &str| plays.iter().any(|play| play.get(word).is_some());
            // A host that has failed counts for `max_fail_percentage` in ansible-core unless an `always` was still to come.
            let without_always = any("max_fail_percentage");
            // What the first batch made of a name stays for the others.
            let with_fixed_names = any("serial");
            if without_always {
                args.retain(|arg| arg != "--force-handlers");
            }
            let mut files = vec![("site.yml".to_owned(), Json::from(std::mem::take(&mut plays)))];
            files.push(("parts/p0.yml".to_owned(), parts.0.into()));
            files.push(("parts/p1.yml".to_owned(), parts.1.into()));
            for (name, (tasks, defaults, vars, handlers)) in [("r0", r0), ("r1", r1)] {
                let tasks: Vec<Json> = tasks;
                files.push((format!("roles/{name}/tasks/main.yml"), tasks.into()));
                files.push((format!("roles/{name}/defaults/main.yml"), defaults));
                files.push((format!("roles/{name}/vars/main.yml"), vars));
                files.push((format!("roles/{name}/handlers/main.yml"), handlers.into()));
            }
            if depends {
                files.push(("roles/r0/meta/main.yml".to_owned(), json!({"dependencies": ["r1"]})));
            }
            for (path, vars) in [("group_vars/all.yml", levels.0), ("group_vars/web.yml", levels.1), ("host_vars/h3.yml", levels.2)] {
                files.extend(vars.map(|vars| (path.to_owned(), vars)));
            }
            files.iter_mut().for_each(|(_, content)| settled(content, without_always, with_fixed_names));
            if let Some(plays) = files[0].1.as_array_mut() {
                plays.push(last_play());
            }
            args.splice(0..0, ["-i".to_owned(), "inventory.ini".to_owned(), "site.yml".to_owned()]);
            Case { files, args }
        })
        .boxed()
}
