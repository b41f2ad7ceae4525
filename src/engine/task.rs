//! One task on one host, from its turn to its end. What happens between is in `attempt` (one item) and `looping` (all of them); what is kept and
//! told of it is in `outcome`.

use super::attempt::Attempt;
use super::costs::Spent;
use super::cursor::{Cursor, Step};
use super::in_flight::InFlight;
use super::include::Include;
use super::journaling::Turn;
use super::looping::Doing;
use super::memory::Known;
use super::play::Playing;
use crate::playbook::Task;
use crate::playbook::vocabulary;
use crate::report::{Event, HostResult, Status};
use crate::source::Diag;
use crate::vars::View;
use serde_json::Value as Json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

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
    pub in_flight: Arc<InFlight>,
    /// The turn in the journal.
    pub turn: Turn,
    /// The loop that is being done, as far as it has come.
    pub doing: Mutex<Option<Doing>>,
    /// What was known of the hosts for which it has kept something, before it did.
    pub before: Mutex<HashMap<Arc<str>, Known>>,
    /// What it costs, if somebody asked.
    pub spent: Option<Arc<Spent>>,
}

/// How a task ended on a host.
pub struct TaskEnd {
    pub status: Status,
    pub ignored: bool,
    pub rescued: bool,
    /// An earlier life of the run has done it.
    pub is_past: bool,
    pub result: Json,
    pub includes: Vec<Include>,
    /// Handlers to notify: rendered names, of a task that changed something.
    pub notify: Vec<String>,
}

impl TaskEnd {
    /// Whether it brings other tasks: that is told and counted when they have been loaded, for all hosts at once.
    pub fn is_including(&self) -> bool {
        !self.includes.is_empty() && !self.is_loss()
    }

    /// Whether the host cannot go on as if nothing had happened.
    pub fn is_loss(&self) -> bool {
        matches!(self.status, Status::Failed | Status::Unreachable) && !self.ignored
    }
}

impl TaskRun {
    pub async fn run(mut self) -> TaskEnd {
        let started = Instant::now();
        if !self.turn.is_past() {
            self.playing.run.emit(Event::HostStarted { task: self.number, host: self.host.to_string() });
        }
        let view = match self.playing.view(&self.host, Some(self.task()), &self.step.include_vars) {
            Ok(view) => self.with_task(view),
            Err(diag) => return self.end(Attempt::failed(&diag), &Arc::default(), started),
        };
        if self.task().action.computed.is_some() {
            match self.resolve_action(&view) {
                Ok(task) => self.step.task = Arc::new(task),
                // What is passed over need not be there.
                Err(diag) => {
                    let attempt = match self.playing.first_false(self.task(), &view) {
                        Ok(Some(condition)) => Attempt::skipped(condition),
                        _ => self.forgive(Attempt::failed(&diag), &view),
                    };
                    return self.end(attempt, &view, started);
                }
            }
        }
        let task = self.task().clone();
        let (attempt, view) = match &task.looped {
            None => (self.item(&view).await, view),
            Some(looped) => match self.playing.items(looped, &view) {
                Ok(items) => self.each(looped, items, view).await,
                // A loop over something undefined is no error where the task would be skipped anyway.
                Err(diag) => match self.playing.first_false(&task, &view) {
                    Ok(Some(condition)) => (Attempt::skipped(condition), view),
                    _ if ["The `loop` value", "The lookup plugin"].iter().any(|start| diag.title.starts_with(start)) => {
                        (self.forgive(Attempt::told(&diag), &view), view)
                    }
                    _ => (self.forgive(Attempt::failed(&diag), &view), view),
                },
            },
        };
        self.end(attempt, &view, started)
    }

    /// The task with the module that its action names now.
    fn resolve_action(&self, view: &Arc<View>) -> Result<Task, Diag> {
        let mut task = self.task().as_ref().clone();
        let Some(computed) = task.action.computed.take() else { return Ok(task) };
        let name = self.playing.run.text_of(&computed, view)?;
        let unknown = || {
            let short = name.rsplit('.').next().unwrap_or(&name);
            let diag = match vocabulary::instead_of_module(short) {
                None => Diag::error(format!(
                    "couldn't resolve module/action '{name}'. This often indicates a misspelling, missing collection, or incorrect module path."
                )),
                Some("") => Diag::error(format!("nodewright has no module '{name}'")),
                Some(instead) => Diag::error(format!("nodewright has no module '{name}'")).hint(instead),
            };
            diag.at(&computed.span)
        };
        // What is resolved when a playbook is read cannot be computed.
        let module = crate::module::find(&name).filter(|module| {
            !matches!(module.spec().short_name(), "meta" | "import_tasks" | "import_role" | "include_tasks" | "include_role")
        });
        task.action.module = module.ok_or_else(unknown)?;
        task.action.name = name;
        if let crate::module::FreeForm::Param(param) = task.action.module.spec().free_form {
            task.action.args.iter_mut().filter(|(word, _)| word == "_raw_params").for_each(|(word, _)| param.clone_into(word));
        }
        Ok(task)
    }

    /// Ends the task without having begun it: what it asks of all its hosts together cannot be known.
    pub fn refuse(self, diag: &Diag) -> TaskEnd {
        self.end(Attempt::failed(diag), &Arc::default(), Instant::now())
    }

    /// Keeps and tells what came of it.
    fn end(self, attempt: Attempt, view: &Arc<View>, started: Instant) -> TaskEnd {
        match attempt.is_loop {
            true => self.in_flight.end_loop(&attempt.result),
            false => self.in_flight.record(&attempt.result),
        }
        if attempt.has_trouble() {
            self.forget();
        }
        let mut attempt = self.register(attempt, view);
        let ignored = attempt.ignored;
        let includes = std::mem::take(&mut attempt.executed.includes);
        let notify = match attempt.executed.notify.is_empty() {
            true => self.notifications(&attempt, view),
            false => std::mem::take(&mut attempt.executed.notify),
        };
        let result = self.host_result(&attempt, None, started.elapsed(), view);
        let rescued = result.rescued && !ignored;
        let is_past = self.turn.is_past();
        let end = TaskEnd { status: attempt.status, ignored, rescued, is_past, result: Json::Object(attempt.result), includes, notify };
        if !end.is_including() {
            self.playing.run.emit(Event::HostFinished { task: self.number, result: HostResult { ignored, rescued, ..result } });
        }
        self.tell_cost(started.elapsed());
        end
    }

    /// The next item of the loop has its turn.
    pub fn set_doing(&self, doing: Doing) {
        *self.doing.lock().expect("no panic holds the lock") = Some(doing);
    }

    pub fn task(&self) -> &Arc<Task> {
        &self.step.task
    }

    /// Whether the task is only to say what it would change.
    pub fn checks(&self, view: &Arc<View>) -> Result<bool, Diag> {
        self.playing.checks(self.task(), view)
    }
}

impl Playing {
    /// The first condition of a task that does not hold, as it was written; `None` if all do.
    pub fn first_false(&self, task: &Task, view: &Arc<View>) -> Result<Option<Json>, Diag> {
        for condition in &task.keywords.when {
            if !self.run.condition("when", condition, view)? {
                return Ok(Some(match condition.as_bool() {
                    Some(literal) => literal.into(),
                    None => condition.as_str().unwrap_or(condition.span.text()).into(),
                }));
            }
        }
        Ok(None)
    }

    /// Whether the play wants facts of a host.
    pub fn gathers_facts(&self, host: &str) -> bool {
        let wanted = self
            .play
            .gather_facts
            .as_ref()
            .map(|node| self.view(host, None, &[]).is_ok_and(|view| self.run.bool_of(node, &Arc::new(view)).unwrap_or(true)));
        match self.run.settings.config.text("DEFAULT_GATHERING") {
            Some("explicit") => wanted == Some(true),
            Some("smart") => wanted != Some(false) && !self.run.memory.of(host).is_gathered,
            _ => wanted != Some(false),
        }
    }

    /// Whether a task is only to say what it would change.
    pub fn checks(&self, task: &Task, view: &Arc<View>) -> Result<bool, Diag> {
        self.run.flag("check_mode", &task.keywords.check_mode, view).map(|checks| checks.unwrap_or(self.run.settings.check))
    }

    /// A task's name as it is shown: its role's first, the module's if it has none.
    pub fn name_of(&self, task: &Task, view: &Arc<View>) -> String {
        super::variables::name_of(&self.run, task, view)
    }
}
