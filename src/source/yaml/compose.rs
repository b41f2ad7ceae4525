//! Events to nodes: anchors, merge keys, tags, limits. The parser itself is libyaml's, whose grammar Ansible uses.

use super::{Loaded, MAX_COPIED, MAX_DEPTH, Pairs, duplicate_key, scalar, syntax, too_deep};
use crate::source::{Diag, Kind, Node, Source, Span, Tag};
use crate::vault::is_encrypted;
use base64::Engine;
use libyaml_safer::{Encoding, Event, EventData, MappingStyle, Mark, Parser, ScalarStyle, SequenceStyle};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};

const STANDARD: &str = "tag:yaml.org,2002:";

pub fn load(source: &Arc<Source>) -> Result<Loaded, Diag> {
    if let Some(diag) = syntax::forbidden(source) {
        return Err(diag);
    }
    let base = if source.text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let input = complete(&source.text[base..]);
    let mut parser = Parser::new();
    parser.set_encoding(Encoding::Utf8);
    parser.set_input(input.as_bytes());
    let mut composer =
        Composer { source, base, parser, last: base, anchors: HashMap::new(), n_nodes: 0, n_copied: 0, warnings: Vec::new() };
    let mut documents = Vec::new();
    loop {
        let event = composer.next()?;
        match event.data {
            EventData::StreamEnd => return Ok(Loaded { documents, warnings: composer.warnings }),
            EventData::StreamStart { .. } | EventData::DocumentStart { .. } | EventData::DocumentEnd { .. } => composer.anchors.clear(),
            _ => documents.push(composer.node(event, 0)?),
        }
    }
}

/// The text with its last line completed: the parser panics on a block scalar that ends without a line break.
fn complete(text: &str) -> Cow<'_, str> {
    let line_start = text.rfind('\n').map_or(0, |newline| newline + 1);
    let last_line = &text[line_start..];
    match last_line.trim_start_matches(' ').is_empty() {
        true => Cow::Borrowed(&text[..line_start]),
        false => Cow::Owned(format!("{text}\n")),
    }
}

struct Composer<'a> {
    source: &'a Arc<Source>,
    base: usize,
    parser: Parser<&'a [u8]>,
    /// Where the last event ended.
    last: usize,
    anchors: HashMap<String, Anchored>,
    n_nodes: usize,
    n_copied: usize,
    warnings: Vec<Diag>,
}

struct Anchored {
    at: Span,
    /// None while it is being read.
    node: Option<Node>,
    /// How many nodes it is made of.
    size: usize,
}

/// What stands before a value: `&anchor` and `!tag`.
struct Properties {
    anchor: Option<String>,
    /// None also for `!`, which asks for nothing.
    tag: Option<String>,
    span: Span,
}

impl Composer<'_> {
    fn next(&mut self) -> Result<Event, Diag> {
        // The parser panics on some wrong input, such as `[!!str, x]`.
        let event = match quietly(|| self.parser.parse()) {
            Some(event) => event.map_err(|error| syntax::error(self.source, self.base, &error))?,
            None => {
                let here = syntax::character(self.source, self.last);
                return Err(Diag::error("this is not valid YAML: the parser gave up behind this place").at(&here));
            }
        };
        self.last = self.place(event.end_mark);
        Ok(event)
    }

    fn place(&self, mark: Mark) -> usize {
        syntax::place(self.source, self.base, mark)
    }

    fn node(&mut self, event: Event, depth: usize) -> Result<Node, Diag> {
        let (start, end) = (self.place(event.start_mark), self.place(event.end_mark));
        if depth > MAX_DEPTH {
            return Err(too_deep(&syntax::character(self.source, start)));
        }
        match event.data {
            EventData::Alias { anchor } => self.alias(&anchor, self.source.span(start, end)),
            EventData::Scalar { anchor, tag, mut value, style, .. } => {
                let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let past_the_end = self.base + event.end_mark.index as usize > self.source.text.len();
                if is_block && past_the_end && value.ends_with('\n') {
                    // The line break that `complete` added.
                    value.pop();
                }
                let (properties, start) = self.properties(anchor, tag, start, end);
                self.anchored(properties, |composer, properties| {
                    composer.scalar(properties, &value, style, composer.source.span(start, end))
                })
            }
            EventData::SequenceStart { anchor, tag, style, .. } => {
                let (properties, start) = self.properties(anchor, tag, start, end);
                let flow = style == SequenceStyle::Flow;
                self.anchored(properties, |composer, properties| composer.sequence(properties, start, flow, depth))
            }
            EventData::MappingStart { anchor, tag, style, .. } => {
                let (properties, start) = self.properties(anchor, tag, start, end);
                let flow = style == MappingStyle::Flow;
                self.anchored(properties, |composer, properties| composer.mapping(properties, start, flow, depth))
            }
            _ => Err(Diag::error("this is not valid YAML: a value was expected here").at(&syntax::character(self.source, start))),
        }
    }

    /// Splits what stands before a value from the value, whose start is given back.
    fn properties(&self, anchor: Option<String>, tag: Option<String>, start: usize, end: usize) -> (Properties, usize) {
        let mut at = start;
        let mut stop = start;
        let text = &self.source.text;
        // A collection's event ends with its properties, or with its bracket; a block's own text begins later.
        while (anchor.is_some() || tag.is_some()) && text[at..end].starts_with(['&', '!']) {
            stop = at + text[at..end].find(|c: char| c.is_whitespace()).unwrap_or(end - at);
            at = stop;
            loop {
                at += text[at..end].len() - text[at..end].trim_start().len();
                if !text[at..end].starts_with('#') {
                    break;
                }
                at += text[at..end].find('\n').unwrap_or(end - at);
            }
        }
        let span = if stop > start { self.source.span(start, stop) } else { syntax::character(self.source, start) };
        (Properties { anchor, tag: tag.filter(|tag| tag != "!"), span }, at)
    }

    /// Reads a value and remembers it under its anchor, if it has one.
    fn anchored(
        &mut self,
        mut properties: Properties,
        read: impl FnOnce(&mut Self, &Properties) -> Result<Node, Diag>,
    ) -> Result<Node, Diag> {
        let Some(name) = properties.anchor.take() else { return read(self, &properties) };
        if let Some(first) = self.anchors.get(&name) {
            let diag = Diag::error(format!("the anchor `&{name}` is defined twice"));
            return Err(diag.at(&properties.span).label(&first.at, "first defined here"));
        }
        self.anchors.insert(name.clone(), Anchored { at: properties.span.clone(), node: None, size: 0 });
        let before = self.n_nodes;
        let node = read(self, &properties)?;
        let size = self.n_nodes - before;
        self.anchors.insert(name, Anchored { at: properties.span, node: Some(node.clone()), size });
        Ok(node)
    }

    fn alias(&mut self, name: &str, at: Span) -> Result<Node, Diag> {
        let Some(anchored) = self.anchors.get(name) else {
            let known = self.anchors.keys().map(String::as_str);
            return Err(Diag::error(format!("there is no anchor `&{name}` before this alias")).at(&at).did_you_mean(name, known));
        };
        let Some(node) = &anchored.node else {
            return Err(Diag::error(format!("the alias `*{name}` stands inside what it refers to"))
                .at(&at)
                .label(&anchored.at, "which begins here"));
        };
        self.n_copied += anchored.size;
        self.n_nodes += anchored.size;
        if self.n_copied > MAX_COPIED {
            return Err(Diag::error(format!("the aliases of this file stand for more than {MAX_COPIED} values")).at(&at));
        }
        Ok(node.clone())
    }

    fn scalar(&mut self, properties: &Properties, value: &str, style: ScalarStyle, span: Span) -> Result<Node, Diag> {
        self.n_nodes += 1;
        let wrong = |words: String| Err(Diag::error(words).at(&span));
        let kind = match properties.tag.as_deref() {
            None if style == ScalarStyle::Plain => scalar::plain(value),
            None => Ok(scalar::string(value)),
            // Ansible resolves it again, quotes or not: `!unsafe "5"` is a number.
            Some("!unsafe") => scalar::plain(value),
            Some("!vault" | "!vault-encrypted") => match is_encrypted(value.trim_start().as_bytes()) {
                true => Ok(Kind::Vault(value.into())),
                false => Err("a `!vault` holds what `ansible-vault encrypt_string` wrote, and this is something else".to_owned()),
            },
            Some(tag) => match tag.strip_prefix(STANDARD) {
                Some("str") => Ok(scalar::string(value)),
                Some("int") => scalar::integer(value).map(Kind::Int),
                Some("float") => scalar::float(value).map(Kind::Float),
                Some("bool") => scalar::boolean(value).map(Kind::Bool),
                Some("null") => Ok(Kind::Null),
                Some("timestamp") => {
                    scalar::timestamp(value).unwrap_or_else(|| Err(format!("`{value}` is not a date"))).map(scalar::string)
                }
                Some("binary") => binary(value).map(scalar::string),
                _ => return Err(unknown_tag(tag, "a scalar", &properties.span)),
            },
        };
        let mut node = match kind {
            Ok(kind) => Node::new(kind, span),
            Err(words) => return wrong(words),
        };
        if is_unsafe(properties) {
            spread_unsafe(&mut node);
        }
        Ok(node)
    }

    fn sequence(&mut self, properties: &Properties, start: usize, flow: bool, depth: usize) -> Result<Node, Diag> {
        self.n_nodes += 1;
        expect_tag(properties, "seq", "a list")?;
        let mut items = Vec::new();
        loop {
            let event = self.next()?;
            if event.data == EventData::SequenceEnd {
                let last_item = items.last().map(|item: &Node| &item.span);
                let span = self.collection_span(start, self.place(event.end_mark), flow, last_item);
                let mut node = Node::new(Kind::Seq(items), span);
                if is_unsafe(properties) {
                    spread_unsafe(&mut node);
                }
                return Ok(node);
            }
            items.push(self.node(event, depth + 1)?);
        }
    }

    fn mapping(&mut self, properties: &Properties, start: usize, flow: bool, depth: usize) -> Result<Node, Diag> {
        self.n_nodes += 1;
        expect_tag(properties, "map", "a mapping")?;
        let mut merged = Vec::new();
        let mut own: Vec<(Node, Node)> = Vec::new();
        let mut last_value = None;
        let end = loop {
            let event = self.next()?;
            if event.data == EventData::MappingEnd {
                break self.place(event.end_mark);
            }
            let is_merge = is_merge_key(&event.data);
            let key = self.node(event, depth + 1)?;
            let event = self.next()?;
            let value = self.node(event, depth + 1)?;
            last_value = Some(value.span.clone());
            if is_merge {
                merge(&mut merged, value)?;
            } else {
                own.push((key, value));
            }
        };
        let mut pairs = Pairs::default();
        for (key, value) in merged {
            // These were keys of a mapping before.
            pairs.insert(key, value);
        }
        let n_merged = pairs.pairs.len();
        let mut overridden = vec![false; n_merged];
        for (key, value) in own {
            let at = key.clone();
            match pairs.insert(key, value) {
                None => return Err(unhashable(&at)),
                Some(None) => {}
                Some(Some((before, _))) => {
                    // Setting a merged key anew is what merging is for; setting it twice is not.
                    let merged_at = pairs.pairs[..n_merged].iter().position(|(key, _)| key.span.start == at.span.start);
                    match merged_at {
                        Some(n) if !overridden[n] => overridden[n] = true,
                        _ => duplicate_key(&before, &at, &mut self.warnings)?,
                    }
                }
            }
        }
        let span = self.collection_span(start, end, flow, last_value.as_ref());
        let mut node = Node::new(Kind::Map(pairs.pairs), span);
        if is_unsafe(properties) {
            spread_unsafe(&mut node);
        }
        Ok(node)
    }

    /// A block collection ends for the parser where the next token begins, maybe lines later; for us, with its last value.
    fn collection_span(&self, start: usize, end: usize, flow: bool, last: Option<&Span>) -> Span {
        let end = match last {
            // An alias's value stands elsewhere: the parser's end, less blank lines, is the best there is.
            Some(last) if !flow && last.end >= start && last.end <= end => last.end,
            _ if flow => end,
            _ => start + self.source.text[start..end.max(start)].trim_end().len(),
        };
        self.source.span(start, end.max(start))
    }
}

fn is_merge_key(event: &EventData) -> bool {
    match event {
        EventData::Scalar { tag: None, value, style: ScalarStyle::Plain, .. } => value == "<<",
        EventData::Scalar { tag: Some(tag), .. } => tag.strip_prefix(STANDARD) == Some("merge"),
        _ => false,
    }
}

/// Adds what `<<` refers to. Of a list, the first mapping wins, so it comes last.
fn merge(merged: &mut Vec<(Node, Node)>, value: Node) -> Result<(), Diag> {
    match value.kind {
        Kind::Map(pairs) => merged.extend(pairs),
        Kind::Seq(items) => {
            for item in items.into_iter().rev() {
                match item.kind {
                    Kind::Map(pairs) => merged.extend(pairs),
                    _ => return Err(Diag::error(format!("`<<` merges mappings, and this is {}", item.kind_name())).at(&item.span)),
                }
            }
        }
        _ => return Err(Diag::error(format!("`<<` merges a mapping or a list of them, and this is {}", value.kind_name())).at(&value.span)),
    }
    Ok(())
}

fn unhashable(key: &Node) -> Diag {
    let diag = Diag::error(format!("a key cannot be {}", key.kind_name())).at(&key.span);
    let text = &key.span.source.text;
    if text[..key.span.start].ends_with('{') && text[key.span.start..].starts_with('{') {
        return diag.hint(syntax::TEMPLATE_QUOTES);
    }
    diag
}

fn is_unsafe(properties: &Properties) -> bool {
    properties.tag.as_deref() == Some("!unsafe")
}

/// Marks all strings of a value: none of them is a template.
pub fn spread_unsafe(node: &mut Node) {
    match &mut node.kind {
        Kind::Str(string) => string.tag = Tag::Unsafe,
        Kind::Seq(items) => items.iter_mut().for_each(spread_unsafe),
        Kind::Map(pairs) => pairs.iter_mut().for_each(|(key, value)| {
            spread_unsafe(key);
            spread_unsafe(value);
        }),
        _ => {}
    }
}

fn expect_tag(properties: &Properties, standard: &str, what: &str) -> Result<(), Diag> {
    match properties.tag.as_deref() {
        None | Some("!unsafe") => Ok(()),
        Some(tag) if tag.strip_prefix(STANDARD) == Some(standard) => Ok(()),
        Some(tag) => Err(unknown_tag(tag, what, &properties.span)),
    }
}

fn unknown_tag(tag: &str, what: &str, at: &Span) -> Diag {
    match tag.strip_prefix(STANDARD) {
        Some(name @ ("str" | "int" | "float" | "bool" | "null" | "timestamp" | "binary" | "seq" | "map")) => {
            Diag::error(format!("the tag `!!{name}` does not fit {what}")).at(at)
        }
        Some(name) => Diag::error(format!("the tag `!!{name}` is not supported")).at(at),
        None => Diag::error(format!("unknown tag `{tag}`")).at(at).hint("a value that begins with `!` needs quotes"),
    }
}

/// Python would make bytes of it. Here it is a text that keeps them.
fn binary(value: &str) -> Result<String, String> {
    let packed: String = value.chars().filter(|c| !c.is_whitespace()).collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(packed).map_err(|err| format!("this is not base64: {err}"))?;
    Ok(crate::python::bytes::to_text(bytes))
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `parse`; None if it panicked, of which nothing is printed.
fn quietly<T>(parse: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    QUIET.set(true);
    let result = catch_unwind(AssertUnwindSafe(parse));
    QUIET.set(false);
    result.ok()
}
