//! Tests of what a task said: failed, changed, skipped, finished.

use super::Test;
use crate::template::fail::{Fail, Res};
use crate::template::value::{self, is_map, items, truth};
use minijinja::Value;

pub(super) const TABLE: &[(&str, Test)] = &[
    ("failed", |value, _| failed(value, "failed")),
    ("failure", |value, _| failed(value, "failure")),
    ("succeeded", |value, _| failed(value, "succeeded").map(|failed| !failed)),
    ("success", |value, _| failed(value, "success").map(|failed| !failed)),
    ("successful", |value, _| failed(value, "successful").map(|failed| !failed)),
    ("reachable", |value, _| flag(value, "unreachable", "reachable").map(|unreachable| !unreachable)),
    ("unreachable", |value, _| flag(value, "unreachable", "unreachable")),
    ("timedout", |value, _| flag(value, "timedout", "timedout")),
    ("changed", |value, _| changed(value, "changed")),
    ("change", |value, _| changed(value, "change")),
    ("skipped", |value, _| flag(value, "skipped", "skipped")),
    ("skip", |value, _| flag(value, "skipped", "skip")),
    ("started", |value, _| async_flag(value, "started")),
    ("finished", |value, _| async_flag(value, "finished")),
];

fn result_of(value: &Value, test: &str) -> Res<()> {
    if is_map(value) { Ok(()) } else { Err(Fail::error(format!("The '{test}' test expects a dictionary"))) }
}

fn flag(value: &Value, key: &str, test: &str) -> Res<bool> {
    result_of(value, test)?;
    value::get(value, key).map_or(Ok(false), |flag| truth(&flag))
}

/// What is said of a job: a task that was none has started and finished when there is a result of it.
fn async_flag(value: &Value, key: &str) -> Res<bool> {
    result_of(value, key)?;
    value::get(value, key).map_or(Ok(true), |flag| truth(&flag))
}

fn failed(value: &Value, test: &str) -> Res<bool> {
    flag(value, "failed", test)
}

fn changed(value: &Value, test: &str) -> Res<bool> {
    if let (None, Some(results)) = (value::get(value, "changed"), value::get(value, "results")) {
        for result in items(&results)? {
            if flag(&result, "changed", test)? {
                return Ok(true);
            }
        }
    }
    flag(value, "changed", test)
}
