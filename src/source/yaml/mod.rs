//! YAML 1.1 as Ansible resolves it, with positions. Everybody who reads YAML or JSON reads it here; JSON first, as Ansible does, because
//! `1e3` is a number there and a string here.
//!
//! Deliberate differences from ansible-core: dates stay strings (in ISO form), as JSON has none; integers beyond 64 bits are refused;
//! `=` as a value is a string, where PyYAML fails.

mod compose;
mod json;
mod scalar;
mod syntax;

use super::{Diag, Kind, Node, Source};
use crate::secrets;
use std::sync::{Arc, OnceLock};

/// Deeper nesting is refused: nobody writes it by hand, and the scanner's time grows with the square of it.
const MAX_DEPTH: usize = 128;

/// How many nodes aliases may copy in one text. A handful of lines can ask for billions.
const MAX_COPIED: usize = 500_000;

/// What a YAML text holds: its documents, and what is worth a warning (duplicate keys).
pub struct Loaded {
    pub documents: Vec<Node>,
    pub warnings: Vec<Diag>,
}

pub fn load(source: &Arc<Source>) -> Result<Loaded, Diag> {
    if let Some(loaded) = json::load(source) {
        return loaded;
    }
    compose::load(source)
}

/// The one document of a text; nothing at all is null.
pub fn load_one(source: &Arc<Source>) -> Result<(Node, Vec<Diag>), Diag> {
    let loaded = load(source)?;
    let mut documents = loaded.documents.into_iter();
    let first = documents.next().unwrap_or_else(|| Node::new(Kind::Null, source.span(0, 0)));
    match documents.next() {
        Some(second) => Err(Diag::error("one YAML document is expected here, and a second one follows")
            .label(&second.span, "the second document")
            .hint("remove the `---` between them, or put them into two files")),
        None => Ok((first, loaded.warnings)),
    }
}

/// A key as Python compares them: `1`, `1.0` and `true` are one and the same.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Null,
    Number(i64),
    Float(u64),
    Text(Arc<str>),
}

impl Key {
    /// None for a list or a mapping, which cannot be keys.
    fn of(node: &Node) -> Option<Key> {
        Some(match &node.kind {
            Kind::Null => Key::Null,
            Kind::Bool(value) => Key::Number(i64::from(*value)),
            Kind::Int(value) => Key::Number(*value),
            // A float without fraction equals the integer; the range is that in which every integer is exact.
            Kind::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => Key::Number(*value as i64),
            Kind::Float(value) => Key::Float(value.to_bits()),
            Kind::Str(string) => Key::Text(string.text.clone()),
            Kind::Seq(_) | Kind::Map(_) | Kind::Vault(_) => return None,
        })
    }
}

/// A mapping while it is read: keys stay unique, in the order in which they were first seen.
#[derive(Default)]
struct Pairs {
    pairs: Vec<(Node, Node)>,
    places: std::collections::HashMap<Key, usize>,
}

impl Pairs {
    /// Sets a key; the pair that was there, if any, is given back. None if the key cannot be one.
    fn insert(&mut self, key: Node, value: Node) -> Option<Option<(Node, Node)>> {
        let at = *self.places.entry(Key::of(&key)?).or_insert(self.pairs.len());
        if at < self.pairs.len() {
            return Some(Some(std::mem::replace(&mut self.pairs[at], (key, value))));
        }
        self.pairs.push((key, value));
        Some(None)
    }
}

/// What a key that is there twice is taken for: `DUPLICATE_YAML_DICT_KEY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicates {
    Warn,
    Refuse,
    Ignore,
}

/// One setting for the process, as the meaning of a text is.
static DUPLICATES: OnceLock<Duplicates> = OnceLock::new();

/// Says it once, before anything is read.
pub fn treat_duplicates(as_what: Duplicates) {
    // Said twice, the first stays: what was read so far was read so.
    let _ = DUPLICATES.set(as_what);
}

/// The last of two keys that are the same counts. That is worth a warning, or more, or nothing.
fn duplicate_key(first: &Node, second: &Node, warnings: &mut Vec<Diag>) -> Result<(), Diag> {
    let said = |diag: Diag| diag.label(&second.span, "this one counts").label(&first.span, "first set here");
    let words = format!("Found duplicate mapping key '{}'.", second.as_str().unwrap_or(second.span.text()));
    match DUPLICATES.get().unwrap_or(&Duplicates::Warn) {
        Duplicates::Warn => warnings.push(said(Diag::warning(words))),
        Duplicates::Refuse => return Err(said(Diag::error(words))),
        Duplicates::Ignore => {}
    }
    Ok(())
}

/// Makes secrets of a file's values, if the file is encrypted. Of files of variables, that is: the words of tasks are none.
pub fn keep_secret(node: &Node) {
    if !node.span.source.is_secret {
        return;
    }
    match &node.kind {
        Kind::Str(string) => secrets::register(&string.text),
        Kind::Int(_) | Kind::Float(_) => secrets::register(node.span.text()),
        Kind::Seq(items) => items.iter().for_each(keep_secret),
        Kind::Map(pairs) => pairs.iter().for_each(|(_, value)| keep_secret(value)),
        Kind::Null | Kind::Bool(_) | Kind::Vault(_) => {}
    }
}

fn too_deep(at: &super::Span) -> Diag {
    Diag::error(format!("this is nested deeper than {MAX_DEPTH} levels")).at(at)
}

#[cfg(test)]
mod tests;
