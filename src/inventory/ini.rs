//! INI inventories: sections of hosts, of children and of variables.

use super::words::{self, Word};
use super::{Inventory, address, literal};
use crate::source::{Diag, Node, Source, Span, Str};
use indexmap::IndexMap;
use std::path::Path;
use std::sync::Arc;

#[derive(Clone, Copy)]
enum State {
    Hosts,
    Children,
    Vars,
}

/// A group that was spoken of before it was declared.
enum Pending {
    Vars,
    Children { parents: Vec<String> },
}

struct Reader<'a> {
    inventory: &'a mut Inventory,
    source: &'a Arc<Source>,
    file: &'a Path,
    warnings: &'a mut Vec<Diag>,
    group: String,
    state: State,
    pending: IndexMap<String, (Pending, Span)>,
}

pub fn add(inventory: &mut Inventory, source: &Arc<Source>, file: &Path, warnings: &mut Vec<Diag>) -> Result<(), Diag> {
    let group = "ungrouped".to_owned();
    let mut reader = Reader { inventory, source, file, warnings, group, state: State::Hosts, pending: IndexMap::new() };
    let mut start = 0;
    for line in source.text.split_inclusive('\n') {
        let blanks = line.len() - line.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}').len();
        let trimmed = line[blanks..].trim_end();
        if !trimmed.is_empty() && !trimmed.starts_with(['#', ';']) {
            reader.line(start + blanks, trimmed)?;
        }
        start += line.len();
    }
    match reader.pending.into_iter().next() {
        None => Ok(()),
        Some((name, (Pending::Vars, at))) => Err(Diag::error(format!("there are variables for the group `{name}`, which is not defined"))
            .at(&at)
            .did_you_mean(&name, inventory.groups.keys().map(String::as_str).filter(|known| *known != name))
            .hint(format!("add a section `[{name}]`"))),
        Some((name, (Pending::Children { .. }, at))) => Err(Diag::error(format!("the group `{name}` is not defined"))
            .at(&at)
            .did_you_mean(&name, inventory.groups.keys().map(String::as_str))
            .hint(format!("add a section `[{name}]`"))),
    }
}

impl Reader<'_> {
    fn line(&mut self, start: usize, line: &str) -> Result<(), Diag> {
        if self.section(start, line)? {
            return Ok(());
        }
        match self.state {
            State::Hosts => self.hosts(start, line),
            State::Children => self.child(start, line),
            State::Vars => self.variable(start, line),
        }
    }

    /// True if the line is the head of a section.
    fn section(&mut self, start: usize, line: &str) -> Result<bool, Diag> {
        let whole = self.source.span(start, start + line.len());
        let Some((head, tail)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) else { return Ok(false) };
        let (name, kind) = head.split_once(':').map_or((head, None), |(name, kind)| (name, Some(kind)));
        let tail = tail.trim_start();
        let is_word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_');
        let proper = !name.is_empty() && !name.contains(char::is_whitespace) && kind.is_none_or(is_word);
        if !proper || !(tail.is_empty() || tail.starts_with('#')) {
            if line.ends_with(']') {
                return Err(Diag::error("this is no section: `[group]`, `[group:children]` or `[group:vars]`, without blanks").at(&whole));
            }
            return Ok(false);
        }
        self.state = match kind {
            None | Some("hosts") => State::Hosts,
            Some("children") => State::Children,
            Some("vars") => State::Vars,
            Some(other) => {
                let at = start + 1 + name.len() + 1;
                return Err(Diag::error(format!("Section [{head}] has unknown type: {other}"))
                    .at(&self.source.span(at, at + other.len()))
                    .did_you_mean(other, ["hosts", "children", "vars"]));
            }
        };
        let name = &*self.inventory.group_name(name);
        self.group = name.to_owned();
        let is_vars = matches!(self.state, State::Vars);
        let is_new = self.inventory.ensure_group(name);
        if is_vars {
            if is_new && !self.pending.contains_key(name) {
                let at = self.source.span(start + 1, start + 1 + name.len());
                self.pending.insert(name.to_owned(), (Pending::Vars, at));
            }
        } else if let Some((Pending::Children { parents }, at)) = self.pending.shift_remove(name) {
            for parent in parents {
                self.inventory.add_child(&parent, name).map_err(|words| Diag::error(words).at(&at))?;
            }
        }
        Ok(true)
    }

    fn hosts(&mut self, start: usize, line: &str) -> Result<(), Diag> {
        let words = words::split(self.source, start..start + line.len())
            .map_err(|unclosed| Diag::error(unclosed.words).at(&self.source.span(unclosed.at, unclosed.at + 1)))?;
        // The line is neither empty nor a comment, so there is a first word.
        let Some((name, rest)) = words.split_first() else { return Ok(()) };
        let at = name.whole(self.source);
        let (names, port) = address::expand(&name.text).map_err(|err| {
            let diag = Diag::error(err.words).at(&at);
            let is_section = name.text.starts_with('[') && rest.first().is_some_and(|word| word.text.starts_with(';'));
            if is_section { diag.hint("a comment behind a section begins with `#`") } else { diag }
        })?;
        if name.text.is_empty() {
            return Err(Diag::error("a host needs a name").at(&self.source.span(start, start + line.len())));
        }
        if name.text.ends_with(':') && port.is_none() {
            let words = "supplied, ending in ':' is not allowed, this character is reserved to provide a port.";
            let diag = Diag::error(format!("Invalid host pattern '{}' {words}", name.text)).at(&at);
            return Err(diag.hint("if this is YAML, call the file `.yaml`"));
        }
        if name.text == "---" {
            return Err(Diag::error("`---` begins a YAML file, and this one is read as INI").at(&at).hint("call the file `.yaml`"));
        }
        let mut vars = Vec::new();
        for word in rest {
            let Some((key, value)) = word.split_once('=') else {
                let diag =
                    Diag::error(format!("Expected key=value host variable assignment, got: {}", word.text)).at(&word.whole(self.source));
                return Err(if word.text.starts_with([';', '/']) { diag.hint("a comment here begins with `#`") } else { diag });
            };
            vars.push((key.text.clone(), self.value(&key, &value)?));
        }
        let at = Node::string(name.text.as_str(), at);
        self.inventory.add_hosts(&names, &self.group, port, &at, &vars, Some(self.file));
        Ok(())
    }

    fn child(&mut self, start: usize, line: &str) -> Result<(), Diag> {
        let name = line.split_once('#').map_or(line, |(name, _)| name).trim_end();
        let at = self.source.span(start, start + name.len());
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || matches!(c, ':' | ']')) {
            let diag = Diag::error(format!("`[{}:children]` holds names of groups, one per line", self.group));
            return Err(diag.at(&self.source.span(start, start + line.len())));
        }
        let name = &*self.inventory.group_name(name);
        if self.inventory.groups.contains_key(name) {
            return match self.inventory.add_child(&self.group, name) {
                Ok(_) => Ok(()),
                Err(words) => Err(Diag::error(words).at(&at)),
            };
        }
        let (pending, _) = self.pending.entry(name.to_owned()).or_insert((Pending::Children { parents: Vec::new() }, at));
        if let Pending::Children { parents } = pending {
            parents.push(self.group.clone());
        }
        Ok(())
    }

    fn variable(&mut self, start: usize, line: &str) -> Result<(), Diag> {
        let word = Word::raw(self.source, start..start + line.len());
        let Some((key, value)) = word.split_once('=') else {
            return Err(Diag::error(format!("`[{}:vars]` holds variables, written `name=value`", self.group)).at(&word.whole(self.source)));
        };
        let (key, value) = (key.trim(), value.trim());
        let node = self.value(&key, &value)?;
        self.inventory.set_group_variable(&self.group, &key.text, node, self.warnings);
        Ok(())
    }

    fn value(&mut self, key: &Word, value: &Word) -> Result<Node, Diag> {
        let node = literal::evaluate(value, self.source).map_err(|(range, words)| {
            Diag::error(words)
                .at(&value.span(self.source, range))
                .hint("to keep it as a string, write it in two pairs of quotes: `\"'...'\"`")
        })?;
        // Ansible itself reads its own variables leniently.
        if let crate::source::Kind::Str(Str { text, .. }) = &node.kind
            && self.inventory.rules.plugins.is_none()
            && !key.text.starts_with("ansible_")
            && ["true", "false", "yes", "no", "on", "off"].contains(&text.to_ascii_lowercase().as_str())
        {
            let truth = if ["true", "yes", "on"].contains(&text.to_ascii_lowercase().as_str()) { "True" } else { "False" };
            self.inventory.seemingly_boolean.push((
                key.text.clone(),
                Diag::warning(format!("`{}` is the string `{text}` here, not a boolean", key.text))
                    .at(&node.span)
                    .hint(format!("in an INI inventory write `{truth}`, or `{} | bool` where it is used", key.text)),
            ));
        }
        Ok(node)
    }
}
