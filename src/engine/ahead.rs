//! Read-ahead: while a host has nothing to decide, the probes of the tasks that follow are on their way already.
//!
//! A probe may be sent early when its task's condition and arguments can be evaluated now. Its answer is used only if, when the task is
//! reached, the very same script is to run in the very same place, and nothing anywhere was changed since it was sent. So the result of a run
//! is the same with and without it; only the waiting differs.

use super::Run;
use super::connect::Place;
use super::cursor::{self, Choose, Cursor, Step};
use super::execute;
use super::play::Playing;
use super::task::TaskRun;
use super::wire::Wire;
use crate::module::{AnyModule, Registered};
use crate::playbook::{Block, Task};
use crate::remote::{Connection, Meter, Run as Running, RunError};
use crate::sh::{Output, Script};
use crate::template::outside;
use crate::vars::View;
use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Waker};
use tokio::sync::oneshot;

/// So many probes are ahead of their tasks at most. A change that was decided on makes it a fraction, and from write to write it doubles again:
/// where everything changes, reading ahead would only keep the host busy.
const MOST_PROBES: usize = 64;
const SHRINKS_BY: usize = 4;
/// So many tasks are looked at for them at once.
const MOST_TASKS: usize = 96;
/// So many items of a loop are asked about at once.
const MOST_ITEMS: usize = 1000;

/// Modules that wait, whatever the host answers: their probes and all that follow are asked when they are done.
const WAITING: [&str; 1] = ["ansible.builtin.wait_for"];
/// Modules whose probes take their time, or reach out further than the host: never asked before their turn.
const NEVER_AHEAD: [&str; 3] = ["ansible.builtin.get_url", "ansible.builtin.find", "ansible.builtin.setup"];

/// Probes that were sent before their tasks were reached.
#[derive(Default)]
pub struct Ahead {
    /// Rises with every change that begins or ends, on whatever host.
    changes: AtomicUsize,
    /// Rises with every change that a probe's answer led to.
    n_decided: AtomicUsize,
    /// Jobs in the background, which may change anything at any time.
    n_background: AtomicUsize,
    readers: Mutex<HashMap<Arc<str>, Reader>>,
}

/// What is read ahead for a host.
struct Reader {
    /// The play, by identity.
    playing: usize,
    /// The changes when all of this was sent.
    changes: usize,
    sent: HashMap<Turn, Sent>,
    /// Where it goes on if nothing changes.
    next: Option<Cursor>,
    /// How many probes may be ahead.
    window: usize,
    n_decided: usize,
}

/// A task's turn: where the task stands in the play, and which item of its loop it is.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Turn {
    step: cursor::Place,
    item: usize,
}

struct Sent {
    place: Place,
    script: Script,
    answer: oneshot::Receiver<Result<Output, RunError>>,
}

/// A probe that is to be sent.
struct Asking {
    turn: Turn,
    place: Place,
    script: Script,
    connection: Connection,
}

impl Ahead {
    /// Something is about to be changed, or has been: what was read before says nothing any more.
    pub fn something_changes(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// A probe's answer has led to a change: there may be more of them.
    pub fn change_decided(&self) {
        self.n_decided.fetch_add(1, Ordering::SeqCst);
    }

    pub fn n_decided(&self) -> usize {
        self.n_decided.load(Ordering::SeqCst)
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

    /// A host's reader as things stand now. The answers of what it leaves behind arrive and are forgotten: ending a probe would cost the host its
    /// shell.
    fn reader<T>(&self, task_run: &TaskRun, use_it: impl FnOnce(&mut Reader) -> T) -> T {
        let mut readers: MutexGuard<_> = self.readers.lock().expect("no panic holds the lock");
        let reader = readers.entry(task_run.host.clone()).or_insert_with(Reader::new);
        let (playing, changes, n_decided) = (Arc::as_ptr(&task_run.playing) as usize, self.now(), self.n_decided());
        if reader.changes != changes || reader.playing != playing {
            *reader = Reader { playing, changes, sent: HashMap::new(), next: None, ..*reader };
        }
        for _ in reader.n_decided..n_decided {
            if reader.window > 1 {
                reader.window = (reader.window / SHRINKS_BY).max(1);
            }
        }
        reader.n_decided = n_decided;
        use_it(reader)
    }

    /// What was sent for a turn, if it is the same that is to be asked now. What was sent for turns that did not come is forgotten.
    fn take(&self, task_run: &TaskRun, turn: &Turn, place: &Place, script: &Script) -> Option<(Sent, usize)> {
        self.reader(task_run, |reader| {
            let sent = reader.sent.remove(turn);
            reader.sent.retain(|other, _| other.step >= turn.step);
            Some((sent.filter(|sent| sent.place == *place && sent.script == *script)?, reader.changes))
        })
    }
}

impl Reader {
    fn new() -> Reader {
        Reader { playing: 0, changes: 0, sent: HashMap::new(), next: None, window: MOST_PROBES, n_decided: 0 }
    }
}

impl Turn {
    fn of(task_run: &TaskRun) -> Turn {
        let doing = task_run.doing.lock().expect("no panic holds the lock");
        Turn { step: task_run.step.place.clone(), item: doing.as_ref().map_or(0, |doing| doing.index()) }
    }
}

impl Run {
    /// Runs a task's probe, or takes the answer that is there already. With it go the probes of the tasks that follow.
    pub(super) async fn probe(&self, task_run: &TaskRun, wire: &Wire, place: &Place, script: Script) -> Result<Output, RunError> {
        if !self.settings.read_ahead {
            return wire.ask(script).await;
        }
        let _waiting = wire.waiting();
        if let Some((sent, changes)) = self.ahead.take(task_run, &Turn::of(task_run), place, &script) {
            outside::trying(|| read_on(task_run, wire.meter()));
            if let Ok(Ok(output)) = sent.answer.await
                && self.ahead.now() == changes
            {
                wire.meter().count(|counts| counts.ahead_used += 1);
                return Ok(output);
            }
        }
        let question = wire.meter().ask();
        let own = wire.together(question);
        // Sent first, so that the host is not kept waiting while it is found out what else to ask.
        let answer = on_its_way(async move { own.ask(script).await });
        outside::trying(|| read_from(task_run, wire.meter(), question));
        answer.await.unwrap_or_else(|_| Err(RunError::Shell("the runtime has ended".to_owned())))
    }
}

/// Begins a call at once, on this thread, so that calls are in the order in which they were made; it goes on by itself.
fn on_its_way<F>(call: F) -> oneshot::Receiver<Result<Output, RunError>>
where
    F: Future<Output = Result<Output, RunError>> + Send + 'static,
{
    let (tell, answer) = oneshot::channel();
    let mut call: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
        // Whoever does not need the answer any more is gone.
        let _ = tell.send(call.await);
    });
    if call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        tokio::spawn(call);
    }
    answer
}

/// The host had to be asked: sends the probes of what comes next, as far as they can be known now.
fn read_from(task_run: &TaskRun, meter: &Arc<Meter>, question: u64) {
    let ahead = &task_run.playing.run.ahead;
    let mut cursor = task_run.cursor.clone();
    cursor.advance();
    let n_left = ahead.reader(task_run, |reader| {
        let n_left = reader.window.saturating_sub(reader.sent.len());
        reader.window = (reader.window * 2).min(MOST_PROBES);
        n_left
    });
    read(task_run, cursor, n_left, meter, question);
}

/// An answer was there already: sends more when half of what was ahead is used up.
fn read_on(task_run: &TaskRun, meter: &Arc<Meter>) {
    let next = task_run.playing.run.ahead.reader(task_run, |reader| {
        if reader.sent.len() * 2 > reader.window {
            return None;
        }
        reader.window = (reader.window * 2).min(MOST_PROBES);
        let n_left = reader.window - reader.sent.len();
        reader.next.take().map(|cursor| (cursor, n_left))
    });
    if let Some((cursor, n_left)) = next {
        read(task_run, cursor, n_left, meter, meter.ask());
    }
}

/// `question` is the number of what is asked on the way that has this meter.
fn read(task_run: &TaskRun, mut cursor: Cursor, n_left: usize, meter: &Arc<Meter>, question: u64) {
    let ahead = &task_run.playing.run.ahead;
    if ahead.n_background.load(Ordering::SeqCst) > 0 {
        return;
    }
    let (changes, sent) = ahead.reader(task_run, |reader| (reader.changes, reader.sent.keys().cloned().collect()));
    let mut reading = Reading { task_run, sent, places: Vec::new(), n_left, asking: Vec::new() };
    reading.own_items();
    let next = reading.tasks(&mut cursor).then_some(cursor);
    let send = |Asking { turn, place, script, connection }| {
        connection.meter().count(|counts| counts.ahead += 1);
        let question = Arc::ptr_eq(connection.meter(), meter).then_some(question);
        let (asked, running) = (script.clone(), Running { r#become: place.r#become.clone(), question, ..Running::default() });
        let answer = on_its_way(async move { connection.probe(asked, running).await });
        (turn, Sent { place, script, answer })
    };
    let sent: Vec<_> = reading.asking.into_iter().map(send).collect();
    ahead.reader(task_run, |reader| {
        // Meanwhile another host may have begun to change something.
        if reader.changes == changes {
            reader.sent.extend(sent);
            reader.next = next;
        }
    });
}

/// What is found to be asked.
struct Reading<'a> {
    task_run: &'a TaskRun,
    /// What has been asked already.
    sent: HashSet<Turn>,
    /// Places with their connections, as far as these are open.
    places: Vec<(Place, Option<Connection>)>,
    n_left: usize,
    asking: Vec<Asking>,
}

/// What a coming task means for reading ahead.
enum Next {
    /// It is asked about now, or was; or it does nothing on the host, or it cannot be known yet.
    Passed,
    /// There is no room for it now.
    Full,
    /// It acts, or leads elsewhere: nothing behind it can be known.
    Stop,
}

impl Reading<'_> {
    /// The items of the present task that are still to come: all of them together, as long as none of the loop has led to a change.
    fn own_items(&mut self) {
        let task_run = self.task_run;
        let task = task_run.task();
        let Registered::OnHost(module) = task.action.module else { return };
        if task.asynchronous.is_some() || task.keywords.timeout.is_some() {
            return;
        }
        let doing = task_run.doing.lock().expect("no panic holds the lock");
        let Some(doing) = doing.as_ref() else { return };
        let is_settled = doing.n_decided == task_run.playing.run.ahead.n_decided();
        let most = if is_settled { MOST_ITEMS } else { self.n_left };
        for (item, view) in doing.coming().take(most) {
            let turn = Turn { step: task_run.step.place.clone(), item };
            if !self.sent.contains(&turn)
                && let Ok((place, _, place_view)) = task_run.place(&view)
            {
                self.ask(turn, task, module, place, &place_view, &view);
            }
        }
    }

    /// Goes through the tasks that follow. Whether there is more to be found where the cursor is left.
    fn tasks(&mut self, cursor: &mut Cursor) -> bool {
        for _ in 0..MOST_TASKS {
            let Some(step) = cursor.next(&mut Peek { playing: &self.task_run.playing }) else { return false };
            match if self.n_left == 0 { Next::Full } else { self.task(&step) } {
                Next::Passed => cursor.advance(),
                Next::Full => return true,
                Next::Stop => return false,
            }
        }
        true
    }

    fn task(&mut self, step: &Step) -> Next {
        let (playing, task) = (&self.task_run.playing, &step.task);
        let name = task.action.module.spec().name;
        let module = match task.action.module {
            Registered::OnHost(_) if WAITING.contains(&name) => return Next::Stop,
            Registered::OnHost(_) if NEVER_AHEAD.contains(&name) => return Next::Passed,
            Registered::OnHost(module) => module,
            Registered::InEngine(spec) => {
                let passes = matches!(spec.short_name(), "debug" | "assert" | "fail" | "set_fact" | "set_stats") || is_flush(task);
                return if passes { Next::Passed } else { Next::Stop };
            }
        };
        let keywords = &task.keywords;
        if task.asynchronous.is_some() {
            return Next::Stop;
        }
        // These are asked when their turn comes; if that changes nothing, what follows need not wait for it.
        if keywords.timeout.is_some() || keywords.delegate_to.is_some() || keywords.run_once.is_some() {
            return Next::Passed;
        }
        if self.sent.iter().any(|turn| turn.step == step.place) {
            return Next::Passed;
        }
        let Ok(view) = playing.view(&self.task_run.host, Some(task), &step.include_vars).map(Arc::new) else { return Next::Stop };
        let Some(looped) = &task.looped else {
            return self.ask_here(Turn { step: step.place.clone(), item: 0 }, task, module, &view);
        };
        let items = playing.items(looped, &view).and_then(|list| playing.seen(list, looped, task, &view));
        let Some(items) = items.ok().filter(|items| !items.pauses()) else { return Next::Passed };
        // A loop is asked about as a whole, and none so large that what stands behind it would have to wait long if something changes.
        if items.len() > self.n_left && self.n_left * 2 < MOST_PROBES {
            return Next::Full;
        }
        for item in 0..items.len().min(MOST_ITEMS) {
            let turn = Turn { step: step.place.clone(), item };
            if let Next::Stop = self.ask_here(turn, task, module, &items.view(item, &view)) {
                return Next::Stop;
            }
        }
        Next::Passed
    }

    /// Asks what a task would that is done on the host itself.
    fn ask_here(&mut self, turn: Turn, task: &Arc<Task>, module: &'static dyn AnyModule, view: &Arc<View>) -> Next {
        match self.task_run.playing.place(&self.task_run.host, &task.keywords, view) {
            Ok(place) => self.ask(turn, task, module, place, view, view),
            Err(_) => Next::Passed,
        }
    }

    /// Asks what a task would, if that can be known. What cannot be evaluated yet, or would be skipped as things stand, is asked when its turn
    /// comes.
    fn ask(
        &mut self,
        turn: Turn,
        task: &Arc<Task>,
        module: &'static dyn AnyModule,
        place: Place,
        place_view: &Arc<View>,
        view: &Arc<View>,
    ) -> Next {
        let (playing, host) = (&self.task_run.playing, &self.task_run.host);
        if !matches!(playing.first_false(task, view), Ok(None)) {
            return Next::Passed;
        }
        let Some(connection) = self.connection(&place) else { return Next::Passed };
        match execute::probe_of(playing, host, task, module, view, place_view) {
            Ok(Some(script)) => {
                self.asking.push(Asking { turn, place, script, connection });
                self.n_left = self.n_left.saturating_sub(1);
                Next::Passed
            }
            Ok(None) => Next::Stop,
            Err(_) => Next::Passed,
        }
    }

    fn connection(&mut self, place: &Place) -> Option<Connection> {
        if let Some((_, connection)) = self.places.iter().find(|(other, _)| other == place) {
            return connection.clone();
        }
        let connection = self.task_run.playing.run.connections.ready(place);
        self.places.push((place.clone(), connection.clone()));
        connection
    }
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
