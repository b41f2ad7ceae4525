//! Variables that are rendered when they are looked at. A [`Run`] is one evaluation: its view, what it has rendered already, and the names it is
//! in the middle of.

use super::fail::{Fail, Lack, Res, check, marker, or_marker};
use super::parse::Origin;
use super::{eval, untrusted};
use crate::source::{Kind, Node, Span};
use crate::vars::{Variable, View};
use minijinja::Value;
use minijinja::value::{Enumerator, Object, ObjectRepr};
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub(super) struct Run {
    pub view: Arc<View>,
    done: Mutex<HashMap<String, Value>>,
    /// The variables that are being rendered, outermost first.
    doing: Mutex<Vec<String>>,
    steps: AtomicU64,
    closed: AtomicBool,
}

/// More steps than any template needs that ends.
const MAX_STEPS: u64 = 5_000_000;

impl Run {
    pub fn new(view: Arc<View>) -> Arc<Run> {
        Arc::new(Run { view, done: Mutex::default(), doing: Mutex::default(), steps: AtomicU64::new(0), closed: AtomicBool::new(false) })
    }

    /// Forgets what was rendered and remembers nothing more: lazy values know their run, and the run would keep them, and itself, for ever.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        lock(&self.done).clear();
    }

    /// Counts one step of work; a template that never ends is stopped.
    pub fn step(&self) -> Res<()> {
        if self.steps.fetch_add(1, Ordering::Relaxed) > MAX_STEPS {
            return Err(Fail::error("the template takes too many steps: does it end?"));
        }
        Ok(())
    }

    /// A variable's value, a marker if it cannot be had, or nothing if there is none of this name.
    pub fn variable(self: &Arc<Run>, name: &str) -> Option<Value> {
        let node = match self.view.get(name)? {
            Variable::Data(value) => return Some(value.clone()),
            Variable::Node(node) => node.clone(),
        };
        if let Some(done) = lock(&self.done).get(name) {
            return Some(done.clone());
        }
        let looped = {
            let mut doing = lock(&self.doing);
            let looped = doing.iter().position(|other| other == name).map(|at| doing[at..].join(" -> "));
            doing.push(name.to_owned());
            looped
        };
        let value = match looped {
            Some(chain) => {
                let words = format!("Recursive loop detected in template: {chain} -> {name}");
                marker(Fail::complete(words).at(Some(node.span.clone())))
            }
            None => self.node(&node, Vec::new()),
        };
        lock(&self.doing).pop();
        // What failed inside a loop of names must not be remembered for the names on the way.
        let memorable = lock(&self.doing).is_empty() || check(&value).is_ok();
        if memorable && !self.closed.load(Ordering::Relaxed) {
            lock(&self.done).insert(name.to_owned(), value.clone());
        }
        Some(value)
    }

    /// The value of a part of a node: scalars at once, lists and mappings when they are looked into.
    pub fn node(self: &Arc<Run>, root: &Arc<Node>, path: Vec<usize>) -> Value {
        let Some(node) = part(root, &path) else { return Value::from(()) };
        match &node.kind {
            Kind::Null => Value::from(()),
            Kind::Bool(value) => Value::from(*value),
            Kind::Int(value) => Value::from(*value),
            Kind::Float(value) => Value::from(*value),
            Kind::Str(text) if node.is_template() => or_marker(eval::inline(self, &text.text, Origin::Node(node.clone()))),
            Kind::Str(text) => or_marker(untrusted::met(node, &text.text).map(|()| Value::from(text.text.clone()))),
            Kind::Vault(vaulted) => or_marker(decrypted(vaulted).map_err(|fail| fail.at(Some(node.span.clone())))),
            Kind::Seq(items) => Value::from_object(LazySeq { run: self.clone(), len: items.len(), part: Part::new(root, path) }),
            Kind::Map(pairs) => {
                let pair = |(n, (key, _)): (usize, &(Node, Node))| (key_value(key), n);
                let keys = pairs.iter().enumerate().map(pair).collect();
                Value::from_object(LazyMap { run: self.clone(), keys, part: Part::new(root, path) })
            }
        }
    }

    /// What is said of a name that is not there.
    pub fn unknown(&self, name: &str, at: Option<Span>) -> Value {
        marker(Fail::undefined(Lack::Name(name.to_owned(), self.view.clone())).at(at))
    }
}

/// All variables of a view as a mapping that renders one when it is looked at.
pub(super) fn view_map(view: Arc<View>) -> Value {
    Value::from_object(ViewMap(Run::new(view)))
}

/// The text of an encrypted value: text for good, no template.
pub(super) fn decrypted(vaulted: &Arc<str>) -> Res {
    match crate::vault::decrypt_value(vaulted) {
        Ok(text) => Ok(Value::from(text)),
        Err(err) => Err(Fail::error(format!("Attempt to use undecryptable variable: {err}"))),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// One level deeper in expressions, macros, variables and includes alike. What is nested without end is an error before it is a stack overflow.
pub(super) struct Deeper;

const MAX_DEPTH: usize = 200;

impl Deeper {
    pub fn enter() -> Res<Deeper> {
        let depth = DEPTH.get() + 1;
        if depth > MAX_DEPTH {
            return Err(Fail::error("the template is nested too deeply: does something refer to itself?"));
        }
        DEPTH.set(depth);
        Ok(Deeper)
    }
}

impl Drop for Deeper {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get().saturating_sub(1));
    }
}

fn key_value(key: &Node) -> Value {
    match &key.kind {
        Kind::Null => Value::from(()),
        Kind::Bool(value) => Value::from(*value),
        Kind::Int(value) => Value::from(*value),
        Kind::Float(value) => Value::from(*value),
        Kind::Str(text) => Value::from(text.text.clone()),
        Kind::Seq(_) | Kind::Map(_) | Kind::Vault(_) => Value::from(key.span.text()),
    }
}

fn part<'n>(root: &'n Node, path: &[usize]) -> Option<&'n Node> {
    path.iter().try_fold(root, |node, &n| match &node.kind {
        Kind::Seq(items) => items.get(n),
        Kind::Map(pairs) => pairs.get(n).map(|(_, value)| value),
        _ => None,
    })
}

/// A list or mapping of a file, and which of its members were rendered.
struct Part {
    root: Arc<Node>,
    path: Vec<usize>,
    done: Mutex<HashMap<usize, Value>>,
}

impl Part {
    fn new(root: &Arc<Node>, path: Vec<usize>) -> Part {
        Part { root: root.clone(), path, done: Mutex::default() }
    }

    fn member(&self, run: &Arc<Run>, n: usize) -> Value {
        if let Some(done) = lock(&self.done).get(&n) {
            return done.clone();
        }
        let mut path = self.path.clone();
        path.push(n);
        let value = run.node(&self.root, path);
        if check(&value).is_ok() {
            lock(&self.done).insert(n, value.clone());
        }
        value
    }
}

struct LazySeq {
    run: Arc<Run>,
    len: usize,
    part: Part,
}

impl Object for LazySeq {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let n = key.as_usize().filter(|n| *n < self.len)?;
        Some(self.part.member(&self.run, n))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.len)
    }
}

struct LazyMap {
    run: Arc<Run>,
    keys: indexmap::IndexMap<Value, usize>,
    part: Part,
}

impl Object for LazyMap {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let n = *self.keys.get(key)?;
        Some(self.part.member(&self.run, n))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Iter(Box::new(self.keys.keys().cloned().collect::<Vec<_>>().into_iter()))
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.keys.len())
    }
}

/// All variables of a view as a mapping.
struct ViewMap(Arc<Run>);

impl Drop for ViewMap {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Object for ViewMap {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.variable(key.as_str()?)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Iter(Box::new(self.0.view.names().map(Value::from).collect::<Vec<_>>().into_iter()))
    }
}

macro_rules! debug_as_name {
    ($($of:ty),*) => {$(
        impl fmt::Debug for $of {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($of))
            }
        }
    )*};
}

debug_as_name!(Run, LazySeq, LazyMap, ViewMap);
