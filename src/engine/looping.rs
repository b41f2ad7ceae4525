//! A task with a loop: its items, what each sees, and what comes of all of them together.

use super::attempt::{Attempt, Forgiving};
use super::execute::Executed;
use super::play::Playing;
use super::task::TaskRun;
use crate::playbook::{Loop, LoopControl, Task};
use crate::report::{Event, Status};
use crate::source::{Diag, Node};
use crate::vars::{Level, VarMap, Variable, View};
use minijinja::Value;
use minijinja::value::ValueKind;
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// `loop_control`, rendered.
struct Control {
    loop_var: String,
    index_var: Option<String>,
    pause: Option<Duration>,
    extended: bool,
    with_allitems: bool,
}

/// A loop's items, and how each is seen.
pub struct Items {
    list: Vec<Value>,
    control: Control,
    /// The list as it stands in a file, if it stands there as it is.
    written: Option<Arc<Node>>,
}

/// A loop that is being done.
pub struct Doing {
    items: Arc<Items>,
    index: usize,
    /// The task's variables, without the item's.
    view: Arc<View>,
    /// How many changes had been decided on when the loop began.
    pub n_decided: usize,
}

impl Doing {
    pub fn index(&self) -> usize {
        self.index
    }

    /// The items whose turn comes after the present one, with what each sees.
    pub fn coming(&self) -> impl Iterator<Item = (usize, Arc<View>)> {
        let end = if self.items.pauses() { 0 } else { self.items.len() };
        (self.index + 1..end).map(|index| (index, self.items.view(index, &self.view)))
    }
}

/// What the items of a loop came to so far.
#[derive(Default)]
struct All {
    executed: Executed,
    results: Vec<Json>,
    n_failed: usize,
    n_skipped: usize,
    /// What any item forgives is forgiven of all.
    forgiving: Forgiving,
    /// Where the last item was done.
    delegated_to: Option<String>,
}

impl Playing {
    /// The items of a loop, rendered.
    pub fn items(&self, looped: &Loop, view: &Arc<View>) -> Result<Vec<Value>, Diag> {
        let templar = &self.run.templar;
        if let Some(lookup) = &looped.lookup {
            return templar.lookup(lookup, &looped.over, view);
        }
        let over = templar.render(&looped.over, view)?;
        if !matches!(over.kind(), ValueKind::Seq | ValueKind::Iterable) {
            let message = format!("The `loop` value must resolve to a 'list', not '{}'.", crate::template::type_name(&over));
            return Err(Diag::error(message)
                .at(&looped.over.span)
                .hint("to loop over one string or a mapping, make a list of it: `[x]`, `x | dict2items`"));
        }
        Ok(over.try_iter().into_iter().flatten().collect())
    }

    /// The items as they are to be seen.
    pub fn seen(&self, list: Vec<Value>, looped: &Loop, task: &Task, view: &Arc<View>) -> Result<Items, Diag> {
        let control = self.control(&looped.control, task, view)?;
        let literal = looped.over.as_seq().map(|_| Arc::new(looped.over.clone()));
        let written = literal.or_else(|| self.run.templar.written(&looped.over, view)).filter(|written| {
            // Of what holds no list these make the very same list.
            let is_same = match looped.lookup.as_deref() {
                None => true,
                Some("items" | "list" | "flattened") => written.as_seq().is_some_and(|all| all.iter().all(|node| node.as_seq().is_none())),
                Some(_) => false,
            };
            is_same && written.as_seq().is_some_and(|all| all.len() == list.len()) && is_literal(written)
        });
        Ok(Items { list, control, written })
    }

    fn control(&self, control: &LoopControl, task: &Task, view: &Arc<View>) -> Result<Control, Diag> {
        let run = &self.run;
        let text = |node: &Option<Node>| node.as_ref().map(|node| run.text_of(node, view)).transpose();
        let pause = run.number("pause", &control.pause, false, view)?;
        let variable = |word: &str, node: &Option<Node>| {
            let name = text(node)?.filter(|name| !name.is_empty());
            match name.as_deref().is_none_or(super::actions::is_name) {
                true => Ok(name),
                false => Err(Diag::error(format!("Invalid '{word}': Invalid variable name '{}'.", name.unwrap_or_default()))
                    .at(node.as_ref().map_or(&task.span, |node| &node.span))),
            }
        };
        Ok(Control {
            loop_var: variable("loop_var", &control.loop_var)?.unwrap_or_else(|| "item".to_owned()),
            index_var: variable("index_var", &control.index_var)?,
            pause: pause.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).filter(|pause| !pause.is_zero()),
            extended: run.flag("extended", &control.extended, view)?.unwrap_or(false),
            with_allitems: run.flag("extended_allitems", &control.extended_allitems, view)?.unwrap_or(true),
        })
    }
}

impl TaskRun {
    /// Runs the items one after another and puts their results together. A failed item does not keep the others from their turn.
    /// With them comes what the last item saw.
    pub async fn each(&self, looped: &Loop, items: Vec<Value>, mut view: Arc<View>) -> (Attempt, Arc<View>) {
        if items.is_empty() {
            return (nothing_to_do(), view);
        }
        let items = match self.playing.seen(items, looped, self.task(), &view) {
            Ok(items) => Arc::new(items),
            Err(diag) => return (self.forgive(Attempt::told(&diag), &view), view),
        };
        let control = &items.control;
        let n_decided = self.playing.run.ahead.n_decided();
        let mut all = All::default();
        let mut last_view = view.clone();
        let hides = self.is_no_log(&view);
        for (index, item) in items.list.iter().enumerate() {
            self.turn.begin_item(index, item, hides);
            if let (Some(pause), 1.., false) = (control.pause, index, self.turn.has(0)) {
                tokio::time::sleep(pause).await;
            }
            let started = Instant::now();
            let vars = items.variables(index);
            self.set_doing(Doing { items: items.clone(), index, view: view.clone(), n_decided });
            let item_view = self.with_registered(&Arc::new(view.with(Level::Loop, vars.clone())));
            last_view = item_view.clone();
            let of_item = control.of_item(&vars, item, index);
            self.in_flight.begin_item(of_item.clone());
            let mut attempt = self.item(&item_view).await;
            attempt.result.extend(of_item);
            let stops = self.stops(&looped.control, &mut attempt, &item_view);
            let label = match &looped.control.label {
                Some(label) => self.playing.run.text_of(label, &self.with_registered(&item_view)).unwrap_or_else(|diag| {
                    let words = format!("Failed to template loop_control label: {}", diag.in_full());
                    let warnings = attempt.result.entry("warnings").or_insert_with(|| json!([]));
                    warnings.as_array_mut().into_iter().for_each(|warnings| warnings.push(words.as_str().into()));
                    item.to_string()
                }),
                None => item.to_string(),
            };
            for include in &mut attempt.executed.includes {
                include.add_item(&vars, &label);
            }
            if attempt.executed.includes.is_empty() {
                let result = self.host_result(&attempt, Some(label), started.elapsed(), &item_view);
                self.playing.run.emit(Event::ItemFinished { task: self.number, result });
            }
            // When any item changes something, all items' names are notified.
            all.executed.notify.extend(self.notified_names(&attempt, &item_view));
            if attempt.executed.is_kept() {
                match self.playing.view(&self.host, Some(self.task()), &self.step.include_vars) {
                    Ok(renewed) => view = self.with_task(renewed),
                    Err(diag) => return (Attempt::failed(&diag), view),
                }
            }
            all.add(attempt);
            if stops {
                break;
            }
        }
        (all.attempt(), last_view)
    }

    /// Whether an item is the last one that has its turn. A condition that cannot be evaluated is the item's failure, and ends the loop.
    fn stops(&self, control: &LoopControl, attempt: &mut Attempt, item_view: &Arc<View>) -> bool {
        let Some(condition) = &control.break_when else { return false };
        match self.playing.run.templar.condition(condition, &self.with_registered(item_view)) {
            Ok(stops) => {
                attempt.result.insert("break_when_result".into(), stops.into());
                stops
            }
            Err(diag) => {
                attempt.fail_condition("break_when", diag);
                attempt.ignored = attempt.forgiving.forgives(attempt.status);
                true
            }
        }
    }
}

impl Items {
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is time between the items, in which something is to happen.
    pub fn pauses(&self) -> bool {
        self.control.pause.is_some()
    }

    /// What an item sees of the task's variables and of itself.
    pub fn view(&self, index: usize, view: &Arc<View>) -> Arc<View> {
        Arc::new(view.with(Level::Loop, self.variables(index)))
    }

    fn variables(&self, index: usize) -> Arc<VarMap> {
        let mut vars = self.control.variables(&self.list, index);
        // A text that somebody wrote may be a condition, which what a host printed may not.
        if let Some(written) = self.written.as_ref().and_then(|list| list.as_seq()?.get(index)) {
            vars.insert(self.control.loop_var.clone(), Variable::Node(Arc::new(written.clone())));
        }
        Arc::new(vars)
    }
}

impl Control {
    /// What an item sees beside the task's own variables.
    fn variables(&self, items: &[Value], index: usize) -> VarMap {
        let data = |value: Value| Variable::Data(value);
        let mut vars = VarMap::from([
            (self.loop_var.clone(), data(items[index].clone())),
            ("ansible_loop_var".to_owned(), data(Value::from(self.loop_var.clone()))),
        ]);
        if let Some(index_var) = &self.index_var {
            vars.insert(index_var.clone(), data(Value::from(index)));
            vars.insert("ansible_index_var".to_owned(), data(Value::from(index_var.clone())));
        }
        if self.extended {
            vars.insert("ansible_loop".to_owned(), data(extended(items, index, self.with_allitems)));
        }
        vars
    }

    /// What an item's result says of the item.
    fn of_item(&self, vars: &VarMap, item: &Value, index: usize) -> Map<String, Json> {
        let mut of_item =
            Map::from_iter([("ansible_loop_var".to_owned(), self.loop_var.clone().into()), (self.loop_var.clone(), super::plain(item))]);
        if let Some(index_var) = &self.index_var {
            of_item.insert("ansible_index_var".into(), index_var.clone().into());
            of_item.insert(index_var.clone(), index.into());
        }
        if let Some(Variable::Data(extended)) = vars.get("ansible_loop") {
            of_item.insert("ansible_loop".into(), super::plain(extended));
        }
        of_item
    }
}

impl All {
    fn add(&mut self, mut attempt: Attempt) {
        self.n_failed += usize::from(attempt.has_failed());
        self.n_skipped += usize::from(attempt.status == Status::Skipped);
        self.forgiving.errors |= attempt.forgiving.errors;
        self.forgiving.unreachable |= attempt.forgiving.unreachable;
        self.executed.changed |= attempt.executed.changed;
        self.executed.hidden |= attempt.executed.hidden;
        self.executed.unreachable |= attempt.status == Status::Unreachable;
        self.executed.includes.append(&mut attempt.executed.includes);
        self.delegated_to = attempt.delegated_to.take().or(self.delegated_to.take());
        self.results.push(Json::Object(attempt.result));
    }

    fn attempt(self) -> Attempt {
        let All { mut executed, results, n_failed, n_skipped, forgiving, delegated_to } = self;
        executed.failed = n_failed > 0;
        executed.skipped = n_skipped == results.len();
        if executed.failed || !executed.changed {
            executed.notify.clear();
        }
        let words = if executed.failed {
            "One or more items failed"
        } else if executed.skipped {
            "All items skipped"
        } else {
            "All items completed"
        };
        executed.data.insert("msg".into(), words.into());
        executed.data.insert("results".into(), Json::Array(results));
        let mut attempt = Attempt::of(executed);
        // Exceptions are those of the items.
        attempt.result.shift_remove("exception");
        Attempt { is_loop: true, ignored: forgiving.forgives(attempt.status), forgiving, delegated_to, ..attempt }
    }
}

fn nothing_to_do() -> Attempt {
    let mut executed = Executed { skipped: true, ..Executed::default() };
    for (key, value) in
        [("results", json!([])), ("skip_reason", json!("No items in the list")), ("skipped_reason", json!("No items in the list"))]
    {
        executed.data.insert(key.into(), value);
    }
    Attempt { is_loop: true, ..Attempt::of(executed) }
}

/// Whether nothing in it has to be rendered.
fn is_literal(node: &Node) -> bool {
    match (node.as_seq(), node.as_map()) {
        (Some(items), _) => items.iter().all(is_literal),
        (_, Some(pairs)) => pairs.iter().all(|(key, value)| is_literal(key) && is_literal(value)),
        _ => !node.is_template(),
    }
}

/// `ansible_loop`.
fn extended(items: &[Value], index: usize, with_allitems: bool) -> Value {
    let length = items.len();
    let mut all = std::collections::BTreeMap::from([
        ("index", Value::from(index + 1)),
        ("index0", Value::from(index)),
        ("first", Value::from(index == 0)),
        ("last", Value::from(index + 1 == length)),
        ("length", Value::from(length)),
        ("revindex", Value::from(length - index)),
        ("revindex0", Value::from(length - index - 1)),
    ]);
    if with_allitems {
        all.insert("allitems", Value::from(items.to_vec()));
    }
    if let Some(previous) = index.checked_sub(1) {
        all.insert("previtem", items[previous].clone());
    }
    if let Some(next) = items.get(index + 1) {
        all.insert("nextitem", next.clone());
    }
    Value::from(all)
}
