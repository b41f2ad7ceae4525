//! The functions that every template has: `lookup`, `query`, `now`, `range`, `dict` and the like.

use super::args::Args;
use super::fail::{Fail, Lack, Res, check, marker};
use super::lazy::Run;
use super::objects::{MutMap, Stamp};
use super::value::{self, MAX_ITEMS, ValueMap, as_int, int, items, list, map, text, type_name};
use super::{eval, lookups};
use minijinja::Value;
use minijinja::value::{Object, ObjectRepr};
use std::sync::{Arc, Mutex, PoisonError};

/// A function as a value.
#[derive(Debug)]
pub(super) enum GlobalFn {
    Named(&'static str),
    /// What `cycler()` gives is a mapping with these functions, what `joiner()` gives is such a function.
    Joiner {
        separator: Value,
        used: Mutex<bool>,
    },
    Cycle(Arc<Cycle>, &'static str),
}

#[derive(Debug)]
pub(super) struct Cycle {
    items: Vec<Value>,
    at: Mutex<usize>,
}

impl Object for GlobalFn {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

const NAMES: &[&str] = &["lookup", "query", "q", "now", "undef", "range", "dict", "namespace", "cycler", "joiner", "lipsum"];

pub(super) fn find(name: &str) -> Option<GlobalFn> {
    NAMES.iter().find(|known| **known == name).map(|known| GlobalFn::Named(known))
}

/// The longest list that `range` may make.
const MAX_RANGE: i128 = MAX_ITEMS as i128;

pub(super) fn call(run: &Arc<Run>, function: &GlobalFn, mut args: Args) -> Res {
    let name = match function {
        GlobalFn::Named(name) => name,
        GlobalFn::Joiner { separator, used } => {
            args.done()?;
            let first = !std::mem::replace(&mut *used.lock().unwrap_or_else(PoisonError::into_inner), true);
            return Ok(if first { Value::from("") } else { separator.clone() });
        }
        GlobalFn::Cycle(cycle, what) => {
            args.done()?;
            let mut at = cycle.at.lock().unwrap_or_else(PoisonError::into_inner);
            let current = cycle.items[*at].clone();
            match *what {
                "next" => *at = (*at + 1) % cycle.items.len(),
                "reset" => *at = 0,
                _ => {}
            }
            return Ok(current);
        }
    };
    match *name {
        "lookup" | "query" | "q" => {
            let plugin = args.need("plugin_name")?;
            check(&plugin)?;
            let Some(plugin) = plugin.as_str().map(str::to_owned) else {
                return Err(Fail::complete(format!(
                    "The lookup plugin {} failed to load: unsupported type <class '{}'>",
                    value::repr(&plugin)?,
                    type_name(&plugin)
                )));
            };
            lookups::from_template(run, &plugin, args, *name != "lookup")
        }
        "now" => {
            let utc = args.flag("utc", false)?;
            let format = args.text("fmt")?;
            args.done()?;
            let now = if utc { jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC) } else { jiff::Zoned::now() };
            // Python's `datetime` counts microseconds.
            let micros = now.datetime().subsec_nanosecond() / 1000;
            let time = now.datetime().with().subsec_nanosecond(micros * 1000).build().map_err(|err| Fail::error(err.to_string()))?;
            match format {
                Some(format) => eval::strftime(time, &format).map(Value::from),
                None => Ok(Value::from_object(Stamp(time))),
            }
        }
        "undef" => {
            let hint = args.text("hint")?.unwrap_or_else(|| "Mandatory variable has not been overridden".to_owned());
            args.done()?;
            Ok(marker(Fail::undefined(Lack::Words(hint))))
        }
        "range" => range(&args.rest()),
        "dict" => {
            let mut pairs = ValueMap::new();
            if args.has_positional() {
                let from = args.need("from")?;
                if value::is_map(&from) {
                    pairs.extend(value::pairs(&from)?);
                } else {
                    for pair in items(&from)? {
                        match value::raw_items(&pair)?.as_slice() {
                            [key, value] => pairs.insert(key.clone(), value.clone()),
                            _ => return Err(Fail::error("`dict()` takes a mapping or a list of pairs")),
                        };
                    }
                }
            }
            pairs.extend(args.rest_named().into_iter().map(|(key, value)| (Value::from(key), value)));
            args.done()?;
            Ok(Value::from_object(pairs))
        }
        "namespace" => {
            let mut pairs = ValueMap::new();
            if args.has_positional() {
                pairs.extend(value::pairs(&args.need("from")?)?);
            }
            pairs.extend(args.rest_named().into_iter().map(|(key, value)| (Value::from(key), value)));
            args.done()?;
            Ok(Value::from_object(MutMap::new(pairs)))
        }
        "lipsum" => lipsum(&mut args),
        "cycler" => {
            let items = args.rest();
            args.done()?;
            if items.is_empty() {
                return Err(Fail::error("`cycler()` needs something to cycle through"));
            }
            let cycle = Arc::new(Cycle { items, at: Mutex::new(0) });
            let function = |what: &'static str| (Value::from(what), Value::from_object(GlobalFn::Cycle(cycle.clone(), what)));
            Ok(map([function("next"), function("reset"), function("current")]))
        }
        _ => {
            let separator = args.get("sep").unwrap_or_else(|| Value::from(", "));
            args.done()?;
            Ok(Value::from_object(GlobalFn::Joiner { separator, used: Mutex::new(false) }))
        }
    }
}

/// Words that mean nothing, to fill a page.
fn lipsum(args: &mut Args) -> Res {
    const WORDS: &[&str] = &[
        "lorem",
        "ipsum",
        "dolor",
        "sit",
        "amet",
        "consectetur",
        "adipiscing",
        "elit",
        "sed",
        "do",
        "eiusmod",
        "tempor",
        "ut",
        "labore",
        "et",
        "dolore",
        "magna",
        "aliqua",
    ];
    let bounded = |number: i128| usize::try_from(number).unwrap_or(0).min(1000);
    let n_paragraphs = bounded(args.int_or("n", 5)?);
    let html = args.flag("html", true)?;
    let (least, most) = (bounded(args.int_or("min", 20)?), bounded(args.int_or("max", 100)?));
    args.done()?;
    let paragraph = || {
        let count = rand::random_range(least..most.max(least + 1));
        let words: Vec<&str> = (0..count).map(|_| WORDS[rand::random_range(0..WORDS.len())]).collect();
        let text = eval::capitalize(&words.join(" ")) + ".";
        if html { format!("<p>{text}</p>") } else { text }
    };
    let all: Vec<String> = (0..n_paragraphs).map(|_| paragraph()).collect();
    Ok(Value::from(all.join(if html { "\n" } else { "\n\n" })))
}

fn range(args: &[Value]) -> Res {
    let numbers = args
        .iter()
        .map(|arg| {
            as_int(arg).ok_or_else(|| {
                Fail::error(format!("'{}' object cannot be interpreted as an integer: {}", type_name(arg), text(arg).unwrap_or_default()))
            })
        })
        .collect::<Res<Vec<_>>>()?;
    let (start, stop, step) = match numbers.as_slice() {
        [stop] => (0, *stop, 1),
        [start, stop] => (*start, *stop, 1),
        [start, stop, step] => (*start, *stop, *step),
        _ => return Err(Fail::error("`range()` takes one to three numbers")),
    };
    if step == 0 {
        return Err(Fail::error("range() arg 3 must not be zero"));
    }
    let span = if step > 0 { stop.saturating_sub(start) } else { start.saturating_sub(stop) };
    if span / step.abs() > MAX_RANGE {
        return Err(Fail::error(format!("`range()` is limited to {MAX_RANGE} numbers")));
    }
    let mut numbers = Vec::new();
    let mut at = start;
    while (step > 0 && at < stop) || (step < 0 && at > stop) {
        numbers.push(int(at));
        at = at.saturating_add(step);
    }
    Ok(list(numbers))
}
