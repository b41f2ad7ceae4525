//! `meta`: what is done to the hosts' ways themselves, and not on the hosts.

use super::cursor::Step;
use super::play::{Playing, Walker};
use super::strategy::End;
use crate::playbook::Task;
use crate::report::{Event, HostResult, Status, TaskKind};
use crate::source::Diag;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// These are asked of each host. The others are about the play, and the first host that comes to them decides for all.
const EACH_HOST: [&str; 6] = ["clear_facts", "end_host", "end_role", "flush_handlers", "noop", "reset_connection"];

/// Does a `meta` task for the hosts that have come to it.
pub async fn run(playing: &Arc<Playing>, walkers: &mut [Walker], steps: &[(usize, Step)]) -> End {
    let task = &steps[0].1.task;
    let action = action_of(task);
    let asked = if EACH_HOST.contains(&action) { steps } else { &steps[..1] };
    let mut holds = Vec::new();
    for (at, step) in asked {
        match playing.asks(&walkers[*at], step) {
            Ok(true) => holds.push((*at, step)),
            Ok(false) => {}
            Err(diag) => {
                playing.run.emit(Event::Warning { text: diag.to_string() });
                playing.run.count(&walkers[*at].host, |stats| stats.failed += 1);
                walkers[*at].cursor.fail();
                return End::Done;
            }
        }
    }
    if asked.len() < steps.len() && !holds.is_empty() {
        holds = steps.iter().map(|(at, step)| (*at, step)).collect();
    }
    for (at, _) in steps.iter().filter(|(at, _)| holds.iter().all(|(held, _)| held != at)) {
        walkers[*at].cursor.advance();
    }
    if holds.is_empty() {
        return End::Done;
    }
    carry_out(playing, walkers, action, &holds).await
}

/// Does what was asked for the hosts for whom it holds.
async fn carry_out(playing: &Arc<Playing>, walkers: &mut [Walker], action: &str, holds: &[(usize, &Step)]) -> End {
    match action {
        "end_play" | "end_batch" => walkers.iter_mut().for_each(|walker| walker.ended = true),
        "end_host" => holds.iter().for_each(|(at, _)| walkers[*at].ended = true),
        "end_role" => holds.iter().for_each(|(at, _)| walkers[*at].cursor.end_role()),
        "flush_handlers" => {
            for (at, _) in holds {
                if playing.settle_handlers(&mut walkers[*at]) {
                    walkers[*at].cursor.flush(playing.all_handlers());
                } else {
                    walkers[*at].cursor.advance();
                }
            }
        }
        _ => {
            for (at, step) in holds {
                match action {
                    "clear_facts" => playing.run.memory.clear_facts(&walkers[*at].host),
                    "reset_connection" => playing.reset_connection(&walkers[*at].host, step).await,
                    _ => {}
                }
                walkers[*at].cursor.advance();
            }
            if action == "clear_host_errors" {
                for walker in walkers.iter_mut() {
                    walker.unreachable = false;
                    walker.cursor.forgive();
                }
                playing.hosts_all.iter().for_each(|host| playing.run.bring_back(host));
            }
        }
    }
    if matches!(action, "clear_host_errors" | "end_host") {
        playing.renew_magic(walkers);
    }
    if action == "end_play" { End::Play } else { End::Done }
}

fn action_of(task: &Task) -> &str {
    task.action.args.iter().find(|(name, _)| name == "action").and_then(|(_, node)| node.as_str()).unwrap_or_default()
}

impl Playing {
    /// Whether a step's conditions hold for a host. Tells of it, unless nobody wrote the task.
    fn asks(&self, walker: &Walker, step: &Step) -> Result<bool, Diag> {
        if Arc::ptr_eq(&step.task, &self.flushing) {
            return Ok(true);
        }
        let view = Arc::new(self.view(&walker.host, Some(&step.task), &step.include_vars)?);
        let number = self.run.new_task_number();
        let (name, place) = (self.name_of(&step.task, &view), step.task.span.to_string());
        self.run.emit(Event::TaskStarted { task: number, name, kind: TaskKind::Task, place, check_mode: self.run.settings.check });
        let Some(condition) = self.first_false(&step.task, &view)? else { return Ok(true) };
        let result = HostResult {
            host: walker.host.to_string(),
            module: "meta",
            delegated_to: None,
            status: Status::Skipped,
            ignored: false,
            rescued: false,
            item: None,
            is_loop: false,
            result: json!({ "skip_reason": "Conditional result was False", "false_condition": condition }),
            verbose: false,
            diagnosis: None,
            error: None,
            elapsed: Duration::ZERO,
        };
        self.run.emit(Event::HostFinished { task: number, result });
        Ok(false)
    }

    async fn reset_connection(&self, host: &str, step: &Step) {
        // Whom to connect to is found out again by the next task, which says what is wrong.
        if let Ok(view) = self.view(host, Some(&step.task), &step.include_vars)
            && let Ok(place) = self.place(host, &step.task.keywords, &Arc::new(view))
        {
            self.run.connections.drop(&place.target).await;
        }
    }
}
