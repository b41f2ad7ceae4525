//! One item of a task, or the whole task if it has no loop: condition, place, attempts, what counts as changed and failed.

use super::connect::Place;
use super::execute::Executed;
use super::task::TaskRun;
use super::{actions, execute};
use crate::report::{Event, Status};
use crate::source::{Diag, Node};
use crate::template;
use crate::vars::View;
use serde_json::{Map, Value as Json};
use std::sync::Arc;
use std::time::Duration;

/// What came of an item, judged.
pub struct Attempt {
    pub status: Status,
    pub result: Map<String, Json>,
    pub executed: Executed,
    pub diagnosis: Option<Arc<Diag>>,
    pub delegated_to: Option<String>,
    /// The task forgives that it failed, or that its host could not be reached.
    pub ignored: bool,
    /// This stands for a whole loop: `result.results` holds its items.
    pub is_loop: bool,
}

impl Attempt {
    pub fn of(executed: Executed) -> Attempt {
        let mut result = executed.data.clone();
        result.insert("changed".into(), executed.changed.into());
        result.insert("failed".into(), executed.failed.into());
        if executed.skipped {
            result.insert("skipped".into(), true.into());
        }
        if executed.unreachable {
            result.insert("unreachable".into(), true.into());
        }
        Attempt {
            status: status(&executed),
            result,
            diagnosis: executed.diagnosis.clone(),
            executed,
            delegated_to: None,
            ignored: false,
            is_loop: false,
        }
    }

    pub fn failed(diag: &Diag) -> Attempt {
        Attempt::of(Executed::diagnosed(diag))
    }

    pub fn skipped(condition: Json) -> Attempt {
        let mut executed = Executed { skipped: true, ..Executed::default() };
        executed.data.insert("skip_reason".into(), "Conditional result was False".into());
        executed.data.insert("false_condition".into(), condition);
        Attempt::of(executed)
    }

    pub fn has_failed(&self) -> bool {
        matches!(self.status, Status::Failed)
    }

    /// It failed, or its host could not be reached.
    pub fn has_trouble(&self) -> bool {
        matches!(self.status, Status::Failed | Status::Unreachable)
    }

    /// Makes a failure of it, and keeps what the module said.
    fn fail(&mut self, diag: &Diag) {
        let failure = Attempt::failed(diag);
        self.result.extend(failure.result.into_iter().filter(|(key, _)| key != "changed"));
        self.diagnosis = failure.diagnosis;
        self.set_failed(true);
    }

    fn set_changed(&mut self, changed: bool) {
        self.executed.changed = changed;
        self.result.insert("changed".into(), changed.into());
        self.status = status(&self.executed);
    }

    fn set_failed(&mut self, failed: bool) {
        self.executed.failed = failed;
        self.result.insert("failed".into(), failed.into());
        self.status = status(&self.executed);
    }
}

fn status(executed: &Executed) -> Status {
    if executed.unreachable {
        Status::Unreachable
    } else if executed.failed {
        Status::Failed
    } else if executed.skipped {
        Status::Skipped
    } else if executed.changed {
        Status::Changed
    } else {
        Status::Ok
    }
}

/// `ignore_errors` and `ignore_unreachable`.
struct Forgiving {
    errors: bool,
    unreachable: bool,
}

/// `until`, `retries` and `delay`.
struct Retrying {
    retries: u32,
    delay: Duration,
}

impl TaskRun {
    /// One item: its condition first, then as many attempts as it takes.
    pub async fn item(&self, view: &Arc<View>) -> Attempt {
        match self.playing.first_false(self.task(), view) {
            Ok(None) => self.forgive(self.unforgiven(view).await, view),
            Ok(Some(condition)) => Attempt::skipped(condition),
            Err(diag) => self.forgive(Attempt::failed(&diag), view),
        }
    }

    /// Ignores what the task says is to be ignored.
    pub fn forgive(&self, mut attempt: Attempt, view: &Arc<View>) -> Attempt {
        attempt.ignored = self.forgiving(view).is_ok_and(|forgiving| match attempt.status {
            Status::Failed => forgiving.errors,
            Status::Unreachable => forgiving.unreachable,
            Status::Ok | Status::Changed | Status::Skipped => false,
        });
        attempt
    }

    fn forgiving(&self, view: &Arc<View>) -> Result<Forgiving, Diag> {
        let keywords = &self.task().keywords;
        let flag = |node: &Option<Node>| node.as_ref().map_or(Ok(false), |node| self.playing.run.bool_of(node, view));
        // A file that cannot be included is nothing to ignore.
        let errors = self.task().include.is_none() && flag(&keywords.ignore_errors)?;
        Ok(Forgiving { errors, unreachable: flag(&keywords.ignore_unreachable)? })
    }

    async fn unforgiven(&self, view: &Arc<View>) -> Attempt {
        if let Err(diag) = self.forgiving(view) {
            return Attempt::failed(&diag);
        }
        let (place, delegated_to, place_view) = match self.place(view) {
            Ok(place) => place,
            Err(diag) => return Attempt::failed(&diag),
        };
        let mut attempt = match self.retrying(view) {
            Ok(None) => self.attempt(&place, &place_view, view, None).await,
            Ok(Some(retrying)) => self.attempts(&retrying, &place, &place_view, view).await,
            Err(diag) => Attempt::failed(&diag),
        };
        attempt.delegated_to = delegated_to;
        attempt
    }

    /// Attempts until the condition holds, or there are none left.
    async fn attempts(&self, retrying: &Retrying, place: &Place, place_view: &Arc<View>, view: &Arc<View>) -> Attempt {
        let run = &self.playing.run;
        let mut made = 0;
        loop {
            made += 1;
            let mut attempt = self.attempt(place, place_view, view, Some(made)).await;
            if matches!(attempt.status, Status::Skipped | Status::Unreachable) || run.is_interrupted() {
                return attempt;
            }
            match self.is_met(&attempt, view) {
                Ok(true) => return attempt,
                Ok(false) => {}
                Err(diag) => return Attempt::failed(&diag),
            }
            if made > retrying.retries {
                attempt.result.insert("attempts".into(), retrying.retries.into());
                attempt.set_failed(true);
                return attempt;
            }
            let result = super::outcome::shown(&attempt.result, attempt.executed.hidden || self.is_no_log(view));
            run.emit(Event::Retrying {
                task: self.number,
                host: self.host.to_string(),
                name: self.name.clone(),
                left: retrying.retries - made,
                result,
            });
            tokio::time::sleep(retrying.delay).await;
        }
    }

    /// One attempt, judged. `number`: which it is, where there may be several.
    async fn attempt(&self, place: &Place, place_view: &Arc<View>, view: &Arc<View>, number: Option<u32>) -> Attempt {
        let executed = match actions::run(self, place, view).await {
            Some(done) => done,
            None => execute::on_host(self, place, place_view, view).await,
        };
        let mut attempt = Attempt::of(executed);
        if matches!(attempt.status, Status::Skipped | Status::Unreachable) {
            return attempt;
        }
        if let Some(number) = number {
            attempt.result.insert("attempts".into(), number.into());
        }
        if let Err(diag) = self.judge(&mut attempt, view) {
            attempt.fail(&diag);
        }
        attempt
    }

    /// `None`: the one attempt counts, whatever `until` says of it.
    fn retrying(&self, view: &Arc<View>) -> Result<Option<Retrying>, Diag> {
        let task = self.task();
        let retries = match (&task.retries, &task.until) {
            (Some(node), _) => self.number_of(node, view)?.max(0.0) as u32,
            (None, Some(_)) => 3,
            (None, None) => 0,
        };
        if retries == 0 {
            return Ok(None);
        }
        let delay = task.delay.as_ref().map_or(Ok(5.0), |node| self.number_of(node, view))?;
        // Ansible takes a negative delay for one second.
        let seconds = if delay < 0.0 { 1.0 } else { delay };
        Ok(Some(Retrying { retries, delay: Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX) }))
    }

    pub fn number_of(&self, node: &Node, view: &Arc<View>) -> Result<f64, Diag> {
        let value = self.playing.run.templar.render(node, view)?;
        value.to_string().trim().parse::<f64>().map_err(|_| Diag::error(format!("`{value}` is no number")).at(&node.span))
    }

    fn is_met(&self, attempt: &Attempt, view: &Arc<View>) -> Result<bool, Diag> {
        match &self.task().until {
            Some(until) => {
                let met = self.playing.run.templar.condition(until, &self.with_result(view, &attempt.result));
                met.map_err(|diag| diag.during("An 'until' expression failed").during("Action failed"))
            }
            None => Ok(!attempt.has_failed()),
        }
    }

    /// Where it is done, and the variables of that place: the host itself, or whom it is delegated to.
    fn place(&self, view: &Arc<View>) -> Result<(Place, Option<String>, Arc<View>), Diag> {
        let keywords = &self.task().keywords;
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
                let theirs = Arc::new(self.playing.view(&delegate, Some(self.task()), &self.step.include_vars)?);
                Ok((self.playing.place(&delegate, keywords, &theirs)?, Some(delegate), theirs))
            }
        }
    }

    /// `changed_when` and `failed_when`: what the user says counts.
    fn judge(&self, attempt: &mut Attempt, view: &Arc<View>) -> Result<(), Diag> {
        let templar = &self.playing.run.templar;
        if let Some(condition) = &self.task().changed_when {
            let changed = templar.condition(condition, &self.with_result(view, &attempt.result));
            let changed = changed.map_err(|diag| diag.during("A 'changed_when' expression failed").during("Action failed"))?;
            attempt.set_changed(changed);
            attempt.result.insert("changed_when_result".into(), changed.into());
        }
        if let Some(condition) = &self.task().failed_when {
            let failed = templar.condition(condition, &self.with_result(view, &attempt.result));
            let failed = failed.map_err(|diag| diag.during("A 'failed_when' expression failed").during("Action failed"))?;
            attempt.set_failed(failed);
            attempt.result.insert("failed_when_result".into(), failed.into());
        }
        Ok(())
    }
}
