//! `raw`: the text as the shell takes it, with nothing around it.

use super::{Call, result, shell_call};
use crate::module::{Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script};

/// `ansible.builtin.raw`
pub struct Raw;

static RAW: Spec = Spec {
    name: "ansible.builtin.raw",
    aliases: &[],
    params: &[Param::str("_raw_params").required(), Param::path("executable")],
    free_form: FreeForm::Param("_raw_params"),
};

impl Module for Raw {
    type State = ();

    fn spec(&self) -> &'static Spec {
        &RAW
    }

    fn probe(&self, _args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        Ok(None)
    }

    fn read(&self, _args: &Args, _output: &Output) -> Result<(), Failure> {
        Ok(())
    }

    fn decide(&self, args: &Args, (): (), context: &dyn Context) -> Result<Decision, Failure> {
        let Call { before, words } = shell_call(args.str("executable").unwrap_or("/bin/sh"), args.required("_raw_params")?, context);
        let skipped = Outcome { skipped: true, ..Outcome::default() };
        Ok(Change::new(Outcome::changed(), Script::new(format!("{before}exec {words}\n"))).finish(finish).in_check_mode(skipped).into())
    }
}

/// Shared with `script`: the output as it came, and the status.
pub fn finish(output: &Output, mut outcome: Outcome) -> Result<Outcome, Failure> {
    let mut data = result::texts(&output.stdout_text(), &output.stderr_text());
    data.insert("rc".to_owned(), output.status.into());
    if output.success() {
        outcome.data = data;
        return Ok(outcome);
    }
    let mut failure = Failure::new("non-zero return code");
    failure.data = data;
    Err(failure.with("changed", true))
}
