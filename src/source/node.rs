//! One YAML value with its place. What Ansible's loader would give, and where each part of it stands.

use super::Span;
use std::sync::Arc;

/// A value from a file and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    pub kind: Kind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Str),
    /// `!vault`: a string that is encrypted, and decrypted where it is used.
    Vault(Arc<str>),
    Seq(Vec<Node>),
    /// In the order of the file. Keys are unique: of two that are the same the last one stays, as in Ansible.
    Map(Vec<(Node, Node)>),
}

/// A string, and whether it may be a template.
#[derive(Clone, Debug)]
pub struct Str {
    pub text: Arc<str>,
    pub tag: Tag,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// An ordinary string: a template, if it holds one.
    Plain,
    /// `!unsafe`: never a template.
    Unsafe,
}

impl Node {
    pub fn new(kind: Kind, span: Span) -> Node {
        Node { kind, span }
    }

    /// A string that stands at `span`, as if it had been written there.
    pub fn string(text: impl Into<Arc<str>>, span: Span) -> Node {
        Node { kind: Kind::Str(Str { text: text.into(), tag: Tag::Plain }), span }
    }

    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::Str(string) => Some(&string.text),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self.kind {
            Kind::Bool(value) => Some(value),
            _ => None,
        }
    }

    pub fn as_seq(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::Seq(items) => Some(items),
            _ => None,
        }
    }

    pub fn as_map(&self) -> Option<&[(Node, Node)]> {
        match &self.kind {
            Kind::Map(pairs) => Some(pairs),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    /// The value under a string key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.iter().find(|(k, _)| k.as_str() == Some(key)).map(|(_, value)| value)
    }

    /// What this is, for messages: `a string`, `a list`.
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "a boolean",
            Kind::Int(_) | Kind::Float(_) => "a number",
            Kind::Str(_) => "a string",
            Kind::Vault(_) => "an encrypted value",
            Kind::Seq(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    /// Whether this string has to be rendered before it is known: it has `{{`, `{%` or `{#` and is not `!unsafe`, or it is encrypted.
    pub fn is_template(&self) -> bool {
        match &self.kind {
            Kind::Vault(_) => true,
            Kind::Str(string) => string.tag == Tag::Plain && may_be_template(&string.text),
            _ => false,
        }
    }

    /// The place in the file of a byte range of this string's value. Exact where the file spells the value literally (also in block
    /// scalars), the whole scalar where escapes or folding stand between.
    pub fn locate(&self, range: std::ops::Range<usize>) -> Span {
        let whole = self.span.clone();
        let Some(value) = self.as_str() else { return whole };
        let raw = whole.text();
        if range.end > value.len() || raw.is_empty() {
            return whole;
        }
        if let Some(at) = raw.find(value) {
            return whole.source.span(whole.start + at + range.start, whole.start + at + range.end);
        }
        // A block scalar: the value's line k is a raw line, less its indentation.
        let value_line = value[..range.start].matches('\n').count();
        let line_start = value[..range.start].rfind('\n').map_or(0, |at| at + 1);
        let line = value[line_start..].lines().next().unwrap_or("");
        let mut at = whole.start;
        for (n, raw_line) in raw.split_inclusive('\n').enumerate() {
            // The header (`|`, `>-`) stands on the first raw line.
            if n == value_line + 1 && !line.is_empty() && raw_line.trim_end() != "" && raw_line.trim_end().ends_with(line.trim_end()) {
                let indent = raw_line.find(line.trim_end()).unwrap_or(0);
                let start = at + indent + (range.start - line_start);
                let end = start + (range.end - range.start).min(line.len().saturating_sub(range.start - line_start));
                return whole.source.span(start, end.max(start));
            }
            at += raw_line.len();
        }
        whole
    }
}

pub fn may_be_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}
