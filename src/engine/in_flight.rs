//! A task's results while it runs: what `_task` shows to conditions, and what `register` makes of them.

use super::attempt::Attempt;
use super::outcome::{registered, registered_with};
use super::task::TaskRun;
use crate::playbook::Register;
use crate::source::{Diag, Node};
use crate::vars::{Level, VarMap, Variable, View, value_of};
use minijinja::Value;
use minijinja::value::{Enumerator, Object};
use serde_json::{Map, Value as Json, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The variable `_task`: what is known of a task's result so far.
#[derive(Debug, Default)]
pub struct InFlight {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// One per item; one for a task without a loop.
    results: Vec<Map<String, Json>>,
    is_loop: bool,
    /// How many items have begun.
    n_begun: usize,
    /// What the present item's result says of the item.
    item: Map<String, Json>,
    /// The result of the whole loop, when it is done.
    whole: Option<Map<String, Json>>,
}

impl InFlight {
    /// An item's turn has come; `item` is what its result says of it.
    pub fn begin_item(&self, item: Map<String, Json>) {
        let mut state = self.lock();
        state.is_loop = true;
        state.n_begun += 1;
        state.item = item;
    }

    /// The result as it is now, of the present item or of the task.
    pub fn record(&self, result: &Map<String, Json>) {
        let mut state = self.lock();
        let mut result = result.clone();
        result.extend(state.item.clone());
        if state.results.len() >= state.n_begun.max(1) {
            state.results.pop();
        }
        state.results.push(result);
    }

    /// The loop is done.
    pub fn end_loop(&self, whole: &Map<String, Json>) {
        let mut state = self.lock();
        state.is_loop = true;
        state.whole = Some(whole.clone());
    }

    /// What the present item's result says of the item.
    pub fn of_item(&self) -> Map<String, Json> {
        self.lock().item.clone()
    }

    fn has_result(&self) -> bool {
        let state = self.lock();
        !state.results.is_empty() || state.whole.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn latest(&self) -> Option<Value> {
        self.results.last().map(as_value)
    }

    fn of_loop(&self) -> Option<Value> {
        if let Some(whole) = &self.whole {
            return Some(as_value(whole));
        }
        if !self.is_loop {
            return None;
        }
        let any = |key: &str| self.results.iter().any(|result| result.get(key) == Some(&true.into()));
        let results: Vec<Json> = self.results.iter().map(|result| with_lines(result).into()).collect();
        Some(value_of(&json!({ "changed": any("changed"), "failed": any("failed"), "results": results })))
    }
}

impl Object for InFlight {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let state = self.lock();
        match key.as_str()? {
            "result" => state.latest(),
            "loop_result" => state.of_loop(),
            "polymorphic_result" if state.whole.is_some() => state.of_loop(),
            "polymorphic_result" => state.latest(),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&["result", "loop_result", "polymorphic_result"])
    }
}

fn as_value(result: &Map<String, Json>) -> Value {
    match registered(result) {
        Variable::Data(value) => value,
        Variable::Node(_) => Value::UNDEFINED,
    }
}

fn with_lines(result: &Map<String, Json>) -> Map<String, Json> {
    super::outcome::with_lines(result.clone())
}

impl TaskRun {
    /// The view with `_task`.
    pub fn with_task(&self, view: View) -> Arc<View> {
        let task = Variable::Data(Value::from_dyn_object(self.in_flight.clone()));
        Arc::new(view.with(Level::Magic, Arc::new(VarMap::from([("_task".to_owned(), task)]))))
    }

    /// What conditions see after a result has come: the view with what `register` names, as it is now. It beats everything, as long as the task runs.
    pub fn with_registered(&self, view: &Arc<View>) -> Arc<View> {
        if !self.in_flight.has_result() {
            return view.clone();
        }
        let vars = match &self.task().register {
            None => return view.clone(),
            Some(Register::Whole(name)) => {
                let now = self.in_flight.get_value(&Value::from("polymorphic_result")).unwrap_or_default();
                VarMap::from([(name.clone(), Variable::Data(now))])
            }
            Some(Register::Parts(parts)) => {
                parts.iter().map(|(name, expression)| (name.clone(), Variable::Node(expression.clone()))).collect()
            }
        };
        Arc::new(view.with(Level::Magic, Arc::new(vars)))
    }

    /// What is kept under the names of `register`, and which of its expressions failed. What they would have given stays undefined, with the reason.
    pub fn to_keep(&self, attempt: &Attempt, view: &Arc<View>) -> (VarMap, Vec<Diag>) {
        let parts = match &self.task().register {
            None => return (VarMap::new(), Vec::new()),
            Some(Register::Whole(name)) => {
                let value = match &attempt.executed.facts_as_written {
                    Some(facts) => registered_with(&attempt.result, facts),
                    None => registered(&attempt.result),
                };
                return (VarMap::from([(name.clone(), value)]), Vec::new());
            }
            Some(Register::Parts(parts)) => parts,
        };
        let view = self.with_registered(view);
        let mut failed = Vec::new();
        let keep = parts.iter().map(|(name, expression)| {
            let kept = self.playing.run.templar.render(expression, &view).map(Variable::Data).unwrap_or_else(|diag| {
                let words = format!("The variable '{name}' is undefined because its register expression failed: {}", diag.title);
                failed.push(diag);
                let text = format!("{{{{ undef({}) }}}}", json!(words));
                Node::string(text, expression.span.clone()).into()
            });
            (name.clone(), kept)
        });
        let keep = keep.collect();
        (keep, failed)
    }
}
