//! The short form of arguments: `dest=/etc/motd mode=0600 content="{{ a b }}"`. Splits text into words, and words into keys and values, with
//! their places; what the words mean to a module is decided in `action`.

use crate::source::{Kind, Node, Str};
use std::ops::Range;

/// A quote or a brace that is never closed, at this byte.
#[derive(Debug, PartialEq, Eq)]
pub struct Unbalanced(pub usize);

/// The words of a text, as byte ranges: cut at white space that stands in no quotes and in no `{{ }}`, `{% %}`, `{# #}`.
pub fn words(text: &str) -> Result<Vec<Range<usize>>, Unbalanced> {
    let mut words = Vec::new();
    let mut start: Option<usize> = None;
    let mut quote: Option<(char, usize)> = None;
    // What closes each open brace, and where it was opened.
    let mut braces: Vec<(&str, usize)> = Vec::new();
    let mut previous = ' ';
    let mut pair_until = 0;
    for (at, c) in text.char_indices() {
        if at >= pair_until {
            let pair = text.get(at..at + 2).unwrap_or("");
            let ends = braces.last().map_or("", |(end, _)| *end);
            let opens = match pair {
                // Inside an expression single braces are dictionaries.
                _ if !ends.is_empty() && c == '{' => Some("}"),
                "{{" => Some("}}"),
                "{%" => Some("%}"),
                "{#" => Some("#}"),
                _ => None,
            };
            if let Some(end) = opens {
                braces.push((end, at));
                pair_until = at + end.len();
            } else if !ends.is_empty() && text[at..].starts_with(ends) {
                braces.pop();
                pair_until = at + ends.len();
            }
        }
        match quote {
            Some((open, _)) if open == c && previous != '\\' => quote = None,
            None if matches!(c, '"' | '\'') && previous != '\\' => quote = Some((c, at)),
            _ => {}
        }
        let splits = c.is_ascii_whitespace() && quote.is_none() && braces.is_empty();
        match start {
            None if !splits => start = Some(at),
            Some(from) if splits => {
                words.push(from..at);
                start = None;
            }
            _ => {}
        }
        previous = c;
    }
    if let Some((_, at)) = quote.or(braces.first().copied().map(|(_, at)| ('{', at))) {
        return Err(Unbalanced(at));
    }
    words.extend(start.map(|from| from..text.len()));
    Ok(words)
}

/// The words `kept` of a text with the white space that Ansible leaves between them: that after a word goes with it, a single space that begins a
/// line is lost, and a backslash at the end of a line takes itself and the line break away.
pub fn join(text: &str, words: &[Range<usize>], kept: &[Range<usize>]) -> String {
    let is_continuation = |word: &Range<usize>| &text[word.clone()] == "\\";
    // Every word that is kept with its white space; what comes before the first belongs to an empty one.
    let mut pieces: Vec<String> = Vec::new();
    let add_space = |pieces: &mut Vec<String>, space: &str, before_word: bool, is_kept: bool, mut continued: bool| {
        let mut added = String::new();
        let last = space.matches('\n').count();
        for (at, line) in space.split('\n').enumerate() {
            if at > 0 {
                added.push_str(if continued { "" } else { "\n" });
                continued = false;
            }
            // Before a word one space is the one that joins them again.
            added.extend(line.chars().skip(usize::from(before_word && at == last)));
        }
        match pieces.last_mut() {
            _ if added.is_empty() || !is_kept => {}
            Some(last) => last.push_str(&added),
            None => pieces.push(added),
        }
    };
    let (mut end, mut is_kept, mut continued) = (0, true, false);
    for word in words {
        let space = &text[end..word.start];
        add_space(&mut pieces, space, true, is_kept, continued);
        continued = (continued && !space.contains('\n')) || is_continuation(word);
        end = word.end;
        if !is_continuation(word) {
            is_kept = kept.contains(word);
            pieces.extend(is_kept.then(|| text[word.clone()].to_owned()));
        }
    }
    add_space(&mut pieces, &text[end..], false, is_kept, continued);
    let mut joined = String::new();
    for piece in pieces {
        if !joined.is_empty() && !joined.ends_with('\n') {
            joined.push(' ');
        }
        joined.push_str(&piece);
    }
    joined
}

/// `key=value`, as byte ranges in the text: the first `=` that no backslash precedes. The value is without its quotes.
pub fn key_value(text: &str, word: Range<usize>) -> Option<(&str, Range<usize>)> {
    let word_text = &text[word.clone()];
    let equals = word_text.match_indices('=').map(|(at, _)| at).find(|&at| at == 0 || word_text.as_bytes()[at - 1] != b'\\')?;
    let value = &word_text[equals + 1..];
    let quoted = ['"', '\'']
        .into_iter()
        .any(|quote| value.len() >= 2 && value.starts_with(quote) && value.ends_with(quote) && !value[..value.len() - 1].ends_with('\\'));
    let trim = usize::from(quoted);
    Some((&word_text[..equals], word.start + equals + 1 + trim..word.end - trim))
}

/// A piece of a string as a value of its own. Python's escapes (`\n`, `\x41`) are read.
pub fn piece(of: &Node, range: Range<usize>) -> Node {
    let Kind::Str(string) = &of.kind else { return of.clone() };
    let text = unescape(&string.text[range.clone()]);
    Node { kind: Kind::Str(Str { text: text.into(), tag: string.tag }), span: of.locate(range) }
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (decoded, used) = match after.chars().next() {
            Some('n') => (Some('\n'), 1),
            Some('t') => (Some('\t'), 1),
            Some('r') => (Some('\r'), 1),
            Some('a') => (Some('\u{7}'), 1),
            Some('b') => (Some('\u{8}'), 1),
            Some('f') => (Some('\u{c}'), 1),
            Some('v') => (Some('\u{b}'), 1),
            Some(same @ ('\\' | '"' | '\'')) => (Some(same), 1),
            Some('x') => (hexadecimal(after, 2), 3),
            Some('u') => (hexadecimal(after, 4), 5),
            _ => (None, 0),
        };
        match decoded {
            Some(c) => {
                out.push(c);
                rest = &after[used..];
            }
            None => {
                out.push('\\');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// The character of the digits after the letter.
fn hexadecimal(after: &str, digits: usize) -> Option<char> {
    char::from_u32(u32::from_str_radix(after.get(1..1 + digits)?, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    fn split(text: &str) -> Result<Vec<String>, Unbalanced> {
        Ok(words(text)?.into_iter().map(|range| text[range].to_owned()).collect())
    }

    /// As ansible-core 2.21 shows them in `cmd`.
    #[test]
    fn joins_as_ansible_does() {
        for (text, joined) in [
            ("echo one   two \\\n  three  \"a\nb\"\necho   'x  y' \n", "echo one   two  three  \"a\nb\"\necho   'x  y' \n"),
            ("a \\\nb \\\n | c\n", "a b | c\n"),
            ("cat <<E\n one\n  two\n\nE\n", "cat <<E\none\n  two\n\nE\n"),
            ("a  chdir=/x\n  b ", "a  b "),
            ("plain  words", "plain  words"),
        ] {
            let words = words(text).unwrap();
            let kept: Vec<_> = words.iter().filter(|word| !text[(*word).clone()].starts_with("chdir=")).cloned().collect();
            assert_eq!(join(text, &words, &kept), joined, "{text:?}");
        }
    }

    #[test]
    fn quotes_and_braces_hold_words_together() {
        assert_eq!(
            split(" a=b  c='d e'\n f={{ g | h('i j') }}k "),
            Ok(vec!["a=b".into(), "c='d e'".into(), "f={{ g | h('i j') }}k".into()])
        );
        assert_eq!(split("x={{ {'a': {'b': 1}} }} y"), Ok(vec!["x={{ {'a': {'b': 1}} }}".into(), "y".into()]));
        assert_eq!(split(r"say \'hi there"), Ok(vec!["say".into(), r"\'hi".into(), "there".into()]));
        assert_eq!(split("echo don't"), Err(Unbalanced(8)));
        assert_eq!(split("a={{ b"), Err(Unbalanced(2)));
    }

    #[test]
    fn values_lose_their_quotes_and_keep_their_places() {
        let text = r#"dest=/x line="a\tb \x41" other\=1"#;
        let node = Node::string(text, Source::from_text("t", text).span(0, text.len()));
        let pairs: Vec<_> = words(text).expect("balanced").into_iter().map(|word| key_value(text, word)).collect();
        let Some(("line", range)) = pairs[1].clone() else { panic!("line= is the second word") };
        let value = piece(&node, range);
        assert_eq!(value.as_str(), Some("a\tb A"));
        assert_eq!(value.span.to_string(), "t:1:15");
        assert!(pairs[2].is_none());
    }
}
