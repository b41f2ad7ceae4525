//! How an evaluation goes wrong. An undefined value is an ordinary value until somebody needs it; then it becomes the failure it carries.

use super::value::type_name;
use crate::source::{Diag, Span, nearest};
use crate::vars::View;
use minijinja::Value;
use minijinja::value::{Object, ObjectRepr};
use std::fmt;
use std::sync::Arc;

pub(super) type Res<T = Value> = Result<T, Box<Fail>>;

#[derive(Clone, Debug)]
pub(super) struct Fail {
    pub kind: FailKind,
    /// Where: the innermost expression at fault first, then the places that used it.
    pub places: Vec<(Span, String)>,
    pub notes: Vec<String>,
    pub hints: Vec<String>,
    /// The words say already which plugin failed or what was being done.
    complete: bool,
    /// What goes before the words of something undefined.
    evaluating: Option<&'static str>,
}

#[derive(Clone, Debug)]
pub(super) enum FailKind {
    /// Something is not defined: `default` and `is defined` may still take it.
    Undefined(Lack),
    /// In words, for good.
    Error(String),
    /// `break` and `continue` on their way to the loop.
    Break,
    Continue,
}

/// What is not there.
#[derive(Clone)]
pub(super) enum Lack {
    /// A variable. The view is where to look for names that are near.
    Name(String, Arc<View>),
    /// An attribute or item (as Python writes it) of a value.
    Item(String, Value),
    /// Said by `undef(hint=...)` or a filter.
    Words(String),
    /// `'x' if false`: nothing, which prints as nothing.
    Nothing,
}

impl From<crate::python::regex::Error> for Box<Fail> {
    fn from(err: crate::python::regex::Error) -> Box<Fail> {
        Fail::error(err.to_string())
    }
}

impl fmt::Debug for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_string())
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lack::Name(name, _) => write!(f, "'{name}' is undefined"),
            Lack::Item(item, of) => write!(f, "object of type '{}' has no attribute {item}", type_name(of)),
            Lack::Words(words) => f.write_str(words),
            Lack::Nothing => f.write_str("the inline if-expression evaluated to false and has no else"),
        }
    }
}

impl Fail {
    fn new(kind: FailKind) -> Box<Fail> {
        Box::new(Fail { kind, places: Vec::new(), notes: Vec::new(), hints: Vec::new(), complete: false, evaluating: None })
    }

    pub fn error(words: impl Into<String>) -> Box<Fail> {
        Fail::new(FailKind::Error(words.into()))
    }

    /// An error in words that need nothing before them.
    pub fn complete(words: impl Into<String>) -> Box<Fail> {
        let mut fail = Fail::error(words);
        fail.complete = true;
        fail
    }

    /// Says in front what was being done, unless something further in has said so already.
    pub fn while_doing(mut self: Box<Self>, what: impl FnOnce() -> String) -> Box<Fail> {
        if let FailKind::Error(words) = &mut self.kind
            && !self.complete
        {
            *words = format!("{}: {words}", what());
            self.complete = true;
        }
        self
    }

    /// What was being evaluated when something was undefined.
    pub fn evaluating(mut self: Box<Self>, what: &'static str) -> Box<Fail> {
        self.evaluating = self.evaluating.or(Some(what));
        self
    }

    pub fn undefined(lack: Lack) -> Box<Fail> {
        Fail::new(FailKind::Undefined(lack))
    }

    pub fn signal(kind: FailKind) -> Box<Fail> {
        Fail::new(kind)
    }

    pub fn hint(mut self: Box<Self>, hint: impl Into<String>) -> Box<Fail> {
        self.hints.push(hint.into());
        self
    }

    pub fn is_undefined(&self) -> bool {
        matches!(self.kind, FailKind::Undefined(_))
    }

    /// Says where, unless that is known already.
    pub fn at(mut self: Box<Self>, span: Option<Span>) -> Box<Fail> {
        if self.places.is_empty()
            && let Some(span) = span
        {
            self.places.push((span, String::new()));
        }
        self
    }

    /// A place from which the one at fault was reached.
    pub fn used_at(mut self: Box<Self>, span: Option<Span>, words: String) -> Box<Fail> {
        const ENOUGH: usize = 6;
        if let Some(span) = span
            && !self.places.is_empty()
            && self.places.len() < ENOUGH
            && !self.places.iter().any(|(other, _)| other.start == span.start && Arc::ptr_eq(&other.source, &span.source))
        {
            self.places.push((span, words));
        }
        self
    }

    pub fn words(&self) -> String {
        match &self.kind {
            FailKind::Undefined(lack) => match self.evaluating {
                Some(what) => format!("{what}: {lack}"),
                None => lack.to_string(),
            },
            FailKind::Error(words) => words.clone(),
            FailKind::Break => "`break` outside of a loop".to_owned(),
            FailKind::Continue => "`continue` outside of a loop".to_owned(),
        }
    }

    /// The finding for the user.
    pub fn into_diag(self) -> Diag {
        let mut diag = Diag::error(self.words());
        diag.places = self.places;
        diag.notes = self.notes;
        diag.hints = self.hints;
        match self.kind {
            FailKind::Undefined(Lack::Name(name, view)) => {
                if let Some(near) = nearest(&name, view.names()) {
                    let set = view.get(near).and_then(|variable| variable.span()).map(|span| format!(" It is set in {span}"));
                    diag = diag.hint(format!("did you mean `{near}`?{}", set.unwrap_or_default()));
                }
            }
            FailKind::Undefined(Lack::Item(item, of)) => {
                let keys: Vec<String> = match super::value::is_map(&of) {
                    true => {
                        super::value::raw_items(&of).unwrap_or_default().iter().filter_map(|key| key.as_str().map(str::to_owned)).collect()
                    }
                    false => Vec::new(),
                };
                diag = diag.did_you_mean(item.trim_matches('\''), keys.iter().map(String::as_str));
            }
            _ => {}
        }
        diag
    }
}

/// A failure that travels as a value: of a lazy part that could not be rendered, or of something undefined.
pub(super) struct Marker(pub Box<Fail>);

impl fmt::Debug for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.0.words())
    }
}

impl Object for Marker {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        false
    }
}

pub(super) fn marker(fail: Box<Fail>) -> Value {
    Value::from_object(Marker(fail))
}

/// The value, or the marker of why there is none.
pub(super) fn or_marker(result: Res) -> Value {
    result.unwrap_or_else(marker)
}

/// The failure that a value stands for, if it does.
pub(super) fn check(value: &Value) -> Res<()> {
    if let Some(marker) = value.downcast_object_ref::<Marker>() {
        return Err(marker.0.clone());
    }
    if value.is_undefined() {
        return Err(Fail::undefined(Lack::Words("an undefined value was used".to_owned())));
    }
    Ok(())
}

/// Whether a value is undefined (and not an error of another kind).
pub(super) fn is_undefined(value: &Value) -> bool {
    value.is_undefined() || value.downcast_object_ref::<Marker>().is_some_and(|marker| marker.0.is_undefined())
}
