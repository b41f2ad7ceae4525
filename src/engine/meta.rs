//! `meta`: what is done to the hosts' ways themselves, and not on the hosts.

use super::cursor::Step;
use super::play::{Playing, Walker, identity};
use super::strategy::{End, Start};
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
    for (at, step) in steps.iter().filter(|(_, step)| step.is_handler) {
        walkers[*at].due.remove(&identity(&step.task));
    }
    let asked = if EACH_HOST.contains(&action) { steps } else { &steps[..1] };
    if action == "flush_handlers" && steps[0].1.is_handler {
        playing.run.broke(&Diag::error("flush_handlers cannot be used as a handler").at(&task.span));
        return End::Aborted;
    }
    let mut holds = Vec::new();
    for (at, step) in asked {
        match playing.asks(&walkers[*at], step, action) {
            Ok(true) => holds.push((*at, step)),
            Ok(false) => {}
            // Ansible ends here as well: there is no result in which this could be told.
            Err(diag) => {
                playing.run.broke(&diag);
                return End::Aborted;
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
        "end_role" => {
            for (at, _) in holds {
                let walker = &mut walkers[*at];
                let key = walker.cursor.role_call().map(|call| call.key.clone());
                walker.roles_done.extend(key.filter(|key| walker.roles_begun.contains(key)));
                walker.cursor.end_role();
            }
        }
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
                    "refresh_inventory" => {
                        if let Err(diag) = playing.run.refresh_inventory(&playing.play.dir) {
                            playing.run.broke(&diag);
                            return End::Aborted;
                        }
                    }
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
    if matches!(action, "clear_host_errors" | "end_host" | "refresh_inventory") {
        playing.renew_magic(walkers);
    }
    if action == "end_play" { End::Play } else { End::Done }
}

fn action_of(task: &Task) -> &str {
    task.action.args.iter().find(|(name, _)| name == "action").and_then(|(_, node)| node.as_str()).unwrap_or_default()
}

/// What is said of a `meta` task that does something for a host, and of one that does not.
fn words_of(action: &str, host: &str, role: &str) -> (String, String) {
    let (done, not_done) = match action {
        "flush_handlers" => (format!("triggered running handlers for {host}"), format!("not running handlers for {host}")),
        "clear_facts" => ("facts cleared".to_owned(), format!("not clearing facts and fact cache for {host}")),
        "clear_host_errors" => ("cleared host errors".to_owned(), format!("not clearing host error state for {host}")),
        "end_batch" => ("ending batch".to_owned(), "continuing current batch".to_owned()),
        "end_play" => ("ending play".to_owned(), "continuing play".to_owned()),
        "end_host" => (format!("ending play for {host}"), format!("continuing execution for {host}")),
        "end_role" => (format!("ending role {role} for {host}"), format!("continuing role {role} for {host}")),
        "reset_connection" => ("reset connection".to_owned(), String::new()),
        "refresh_inventory" => ("inventory successfully refreshed".to_owned(), String::new()),
        other => (other.to_owned(), String::new()),
    };
    (done, format!("{action} conditional evaluated to False, {not_done}"))
}

impl Playing {
    /// Whether a step's conditions hold for a host. Tells of it, unless nobody wrote the task.
    fn asks(&self, walker: &Walker, step: &Step, action: &str) -> Result<bool, Diag> {
        if Arc::ptr_eq(&step.task, &self.flushing) {
            return Ok(true);
        }
        let view = Arc::new(self.view(&walker.host, Some(&step.task), &step.include_vars)?);
        let number = self.run.new_task_number();
        let (name, place) = (self.name_of(&step.task, &view), step.task.span.to_string());
        let kind = if step.is_handler { TaskKind::Handler } else { TaskKind::Task };
        self.tell_start(&step.task, Start { number, name, kind, place, check_mode: self.run.settings.check });
        let role = step.task.role.as_ref().map(|role| role.full_name()).unwrap_or_default();
        let (done, not_done) = words_of(action, &walker.host, &role);
        if matches!(action, "noop" | "refresh_inventory" | "reset_connection") {
            if !step.task.keywords.when.is_empty() {
                self.run.warn(format!("{action} task does not support when conditional"));
            }
        } else if self.first_false(&step.task, &view)?.is_some() {
            self.run.emit(Event::Meta { task: number, text: not_done.clone() });
            self.run.emit(Event::HostFinished { task: number, result: skipped(walker, action, &not_done) });
            return Ok(false);
        }
        self.run.emit(Event::Meta { task: number, text: done });
        Ok(true)
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

fn skipped(walker: &Walker, action: &str, why: &str) -> HostResult {
    HostResult {
        host: walker.host.to_string(),
        module: "meta".into(),
        delegated_to: None,
        status: Status::Skipped,
        ignored: false,
        rescued: false,
        before: false,
        item: None,
        is_loop: false,
        result: json!({ "changed": false, "msg": action, "skip_reason": why }),
        verbose: false,
        diagnosis: None,
        error: None,
        elapsed: Duration::ZERO,
    }
}
