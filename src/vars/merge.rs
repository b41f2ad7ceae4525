//! `hash_behaviour = merge`: mappings of the same name are put together instead of the higher one replacing the lower.

use super::{Level, VarMap, Variable};
use crate::source::{Kind, Node, Source, Span, Str, Tag};
use serde_json::Value as Json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

/// One setting for the process: it says what a variable is, wherever one is looked up or read.
static MERGES: AtomicBool = AtomicBool::new(false);

/// Mappings are merged from now on.
pub fn merge_mappings() {
    MERGES.store(true, Ordering::Relaxed);
}

pub(super) fn merges() -> bool {
    MERGES.load(Ordering::Relaxed)
}

/// Adds variables of the same level; those that come later win.
pub fn combine(into: &mut VarMap, more: impl IntoIterator<Item = (String, Variable)>) {
    for (name, variable) in more {
        let variable = match into.get(&name).filter(|_| merges()) {
            Some(low) => merged(low, &variable).unwrap_or(variable),
            None => variable,
        };
        into.insert(name, variable);
    }
}

/// Adds variables whose mappings are merged, whatever the setting.
pub fn combine_merging(into: &mut VarMap, more: impl IntoIterator<Item = (String, Variable)>) {
    for (name, variable) in more {
        let variable = into.get(&name).and_then(|low| merged(low, &variable)).unwrap_or(variable);
        into.insert(name, variable);
    }
}

/// The variables that more than one layer has a part in. What a loop or the engine itself sets is never merged.
pub(super) fn shared(layers: &[(Level, Arc<VarMap>)]) -> VarMap {
    let mut all = VarMap::new();
    let mut shared = VarMap::new();
    for (level, vars) in layers {
        for (name, variable) in vars.iter() {
            if matches!(level, Level::Loop | Level::Magic) {
                shared.shift_remove(name);
                continue;
            }
            let together = all.get(name).and_then(|low| merged(low, variable));
            match &together {
                Some(together) => drop(shared.insert(name.clone(), together.clone())),
                None => drop(shared.shift_remove(name)),
            }
            all.insert(name.clone(), together.unwrap_or_else(|| variable.clone()));
        }
    }
    shared
}

/// Both together, if both are mappings.
fn merged(low: &Variable, high: &Variable) -> Option<Variable> {
    let node = |variable: &Variable| match variable {
        Variable::Node(node) => matches!(node.kind, Kind::Map(_)).then(|| Node::clone(node)),
        Variable::Data(value) if value.kind() == minijinja::value::ValueKind::Map => Some(node_of(&serde_json::to_value(value).ok()?)),
        Variable::Data(_) => None,
    };
    Some(merge(node(low)?, node(high)?).into())
}

fn merge(low: Node, high: Node) -> Node {
    let (Kind::Map(mut pairs), Kind::Map(more)) = (low.kind, high.kind.clone()) else { return high };
    for (key, value) in more {
        match pairs.iter_mut().find(|(other, _)| name_of(other) == name_of(&key)) {
            Some((_, there)) => *there = merge(there.clone(), value),
            None => pairs.push((key, value)),
        }
    }
    Node::new(Kind::Map(pairs), high.span)
}

fn name_of(key: &Node) -> &str {
    key.as_str().unwrap_or(key.span.text())
}

/// Finished data in the form of a file's: none of its strings is a template.
pub fn node_of(json: &Json) -> Node {
    static NOWHERE: LazyLock<Span> = LazyLock::new(|| Source::from_text("<data>", "").span(0, 0));
    let text = |text: &str| Kind::Str(Str { text: text.into(), tag: Tag::Unsafe });
    let kind = match json {
        Json::Null => Kind::Null,
        Json::Bool(value) => Kind::Bool(*value),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Kind::Int(number),
            (None, Some(number)) => Kind::Float(number),
            (None, None) => text(&number.to_string()),
        },
        Json::String(string) => text(string),
        Json::Array(items) => Kind::Seq(items.iter().map(node_of).collect()),
        Json::Object(map) => Kind::Map(map.iter().map(|(key, value)| (Node::new(text(key), NOWHERE.clone()), node_of(value))).collect()),
    };
    Node::new(kind, NOWHERE.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::yaml;

    fn vars(text: &str) -> VarMap {
        let (node, _) = yaml::load_one(&Source::from_text("t", text)).expect("the case is valid");
        let Kind::Map(pairs) = node.kind else { panic!("the case is a mapping") };
        pairs.into_iter().map(|(key, value)| (key.as_str().unwrap_or_default().to_owned(), value.into())).collect()
    }

    fn keys(variable: &Variable) -> Vec<String> {
        let Variable::Node(node) = variable else { return Vec::new() };
        node.as_map()
            .unwrap_or_default()
            .iter()
            .map(|(key, value)| format!("{}={}", key.as_str().unwrap_or("?"), value.span.text()))
            .collect()
    }

    #[test]
    fn mappings_are_merged_all_the_way_down_and_lists_replaced() {
        let mut low = vars("m: {a: 1, b: {x: 1, l: [1]}}\ns: {k: 1}");
        combine_merging(&mut low, vars("m: {b: {l: [2]}, c: 3}\ns: text"));
        assert_eq!(keys(&low["m"])[..1], ["a=1"]);
        let Variable::Node(m) = &low["m"] else { panic!("it is a node") };
        assert_eq!(keys(&m.get("b").expect("it is there").clone().into()), ["x=1", "l=[2]"]);
        assert!(matches!(&low["s"], Variable::Node(node) if node.as_str() == Some("text")));
    }

    #[test]
    fn layers_share_what_all_of_them_say_in_mappings() {
        let layers = [
            (Level::RoleDefaults, Arc::new(vars("m: {a: 1}\nn: {a: 1}\nitem: {a: 1}"))),
            (Level::Play, Arc::new(vars("m: {b: 2}\nn: 5\nitem: {b: 1}"))),
            (Level::Loop, Arc::new(vars("item: {c: 1}"))),
        ];
        let shared = shared(&layers);
        assert_eq!(shared.keys().collect::<Vec<_>>(), ["m"]);
        assert_eq!(keys(&shared["m"]), ["a=1", "b=2"]);
    }
}
