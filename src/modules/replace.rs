//! Replaces every match of a regular expression in a file.
//!
//! ```yaml
//! - replace: {path: /etc/fstab, regexp: '^([^#].*?\sswap\s+sw\s+.*)$', replace: '# \1'}
//! ```
//!
//! `^` and `$` are the ends of lines. Between `after` and `before` only, where they are given. Returns `msg`; `backup_file` where one was made.

use super::edit::{self, Telling, Text};
use crate::module::{Args, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::python::regex::{Flags, Pattern, Template};
use crate::sh::{Output, Script};

pub struct Replace;

static SPEC: Spec = Spec {
    name: "ansible.builtin.replace",
    aliases: &[],
    params: &[
        Param::path("path").required().alias(&["dest", "destfile", "name"]),
        Param::str("regexp").required(),
        Param::str("replace").default(""),
        Param::str("after"),
        Param::str("before"),
        Param::bool("backup").default("false"),
        Param::str("validate"),
        Param::str("encoding").default("utf-8"),
        Param::mode("mode"),
        Param::str("owner"),
        Param::str("group"),
    ],
    free_form: FreeForm::None,
};

impl Module for Replace {
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
        let regexp = Pattern::new(args.required("regexp")?, Flags { multiline: true, ..Flags::default() })
            .map_err(|err| Failure::from(err).of_argument("regexp"))?;
        let template = Template::new(args.required("replace")?)
            .map_err(|err| Failure::argument("replace", format!("Unable to process replace due to error: {err}")))?;
        if !text.exists() {
            return Err(Failure::argument("path", format!("Path {} does not exist !", text.path)).with("rc", 257));
        }
        let outcome = Outcome::unchanged().with("rc", 0);
        let section = match (args.str("after"), args.str("before")) {
            (None, None) => None,
            (Some(after), Some(before)) => Some(format!("{after}(?P<subsection>.*?){before}")),
            (Some(after), None) => Some(format!("{after}(?P<subsection>.*)")),
            (None, Some(before)) => Some(format!("(?P<subsection>.*){before}")),
        };
        let content = text.content.as_str();
        let mut range = 0..content.len();
        if let Some(section) = section {
            let pattern = Pattern::new(&section, Flags { dotall: true, ..Flags::default() })
                .map_err(|err| Failure::from(err).of_argument("after"))?;
            match pattern.search(content)?.and_then(|found| found.name("subsection").map(|part| part.range())) {
                Some(part) => range = part,
                None => {
                    let msg = format!("Pattern for before/after params did not match the given file: {section}");
                    return Ok(outcome.with("msg", msg).into());
                }
            }
        }
        let part = &content[range.clone()];
        let matches = regexp.find_all(part)?;
        let (replaced, count) = (regexp.replace(part, &matches, &template)?, matches.len());
        let new = format!("{}{replaced}{}", &content[..range.start], &content[range.end..]);
        let msg = format!("{count} replacements made");
        text.decide(args, context, outcome, new, &Telling { msg: &msg, backup_key: "backup_file", header_suffix: "", shows_file: false })
    }
}
