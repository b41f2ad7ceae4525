//! One task on one host: condition, loop, attempts, what counts as changed and failed, what is kept.

use super::connect::Place;
use super::cursor::{Cursor, Step};
use super::execute::Executed;
use super::include::Include;
use super::play::Playing;
use super::{actions, execute};
use crate::playbook::{Loop, Task};
use crate::report::{Event, HostResult, Stats, Status};
use crate::source::{Diag, Node};
use crate::template;
use crate::vars::{Level, VarMap, Variable, View};
use minijinja::Value;
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A task about to be run on a host.
pub struct TaskRun {
    pub playing: Arc<Playing>,
    pub host: Arc<str>,
    pub step: Step,
    /// The number of the task's events.
    pub number: usize,
    pub name: String,
    /// A failure leads into a `rescue`.
    pub rescues: bool,
    /// `run_once`: hosts that get the result too.
    pub also: Vec<Arc<str>>,
    /// Where the host is, for reading ahead.
    pub cursor: Cursor,
}

/// How a task ended on a host.
pub struct TaskEnd {
    pub status: Status,
    pub ignored: bool,
    pub rescued: bool,
    pub result: Json,
    pub includes: Vec<Include>,
    /// Handlers to notify: rendered names, of a task that changed something.
    pub notify: Vec<String>,
}

/// One item, or the whole task if it has no loop.
pub struct Attempt {
    pub status: Status,
    pub result: Map<String, Json>,
    pub executed: Executed,
    pub diagnosis: Option<String>,
    pub delegated_to: Option<String>,
}

impl Attempt {
    fn of(executed: Executed) -> Attempt {
        let status = if executed.unreachable {
            Status::Unreachable
        } else if executed.failed {
            Status::Failed
        } else if executed.skipped {
            Status::Skipped
        } else if executed.changed {
            Status::Changed
        } else {
            Status::Ok
        };
        let mut result = executed.data.clone();
        result.insert("changed".into(), executed.changed.into());
        result.insert("failed".into(), executed.failed.into());
        if executed.skipped {
            result.insert("skipped".into(), true.into());
        }
        if executed.unreachable {
            result.insert("unreachable".into(), true.into());
        }
        Attempt { status, result, diagnosis: executed.diagnosis.clone(), executed, delegated_to: None }
    }

    fn failed(diag: &Diag) -> Attempt {
        Attempt::of(Executed::diagnosed(diag))
    }

    fn skipped(condition: Json) -> Attempt {
        let mut executed = Executed { skipped: true, ..Executed::default() };
        executed.data.insert("skip_reason".into(), "Conditional result was False".into());
        executed.data.insert("false_condition".into(), condition);
        Attempt::of(executed)
    }

    fn has_failed(&self) -> bool {
        matches!(self.status, Status::Failed)
    }
}

impl TaskRun {
    pub async fn run(self) -> TaskEnd {
        let started = Instant::now();
        self.playing.run.emit(Event::HostStarted { task: self.number, host: self.host.to_string() });
        let task = self.step.task.clone();
        let view = match self.playing.view(&self.host, Some(&task), &self.step.include_vars) {
            Ok(view) => Arc::new(view),
            Err(diag) => return self.end(Attempt::failed(&diag), &Arc::default(), false, started),
        };
        match &task.looped {
            None => {
                let attempt = self.item(&view).await;
                self.end(attempt, &view, false, started)
            }
            Some(looped) => match self.items(looped, &view) {
                Err(diag) => {
                    // A loop over something undefined is no error where the task would be skipped anyway.
                    let attempt = match self.condition(&view) {
                        Ok(Some(condition)) => Attempt::skipped(condition),
                        _ => Attempt::failed(&diag),
                    };
                    self.end(attempt, &view, false, started)
                }
                Ok(items) => {
                    let attempt = self.each(looped, items, &view).await;
                    self.end(attempt, &view, true, started)
                }
            },
        }
    }

    /// The items of a loop, rendered.
    fn items(&self, looped: &Loop, view: &Arc<View>) -> Result<Vec<Value>, Diag> {
        let templar = &self.playing.run.templar;
        let over = templar.render(&looped.over, view)?;
        match &looped.lookup {
            None => match over.kind() {
                minijinja::value::ValueKind::Seq | minijinja::value::ValueKind::Iterable => Ok(over.try_iter().into_iter().flatten().collect()),
                _ => {
                    let message = format!("`loop` needs a list, and this is {}: `{over}`", over.kind());
                    Err(Diag::error(message).at(&looped.over.span).hint("to loop over one string or a mapping, make a list of it: `[x]`, `x | dict2items`"))
                }
            },
            Some(lookup) => {
                let terms = match over.kind() {
                    minijinja::value::ValueKind::Seq => over.try_iter().into_iter().flatten().collect(),
                    _ => vec![over],
                };
                templar.lookup(lookup, terms, view, &looped.over)
            }
        }
    }

    /// Runs a loop and puts its items' results together.
    async fn each(&self, looped: &Loop, items: Vec<Value>, view: &Arc<View>) -> Attempt {
        let run = &self.playing.run;
        let text = |node: &Option<Node>, default: &str| match node {
            Some(node) => run.text_of(node, view),
            None => Ok(default.to_owned()),
        };
        let control = &looped.control;
        let (loop_var, index_var, pause, extended) = match (
            text(&control.loop_var, "item"),
            control.index_var.as_ref().map(|node| run.text_of(node, view)).transpose(),
            control.pause.as_ref().map(|node| run.templar.render(node, view)).transpose(),
            control.extended.as_ref().map_or(Ok(false), |node| run.bool_of(node, view)),
        ) {
            (Ok(loop_var), Ok(index_var), Ok(pause), Ok(extended)) => (loop_var, index_var, pause, extended),
            (Err(diag), ..) | (_, Err(diag), ..) | (_, _, Err(diag), _) | (_, _, _, Err(diag)) => return Attempt::failed(&diag),
        };
        let with_allitems = control.extended_allitems.as_ref().is_none_or(|node| run.bool_of(node, view).unwrap_or(true));
        if items.is_empty() {
            let mut executed = Executed { skipped: true, ..Executed::default() };
            for (key, value) in [("results", json!([])), ("skip_reason", json!("No items in the list")), ("skipped_reason", json!("No items in the list"))] {
                executed.data.insert(key.into(), value);
            }
            return Attempt::of(executed);
        }
        let mut all = Executed::default();
        let mut results = Vec::new();
        let (mut n_failed, mut n_skipped) = (0, 0);
        for (index, item) in items.iter().enumerate() {
            if index > 0
                && let Some(seconds) = pause.as_ref().and_then(|pause| pause.to_string().parse::<f64>().ok()).filter(|seconds| *seconds > 0.0)
            {
                tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            }
            let mut vars = VarMap::from([
                (loop_var.clone(), Variable::Data(item.clone())),
                ("ansible_loop_var".to_owned(), Variable::Data(Value::from(loop_var.clone()))),
            ]);
            if let Some(index_var) = &index_var {
                vars.insert(index_var.clone(), Variable::Data(Value::from(index)));
                vars.insert("ansible_index_var".to_owned(), Variable::Data(Value::from(index_var.clone())));
            }
            if extended {
                vars.insert("ansible_loop".to_owned(), Variable::Data(extended_loop(&items, index, with_allitems)));
            }
            let vars = Arc::new(vars);
            let item_view = Arc::new(view.with(Level::Loop, vars.clone()));
            let started = Instant::now();
            let mut attempt = self.item(&item_view).await;
            for include in &mut attempt.executed.includes {
                let mut with_item = (*include.vars).clone();
                with_item.extend(vars.iter().map(|(name, value)| (name.clone(), value.clone())));
                include.vars = Arc::new(with_item);
            }
            let label = match &control.label {
                Some(label) => run.text_of(label, &item_view).unwrap_or_else(|diag| diag.title),
                None => item.to_string(),
            };
            for include in &mut attempt.executed.includes {
                include.item = Some(label.clone());
            }
            attempt.result.insert("ansible_loop_var".into(), loop_var.clone().into());
            attempt.result.insert(loop_var.clone(), plain(item));
            if let Some(index_var) = &index_var {
                attempt.result.insert("ansible_index_var".into(), index_var.clone().into());
                attempt.result.insert(index_var.clone(), index.into());
            }
            n_failed += usize::from(attempt.has_failed());
            n_skipped += usize::from(attempt.status == Status::Skipped);
            all.changed |= attempt.executed.changed;
            all.unreachable |= attempt.status == Status::Unreachable;
            if attempt.executed.includes.is_empty() {
                let result = self.host_result(&attempt, Some(label), false, started.elapsed(), &item_view);
                run.emit(Event::ItemFinished { task: self.number, result });
            }
            all.includes.append(&mut attempt.executed.includes);
            all.notify.append(&mut self.notifications(&attempt, &item_view));
            let stop = match &control.break_when {
                Some(condition) => {
                    let after = Arc::new(self.with_result(&item_view, &attempt.result));
                    run.templar.condition(condition, &after)
                }
                None => Ok(false),
            };
            results.push(Json::Object(attempt.result));
            match stop {
                Ok(true) => break,
                Ok(false) => {}
                Err(diag) => {
                    n_failed += 1;
                    all.diagnosis = Some(diag.to_string());
                    break;
                }
            }
            if all.unreachable {
                break;
            }
        }
        let n_results = results.len();
        all.failed = n_failed > 0;
        all.skipped = n_skipped == n_results;
        let words = if all.failed {
            "One or more items failed"
        } else if all.skipped {
            "All items skipped"
        } else {
            "All items completed"
        };
        all.data.insert("msg".into(), words.into());
        all.data.insert("results".into(), Json::Array(results));
        Attempt::of(all)
    }

    /// One item: condition, attempts until it holds, `changed_when` and `failed_when`.
    async fn item(&self, view: &Arc<View>) -> Attempt {
        match self.condition(view) {
            Ok(None) => {}
            Ok(Some(condition)) => return Attempt::skipped(condition),
            Err(diag) => return Attempt::failed(&diag),
        }
        let (place, delegated_to, place_view) = match self.place(view) {
            Ok(place) => place,
            Err(diag) => return Attempt::failed(&diag),
        };
        let task = &self.step.task;
        let run = &self.playing.run;
        let number = |node: &Option<Node>, default: i64| match node {
            Some(node) => run
                .templar
                .render(node, view)
                .and_then(|value| value.to_string().trim().parse::<f64>().map_err(|_| Diag::error(format!("`{value}` is no number")).at(&node.span))),
            None => Ok(default as f64),
        };
        let has_until = task.until.is_some() || task.retries.is_some();
        let (retries, delay) = match (number(&task.retries, 3), number(&task.delay, 5)) {
            (Ok(retries), Ok(delay)) => (if has_until { retries.max(0.0) as u32 } else { 0 }, if delay < 0.0 { 1.0 } else { delay }),
            (Err(diag), _) | (_, Err(diag)) => return Attempt::failed(&diag),
        };
        let mut made = 0;
        loop {
            made += 1;
            let executed = self.execute(&place, &place_view, view).await;
            let mut attempt = Attempt::of(executed);
            attempt.delegated_to = delegated_to.clone();
            if has_until && attempt.status != Status::Skipped {
                attempt.result.insert("attempts".into(), made.into());
            }
            if let Err(diag) = self.judge(&mut attempt, view) {
                let mut failed = Attempt::failed(&diag);
                failed.delegated_to = delegated_to;
                return failed;
            }
            if !has_until || attempt.status == Status::Skipped || attempt.status == Status::Unreachable || run.is_interrupted() {
                return attempt;
            }
            let met = match &task.until {
                Some(until) => {
                    let after = Arc::new(self.with_result(view, &attempt.result));
                    match run.templar.condition(until, &after) {
                        Ok(met) => met,
                        Err(diag) => return Attempt::failed(&diag),
                    }
                }
                None => !attempt.has_failed(),
            };
            if met {
                return attempt;
            }
            if made > retries {
                attempt.result.insert("attempts".into(), retries.into());
                attempt.result.insert("failed".into(), true.into());
                attempt.status = Status::Failed;
                attempt.executed.failed = true;
                return attempt;
            }
            let left = retries - made;
            run.emit(Event::Retrying {
                task: self.number,
                host: self.host.to_string(),
                name: self.name.clone(),
                left,
                result: self.censored(&attempt.result, view),
            });
            tokio::time::sleep(Duration::from_secs_f64(delay)).await;
        }
    }

    async fn execute(&self, place: &Place, place_view: &Arc<View>, view: &Arc<View>) -> Executed {
        match actions::run(self, place, view).await {
            Some(done) => done,
            None => execute::on_host(self, place, place_view, view).await,
        }
    }

    /// `Some`: the first condition that does not hold, as it was written.
    fn condition(&self, view: &Arc<View>) -> Result<Option<Json>, Diag> {
        self.playing.first_false(&self.step.task, view)
    }

    /// Where it is done, and the variables of that place: the host itself, or whom it is delegated to.
    fn place(&self, view: &Arc<View>) -> Result<(Place, Option<String>, Arc<View>), Diag> {
        let keywords = &self.step.task.keywords;
        let delegate = match &keywords.delegate_to {
            Some(node) => {
                let value = self.playing.run.templar.render(node, view)?;
                if template::is_omit(&value) || value.is_none() { None } else { Some(value.to_string()) }
            }
            None => None,
        };
        match delegate {
            None => Ok((self.playing.place(&self.host, keywords, view)?, None, view.clone())),
            Some(delegate) => {
                let theirs = Arc::new(self.playing.view(&delegate, Some(&self.step.task), &self.step.include_vars)?);
                Ok((self.playing.place(&delegate, keywords, &theirs)?, Some(delegate), theirs))
            }
        }
    }

    /// `changed_when` and `failed_when`: what the user says counts.
    fn judge(&self, attempt: &mut Attempt, view: &Arc<View>) -> Result<(), Diag> {
        let task = &self.step.task;
        if attempt.status == Status::Skipped || attempt.status == Status::Unreachable || (task.changed_when.is_none() && task.failed_when.is_none()) {
            return Ok(());
        }
        let templar = &self.playing.run.templar;
        let after = Arc::new(self.with_result(view, &attempt.result));
        if let Some(condition) = &task.changed_when {
            attempt.executed.changed = templar.condition(condition, &after)?;
            attempt.result.insert("changed".into(), attempt.executed.changed.into());
        }
        if let Some(condition) = &task.failed_when {
            let after = Arc::new(self.with_result(view, &attempt.result));
            let failed = templar.condition(condition, &after)?;
            attempt.executed.failed = failed;
            attempt.result.insert("failed".into(), failed.into());
            attempt.result.insert("failed_when_result".into(), failed.into());
        }
        attempt.status = match (attempt.executed.failed, attempt.executed.changed) {
            (true, _) => Status::Failed,
            (false, true) => Status::Changed,
            (false, false) => Status::Ok,
        };
        Ok(())
    }

    /// What `changed_when`, `failed_when` and `until` see: the view with the result under the name that `register` gives it.
    fn with_result(&self, view: &Arc<View>, result: &Map<String, Json>) -> View {
        match self.step.task.register.as_ref().and_then(Node::as_str) {
            Some(name) => {
                let vars = VarMap::from([(name.to_owned(), Variable::data(&with_lines(result)))]);
                view.with(Level::Loop, Arc::new(vars))
            }
            None => (**view).clone(),
        }
    }

    /// Keeps and tells what came of it.
    fn end(self, mut attempt: Attempt, view: &Arc<View>, is_loop: bool, started: Instant) -> TaskEnd {
        let task = &self.step.task;
        let run = &self.playing.run;
        let memory = &run.memory;
        let flag = |node: &Option<Node>| node.as_ref().is_some_and(|node| run.bool_of(node, view).unwrap_or(false));
        let ignored = match attempt.status {
            Status::Failed => flag(&task.keywords.ignore_errors),
            Status::Unreachable => flag(&task.keywords.ignore_unreachable),
            _ => false,
        };
        let hosts = || std::iter::once(&self.host).chain(&self.also);
        if let Some(name) = task.register.as_ref().and_then(Node::as_str) {
            let value = Variable::data(&with_lines(&attempt.result));
            hosts().for_each(|host| memory.set(host, [(name.to_owned(), value.clone())]));
        }
        let includes = std::mem::take(&mut attempt.executed.includes);
        let mut notify = std::mem::take(&mut attempt.executed.notify);
        if !is_loop {
            notify = self.notifications(&attempt, view);
        }
        let result = self.host_result(&attempt, None, is_loop, started.elapsed(), view);
        let rescued = result.rescued;
        if includes.is_empty() {
            run.emit(Event::HostFinished { task: self.number, result: HostResult { ignored, rescued: rescued && !ignored, ..result } });
        }
        TaskEnd { status: attempt.status, ignored, rescued: rescued && !ignored, result: Json::Object(attempt.result), includes, notify }
    }

    /// Keeps facts, `set_fact` and `include_vars` for the host, those of `run_once`, or the delegate.
    pub fn keep(&self, executed: &Executed, delegated_to: Option<&str>, view: &Arc<View>) {
        let run = &self.playing.run;
        let task = &self.step.task;
        let to_delegate = task.keywords.delegate_facts.as_ref().is_some_and(|node| run.bool_of(node, view).unwrap_or(false));
        let delegate: Option<Arc<str>> = delegated_to.filter(|_| to_delegate).map(Into::into);
        let hosts: Vec<&Arc<str>> = match &delegate {
            Some(delegate) => vec![delegate],
            None => std::iter::once(&self.host).chain(&self.also).collect(),
        };
        for host in hosts {
            if !executed.facts.is_empty() {
                run.memory.add_facts(host, &executed.facts);
            }
            if !executed.set.is_empty() {
                run.memory.set(host, executed.set.iter().map(|(name, value)| (name.clone(), value.clone())));
            }
            if !executed.include_vars.is_empty() {
                run.memory.include_vars(host, executed.include_vars.clone());
            }
        }
    }

    fn notifications(&self, attempt: &Attempt, view: &Arc<View>) -> Vec<String> {
        if attempt.status != Status::Changed {
            return Vec::new();
        }
        let render = |node: &Node| {
            let value = self.playing.run.templar.render(node, view).ok()?;
            Some(match value.kind() {
                minijinja::value::ValueKind::Seq => value.try_iter().into_iter().flatten().map(|name| name.to_string()).collect(),
                _ => vec![value.to_string()],
            })
        };
        self.step.task.notify.iter().filter_map(render).flatten().collect()
    }

    fn host_result(&self, attempt: &Attempt, item: Option<String>, is_loop: bool, elapsed: Duration, view: &Arc<View>) -> HostResult {
        let failed = matches!(attempt.status, Status::Failed);
        let hidden = self.is_no_log(view);
        HostResult {
            host: self.host.to_string(),
            module: self.step.task.action.module.spec().short_name(),
            delegated_to: attempt.delegated_to.clone().filter(|delegate| *delegate != *self.host),
            status: attempt.status,
            ignored: false,
            rescued: failed && self.rescues && item.is_none(),
            item: item.map(|item| if hidden { "(censored due to no_log)".to_owned() } else { item }),
            is_loop,
            result: self.censored(&attempt.result, view),
            verbose: attempt.executed.verbose && !hidden,
            diagnosis: if hidden { None } else { attempt.diagnosis.clone() },
            elapsed,
        }
    }

    fn is_no_log(&self, view: &Arc<View>) -> bool {
        // What cannot be decided is hidden.
        self.step.task.keywords.no_log.as_ref().is_some_and(|node| self.playing.run.bool_of(node, view).unwrap_or(true))
    }

    /// A result as it may be shown.
    fn censored(&self, result: &Map<String, Json>, view: &Arc<View>) -> Json {
        if !self.is_no_log(view) {
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

    pub fn task(&self) -> &Arc<Task> {
        &self.step.task
    }
}

impl Playing {
    /// The first condition of a task that does not hold, as it was written; `None` if all do.
    pub fn first_false(&self, task: &Task, view: &Arc<View>) -> Result<Option<Json>, Diag> {
        for condition in &task.keywords.when {
            if !self.run.templar.condition(condition, view)? {
                return Ok(Some(match condition.as_bool() {
                    Some(literal) => literal.into(),
                    None => condition.as_str().unwrap_or(condition.span.text()).into(),
                }));
            }
        }
        Ok(None)
    }

    /// Whether all conditions of a step hold for a host.
    pub fn holds(&self, host: &str, step: &Step) -> Result<bool, Diag> {
        let view = Arc::new(self.view(host, Some(&step.task), &step.include_vars)?);
        Ok(self.first_false(&step.task, &view)?.is_none())
    }

    /// Whether the play wants facts of a host.
    pub fn gathers_facts(&self, host: &str) -> bool {
        let Some(node) = &self.play.gather_facts else { return true };
        self.view(host, None, &[]).is_ok_and(|view| self.run.bool_of(node, &Arc::new(view)).unwrap_or(true))
    }

    /// A task's name as it is shown: its role's first, the module's if it has none.
    pub fn name_of(&self, task: &Task, view: &Arc<View>) -> String {
        let name = match &task.name {
            Some(name) => self.run.templar.render_name(name, view),
            None => match task.action.args.iter().find(|(name, _)| task.include.is_some() && matches!(name.as_str(), "name" | "role")) {
                Some((_, role)) => format!("{} : {}", task.action.name, self.run.templar.render_name(role, view)),
                None => task.action.name.clone(),
            },
        };
        match &task.role {
            Some(role) => format!("{} : {name}", role.name),
            None => name,
        }
    }
}

impl super::Run {
    /// Counts a task's end for the recap.
    pub(super) fn count_end(&self, host: &str, end: &TaskEnd) {
        // What was included is counted where it is told.
        if !end.includes.is_empty() {
            return;
        }
        self.count(host, |stats: &mut Stats| match end.status {
            Status::Ok => stats.ok += 1,
            Status::Changed => {
                stats.ok += 1;
                stats.changed += 1;
            }
            Status::Skipped => stats.skipped += 1,
            Status::Failed if end.ignored => {
                stats.ok += 1;
                stats.ignored += 1;
                stats.changed += u32::from(end.result["changed"] == true);
            }
            Status::Failed if end.rescued => stats.rescued += 1,
            Status::Failed => stats.failed += 1,
            Status::Unreachable if end.ignored => stats.skipped += 1,
            Status::Unreachable => stats.unreachable += 1,
        });
    }
}

/// A result with `stdout_lines` and `stderr_lines` beside `stdout` and `stderr`.
fn with_lines(result: &Map<String, Json>) -> Json {
    let mut result = result.clone();
    for (text, lines) in [("stdout", "stdout_lines"), ("stderr", "stderr_lines")] {
        if let Some(words) = result.get(text).and_then(Json::as_str)
            && !result.contains_key(lines)
        {
            let split: Vec<Json> = words.lines().map(Json::from).collect();
            result.insert(lines.into(), split.into());
        }
    }
    Json::Object(result)
}

fn extended_loop(items: &[Value], index: usize, with_allitems: bool) -> Value {
    let length = items.len();
    let mut all = std::collections::BTreeMap::from([
        ("index", Value::from(index + 1)),
        ("index0", Value::from(index)),
        ("first", Value::from(index == 0)),
        ("last", Value::from(index + 1 == length)),
        ("length", Value::from(length)),
        ("revindex", Value::from(length - index)),
        ("revindex0", Value::from(length - index - 1)),
    ]);
    if with_allitems {
        all.insert("allitems", Value::from(items.to_vec()));
    }
    if let Some(previous) = index.checked_sub(1) {
        all.insert("previtem", items[previous].clone());
    }
    if let Some(next) = items.get(index + 1) {
        all.insert("nextitem", next.clone());
    }
    Value::from(all)
}

pub fn plain(value: &Value) -> Json {
    serde_json::to_value(value).unwrap_or_else(|_| Json::from(value.to_string()))
}
