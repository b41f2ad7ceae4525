//! The modules that are the engine's own: they decide with variables, or change the engine's state. Those that wait are in `waiting`.

use super::connect::Place;
use super::execute::{Executed, arguments};
use super::include::{Include, What};
use super::task::TaskRun;
use super::{Added, plain};
use crate::module::{Args, Failure, Registered};
use crate::playbook::{ModuleDefaults, RoleRequest};
use crate::source::{Diag, Kind, Node};
use crate::vars::{VarMap, Variable, View};
use minijinja::Value;
use serde_json::{Map, Value as Json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Runs a task whose module is the engine's own. `None`: the module works on hosts.
pub async fn run(task_run: &TaskRun, place: &Place, view: &Arc<View>) -> Option<Executed> {
    let Registered::InEngine(spec) = task_run.task().action.module else { return None };
    let action = Action { task_run, place, view };
    let done = match spec.short_name() {
        "add_host" => action.add_host(),
        "assert" => action.assert(),
        "async_status" => action.async_status().await,
        "debug" => action.debug(),
        "fail" => action.args().map(|args| Executed::failed(text(args.get("msg")))),
        "group_by" => action.group_by(),
        "include_role" => action.include_role(),
        "include_tasks" => action.include_tasks(),
        "include_vars" => action.include_vars(),
        "pause" => action.pause().await,
        "reboot" => action.reboot().await,
        "set_fact" => action.set_fact(),
        "validate_argument_spec" => action.validate_argument_spec(),
        "set_stats" => action.set_stats(),
        "wait_for_connection" => action.wait_for_connection().await,
        // Imports are resolved when the playbook is loaded; `meta` is the strategy's.
        other => Err(Diag::error(format!("BUG: `{other}` came to be run as a task")).at(&task_run.task().span)),
    };
    Some(done.unwrap_or_else(|diag| Executed::diagnosed(&diag)))
}

/// A task of one of the engine's modules, on its host.
pub struct Action<'a> {
    pub task_run: &'a TaskRun,
    pub place: &'a Place,
    pub view: &'a Arc<View>,
}

impl Action<'_> {
    pub fn args(&self) -> Result<Args, Diag> {
        let given = arguments(&self.task_run.playing, self.task_run.task(), self.view)?;
        Args::convert(self.task_run.task().action.module.spec(), &given).map_err(|failure| self.at_argument(failure))
    }

    pub fn at_argument(&self, failure: Failure) -> Diag {
        let action = &self.task_run.task().action;
        let argument = failure.argument.as_ref().and_then(|name| action.args.iter().find(|(given, _)| **given == **name));
        Diag::error(failure.message).at(argument.map_or(&action.name_span, |(_, node)| &node.span))
    }

    /// An argument as it was written: the task's, or else the innermost of `module_defaults`.
    fn node(&self, name: &str) -> Option<&Node> {
        let task = self.task_run.task();
        let spec = task.action.module.spec();
        let param = spec.param(name)?;
        if let Some((_, node)) = task.action.args.iter().find(|(given, _)| param.answers_to(given)) {
            return Some(node);
        }
        let defaults = ModuleDefaults::of_module(&task.keywords.module_defaults, spec);
        let mut given = defaults.into_iter().rev().flat_map(|defaults| defaults.as_map().unwrap_or_default());
        given.find(|(name, _)| name.as_str().is_some_and(|name| param.answers_to(name))).map(|(_, node)| node)
    }

    /// Whether the task is only to say what it would change.
    pub fn checks(&self) -> Result<bool, Diag> {
        self.task_run.checks(self.view)
    }

    fn render(&self, node: &Node) -> Result<Value, Diag> {
        self.task_run.playing.run.templar.render(node, self.view).map_err(|diag| {
            let task = self.task_run.task();
            let argument = task.action.args.iter().find(|(_, given)| std::ptr::eq(given, node));
            argument.map_or(diag.clone(), |(name, _)| super::execute::of_argument(diag, task, name))
        })
    }

    fn debug(&self) -> Result<Executed, Diag> {
        let mut executed = Executed { verbose: true, ..Executed::default() };
        let given = arguments(&self.task_run.playing, self.task_run.task(), self.view)?;
        if let Some(other) = given.get("var").filter(|var| !var.is_string()) {
            let value = crate::vars::value_of(other);
            let (kind, shown) = (crate::template::type_name(&value), crate::template::python_text(&value));
            return Err(self.wrong(format!(
                "argument 'var' is of type {kind} and we were unable to convert to _check_type_str_no_conversion: '{shown}' is not a string and conversion is not allowed"
            )));
        }
        let args = Args::convert(self.task_run.task().action.module.spec(), &given).map_err(|failure| self.at_argument(failure))?;
        if given.contains_key("var") && given.contains_key("msg") {
            return Err(self.wrong("parameters are mutually exclusive: msg|var"));
        }
        if args.int("verbosity").unwrap_or(0) > i64::from(self.task_run.playing.run.settings.verbosity) {
            executed.skipped = true;
            executed.data.insert("skipped_reason".into(), "Verbosity threshold not met.".into());
            return Ok(executed);
        }
        match args.str("var") {
            Some(name) => self.debug_variable(name, &mut executed)?,
            None => drop(executed.data.insert("msg".into(), given.get("msg").cloned().unwrap_or_else(|| "Hello world!".into()))),
        }
        Ok(executed)
    }

    fn debug_variable(&self, expression: &str, executed: &mut Executed) -> Result<(), Diag> {
        let templar = &self.task_run.playing.run.templar;
        let task = self.task_run.task();
        let resolving = |diag: Diag| diag.within("Error while resolving `var` expression");
        let from = task.action.args_from.as_ref().and_then(|node| templar.written(node, self.view));
        let node = self.node("var").or_else(|| from.as_ref()?.get("var"));
        let span = node.map_or(&task.span, |node| &node.span);
        // To evaluate what a host printed would let the host run code here.
        if !node.is_some_and(|node| templar.is_from_file(node, self.view)) {
            return Err(resolving(Diag::error("Encountered untrusted template or expression.").at(span)));
        }
        let value = match templar.render(&Node::string(format!("{{{{ {expression} }}}}"), span.clone()), self.view) {
            Ok(value) if crate::template::is_omit(&value) => {
                let words = "The result of the `var` expression could not be omitted; a placeholder was used instead.";
                executed.data.insert("warnings".into(), Json::from_iter([words]));
                "<<Omit>>".into()
            }
            Ok(value) => plain(&value),
            Err(diag) if diag.title.contains("is undefined") || diag.title.contains("has no attribute") => {
                let why = format!("error 1 - {}", diag.title);
                executed.data.insert("warnings".into(), Json::from_iter([format!("Encountered 1 template error.\n{why}")]));
                format!("<< {why} >>").into()
            }
            Err(diag) => return Err(resolving(diag)),
        };
        executed.data.insert(expression.to_owned(), value);
        Ok(())
    }

    /// What is wrong with the arguments as a whole.
    fn wrong(&self, words: impl Into<String>) -> Diag {
        Diag::error(words).at(&self.task_run.task().span)
    }

    fn assert(&self) -> Result<Executed, Diag> {
        // Conditions are evaluated where they are written, be it in a variable: their texts are expressions, and rendering would make values of them.
        let templar = &self.task_run.playing.run.templar;
        let args_from = self.task_run.task().action.args_from.as_ref();
        let from = args_from.and_then(|node| templar.written(node, self.view));
        let argument = |name: &str| self.node(name).or_else(|| from.as_ref()?.get(name));
        let rendered = match (argument("that"), args_from) {
            (None, Some(_)) => self.rendered_conditions()?,
            _ => None,
        };
        let that = argument("that").or(rendered.as_ref());
        let that = that.ok_or_else(|| Diag::error("missing required arguments: that").at(&self.task_run.task().span))?;
        let listed = templar.written(that, self.view).filter(|node| node.as_seq().is_some());
        let that = listed.as_deref().unwrap_or(that);
        let conditions = match that.as_seq() {
            Some(items) => items,
            None => std::slice::from_ref(that),
        };
        let message = |name: &str| argument(name).map(|node| self.render(node)).transpose();
        let quiet = argument("quiet").map(|node| self.task_run.playing.run.bool_of(node, self.view)).transpose()?.unwrap_or(false);
        for condition in conditions {
            if self.task_run.playing.run.templar.condition(condition, self.view)? {
                continue;
            }
            let words = message("msg")?.map_or_else(|| "Assertion failed".into(), |value| plain(&value));
            let mut executed = Executed { verbose: !quiet, ..Executed::failed("") };
            executed.data.insert("msg".into(), words);
            executed.data.insert("assertion".into(), condition.as_str().unwrap_or(condition.span.text()).into());
            executed.data.insert("evaluated_to".into(), false.into());
            return Ok(executed);
        }
        let mut executed = Executed { verbose: !quiet, ..Executed::default() };
        let words = message("success_msg")?.map_or_else(|| "All assertions passed".into(), |value| plain(&value));
        executed.data.insert("msg".into(), words);
        Ok(executed)
    }

    /// The conditions among arguments that are a value: only true and false can be taken from there, a text may be from anywhere.
    fn rendered_conditions(&self) -> Result<Option<Node>, Diag> {
        let given = arguments(&self.task_run.playing, self.task_run.task(), self.view)?;
        let span = &self.task_run.task().span;
        let one = |value: &Json| match value {
            Json::Bool(value) => Ok(Node::new(Kind::Bool(*value), span.clone())),
            Json::Null => Err(Diag::error("Empty conditional expressions are not allowed.").at(span)),
            Json::String(_) => Err(Diag::error("Encountered untrusted template or expression.").at(span)),
            _ => Err(Diag::error("Conditional expressions must be strings.").at(span)),
        };
        match given.get("that") {
            None => Ok(None),
            Some(Json::Array(all)) => {
                let conditions = all.iter().map(one).collect::<Result<_, _>>()?;
                Ok(Some(Node::new(Kind::Seq(conditions), span.clone())))
            }
            Some(value) => one(value).map(Some),
        }
    }

    fn set_fact(&self) -> Result<Executed, Diag> {
        let mut given = arguments(&self.task_run.playing, self.task_run.task(), self.view)?;
        let cacheable = match given.shift_remove("cacheable") {
            None => false,
            Some(value) => {
                let truth = self.task_run.playing.run.truth_of(&crate::vars::value_of(&value));
                truth.ok_or_else(|| Diag::error("`cacheable` must be true or false").at(&self.task_run.task().span))?
            }
        };
        if given.is_empty() {
            let words = "No key/value pairs provided, at least one is required for this action to succeed";
            return Err(Diag::error(words).at(&self.task_run.task().span));
        }
        let mut executed = Executed::default();
        for (name, value) in &given {
            if !is_name(name) {
                return Err(Diag::error(format!("Invalid variable name '{name}'.")).at(&self.task_run.task().span));
            }
            self.task_run.playing.run.warn_if_reserved(name, &self.task_run.task().span);
            executed.set.push((name.clone(), Variable::data(value)));
        }
        // A cached fact is seen among the facts as well.
        if cacheable {
            executed.facts = given.clone();
        }
        executed.data.insert("ansible_facts".into(), Json::Object(given));
        self.keep(&executed);
        Ok(executed)
    }

    fn include_tasks(&self) -> Result<Executed, Diag> {
        let args = self.args()?;
        let file = args.required("file").map_err(|failure| self.at_argument(failure))?;
        let kind = if self.task_run.step.is_handler { "handlers" } else { "tasks" };
        let path = self.find_with(crate::playbook::search::find_tasks, kind, file).map_err(|failure| self.at_argument(failure))?;
        Ok(self.including(What::Tasks { path, are_handlers: self.task_run.step.is_handler }))
    }

    fn include_role(&self) -> Result<Executed, Diag> {
        let args = self.args()?;
        let span = self.node("name").map_or(&self.task_run.task().span, |node| &node.span);
        let part = |name: &str| args.str(name).unwrap_or("main").to_owned();
        let request = RoleRequest {
            name: Node::string(args.required("name").map_err(|failure| self.at_argument(failure))?, span.clone()),
            tasks_from: part("tasks_from"),
            vars_from: part("vars_from"),
            defaults_from: part("defaults_from"),
            handlers_from: part("handlers_from"),
            params: Arc::default(),
            allow_duplicates: args.bool("allow_duplicates").unwrap_or(true),
            validates: args.bool("rolespec_validate").unwrap_or(true),
        };
        Ok(self.including(What::Role { request, public: args.bool("public").unwrap_or(self.task_run.playing.run.includes_publicly()) }))
    }

    fn including(&self, what: What) -> Executed {
        let vars = self.task_run.task().include.as_ref().map(|include| include.vars.clone()).unwrap_or_default();
        let include = Include { what, vars, item: None };
        Executed { includes: vec![include], ..Executed::default() }
    }

    /// The host's variables, and what is given over them, against a specification of arguments.
    fn validate_argument_spec(&self) -> Result<Executed, Diag> {
        let args = self.args()?;
        let mapping = |name: &str| match args.get(name) {
            None => Ok(Map::new()),
            Some(Json::Object(map)) => Ok(map.clone()),
            Some(_) => Err(self.at_argument(Failure::argument(name, format!("Incorrect type for {name}, expected dict")))),
        };
        let (spec, provided) = (mapping("argument_spec")?, mapping("provided_arguments")?);
        let mut given = Map::new();
        for name in spec.keys() {
            let value = match self.view.get(name) {
                None => continue,
                Some(Variable::Node(node)) => self.render(node)?,
                Some(Variable::Data(value)) => value.clone(),
            };
            given.insert(name.clone(), plain(&value));
        }
        given.extend(provided);
        // What is no mapping says nothing of its argument.
        let spec: Map<String, Json> =
            spec.into_iter().map(|(name, option)| (name, if option.is_object() { option } else { Json::Object(Map::new()) })).collect();
        let mistakes = super::argument_spec::mistakes(&spec, &given);
        let mut executed = match mistakes.is_empty() {
            true => Executed::default(),
            false => Executed::failed(format!("Validation of arguments failed:\n{}", mistakes.join("\n"))),
        };
        if mistakes.is_empty() {
            executed.data.insert("msg".into(), "The arg spec validation passed".into());
        } else {
            executed.data.insert("argument_spec_data".into(), Json::Object(spec));
            executed.data.insert("argument_errors".into(), mistakes.into());
        }
        executed.data.insert("validate_args_context".into(), mapping("validate_args_context")?.into());
        Ok(executed)
    }

    fn add_host(&self) -> Result<Executed, Diag> {
        let given = arguments(&self.task_run.playing, self.task_run.task(), self.view)?;
        let spec = self.task_run.task().action.module.spec();
        let (known, vars): (Map<_, _>, Map<_, _>) = given.into_iter().partition(|(name, _)| spec.param(name).is_some());
        let args = Args::convert(spec, &known).map_err(|failure| self.at_argument(failure))?;
        let name = args.required("name").map_err(|failure| self.at_argument(failure))?;
        let groups: Vec<String> = args.list("groups").unwrap_or_default().into_iter().filter(|group| !group.is_empty()).collect();
        let data: VarMap = vars.iter().map(|(name, value)| (name.clone(), Variable::data(value))).collect();
        let run = &self.task_run.playing.run;
        let changed = run.add_to_inventory(Added::Host { name: name.to_owned(), groups: groups.clone(), vars: data })?;
        let mut executed = Executed { changed, ..Executed::default() };
        let (host, port) = crate::inventory::split_port(name);
        let mut vars = vars;
        if let Some(port) = port {
            vars.insert("ansible_ssh_port".into(), port.into());
        }
        executed.data.insert("add_host".into(), serde_json::json!({ "host_name": host, "groups": groups, "host_vars": vars }));
        Ok(executed)
    }

    fn group_by(&self) -> Result<Executed, Diag> {
        let args = self.args()?;
        // As Ansible: what cannot stand in a group's name becomes an underscore or a dash.
        let name = |text: &str| text.replace(' ', "-");
        let group = name(args.required("key").map_err(|failure| self.at_argument(failure))?);
        let parents: Vec<String> = args.list("parents").unwrap_or_default().iter().map(|parent| name(parent)).collect();
        let run = &self.task_run.playing.run;
        let changed =
            run.add_to_inventory(Added::ToGroup { host: self.task_run.host.clone(), group: group.clone(), parents: parents.clone() })?;
        let mut executed = Executed { changed, ..Executed::default() };
        executed.data.insert("add_group".into(), group.into());
        executed.data.insert("parent_groups".into(), parents.into());
        Ok(executed)
    }

    pub fn find(&self, kind: &str, name: &str) -> Result<PathBuf, Failure> {
        self.find_with(crate::playbook::search::find_file, kind, name)
    }

    fn find_with(&self, search: Search, kind: &str, name: &str) -> Result<PathBuf, Failure> {
        let task = self.task_run.task();
        let task_file_dir = Path::new(&task.span.source.name).parent().map(Path::to_owned).unwrap_or_default();
        search(kind, name, task.role.as_ref(), &self.task_run.playing.play.dir, &task_file_dir).map_err(|looked_in| {
            let places: Vec<String> = looked_in.iter().map(|path| path.display().to_string()).collect();
            Failure::argument("file", format!("Could not find or access '{name}'; searched in: {}", places.join(", ")))
        })
    }

    pub fn keep(&self, executed: &Executed) {
        let delegate = (self.place.target.name != *self.task_run.host).then_some(self.place.target.name.as_str());
        self.task_run.keep(executed, delegate, self.view);
    }
}

/// One of the searches of [`crate::playbook::search`].
type Search = fn(&str, &str, Option<&Arc<crate::playbook::Role>>, &Path, &Path) -> Result<PathBuf, Vec<PathBuf>>;

fn text(value: Option<&Json>) -> String {
    match value {
        Some(Json::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

pub fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    let is_word =
        chars.next().is_some_and(|first| first == '_' || first.is_alphabetic()) && chars.all(|next| next == '_' || next.is_alphanumeric());
    is_word && !crate::playbook::means_something(name)
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_of_variables() {
        assert!(super::is_name("kube_version") && super::is_name("_x1"));
        assert!(!super::is_name("1x") && !super::is_name("a-b") && !super::is_name(""));
    }
}
