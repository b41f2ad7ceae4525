//! Template text to minijinja's tree, once per text, and from places in the tree back to places in files.

use super::fail::{Fail, Res};
use crate::module::TemplateOptions;
use crate::source::{Node, Source, Span};
use minijinja::machinery::{self, ast};
use minijinja::syntax::SyntaxConfig;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// A text that was parsed. Trees live as long as the program, so that macros and loops can refer to them freely: there are no more of them than
/// the user wrote templates.
pub(super) struct Parsed {
    pub text: &'static str,
    pub root: Root,
    /// Whether it calls a method that changes a list or a mapping: its literals must then be changeable.
    pub mutates: bool,
    /// Where a minus was written as a plus.
    pluses: Vec<usize>,
}

impl Parsed {
    pub fn is_plus(&self, span: machinery::Span) -> bool {
        !self.pluses.is_empty() && self.pluses.contains(&(span.start_offset as usize))
    }
}

pub(super) enum Root {
    Template(ast::Stmt<'static>),
    Expr(ast::Expr<'static>),
}

/// How a text is to be read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Dialect {
    /// A string of a playbook.
    Inline,
    /// A bare expression (`when`).
    Expr,
    /// A template file: trim and lstrip of blocks, then the delimiters of variables and blocks.
    File { trim_blocks: bool, lstrip_blocks: bool, delimiters: Delimiters },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Delimiters {
    pub variable: (String, String),
    pub block: (String, String),
    pub comment: (String, String),
}

impl Default for Delimiters {
    fn default() -> Delimiters {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        Delimiters { variable: pair("{{", "}}"), block: pair("{%", "%}"), comment: pair("{#", "#}") }
    }
}

type Cache = HashMap<(Dialect, Cow<'static, str>), Result<&'static Parsed, SyntaxError>>;

static CACHE: LazyLock<Mutex<Cache>> = LazyLock::new(Mutex::default);

/// What is wrong with a text and where in it.
#[derive(Clone, Debug)]
pub(super) struct SyntaxError {
    pub words: String,
    pub range: Option<Range<usize>>,
}

pub(super) fn parse(text: &str, dialect: &Dialect) -> Result<&'static Parsed, SyntaxError> {
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (dialect.clone(), Cow::Borrowed(text));
    // The key's lifetime differs from that of the map's keys, hence the owned copy on a miss only.
    if let Some(known) = lookup(&cache, &key) {
        return known;
    }
    let parsed = parse_afresh(text, dialect);
    let kept = match &parsed {
        Ok(parsed) => Cow::Borrowed(parsed.text),
        Err(_) => Cow::Owned(text.to_owned()),
    };
    cache.insert((dialect.clone(), kept), parsed.clone());
    parsed
}

fn lookup<'a>(
    cache: &'a HashMap<(Dialect, Cow<'a, str>), Result<&'static Parsed, SyntaxError>>,
    key: &(Dialect, Cow<'a, str>),
) -> Option<Result<&'static Parsed, SyntaxError>> {
    cache.get(key).cloned()
}

fn parse_afresh(text: &str, dialect: &Dialect) -> Result<&'static Parsed, SyntaxError> {
    let readable = match dialect {
        Dialect::File { trim_blocks: false, .. } | Dialect::Expr => text.to_owned(),
        _ => keep_newline_after_raw(text),
    };
    let kept: &'static str = readable.leak();
    let parsed = parse_text(kept, dialect);
    if let (Err(err), Some(bracketed)) = (&parsed, bracket_bare_tuples(kept))
        && err.kind() == minijinja::ErrorKind::SyntaxError
    {
        return parse_afresh(&bracketed, dialect);
    }
    let (kept, parsed, pluses) = match (&parsed, signs(kept, dialect)) {
        (Err(err), Some((signed, pluses))) if err.kind() == minijinja::ErrorKind::SyntaxError => {
            let signed: &'static str = signed.leak();
            (signed, parse_text(signed, dialect), pluses)
        }
        _ => (kept, parsed, Vec::new()),
    };
    match parsed {
        Ok(root) => Ok(Box::leak(Box::new(Parsed { text: kept, root, mutates: mutates(kept), pluses }))),
        Err(err) => {
            let words = err.detail().map_or_else(|| err.kind().to_string(), str::to_owned);
            Err(SyntaxError { words, range: err.range() })
        }
    }
}

fn parse_text(text: &'static str, dialect: &Dialect) -> Result<Root, minijinja::Error> {
    match dialect {
        Dialect::Expr => machinery::parse_expr(text).map(Root::Expr),
        _ => syntax(dialect).and_then(|syntax| machinery::parse(text, "template", syntax)).map(Root::Template),
    }
}

/// `+x`, which minijinja does not know: written as `-x`, with the places where a minus is a plus. Nothing if there is no such sign.
fn signs(text: &str, dialect: &Dialect) -> Option<(String, Vec<usize>)> {
    let mut out = text.as_bytes().to_vec();
    let mut pluses = Vec::new();
    let mut inside = *dialect == Dialect::Expr;
    let mut quote = None;
    // Whether what stands before is a value, after which a plus adds.
    let mut after_value = false;
    let mut word = String::new();
    for (at, c) in text.char_indices() {
        if !inside {
            inside = text[..at + c.len_utf8()].ends_with("{{") || text[..at + c.len_utf8()].ends_with("{%");
            after_value = false;
            continue;
        }
        if let Some(open) = quote {
            if c == open && !text[..at].ends_with('\\') {
                quote = None;
            }
            continue;
        }
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
            after_value = true;
            continue;
        }
        if !word.is_empty() {
            after_value = !matches!(word.as_str(), "and" | "or" | "not" | "in" | "if" | "else" | "is");
            word.clear();
        }
        match c {
            '"' | '\'' => {
                quote = Some(c);
                after_value = true;
            }
            '+' if !after_value && !text[..at].ends_with("{%") => {
                out[at] = b'-';
                pluses.push(at);
            }
            '}' if *dialect != Dialect::Expr && (text[..at].ends_with('}') || text[..at].ends_with('%')) => inside = false,
            ')' | ']' | '}' => after_value = true,
            c if c.is_whitespace() => {}
            _ => after_value = false,
        }
    }
    (!pluses.is_empty()).then(|| String::from_utf8(out).ok()).flatten().map(|out| (out, pluses))
}

fn syntax(dialect: &Dialect) -> Result<SyntaxConfig, minijinja::Error> {
    let mut builder = SyntaxConfig::builder();
    builder.trim_blocks(true);
    if let Dialect::File { trim_blocks, lstrip_blocks, delimiters } = dialect {
        builder.trim_blocks(*trim_blocks).lstrip_blocks(*lstrip_blocks);
        let Delimiters { variable, block, comment } = delimiters.clone();
        builder.variable_delimiters(variable.0, variable.1).block_delimiters(block.0, block.1).comment_delimiters(comment.0, comment.1);
    }
    builder.build()
}

/// Jinja2 keeps the newline after `{% raw %}` even with `trim_blocks`, minijinja does not; `+%}` makes it. The length must not change: places
/// in the text are counted in bytes.
fn keep_newline_after_raw(text: &str) -> String {
    let mut out = text.to_owned();
    for (at, _) in text.match_indices("raw %}\n") {
        let before = text[..at].trim_end();
        if before.ends_with("{%") || before.ends_with("{%-") {
            out.replace_range(at + 3..at + 4, "+");
        }
    }
    out
}

/// `for x in "a", "b"`: Jinja2 takes the bare tuple, minijinja wants brackets. They take the place of the blanks around it, so that places in the
/// text stay where they are. Nothing if there is no such loop.
fn bracket_bare_tuples(text: &str) -> Option<String> {
    let mut out = text.as_bytes().to_vec();
    let mut found = false;
    for (start, _) in text.match_indices("{%") {
        let Some(len) = text[start + 2..].find("%}") else { continue };
        let inner = &text[start + 2..start + 2 + len];
        let words = inner.trim_start_matches(['-', '+']).trim_start();
        let Some(at) = inner.find(" in ").filter(|_| words.starts_with("for ")) else { continue };
        let tuple = inner[at + 4..].trim_end_matches(['-', '+']);
        let literals = tuple.trim().split(',').all(|part| {
            let part = part.trim();
            part.len() > 1 && part.starts_with(['\'', '"']) && part.ends_with(['\'', '"']) || part.parse::<f64>().is_ok()
        });
        if literals && tuple.contains(',') && tuple.ends_with(' ') {
            out[start + 2 + at + 3] = b'(';
            out[start + 2 + at + 4 + tuple.len() - 1] = b')';
            found = true;
        }
    }
    String::from_utf8(out).ok().filter(|_| found)
}

fn mutates(text: &str) -> bool {
    const CHANGING: &[&str] = &[
        ".append(",
        ".extend(",
        ".insert(",
        ".update(",
        ".pop(",
        ".popitem(",
        ".remove(",
        ".setdefault(",
        ".__setitem__(",
        ".clear(",
        ".sort(",
        ".reverse(",
    ];
    CHANGING.iter().any(|call| text.contains(call))
}

/// Where a text stands in the user's files.
#[derive(Clone)]
pub(super) enum Origin {
    /// The value of a node.
    Node(Node),
    /// A file's text from this byte on.
    File(Arc<Source>, usize),
}

impl Origin {
    pub fn locate(&self, range: Range<usize>) -> Option<Span> {
        match self {
            Origin::Node(node) => Some(node.locate(range)),
            Origin::File(source, from) => Some(source.span(from + range.start, from + range.end)),
        }
    }
}

pub(super) fn range(span: machinery::Span) -> Range<usize> {
    span.start_offset as usize..(span.end_offset as usize).max(span.start_offset as usize)
}

/// Parses, with the error at its place in the user's file.
pub(super) fn parse_at(text: &str, dialect: &Dialect, origin: &Origin) -> Res<&'static Parsed> {
    parse(text, dialect).map_err(|err| {
        let what = if *dialect == Dialect::Expr { "expression" } else { "template" };
        let range = err.range.unwrap_or(0..text.len());
        let range = if range.is_empty() { range.start..range.start + 1 } else { range };
        let end = range.end.min(text.len());
        let mut fail = Fail::complete(format!("Syntax error in {what}: {}", err.words)).at(origin.locate(range.start.min(end)..end));
        if *dialect == Dialect::Expr && (text.contains("{{") || text.contains("{%")) {
            fail = fail.hint("this is an expression already: write variables without `{{ }}`");
        }
        fail
    })
}

/// The text of a template file without its `#jinja2:` header, from which byte on that is, and how to read it.
pub(super) fn file_dialect<'t>(text: &'t str, options: &TemplateOptions) -> Res<(&'t str, usize, Dialect)> {
    let mut delimiters = Delimiters::default();
    let (mut trim_blocks, mut lstrip_blocks) = (options.trim_blocks, options.lstrip_blocks);
    let set = |place: &mut String, value: &Option<String>| {
        if let Some(value) = value {
            value.clone_into(place);
        }
    };
    set(&mut delimiters.variable.0, &options.variable_start);
    set(&mut delimiters.variable.1, &options.variable_end);
    set(&mut delimiters.block.0, &options.block_start);
    set(&mut delimiters.block.1, &options.block_end);
    set(&mut delimiters.comment.0, &options.comment_start);
    set(&mut delimiters.comment.1, &options.comment_end);
    let mut from = 0;
    if let Some(rest) = text.strip_prefix("#jinja2:") {
        let line = rest.split('\n').next().unwrap_or("");
        from = (text.len() - rest.len() + line.len() + 1).min(text.len());
        for pair in line.split(',').filter(|pair| !pair.trim().is_empty()) {
            let Some((key, value)) = pair.split_once(':') else {
                return Err(Fail::error(format!("`{}` in the `#jinja2:` line is not `key: value`", pair.trim())));
            };
            let value = value.trim();
            let text = || value.trim_matches(['\'', '"']).to_owned();
            let flag = || value.eq_ignore_ascii_case("true");
            match key.trim() {
                "trim_blocks" => trim_blocks = flag(),
                "lstrip_blocks" => lstrip_blocks = flag(),
                "variable_start_string" => delimiters.variable.0 = text(),
                "variable_end_string" => delimiters.variable.1 = text(),
                "block_start_string" => delimiters.block.0 = text(),
                "block_end_string" => delimiters.block.1 = text(),
                "comment_start_string" => delimiters.comment.0 = text(),
                "comment_end_string" => delimiters.comment.1 = text(),
                other => return Err(Fail::error(format!("`{other}` in the `#jinja2:` line is not supported"))),
            }
        }
    }
    Ok((&text[from..], from, Dialect::File { trim_blocks, lstrip_blocks, delimiters }))
}
