//! A line of an INI inventory as words, split as Python's shlex does, where every byte still knows its place in the file.

use crate::source::{Source, Span};
use std::ops::Range;
use std::sync::Arc;

/// A text, less quotes and backslashes, and where it came from.
pub struct Word {
    pub text: String,
    /// For each byte of the text, the byte of the source.
    at: Vec<usize>,
    /// Where it would go on.
    end: usize,
}

impl Word {
    /// A piece of the source as it stands there.
    pub fn raw(source: &Source, range: Range<usize>) -> Word {
        Word { text: source.text[range.clone()].to_owned(), at: range.clone().collect(), end: range.end }
    }

    fn empty(at: usize) -> Word {
        Word { text: String::new(), at: Vec::new(), end: at }
    }

    fn push(&mut self, c: char, at: usize) {
        self.text.push(c);
        self.at.extend(at..at + c.len_utf8());
        self.end = at + c.len_utf8();
    }

    /// The place in the source of a piece of the text.
    pub fn span(&self, source: &Arc<Source>, range: Range<usize>) -> Span {
        let start = self.at.get(range.start).copied().unwrap_or(self.end);
        let end = if range.is_empty() { start } else { self.at[range.end - 1] + 1 };
        source.span(start, end)
    }

    pub fn whole(&self, source: &Arc<Source>) -> Span {
        self.span(source, 0..self.text.len())
    }

    /// What stands before and behind a separator.
    pub fn split_once(&self, separator: char) -> Option<(Word, Word)> {
        let at = self.text.find(separator)?;
        Some((self.piece(0..at), self.piece(at + separator.len_utf8()..self.text.len())))
    }

    fn piece(&self, range: Range<usize>) -> Word {
        let end = self.at.get(range.end).copied().unwrap_or(self.end);
        Word { text: self.text[range.clone()].to_owned(), at: self.at[range].to_owned(), end }
    }

    pub fn trim(&self) -> Word {
        let start = self.text.len() - self.text.trim_start().len();
        self.piece(start..start + self.text.trim().len())
    }
}

/// What is wrong, and where.
pub struct Unclosed {
    pub words: &'static str,
    pub at: usize,
}

/// The words of a piece of the source; `#` begins a comment, also within a word.
pub fn split(source: &Source, range: Range<usize>) -> Result<Vec<Word>, Unclosed> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut chars = source.text[range.clone()].char_indices().map(|(at, c)| (range.start + at, c)).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '#' => break,
            '\\' => {
                let (at, c) = chars.next().ok_or(Unclosed { words: "a backslash at the end escapes nothing", at })?;
                word.get_or_insert_with(|| Word::empty(at)).push(c, at);
            }
            '\'' | '"' => {
                let word = word.get_or_insert_with(|| Word::empty(at + 1));
                loop {
                    let (inner, mut found) = chars.next().ok_or(Unclosed { words: "this quote is never closed", at })?;
                    if found == c {
                        break;
                    }
                    let mut inner = inner;
                    // In double quotes a backslash escapes itself and the quote, and is itself before anything else.
                    if found == '\\' && c == '"' && chars.peek().is_some_and(|(_, next)| matches!(next, '\\' | '"')) {
                        (inner, found) = chars.next().expect("it was peeked at");
                    }
                    word.push(found, inner);
                }
            }
            _ => word.get_or_insert_with(|| Word::empty(at)).push(c, at),
        }
    }
    words.extend(word);
    Ok(words)
}
