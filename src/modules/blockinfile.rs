//! Keeps a block of lines between two markers in a file.
//!
//! ```yaml
//! - blockinfile:
//!     path: /etc/hosts
//!     marker: "# {mark} cluster"
//!     block: |
//!       10.0.0.1 control
//! ```
//!
//! Returns `msg`; `backup_file` where one was made.

use super::edit::{self, Telling, Text, bare, lines_of};
use crate::module::{Args, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script};

pub struct BlockInFile;

static SPEC: Spec = Spec {
    name: "ansible.builtin.blockinfile",
    aliases: &[],
    params: &[
        Param::path("path").required().alias(&["dest", "destfile", "name"]),
        Param::str("state").default("present").choices(&["absent", "present"]),
        Param::str("block").default("").alias(&["content"]),
        Param::str("marker").default("# {mark} ANSIBLE MANAGED BLOCK"),
        Param::str("marker_begin").default("BEGIN"),
        Param::str("marker_end").default("END"),
        Param::str("insertafter"),
        Param::str("insertbefore"),
        Param::bool("append_newline").default("false"),
        Param::bool("prepend_newline").default("false"),
        Param::bool("create").default("false"),
        Param::bool("backup").default("false"),
        Param::str("validate"),
        Param::str("encoding").default("utf-8"),
        Param::mode("mode"),
        Param::str("owner"),
        Param::str("group"),
    ],
    free_form: FreeForm::None,
};

impl Module for BlockInFile {
    type State = Text;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        edit::probe(args).map(Some)
    }

    fn read(&self, args: &Args, output: &Output) -> Result<Text, Failure> {
        edit::read(args, output)
    }

    fn decide(&self, args: &Args, text: Text, context: &dyn Context) -> Result<Decision, Failure> {
        if args.has("insertafter") && args.has("insertbefore") {
            return Err(Failure::argument("insertafter", "parameters are mutually exclusive: insertbefore|insertafter"));
        }
        if !text.exists() && !args.is("create") {
            return Err(Failure::argument("path", format!("Path {} does not exist !", text.path)).with("rc", 257));
        }
        let is_absent = args.required("state")? == "absent";
        if is_absent && !text.exists() {
            return Ok(Outcome::unchanged().with("msg", format!("File {} not present", text.path)).into());
        }
        let block = if is_absent { "" } else { args.required("block")? };
        let new = put(args, &text.content, block)?;
        let msg = match (text.exists(), block) {
            (false, _) => "File created",
            (true, "") => "Block removed",
            (true, _) => "Block inserted",
        };
        text.decide(
            args,
            context,
            Outcome { lists_diffs: true, ..Outcome::default() },
            new,
            &Telling { msg, backup_key: "backup_file", header_suffix: " (content)", shows_file: false },
        )
    }
}

/// The content with the block in it, or without it if the block is empty.
fn put(args: &Args, content: &str, block: &str) -> Result<String, Failure> {
    let marker = |mark: &str| Ok::<_, Failure>(args.required("marker")?.replace("{mark}", args.required(mark)?));
    let (begin, end) = (marker("marker_begin")?, marker("marker_end")?);
    let mut lines = lines_of(content);
    let (mut first, mut last) = (None, None);
    for (at, line) in lines.iter().enumerate() {
        let line = bare(line);
        if line == begin {
            first = Some(at);
        }
        if line == end {
            last = Some(at);
        }
    }
    let mut at = match (first, last) {
        (Some(first), Some(last)) => {
            let (from, to) = if first < last { (first, last) } else { (last, first) };
            lines.drain(from..=to);
            from
        }
        _ => place_of(args, &lines)?,
    };
    if at > 0 && !lines[at - 1].ends_with('\n') {
        lines[at - 1].push('\n');
    }
    if !block.is_empty() {
        if args.is("prepend_newline") && at > 0 && lines[at - 1] != "\n" {
            lines.insert(at, "\n".into());
            at += 1;
        }
        if args.is("append_newline") && lines.get(at).is_some_and(|line| line != "\n") {
            lines.insert(at, "\n".into());
        }
        let ending = if block.ends_with('\n') { "" } else { "\n" };
        lines.insert(at, format!("{begin}\n{block}{ending}{end}\n"));
    }
    Ok(lines.concat())
}

/// Where a block goes that is not there yet.
fn place_of(args: &Args, lines: &[String]) -> Result<usize, Failure> {
    let (name, pattern, offset) = match (args.str("insertafter"), args.str("insertbefore")) {
        (_, Some("BOF")) | (Some("BOF"), None) => return Ok(0),
        (Some("EOF"), _) | (None, None) => return Ok(lines.len()),
        (Some(pattern), _) => ("insertafter", pattern, 1),
        (None, Some(pattern)) => ("insertbefore", pattern, 0),
    };
    let pattern = edit::pattern(name, pattern)?;
    // A pattern that is to see line breaks is looked for in the whole text, once.
    let inline = args.required(name)?.strip_prefix("(?").and_then(|rest| rest.split_once(')')).map_or("", |(inline, _)| inline);
    if inline.contains('m') && inline.chars().all(|flag| flag.is_ascii_lowercase()) {
        let text = lines.concat();
        let found = pattern.search(&text)?.and_then(|found| found.get(0).map(|whole| whole.range()));
        let line_of = |at: usize| text[..at].matches('\n').count();
        return Ok(found.map_or(lines.len(), |whole| if offset == 1 { line_of(whole.end) + 1 } else { line_of(whole.start) }));
    }
    let mut found = None;
    for (at, line) in lines.iter().enumerate() {
        if pattern.is_found(line)? {
            found = Some(at + offset);
        }
    }
    Ok(found.unwrap_or(lines.len()))
}
