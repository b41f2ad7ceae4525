//! What is said about a user's file: a title, places with carets, hints. The one drawer of carets.

use super::Span;
use annotate_snippets::{AnnotationKind, Group, Level as SnippetLevel, Renderer, Snippet, renderer::DecorStyle};
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Error,
    Warning,
}

/// A finding in a user's file. An error that travels inside anyhow chains; `Display` draws it without colour.
#[derive(Clone, Debug)]
pub struct Diag {
    pub level: Level,
    pub title: String,
    /// The first place is the primary one.
    pub places: Vec<(Span, String)>,
    pub notes: Vec<String>,
    pub hints: Vec<String>,
    /// What was being done, outermost first: a task's message says it, the place makes it needless elsewhere.
    pub during: Option<Box<str>>,
    /// Nothing is wrong but that a file could not be decrypted: as in Ansible, that ends a run in another way than a mistake in it.
    pub is_locked: bool,
}

impl Diag {
    pub fn error(title: impl Into<String>) -> Diag {
        Diag {
            level: Level::Error,
            title: title.into(),
            places: Vec::new(),
            notes: Vec::new(),
            hints: Vec::new(),
            during: None,
            is_locked: false,
        }
    }

    pub fn warning(title: impl Into<String>) -> Diag {
        Diag { level: Level::Warning, ..Diag::error(title) }
    }

    /// Says what was being done when this was found: a part of the message, not of what is drawn at the place.
    pub fn within(mut self, words: impl std::fmt::Display) -> Diag {
        let inner = self.during.as_deref().unwrap_or("");
        self.during = Some(format!("{words}: {inner}").into());
        self
    }

    /// The finding as the message of a failed task: everything in one line.
    pub fn message(&self) -> String {
        if self.during.is_none() { self.title.clone() } else { format!("Task failed: {}", self.in_full()) }
    }

    /// What was being done, and what was wrong, in one line.
    pub fn in_full(&self) -> String {
        format!("{}{}", self.during.as_deref().unwrap_or(""), self.title)
    }

    /// Points at `span`, with no words under the caret.
    pub fn at(self, span: &Span) -> Diag {
        self.label(span, "")
    }

    /// Points at `span` and says something there.
    pub fn label(mut self, span: &Span, words: impl Into<String>) -> Diag {
        self.places.push((span.clone(), words.into()));
        self
    }

    pub fn note(mut self, note: impl Into<String>) -> Diag {
        self.notes.push(note.into());
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Diag {
        self.hints.push(hint.into());
        self
    }

    /// Adds `did you mean` with the nearest of `known`, if one is near.
    pub fn did_you_mean<'a>(self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Diag {
        match nearest(word, known) {
            Some(near) => self.hint(format!("did you mean `{near}`?")),
            None => self,
        }
    }

    /// The finding as ansible-core prints it: words, the place, the lines before it.
    pub fn with_origin(&self) -> String {
        let mut text = self.title.clone();
        if let Some((span, _)) = self.places.first() {
            text.push_str(&format!("\n{}", origin(span)));
        }
        for words in self.hints.iter().chain(&self.notes) {
            text.push_str(&format!("\n{words}\n"));
        }
        text
    }

    /// The finding as text, with terminal colours if asked for.
    pub fn render(&self, colour: bool) -> String {
        let level = match self.level {
            Level::Error => SnippetLevel::ERROR,
            Level::Warning => SnippetLevel::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(self.title.as_str()));
        for (n, (span, words)) in self.places.iter().enumerate() {
            if span.source.is_secret {
                let words = if words.is_empty() { "here" } else { words };
                group =
                    group.element(SnippetLevel::NOTE.message(format!("{span}: {words} (the file is encrypted: its text is not shown)")));
                continue;
            }
            if line_of(span).len() > LONGEST_LINE {
                let words = if words.is_empty() { "here" } else { words };
                group = group.element(SnippetLevel::NOTE.message(format!("{span}: {words} (the line is too long to be shown)")));
                continue;
            }
            let kind = if n == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
            let text = &span.source.text;
            let start = floor_char(text, span.start.min(text.len()));
            let end = floor_char(text, span.end.clamp(start, text.len()));
            // A finding about a long block points at its first line.
            let end = text[start..end].find('\n').map_or(end, |at| start + at.max(1));
            let annotation = kind.span(start..end);
            let annotation = if words.is_empty() { annotation } else { annotation.label(words.as_str()) };
            group = group.element(Snippet::source(text.as_str()).path(span.source.name.as_str()).annotation(annotation));
        }
        for note in &self.notes {
            group = group.element(SnippetLevel::NOTE.message(note.as_str()));
        }
        let mut report = vec![group];
        for hint in &self.hints {
            let last = report.pop().expect("the report has its first group");
            report.push(last.element(SnippetLevel::HELP.with_name("hint").message(hint.as_str())));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.decor_style(DecorStyle::Unicode).render(&report)
    }
}

/// A longer line is not drawn: laying it out takes time that grows with the square of it, and nobody finds a caret in it.
const LONGEST_LINE: usize = 20_000;

/// The line in which a span begins.
fn line_of(span: &Span) -> &str {
    let text = &span.source.text;
    let at = floor_char(text, span.start.min(text.len()));
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    &text[start..end]
}

impl fmt::Display for Diag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diag {}

/// The known word nearest to `word`, if it is near enough to be meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    let distance = |known: &str| strsim::damerau_levenshtein(word, known);
    known.into_iter().map(|known| (distance(known), known)).filter(|(distance, _)| *distance <= limit).min().map(|(_, known)| known)
}

/// A place as ansible-core shows it: the file's whole path, and up to three lines with a mark under the last.
pub fn origin(span: &Span) -> String {
    let (line, column) = span.source.position(span.start);
    let name = &span.source.name;
    if span.source.is_whole {
        return format!("Origin: {name}\n\n{}\n", span.source.text);
    }
    let path = if name.starts_with('<') { name.clone() } else { absolute(name) };
    let mut text = format!("Origin: {path}:{line}:{column}\n\n");
    if span.source.is_secret {
        text.push_str("(the file is encrypted: its text is not shown)\n");
        return text;
    }
    let width = line.to_string().len();
    for (n, words) in span.source.text.lines().enumerate().take(line).skip(line.saturating_sub(3)) {
        text.push_str(format!("{:>width$} {words}", n + 1).trim_end());
        text.push('\n');
    }
    text.push_str(&format!("{:indent$}^ column {column}\n", "", indent = width + column));
    text
}

fn absolute(name: &str) -> String {
    std::path::absolute(name).map_or_else(|_| name.to_owned(), |path| path.to_string_lossy().into_owned())
}

fn floor_char(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
