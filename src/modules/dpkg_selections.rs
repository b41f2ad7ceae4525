//! What dpkg is to do with a package from now on: `hold` keeps it at its version.
//!
//! ```yaml
//! - dpkg_selections: { name: kubelet, selection: hold }
//! ```
//!
//! Returns `before` and `after`. dpkg's lock is waited for, as in `apt`.

use crate::module::{Args, Change, Context, Decision, Diff, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::modules::apt::lock::WAIT_FOR_LOCKS;
use crate::sh::{Output, Script, quote};

/// `ansible.builtin.dpkg_selections`
pub struct DpkgSelections;

static SPEC: Spec = Spec {
    name: "ansible.builtin.dpkg_selections",
    aliases: &[],
    params: &[Param::str("name").required(), Param::str("selection").required().choices(&["install", "hold", "deinstall", "purge"])],
    free_form: FreeForm::None,
};

impl Module for DpkgSelections {
    /// The selection as it is.
    type State = String;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        Ok(Some(Script::new(format!("LC_ALL=C dpkg --get-selections {}\n", quote(args.required("name")?)))))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<String, Failure> {
        if output.stderr_text().contains("no packages found matching") {
            let (name, selection) = (args.required("name")?, args.required("selection")?);
            return Err(Failure::argument("name", format!("Failed to find package '{name}' to perform selection '{selection}'.")));
        }
        if !output.success() {
            return Err(Failure::script("dpkg --get-selections", output));
        }
        Ok(output.stdout_text().split_whitespace().nth(1).unwrap_or("not present").to_owned())
    }

    fn decide(&self, args: &Args, before: String, _context: &dyn Context) -> Result<Decision, Failure> {
        let (name, selection) = (args.required("name")?, args.required("selection")?);
        let outcome = Outcome::unchanged().with("before", before.as_str()).with("after", selection);
        if before == selection {
            return Ok(outcome.into());
        }
        let diff = Diff { before: format!("{name} {before}\n"), after: format!("{name} {selection}\n"), ..Diff::default() };
        let line = quote(&format!("{name} {selection}")).into_owned();
        let text = format!("{WAIT_FOR_LOCKS}wait_for_locks 600\nprintf '%s\\n' {line} | LC_ALL=C dpkg --set-selections\n");
        Ok(Change::new(Outcome { changed: true, ..outcome }.diff(diff), Script::new(text)).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::trial::{Controller, apply_of, args, decide, said};
    use serde_json::json;

    #[test]
    fn holds_what_is_not_held() {
        let given = json!({"name": "kubelet", "selection": "hold"});
        let decided = |probe| decide(&DpkgSelections, given.clone(), probe, &Controller::default()).unwrap();
        assert!(matches!(decided("kubelet\t\t\t\thold\n"), Decision::Unchanged(outcome) if outcome.data["before"] == "hold"));
        let (outcome, script) = apply_of(decided("kubelet\t\t\t\tinstall\n"));
        assert!(script.text.ends_with("printf '%s\\n' 'kubelet hold' | LC_ALL=C dpkg --set-selections\n"));
        assert_eq!((&outcome.data["before"], &outcome.data["after"]), (&json!("install"), &json!("hold")));
        let unknown = Output { stderr: b"dpkg: no packages found matching kubelt\n".to_vec(), ..said("") };
        let failure = DpkgSelections.read(&args(&DpkgSelections, json!({"name": "kubelt", "selection": "hold"})), &unknown).unwrap_err();
        assert_eq!(failure.message, "Failed to find package 'kubelt' to perform selection 'hold'.");
    }
}
