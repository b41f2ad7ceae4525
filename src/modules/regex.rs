//! Python's regular expressions for the modules that take them (`lineinfile`, `replace`, `find`): rewritten for fancy-regex, and Python's
//! templates for replacements.

use crate::module::Failure;
use fancy_regex::{Captures, Regex};

/// A pattern as Python's `re` reads it.
pub struct Pattern {
    regex: Regex,
}

/// Python's `re.MULTILINE` and `re.DOTALL`.
#[derive(Clone, Copy, Default)]
pub struct Flags {
    pub multiline: bool,
    pub dotall: bool,
}

impl Pattern {
    /// `argument` is the module's parameter that the pattern comes from.
    pub fn new(argument: &str, pattern: &str, flags: Flags) -> Result<Pattern, Failure> {
        let mut text = String::new();
        if flags.multiline {
            text.push_str("(?m)");
        }
        if flags.dotall {
            text.push_str("(?s)");
        }
        text.push_str(&translate(pattern, flags.multiline));
        let regex = Regex::new(&text)
            .map_err(|err| Failure::argument(argument, format!("`{argument}` is not a regular expression: {err}: {pattern}")))?;
        Ok(Pattern { regex })
    }

    /// Python's `search`.
    pub fn search<'t>(&self, text: &'t str) -> Result<Option<Captures<'t, str>>, Failure> {
        self.search_from(text, 0)
    }

    pub fn is_found(&self, text: &str) -> Result<bool, Failure> {
        Ok(self.search(text)?.is_some())
    }

    fn search_from<'t>(&self, text: &'t str, at: usize) -> Result<Option<Captures<'t, str>>, Failure> {
        self.regex.captures_from_pos(text, at).map_err(|err| Failure::new(format!("the regular expression took too long: {err}")))
    }

    /// Python's `subn`: the new text and how often it replaced. Unlike in Rust, an empty match may follow another match at once.
    pub fn replace_all(&self, text: &str, template: &Template) -> Result<(String, usize), Failure> {
        let mut new = String::with_capacity(text.len());
        let (mut at, mut copied, mut count) = (0, 0, 0);
        while at <= text.len() {
            let Some(found) = self.search_from(text, at)? else {
                break;
            };
            let Some(whole) = found.get(0) else {
                break;
            };
            new.push_str(&text[copied..whole.start()]);
            new.push_str(&template.expand(&found)?);
            count += 1;
            copied = whole.end();
            at = whole.end();
            if whole.start() == whole.end() {
                at += text[at..].chars().next().map_or(1, char::len_utf8);
            }
        }
        new.push_str(text.get(copied..).unwrap_or_default());
        Ok((new, count))
    }
}

/// Differences in spelling: `\Z`, `$` before a last line break, `{` and `[` that mean themselves.
fn translate(pattern: &str, multiline: bool) -> String {
    let mut text = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    let mut in_class = false;
    while let Some(character) = rest.chars().next() {
        let after = &rest[character.len_utf8()..];
        match character {
            '\\' => {
                let escaped = after.chars().next();
                match escaped {
                    Some('Z') if !in_class => text.push_str("\\z"),
                    Some(other) => {
                        text.push('\\');
                        text.push(other);
                    }
                    None => text.push('\\'),
                }
                rest = &after[escaped.map_or(0, char::len_utf8)..];
                continue;
            }
            '[' if in_class => text.push_str("\\["),
            '[' => {
                in_class = true;
                text.push('[');
                rest = after;
                if let Some(negated) = rest.strip_prefix('^') {
                    text.push('^');
                    rest = negated;
                }
                if let Some(bracket) = rest.strip_prefix(']') {
                    text.push_str("\\]");
                    rest = bracket;
                }
                continue;
            }
            ']' if in_class => {
                in_class = false;
                text.push(']');
            }
            // Rust's set operations are plain characters to Python.
            '&' | '~' if in_class => {
                text.push('\\');
                text.push(character);
            }
            '$' if !in_class && !multiline => text.push_str("(?=\\n?\\z)"),
            '{' if !in_class => {
                let inner = after.split_once('}').map(|(inner, _)| inner);
                let is_count = |inner: &str| {
                    let (from, to) = inner.split_once(',').unwrap_or((inner, ""));
                    !inner.is_empty() && inner != "," && from.chars().chain(to.chars()).all(|c| c.is_ascii_digit())
                };
                match inner {
                    Some(inner) if is_count(inner) => {
                        text.push('{');
                        if inner.starts_with(',') {
                            text.push('0');
                        }
                    }
                    _ => text.push_str("\\{"),
                }
            }
            other => text.push(other),
        }
        rest = after;
    }
    text
}

/// A replacement as Python's `re.sub` reads it: `\1`, `\g<name>`, `\n`.
pub struct Template {
    parts: Vec<Part>,
}

enum Part {
    Text(String),
    Group(usize),
    Name(String),
}

impl Template {
    pub fn new(argument: &str, template: &str) -> Result<Template, Failure> {
        let bad = |what: &str| Failure::argument(argument, format!("`{argument}`: {what} in {template}"));
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = template;
        while let Some(at) = rest.find('\\') {
            text.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let Some(character) = rest.chars().next() else {
                return Err(bad("a backslash at the end"));
            };
            rest = &rest[character.len_utf8()..];
            let group = match character {
                'g' => {
                    let inner =
                        rest.strip_prefix('<').and_then(|rest| rest.split_once('>')).ok_or_else(|| bad("`\\g` without `<name>`"))?;
                    rest = inner.1;
                    match inner.0.parse() {
                        Ok(number) => Part::Group(number),
                        Err(_) => Part::Name(inner.0.to_owned()),
                    }
                }
                '1'..='9' => {
                    let mut number = character as usize - '0' as usize;
                    if let Some(second) = rest.chars().next().and_then(|c| c.to_digit(10)) {
                        number = number * 10 + second as usize;
                        rest = &rest[1..];
                    }
                    Part::Group(number)
                }
                other => {
                    match other {
                        'n' => text.push('\n'),
                        't' => text.push('\t'),
                        'r' => text.push('\r'),
                        'a' => text.push('\u{7}'),
                        'f' => text.push('\u{c}'),
                        'v' => text.push('\u{b}'),
                        'b' => text.push('\u{8}'),
                        '0' => text.push('\0'),
                        '\\' => text.push('\\'),
                        letter if letter.is_ascii_alphabetic() => return Err(bad(&format!("bad escape \\{letter}"))),
                        punctuation => {
                            text.push('\\');
                            text.push(punctuation);
                        }
                    }
                    continue;
                }
            };
            parts.push(Part::Text(std::mem::take(&mut text)));
            parts.push(group);
        }
        text.push_str(rest);
        parts.push(Part::Text(text));
        Ok(Template { parts })
    }

    /// A group that took no part in the match is empty; one that the pattern does not have is an error.
    pub fn expand(&self, found: &Captures<str>) -> Result<String, Failure> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Group(number) if *number >= found.len() => return Err(Failure::new(format!("invalid group reference {number}"))),
                Part::Group(number) => text.push_str(found.get(*number).map_or("", |group| group.as_str())),
                Part::Name(name) => text.push_str(found.name(name).map_or("", |group| group.as_str())),
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sub(pattern: &str, template: &str, text: &str) -> String {
        let pattern = Pattern::new("regexp", pattern, Flags { multiline: true, dotall: false }).expect("a pattern");
        let template = Template::new("replace", template).expect("a template");
        pattern.replace_all(text, &template).expect("a match").0
    }

    #[test]
    fn reads_pythons_patterns() {
        let found = |pattern: &str, text: &str| Pattern::new("regexp", pattern, Flags::default()).and_then(|it| it.is_found(text)).ok();
        assert_eq!(found("b$", "ab\n"), Some(true));
        assert_eq!(found(r"b\Z", "ab\n"), Some(false));
        assert_eq!(found("x{,2}{y}", "{y}"), Some(true));
        assert_eq!(found("[][]a", "[a"), Some(true));
        assert_eq!(found(r"(?P<q>['&])x(?P=q)", "&x&"), Some(true));
        assert_eq!(found("(", ""), None);
    }

    #[test]
    fn replaces_as_python_does() {
        assert_eq!(sub("x*", "-", "axb"), "-a--b-");
        assert_eq!(sub(r"(?P<k>\w+)=(\d)?", r"\g<k>:\2\t\.", "a=1 b="), "a:1\t\\. b:\t\\.");
        assert!(Template::new("replace", r"\q").is_err());
    }
}
