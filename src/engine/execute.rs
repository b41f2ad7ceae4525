//! One module on one host: arguments rendered and converted, probe, decision, apply.

use super::connect::Place;
use super::fetched;
use super::include::Include;
use super::play::Playing;
use super::task::TaskRun;
use super::wire::Wire;
use super::{Run, plain};
use crate::module::{AnyModule, Apply, Args, Change, Context, Decision, Diff, Failure, Finish, Outcome, Registered, TemplateOptions};
use crate::playbook::{ModuleDefaults, Task};
use crate::python::bytes;
use crate::remote::{RunError, Sought};
use crate::secrets;
use crate::sh::{Output, Script};
use crate::source::{Diag, Node, Source};
use crate::template;
use crate::vars::{VarMap, Variable, View};
use minijinja::value::ValueKind;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What came of a module, whoever ran it.
#[derive(Default)]
pub struct Executed {
    pub changed: bool,
    pub failed: bool,
    pub skipped: bool,
    pub unreachable: bool,
    pub data: Map<String, Json>,
    pub facts: Map<String, Json>,
    pub set: Vec<(String, Variable)>,
    pub include_vars: VarMap,
    /// `ansible_facts` of the result as they stand in their files: where they are registered, their templates stay templates.
    pub facts_as_written: Option<Node>,
    /// The result is not to be shown: what it holds comes from an encrypted file.
    pub hidden: bool,
    /// Nobody asked for a diff: it is registered, and not shown.
    pub hides_diff: bool,
    pub includes: Vec<Include>,
    pub notify: Vec<String>,
    /// The result is shown although nothing failed (`debug`).
    pub verbose: bool,
    pub diagnosis: Option<Arc<Diag>>,
}

impl Executed {
    pub fn failed(message: impl Into<String>) -> Executed {
        let mut executed = Executed { failed: true, ..Executed::default() };
        executed.data.insert("msg".into(), Json::from(message.into()));
        executed
    }

    /// A failure with a place in the user's files.
    pub fn diagnosed(diag: &Diag) -> Executed {
        let diagnosis = (!diag.places.is_empty()).then(|| Arc::new(diag.clone()));
        Executed { diagnosis, ..Executed::failed(diag.message()) }
    }

    pub fn timed_out(limit: Duration) -> Executed {
        let mut executed = Executed::failed(format!("Task failed: Timed out after {} second(s).", limit.as_secs()));
        executed.data.insert("timedout".into(), json!({ "period": limit.as_secs() }));
        executed
    }

    pub fn unreachable(message: impl Into<String>) -> Executed {
        let mut executed = Executed { unreachable: true, ..Executed::failed(message) };
        executed.failed = false;
        executed
    }

    /// Whether the host's variables are others now.
    pub fn is_kept(&self) -> bool {
        !self.facts.is_empty() || !self.set.is_empty() || !self.include_vars.is_empty()
    }

    pub fn of_trouble(task: &Task, trouble: Trouble) -> Executed {
        let mut failure = match trouble {
            Trouble::Unreachable(message) => return Executed::unreachable(message),
            Trouble::Diag(diag) => return Executed::diagnosed(&diag),
            Trouble::Failure(failure) => failure,
        };
        let mut executed = Executed::failed(failure.message.clone());
        // A template file's own place is nearer to the mistake than the argument that names the file.
        executed.diagnosis = failure.diag.take().map(|diag| Arc::new(*diag)).or_else(|| {
            let span = argument_span(task, failure.argument.as_ref()?)?;
            Some(Arc::new(Diag::error(failure.message.clone()).at(&span)))
        });
        executed.changed = failure.data.get("changed").and_then(Json::as_bool).unwrap_or(false);
        executed.data.extend(failure.data);
        executed
    }

    pub fn of(outcome: Outcome, diff_mode: bool) -> Executed {
        let mut data = outcome.data;
        if diff_mode || outcome.always_diffs {
            let mut diffs: Vec<Json> = outcome.diff.iter().map(diff_json).collect();
            match diffs.len() {
                0 => {}
                1 if !outcome.lists_diffs => drop(data.insert("diff".into(), diffs.remove(0))),
                _ => drop(data.insert("diff".into(), diffs.into())),
            }
        }
        if !outcome.warnings.is_empty() {
            data.insert("warnings".into(), outcome.warnings.clone().into());
        }
        let facts = outcome.facts;
        if !facts.is_empty() {
            data.insert("ansible_facts".into(), Json::Object(facts.clone()));
        }
        let hides_diff = !diff_mode;
        Executed { changed: outcome.changed, skipped: outcome.skipped, data, facts, hides_diff, ..Executed::default() }
    }
}

fn diff_json(diff: &Diff) -> Json {
    if !diff.prepared.is_empty() {
        return json!({ "prepared": diff.prepared });
    }
    if let Some((before, after)) = diff.states.as_deref() {
        return json!({ "before": before, "after": after });
    }
    json!({ "before": diff.before, "after": diff.after, "before_header": diff.before_header, "after_header": diff.after_header })
}

pub enum Trouble {
    Failure(Failure),
    Diag(Box<Diag>),
    Unreachable(String),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Failure(failure)
    }
}

impl From<Diag> for Trouble {
    fn from(diag: Diag) -> Trouble {
        Trouble::Diag(Box::new(diag))
    }
}

impl From<RunError> for Trouble {
    fn from(err: RunError) -> Trouble {
        match &err {
            RunError::Timeout { after, stdout, stderr } => Trouble::Failure(
                Failure::new(format!("Task failed: Timed out after {} second(s).", after.as_secs()))
                    .with("timedout", json!({ "period": after.as_secs() }))
                    .with("stdout", String::from_utf8_lossy(stdout).into_owned())
                    .with("stderr", String::from_utf8_lossy(stderr).into_owned()),
            ),
            RunError::Gone { stdout, stderr, .. } => Trouble::Failure(
                Failure::new(super::chain(&err))
                    .with("stdout", String::from_utf8_lossy(stdout).into_owned())
                    .with("stderr", String::from_utf8_lossy(stderr).into_owned()),
            ),
            RunError::Lost(_) | RunError::Become { .. } | RunError::Shell(_) => Trouble::Unreachable(super::chain(&err)),
            RunError::Interrupted
            | RunError::Start(_)
            | RunError::TooMuchOutput { .. }
            | RunError::Send { .. }
            | RunError::Receive { .. }
            | RunError::EnvironmentName(_)
            | RunError::Nul => Trouble::Failure(Failure::new(super::chain(&err))),
        }
    }
}

/// Runs a module that works on hosts.
pub async fn on_host(task_run: &TaskRun, place: &Place, place_view: &Arc<View>, view: &Arc<View>) -> Executed {
    let Registered::OnHost(module) = task_run.task().action.module else {
        return Executed::failed(format!("BUG: `{}` is the engine's own and has no action", task_run.task().action.name));
    };
    let done = match decide(task_run, module, place, place_view, view).await {
        Ok(Decided { step, diff_mode }) => step.finish(task_run, place, view).await.map(|outcome| Executed::of(outcome, diff_mode)),
        Err(trouble) => Err(trouble),
    };
    let mut executed = done.unwrap_or_else(|trouble| Executed::of_trouble(task_run.task(), trouble));
    if task_run.playing.run.settings.config.flag("INJECT_INVOCATION")
        && !executed.unreachable
        && let Ok(args) = arguments(&task_run.playing, task_run.task(), view)
    {
        executed.data.insert("invocation".into(), json!({ "module_args": args }));
    }
    let delegate = (place.target.name != *task_run.host).then_some(place.target.name.as_str());
    task_run.keep(&executed, delegate, view);
    executed
}

fn argument_span(task: &Task, argument: &str) -> Option<crate::source::Span> {
    let param = task.action.module.spec().param(argument)?;
    task.action.args.iter().find(|(name, _)| param.answers_to(name)).map(|(_, node)| node.span.clone())
}

/// What a module has decided, and whether a diff is to be shown.
pub struct Decided {
    pub step: Step,
    pub diff_mode: bool,
}

/// What is left to do of a task.
pub enum Step {
    Done(Outcome),
    Act(Box<Act>),
}

/// A script for the host, and how its answer is understood.
pub struct Act {
    pub wire: Wire,
    pub script: Script,
    pub outcome: Outcome,
    finish: Option<Finish>,
    module: &'static str,
    /// The host's answer to a probe has led to it.
    decided: bool,
    /// That answer.
    pub probe: Option<Output>,
}

impl Step {
    async fn finish(self, task_run: &TaskRun, place: &Place, view: &Arc<View>) -> Result<Outcome, Trouble> {
        let run = &task_run.playing.run;
        let act = match self {
            Step::Done(outcome) => return Ok(outcome),
            Step::Act(act) => act,
        };
        if act.decided {
            run.ahead.change_decided();
        }
        run.ahead.something_changes();
        let job = task_run.name_job(place, act.probe.as_ref(), view)?;
        let id = job.as_ref().map(|job| job.id.clone());
        let output = act.wire.apply(act.script.clone(), job).await;
        run.ahead.something_changes();
        task_run.saw_end(&act.wire, id);
        Ok(act.understand(&output?)?)
    }
}

impl Act {
    /// What came of it, from what the script said.
    pub fn understand(self, output: &Output) -> Result<Outcome, Failure> {
        match self.finish {
            Some(finish) => finish(output, self.outcome),
            None if output.success() => Ok(self.outcome),
            None => Err(Failure::script(self.module, output)),
        }
    }
}

/// Asks the host and lets the module decide.
pub async fn decide(
    task_run: &TaskRun,
    module: &'static dyn AnyModule,
    place: &Place,
    place_view: &Arc<View>,
    view: &Arc<View>,
) -> Result<Decided, Trouble> {
    let Prepared { args, context, environment } = prepare(&task_run.playing, &task_run.host, task_run.task(), view, place_view)?;
    let run = &task_run.playing.run;
    let diff_mode = context.diff_mode;
    let done = |outcome| Ok(Decided { step: Step::Done(outcome), diff_mode });
    let wire = Wire::open(task_run, place, view).await?;
    let probe = module.probe(&args, &context)?;
    let decided = probe.is_some();
    let output = match probe {
        // What the module was told before it changed anything: now it would be told something else.
        Some(script) => match task_run.turn.probed() {
            Some(output) => output,
            None => run.probe(task_run, &wire, place, with_environment(script, &environment)).await?,
        },
        None => nothing_said(),
    };
    let change = match module.decide(&args, &output, &context)? {
        Decision::Unchanged(outcome) => return done(outcome),
        Decision::Change(change) => change,
    };
    let Change { outcome, apply, finish, in_check_mode } = change;
    if context.check_mode {
        return done(in_check_mode.unwrap_or(outcome));
    }
    match apply {
        Apply::OnController { path, content } => {
            // The controller can be a host, and its own probes are on their way.
            run.ahead.something_changes();
            fetched::write(&path, &content)?;
            run.ahead.something_changes();
            done(outcome)
        }
        Apply::FromHost { source, length, checksum, path } => {
            run.ahead.something_changes();
            let sought = Sought { path: &source, length, checksum: &checksum };
            let outcome = Box::pin(fetched::receive(&wire, &sought, &path, outcome, finish)).await;
            run.ahead.something_changes();
            done(outcome?)
        }
        Apply::OnHost(script) => {
            let script = with_environment(script, &environment);
            let probe = decided.then_some(output);
            let act = Act { wire, script, outcome, finish, module: module.spec().short_name(), decided, probe };
            Ok(Decided { step: Step::Act(Box::new(act)), diff_mode })
        }
    }
}

/// What a module needs to be asked and to decide.
struct Prepared {
    args: Args,
    context: HostContext,
    environment: Vec<(String, String)>,
}

fn prepare(
    playing: &Arc<Playing>,
    host: &Arc<str>,
    task: &Arc<Task>,
    view: &Arc<View>,
    place_view: &Arc<View>,
) -> Result<Prepared, Trouble> {
    let (keywords, run) = (&task.keywords, &playing.run);
    let args = arguments(playing, task, view)?;
    refuse_bytes(task.action.module.spec().name, &args)?;
    let args = Args::convert(task.action.module.spec(), &args)?;
    args.secrets(task.action.module.spec()).for_each(|secret| secrets::register(&secret));
    if keywords.no_log.as_ref().is_some_and(|node| run.bool_of(node, view).unwrap_or(true)) {
        CONTENTS.iter().filter_map(|name| args.str(name)).for_each(secrets::register);
    }
    let context = HostContext {
        playing: playing.clone(),
        task: task.clone(),
        host: host.clone(),
        view: view.clone(),
        place_view: place_view.clone(),
        check_mode: playing.checks(task, view)?,
        diff_mode: run.flag("diff", &keywords.diff, view)?.unwrap_or(run.settings.diff),
    };
    Ok(Prepared { args, context, environment: environment(playing, task, view)? })
}

/// Arguments that hold what is written or sent: of a task with `no_log`, another task may show them. What else it has are names and paths,
/// and commands, whose words are everybody's.
const CONTENTS: [&str; 6] = ["block", "body", "content", "line", "stdin", "value"];

/// What is not UTF-8 can be written to files, and given to no module else: hosts are asked in texts.
fn refuse_bytes(module: &str, args: &Map<String, Json>) -> Result<(), Failure> {
    fn first(value: &Json) -> Option<String> {
        match value {
            Json::String(text) => bytes::refuse(text),
            Json::Array(items) => items.iter().find_map(first),
            Json::Object(map) => map.values().find_map(first),
            _ => None,
        }
    }
    let is_content = |name: &str| module == "ansible.builtin.copy" && name == "content";
    match args.iter().filter(|(name, _)| !is_content(name)).find_map(|(name, value)| Some((name, first(value)?))) {
        None => Ok(()),
        Some((name, words)) => Err(Failure::argument(name, words)),
    }
}

/// The probe that a task would send if it ran now; `None` if it has none. `Err`: that cannot be known now.
pub fn probe_of(
    playing: &Arc<Playing>,
    host: &Arc<str>,
    task: &Arc<Task>,
    module: &dyn AnyModule,
    view: &Arc<View>,
    place_view: &Arc<View>,
) -> Result<Option<Script>, Trouble> {
    let Prepared { args, context, environment } = prepare(playing, host, task, view, place_view)?;
    Ok(module.probe(&args, &context)?.map(|script| with_environment(script, &environment)))
}

/// A script with the task's environment. What the module itself sets beats the user's, so it comes last.
fn with_environment(script: Script, environment: &[(String, String)]) -> Script {
    let Script { text, input, environment: own } = script;
    Script { text, input, environment: environment.iter().cloned().chain(own).collect() }
}

impl Run {
    /// `timeout`; none if it is 0.
    pub(super) fn timeout_of(&self, keywords: &crate::playbook::Keywords, view: &Arc<View>) -> Result<Option<Duration>, Diag> {
        let seconds = self.number("timeout", &keywords.timeout, true, view)?;
        if let Some(seconds) = seconds.filter(|seconds| !(0.0..=100_000_000.0).contains(seconds)) {
            let diag = Diag::error(format!("Timeout {seconds} is invalid, it must be between 0 and 100000000."));
            return Err(keywords.timeout.as_ref().map_or(diag.clone(), |node| diag.at(&node.span)));
        }
        Ok(seconds.filter(|seconds| *seconds > 0.0).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()))
    }
}

/// A mistake in the value of an argument.
pub fn of_argument(diag: Diag, task: &Task, argument: &str) -> Diag {
    let module = task.action.module.spec().name;
    diag.within(format!("Error while resolving value for '{argument}'")).within(format!("Finalization of task args for '{module}' failed"))
}

/// A task's arguments, rendered, under the names that the file uses.
pub fn arguments(playing: &Playing, task: &Task, view: &Arc<View>) -> Result<Map<String, Json>, Diag> {
    let action = &task.action;
    let templar = &playing.run.templar;
    let spec = action.module.spec();
    let mut args = Map::new();
    for defaults in ModuleDefaults::of_module(&task.keywords.module_defaults, spec) {
        if let Json::Object(values) = plain(&templar.render(defaults, view)?) {
            args.extend(values);
        }
    }
    if let Some(node) = &action.args_from {
        let rendered =
            templar.render(node, view).map_err(|diag| diag.within(format!("Finalization of task args for '{}' failed", spec.name)))?;
        if rendered.kind() != ValueKind::Map && !template::is_omit(&rendered) {
            let words = format!("Task args must resolve to a 'dict' not '{}'.", template::type_name(&rendered));
            return Err(Diag::error(words).at(&node.span).within(format!("Finalization of task args for '{}' failed", spec.name)));
        }
        if let Json::Object(values) = plain(&rendered) {
            args.extend(values);
        }
    }
    if let Some((_, node)) = action.args.iter().find(|(name, _)| name == "_raw_params" && spec.param(name).is_none()) {
        return Err(Diag::error(format!("Action '{}' does not support raw params.", spec.name)).at(&node.span));
    }
    for (name, node) in &action.args {
        // The names of facts may be templates themselves.
        let rendered_name = match crate::modules::TAKES_ANY_PARAMETER.contains(&spec.name) && name.contains("{{") {
            true => match templar.render(&Node::string(name.as_str(), node.span.clone()), view)? {
                value if value.as_str().is_some() => value.to_string(),
                value => {
                    let kind = template::type_name(&value);
                    return Err(Diag::error(format!("Invalid variable name '{value}' of type '{kind}'.")).at(&node.span));
                }
            },
            false => name.clone(),
        };
        let name = &rendered_name;
        let value = templar.render(node, view).map_err(|diag| of_argument(diag, task, name))?;
        if template::is_omit(&value) {
            args.remove(name);
            continue;
        }
        // A default under another name of the same parameter gives way.
        if let Some(param) = spec.param(name) {
            args.retain(|other, _| !param.answers_to(other));
        }
        args.insert(name.clone(), plain(&value));
    }
    Ok(args)
}

/// `environment`, outermost first: the inner beats the outer.
fn environment(playing: &Playing, task: &Task, view: &Arc<View>) -> Result<Vec<(String, String)>, Diag> {
    let mut all: Vec<(String, String)> = Vec::new();
    for node in &task.keywords.environment {
        let is_setup = task.action.module.spec().name == "ansible.builtin.setup";
        let known;
        let node = match node.as_map() {
            // It may ask for what is only now to be gathered.
            Some(pairs) if is_setup => {
                let pairs = pairs.iter().filter(|(_, value)| playing.run.templar.render(value, view).is_ok()).cloned();
                known = Node::new(crate::source::Kind::Map(pairs.collect()), node.span.clone());
                &known
            }
            _ => node,
        };
        let rendered = playing.run.templar.render(node, view).map_err(|diag| super::variables::of_keyword(diag, "environment"))?;
        let maps = match rendered.kind() {
            ValueKind::Seq => rendered.try_iter().into_iter().flatten().collect(),
            _ => vec![rendered],
        };
        for map in maps {
            if map.is_none() || template::is_omit(&map) {
                continue;
            }
            if map.kind() != ValueKind::Map {
                return Err(Diag::error(format!("`environment` must be a mapping, not {}", map.kind())).at(&node.span));
            }
            for name in map.try_iter().into_iter().flatten() {
                let value = map.get_item(&name).unwrap_or_default();
                let name = name.to_string();
                let is_name = !name.is_empty()
                    && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
                    && !name.as_bytes()[0].is_ascii_digit();
                if !is_name {
                    return Err(Diag::error(format!("`{name}` cannot be the name of an environment variable")).at(&node.span));
                }
                all.retain(|(other, _)| *other != name);
                all.push((name, value.to_string()));
            }
        }
    }
    Ok(all)
}

pub(super) fn nothing_said() -> Output {
    Output { status: 0, stdout: Vec::new(), stderr: Vec::new(), started: SystemTime::now(), elapsed: Duration::ZERO }
}

/// What a module may ask of the controller.
struct HostContext {
    playing: Arc<Playing>,
    task: Arc<Task>,
    host: Arc<str>,
    view: Arc<View>,
    place_view: Arc<View>,
    check_mode: bool,
    diff_mode: bool,
}

impl Context for HostContext {
    fn check_mode(&self) -> bool {
        self.check_mode
    }

    fn diff_mode(&self) -> bool {
        self.diff_mode
    }

    fn find_file(&self, kind: &str, name: &str) -> Result<PathBuf, Failure> {
        let task_file_dir = Path::new(&self.task.span.source.name).parent().map(Path::to_owned).unwrap_or_default();
        crate::playbook::search::find_file(kind, name, self.task.role.as_ref(), &self.playing.play.dir, &task_file_dir).map_err(
            |looked_in| {
                let places: Vec<String> = looked_in.iter().map(|path| path.display().to_string()).collect();
                Failure::argument("src", format!("Could not find or access '{name}'; searched in: {}", places.join(", ")))
            },
        )
    }

    fn render_template(&self, name: &str, options: &TemplateOptions) -> Result<String, Failure> {
        let path = self.find_file("templates", name)?;
        let source = Source::read(&path).map_err(|err| Failure::argument("src", super::chain(&err)))?;
        self.playing
            .run
            .templar
            .render_file(&source, options, &self.view)
            .map_err(|diag| Failure { diag: Some(Box::new(diag.clone())), ..Failure::new(diag.title) })
    }

    fn fact(&self, name: &str) -> Option<Json> {
        match self.place_view.get("ansible_facts")? {
            Variable::Data(facts) => facts.get_attr(name).ok().filter(|value| !value.is_undefined()).map(|value| plain(&value)),
            Variable::Node(_) => None,
        }
    }

    fn named_facts(&self) -> Option<&BTreeSet<String>> {
        // Who gathers facts by a task of their own gets what they ask for.
        if Arc::ptr_eq(&self.task, &self.playing.gathering) { self.playing.run.named_facts.get() } else { None }
    }

    fn python(&self) -> Option<String> {
        let value = match self.place_view.get("ansible_python_interpreter")? {
            Variable::Data(value) => value.clone(),
            Variable::Node(node) => self.playing.run.templar.render(node, &self.place_view).ok()?,
        };
        value.as_str().filter(|name| !name.is_empty()).map(str::to_owned)
    }

    fn playbook_dir(&self) -> PathBuf {
        self.playing.dir()
    }

    fn inventory_hostname(&self) -> &str {
        &self.host
    }

    fn tells_secret(&self, text: &str) -> bool {
        secrets::tells(text)
    }
}
