//! One item of a task, or the whole task if it has no loop: condition, place, attempts, what counts as changed and failed.

use super::connect::Place;
use super::execute::Executed;
use super::interrupt::Stop;
use super::task::TaskRun;
use super::{actions, asynchronous, execute};
use crate::module::Registered;
use crate::report::{Event, Status};
use crate::source::Diag;
use crate::template;
use crate::vars::{Level, View};
use serde_json::{Map, Value as Json};
use std::sync::Arc;
use std::time::Duration;

/// What stands for the exception of a failure: there is none here, but playbooks ask whether there was.
const NO_TRACEBACK: &str = "(traceback unavailable)";

/// What came of an item, judged.
pub struct Attempt {
    pub status: Status,
    pub result: Map<String, Json>,
    pub executed: Executed,
    pub diagnosis: Option<Arc<Diag>>,
    pub delegated_to: Option<String>,
    /// The task forgives that it failed, or that its host could not be reached.
    pub ignored: bool,
    /// Why it failed, where the module itself did not.
    pub why: Option<&'static str>,
    /// What the task would forgive.
    pub forgiving: Forgiving,
    /// This stands for a whole loop: `result.results` holds its items.
    pub is_loop: bool,
}

impl Attempt {
    pub fn of(executed: Executed) -> Attempt {
        let mut result = executed.data.clone();
        result.insert("changed".into(), executed.changed.into());
        result.insert("failed".into(), executed.failed.into());
        if executed.failed {
            result.insert("exception".into(), NO_TRACEBACK.into());
        }
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
            why: None,
            forgiving: Forgiving::default(),
            is_loop: false,
        }
    }

    pub fn failed(diag: &Diag) -> Attempt {
        let diagnosis = Some(Arc::new(diag.clone()));
        Attempt::of(Executed { diagnosis, ..Executed::failed(format!("Task failed: {}", diag.in_full())) })
    }

    /// A failure in its own words, without those that say that the task failed.
    pub fn told(diag: &Diag) -> Attempt {
        Attempt::of(Executed { diagnosis: Some(Arc::new(diag.clone())), ..Executed::failed(diag.in_full()) })
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

    /// A condition on the result could not be evaluated: that is a failure, and what the module said is kept.
    pub fn fail_condition(&mut self, word: &str, diag: Diag) {
        self.result.insert(format!("{word}_result"), diag.in_full().into());
        let diag = super::variables::of_condition(diag, word);
        let words = diag.in_full();
        self.diagnosis = Some(Arc::new(diag));
        self.suppress(word);
        self.set_failed(true);
        // A module that broke has no words of its own.
        if self.result.get("msg").and_then(Json::as_str).is_some_and(|msg| msg.starts_with("Task failed: Module failed"))
            && word != "break_when"
        {
            self.result.insert("msg".into(), format!("Task failed: Module failed: {words}").into());
        }
        self.say_if_silent(format!("Task failed: Action failed: {words}"));
    }

    /// Keeps the exception of a failure that is judged anew.
    fn suppress(&mut self, word: &str) {
        if let Some(exception) = self.result.shift_remove("exception") {
            self.result.insert(format!("{word}_suppressed_exception"), exception);
        }
    }

    fn say_if_silent(&mut self, words: String) {
        if self.result.get("msg").is_none_or(|msg| msg.is_null() || msg == "") {
            self.result.insert("msg".into(), words.into());
        }
    }

    /// Makes a failure of it: so many of the expressions of `register` cannot be evaluated.
    pub fn fail_registering(&mut self, n_parts: usize, failed: &[Diag]) {
        let n_failed = failed.len();
        let title = format!("Task failed due to errors in {n_failed} out of {n_parts} register projections.");
        let diag = failed.iter().fold(Diag::error(title), |diag, part| {
            let diag = part.places.iter().fold(diag, |diag, (span, _)| diag.at(span));
            diag.note(part.title.clone())
        });
        self.diagnosis = Some(Arc::new(diag));
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
        if failed {
            self.result.insert("exception".into(), NO_TRACEBACK.into());
        } else {
            self.result.shift_remove("exception");
        }
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
#[derive(Clone, Copy, Default)]
pub struct Forgiving {
    pub errors: bool,
    pub unreachable: bool,
}

impl Forgiving {
    pub fn forgives(self, status: Status) -> bool {
        match status {
            Status::Failed => self.errors,
            Status::Unreachable => self.unreachable,
            Status::Ok | Status::Changed | Status::Skipped => false,
        }
    }
}

/// `until`, `retries` and `delay`.
struct Retrying {
    retries: u32,
    delay: Duration,
}

impl TaskRun {
    /// One item: its condition first, then as many attempts as it takes.
    pub async fn item(&self, view: &Arc<View>) -> Attempt {
        let attempt = match self.item_again(view).await {
            Some(known) => known,
            None => self.item_now(view).await,
        };
        self.in_flight.record(&attempt.result);
        attempt
    }

    async fn item_now(&self, view: &Arc<View>) -> Attempt {
        match self.playing.first_false(self.task(), view) {
            Ok(None) => self.forgive(self.unforgiven(view).await, view),
            Ok(Some(condition)) => {
                self.write_passed(&condition);
                Attempt::skipped(condition)
            }
            Err(diag) => self.forgive(Attempt::failed(&diag), view),
        }
    }

    /// Ignores what the task says is to be ignored.
    pub fn forgive(&self, mut attempt: Attempt, view: &Arc<View>) -> Attempt {
        attempt.forgiving = self.forgiving(view).unwrap_or_default();
        attempt.ignored = attempt.forgiving.forgives(attempt.status);
        attempt
    }

    fn forgiving(&self, view: &Arc<View>) -> Result<Forgiving, Diag> {
        let keywords = &self.task().keywords;
        let flag = |word, node| self.playing.run.flag(word, node, view).map(Option::unwrap_or_default);
        // A file that cannot be included is nothing to ignore.
        let errors = self.task().include.is_none() && flag("ignore_errors", &keywords.ignore_errors)?;
        Ok(Forgiving { errors, unreachable: flag("ignore_unreachable", &keywords.ignore_unreachable)? })
    }

    pub(super) async fn unforgiven(&self, view: &Arc<View>) -> Attempt {
        if let Err(diag) = self.forgiving(view) {
            return Attempt::failed(&diag);
        }
        if let Err(diag) = self.playing.run.flag("diff", &self.task().keywords.diff, view).and(self.checks(view)) {
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
            match self.is_met(&attempt, &self.with_kept(&attempt, view)) {
                Ok(true) => return attempt,
                Ok(false) => {}
                Err(diag) => return Attempt::failed(&diag),
            }
            if made > retrying.retries {
                attempt.result.insert("attempts".into(), retrying.retries.into());
                // What failed_when said of the last attempt stands. That nothing more is tried is no exception.
                if self.task().failed_when.is_none() && !attempt.executed.failed {
                    attempt.set_failed(true);
                    attempt.result.shift_remove("exception");
                }
                return attempt;
            }
            if self.turn.has(made) && self.turn.has(made + 1) {
                continue;
            }
            let hidden = attempt.executed.hidden || self.is_no_log(view);
            let mut result = attempt.result.clone();
            result.extend(self.in_flight.of_item());
            // As ansible-core counts: all attempts that there may be, and the one to come.
            result.insert("retries".into(), (retrying.retries + 1).into());
            result.insert("attempts".into(), (made + 1).into());
            for word in ["failed", "exception"] {
                result.shift_remove(word);
            }
            let result = super::outcome::shown(&result, hidden);
            run.emit(Event::Retrying {
                task: self.number,
                host: self.host.to_string(),
                delegated_to: (place.target.name != *self.host).then(|| place.target.name.clone()),
                name: self.name.clone(),
                left: retrying.retries - made,
                result,
                verbose: attempt.executed.verbose && !hidden,
            });
            if run.unless_interrupted(Stop::Finish, tokio::time::sleep(retrying.delay)).await.is_none() {
                attempt.set_failed(true);
                return attempt;
            }
        }
    }

    /// One attempt, judged. `number`: which it is, where there may be several.
    async fn attempt(&self, place: &Place, place_view: &Arc<View>, view: &Arc<View>, number: Option<u32>) -> Attempt {
        let executed = match self.begin_attempt(number.unwrap_or(0)) {
            Some(kept) if !kept.again => self.executed_again(kept, place, view),
            Some(kept) => {
                let executed = self.execute(place, place_view, view).await;
                if kept.failed && !executed.failed {
                    self.begin_anew();
                }
                executed
            }
            None => {
                self.go_live();
                let executed = self.execute(place, place_view, view).await;
                self.write_did(&executed, view);
                executed
            }
        };
        let mut attempt = Attempt::of(executed);
        if matches!(attempt.status, Status::Skipped | Status::Unreachable) {
            return attempt;
        }
        if let Some(number) = number {
            attempt.result.insert("attempts".into(), number.into());
        }
        self.in_flight.record(&attempt.result);
        let view = self.with_kept(&attempt, view);
        self.judge(&mut attempt, &view);
        attempt
    }

    /// Has the task's module do its work.
    async fn execute(&self, place: &Place, place_view: &Arc<View>, view: &Arc<View>) -> Executed {
        // Boxed, since every caller up to the run's own loop has it within itself, for each host.
        match self.background(view) {
            Err(diag) => Executed::diagnosed(&diag),
            Ok(Some(terms)) => Box::pin(asynchronous::run(self, &terms, place, place_view, view)).await,
            Ok(None) => match self.in_time(Box::pin(actions::run(self, place, view)), view).await {
                Err(executed) => executed,
                Ok(Some(done)) => done,
                Ok(None) => self
                    .unless_interrupted(Box::pin(execute::on_host(self, place, place_view, view)))
                    .await
                    .unwrap_or_else(|executed| executed),
            },
        }
    }

    /// What the conditions on a result see beside the task's variables: what the task has just set.
    fn with_kept(&self, attempt: &Attempt, view: &Arc<View>) -> Arc<View> {
        let executed = &attempt.executed;
        if !executed.is_kept() {
            return view.clone();
        }
        let set = executed.include_vars.iter().chain(executed.set.iter().map(|(name, value)| (name, value)));
        let set = set.map(|(name, value)| (name.clone(), value.clone())).collect();
        let view = view.with(Level::Facts, self.playing.run.memory.of(&self.host).facts);
        Arc::new(view.with(Level::IncludeParams, Arc::new(set)))
    }

    /// What the engine itself does for the task, if it is done in the task's time. On a host, the host watches the time.
    async fn in_time<T>(&self, doing: impl Future<Output = T>, view: &Arc<View>) -> Result<T, Executed> {
        let limit = self.playing.run.timeout_of(&self.task().keywords, view).map_err(|diag| Executed::diagnosed(&diag))?;
        let doing = self.unless_interrupted(doing);
        let Some(limit) = limit else { return doing.await };
        match tokio::time::timeout(limit, doing).await {
            Ok(done) => done,
            Err(_) => Err(Executed::timed_out(limit)),
        }
    }

    /// Mere waiting ends when the run is asked to end, and what the engine does itself when that is to be interrupted. What runs on a host is
    /// interrupted there, and ends in its own way.
    async fn unless_interrupted<T>(&self, doing: impl Future<Output = T>) -> Result<T, Executed> {
        let module = self.task().action.module;
        let least = match (module.spec().short_name(), module) {
            ("pause" | "wait_for" | "wait_for_connection", _) => Stop::Finish,
            (_, Registered::InEngine(_)) => Stop::Interrupt,
            (_, Registered::OnHost(_)) => Stop::Quit,
        };
        self.playing.run.unless_interrupted(least, doing).await.ok_or_else(|| Executed::failed("interrupted"))
    }

    /// `None`: the one attempt counts, whatever `until` says of it.
    fn retrying(&self, view: &Arc<View>) -> Result<Option<Retrying>, Diag> {
        let task = self.task();
        let number = |word, node, is_whole| self.playing.run.number(word, node, is_whole, view);
        let retries = match (number("retries", &task.retries, true)?, &task.until) {
            (Some(retries), _) => retries.max(0.0) as u32,
            (None, Some(_)) => 3,
            (None, None) => 0,
        };
        if retries == 0 {
            return Ok(None);
        }
        let delay = number("delay", &task.delay, false)?.unwrap_or(5.0);
        // Ansible takes a negative delay for one second.
        let seconds = if delay < 0.0 { 1.0 } else { delay };
        Ok(Some(Retrying { retries, delay: Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX) }))
    }

    fn is_met(&self, attempt: &Attempt, view: &Arc<View>) -> Result<bool, Diag> {
        match &self.task().until {
            Some(until) => self.playing.run.condition("until", until, &self.with_registered(view)),
            None => Ok(!attempt.has_failed()),
        }
    }

    /// Where it is done, and the variables of that place: the host itself, or whom it is delegated to.
    pub fn place(&self, view: &Arc<View>) -> Result<(Place, Option<String>, Arc<View>), Diag> {
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
    fn judge(&self, attempt: &mut Attempt, view: &Arc<View>) {
        let run = &self.playing.run;
        if let Some(condition) = &self.task().changed_when {
            match run.templar.condition(condition, &self.with_registered(view)) {
                Ok(changed) => {
                    attempt.set_changed(changed);
                    attempt.result.insert("changed_when_result".into(), changed.into());
                }
                Err(diag) => return attempt.fail_condition("changed_when", diag),
            }
            self.in_flight.record(&attempt.result);
        }
        if let Some(condition) = &self.task().failed_when {
            match run.templar.condition(condition, &self.with_registered(view)) {
                Ok(failed) => {
                    attempt.suppress("failed_when");
                    attempt.set_failed(failed);
                    attempt.result.insert("failed_when_result".into(), failed.into());
                    if failed {
                        attempt.why = Some("A 'failed_when' expression evaluated to 'True'.");
                        attempt.say_if_silent("Task failed: Action failed: A 'failed_when' expression evaluated to 'True'.".to_owned());
                    }
                }
                Err(diag) => return attempt.fail_condition("failed_when", diag),
            }
            self.in_flight.record(&attempt.result);
        }
    }
}
