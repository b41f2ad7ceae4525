//! Sets the host's name, now and at boot.
//!
//! ```yaml
//! - hostname: {name: node1}
//! ```
//!
//! Under systemd through `hostnamectl`, elsewhere by `/etc/hostname` and `hostname`; `use` forces one of them. Returns `name`; the facts
//! `hostname`, `nodename`, `fqdn` and `domain` are the new ones.

use super::look::{FUNCTIONS, Fields};
use super::write_file::INTO_PLACE;
use crate::module::{Args, Change, Context, Decision, Diff, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, quote};

pub struct Hostname;

static SPEC: Spec = Spec {
    name: "ansible.builtin.hostname",
    aliases: &[],
    params: &[Param::str("name").required(), Param::str("use").choices(&["alpine", "debian", "generic", "systemd"])],
    free_form: FreeForm::None,
};

pub struct State {
    running: String,
    at_boot: String,
    has_systemd: bool,
}

impl Module for Hostname {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, _args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        Ok(Some(Script::new(format!(
            "{FUNCTIONS}n=''; read -r n < /proc/sys/kernel/hostname || n=$(hostname) || exit 1\nsay \"$n\"\n\
             n=''\nif [ -e /etc/hostname ]; then read -r n < /etc/hostname || [ -r /etc/hostname ] || exit 1; fi\nsay \"$n\"\n\
             if [ -d /run/systemd/system ] && command -v hostnamectl > /dev/null; then say 1; else say ''; fi\n"
        ))))
    }

    fn read(&self, _args: &Args, output: &Output) -> Result<State, Failure> {
        let mut fields = Fields::of("read the host's name", output)?;
        Ok(State { running: fields.text()?, at_boot: fields.text()?, has_systemd: !fields.text()?.is_empty() })
    }

    fn decide(&self, args: &Args, state: State, context: &dyn Context) -> Result<Decision, Failure> {
        let name = args.required("name")?;
        let is_name = !name.is_empty() && name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
        if !is_name {
            return Err(Failure::argument("name", format!("`{name}` cannot be a host's name")));
        }
        let changed = state.running != name || state.at_boot != name;
        let mut outcome = Outcome { changed, ..Outcome::default() }.with("name", name);
        let (short, domain) = name.split_once('.').unwrap_or((name, ""));
        for (fact, value) in [("hostname", short), ("nodename", name), ("fqdn", name), ("domain", domain)] {
            outcome.facts.insert(format!("ansible_{fact}"), value.into());
        }
        if !changed {
            return Ok(outcome.into());
        }
        if context.diff_mode() {
            let before = if state.at_boot == name { &state.running } else { &state.at_boot };
            let shown = |name: &str| format!("hostname = {name}\n");
            outcome = outcome.diff(Diff { before: shown(before), after: shown(name), ..Diff::default() });
        }
        let by_systemd = args.str("use").map_or(state.has_systemd, |method| method == "systemd");
        let word = quote(name);
        let script = if by_systemd {
            // Each by itself: all at once would set the pretty name too.
            format!("hostnamectl --static set-hostname {word} && hostnamectl --transient set-hostname {word}\n")
        } else {
            format!(
                "{INTO_PLACE}umask 022\nprintf '%s\\n' {word} > /etc/hostname.new && into_place /etc/hostname.new /etc/hostname && hostname {word}\n"
            )
        };
        let doing = format!("name the host {name}");
        let finish = move |output: &Output, outcome| if output.success() { Ok(outcome) } else { Err(Failure::script(&doing, output)) };
        Ok(Change::new(outcome, Script::new(script)).finish(finish).into())
    }
}
