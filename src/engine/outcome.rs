//! What remains of a task: registers, facts, notifications, and the result that is told, without what `no_log` hides.

use super::Run;
use super::attempt::Attempt;
use super::execute::Executed;
use super::task::{TaskEnd, TaskRun};
use crate::module::Registered;
use crate::report::{HostResult, Status};
use crate::secrets;
use crate::source::{Kind, Node, origin};
use crate::vars::{Variable, View, node_of};
use minijinja::value::ValueKind;
use serde_json::{Map, Value as Json};
use std::sync::Arc;
use std::time::Duration;

impl TaskRun {
    /// Keeps the result for the host, and for those for whom it was done too. Makes a failure of it if an expression of `register` fails.
    /// What `no_log` hides stays hidden when another task shows it.
    pub fn register(&self, mut attempt: Attempt, view: &Arc<View>) -> Attempt {
        if self.is_no_log(view) {
            // Facts that a module gathered are no secrets of the user's; those that were set are.
            learn(&attempt.result, attempt.executed.facts.is_empty());
        }
        let (keep, failed) = self.to_keep(&attempt, view);
        for host in self.hosts() {
            self.playing.run.memory.set(host, keep.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        if failed.is_empty() {
            return attempt;
        }
        attempt.fail_registering(keep.len(), &failed);
        self.forgive(attempt, view)
    }

    /// Keeps facts, `set_fact` and `include_vars` for the host, those of `run_once`, or the delegate.
    pub fn keep(&self, executed: &Executed, delegated_to: Option<&str>, view: &Arc<View>) {
        let run = &self.playing.run;
        let to_delegate = self.task().keywords.delegate_facts.as_ref().is_some_and(|node| run.bool_of(node, view).unwrap_or(false));
        let delegate: Option<Arc<str>> = delegated_to.filter(|_| to_delegate).map(Into::into);
        let hosts: Vec<&Arc<str>> = match &delegate {
            Some(delegate) => vec![delegate],
            None => self.hosts().collect(),
        };
        for host in hosts {
            if executed.is_kept() {
                self.before.lock().expect("no panic holds the lock").entry(host.clone()).or_insert_with(|| run.memory.of(host));
            }
            if !executed.facts.is_empty() {
                run.memory.add_facts(host, &executed.facts);
            }
            if Arc::ptr_eq(&self.step.task, &self.playing.gathering) {
                run.memory.gathered(host);
            }
            if !executed.set.is_empty() {
                run.memory.set(host, executed.set.iter().map(|(name, value)| (name.clone(), value.clone())));
            }
            if !executed.include_vars.is_empty() {
                for (name, value) in &executed.include_vars {
                    run.warn_if_reserved(name, value.span().unwrap_or(&self.task().span));
                }
                run.memory.include_vars(host, executed.include_vars.clone());
            }
        }
    }

    /// Forgets what a task has kept that failed in the end: an item of it, or by its conditions. Meanwhile its own conditions and items saw it.
    pub fn forget(&self) {
        for (host, known) in std::mem::take(&mut *self.before.lock().expect("no panic holds the lock")) {
            self.playing.run.memory.put_back(&host, known);
        }
    }

    fn hosts(&self) -> impl Iterator<Item = &Arc<str>> {
        std::iter::once(&self.host).chain(&self.also)
    }

    /// Whom a task without a loop notifies.
    pub fn notifications(&self, attempt: &Attempt, view: &Arc<View>) -> Vec<String> {
        if attempt.status == Status::Changed && !attempt.is_loop { self.notified_names(attempt, view) } else { Vec::new() }
    }

    /// The names in `notify`, rendered; none of what was skipped or has failed.
    pub fn notified_names(&self, attempt: &Attempt, view: &Arc<View>) -> Vec<String> {
        if !matches!(attempt.status, Status::Ok | Status::Changed) {
            return Vec::new();
        }
        let render = |node: &Node| {
            let value = self.playing.run.templar.render(node, view).ok()?;
            Some(match value.kind() {
                ValueKind::Seq => value.try_iter().into_iter().flatten().map(|name| name.to_string()).collect(),
                _ => vec![value.to_string()],
            })
        };
        self.task().notify.iter().filter_map(render).flatten().collect()
    }

    /// What is told of an item, or of the task if `item` is none.
    pub fn host_result(&self, attempt: &Attempt, item: Option<String>, elapsed: Duration, view: &Arc<View>) -> HostResult {
        let hidden = self.is_no_log(view) || attempt.executed.hidden;
        HostResult {
            host: self.host.to_string(),
            module: self.task().action.module.spec().short_name().into(),
            delegated_to: attempt.delegated_to.clone().filter(|delegate| *delegate != *self.host),
            status: attempt.status,
            ignored: false,
            rescued: attempt.has_failed() && self.rescues && item.is_none(),
            before: if item.is_some() { self.is_item_past() } else { self.turn.is_past() },
            item: item.map(|item| if hidden { "(censored due to no_log)".to_owned() } else { item }),
            is_loop: attempt.is_loop,
            result: {
                let mut result = shown(&attempt.result, hidden);
                if let Json::Object(result) = &mut result
                    && attempt.executed.hides_diff
                {
                    result.shift_remove("diff");
                }
                result
            },
            verbose: attempt.executed.verbose && !hidden,
            diagnosis: attempt.diagnosis.as_ref().filter(|_| !hidden).map(|diag| diag.to_string()),
            error: attempt.has_trouble().then(|| self.error_text(attempt, hidden)),
            elapsed,
        }
    }

    /// Why the task failed and where: from the task itself down to what is wrong, as ansible-core prints it.
    fn error_text(&self, attempt: &Attempt, hidden: bool) -> String {
        let task = self.task();
        let message = match attempt.result.get("failed_when_result") {
            // The module's own words are about something that went well.
            Some(Json::Bool(true)) if !attempt.executed.failed => {
                "Task failed: Action failed: A 'failed_when' expression evaluated to 'True'."
            }
            _ => attempt.result.get("msg").and_then(Json::as_str).filter(|_| !hidden).unwrap_or("Task failed."),
        };
        let what = match task.action.module {
            _ if message.starts_with("Task failed") => "",
            _ if attempt.status == Status::Unreachable => "Task failed: ",
            Registered::OnHost(_) => "Task failed: Module failed: ",
            Registered::InEngine(_) => "Task failed: Action failed: ",
        };
        if let Some(why) = attempt.why {
            return format!("Task failed: Action failed: {why}\n{}", origin(&task.span));
        }
        let Some(diag) = attempt.diagnosis.as_ref().filter(|_| !hidden) else {
            return format!("{what}{message}\n{}", origin(&task.span));
        };
        let inner = diag.with_origin();
        format!("{what}{message}\n\nTask failed.\n{}\n<<< caused by >>>\n\n{inner}", origin(&task.span))
    }

    pub fn is_no_log(&self, view: &Arc<View>) -> bool {
        // What cannot be decided is hidden.
        self.task().keywords.no_log.as_ref().is_some_and(|node| self.playing.run.bool_of(node, view).unwrap_or(true))
    }
}

impl Run {
    /// Counts a task's end for the recap.
    pub(super) fn count_end(&self, host: &str, end: &TaskEnd) {
        if end.is_including() {
            return;
        }
        self.count(host, |stats| match end.status {
            Status::Ok => stats.ok += 1,
            Status::Changed => {
                stats.ok += 1;
                stats.changed += 1;
            }
            Status::Skipped => stats.skipped += 1,
            Status::Failed | Status::Unreachable if end.ignored => {
                stats.ok += 1;
                stats.ignored += 1;
                stats.changed += u32::from(end.result["changed"] == true);
            }
            Status::Failed if end.rescued => stats.rescued += 1,
            Status::Failed => stats.failed += 1,
            Status::Unreachable => stats.unreachable += 1,
        });
    }
}

/// Makes secrets of what a result says of its host, not of what every result has.
fn learn(result: &Map<String, Json>, with_facts: bool) {
    fn values(value: &Json) {
        match value {
            Json::String(text) => secrets::register(text),
            Json::Array(items) => items.iter().for_each(values),
            Json::Object(map) => map.values().for_each(values),
            _ => {}
        }
    }
    for (key, value) in result {
        match key.as_str() {
            "stdout" | "stderr" | "content" | "json" => values(value),
            "ansible_facts" if with_facts => values(value),
            "results" => value.as_array().into_iter().flatten().filter_map(Json::as_object).for_each(|item| learn(item, with_facts)),
            _ => {}
        }
    }
}

/// A result as it may be shown.
pub fn shown(result: &Map<String, Json>, hidden: bool) -> Json {
    if !hidden {
        return Json::Object(result.clone());
    }
    let mut shown = Map::new();
    shown.insert("censored".into(), "the output has been hidden due to the fact that 'no_log: true' was specified for this result".into());
    for key in ["changed", "failed", "attempts", "skipped", "unreachable"] {
        if let Some(value) = result.get(key) {
            shown.insert(key.into(), value.clone());
        }
    }
    Json::Object(shown)
}

/// A result whose facts are as their files have them.
pub fn registered_with(result: &Map<String, Json>, facts: &Node) -> Variable {
    let mut node = node_of(&Json::Object(result.clone()));
    if let Kind::Map(pairs) = &mut node.kind {
        pairs.iter_mut().filter(|(key, _)| key.as_str() == Some("ansible_facts")).for_each(|(_, value)| *value = facts.clone());
    }
    node.into()
}

/// A result as `register` keeps it.
pub fn registered(result: &Map<String, Json>) -> Variable {
    Variable::data(&Json::Object(with_lines(result.clone())))
}

/// A result with `stdout_lines` and `stderr_lines` beside `stdout` and `stderr`.
pub fn with_lines(mut result: Map<String, Json>) -> Map<String, Json> {
    for (text, lines) in [("stdout", "stdout_lines"), ("stderr", "stderr_lines")] {
        if let Some(words) = result.get(text).and_then(Json::as_str)
            && !result.contains_key(lines)
        {
            let split: Vec<Json> = words.lines().map(Json::from).collect();
            result.insert(lines.into(), split.into());
        }
    }
    result
}
