//! Read-ahead: while a host has nothing to decide, the probes of the tasks that follow are on their way already.
//!
//! A probe may be sent early when its task's condition and arguments can be evaluated now. Its answer is used only if, when the task is
//! reached, the very same script is to run in the very same place, and nothing anywhere was changed since it was sent. So the result of a run
//! is the same with and without it; only the waiting differs.

use super::Run;
use super::connect::Place;
use super::cursor::{Choose, Step};
use super::execute::{self, Wire};
use super::play::Playing;
use super::task::TaskRun;
use crate::module::Registered;
use crate::playbook::{Block, Task};
use crate::remote::RunError;
use crate::sh::{Output, Script};
use crate::template::outside;
use crate::vars::Level;
use minijinja::Value;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

/// So many probes travel together at most. After a change it is one, and doubles from write to write: where everything changes, reading
/// ahead would only keep the host busy.
const MOST_PROBES: usize = 24;
/// So many tasks are looked at for them.
const MOST_TASKS: usize = 48;

/// Modules whose probes take their time, or reach out further than the host: never asked before their turn.
const NEVER_AHEAD: [&str; 4] = ["ansible.builtin.get_url", "ansible.builtin.find", "ansible.builtin.setup", "ansible.builtin.wait_for"];

/// Probes that were sent before their tasks were reached.
pub struct Ahead {
    sent: Mutex<Vec<Sent>>,
    /// Rises with every change that begins or ends, on whatever host.
    changes: AtomicUsize,
    /// How many probes go with the next.
    window: AtomicUsize,
    /// Jobs in the background, which may change anything at any time.
    n_background: AtomicUsize,
}

impl Default for Ahead {
    fn default() -> Ahead {
        Ahead {
            sent: Mutex::default(),
            changes: AtomicUsize::new(0),
            window: AtomicUsize::new(MOST_PROBES),
            n_background: AtomicUsize::new(0),
        }
    }
}

struct Sent {
    place: Place,
    script: Script,
    changes: usize,
    answer: JoinHandle<Result<Output, RunError>>,
}

impl Ahead {
    /// Something is about to be changed, or has been: what was read before says nothing any more.
    pub fn something_changes(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.window.store(1, Ordering::Relaxed);
    }

    /// A job goes on in the background from now on.
    pub fn background_begins(&self) {
        self.n_background.fetch_add(1, Ordering::SeqCst);
        self.something_changes();
    }

    pub fn background_ends(&self) {
        self.something_changes();
        self.n_background.fetch_sub(1, Ordering::SeqCst);
    }

    /// Counts the changes so far. A lookup may have changed something as well: on the controller, which can be a host.
    fn now(&self) -> usize {
        self.changes.load(Ordering::SeqCst).wrapping_add(outside::n_acted())
    }

    /// How many probes may go ahead now.
    fn open_window(&self) -> usize {
        if self.n_background.load(Ordering::SeqCst) > 0 {
            return 0;
        }
        let window = self.window.load(Ordering::Relaxed);
        self.window.store((window * 2).min(MOST_PROBES), Ordering::Relaxed);
        window
    }

    /// The answer to a probe that was sent ahead, if it still counts.
    async fn answer(&self, place: &Place, script: &Script) -> Option<Output> {
        let sent = {
            let mut all = self.sent.lock().expect("no panic holds the lock");
            let now = self.now();
            // The answers of those that are left behind arrive and are forgotten: ending a probe would cost the host its shell.
            all.retain(|sent| sent.changes == now);
            let at = all.iter().position(|sent| sent.place == *place && sent.script == *script)?;
            all.swap_remove(at)
        };
        let output = sent.answer.await.ok()?.ok()?;
        (sent.changes == self.now()).then_some(output)
    }

    fn has(&self, place: &Place, script: &Script) -> bool {
        let now = self.now();
        self.sent
            .lock()
            .expect("no panic holds the lock")
            .iter()
            .any(|sent| sent.changes == now && sent.place == *place && sent.script == *script)
    }

    fn send(&self, wire: Wire, place: Place, script: Script) {
        let changes = self.now();
        let asked = script.clone();
        wire.count(|counts| counts.ahead += 1);
        let answer = tokio::spawn(async move { wire.ask(asked).await });
        self.sent.lock().expect("no panic holds the lock").push(Sent { place, script, changes, answer });
    }
}

impl Run {
    /// Runs a task's probe, or takes the answer that is there already. With it go the probes of the tasks that follow.
    pub(super) async fn probe(&self, task_run: &TaskRun, wire: &Wire, place: &Place, script: Script) -> Result<Output, RunError> {
        if !self.settings.read_ahead {
            return wire.ask(script).await;
        }
        let _waiting = wire.waiting();
        if let Some(output) = self.ahead.answer(place, &script).await {
            wire.count(|counts| counts.ahead_used += 1);
            return Ok(output);
        }
        let together = wire.together();
        let own = together.clone();
        let asked = script.clone();
        // Sent first, so that it is the first of the write in which the others go.
        let answer = tokio::spawn(async move { own.ask(asked).await });
        tokio::task::yield_now().await;
        outside::trying(|| look_ahead(task_run, &together, place));
        answer.await.unwrap_or_else(|err| Err(RunError::Shell(err.to_string())))
    }
}

/// Sends the probes of the tasks that follow, as far as they can be known now.
fn look_ahead(task_run: &TaskRun, wire: &Wire, place: &Place) {
    let (playing, ahead) = (&task_run.playing, &task_run.playing.run.ahead);
    let mut cursor = task_run.cursor.clone();
    let mut n_left = ahead.open_window();
    cursor.advance();
    for _ in 0..MOST_TASKS {
        let Some(step) = cursor.next(&mut Peek { playing }) else { return };
        match probes(task_run, &step, place) {
            Next::Probes(scripts) => {
                for script in scripts {
                    if n_left == 0 {
                        return;
                    }
                    if !ahead.has(place, &script) {
                        ahead.send(wire.clone(), place.clone(), script);
                        n_left -= 1;
                    }
                }
            }
            Next::Nothing => {}
            Next::Stop => return,
        }
        cursor.advance();
    }
}

/// What a coming task means for reading ahead.
enum Next {
    /// It would ask this.
    Probes(Vec<Script>),
    /// It does nothing on the host, or cannot be known yet.
    Nothing,
    /// It acts, or leads elsewhere: nothing behind it can be known.
    Stop,
}

fn probes(task_run: &TaskRun, step: &Step, place: &Place) -> Next {
    let (playing, task) = (&task_run.playing, &step.task);
    let module = match task.action.module {
        Registered::OnHost(module) if NEVER_AHEAD.contains(&module.spec().name) => return Next::Stop,
        Registered::OnHost(module) => module,
        Registered::InEngine(spec) => {
            let passes = matches!(spec.short_name(), "debug" | "assert" | "fail" | "set_fact" | "set_stats") || is_flush(task);
            return if passes { Next::Nothing } else { Next::Stop };
        }
    };
    let keywords = &task.keywords;
    if task.asynchronous.is_some() || keywords.timeout.is_some() || keywords.delegate_to.is_some() || keywords.run_once.is_some() {
        return Next::Stop;
    }
    let Ok(view) = playing.view(&task_run.host, Some(task), &step.include_vars).map(Arc::new) else { return Next::Stop };
    let views = match &task.looped {
        None => vec![view],
        Some(looped) if looped.lookup.is_none() && looped.control.loop_var.is_none() => {
            let Ok(items) = playing.run.templar.render(&looped.over, &view) else { return Next::Nothing };
            let item_view = |item: Value| {
                let vars = [("item".to_owned(), crate::vars::Variable::Data(item))].into_iter().collect();
                Arc::new(view.with(Level::Loop, Arc::new(vars)))
            };
            items.try_iter().into_iter().flatten().map(item_view).collect()
        }
        Some(_) => return Next::Nothing,
    };
    let mut scripts = Vec::new();
    for view in views.iter().take(MOST_PROBES) {
        // What cannot be evaluated yet, or would be skipped as things stand, is asked when its turn comes.
        if !matches!(playing.first_false(task, view), Ok(None))
            || !playing.place(&task_run.host, keywords, view).is_ok_and(|its| its == *place)
        {
            continue;
        }
        match execute::probe_of(playing, &task_run.host, task, module, view) {
            Ok(Some(script)) => scripts.push(script),
            Ok(None) => return Next::Stop,
            Err(_) => {}
        }
    }
    Next::Probes(scripts)
}

fn is_flush(task: &Task) -> bool {
    task.action.module.spec().short_name() == "meta" && task.action.args.iter().any(|(_, node)| node.as_str() == Some("flush_handlers"))
}

/// Looks where the cursor would go, and changes nothing.
struct Peek<'a> {
    playing: &'a Playing,
}

impl Choose for Peek<'_> {
    fn wants(&mut self, task: &Arc<Task>, is_handler: bool) -> bool {
        is_handler || self.playing.chooses(task)
    }

    fn chooses(&self, task: &Task, is_handler: bool) -> bool {
        is_handler || self.playing.chooses(task)
    }

    fn enters(&mut self, _: &Arc<Block>) -> bool {
        true
    }

    fn leaves(&mut self, _: &Arc<Block>) {}
}
