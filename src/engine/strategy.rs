//! Which host does which task next. `linear`: all hosts of the batch do a task before any goes on. `free`: each host on its own.

use super::cursor::Step;
use super::include;
use super::play::{GATHERING_FACTS, Playing, Walker};
use super::task::{TaskEnd, TaskRun};
use crate::report::{Event, Status, TaskKind};
use crate::source::{Diag, Node, Span};
use crate::vars::Variable;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    Linear,
    Free,
}

/// How a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every host came to its end.
    Done,
    /// `meta: end_play`.
    Play,
    /// `any_errors_fatal`, `max_fail_percentage`: no later play is run.
    Aborted,
}

impl Strategy {
    /// The strategy of a play's keyword; linear by default.
    pub fn named(name: Option<&str>, at: &Span) -> Result<Strategy, Diag> {
        const KNOWN: [&str; 2] = ["linear", "free"];
        match name.map(|name| name.strip_prefix("ansible.builtin.").unwrap_or(name)) {
            None | Some("linear") => Ok(Strategy::Linear),
            // Pinning a worker to a host changes nothing where every host has its own connection.
            Some("free" | "host_pinned") => Ok(Strategy::Free),
            Some(other) => Err(Diag::error(format!("there is no strategy `{other}`; there are `linear` and `free`")).at(at).did_you_mean(other, KNOWN)),
        }
    }
}

/// Takes the hosts of a batch through the play.
pub async fn run(playing: &Arc<Playing>, walkers: &mut Vec<Walker>, strategy: Strategy) -> End {
    if strategy == Strategy::Linear {
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
        let Some(place) = steps.iter().map(|(_, step)| &step.place).min().cloned() else { break };
        let steps: Vec<_> = steps.into_iter().filter(|(_, step)| step.place == place).collect();
        let end = match steps[0].1.task.action.module.spec().name {
            "ansible.builtin.meta" => meta(playing, walkers, &steps).await,
            _ => do_task(playing, walkers, steps).await,
        };
        if end != End::Done {
            return end;
        }
    }
    End::Done
}

/// One task on the hosts that have come to it.
async fn do_task(playing: &Arc<Playing>, walkers: &mut [Walker], mut steps: Vec<(usize, Step)>) -> End {
    let run = &playing.run;
    let task = steps[0].1.task.clone();
    let is_gathering = task.name.as_ref().is_some_and(|name| name.as_str() == Some(GATHERING_FACTS)) && Arc::ptr_eq(&task.span.source, &playing.play.span.source);
    if is_gathering && task.action.name == "setup" && task.register.is_none() {
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
    let first_view = playing.view(&walkers[steps[0].0].host, Some(&task), &steps[0].1.include_vars).map(Arc::new);
    let flag = |node: &Option<Node>| match (node, &first_view) {
        (Some(node), Ok(view)) => run.bool_of(node, view).unwrap_or(false),
        _ => false,
    };
    let run_once = flag(&task.keywords.run_once);
    // `add_host` is about the inventory, not about the hosts: one of them is enough.
    let is_for_all = task.action.module.spec().name == "ansible.builtin.add_host";
    let any_errors_fatal = run_once || flag(&task.keywords.any_errors_fatal);
    let throttle = match (&task.keywords.throttle, &first_view) {
        (Some(node), Ok(view)) => run.templar.render(node, view).ok().and_then(|value| usize::try_from(value).ok()).filter(|throttle| *throttle > 0),
        _ => None,
    };

    let number = run.new_task_number();
    let name = match &first_view {
        Ok(view) => playing.name_of(&task, view),
        Err(_) => task.action.name.clone(),
    };
    let kind = if is_gathering {
        TaskKind::GatherFacts
    } else if steps[0].1.is_handler {
        TaskKind::Handler
    } else {
        TaskKind::Task
    };
    run.emit(Event::TaskStarted { task: number, name: name.clone(), kind, place: task.span.to_string(), check_mode: run.settings.check });

    let slots = Arc::new(Semaphore::new(throttle.unwrap_or(Semaphore::MAX_PERMITS)));
    let also: Vec<Arc<str>> = if run_once || is_for_all { steps[1..].iter().map(|(at, _)| walkers[*at].host.clone()).collect() } else { Vec::new() };
    let doers = if run_once || is_for_all { &steps[..1] } else { &steps[..] };
    let mut doing = JoinSet::new();
    for (at, step) in doers {
        let one = TaskRun {
            playing: playing.clone(),
            host: walkers[*at].host.clone(),
            step: step.clone(),
            number,
            name: name.clone(),
            rescues: walkers[*at].cursor.would_rescue(),
            also: also.clone(),
            cursor: walkers[*at].cursor.clone(),
        };
        let (at, slots) = (*at, slots.clone());
        doing.spawn(async move {
            let _slot = slots.acquire().await;
            let run = one.playing.run.clone();
            let _fork = run.forks.acquire().await;
            (at, one.run().await)
        });
    }
    let mut ends: Vec<(usize, TaskEnd)> = doing.join_all().await;
    ends.sort_by_key(|(at, _)| *at);

    if steps[0].1.is_handler {
        for (at, step) in &steps {
            walkers[*at].notified.remove(&super::play::identity(&step.task));
        }
    }
    let mut includes = Vec::new();
    let mut lost = false;
    let others: Vec<usize> = if run_once || is_for_all { steps[1..].iter().map(|(at, _)| *at).collect() } else { Vec::new() };
    for (at, mut end) in ends {
        let walker = &mut walkers[at];
        playing.run.count_end(&walker.host, &end);
        match end.status {
            Status::Failed if !end.ignored => {
                fail(playing, walker, &task, &end);
                lost |= !end.rescued;
            }
            Status::Unreachable if !end.ignored => {
                walker.unreachable = true;
                lost = true;
            }
            _ if !end.includes.is_empty() => {
                let wanted = std::mem::take(&mut end.includes);
                includes.extend(others.iter().map(|other| (*other, wanted.clone())));
                includes.push((at, wanted));
            }
            _ => {
                walker.cursor.advance();
                for other in &others {
                    walkers[*other].cursor.advance();
                }
            }
        }
        if let Err(diag) = playing.notify(&mut walkers[at], &end.notify) {
            run.emit(Event::Warning { text: diag.to_string() });
            walkers[at].cursor.fail();
            run.count(&walkers[at].host, |stats| stats.failed += 1);
            return End::Aborted;
        }
    }
    if !includes.is_empty() {
        include::enter(playing, walkers, number, &task, includes);
    }
    if lost && any_errors_fatal {
        // Everybody still in the play fails with the first, and everybody may be rescued.
        for walker in walkers.iter_mut().filter(|walker| walker.is_active() && !walker.cursor.is_rescuing()) {
            walker.cursor.fail();
        }
    }
    if lost {
        playing.renew_magic(walkers);
    }
    match playing.max_fail_percentage {
        Some(limit) if lost => {
            let failed = walkers.iter().filter(|walker| walker.unreachable || walker.cursor.is_failing()).count();
            let too_many = failed as f64 / playing.batch.len() as f64 * 100.0 > limit;
            if too_many { End::Aborted } else { End::Done }
        }
        _ => End::Done,
    }
}

/// Takes a host to where its failure leads; a `rescue` on the way gets to know what failed.
fn fail(playing: &Playing, walker: &mut Walker, task: &crate::playbook::Task, end: &TaskEnd) {
    walker.cursor.fail();
    if end.rescued {
        let failed_task = serde_json::json!({ "name": task.name.as_ref().and_then(Node::as_str).unwrap_or(&task.action.name), "action": task.action.name });
        let vars = [("ansible_failed_task", Variable::data(&failed_task)), ("ansible_failed_result", Variable::data(&end.result))];
        playing.run.memory.set(&walker.host, vars.map(|(name, value)| (name.to_owned(), value)));
    }
}

/// `meta`: what the engine does to the hosts' ways themselves.
async fn meta(playing: &Arc<Playing>, walkers: &mut [Walker], steps: &[(usize, Step)]) -> End {
    let task = &steps[0].1.task;
    let action = task.action.args.iter().find(|(name, _)| name == "action").and_then(|(_, node)| node.as_str()).unwrap_or_default();
    let mut holds = Vec::new();
    // The flushes that every play has are not announced, those that somebody wrote are.
    let is_written = task.action.args.iter().all(|(_, node)| node.span.source.name != super::play::UNWRITTEN);
    for (at, step) in steps {
        if is_written {
            let (name, place) = (task.name.as_ref().and_then(Node::as_str).unwrap_or("meta").to_owned(), task.span.to_string());
            playing.run.emit(Event::TaskStarted { task: playing.run.new_task_number(), name, kind: TaskKind::Task, place, check_mode: playing.run.settings.check });
        }
        match playing.holds(&walkers[*at].host, step) {
            Ok(true) => holds.push(*at),
            Ok(false) => walkers[*at].cursor.advance(),
            Err(diag) => {
                playing.run.emit(Event::Warning { text: diag.to_string() });
                playing.run.count(&walkers[*at].host, |stats| stats.failed += 1);
                walkers[*at].cursor.fail();
            }
        }
    }
    let first_holds = holds.first() == steps.first().map(|(at, _)| at);
    match action {
        "flush_handlers" => {
            let handlers = playing.handlers.read().expect("no panic holds the lock").clone();
            for at in holds {
                if walkers[at].notified.is_empty() {
                    walkers[at].cursor.advance();
                } else {
                    walkers[at].cursor.flush(handlers.clone());
                }
            }
        }
        "end_play" if first_holds => {
            walkers.iter_mut().for_each(|walker| walker.ended = true);
            return End::Play;
        }
        "end_batch" if first_holds => walkers.iter_mut().for_each(|walker| walker.ended = true),
        "end_host" => holds.iter().for_each(|at| walkers[*at].ended = true),
        "end_role" => holds.iter().for_each(|at| walkers[*at].cursor.end_role()),
        _ => {
            for at in &holds {
                let host = walkers[*at].host.clone();
                match action {
                    "clear_facts" => playing.run.memory.clear_facts(&host),
                    "reset_connection" => {
                        let step = &steps.iter().find(|(other, _)| other == at).expect("holds are steps").1;
                        if let Ok(view) = playing.view(&host, Some(&step.task), &step.include_vars)
                            && let Ok(place) = playing.place(&host, &step.task.keywords, &Arc::new(view))
                        {
                            playing.run.connections.drop(&place.target).await;
                        }
                    }
                    _ => {}
                }
                walkers[*at].cursor.advance();
            }
            if action == "clear_host_errors" && first_holds {
                for walker in walkers.iter_mut() {
                    walker.unreachable = false;
                    walker.cursor.forgive();
                    playing.run.bring_back(&walker.host);
                }
            }
        }
    }
    End::Done
}
