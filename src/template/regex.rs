//! Python's regular expressions on fancy-regex: what is written differently is rewritten.

use super::fail::{Fail, Res};
use fancy_regex::Regex;

pub(super) type Captures<'t> = fancy_regex::Captures<'t, str>;

#[derive(Clone, Copy, Default)]
pub(super) struct Flags {
    pub ignore_case: bool,
    pub multiline: bool,
}

pub(super) fn compile(pattern: &str, flags: Flags) -> Res<Regex> {
    let mut switches = String::new();
    for (on, switch) in [(flags.ignore_case, 'i'), (flags.multiline, 'm')] {
        if on {
            switches.push(switch);
        }
    }
    let multiline = flags.multiline || pattern.starts_with("(?") && pattern.split(')').next().is_some_and(|flags| flags.contains('m'));
    let body = translate(pattern, multiline);
    let whole = if switches.is_empty() { body } else { format!("(?{switches}){body}") };
    Regex::new(&whole).map_err(|err| Fail::error(format!("`{pattern}` is not a regular expression: {err}")))
}

/// Python's spelling to Rust's: `\Z`, braces and brackets that stand for themselves, `$` before a last newline.
fn translate(pattern: &str, multiline: bool) -> String {
    let chars: Vec<char> = pattern.chars().collect();
    let mut out = String::with_capacity(pattern.len());
    let mut in_class = false;
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        let next = chars.get(at + 1).copied();
        match c {
            '\\' => {
                match next {
                    Some('Z') if !in_class => out.push_str("\\z"),
                    Some(next) if next.is_ascii_punctuation() || next == ' ' => out.push_str(&escape_char(next)),
                    Some(next) => {
                        out.push('\\');
                        out.push(next);
                    }
                    None => out.push('\\'),
                }
                at += 2;
                continue;
            }
            '[' if in_class => out.push_str("\\["),
            '[' => {
                in_class = true;
                out.push('[');
                if next == Some('^') {
                    out.push('^');
                    at += 1;
                }
                if chars.get(at + 1) == Some(&']') {
                    out.push_str("\\]");
                    at += 1;
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' if in_class && next == Some(c) => {
                out.push('\\');
                out.push(c);
            }
            '{' if !in_class && !is_quantifier(&chars[at..]) => out.push_str("\\{"),
            '{' if !in_class && next == Some(',') => {
                out.push_str("{0");
            }
            '}' if !in_class && !closes_quantifier(&chars[..at]) => out.push_str("\\}"),
            '$' if !in_class && !multiline => out.push_str("(?=\\n?\\z)"),
            c => out.push(c),
        }
        at += 1;
    }
    out
}

fn escape_char(c: char) -> String {
    if "\\.+*?()|[]{}^$#&-~/\"'` ".contains(c) && !"/\"'` ".contains(c) { format!("\\{c}") } else { c.to_string() }
}

fn is_quantifier(rest: &[char]) -> bool {
    let inner: String = rest[1..].iter().take_while(|c| **c != '}').collect();
    let closed = rest.len() > inner.chars().count() + 1;
    let (low, high) = inner.split_once(',').unwrap_or((&inner, ""));
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    closed && digits(low) && digits(high) && inner != "" && inner != ","
}

fn closes_quantifier(before: &[char]) -> bool {
    match before.iter().rposition(|c| *c == '{') {
        Some(open) => {
            let mut whole = before[open..].to_vec();
            whole.push('}');
            is_quantifier(&whole) && !(open > 0 && before[open - 1] == '\\')
        }
        None => false,
    }
}

/// All matches from left to right, as Python finds them.
pub(super) fn find_all<'t>(regex: &Regex, text: &'t str) -> Res<Vec<Captures<'t>>> {
    regex.captures_iter(text).collect::<Result<_, _>>().map_err(|err| Fail::error(format!("the regular expression gave up: {err}")))
}

pub(super) fn find<'t>(regex: &Regex, text: &'t str) -> Res<Option<Captures<'t>>> {
    regex.captures(text).map_err(|err| Fail::error(format!("the regular expression gave up: {err}")))
}

/// What Python's replacement text (`\1`, `\g<name>`, `\n`) gives for a match.
pub(super) fn expand(template: &str, found: &Captures) -> Res<String> {
    let mut out = String::new();
    let mut chars = template.chars().peekable();
    let group = |name: &str| -> Res<String> {
        let found = match name.parse::<usize>() {
            Ok(n) if n < found.len() => found.get(n),
            Ok(_) => return Err(Fail::error(format!("invalid group reference {name}"))),
            Err(_) => found.name(name),
        };
        Ok(found.map_or("", |part| part.as_str()).to_owned())
    };
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('g') if chars.next_if_eq(&'<').is_some() => {
                let name: String = chars.by_ref().take_while(|c| *c != '>').collect();
                out.push_str(&group(&name)?);
            }
            Some(digit) if digit.is_ascii_digit() => {
                let mut number = digit.to_string();
                if let Some(second) = chars.next_if(char::is_ascii_digit) {
                    number.push(second);
                }
                out.push_str(&group(&number)?);
            }
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('\\') => out.push('\\'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        let regex = compile(pattern, Flags::default()).expect(pattern);
        find(&regex, text).expect(pattern).is_some()
    }

    #[test]
    fn python_spellings_are_understood() {
        for (pattern, text) in [
            (r"a$", "a\n"),
            (r"\Aa\Z", "a"),
            (r"{foo}", "{foo}"),
            (r"a{2}", "aa"),
            (r"[[]", "["),
            (r"[]a]", "]"),
            (r"\<b\>", "<b>"),
            (r"(?P<x>a)(?P=x)", "aa"),
            (r"(?<=v)\d+", "v12"),
            (r"[a&&b]", "&"),
            (r"\/etc\/", "/etc/"),
            (r"\-\ \#", "- #"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        assert!(!matches(r"a\Z", "a\n"));
    }

    #[test]
    fn replacements_name_groups() {
        let regex = compile(r"(\w+) (?P<last>\w+)", Flags::default()).unwrap();
        let found = find(&regex, "a b").unwrap().unwrap();
        assert_eq!(expand(r"\g<last>-\1\n", &found).unwrap(), "b-a\n");
    }
}
