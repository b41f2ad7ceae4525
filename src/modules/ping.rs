//! Answers `pong`: the host can be reached and has a shell that runs scripts.
//!
//! ```yaml
//! - ping: { data: crash }   # fails on purpose
//! ```

use crate::module::{Args, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script};

/// `ansible.builtin.ping`
pub struct Ping;

static SPEC: Spec =
    Spec { name: "ansible.builtin.ping", aliases: &[], params: &[Param::str("data").default("pong")], free_form: FreeForm::None };

impl Module for Ping {
    type State = ();

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, _args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        Ok(Some(Script::new("echo pong\n")))
    }

    fn read(&self, _args: &Args, output: &Output) -> Result<(), Failure> {
        if output.success() && output.stdout_text().trim() == "pong" {
            Ok(())
        } else {
            Err(Failure::script("asking for an answer", output))
        }
    }

    fn decide(&self, args: &Args, (): (), _context: &dyn Context) -> Result<Decision, Failure> {
        match args.str("data") {
            Some("crash") => Err(Failure::new("Task failed: Module failed: boom")),
            data => Ok(Outcome::unchanged().with("ping", data).into()),
        }
    }
}
