//! `include_tasks` and `include_role`: loads what hosts have come to, once for all hosts that want the same, and puts them into it.

use super::cursor::{Included, Step};
use super::play::{Playing, Walker};
use super::task::TaskEnd;
use crate::playbook::{Entry, RoleRequest, Task};
use crate::report::{Event, HostResult, Status};
use crate::source::Diag;
use crate::vars::VarMap;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What one host wants to have included, for one item of the loop.
#[derive(Clone)]
pub struct Include {
    pub what: What,
    /// The task's `vars`, and the loop's variable.
    pub vars: Arc<VarMap>,
    /// The item's label, for the event.
    pub item: Option<String>,
}

#[derive(Clone)]
pub enum What {
    Tasks { path: PathBuf, are_handlers: bool },
    Role { request: RoleRequest, public: bool },
}

impl Include {
    /// Equal for includes that load the same.
    fn key(&self) -> String {
        match &self.what {
            What::Tasks { path, .. } => path.display().to_string(),
            What::Role { request, .. } => {
                format!(
                    "{}/{}/{}/{}/{}",
                    request.name.as_str().unwrap_or_default(),
                    request.tasks_from,
                    request.vars_from,
                    request.defaults_from,
                    request.handlers_from
                )
            }
        }
    }

    /// Makes it the include of one item of a loop.
    pub fn add_item(&mut self, vars: &VarMap, label: &str) {
        let mut with_item = (*self.vars).clone();
        with_item.extend(vars.iter().map(|(name, value)| (name.clone(), value.clone())));
        self.vars = Arc::new(with_item);
        self.item = Some(label.to_owned());
    }

    fn shown(&self) -> String {
        match &self.what {
            What::Tasks { path, .. } => std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string(),
            What::Role { request, .. } => request.name.as_str().unwrap_or_default().to_owned(),
        }
    }
}

/// Puts hosts into what they included. Returns those whose file cannot be loaded: their task has failed.
pub fn enter(
    playing: &Arc<Playing>,
    walkers: &mut [Walker],
    number: usize,
    steps: &[(usize, Step)],
    wanted: Vec<(usize, Vec<Include>, bool)>,
) -> Vec<(usize, TaskEnd)> {
    // The same file for the same item is one include for all hosts; its ordinal is its place among those that were seen.
    let mut seen: Vec<Seen> = Vec::new();
    let mut failed = Vec::new();
    for (at, includes, before) in wanted {
        let Some((_, step)) = steps.iter().find(|(own, _)| *own == at) else { continue };
        let mut files = Vec::new();
        let mut trouble = None;
        for include in includes {
            let key = include.key();
            // A loop may give the same item twice: then the file is included twice.
            let host = walkers[at].host.as_ref();
            let known =
                seen.iter().position(|seen| seen.key == key && seen.item == include.item && !seen.hosts.iter().any(|other| other == host));
            let ordinal = known.unwrap_or_else(|| {
                let loaded = load(playing, step, &include).map(Arc::new);
                seen.push(Seen { key, item: include.item.clone(), shown: include.shown(), loaded, hosts: Vec::new(), before: true });
                seen.len() - 1
            });
            match &seen[ordinal].loaded {
                Ok(entries) => {
                    files.push(Included { ordinal: ordinal as u32, entries: entries.clone(), vars: include.vars });
                    seen[ordinal].hosts.push(walkers[at].host.to_string());
                    seen[ordinal].before &= before;
                }
                Err(findings) => trouble = Some(findings.clone()),
            }
        }
        match trouble {
            Some(findings) => failed.push((at, tell_failure(playing, &walkers[at], number, &step.task, &findings))),
            None => walkers[at].cursor.include(files),
        }
    }
    if let Some(keeping) = &playing.run.settings.keeping {
        keeping.journal.note_files();
    }
    for Seen { shown, item, hosts, before, .. } in seen {
        if hosts.is_empty() {
            continue;
        }
        for host in &hosts {
            playing.run.count(host, |stats| stats.ok += 1);
        }
        playing.run.emit(Event::Included { task: number, file: shown, hosts, item, before });
    }
    failed
}

/// Tells that what a host wanted to include cannot be loaded.
fn tell_failure(playing: &Playing, walker: &Walker, number: usize, task: &Task, findings: &[Diag]) -> TaskEnd {
    let words = findings.first().map_or_else(String::new, |diag| diag.title.clone());
    let rescued = walker.cursor.would_rescue();
    let result = HostResult {
        host: walker.host.to_string(),
        module: task.action.module.spec().short_name().into(),
        delegated_to: None,
        status: Status::Failed,
        ignored: false,
        rescued,
        before: false,
        item: None,
        is_loop: false,
        result: json!({ "changed": false, "failed": true, "msg": words }),
        verbose: false,
        diagnosis: Some(findings.iter().map(Diag::to_string).collect::<Vec<_>>().join("\n")),
        error: Some(findings.iter().map(Diag::with_origin).collect::<Vec<_>>().join("\n")),
        elapsed: Duration::ZERO,
    };
    let end = TaskEnd {
        status: Status::Failed,
        ignored: false,
        rescued,
        is_past: false,
        result: result.result.clone(),
        includes: Vec::new(),
        notify: Vec::new(),
    };
    playing.run.emit(Event::HostFinished { task: number, result });
    playing.run.count_end(&walker.host, &end);
    end
}

/// One include, and the hosts that wanted it.
struct Seen {
    key: String,
    item: Option<String>,
    shown: String,
    loaded: Result<Arc<Vec<Entry>>, Vec<Diag>>,
    hosts: Vec<String>,
    /// An earlier life of the run has included it for all of them.
    before: bool,
}

/// Who tries again by including itself comes to dozens.
const MOST_NESTED: usize = 250;

fn load(playing: &Playing, step: &Step, include: &Include) -> Result<Vec<Entry>, Vec<Diag>> {
    let task = &step.task;
    let Some(hands_down) = &task.include else {
        return Err(vec![Diag::error(format!("BUG: `{}` is no include", task.action.name)).at(&task.span)]);
    };
    if step.include_vars.len() >= MOST_NESTED {
        let words = format!("this is nested in more than {MOST_NESTED} includes: does something include itself?");
        return Err(vec![Diag::error(words).at(&task.span)]);
    }
    let (loader, dir) = (&playing.run.loader, &playing.play.dir);
    let (entries, handlers, roles) = match &include.what {
        What::Tasks { path, are_handlers } => {
            let loaded = loader.tasks(path, &hands_down.keywords, task.role.as_ref(), dir, *are_handlers)?;
            (loaded.entries, loaded.handlers, loaded.roles)
        }
        What::Role { request, public } => {
            let loaded = loader.role(request, &hands_down.keywords, task.role.as_ref(), dir)?;
            (loaded.entries, loaded.handlers, if *public { loaded.roles } else { Vec::new() })
        }
    };
    if !handlers.is_empty() {
        let vars = step.include_vars.iter().chain([&include.vars]).flat_map(|vars| vars.iter());
        playing.add_handlers(handlers, vars.map(|(name, value)| (name.clone(), value.clone())).collect());
    }
    playing.exported.write().expect("no panic holds the lock").extend(roles);
    Ok(entries)
}
