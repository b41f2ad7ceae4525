//! Values of an INI inventory: what Python would read as a literal (`1`, `True`, `['a', 'b']`, `{'x': 0x1f}`) is one, the rest is a string.

use super::words::Word;
use crate::source::{Kind, Node, Source};
use std::ops::Range;
use std::sync::Arc;

/// Deeper nesting is taken for a string.
const MAX_DEPTH: usize = 50;

/// The value of a word. The error says what cannot be held.
pub fn evaluate(word: &Word, source: &Arc<Source>) -> Result<Node, (Range<usize>, String)> {
    let mut reader = Reader { word, source, text: &word.text, at: 0, too_big: None };
    let node = reader.whole();
    match (node, reader.too_big) {
        (_, Some(range)) => Err((range.clone(), format!("`{}` does not fit into 64 bits", &word.text[range]))),
        (Some(node), None) => Ok(node),
        (None, None) => Ok(Node::string(word.text.as_str(), word.whole(source))),
    }
}

struct Reader<'a> {
    word: &'a Word,
    source: &'a Arc<Source>,
    text: &'a str,
    at: usize,
    too_big: Option<Range<usize>>,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// Blanks, and a comment, which ends the text.
    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start_matches([' ', '\t', '\u{c}']).len();
        if self.rest().starts_with('#') {
            self.at = self.text.len();
        }
    }

    fn node(&self, kind: Kind, start: usize) -> Node {
        Node::new(kind, self.word.span(self.source, start..self.at))
    }

    /// None: this is no literal.
    fn whole(&mut self) -> Option<Node> {
        self.blanks();
        let start = self.at;
        let first = self.value(0)?;
        self.blanks();
        if self.at == self.text.len() {
            return Some(first);
        }
        // A tuple needs no brackets.
        let mut items = vec![first];
        while self.take(",") {
            self.blanks();
            if self.at < self.text.len() {
                items.push(self.value(0)?);
                self.blanks();
            }
        }
        (self.at == self.text.len()).then(|| self.node(Kind::Seq(items), start))
    }

    fn value(&mut self, depth: usize) -> Option<Node> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.blanks();
        let start = self.at;
        let first = self.rest().chars().next()?;
        let kind = match first {
            '[' => Kind::Seq(self.items('[', "]", depth)?.0),
            '(' => {
                let (mut items, has_comma) = self.items('(', ")", depth)?;
                if items.len() == 1 && !has_comma {
                    return items.pop();
                }
                Kind::Seq(items)
            }
            '{' => self.braces(depth)?,
            '0'..='9' | '.' | '-' | '+' => self.number()?,
            _ if self.rest().starts_with("set()") => {
                self.at += "set()".len();
                Kind::Seq(Vec::new())
            }
            _ => match self.strings()? {
                Some(text) => Node::string(text, self.word.span(self.source, start..self.at)).kind,
                None => self.name()?,
            },
        };
        Some(self.node(kind, start))
    }

    /// Values between brackets, and whether there was a comma.
    fn items(&mut self, open: char, close: &str, depth: usize) -> Option<(Vec<Node>, bool)> {
        self.at += open.len_utf8();
        let mut items = Vec::new();
        let mut has_comma = false;
        loop {
            self.blanks();
            if self.take(close) {
                return Some((items, has_comma));
            }
            if !items.is_empty() && !has_comma {
                return None;
            }
            items.push(self.value(depth + 1)?);
            self.blanks();
            if self.take(close) {
                return Some((items, has_comma));
            }
            if !self.take(",") {
                return None;
            }
            has_comma = true;
        }
    }

    /// A dict, or a set, which becomes a list.
    fn braces(&mut self, depth: usize) -> Option<Kind> {
        let start = self.at;
        self.at += 1;
        self.blanks();
        if self.take("}") {
            return Some(Kind::Map(Vec::new()));
        }
        let first = self.value(depth + 1)?;
        self.blanks();
        if !self.rest().starts_with(':') {
            self.at = start;
            return Some(Kind::Seq(self.items('{', "}", depth)?.0));
        }
        let mut pairs: Vec<(Node, Node)> = Vec::new();
        let mut key = first;
        loop {
            self.blanks();
            if !self.take(":") || matches!(key.kind, Kind::Seq(_) | Kind::Map(_)) {
                return None;
            }
            let value = self.value(depth + 1)?;
            match pairs.iter_mut().find(|(other, _)| same_key(&other.kind, &key.kind)) {
                Some(pair) => *pair = (key, value),
                None => pairs.push((key, value)),
            }
            self.blanks();
            let comma = self.take(",");
            self.blanks();
            if self.take("}") {
                return Some(Kind::Map(pairs));
            }
            if !comma {
                return None;
            }
            key = self.value(depth + 1)?;
        }
    }

    fn name(&mut self) -> Option<Kind> {
        let kind = if self.take("True") {
            Kind::Bool(true)
        } else if self.take("False") {
            Kind::Bool(false)
        } else if self.take("None") {
            Kind::Null
        } else {
            return None;
        };
        self.ends_here().then_some(kind)
    }

    /// Whether no letter or digit follows.
    fn ends_here(&self) -> bool {
        !self.rest().starts_with(|c: char| c.is_alphanumeric() || c == '_')
    }

    fn number(&mut self) -> Option<Kind> {
        let start = self.at;
        if self.take("...") {
            return Some(Node::string("...", self.word.span(self.source, start..self.at)).kind);
        }
        let negative = self.take("-");
        let plus = !negative && self.take("+");
        if negative || plus {
            self.blanks();
        }
        let bases = [("0x", 16), ("0X", 16), ("0o", 8), ("0O", 8), ("0b", 2), ("0B", 2)];
        if let Some((prefix, base)) = bases.into_iter().find(|(prefix, _)| self.rest().starts_with(prefix)) {
            self.at += prefix.len();
            // An underscore may follow the prefix, too.
            self.take("_");
            let digits = self.digits(base)?;
            return if self.ends_here() { Some(self.integer(&digits, base, negative, start)) } else { None };
        }
        let whole = if self.rest().starts_with('.') { String::new() } else { self.digits(10)? };
        let mut number = whole.clone();
        let mut is_float = false;
        if self.take(".") {
            is_float = true;
            number.push('.');
            if self.rest().starts_with(|c: char| c.is_ascii_digit()) {
                number += &self.digits(10)?;
            } else if whole.is_empty() {
                return None;
            }
        }
        if self.rest().starts_with(['e', 'E']) {
            is_float = true;
            self.at += 1;
            number.push('e');
            if self.take("-") {
                number.push('-');
            } else {
                self.take("+");
            }
            number += &self.digits(10)?;
        }
        // A complex number, which nothing here can hold, is the text that Python prints.
        if !negative && !plus && (self.take("j") || self.take("J")) {
            let value: f64 = number.parse().ok()?;
            return self.ends_here().then(|| Node::string(format!("{value}j"), self.word.span(self.source, start..self.at)).kind);
        }
        if !self.ends_here() {
            return None;
        }
        if is_float {
            let value: f64 = number.parse().ok()?;
            return Some(Kind::Float(if negative { -value } else { value }));
        }
        // `0644` is no number in Python; `00` is.
        if whole.starts_with('0') && whole.bytes().any(|digit| digit != b'0') {
            return None;
        }
        Some(self.integer(&whole, 10, negative, start))
    }

    fn integer(&mut self, digits: &str, base: u32, negative: bool, start: usize) -> Kind {
        let signed = format!("{}{digits}", if negative { "-" } else { "" });
        Kind::Int(i64::from_str_radix(&signed, base).unwrap_or_else(|_| {
            self.too_big = Some(start..self.at);
            0
        }))
    }

    /// Digits with single underscores between them.
    fn digits(&mut self, base: u32) -> Option<String> {
        let taken = self.rest().len() - self.rest().trim_start_matches(|c: char| c.is_digit(base) || c == '_').len();
        let digits = &self.rest()[..taken];
        self.at += taken;
        let proper = !digits.is_empty() && !digits.starts_with('_') && !digits.ends_with('_') && !digits.contains("__");
        proper.then(|| digits.replace('_', ""))
    }

    /// Strings in quotes, one after another, are one. Some(None): there is none here.
    fn strings(&mut self) -> Option<Option<String>> {
        let mut joined: Option<String> = None;
        loop {
            let before = self.at;
            let length = self.rest().len() - self.rest().trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
            let prefix = self.rest()[..length].to_ascii_lowercase();
            let is_raw = prefix.contains('r');
            let known = matches!(prefix.as_str(), "" | "r" | "u" | "b" | "br" | "rb");
            if !known || !self.rest()[length..].starts_with(['\'', '"']) {
                return Some(joined);
            }
            self.at += length;
            let text = self.string(is_raw)?;
            joined.get_or_insert_default().push_str(&text);
            let end = self.at;
            self.blanks();
            if !self.rest().starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '\'' | '"')) {
                self.at = end;
                return Some(joined);
            }
            debug_assert!(self.at > before, "every turn reads on");
        }
    }

    fn string(&mut self, is_raw: bool) -> Option<String> {
        let rest = self.rest();
        let close = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| rest.starts_with(quote))?;
        self.at += close.len();
        let mut text = String::new();
        loop {
            if self.take(close) {
                return Some(text);
            }
            let c = self.rest().chars().next()?;
            self.at += c.len_utf8();
            if c != '\\' {
                text.push(c);
                continue;
            }
            let escaped = self.rest().chars().next()?;
            self.at += escaped.len_utf8();
            if is_raw {
                text.extend(['\\', escaped]);
                continue;
            }
            match escaped {
                '\\' | '\'' | '"' => text.push(escaped),
                'a' => text.push('\u{7}'),
                'b' => text.push('\u{8}'),
                'f' => text.push('\u{c}'),
                'n' => text.push('\n'),
                'r' => text.push('\r'),
                't' => text.push('\t'),
                'v' => text.push('\u{b}'),
                'x' => text.push(self.coded(2)?),
                'u' => text.push(self.coded(4)?),
                'U' => text.push(self.coded(8)?),
                'N' => return None,
                '0'..='7' => {
                    let start = self.at - 1;
                    let more = self.rest().bytes().take(2).take_while(|digit| matches!(digit, b'0'..=b'7')).count();
                    self.at += more;
                    text.push(char::from_u32(u32::from_str_radix(&self.text[start..self.at], 8).ok()?)?);
                }
                _ => text.extend(['\\', escaped]),
            }
        }
    }

    /// A character by its number, of so many hexadecimal digits.
    fn coded(&mut self, length: usize) -> Option<char> {
        let digits = self.rest().get(..length).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        self.at += length;
        char::from_u32(u32::from_str_radix(digits, 16).ok()?)
    }
}

fn same_key(one: &Kind, other: &Kind) -> bool {
    match (one, other) {
        (Kind::Null, Kind::Null) => true,
        (Kind::Bool(one), Kind::Bool(other)) => one == other,
        (Kind::Int(one), Kind::Int(other)) => one == other,
        (Kind::Float(one), Kind::Float(other)) => one == other,
        (Kind::Str(one), Kind::Str(other)) => one.text == other.text,
        _ => false,
    }
}
