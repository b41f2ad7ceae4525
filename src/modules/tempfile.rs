//! Makes a temporary file or directory on the host.
//!
//! ```yaml
//! - tempfile: {state: directory, suffix: build}
//!   register: scratch         # scratch.path
//! ```
//!
//! Returns `path` and what is there. Nothing removes it but a task of yours.

use super::look::{FUNCTIONS, Fields};
use crate::module::{Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, quote, words};

pub struct TempFile;

static SPEC: Spec = Spec {
    name: "ansible.builtin.tempfile",
    aliases: &[],
    params: &[
        Param::str("state").default("file").choices(&["directory", "file"]),
        Param::path("path"),
        Param::str("prefix").default("ansible."),
        Param::str("suffix").default(""),
    ],
    free_form: FreeForm::None,
};

impl Module for TempFile {
    type State = ();

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, _args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        Ok(None)
    }

    fn read(&self, _args: &Args, _output: &Output) -> Result<(), Failure> {
        Ok(())
    }

    fn decide(&self, args: &Args, (): (), _context: &dyn Context) -> Result<Decision, Failure> {
        let (prefix, suffix) = (args.required("prefix")?, args.required("suffix")?);
        for (name, part) in [("prefix", prefix), ("suffix", suffix)] {
            if part.contains('/') {
                return Err(Failure::argument(name, format!("{name} must be a valid file name component, got '{part}'")));
            }
        }
        let folder = args.str("path").map_or_else(|| "\"${TMPDIR:-/tmp}\"".to_owned(), words::on_host);
        let option = if args.required("state")? == "directory" { "-d " } else { "" };
        let mut text = format!("{FUNCTIONS}f={folder}\nt=$(mktemp {option}-- \"$f\"/{}) || exit 1\n", quote(&format!("{prefix}XXXXXXXX")));
        if !suffix.is_empty() {
            // Not every mktemp takes a template that goes on after the Xs.
            let suffix = quote(suffix);
            text.push_str(&format!(
                "n=\"$t\"{suffix}\nif [ -e \"$n\" ] || ! mv -- \"$t\" \"$n\"; then rm -rf -- \"$t\"; echo \"$n is taken\" >&2; exit 1; fi\nt=$n\n"
            ));
        }
        text.push_str("say \"$t\"\nlook \"$t\"\n");
        let skipped = Outcome { skipped: true, ..Outcome::default() }.with("msg", "a temporary file is not made in check mode");
        let finish = |output: &Output, mut outcome: Outcome| {
            let mut fields = Fields::of("make a temporary file", output)?;
            let path = fields.text()?;
            if let Some(entry) = fields.entry(&path)? {
                entry.add_to(&mut outcome.data);
            }
            Ok(outcome.with("path", path))
        };
        Ok(Change::new(Outcome::changed(), Script::new(text)).finish(finish).in_check_mode(skipped).into())
    }
}
