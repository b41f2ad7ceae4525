//! Which host does which task next. `linear`: all hosts of the batch do a task before any goes on. `free`: each host on its own.

use super::cursor::Step;
use super::journaling::Turn;
use super::play::{Playing, Walker, identity};
use super::task::{TaskEnd, TaskRun};
use super::{include, meta};
use crate::playbook::Task;
use crate::report::{Event, Status, TaskKind};
use crate::source::{Diag, Node, Span};
use crate::vars::{Variable, View};
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    Linear,
    Free,
}

/// The numbers under which the tasks of a play began for the first time, by identity. The reference keeps an identity from becoming another task's.
#[derive(Default)]
pub struct Firsts(Mutex<HashMap<usize, (Weak<Task>, usize)>>);

impl Firsts {
    fn of(&self, task: &Arc<Task>, number: usize) -> usize {
        let mut firsts = self.0.lock().expect("no panic holds the lock");
        firsts.entry(identity(task)).or_insert_with(|| (Arc::downgrade(task), number)).1
    }
}

/// What is told of a task that begins.
pub struct Start {
    pub number: usize,
    pub name: String,
    pub kind: TaskKind,
    pub place: String,
    pub check_mode: bool,
}

/// How a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every host came to its end.
    Done,
    /// `meta: end_play`.
    Play,
    /// `max_fail_percentage`, a missing handler: no later play is run.
    Aborted,
}

impl Strategy {
    /// The strategy of a play's keyword; linear by default.
    pub fn named(name: Option<&str>, at: &Span) -> Result<Strategy, Diag> {
        const KNOWN: [&str; 2] = ["linear", "free"];
        match name.map(|name| name.strip_prefix("ansible.builtin.").unwrap_or(name)) {
            // The debugger of `debug` is not asked for by itself.
            None | Some("linear" | "debug") => Ok(Strategy::Linear),
            // Pinning a worker to a host changes nothing where every host has its own connection.
            Some("free" | "host_pinned") => Ok(Strategy::Free),
            Some(other) => {
                Err(Diag::error(format!("there is no strategy `{other}`; there are `linear` and `free`")).at(at).did_you_mean(other, KNOWN))
            }
        }
    }
}

/// Takes the hosts of a batch through the play.
pub async fn run(playing: &Arc<Playing>, walkers: &mut Vec<Walker>) -> End {
    if playing.strategy == Strategy::Linear {
        return together(playing, walkers).await;
    }
    let mut apart = JoinSet::new();
    for (at, walker) in std::mem::take(walkers).into_iter().enumerate() {
        let playing = playing.clone();
        apart.spawn(async move {
            let mut alone = vec![walker];
            let end = together(&playing, &mut alone).await;
            (at, alone, end)
        });
    }
    let mut ended = apart.join_all().await;
    ended.sort_by_key(|(at, ..)| *at);
    let end = ended.iter().map(|(.., end)| *end).find(|end| *end != End::Done).unwrap_or(End::Done);
    walkers.extend(ended.into_iter().flat_map(|(_, alone, _)| alone));
    end
}

/// Takes hosts through the play in step: those that are furthest behind do their task, then it is looked again.
async fn together(playing: &Arc<Playing>, walkers: &mut [Walker]) -> End {
    while !playing.run.is_interrupted() {
        let steps: Vec<(usize, Step)> =
            walkers.iter_mut().enumerate().filter_map(|(at, walker)| walker.next(playing).map(|step| (at, step))).collect();
        if playing.too_many_failed(walkers) {
            // Where nobody is left anyway, it need not be said.
            if !steps.is_empty() {
                playing.run.emit(Event::NoMoreHosts);
            }
            return End::Aborted;
        }
        let Some(place) = steps.iter().map(|(_, step)| &step.place).min().cloned() else { break };
        let steps: Vec<_> = steps.into_iter().filter(|(_, step)| step.place == place).collect();
        let end = match steps[0].1.task.action.module.spec().name {
            "ansible.builtin.meta" => meta::run(playing, walkers, &steps).await,
            _ => match do_task(playing, walkers, steps).await {
                End::Done if playing.too_many_failed(walkers) => {
                    playing.run.emit(Event::NoMoreHosts);
                    End::Aborted
                }
                end => end,
            },
        };
        if end != End::Done {
            return end;
        }
    }
    End::Done
}

/// What a task asks of all its hosts together. The first host's variables decide.
#[derive(Default)]
struct Terms {
    run_once: bool,
    any_errors_fatal: bool,
    throttle: Option<usize>,
    check_mode: bool,
}

/// One task on the hosts that have come to it.
async fn do_task(playing: &Arc<Playing>, walkers: &mut [Walker], mut steps: Vec<(usize, Step)>) -> End {
    let task = steps[0].1.task.clone();
    if Arc::ptr_eq(&task, &playing.gathering) {
        steps.retain(|(at, _)| {
            let wants = playing.gathers_facts(&walkers[*at].host);
            if !wants {
                walkers[*at].cursor.advance();
            }
            wants
        });
        if steps.is_empty() {
            return End::Done;
        }
    }
    let view = playing.view(&walkers[steps[0].0].host, Some(&task), &steps[0].1.include_vars).map(Arc::new);
    let terms = view.as_ref().map_err(Clone::clone).and_then(|view| playing.terms(&task, view));
    let name = view.map_or_else(|_| task.action.name.clone(), |view| playing.name_of(&task, &view));
    if !playing.run.may_do(&name).await {
        steps.iter().for_each(|(at, _)| walkers[*at].cursor.advance());
        return End::Done;
    }
    // What one host did for all, that host has done.
    if terms.as_ref().is_ok_and(|terms| terms.run_once)
        && let Some(doer) = steps.iter().position(|(at, step)| playing.was_done_by(&walkers[*at].host, &step.task))
    {
        steps[..=doer].rotate_right(1);
    }
    let number = playing.announce(&steps[0].1, &name, terms.as_ref().is_ok_and(|terms| terms.check_mode));

    let ends = perform(playing, walkers, &steps, number, &name, &terms).await;
    settle(playing, walkers, &steps, number, &terms.unwrap_or_default(), ends)
}

/// Runs the task on its hosts, as many at once as may be.
async fn perform(
    playing: &Arc<Playing>,
    walkers: &[Walker],
    steps: &[(usize, Step)],
    number: usize,
    name: &str,
    terms: &Result<Terms, Diag>,
) -> Vec<(usize, TaskEnd)> {
    let run_once = terms.as_ref().is_ok_and(|terms| terms.run_once);
    let throttle = terms.as_ref().ok().and_then(|terms| terms.throttle).unwrap_or(Semaphore::MAX_PERMITS);
    let slots = playing.slots(&steps[0].1.task, throttle);
    let doers = if run_once { &steps[..1] } else { steps };
    // All of them before any begins: who fails makes the others forget what they did later on.
    let turns: Vec<Turn> = doers.iter().map(|(at, step)| Turn::begin(playing, &walkers[*at].host, &step.task)).collect();
    let mut doing = JoinSet::new();
    for ((at, step), turn) in doers.iter().zip(turns) {
        // Also those that have failed: a rescue or a later play may ask for it.
        let others = playing.batch.iter().filter(|host| **host != walkers[*at].host && !playing.run.is_unreachable(host));
        let one = TaskRun {
            playing: playing.clone(),
            host: walkers[*at].host.clone(),
            step: step.clone(),
            number,
            name: name.to_owned(),
            rescues: walkers[*at].cursor.would_rescue(),
            also: if run_once { others.cloned().collect() } else { Vec::new() },
            cursor: walkers[*at].cursor.clone(),
            in_flight: Arc::default(),
            turn,
            doing: Mutex::default(),
            before: Mutex::default(),
            spent: playing.run.spending(),
        };
        // Taken here, so that the hosts begin in order.
        let places = (slots.clone().acquire_owned().await, playing.run.forks.clone().acquire_owned().await);
        let (at, refusal) = (*at, terms.as_ref().err().cloned());
        doing.spawn(async move {
            let _places = places;
            let end = match refusal {
                Some(diag) => one.refuse(&diag),
                None => one.run().await,
            };
            (at, end)
        });
    }
    let mut ends = doing.join_all().await;
    ends.sort_by_key(|(at, _)| *at);
    ends
}

/// Takes every host to where the end of its task leads.
fn settle(
    playing: &Arc<Playing>,
    walkers: &mut [Walker],
    steps: &[(usize, Step)],
    number: usize,
    terms: &Terms,
    ends: Vec<(usize, TaskEnd)>,
) -> End {
    let task = &steps[0].1.task;
    for (at, step) in steps.iter().filter(|(_, step)| step.is_handler) {
        walkers[*at].due.remove(&identity(&step.task));
    }
    if terms.run_once {
        steps[1..].iter().for_each(|(at, _)| walkers[*at].cursor.advance());
    }
    ends.iter().for_each(|(at, end)| playing.run.count_end(&walkers[*at].host, end));
    let mut lost: Vec<(usize, Json)> = Vec::new();
    let mut includes = Vec::new();
    for (at, mut end) in ends {
        if matches!(end.status, Status::Ok | Status::Changed | Status::Failed)
            && let Some(call) = walkers[at].cursor.role_call()
        {
            let key = call.key.clone();
            walkers[at].roles_begun.insert(key);
        }
        if end.is_loss() {
            lose(playing, &mut walkers[at], task, &end);
            lost.push((at, end.result));
        } else if end.includes.is_empty() {
            walkers[at].cursor.advance();
        } else {
            includes.push((at, std::mem::take(&mut end.includes), end.is_past));
        }
        if let Err(diag) = playing.notify(&mut walkers[at], &end.notify, steps[0].1.is_handler) {
            playing.run.broke(&diag);
            return End::Aborted;
        }
    }
    for (at, end) in include::enter(playing, walkers, number, steps, includes) {
        lose(playing, &mut walkers[at], task, &end);
        lost.push((at, end.result));
    }
    if let (Some((_, result)), true) = (lost.first(), terms.any_errors_fatal || terms.run_once) {
        // Everybody still in the play fails with the first, and everybody may be rescued.
        for (at, walker) in walkers.iter_mut().enumerate() {
            if walker.is_active() && lost.iter().all(|(own, _)| *own != at) {
                fail(playing, walker, task, result);
            }
        }
    }
    playing.put_out_lost(walkers);
    if !lost.is_empty() || matches!(task.action.module.spec().short_name(), "add_host" | "group_by") {
        playing.renew_magic(walkers);
    }
    End::Done
}

/// Takes a host to where its loss leads.
fn lose(playing: &Playing, walker: &mut Walker, task: &Task, end: &TaskEnd) {
    if end.status == Status::Unreachable {
        walker.unreachable = true;
        // If its errors are cleared, it goes on behind the task.
        walker.cursor.advance();
    } else {
        fail(playing, walker, task, &end.result);
    }
}

/// Takes a host to where a failure leads; a `rescue` on the way gets to know what failed.
fn fail(playing: &Playing, walker: &mut Walker, task: &Task, result: &Json) {
    if walker.cursor.would_rescue() {
        let name = task.name.as_ref().and_then(Node::as_str).unwrap_or(&task.action.name);
        let failed_task = Variable::data(&json!({ "name": name, "action": task.action.name }));
        let vars = [("ansible_failed_task", failed_task), ("ansible_failed_result", Variable::data(result))];
        playing.run.memory.set(&walker.host, vars.map(|(name, value)| (name.to_owned(), value)));
    }
    walker.cursor.fail();
}

/// The file, its whole path, and the line.
fn place_of(span: &Span) -> String {
    let path = std::path::absolute(&span.source.name).map_or_else(|_| span.source.name.clone(), |path| path.display().to_string());
    format!("{path}:{}", span.source.position(span.start).0)
}

impl super::Run {
    /// Asks whether a task is to be done (`--step`). An answer may be that nothing more is to be asked.
    async fn may_do(&self, name: &str) -> bool {
        use std::io::BufRead;
        if !self.asks.load(Ordering::Relaxed) {
            return true;
        }
        self.emit(Event::Asked { question: format!("Perform task: TASK: {name} (N)o/(y)es/(c)ontinue: ") });
        let answer = tokio::task::spawn_blocking(|| {
            let _open = crate::ask::Question::open();
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).map(|_| line)
        });
        let answer = answer.await.ok().and_then(Result::ok).unwrap_or_default().trim().to_lowercase();
        if matches!(answer.as_str(), "c" | "continue") {
            self.asks.store(false, Ordering::Relaxed);
            return true;
        }
        matches!(answer.as_str(), "y" | "yes")
    }
}

impl Playing {
    fn terms(&self, task: &Task, view: &Arc<View>) -> Result<Terms, Diag> {
        let flag = |node: &Option<Node>| node.as_ref().map_or(Ok(false), |node| self.run.bool_of(node, view));
        let throttle = match &task.keywords.throttle {
            // One after another, so that groups have their hosts in the play's order.
            _ if task.action.module.spec().name == "ansible.builtin.group_by" => 1,
            Some(node) => {
                let failed = "Failed to convert the throttle value to an integer";
                let value = self.run.templar.render(node, view).map_err(|diag| diag.within(failed))?;
                let throttle = value.to_string().parse::<usize>();
                let words =
                    format!("Failed to convert the throttle value to an integer: invalid literal for int() with base 10: '{value}'");
                throttle.map_err(|_| Diag::error(words).at(&node.span))?
            }
            None => 0,
        };
        Ok(Terms {
            // `add_host` is about the inventory, not about the hosts: one of them is enough.
            run_once: flag(&task.keywords.run_once)? || task.action.module.spec().name == "ansible.builtin.add_host",
            any_errors_fatal: match &task.keywords.any_errors_fatal {
                Some(_) => flag(&task.keywords.any_errors_fatal)?,
                None => self.run.settings.config.flag("ANY_ERRORS_FATAL"),
            },
            throttle: Some(throttle).filter(|throttle| *throttle > 0),
            check_mode: self.checks(task, view)?,
        })
    }

    /// The places for those who do a task at once. With `free` the hosts come to it one by one, and share them.
    fn slots(&self, task: &Arc<Task>, throttle: usize) -> Arc<Semaphore> {
        if self.strategy == Strategy::Linear {
            return Arc::new(Semaphore::new(throttle));
        }
        let mut slots = self.slots.lock().expect("no panic holds the lock");
        slots.entry(identity(task)).or_insert_with(|| Arc::new(Semaphore::new(throttle))).clone()
    }

    /// Tells that a task begins, and gives the number of its events. With `free` the hosts come to it one by one, and it begins with the first.
    fn announce(&self, step: &Step, name: &str, check_mode: bool) -> usize {
        let mut begun = self.begun.lock().expect("no panic holds the lock");
        if self.strategy == Strategy::Free
            && let Some(number) = begun.get(&identity(&step.task))
        {
            return *number;
        }
        let number = self.run.new_task_number();
        begun.insert(identity(&step.task), number);
        let kind = if Arc::ptr_eq(&step.task, &self.gathering) {
            TaskKind::GatherFacts
        } else if step.is_handler {
            TaskKind::Handler
        } else {
            TaskKind::Task
        };
        self.tell_start(&step.task, Start { number, name: name.to_owned(), kind, place: place_of(&step.task.span), check_mode });
        number
    }

    /// Tells that a task begins.
    pub fn tell_start(&self, task: &Arc<Task>, start: Start) {
        let Start { number, name, kind, place, check_mode } = start;
        // What stands before all others is of each batch its own.
        let first = if self.comes_first(task) { number } else { self.firsts.of(task, number) };
        let role = task.role.as_ref().map(|role| role.name.clone());
        let action = if kind == TaskKind::GatherFacts { "gather_facts".to_owned() } else { task.action.name.clone() };
        self.run.emit(Event::TaskStarted { task: number, first, name, kind, role, action, place, check_mode });
    }

    /// Whether more hosts of the batch have failed than `max_fail_percentage` allows. Those that could not be reached do not count, as in Ansible.
    fn too_many_failed(&self, walkers: &[Walker]) -> bool {
        let n_failed = walkers.iter().filter(|walker| walker.cursor.has_failed()).count();
        self.max_fail_percentage.is_some_and(|limit| n_failed as f64 * 100.0 > limit * self.batch.len() as f64)
    }
}
