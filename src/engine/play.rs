//! One play: its hosts, its batches, its sections in order, and what all its hosts share.

use super::cursor::{Choose, Cursor, Included};
use super::strategy::{self, Strategy};
use super::{Loss, Run};
use super::{batches, prompt, variables};
use crate::playbook::{Block, Entry, Keywords, Play, Role, Task};
use crate::report::Event;
use crate::source::{Diag, Kind, Node, Source};
use crate::vars::{VarMap, View};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

/// A play while one of its batches runs. Shared by all tasks of the batch.
pub struct Playing {
    pub run: Arc<Run>,
    pub play: Arc<Play>,
    pub name: String,
    pub hosts_all: Vec<Arc<str>>,
    /// Answers of `vars_prompt`.
    pub prompted: Arc<VarMap>,
    /// `groups`, `playbook_dir` and what else is the same for all hosts; renewed when hosts fail or are added.
    pub magic: RwLock<Arc<VarMap>>,
    /// Hosts of the batch, in order.
    pub batch: Vec<Arc<str>>,
    /// The play's handlers, and the lists that `include_role` brought, each with the variables of its include.
    pub handlers: RwLock<Vec<Included>>,
    /// Roles whose defaults and vars the whole play sees.
    pub exported: RwLock<Vec<Arc<Role>>>,
    pub strategy: Strategy,
    pub max_fail_percentage: Option<f64>,
    /// The task that every play begins with, and the one that ends its sections, although nobody wrote them.
    pub gathering: Arc<Task>,
    pub flushing: Arc<Task>,
    /// The task that checks the hosts' variables, if the play wants it.
    pub validating: Option<Arc<Task>>,
    /// Tasks that have been told of, by identity, with their numbers.
    pub begun: Mutex<HashMap<usize, usize>>,
    /// The same for all batches of the play.
    pub firsts: Arc<strategy::Firsts>,
    /// `throttle` of tasks to which hosts come on their own, by identity.
    pub slots: Mutex<HashMap<usize, Arc<tokio::sync::Semaphore>>>,
}

/// A host on its way through the play.
pub struct Walker {
    pub host: Arc<str>,
    pub cursor: Cursor,
    /// Names and topics that were notified since the last flush.
    pub notified: HashSet<String>,
    /// Handlers of the present flush that have not run, by identity.
    pub due: HashSet<usize>,
    /// Roles of which a task was done on this host, by the key of their call.
    pub roles_begun: HashSet<String>,
    /// Those of them that ended.
    pub roles_done: HashSet<String>,
    pub unreachable: bool,
    /// `end_host`: no failure, but no further part in the play.
    pub ended: bool,
    /// The tasks before it are passed over.
    begins_at: Option<super::cursor::Place>,
}

impl Walker {
    fn new(host: Arc<str>, sections: Arc<Vec<Entry>>) -> Walker {
        Walker {
            host,
            cursor: Cursor::new(sections),
            notified: HashSet::new(),
            due: HashSet::new(),
            roles_begun: HashSet::new(),
            roles_done: HashSet::new(),
            unreachable: false,
            ended: false,
            begins_at: None,
        }
    }

    /// Why the host takes no part in later plays, if it does not.
    pub fn loss(&self) -> Option<Loss> {
        if self.unreachable {
            return Some(Loss::Unreachable);
        }
        // Who ends the play in the `always` behind a failure has failed all the same.
        (self.cursor.has_failed() || (self.ended && self.cursor.is_failing())).then_some(Loss::Failed)
    }

    /// Whether the host still takes part.
    pub fn is_active(&self) -> bool {
        !self.unreachable && !self.ended && !self.cursor.is_failing()
    }

    /// Goes on to the host's next task, if there is one.
    pub fn next(&mut self, playing: &Playing) -> Option<super::cursor::Step> {
        if self.unreachable || self.ended {
            return None;
        }
        let Walker { cursor, due, roles_begun, roles_done, begins_at, .. } = self;
        loop {
            let step = cursor.next(&mut Chooser { playing, due, roles_begun, roles_done })?;
            match begins_at {
                Some(place) if step.place < *place && !playing.comes_first(&step.task) => cursor.advance(),
                _ => return Some(step),
            }
        }
    }

    /// Passes over the tasks before the first of such a name (`--start-at-task`). False: there is none.
    fn begin_at(&mut self, name: &str, playing: &Playing) -> bool {
        let mut cursor = self.cursor.clone();
        let (due, roles_begun, mut roles_done) = (HashSet::new(), HashSet::new(), HashSet::new());
        let mut chooser = Chooser { playing, due: &due, roles_begun: &roles_begun, roles_done: &mut roles_done };
        let view = playing.play_view();
        while let Some(step) = cursor.next(&mut chooser) {
            let full = variables::name_of(&playing.run, &step.task, &view);
            let own = step.task.name.as_ref().map_or_else(String::new, |name| playing.run.templar.render_name(name, &view));
            if !playing.comes_first(&step.task)
                && [&own, &full].iter().any(|text| *text == name || crate::python::fnmatch::matches(name, text))
            {
                self.begins_at = Some(step.place);
                return true;
            }
            cursor.advance();
        }
        false
    }
}

struct Chooser<'a> {
    playing: &'a Playing,
    due: &'a HashSet<usize>,
    roles_begun: &'a HashSet<String>,
    roles_done: &'a mut HashSet<String>,
}

impl Choose for Chooser<'_> {
    fn wants(&mut self, task: &Arc<Task>, is_handler: bool) -> bool {
        // What a handler includes was not notified by name: only the listed handlers are asked.
        if is_handler && self.playing.is_listed_handler(task) {
            return self.due.contains(&identity(task));
        }
        is_handler || self.playing.chooses(task)
    }

    fn chooses(&self, task: &Task, is_handler: bool) -> bool {
        is_handler || self.playing.chooses(task)
    }

    fn enters(&mut self, block: &Arc<Block>) -> bool {
        let Some(call) = &block.role_call else { return true };
        call.allow_duplicates || !self.roles_done.contains(&call.key)
    }

    fn leaves(&mut self, block: &Arc<Block>) {
        // A role of which everything was skipped is as good as not called.
        if let Some(call) = &block.role_call
            && self.roles_begun.contains(&call.key)
        {
            self.roles_done.insert(call.key.clone());
        }
    }
}

/// What tells one task from another.
pub fn identity(task: &Arc<Task>) -> usize {
    Arc::as_ptr(task) as usize
}

/// Runs a play on all its hosts, batch by batch. False: no later play is to be run.
pub async fn run(run: &Arc<Run>, play: Arc<Play>, playbook: &Path) -> bool {
    match prepare(run, &play, playbook).await {
        Ok(Some(prepared)) => batches_of(run, play, prepared).await,
        Ok(None) => true,
        Err(diag) => {
            run.broke(&diag);
            false
        }
    }
}

struct Prepared {
    validating: Option<Task>,
    name: String,
    hosts: Vec<Arc<str>>,
    prompted: Arc<VarMap>,
    batches: Vec<Vec<Arc<str>>>,
    strategy: Strategy,
    force_handlers: bool,
    max_fail_percentage: Option<f64>,
    check_mode: bool,
}

/// Whether a play as a whole is only to say what it would change.
fn checks_of(run: &Arc<Run>, play: &Play, view: &Arc<View>) -> bool {
    play.keywords.check_mode.as_ref().map_or(run.settings.check, |node| run.bool_of(node, view).unwrap_or(run.settings.check))
}

/// Everything that is known of a play before its first task. `None`: there is nothing to do.
async fn prepare(run: &Arc<Run>, play: &Arc<Play>, playbook: &Path) -> Result<Option<Prepared>, Diag> {
    if let Some(dir) = playbook.parent() {
        let added = run.inventory.write().expect("no panic holds the lock").add_playbook_dir(dir);
        for warning in added.map_err(|err| Diag::error(format!("{err:#}")))? {
            run.warn(warning.to_string());
        }
    }
    let view = early_view(run, play);
    // Before anything else: an answer may say which hosts.
    let prompted = Arc::new(prompt::answers(run, play, &view)?);
    let view = Arc::new(view.with(crate::vars::Level::VarsPrompt, prompted.clone()));
    let text = |node: &Option<Node>| node.as_ref().map(|node| run.text_of(node, &view)).transpose();

    let pattern = patterns_of(run, &play.hosts, &view)?.join(",");
    let name = match &play.name {
        Some(name) => run.templar.render_name(name, &view),
        None => pattern.clone(),
    };
    let hosts = hosts_of(run, play, &pattern)?;
    if hosts.is_empty() {
        run.emit(Event::PlayStarted { name, hosts: Vec::new(), check_mode: checks_of(run, play, &view) });
        run.emit(Event::NoHostsMatched);
        return Ok(None);
    }
    if let Some(locked) = hosts.iter().find_map(|host| run.inventory().locked(host)) {
        return Err(Diag::clone(&locked));
    }
    let serial = play.serial.as_ref().map(|serial| run.templar.render(serial, &view)).transpose()?;
    let serial = serial.filter(|serial| !crate::template::is_omit(serial) && !serial.is_none());
    let batches = batches::split(
        &batches::in_order(hosts.clone(), text(&play.order)?.as_deref(), &play.span)?,
        serial.as_ref(),
        play.serial.as_ref().map(|node| &node.span),
    )?;
    let force_handlers = match &play.force_handlers {
        Some(node) => run.bool_of(node, &view)?,
        None => run.settings.force_handlers,
    };
    let max_fail_percentage = match text(&play.max_fail_percentage)? {
        Some(text) => {
            Some(text.trim_end_matches('%').parse::<f64>().map_err(|_| Diag::error(format!("`{text}` is no percentage")).at(&play.span))?)
        }
        None => None,
    };
    let strategy = text(&play.strategy)?.or_else(|| run.settings.config.text("DEFAULT_STRATEGY").map(str::to_owned));
    let strategy = Strategy::named(strategy.as_deref(), play.strategy.as_ref().map_or(&play.span, |node| &node.span))?;
    let validating = super::validating::task(run, play, &name, &view)?;
    let check_mode = checks_of(run, play, &view);
    Ok(Some(Prepared { check_mode, validating, name, hosts, prompted, batches, strategy, force_handlers, max_fail_percentage }))
}

/// The variables by which a play's own keywords are rendered.
pub fn early_view(run: &Arc<Run>, play: &Play) -> Arc<View> {
    let mut view = View::default();
    view.add(crate::vars::Level::Play, play.vars.clone());
    view.add(crate::vars::Level::Extra, run.settings.extra_vars.clone());
    view.add(crate::vars::Level::Magic, Arc::new(variables::magic(run, &play.dir, &[], &[], "")));
    Arc::new(view)
}

/// The hosts of a play's pattern within the limit, in the inventory's order.
pub fn hosts_of(run: &Run, play: &Play, pattern: &str) -> Result<Vec<Arc<str>>, Diag> {
    let mut unmatched = Vec::new();
    let hosts = run.inventory().hosts_matching(pattern, &mut unmatched).map_err(|err| Diag::error(err.to_string()).at(&play.hosts.span))?;
    for pattern in unmatched {
        let words = format!("Could not match supplied host pattern, ignoring: {pattern}");
        match run.settings.config.text("HOST_PATTERN_MISMATCH") {
            Some("error") => return Err(Diag::error(words).at(&play.hosts.span)),
            Some("ignore") => {}
            _ => run.warn(words),
        }
    }
    let Some(limit) = &run.settings.limit else { return Ok(hosts) };
    let allowed = run.inventory().hosts_matching(limit, &mut Vec::new()).map_err(|err| Diag::error(err.to_string()))?;
    let allowed: HashSet<_> = allowed.into_iter().collect();
    Ok(hosts.into_iter().filter(|host| allowed.contains(host)).collect())
}

/// Runs the batches one after another. False: no later play is to be run.
async fn batches_of(run: &Arc<Run>, play: Arc<Play>, prepared: Prepared) -> bool {
    let (gathering, flushing) = (Arc::new(gathering(&play)), Arc::new(flush_handlers(&play)));
    let validating = prepared.validating.map(Arc::new);
    let sections = Arc::new(sections(&play, &gathering, validating.as_ref(), &flushing, prepared.force_handlers));
    let firsts = Arc::<strategy::Firsts>::default();
    for batch in prepared.batches {
        let hosts = batch.iter().map(|host| host.to_string()).collect();
        run.emit(Event::PlayStarted { name: prepared.name.clone(), hosts, check_mode: prepared.check_mode });
        // Who failed in an earlier play still counts as a member of the batch, but takes no part.
        let mut walkers: Vec<Walker> =
            batch.iter().filter(|host| !run.is_out(host)).map(|host| Walker::new(host.clone(), sections.clone())).collect();
        let n_hosts = batch.len();
        let playing = Arc::new(Playing {
            run: run.clone(),
            play: play.clone(),
            name: prepared.name.clone(),
            hosts_all: prepared.hosts.clone(),
            prompted: prepared.prompted.clone(),
            magic: RwLock::default(),
            batch,
            handlers: RwLock::new(vec![Included { ordinal: 0, entries: Arc::new(play.handlers.clone()), vars: Arc::default() }]),
            exported: RwLock::new(play.static_roles.clone()),
            strategy: prepared.strategy,
            max_fail_percentage: prepared.max_fail_percentage,
            gathering: gathering.clone(),
            flushing: flushing.clone(),
            validating: validating.clone(),
            begun: Mutex::default(),
            firsts: firsts.clone(),
            slots: Mutex::default(),
        });
        playing.renew_magic(&walkers);
        if let Some(name) = run.start_at() {
            let found: Vec<bool> = walkers.iter_mut().map(|walker| walker.begin_at(&name, &playing)).collect();
            if found.contains(&true) {
                run.has_started();
            } else {
                walkers.iter_mut().for_each(|walker| walker.ended = true);
            }
        }
        let end = strategy::run(&playing, &mut walkers).await;
        let n_lost = walkers.iter().filter_map(Walker::loss).count();
        playing.put_out_lost(&walkers);
        if n_lost == n_hosts || end == strategy::End::Aborted || run.is_interrupted() {
            return false;
        }
        if end == strategy::End::Play {
            break;
        }
    }
    true
}

/// `hosts:` as one pattern.
/// What `hosts` asks for: a pattern, or several.
pub fn patterns_of(run: &Run, hosts: &Node, view: &Arc<View>) -> Result<Vec<String>, Diag> {
    let value = run.templar.render(hosts, view)?;
    let patterns: Vec<String> = match value.kind() {
        minijinja::value::ValueKind::Seq => value.try_iter().into_iter().flatten().map(|part| part.to_string()).collect(),
        _ => vec![value.to_string()],
    };
    if patterns.iter().all(|pattern| pattern.trim().is_empty()) {
        return Err(Diag::error("Hosts list cannot be empty. Please check your playbook").at(&hosts.span));
    }
    Ok(patterns)
}

/// The play's sections as one list: facts, pre_tasks, roles and tasks, post_tasks, each followed by its handlers. Forced handlers run after a
/// failure, too: they are the section's `always`.
fn sections(play: &Play, gathering: &Arc<Task>, validating: Option<&Arc<Task>>, flushing: &Arc<Task>, force_handlers: bool) -> Vec<Entry> {
    let flush = || Entry::Task(flushing.clone());
    let mut all = vec![Entry::Task(gathering.clone())];
    all.extend(validating.map(|task| Entry::Task(task.clone())));
    let roles_and_tasks: Vec<Entry> = play.roles.iter().chain(&play.tasks).cloned().collect();
    for section in [play.pre_tasks.clone(), roles_and_tasks, play.post_tasks.clone()] {
        if force_handlers {
            let block =
                Block { name: None, block: section, rescue: Vec::new(), always: vec![flush()], role_call: None, span: play.span.clone() };
            all.push(Entry::Block(Arc::new(block)));
        } else {
            all.extend(section);
            all.push(flush());
        }
    }
    all
}

/// The name of the file that holds what nobody wrote.
const UNWRITTEN: &str = "<every play>";

fn gathering(play: &Play) -> Task {
    let written = Source::from_text(UNWRITTEN, "");
    let span = written.span(0, 0);
    let mut args = Vec::new();
    for (name, value) in [("gather_subset", &play.gather_subset), ("gather_timeout", &play.gather_timeout), ("fact_path", &play.fact_path)]
    {
        if let Some(value) = value {
            args.push((name.to_owned(), value.clone()));
        }
    }
    let mut keywords = play.keywords.clone();
    // A play with tags gathers facts when it is asked for, every other play always.
    if keywords.tags.is_empty() {
        keywords.tags.push(Node::string("always", span));
    }
    Task::unwritten("Gathering Facts", "setup", args, keywords, None, &play.span)
}

fn flush_handlers(play: &Play) -> Task {
    let written = Source::from_text(UNWRITTEN, "flush_handlers");
    let span = written.span(0, written.text.len());
    let always = Keywords { tags: vec![Node::string("always", span.clone())], ..Keywords::default() };
    Task::unwritten("flush_handlers", "meta", vec![("action".to_owned(), Node::string("flush_handlers", span))], always, None, &play.span)
}

impl Playing {
    /// Whether a task stands before all others in every play.
    pub fn comes_first(&self, task: &Arc<Task>) -> bool {
        Arc::ptr_eq(task, &self.gathering) || self.validating.as_ref().is_some_and(|first| Arc::ptr_eq(task, first))
    }

    /// Hosts that are lost take no part in later plays.
    pub fn put_out_lost(&self, walkers: &[Walker]) {
        for walker in walkers {
            if let Some(loss) = walker.loss() {
                self.run.put_out(&walker.host, loss);
            }
        }
    }

    /// Whether `--tags` and `--skip-tags` choose a task.
    pub fn chooses(&self, task: &Task) -> bool {
        self.run.settings.tags.chooses(&self.run.tags_of(&task.keywords, || self.play_view()))
    }

    pub fn dir(&self) -> PathBuf {
        self.play.dir.clone()
    }
}

impl Run {
    /// The tags among a task's keywords, rendered if need be.
    pub fn tags_of(&self, keywords: &Keywords, view: impl Fn() -> Arc<View>) -> Vec<String> {
        let mut tags = Vec::new();
        for node in &keywords.tags {
            match node.is_template().then(|| self.templar.render(node, &view())) {
                Some(Ok(value)) if value.kind() == minijinja::value::ValueKind::Seq => {
                    tags.extend(value.try_iter().into_iter().flatten().map(|tag| tag.to_string()));
                }
                Some(Ok(value)) => tags.extend(split_tags(&value.to_string())),
                // A tag that cannot be rendered chooses nothing; it is still no reason to run or not to run the task.
                Some(Err(_)) => {}
                None => match &node.kind {
                    Kind::Seq(items) => tags.extend(items.iter().filter_map(Node::as_str).map(str::to_owned)),
                    _ => tags.extend(split_tags(node.as_str().unwrap_or(node.span.text()))),
                },
            }
        }
        tags
    }
}

fn split_tags(text: &str) -> impl Iterator<Item = String> {
    text.split(',').map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty())
}
