//! The arguments of a filter, test, function or lookup, taken by position or name as in Python.

use super::fail::{Fail, Res, is_undefined};
use super::value::{Type, as_int, text, truth, type_of};
use indexmap::IndexMap;
use minijinja::Value;

#[derive(Default)]
pub(super) struct Args {
    positional: std::collections::VecDeque<Value>,
    named: IndexMap<String, Value>,
}

impl Args {
    pub fn new(positional: Vec<Value>, named: IndexMap<String, Value>) -> Args {
        Args { positional: positional.into(), named }
    }

    pub fn positional(values: impl IntoIterator<Item = Value>) -> Args {
        Args { positional: values.into_iter().collect(), named: IndexMap::new() }
    }

    /// The first argument that is undefined, if any is.
    pub fn first_undefined(&self) -> Option<&Value> {
        self.positional.iter().chain(self.named.values()).find(|value| is_undefined(value))
    }

    /// The next argument of the signature: by position while there are any, by name after that.
    pub fn get(&mut self, name: &str) -> Option<Value> {
        self.positional.pop_front().or_else(|| self.named.shift_remove(name))
    }

    /// An argument that can only be given by name.
    pub fn named(&mut self, name: &str) -> Option<Value> {
        self.named.shift_remove(name)
    }

    pub fn has_positional(&self) -> bool {
        !self.positional.is_empty()
    }

    /// The positional arguments that are left.
    pub fn rest(&mut self) -> Vec<Value> {
        self.positional.drain(..).collect()
    }

    /// The named arguments that are left.
    pub fn rest_named(&mut self) -> IndexMap<String, Value> {
        std::mem::take(&mut self.named)
    }

    pub fn need(&mut self, name: &str) -> Res {
        self.get(name).ok_or_else(|| Fail::error(format!("the argument `{name}` is missing")))
    }

    pub fn text(&mut self, name: &str) -> Res<Option<String>> {
        self.get(name).map(|value| text(&value)).transpose()
    }

    pub fn text_or(&mut self, name: &str, default: &str) -> Res<String> {
        Ok(self.text(name)?.unwrap_or_else(|| default.to_owned()))
    }

    pub fn need_text(&mut self, name: &str) -> Res<String> {
        text(&self.need(name)?)
    }

    pub fn flag(&mut self, name: &str, default: bool) -> Res<bool> {
        self.get(name).map_or(Ok(default), |value| truth(&value))
    }

    pub fn named_flag(&mut self, name: &str, default: bool) -> Res<bool> {
        self.named(name).map_or(Ok(default), |value| truth(&value))
    }

    pub fn int(&mut self, name: &str) -> Res<Option<i128>> {
        match self.get(name) {
            None => Ok(None),
            Some(value) if type_of(&value) == Type::None => Ok(None),
            Some(value) => int_of(&value, name).map(Some),
        }
    }

    pub fn int_or(&mut self, name: &str, default: i128) -> Res<i128> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    /// Complains about arguments that nobody took.
    pub fn done(&self) -> Res<()> {
        if let Some(value) = self.positional.front() {
            return Err(Fail::error(format!("too many arguments: nothing takes `{}`", text(value)?)));
        }
        match self.named.keys().next() {
            Some(name) => Err(Fail::error(format!("there is no argument `{name}`"))),
            None => Ok(()),
        }
    }
}

fn int_of(value: &Value, name: &str) -> Res<i128> {
    let number = as_int(value).or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
    match number {
        Some(number) => Ok(number),
        None => Err(Fail::error(format!("the argument `{name}` must be an integer, not `{}`", text(value)?))),
    }
}
