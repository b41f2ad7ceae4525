//! JSON with positions, read before YAML is tried: numbers and escapes differ.

use super::{Loaded, MAX_DEPTH, Pairs, compose, duplicate_key, scalar, too_deep};
use crate::source::{Diag, Kind, Node, Source};
use crate::vault::is_encrypted;
use std::sync::Arc;

/// None if this is no JSON (it may be YAML); an error only for what is JSON and cannot be held.
pub fn load(source: &Arc<Source>) -> Option<Result<Loaded, Diag>> {
    let mut reader = Reader { source, at: 0, warnings: Vec::new() };
    reader.blanks();
    if !reader.rest().starts_with(['{', '[']) {
        return None;
    }
    match reader.value(0) {
        Ok(node) => {
            reader.blanks();
            reader.rest().is_empty().then_some(Ok(Loaded { documents: vec![node], warnings: reader.warnings }))
        }
        Err(Stop::NotJson) => None,
        Err(Stop::Refused(diag)) => Some(Err(*diag)),
    }
}

enum Stop {
    NotJson,
    Refused(Box<Diag>),
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    at: usize,
    warnings: Vec<Diag>,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.source.text[self.at..]
    }

    fn blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn expect(&mut self, text: &str) -> Result<(), Stop> {
        if self.take(text) { Ok(()) } else { Err(Stop::NotJson) }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Stop> {
        self.blanks();
        let start = self.at;
        if depth > MAX_DEPTH {
            return Err(Stop::Refused(Box::new(too_deep(&self.source.span(start, start + 1)))));
        }
        let kind = match self.rest().as_bytes().first() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => scalar::string(self.string()?),
            _ if self.take("true") => Kind::Bool(true),
            _ if self.take("false") => Kind::Bool(false),
            _ if self.take("null") => Kind::Null,
            _ if self.take("NaN") => Kind::Float(f64::NAN),
            _ if self.take("Infinity") => Kind::Float(f64::INFINITY),
            _ if self.take("-Infinity") => Kind::Float(f64::NEG_INFINITY),
            _ => self.number()?,
        };
        Ok(Node::new(kind, self.source.span(start, self.at)))
    }

    fn object(&mut self, depth: usize) -> Result<Kind, Stop> {
        self.expect("{")?;
        let mut pairs = Pairs::default();
        self.blanks();
        if self.take("}") {
            return Ok(Kind::Map(pairs.pairs));
        }
        loop {
            self.blanks();
            let start = self.at;
            let text = self.string()?;
            let key = Node::string(text, self.source.span(start, self.at));
            self.blanks();
            self.expect(":")?;
            let value = self.value(depth + 1)?;
            let same = key.clone();
            if let Some(Some((first, _))) = pairs.insert(key, value) {
                duplicate_key(&first, &same, &mut self.warnings).map_err(|diag| Stop::Refused(Box::new(diag)))?;
            }
            self.blanks();
            if self.take("}") {
                break;
            }
            self.expect(",")?;
        }
        let mut pairs = pairs.pairs;
        // What ansible-inventory writes for text that is no template.
        if pairs.len() == 1 && pairs[0].0.as_str() == Some("__ansible_unsafe") && pairs[0].1.as_str().is_some() {
            let mut value = pairs.remove(0).1;
            compose::spread_unsafe(&mut value);
            return Ok(value.kind);
        }
        match pairs.as_slice() {
            [(key, Node { kind: Kind::Str(text), .. })]
                if key.as_str() == Some("__ansible_vault") && is_encrypted(text.text.trim_start().as_bytes()) =>
            {
                Ok(Kind::Vault(text.text.clone()))
            }
            _ => Ok(Kind::Map(pairs)),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Kind, Stop> {
        self.expect("[")?;
        let mut items = Vec::new();
        self.blanks();
        if self.take("]") {
            return Ok(Kind::Seq(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.blanks();
            if self.take("]") {
                return Ok(Kind::Seq(items));
            }
            self.expect(",")?;
        }
    }

    fn string(&mut self) -> Result<String, Stop> {
        self.expect("\"")?;
        let mut text = String::new();
        loop {
            let rest = self.rest();
            let plain = rest.find(|c: char| c == '"' || c == '\\' || c < ' ').ok_or(Stop::NotJson)?;
            text.push_str(&rest[..plain]);
            self.at += plain;
            if self.take("\"") {
                return Ok(text);
            }
            self.expect("\\")?;
            let escape = self.rest().chars().next().ok_or(Stop::NotJson)?;
            self.at += escape.len_utf8();
            text.push(match escape {
                '"' | '\\' | '/' => escape,
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => self.unicode()?,
                _ => return Err(Stop::NotJson),
            });
        }
    }

    /// Behind `\u`: a character, of two halves if need be.
    fn unicode(&mut self) -> Result<char, Stop> {
        let high = self.hex4()?;
        if (0xd800..0xdc00).contains(&high) && self.take("\\u") {
            let low = self.hex4()?;
            if (0xdc00..0xe000).contains(&low) {
                return char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)).ok_or(Stop::NotJson);
            }
        }
        char::from_u32(high).ok_or(Stop::NotJson)
    }

    fn hex4(&mut self) -> Result<u32, Stop> {
        let digits = self.rest().get(..4).filter(|digits| digits.chars().all(|c| c.is_ascii_hexdigit())).ok_or(Stop::NotJson)?;
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|_| Stop::NotJson)
    }

    fn number(&mut self) -> Result<Kind, Stop> {
        let start = self.at;
        self.take("-");
        let digits = |reader: &mut Self| {
            let rest = reader.rest();
            let length = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            reader.at += length;
            length > 0
        };
        if !self.take("0") && !digits(self) {
            return Err(Stop::NotJson);
        }
        let mut is_float = false;
        if self.take(".") {
            is_float = true;
            if !digits(self) {
                return Err(Stop::NotJson);
            }
        }
        if self.take("e") || self.take("E") {
            is_float = true;
            let _sign = self.take("+") || self.take("-");
            if !digits(self) {
                return Err(Stop::NotJson);
            }
        }
        let text = &self.source.text[start..self.at];
        if is_float {
            return text.parse().map(Kind::Float).map_err(|_| Stop::NotJson);
        }
        text.parse().map(Kind::Int).map_err(|_| {
            let words = format!("`{text}` does not fit into 64 bits; quote it to keep it as a string");
            Stop::Refused(Box::new(Diag::error(words).at(&self.source.span(start, self.at))))
        })
    }
}
