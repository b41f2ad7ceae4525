//! Services and other units: started or stopped, enabled at boot or not, masked.
//!
//! ```yaml
//! - systemd: { name: kubelet, state: started, enabled: true, daemon_reload: true }
//! ```
//!
//! `service` does the same where systemd runs the host, as in Ansible; on other hosts it refuses. Returns `name`, `state`, `enabled` and `status`,
//! what `systemctl show` says of the unit. A `daemon_reload` is always made and is no change. A name that is only an alias is
//! enabled and disabled under its own name, which is what systemctl wants.

use crate::module::{Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, quote};
use serde_json::{Map, Value as Json};

/// `ansible.builtin.systemd_service`, also called `systemd`.
pub struct Systemd;
/// `ansible.builtin.service`
pub struct Service;

static SYSTEMD: Spec = Spec {
    name: "ansible.builtin.systemd_service",
    aliases: &["ansible.builtin.systemd"],
    params: &[
        Param::str("name").alias(&["service", "unit"]),
        Param::str("state").choices(&["reloaded", "restarted", "started", "stopped"]),
        Param::bool("enabled"),
        Param::bool("force"),
        Param::bool("masked"),
        Param::bool("daemon_reload").default("false").alias(&["daemon-reload"]),
        Param::bool("daemon_reexec").default("false").alias(&["daemon-reexec"]),
        Param::str("scope").default("system").choices(&["system", "user", "global"]),
        Param::bool("no_block").default("false"),
    ],
    free_form: FreeForm::None,
};

static SERVICE: Spec = Spec {
    name: "ansible.builtin.service",
    aliases: &[],
    params: &[
        Param::str("name").required().alias(&["service", "unit"]),
        Param::str("state").choices(&["reloaded", "restarted", "started", "stopped"]),
        Param::bool("enabled"),
        Param::bool("force"),
        Param::bool("masked"),
        Param::bool("daemon_reload").default("false").alias(&["daemon-reload"]),
        Param::bool("daemon_reexec").default("false").alias(&["daemon-reexec"]),
        Param::str("scope").default("system").choices(&["system", "user", "global"]),
        Param::bool("no_block").default("false"),
        Param::str("use").default("auto").choices(&["auto", "systemd", "ansible.builtin.systemd", "ansible.legacy.systemd"]),
        Param::str("arguments").alias(&["args"]),
        Param::str("pattern"),
        Param::str("runlevel"),
        Param::int("sleep"),
    ],
    free_form: FreeForm::None,
};

impl Module for Systemd {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SYSTEMD
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        probe(args)
    }

    fn read(&self, args: &Args, output: &Output) -> Result<State, Failure> {
        read(args, output)
    }

    fn decide(&self, args: &Args, state: State, context: &dyn Context) -> Result<Decision, Failure> {
        decide(args, state, context, Vec::new())
    }
}

impl Module for Service {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SERVICE
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        probe(args)
    }

    fn read(&self, args: &Args, output: &Output) -> Result<State, Failure> {
        read(args, output)
    }

    fn decide(&self, args: &Args, state: State, context: &dyn Context) -> Result<Decision, Failure> {
        let unused = ["arguments", "pattern", "runlevel", "sleep"].into_iter().filter(|name| args.has(name));
        let warnings = unused.map(|name| format!("Ignoring \"{name}\" as it is not used in \"systemd\"")).collect();
        decide(args, state, context, warnings)
    }
}

/// What systemd says of a unit.
#[derive(Debug, Default)]
pub struct State {
    /// Of `is-enabled`: `enabled`, `static`, `alias` ...; empty where there is no such unit file.
    enabled: String,
    /// `/etc/init.d` has a script of that name, and a runlevel starts it.
    has_init_script: bool,
    starts_init_script: bool,
    /// Of `systemctl show`; empty where systemd does not run (a chroot).
    show: Map<String, Json>,
    /// Why `show` gave nothing.
    trouble: String,
}

fn probe(args: &Args) -> Result<Option<Script>, Failure> {
    if !["state", "enabled", "masked"].iter().any(|name| args.has(name)) && !args.is("daemon_reload") && !args.is("daemon_reexec") {
        return Err(Failure::new("one of the following is required: state, enabled, masked, daemon_reload, daemon_reexec"));
    }
    let Some(name) = args.str("name") else {
        return match ["state", "enabled", "masked"].into_iter().find(|name| args.has(name)) {
            Some(needy) => Err(Failure::argument(needy, format!("missing parameter(s) required by '{needy}': name"))),
            None => Ok(None),
        };
    };
    if let Some(c) = ['*', '?', '['].into_iter().find(|c| name.contains(*c)) {
        let message = format!("This module does not currently support using glob patterns, found '{c}' in service name: {name}");
        return Err(Failure::argument("name", message));
    }
    let (systemctl, unit) = (systemctl(args), quote(name));
    let script = quote(name.strip_suffix(".service").unwrap_or(name)).into_owned();
    // Of a name that is an alias, the unit itself is asked: only that one can be enabled.
    Ok(Some(Script::new(format!(
        r#"{PRELUDE}enabled=$({systemctl} is-enabled -- {unit} 2>/dev/null)
if [ "$enabled" = alias ]; then
  id=$({systemctl} show -p Id -- {unit} 2>/dev/null)
  [ -z "${{id#Id=}}" ] || enabled=$({systemctl} is-enabled -- "${{id#Id=}}" 2>/dev/null)
fi
printf 'enabled %s\n' "$enabled"
if [ -f /etc/init.d/{script} ]; then
  echo script
  for link in /etc/rc[2-5S].d/S??{script}; do [ ! -e "$link" ] || {{ echo starts; break; }}; done
fi
echo show
{systemctl} show -- {unit} 2>&1
echo "status $?"
"#
    ))))
}

/// `--user` needs to know where the user's own systemd is.
const PRELUDE: &str = r#"export LC_ALL=C SYSTEMD_PAGER= SYSTEMD_COLORS=0
[ -n "$XDG_RUNTIME_DIR" ] || export XDG_RUNTIME_DIR="/run/user/${nw_uid:-$(id -u)}"
command -v systemctl >/dev/null || { echo "no systemctl here: this host is not run by systemd" >&2; exit 1; }
"#;

fn systemctl(args: &Args) -> String {
    match args.str("scope") {
        Some("user") => "systemctl --user".to_owned(),
        Some("global") => "systemctl --global".to_owned(),
        _ => "systemctl".to_owned(),
    }
}

fn read(args: &Args, output: &Output) -> Result<State, Failure> {
    let mut state = State::default();
    if !args.has("name") {
        return Ok(state);
    }
    let stdout = output.stdout_text();
    let whole = stdout.split_once("\nshow\n").and_then(|(first, rest)| Some((first, rest.rsplit_once("status ")?)));
    let Some((first, (shown, status))) = whole.filter(|_| output.success()) else {
        return Err(Failure::script("asking systemd", output));
    };
    for line in first.lines() {
        match line.split_once(' ') {
            Some(("enabled", text)) => state.enabled = text.to_owned(),
            _ if line == "script" => state.has_init_script = true,
            _ if line == "starts" => state.starts_init_script = true,
            _ => {}
        }
    }
    let was_ignored = shown.contains("ignoring request") || shown.contains("ignoring command");
    if status.trim() == "0" && !was_ignored {
        state.show = parse_show(shown);
    } else {
        state.trouble = shown.trim().to_owned();
    }
    Ok(state)
}

/// `Key=value` lines; the value of an `Exec...` in braces may go over several.
fn parse_show(shown: &str) -> Map<String, Json> {
    let mut status = Map::new();
    let mut open: Option<(String, String)> = None;
    for line in shown.lines() {
        if let Some((key, mut value)) = open.take() {
            value.push('\n');
            value.push_str(line);
            if line.trim_end().ends_with('}') {
                status.insert(key, value.trim().into());
            } else {
                open = Some((key, value));
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        if key.starts_with("Exec") && value.trim_start().starts_with('{') && !value.trim_end().ends_with('}') {
            open = Some((key.to_owned(), value.to_owned()));
        } else {
            status.insert(key.to_owned(), value.trim().into());
        }
    }
    status
}

impl State {
    fn shown(&self, key: &str) -> &str {
        self.show.get(key).and_then(Json::as_str).unwrap_or_default()
    }

    fn is_found(&self) -> bool {
        let is_loaded = !matches!(self.shown("LoadState"), "" | "not-found");
        is_loaded || self.has_init_script || !matches!(self.enabled.as_str(), "" | "not-found")
    }

    fn is_running(&self) -> bool {
        matches!(self.shown("ActiveState"), "active" | "activating")
    }

    /// What may be said to be enabled. `static` counts: it cannot be more so. Of `indirect` and `enabled-runtime` more can be asked.
    fn is_enabled(&self, scope: &str) -> bool {
        match self.enabled.as_str() {
            "enabled" | "static" | "generated" | "transient" => true,
            "" | "disabled" => scope == "system" && self.has_init_script && self.enabled.is_empty() && self.starts_init_script,
            _ => false,
        }
    }
}

/// One systemctl, and what to say when it fails.
struct Step {
    call: String,
    failed: String,
}

fn decide(args: &Args, state: State, context: &dyn Context, warnings: Vec<String>) -> Result<Decision, Failure> {
    let name = args.str("name");
    let scope = args.str("scope").unwrap_or("system");
    let mut systemctl = systemctl(args);
    if args.is("no_block") {
        systemctl += " --no-block";
    }
    if args.is("force") {
        systemctl += " --force";
    }
    let mut outcome = Outcome { warnings, ..Outcome::default() }.with("name", name).with("status", state.show.clone());
    let mut steps = Vec::new();
    for (parameter, verb) in [("daemon_reload", "daemon-reload"), ("daemon_reexec", "daemon-reexec")] {
        if args.is(parameter) && !context.check_mode() {
            // In a chroot there is no manager to reload: no reason to fail.
            let call = format!("{systemctl} {verb}");
            steps.push(Step { call, failed: format!("failure during {verb}") });
        }
    }
    if let Some(name) = name {
        let is_masked = state.enabled == "masked" || state.enabled == "masked-runtime";
        if state.is_found() && state.shown("LoadState") == "error" {
            return Err(Failure::new(format!("Error loading unit file '{name}': {}", state.shown("LoadError"))));
        }
        let unit = quote(name);
        let own = if state.shown("Id").is_empty() { unit.clone() } else { quote(state.shown("Id")) };
        if let Some(masked) = args.bool("masked")
            && masked != is_masked
        {
            outcome.changed = true;
            let verb = if masked { "mask" } else { "unmask" };
            steps.push(Step { call: format!("{systemctl} {verb} -- {unit}"), failed: format!("Failed to {verb} the service ({name})") });
        }
        if (args.has("enabled") || args.has("state")) && !state.is_found() {
            return Err(Failure::new(format!("Could not find the requested service {name}: host")));
        }
        if let Some(enabled) = args.bool("enabled") {
            if enabled != state.is_enabled(scope) {
                outcome.changed = true;
                let verb = if enabled { "enable" } else { "disable" };
                steps.push(Step { call: format!("{systemctl} {verb} -- {own}"), failed: format!("Unable to {verb} service {name}") });
            }
            outcome = outcome.with("enabled", enabled);
        }
        if let Some(wanted) = args.str("state") {
            outcome = outcome.with("state", if matches!(wanted, "restarted" | "reloaded") { "started" } else { wanted });
            if state.show.is_empty() {
                outcome.warnings.push(format!("systemd does not run here, the state of {name} stays as it is: {}", state.trouble));
            } else if let Some(verb) = verb_for(wanted, &state) {
                outcome.changed = true;
                steps.push(Step { call: format!("{systemctl} {verb} -- {unit}"), failed: format!("Unable to {verb} service {name}") });
            }
        }
    }
    if steps.is_empty() {
        return Ok(outcome.into());
    }
    let mut text = PRELUDE.to_owned();
    for (n, step) in steps.iter().enumerate() {
        text += &format!("{} || exit {}\n", step.call, FIRST_STATUS + n);
    }
    let failed: Vec<_> = steps.into_iter().map(|step| step.failed).collect();
    let finish = move |output: &Output, outcome: Outcome| {
        if output.success() {
            return Ok(outcome);
        }
        let step = usize::try_from(output.status).ok().and_then(|status| failed.get(status.checked_sub(FIRST_STATUS)?));
        let said = format!("{}{}", output.stdout_text(), output.stderr_text());
        match step {
            Some(step) if step.ends_with("daemon-reload") && said.contains("chroot") => Ok(outcome),
            Some(step) => Err(Failure::new(format!("{step}: {}", said.trim()))),
            None => Err(Failure::script("systemctl", output)),
        }
    };
    Ok(Change::new(outcome, Script::new(text)).finish(finish).into())
}

/// The status with which the first step's failure ends the script: none that a shell gives.
const FIRST_STATUS: usize = 40;

fn verb_for(wanted: &str, state: &State) -> Option<&'static str> {
    let is_running = state.is_running();
    match wanted {
        "started" => (!is_running).then_some("start"),
        "stopped" => (is_running || state.shown("ActiveState") == "deactivating").then_some("stop"),
        _ if !is_running => Some("start"),
        "restarted" => Some("restart"),
        _ => Some("reload"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::trial::{Controller, apply_of, decide};
    use serde_json::json;

    const SSH: &str = include_str!("../../tests/modules/recorded/systemd-ssh.debian-12");
    const NONE: &str = "enabled \nshow\nLoadState=not-found\nActiveState=inactive\nstatus 0\n";

    fn steps(given: Json, probe: &str) -> Result<(Outcome, Vec<String>), String> {
        let decision = decide(&Systemd, given, probe, &Controller::default()).map_err(|failure| failure.message)?;
        let Decision::Change(_) = &decision else {
            let Decision::Unchanged(outcome) = decision else { unreachable!() };
            return Ok((outcome, Vec::new()));
        };
        let (outcome, script) = apply_of(decision);
        let calls = script
            .text
            .lines()
            .filter(|line| line.starts_with("systemctl"))
            .map(|line| line.split(" ||").next().unwrap_or(line).to_owned());
        Ok((outcome, calls.collect()))
    }

    #[test]
    fn changes_only_what_differs() {
        let (outcome, calls) = steps(json!({"name": "ssh", "state": "started", "enabled": true}), SSH).unwrap();
        assert!(!outcome.changed && calls.is_empty());
        assert_eq!(
            (&outcome.data["state"], &outcome.data["enabled"], &outcome.data["status"]["Id"]),
            (&json!("started"), &json!(true), &json!("ssh.service"))
        );
        let (outcome, calls) = steps(
            json!({"name": "sshd", "state": "stopped", "enabled": false, "masked": true, "daemon_reload": true, "no_block": true}),
            SSH,
        )
        .unwrap();
        assert!(outcome.changed);
        assert_eq!(
            calls,
            [
                "systemctl --no-block daemon-reload",
                "systemctl --no-block mask -- sshd",
                "systemctl --no-block disable -- ssh.service",
                "systemctl --no-block stop -- sshd"
            ]
        );
        assert_eq!(steps(json!({"name": "ssh", "state": "reloaded"}), SSH).unwrap().1, ["systemctl reload -- ssh"]);
        let (outcome, calls) = steps(json!({"daemon_reload": true}), "").unwrap();
        assert!(!outcome.changed && calls == ["systemctl daemon-reload"]);
    }

    #[test]
    fn says_that_there_is_no_such_unit() {
        assert_eq!(
            steps(json!({"name": "nope", "state": "stopped"}), NONE).unwrap_err(),
            "Could not find the requested service nope: host"
        );
        assert_eq!(steps(json!({"name": "nope", "masked": true}), NONE).unwrap().1, ["systemctl mask -- nope"]);
        let from_disk = NONE.replace("enabled \n", "enabled disabled\n");
        assert_eq!(
            steps(json!({"name": "kubelet", "enabled": true, "scope": "user"}), &from_disk).unwrap().1,
            ["systemctl --user enable -- kubelet"]
        );
        let args = crate::modules::trial::args(&Systemd, json!({"state": "started"}));
        assert_eq!(probe(&args).unwrap_err().message, "missing parameter(s) required by 'state': name");
    }

    #[test]
    fn knows_the_states_of_unit_files() {
        for (enabled, expected) in
            [("static", true), ("indirect", false), ("enabled-runtime", false), ("generated", true), ("masked", false)]
        {
            assert_eq!(State { enabled: enabled.into(), ..State::default() }.is_enabled("system"), expected, "{enabled}");
        }
        let show = parse_show("ExecStart={ path=/bin/a ; argv[]=/bin/a\n -x ; }\nId=a.service\n");
        assert_eq!(Json::Object(show), json!({"ExecStart": "{ path=/bin/a ; argv[]=/bin/a\n -x ; }", "Id": "a.service"}));
    }
}
