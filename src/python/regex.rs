//! Python's `re` on fancy-regex: what is written differently is rewritten, matches are found where Python finds them, and replacements are
//! Python's templates.

use fancy_regex::Regex;

pub type Captures<'t> = fancy_regex::Captures<'t, str>;

/// The largest text that replacing may make.
const MAX_REPLACED: usize = 64 << 20;

/// Why a pattern or a template cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{pattern}` is not a regular expression: {}", in_words(err))]
    Pattern { pattern: String, err: Box<fancy_regex::Error> },
    /// What Python does not know, though fancy-regex may: `at` counts characters.
    #[error("`{pattern}` is not a regular expression: {what} at position {at}")]
    Unknown { pattern: String, what: String, at: usize },
    #[error("the regular expression gave up: {0}")]
    Search(Box<fancy_regex::Error>),
    #[error("{what} in `{template}`")]
    Template { template: String, what: String },
    #[error("the text would be larger than {} MiB", MAX_REPLACED >> 20)]
    TooLarge,
    #[error("invalid group reference {0}")]
    Number(usize),
    #[error("unknown group name '{0}'")]
    Name(String),
}

/// The words that Python has for it, where there are any: playbooks look for them.
fn in_words(err: &fancy_regex::Error) -> String {
    use fancy_regex::ParseError as Kind;
    let fancy_regex::Error::ParseError(_, kind) = err else { return err.to_string() };
    match kind {
        Kind::TargetNotRepeatable => "nothing to repeat".to_owned(),
        Kind::UnclosedOpenParen => "missing ), unterminated subpattern".to_owned(),
        Kind::InvalidClass => "unterminated character set".to_owned(),
        Kind::TrailingBackslash => "bad escape (end of pattern)".to_owned(),
        _ => err.to_string(),
    }
}

/// The groups that `(?(1)yes|no)` asks for by number: one that is not there is an index out of bounds to fancy-regex.
fn condition_on(pattern: &str) -> impl Iterator<Item = usize> + '_ {
    pattern.match_indices("(?(").filter_map(|(at, opening)| {
        let (number, _) = pattern[at + opening.len()..].split_once(')')?;
        let is_escaped = pattern[..at].bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1;
        number.parse().ok().filter(|_| !is_escaped)
    })
}

/// Python's `re.IGNORECASE`, `re.MULTILINE` and `re.DOTALL`.
#[derive(Clone, Copy, Default)]
pub struct Flags {
    pub ignore_case: bool,
    pub multiline: bool,
    pub dotall: bool,
}

/// A pattern as Python's `re` reads it.
pub struct Pattern {
    regex: Regex,
}

impl Pattern {
    pub fn new(pattern: &str, flags: Flags) -> Result<Pattern, Error> {
        let inline = pattern.strip_prefix("(?").and_then(|rest| rest.split_once(')')).map_or("", |(inline, _)| inline);
        let multiline = flags.multiline || (inline.contains('m') && inline.chars().all(|c| c.is_ascii_lowercase()));
        let switches = [(flags.ignore_case, "(?i)"), (flags.multiline, "(?m)"), (flags.dotall, "(?s)")];
        let mut text: String = switches.into_iter().filter(|(on, _)| *on).map(|(_, switch)| switch).collect();
        let translated = translate(pattern, multiline).map_err(|(what, rest)| {
            let at = pattern[..pattern.len() - rest.len()].chars().count();
            Error::Unknown { pattern: pattern.to_owned(), what, at }
        })?;
        text.push_str(&translated);
        let regex = Regex::new(&text).map_err(|err| Error::Pattern { pattern: pattern.to_owned(), err: Box::new(err) })?;
        match condition_on(&text).find(|number| *number >= regex.captures_len()) {
            Some(number) => Err(Error::Number(number)),
            None => Ok(Pattern { regex }),
        }
    }

    /// One that has to match from the start of the text on, as Python's `match` does.
    pub fn at_start(pattern: &str, flags: Flags) -> Result<Pattern, Error> {
        Pattern::new(&format!("\\A(?:{pattern})"), flags)
    }

    /// Python's `search`.
    pub fn search<'t>(&self, text: &'t str) -> Result<Option<Captures<'t>>, Error> {
        self.search_from(text, 0)
    }

    pub fn is_found(&self, text: &str) -> Result<bool, Error> {
        Ok(self.search(text)?.is_some())
    }

    fn search_from<'t>(&self, text: &'t str, at: usize) -> Result<Option<Captures<'t>>, Error> {
        self.regex.captures_from_pos(text, at).map_err(|err| Error::Search(Box::new(err)))
    }

    /// All matches from left to right. Unlike in Rust, an empty match may follow another match at once.
    pub fn find_all<'t>(&self, text: &'t str) -> Result<Vec<Captures<'t>>, Error> {
        let mut all = Vec::new();
        let mut at = 0;
        while at <= text.len()
            && let Some(found) = self.search_from(text, at)?
            && let Some(whole) = found.get(0)
        {
            at = whole.end();
            if whole.start() == whole.end() {
                at += text[at..].chars().next().map_or(1, char::len_utf8);
            }
            all.push(found);
        }
        Ok(all)
    }

    /// The names of the groups, the whole match first.
    pub fn groups(&self) -> impl Iterator<Item = Option<&str>> {
        self.regex.capture_names()
    }

    pub fn has_group(&self, name: &str) -> bool {
        self.groups().flatten().any(|known| known == name)
    }

    /// The text with each of the matches, which are its own, replaced.
    pub fn replace(&self, text: &str, matches: &[Captures], template: &Template) -> Result<String, Error> {
        let mut new = String::with_capacity(text.len());
        let mut copied = 0;
        for found in matches {
            let Some(whole) = found.get(0) else { continue };
            new.push_str(&text[copied..whole.start()]);
            new.push_str(&self.expand(template, found)?);
            if new.len() > MAX_REPLACED {
                return Err(Error::TooLarge);
            }
            copied = whole.end();
        }
        new.push_str(&text[copied..]);
        Ok(new)
    }

    /// What a template gives for a match. A group that took no part in it is empty; one that the pattern does not have is an error.
    pub fn expand(&self, template: &Template, found: &Captures) -> Result<String, Error> {
        let mut text = String::new();
        for part in &template.parts {
            let group = match part {
                Part::Text(plain) => {
                    text.push_str(plain);
                    continue;
                }
                Part::Group(number) if *number >= found.len() => return Err(Error::Number(*number)),
                Part::Group(number) => found.get(*number),
                Part::Name(name) if !self.has_group(name) => return Err(Error::Name(name.clone())),
                Part::Name(name) => found.name(name),
            };
            text.push_str(group.map_or("", |group| group.as_str()));
        }
        Ok(text)
    }
}

/// Python's spelling to Rust's: `\Z`, `$` before a last line break, brackets and braces that stand for themselves. Fails with what Python does
/// not know and the rest of the pattern from there on: recursion, for one, which may take time without end.
fn translate(pattern: &str, multiline: bool) -> Result<String, (String, &str)> {
    let mut text = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    let mut in_class = false;
    while let Some(character) = rest.chars().next() {
        let (from, after) = (rest, &rest[character.len_utf8()..]);
        rest = after;
        match character {
            '\\' => {
                let escaped = after.chars().next();
                match escaped {
                    Some(letter) if letter.is_ascii_alphabetic() && !is_escape(letter, in_class) => {
                        return Err((format!("bad escape \\{letter}"), from));
                    }
                    Some('Z') if !in_class => text.push_str("\\z"),
                    // Python escapes whatever is punctuation; `\<` would be the start of a word here.
                    Some(' ') => text.push_str("\\x20"),
                    Some(plain) if plain.is_ascii_punctuation() && !"\\.+*?()|[]{}^$#&-~".contains(plain) => text.push(plain),
                    Some(other) => text.extend(['\\', other]),
                    None => text.push('\\'),
                }
                rest = &after[escaped.map_or(0, char::len_utf8)..];
            }
            '(' if !in_class && after.starts_with("?#") && after.contains(')') => {
                rest = after.split_once(')').map_or("", |(_, rest)| rest);
            }
            '(' if !in_class && !is_group(after) => {
                let extension: String =
                    after.chars().take(if after.starts_with("?P") || after.starts_with("?<") { 3 } else { 2 }).collect();
                return Err((format!("unknown extension {extension}"), after));
            }
            '[' if in_class => text.push_str("\\["),
            '[' => {
                in_class = true;
                text.push('[');
                if let Some(negated) = rest.strip_prefix('^') {
                    text.push('^');
                    rest = negated;
                }
                if let Some(bracket) = rest.strip_prefix(']') {
                    text.push_str("\\]");
                    rest = bracket;
                }
            }
            ']' if in_class => {
                in_class = false;
                text.push(']');
            }
            // Rust's set operations are plain characters to Python.
            '&' | '~' if in_class => text.extend(['\\', character]),
            '$' if !in_class && !multiline => text.push_str("(?=\\n?\\z)"),
            '{' if !in_class => match after.split_once('}') {
                Some((count, _)) if is_count(count) => text.push_str(if count.starts_with(',') { "{0" } else { "{" }),
                _ => text.push_str("\\{"),
            },
            other => text.push(other),
        }
    }
    Ok(text)
}

/// The letters that Python knows after a backslash.
fn is_escape(letter: char, in_class: bool) -> bool {
    "bdDsSwWafnrtvxuUN".contains(letter) || (!in_class && "ABZ".contains(letter))
}

/// Whether Python knows the kind of group that begins so, after its parenthesis.
fn is_group(after: &str) -> bool {
    let Some(kind) = after.strip_prefix('?') else { return true };
    let known = [":", "=", "!", "#", ">", "(", "P<", "P=", "<=", "<!", "-"];
    known.iter().any(|known| kind.starts_with(known)) || kind.starts_with(|letter| "aiLmsux".contains(letter))
}

/// What stands in `{2}`, `{2,}`, `{,3}`.
fn is_count(inner: &str) -> bool {
    let (from, to) = inner.split_once(',').unwrap_or((inner, ""));
    !inner.is_empty() && inner != "," && from.chars().chain(to.chars()).all(|c| c.is_ascii_digit())
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
    pub fn new(template: &str) -> Result<Template, Error> {
        let bad = |what: &str| Error::Template { template: template.to_owned(), what: what.to_owned() };
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_needs_its_group() {
        assert!(Pattern::new("(x)(?(5)y|z)", Flags::default()).is_err());
        let pattern = Pattern::new(r"(x)?\(?(?(1)y|z)", Flags::default()).expect("a pattern");
        assert!(pattern.is_found("xy").expect("it ends"));
    }

    fn found(pattern: &str, text: &str) -> Option<bool> {
        Pattern::new(pattern, Flags::default()).and_then(|it| it.is_found(text)).ok()
    }

    fn sub(pattern: &str, template: &str, text: &str) -> Result<String, Error> {
        let pattern = Pattern::new(pattern, Flags { multiline: true, ..Flags::default() })?;
        let matches = pattern.find_all(text)?;
        pattern.replace(text, &matches, &Template::new(template)?)
    }

    #[test]
    fn reads_pythons_patterns() {
        for (pattern, text) in [
            ("b$", "ab\n"),
            ("(?m)a$", "a\nb"),
            (r"\Aa\Z", "a"),
            ("x{,2}{y}", "{y}"),
            ("a{2}", "aa"),
            ("[[]", "["),
            ("[][]a", "[a"),
            ("[]a]", "]"),
            ("[a&&b]", "&"),
            (r"\<b\>", "<b>"),
            (r"(?<=v)\d+", "v12"),
            (r"(?P<q>['&])x(?P=q)", "&x&"),
            (r"\/etc\/\-\ \#", "/etc/- #"),
        ] {
            assert_eq!(found(pattern, text), Some(true), "{pattern} {text}");
        }
        assert_eq!((found(r"b\Z", "ab\n"), found("(", "")), (Some(false), None));
    }

    /// The words are Python's.
    #[test]
    fn refuses_what_python_does_not_know() {
        for (pattern, message) in [
            (r"ü\g<0>", r"bad escape \g at position 1"),
            (r"[\A]", r"bad escape \A at position 1"),
            (r"(a)\K", r"bad escape \K at position 3"),
            ("(?P>x)", "unknown extension ?P> at position 1"),
            ("a(?<n>b)", "unknown extension ?<n at position 2"),
            ("(?|a|b)", "unknown extension ?| at position 1"),
        ] {
            let error = Pattern::new(pattern, Flags::default()).err().expect(pattern).to_string();
            assert!(error.ends_with(&format!(": {message}")), "{error}");
        }
        assert_eq!((found(r"(?#\q(?|)a[(?|)]", "a|"), found(r"[\b]|\(?|", "")), (Some(true), Some(true)));
    }

    #[test]
    fn replaces_as_python_does() {
        assert_eq!(sub("x*", "-", "axb").unwrap(), "-a--b-");
        assert_eq!(sub(r"(?P<k>\w+)=(\d)?", r"\g<k>:\2\t\.", "a=1 b=").unwrap(), "a:1\t\\. b:\t\\.");
        for (template, message) in
            [(r"\q", r"bad escape \q in `\q`"), (r"\2", "invalid group reference 2"), (r"\g<k>", "unknown group name 'k'")]
        {
            assert_eq!(sub("(a)", template, "a").unwrap_err().to_string(), message);
        }
    }
}
