//! Makes sure that a line is in a file, or is not.
//!
//! ```yaml
//! - lineinfile: {path: /etc/ssh/sshd_config, regexp: "^#?PermitRootLogin", line: PermitRootLogin no, validate: sshd -t -f %s}
//! - lineinfile: {path: /etc/fstab, regexp: '\sswap\s', state: absent}
//! ```
//!
//! Line breaks of other lines stay as they are. Returns `msg`, `backup`, and `found` when removing.

use super::edit::{self, Telling, Text, bare, lines_of, pattern};
use crate::module::{Args, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::python::regex::{Pattern, Template};
use crate::sh::{Output, Script};

pub struct LineInFile;

static SPEC: Spec = Spec {
    name: "ansible.builtin.lineinfile",
    aliases: &[],
    params: &[
        Param::path("path").required().alias(&["dest", "destfile", "name"]),
        Param::str("state").default("present").choices(&["absent", "present"]),
        Param::str("line").alias(&["value"]),
        Param::str("regexp").alias(&["regex"]),
        Param::str("search_string"),
        Param::bool("backrefs").default("false"),
        Param::str("insertafter"),
        Param::str("insertbefore"),
        Param::bool("firstmatch").default("false"),
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

impl Module for LineInFile {
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
        let wanted = Line::of(args)?;
        let listed = || Outcome { warnings: warnings(args), lists_diffs: true, ..Outcome::default() };
        let mut lines = lines_of(&text.content);
        let telling = |msg| Telling { msg, backup_key: "backup", header_suffix: " (content)", shows_file: false };
        if args.required("state")? == "absent" {
            if args.str("line").is_none() && args.str("regexp").is_none() && args.str("search_string").is_none() {
                return Err(Failure::new("one of line, search_string, or regexp is required with state=absent"));
            }
            if !text.exists() {
                return Ok(Outcome::unchanged().with("msg", "file not present").into());
            }
            let found = wanted.remove(&mut lines)?;
            let msg = format!("{found} line(s) removed");
            return text.decide(args, context, listed().with("found", found), lines.concat(), &telling(&msg));
        }
        if args.is("backrefs") && wanted.regexp.is_none() {
            return Err(Failure::argument("backrefs", "regexp is required with backrefs=true"));
        }
        let Some(line) = args.str("line") else {
            return Err(Failure::new("line is required with state=present"));
        };
        if !text.exists() && !args.is("create") {
            return Err(Failure::argument("path", format!("Destination {} does not exist !", text.path)).with("rc", 257));
        }
        let msg = wanted.put(line, &mut lines)?;
        text.decide(args, context, listed(), lines.concat(), &telling(msg))
    }
}

/// A pattern that is empty is in every line.
fn warnings(args: &Args) -> Vec<String> {
    let (what, way_out) = match (args.str("regexp"), args.str("search_string")) {
        (Some(""), _) => ("regular expression", " If this is desired, use '^' to match every line in the file and avoid this warning."),
        (_, Some("")) => ("search string", ""),
        _ => return Vec::new(),
    };
    vec![format!(
        "The {what} is an empty string, which will match every line in the file. This may have unintended consequences, such as \
         replacing the last line in the file rather than appending.{way_out}"
    )]
}

/// Which line is meant, and where a new one goes.
struct Line<'a> {
    line: Option<&'a str>,
    regexp: Option<Pattern>,
    search_string: Option<&'a str>,
    backrefs: bool,
    place: Place,
    first_match: bool,
}

enum Place {
    Start,
    End,
    After(Pattern),
    Before(Pattern),
}

impl<'a> Line<'a> {
    fn of(args: &'a Args) -> Result<Line<'a>, Failure> {
        let optional = |name: &str| args.str(name).map(|text| pattern(name, text)).transpose();
        if args.has("regexp") && args.has("search_string") {
            return Err(Failure::argument("search_string", "parameters are mutually exclusive: regexp|search_string"));
        }
        let place = match (args.str("insertafter"), args.str("insertbefore")) {
            (Some(_), Some(_)) => {
                return Err(Failure::argument("insertafter", "parameters are mutually exclusive: insertbefore|insertafter"));
            }
            (Some("BOF"), _) | (_, Some("BOF")) => Place::Start,
            (Some("EOF"), None) | (None, None) => Place::End,
            (Some(after), None) => Place::After(pattern("insertafter", after)?),
            (None, Some(before)) => Place::Before(pattern("insertbefore", before)?),
        };
        Ok(Line {
            line: args.str("line"),
            regexp: optional("regexp")?,
            search_string: args.str("search_string"),
            backrefs: args.is("backrefs"),
            place,
            first_match: args.is("firstmatch"),
        })
    }

    fn is_meant(&self, line: &str) -> Result<bool, Failure> {
        match (&self.regexp, self.search_string) {
            (Some(regexp), _) => Ok(regexp.is_found(line)?),
            (None, Some(part)) => Ok(line.contains(part)),
            (None, None) => Ok(self.line == Some(bare(line))),
        }
    }

    /// Removes every line that is meant; how many there were.
    fn remove(&self, lines: &mut Vec<String>) -> Result<usize, Failure> {
        let n_before = lines.len();
        let mut kept = Vec::new();
        for line in lines.drain(..) {
            if !self.is_meant(&line)? {
                kept.push(line);
            }
        }
        *lines = kept;
        Ok(n_before - lines.len())
    }

    /// Puts the line where it belongs; what was done, in Ansible's words.
    fn put(&self, line: &str, lines: &mut Vec<String>) -> Result<&'static str, Failure> {
        let mut meant = None;
        if self.regexp.is_some() || self.search_string.is_some() {
            for (at, current) in lines.iter().enumerate() {
                if self.is_meant(current)? {
                    meant = Some(at);
                    if self.first_match {
                        break;
                    }
                }
            }
        }
        if let Some(at) = meant {
            let mut new = line.to_owned();
            if let (true, Some(regexp)) = (self.backrefs, &self.regexp)
                && let Some(found) = regexp.search(&lines[at])?
            {
                let template = Template::new(line).map_err(|err| Failure::from(err).of_argument("line"))?;
                new = regexp.expand(&template, &found)?;
            }
            return Ok(replace(&mut lines[at], &new));
        }
        if let Some(same) = lines.iter_mut().rev().find(|current| bare(current) == line) {
            return Ok(replace(same, line));
        }
        if self.backrefs {
            // Without a match there is nothing that the references could stand for.
            return Ok("");
        }
        let new = format!("{line}\n");
        let found = match &self.place {
            Place::Start => Some(0),
            Place::End => None,
            Place::After(pattern) => self.find(pattern, lines)?.map(|at| at + 1),
            Place::Before(pattern) => self.find(pattern, lines)?,
        };
        let at = found.unwrap_or(lines.len());
        if let Some(last) = lines.last_mut().filter(|last| !last.ends_with('\n')) {
            last.push('\n');
        }
        lines.insert(at, new);
        Ok("line added")
    }

    fn find(&self, pattern: &Pattern, lines: &[String]) -> Result<Option<usize>, Failure> {
        let mut found = None;
        for (at, line) in lines.iter().enumerate() {
            if pattern.is_found(line)? {
                found = Some(at);
                if self.first_match {
                    break;
                }
            }
        }
        Ok(found)
    }
}

/// Puts a new line in an old one's place, with the old one's line break.
fn replace(old: &mut String, new: &str) -> &'static str {
    let ending = if old.ends_with("\r\n") { "\r\n" } else { "\n" };
    let new = if new.ends_with('\n') { new.to_owned() } else { format!("{new}{ending}") };
    if *old == new {
        return "";
    }
    *old = new;
    "line replaced"
}
