//! The packages that are installed, as `ansible_facts.packages`: a list of versions by name.
//!
//! ```yaml
//! - package_facts:
//! - debug: { var: ansible_facts.packages.kubelet[0].version }
//! ```
//!
//! Reads dpkg's database; where a package came from (`origin`) is not in it and not told.

use crate::module::{Args, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script};
use serde_json::{Map, Value as Json, json};

/// `ansible.builtin.package_facts`
pub struct PackageFacts;

static SPEC: Spec = Spec {
    name: "ansible.builtin.package_facts",
    aliases: &[],
    params: &[
        Param::list("manager").default("auto").choices(&["auto", "apt"]),
        Param::str("strategy").default("first").choices(&["first", "all"]),
    ],
    free_form: FreeForm::None,
};

impl Module for PackageFacts {
    type State = Map<String, Json>;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, _args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        let query = "dpkg-query -W -f '${db:Status-Abbrev}\\t${Package}\\t${Version}\\t${Architecture}\\t${Section}\\n'";
        let text = format!("command -v dpkg-query >/dev/null || {{ echo 'Could not detect a supported package manager: there is no dpkg' >&2; exit 1; }}\nLC_ALL=C exec {query}\n");
        Ok(Some(Script::new(text)))
    }

    fn read(&self, _args: &Args, output: &Output) -> Result<Self::State, Failure> {
        if !output.success() {
            return Err(Failure::script("listing packages", output));
        }
        let mut packages = Map::new();
        for line in output.stdout_text().lines() {
            let fields: Vec<_> = line.split('\t').collect();
            let [state, name, version, architecture, section] = fields[..] else { continue };
            if matches!(state.chars().nth(1), Some('n' | 'c') | None) {
                continue;
            }
            let about = json!({"name": name, "version": version, "arch": architecture, "category": section, "source": "apt"});
            if let Json::Array(list) = packages.entry(name).or_insert_with(|| json!([])) {
                list.push(about);
            }
        }
        Ok(packages)
    }

    fn decide(&self, _args: &Args, packages: Self::State, _context: &dyn Context) -> Result<Decision, Failure> {
        let mut outcome = Outcome::unchanged();
        outcome.facts.insert("packages".into(), packages.into());
        Ok(outcome.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::trial::{Controller, decide};

    #[test]
    fn lists_what_is_installed() {
        let probe = "ii \tlibc6\t2.36-9\tamd64\tlibs\nii \tlibc6\t2.36-9\ti386\tlibs\nrc \tvim\t9.0\tamd64\teditors\nhi \tjq\t1.6\tamd64\tutils\n";
        let Ok(Decision::Unchanged(outcome)) = decide(&PackageFacts, json!({"manager": "auto"}), probe, &Controller::default()) else { panic!("a read that failed") };
        let packages = &outcome.facts["packages"];
        assert_eq!(packages["jq"], json!([{"name": "jq", "version": "1.6", "arch": "amd64", "category": "utils", "source": "apt"}]));
        assert_eq!((packages["libc6"].as_array().map(Vec::len), packages.get("vim")), (Some(2), None));
    }
}
