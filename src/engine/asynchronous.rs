//! `async`: a task's apply as a job on the host that outlives the task, and `async_status`, which looks after it.
//!
//! The module asks and decides as always, in the foreground; what it wants done is started and not followed. A file of Ansible's own place and
//! form (`~/.ansible_async/JID`) stands for the job: it says which job of the host is meant while it runs, and holds its result when it has been
//! seen to end. This run knows how to read what the job printed as its module would; a later run reads it as a command's.

use super::actions::Action;
use super::attempt::Attempt;
use super::connect::Place;
use super::execute::{self, Act, Decided, Executed, Step, Trouble};
use super::interrupt::Stop;
use super::outcome::with_lines;
use super::task::TaskRun;
use super::wire::Wire;
use crate::module::{Failure, Registered};
use crate::remote::JobState;
use crate::report::Event;
use crate::sh::{Output, Script, quote};
use crate::source::Diag;
use crate::vars::{Variable, View};
use serde_json::{Map, Value as Json, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Modules that Ansible begins on the controller: it cannot put them into the background, and neither can their callers.
const IN_FOREGROUND: &[&str] = &[
    "ansible.builtin.assemble",
    "ansible.builtin.copy",
    "ansible.builtin.fetch",
    "ansible.builtin.raw",
    "ansible.builtin.script",
    "ansible.builtin.template",
    "ansible.builtin.unarchive",
];

/// Which job of the host a file stands for: the key in the file.
const JOB: &str = "_nodewright_job";
/// What the task returns beside what the job says: the key in the file.
const OUTCOME: &str = "_nodewright_outcome";

/// `async` and `poll`.
pub struct Terms {
    seconds: u64,
    poll: Duration,
}

/// Jobs that this run started and has not seen end, by their number.
#[derive(Default)]
pub struct Background {
    running: Mutex<HashMap<String, Running>>,
}

/// How the job's answer is understood.
struct Running {
    act: Box<Act>,
    diff_mode: bool,
}

/// What is known of a job now.
enum Seen {
    NoSuchJob,
    Running,
    /// Its result.
    Ended(Map<String, Json>),
    /// It was killed because its time was over.
    Late(Map<String, Json>),
}

impl Background {
    fn put(&self, jid: &str, running: Running) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(jid.to_owned(), running);
    }

    /// Lets go of the jobs: they go on, and a later run may ask for them. (They know this run, which would keep itself for ever.)
    pub fn leave(&self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn take(&self, jid: &str) -> Option<Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(jid)
    }
}

impl TaskRun {
    /// Whether the task goes into the background, and for how long.
    pub fn background(&self, view: &Arc<View>) -> Result<Option<Terms>, Diag> {
        let run = &self.playing.run;
        let Some(seconds) = run.number("async", &self.task().asynchronous, true, view)?.filter(|seconds| *seconds > 0.0) else {
            return Ok(None);
        };
        let default = run.settings.config.number("DEFAULT_POLL_INTERVAL").unwrap_or(15);
        let poll = run.number("poll", &self.task().poll, true, view)?.unwrap_or(default as f64);
        Ok(Some(Terms { seconds: seconds.ceil() as u64, poll: Duration::try_from_secs_f64(poll.max(0.0)).unwrap_or(Duration::MAX) }))
    }
}

/// Runs a task in the background; waits for it if it is to be polled.
pub async fn run(task_run: &TaskRun, terms: &Terms, place: &Place, place_view: &Arc<View>, view: &Arc<View>) -> Executed {
    let module = match task_run.task().action.module {
        Registered::OnHost(module) if !IN_FOREGROUND.contains(&module.spec().name) => module,
        _ => return Executed::failed(format!("This action ({}) does not support async.", task_run.task().action.name)),
    };
    let jid = format!("j{:012}.{}", rand::random_range(0..1_000_000_000_000_u64), std::process::id());
    let started = match execute::decide(task_run, module, place, place_view, view).await {
        Ok(Decided { step, diff_mode }) => start(task_run, &jid, terms, step, diff_mode, place, view).await,
        Err(trouble @ Trouble::Unreachable(_)) => Err(trouble),
        // The module has failed: that is the job's result.
        Err(trouble) => {
            let executed = Executed::of_trouble(task_run.task(), trouble);
            end_at_once(task_run, &jid, executed, place, view).await
        }
    };
    let file = match started {
        Ok(file) => file,
        Err(trouble) => return Executed::of_trouble(task_run.task(), trouble),
    };
    if terms.poll.is_zero() {
        let mut executed = Executed { changed: true, ..Executed::default() };
        executed.data.extend(known(&jid, &file, false));
        return executed;
    }
    let executed =
        wait(task_run, terms, &jid, &file, place, view).await.unwrap_or_else(|trouble| Executed::of_trouble(task_run.task(), trouble));
    let delegate = (place.target.name != *task_run.host).then_some(place.target.name.as_str());
    task_run.keep(&executed, delegate, view);
    executed
}

/// What is said of every job.
fn known(jid: &str, file: &str, finished: bool) -> Map<String, Json> {
    let words =
        [("ansible_job_id", Json::from(jid)), ("results_file", file.into()), ("started", true.into()), ("finished", finished.into())];
    words.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Starts what the module wants done. Returns the path of the job's file.
async fn start(
    task_run: &TaskRun,
    jid: &str,
    terms: &Terms,
    step: Step,
    diff_mode: bool,
    place: &Place,
    view: &Arc<View>,
) -> Result<String, Trouble> {
    let act = match step {
        Step::Done(outcome) => return end_at_once(task_run, jid, Executed::of(outcome, diff_mode), place, view).await,
        Step::Act(act) => act,
    };
    let run = &task_run.playing.run;
    let wire = act.wire.clone();
    run.ahead.background_begins();
    let begun = async {
        let name = task_run.name_job(place, act.probe.as_ref(), view)?;
        let job = wire.start(act.script.clone(), terms.seconds, name).await?;
        let outcome = json!({ "changed": act.outcome.changed, "data": act.outcome.data });
        let content = json!({ "started": true, "finished": false, "ansible_job_id": jid, JOB: job, OUTCOME: outcome });
        write_file(&wire, &dir(task_run, view)?, jid, &content).await
    };
    match begun.await {
        Ok(file) => {
            run.background.put(jid, Running { act, diff_mode });
            Ok(file)
        }
        Err(trouble) => {
            run.ahead.background_ends();
            Err(trouble)
        }
    }
}

/// There was nothing to start: the result is there already.
async fn end_at_once(task_run: &TaskRun, jid: &str, executed: Executed, place: &Place, view: &Arc<View>) -> Result<String, Trouble> {
    let wire = Wire::open(task_run, place, view).await?;
    write_file(&wire, &dir(task_run, view)?, jid, &ended(jid, &Attempt::of(executed).result)).await
}

/// Looks at a job until it has ended or its time is over.
async fn wait(task_run: &TaskRun, terms: &Terms, jid: &str, file: &str, place: &Place, view: &Arc<View>) -> Result<Executed, Trouble> {
    let run = &task_run.playing.run;
    let wire = Wire::open(task_run, place, view).await?;
    let deadline = Instant::now() + Duration::from_secs(terms.seconds);
    let mut next_poll = Instant::now() + terms.poll;
    // Whoever polls seldom need not wait so long for what ends soon.
    let mut pause = Duration::from_millis(50);
    let result = loop {
        match look(task_run, &wire, jid, file).await? {
            Seen::Ended(result) => break Some(result),
            Seen::Late(_) => break None,
            Seen::Running => {}
            Seen::NoSuchJob => return Err(Failure::new("could not find job").into()),
        }
        let now = Instant::now();
        if now >= next_poll {
            run.emit(Event::AsyncPolled { task: task_run.number, host: task_run.host.to_string(), job: jid.to_owned() });
            next_poll += terms.poll;
        }
        // The host kills it in time, and that is seen as its end; a moment is left for it.
        if now >= deadline + Duration::from_secs(10) || run.level() >= Stop::Interrupt {
            break None;
        }
        tokio::time::sleep(pause.min(next_poll.saturating_duration_since(now)).max(Duration::from_millis(20))).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    };
    let late = format!("async task did not complete within the requested time - {}s", terms.seconds);
    let executed = match result {
        Some(result) => of_result(result, jid, file),
        None => {
            let mut executed = Executed::failed(late);
            executed.data.insert("async_result".into(), known(jid, file, false).into());
            executed
        }
    };
    wire.ask(Script::new(format!("rm -f -- {}", quote(file)))).await?;
    let failed = executed.failed;
    run.emit(Event::AsyncEnded { task: task_run.number, host: task_run.host.to_string(), job: jid.to_owned(), failed });
    Ok(executed)
}

/// How a job stands. When it is seen to have ended, its file gets the result.
async fn look(task_run: &TaskRun, wire: &Wire, jid: &str, file: &str) -> Result<Seen, Trouble> {
    let run = &task_run.playing.run;
    let text = wire.ask(Script::new(format!("[ ! -e {0} ] || cat -- {0}", quote(file)))).await?;
    if text.stdout.is_empty() {
        return Ok(Seen::NoSuchJob);
    }
    let Ok(Json::Object(mut content)) = serde_json::from_slice::<Json>(&text.stdout) else {
        return Err(Failure::new(format!("Could not parse job output: {}", text.stdout_text())).into());
    };
    let finished = content.get("finished").is_some_and(|value| value == true || *value == 1);
    let Some(job) = content.shift_remove(JOB).and_then(|job| job.as_str().map(str::to_owned)) else {
        // A job of Ansible's own is running as long as its file says so.
        let is_running = content.contains_key("started") && !finished;
        return Ok(if is_running { Seen::Running } else { Seen::Ended(content) });
    };
    let outcome = content.shift_remove(OUTCOME).unwrap_or_default();
    let state = wire.look(&job).await?;
    if matches!(state, JobState::Running) {
        return Ok(Seen::Running);
    }
    let begun_here = run.background.take(jid);
    if begun_here.is_some() {
        run.ahead.background_ends();
    }
    let failed = |words: &str| Attempt::of(Executed::failed(words)).result;
    let (result, is_late) = match state {
        JobState::Ended { late: true, .. } => (failed("Timeout exceeded"), true),
        JobState::Ended { output, late: false } => (understood(task_run, begun_here, &outcome, &output), false),
        JobState::Running | JobState::Gone => (failed("the job is gone from the host: it was killed, or the host was rebooted"), false),
    };
    let (dir, _) = file.rsplit_once('/').unwrap_or((".", file));
    write_file(wire, &quote(dir), jid, &ended(jid, &result)).await?;
    wire.forget(&job).await?;
    Ok(if is_late { Seen::Late(result) } else { Seen::Ended(result) })
}

/// What a job that ended is to be told as.
fn understood(task_run: &TaskRun, begun_here: Option<Running>, outcome: &Json, output: &Output) -> Map<String, Json> {
    let executed = match begun_here {
        Some(Running { act, diff_mode }) => match act.understand(output) {
            Ok(outcome) => Executed::of(outcome, diff_mode),
            Err(failure) => Executed::of_trouble(task_run.task(), failure.into()),
        },
        // Another run knew what its words mean.
        None => {
            let mut executed = match output.success() {
                true => Executed::default(),
                false => Executed::failed("The command exited with a non-zero return code."),
            };
            executed.changed = outcome["changed"] == true;
            executed.data.extend(outcome["data"].as_object().cloned().unwrap_or_default());
            for (key, text) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
                let text = String::from_utf8_lossy(text);
                executed.data.insert(key.into(), text.strip_suffix('\n').unwrap_or(&text).into());
            }
            executed.data.insert("rc".into(), output.status.into());
            executed
        }
    };
    Attempt::of(executed).result
}

/// The content of the file of a job that has ended.
fn ended(jid: &str, result: &Map<String, Json>) -> Json {
    let mut content = result.clone();
    content.extend([("ansible_job_id".to_owned(), jid.into()), ("finished".to_owned(), true.into())]);
    content.into()
}

/// A job's result as a task's.
fn of_result(result: Map<String, Json>, jid: &str, file: &str) -> Executed {
    let is = |key: &str| result.get(key).is_some_and(|value| value == true || *value == 1);
    let mut executed = Executed { changed: is("changed"), failed: is("failed"), skipped: is("skipped"), ..Executed::default() };
    executed.facts = result.get("ansible_facts").and_then(Json::as_object).cloned().unwrap_or_default();
    executed.data = said_nothing();
    executed.data.extend(result);
    executed.data = with_lines(executed.data);
    executed.data.extend(known(jid, file, true));
    executed
}

/// What every look at a job returns, whatever the job is.
fn said_nothing() -> Map<String, Json> {
    Map::from_iter([("stdout".to_owned(), "".into()), ("stderr".to_owned(), "".into())])
}

/// The folder of the jobs' files, as a word of sh.
fn dir(task_run: &TaskRun, view: &Arc<View>) -> Result<String, Diag> {
    let run = &task_run.playing.run;
    let written = match view.get("ansible_async_dir") {
        Some(Variable::Node(node)) => Some(run.text_of(node, view)?),
        Some(Variable::Data(value)) => Some(value.to_string()),
        None => run.settings.config.text("ASYNC_DIR").map(str::to_owned),
    };
    let dir = written.as_deref().unwrap_or("~/.ansible_async");
    Ok(match dir.strip_prefix('~') {
        Some("") => "\"$HOME\"".to_owned(),
        Some(rest) if rest.starts_with('/') => format!("\"$HOME\"{}", quote(rest)),
        _ => quote(dir).into_owned(),
    })
}

/// Writes a job's file, beside and renamed. Returns its path.
async fn write_file(wire: &Wire, dir: &str, jid: &str, content: &Json) -> Result<String, Trouble> {
    let jid = quote(jid);
    let script = format!(
        "d={dir}; umask 077; mkdir -p -- \"$d\" && cd -- \"$d\" && cat >{jid}.new && mv -f -- {jid}.new {jid} && printf '%s/%s' \"$PWD\" {jid}"
    );
    let output = wire.ask(Script::new(script).with_input(content.to_string().into_bytes())).await?;
    if output.success() { Ok(output.stdout_text().into_owned()) } else { Err(Failure::script("keeping the job's state", &output).into()) }
}

impl Action<'_> {
    /// How a job stands that a task with `async` started, or an end of its file.
    pub async fn async_status(&self) -> Result<Executed, Diag> {
        let args = self.args()?;
        let jid = args.str("jid").unwrap_or_default();
        if jid.is_empty() || jid.contains('/') {
            return Err(Diag::error(format!("`{jid}` is no job's number")).at(&self.task_run.task().span));
        }
        let dir = dir(self.task_run, self.view)?;
        let cleans_up = args.str("mode") == Some("cleanup");
        Ok(match self.status_of(jid, &dir, cleans_up).await {
            Ok(executed) => {
                self.keep(&executed);
                executed
            }
            Err(trouble) => Executed::of_trouble(self.task_run.task(), trouble),
        })
    }

    async fn status_of(&self, jid: &str, dir: &str, cleans_up: bool) -> Result<Executed, Trouble> {
        let wire = Wire::open(self.task_run, self.place, self.view).await?;
        let path =
            wire.ask(Script::new(format!("d={dir}; case $d in /*) ;; *) d=$PWD/$d ;; esac; printf '%s/%s' \"$d\" {}", quote(jid)))).await?;
        let file = path.stdout_text().into_owned();
        let about = |executed: Executed, finished: bool, started: bool| {
            let mut data = with_lines(said_nothing());
            data.extend([
                ("started".to_owned(), started.into()),
                ("finished".to_owned(), finished.into()),
                ("ansible_job_id".to_owned(), jid.into()),
            ]);
            data.insert(if cleans_up { "erased" } else { "results_file" }.to_owned(), file.as_str().into());
            data.extend(executed.data.clone());
            Executed { data, ..executed }
        };
        if cleans_up {
            let removed = wire.ask(Script::new(format!("[ -e {0} ] && rm -f -- {0}", quote(&file)))).await?;
            return Ok(match removed.success() {
                true => about(Executed::default(), false, false),
                false => about(Executed::failed("could not find job"), true, true),
            });
        }
        Ok(match look(self.task_run, &wire, jid, &file).await? {
            Seen::NoSuchJob => about(Executed::failed("could not find job"), true, true),
            Seen::Running => about(Executed::default(), false, true),
            Seen::Ended(result) | Seen::Late(result) => of_result(result, jid, &file),
        })
    }
}
