//! The services of the host, as `ansible_facts.services`: state and status by the unit's full name.
//!
//! ```yaml
//! - service_facts:
//! - assert: { that: "ansible_facts.services['containerd.service'].state == 'running'" }
//! ```

use crate::module::{Args, Context, Decision, Failure, FreeForm, Module, Outcome, Spec};
use crate::sh::{Output, Script};
use serde_json::{Map, Value as Json, json};

/// `ansible.builtin.service_facts`
pub struct ServiceFacts;

static SPEC: Spec = Spec { name: "ansible.builtin.service_facts", aliases: &[], params: &[], free_form: FreeForm::None };

impl Module for ServiceFacts {
    type State = Map<String, Json>;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, _args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        Ok(Some(Script::new(PROBE)))
    }

    fn read(&self, _args: &Args, output: &Output) -> Result<Self::State, Failure> {
        if !output.success() {
            return Err(Failure::script("listing services", output));
        }
        let mut services = Map::new();
        let about = |name: &str, state: &str, status: &str| json!({"name": name, "state": state, "status": status, "source": "systemd"});
        let mut section = "";
        let mut asked = Vec::new();
        let mut answers = Vec::new();
        let stdout = output.stdout_text();
        for line in stdout.lines() {
            if let Some(name) = line.strip_prefix("section ") {
                section = name;
                continue;
            }
            let fields: Vec<_> = line.split_whitespace().collect();
            match (section, &fields[..]) {
                // Among all fields but the last: what systemd could not load is said in more than one of them.
                ("units", [name, _, active, sub, ..]) if name.contains(".service") => {
                    let said = &fields[..fields.len() - 1];
                    let status = BAD.iter().find(|bad| said.contains(bad)).copied().unwrap_or(active);
                    services.insert(name.to_string(), about(name, if *sub == "running" { "running" } else { "stopped" }, status));
                }
                ("files", [name, status, ..]) if name.contains(".service") => match services.get_mut(*name) {
                    None => drop(services.insert(name.to_string(), about(name, "unknown", status))),
                    Some(known) if known["status"].as_str().is_some_and(|status| BAD.contains(&status)) => {}
                    Some(known) => known["status"] = Json::from(*status),
                },
                ("asked", names) => asked.extend(names.iter().map(ToString::to_string)),
                ("states", [state]) => answers.extend(state.strip_prefix("ActiveState=").map(str::to_owned)),
                _ => {}
            }
        }
        if asked.len() == answers.len() {
            for (name, state) in asked.iter().zip(answers) {
                if let Some(known) = services.get_mut(name) {
                    known["state"] = state.into();
                }
            }
        }
        Ok(services)
    }

    fn decide(&self, _args: &Args, services: Self::State, _context: &dyn Context) -> Result<Decision, Failure> {
        let mut outcome = Outcome::unchanged();
        outcome.facts.insert("services".into(), services.into());
        Ok(outcome.into())
    }
}

const BAD: &[&str] = &["not-found", "masked", "failed"];

/// Units that systemd has not loaded are asked for their state, all in one call; templates have none.
const PROBE: &str = r#"export LC_ALL=C SYSTEMD_COLORS=0
command -v systemctl >/dev/null || { echo "Failed to find any services: there is no systemctl" >&2; exit 1; }
units=$(systemctl list-units --no-pager --no-legend --type service --all --plain) || exit 1
files=$(systemctl list-unit-files --no-pager --no-legend --type service --all) || exit 1
printf 'section units\n%s\nsection files\n%s\nsection asked\n' "$units" "$files"
loaded=" $(printf '%s\n' "$units" | awk '{ printf "%s ", $1 }')"
set --
for name in $(printf '%s\n' "$files" | awk '{ print $1 }'); do
  case $name in *@.service | '') continue ;; esac
  case $loaded in *" $name "*) ;; *) set -- "$@" "$name" ;; esac
done
[ $# -eq 0 ] || { echo "$*"; echo "section states"; systemctl show --property=ActiveState -- "$@"; }
exit 0
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::trial::{Controller, decide};

    #[test]
    fn joins_units_and_their_files() {
        let probe = "section units\nssh.service loaded active running OpenBSD Secure Shell server\nauditd.service not-found inactive dead auditd.service\ncron.service loaded inactive dead Cron\n\
            section files\nssh.service enabled enabled\nautovt@.service alias -\ncron.service disabled enabled\nrsync.service disabled enabled\nsection asked\nrsync.service\nsection states\nActiveState=inactive\n";
        let Ok(Decision::Unchanged(outcome)) = decide(&ServiceFacts, json!({}), probe, &Controller::default()) else { panic!("a read that failed") };
        let services = outcome.facts["services"].as_object().unwrap();
        let pairs: Vec<_> = services.values().map(|one| [&one["name"], &one["state"], &one["status"]].map(|value| value.as_str().unwrap_or("?")).join(" ")).collect();
        assert_eq!(pairs, ["ssh.service running enabled", "auditd.service stopped not-found", "cron.service stopped disabled", "autovt@.service unknown alias", "rsync.service inactive disabled"]);
    }
}
