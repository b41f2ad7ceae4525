//! Waits on the host until a port or a file is there, or gone, or has what is looked for.
//!
//! ```yaml
//! - wait_for: { port: 6443, host: 10.0.0.10, timeout: 120 }
//! - wait_for: { path: /var/run/crio/crio.sock }
//! ```
//!
//! What is true already costs no waiting. The host looks with what it has: `/proc/net/tcp` for its own ports, and `bash`, `nc` or `curl` to
//! connect; where it has none of these the task is refused. Returns `elapsed`, `match_groups`, `match_groupdict`.

mod script;

use crate::module::{Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::python::regex::{self, Flags, Pattern};
use crate::sh::{Output, Script};
use serde_json::{Map, Value as Json};

/// `ansible.builtin.wait_for`
pub struct WaitFor;

static SPEC: Spec = Spec {
    name: "ansible.builtin.wait_for",
    aliases: &[],
    params: &[
        Param::str("host").default("127.0.0.1"),
        Param::int("port"),
        Param::path("path"),
        Param::str("state").default("started").choices(&["absent", "drained", "present", "started", "stopped"]),
        Param::int("timeout").default("300"),
        Param::int("connect_timeout").default("5"),
        Param::int("delay").default("0"),
        Param::int("sleep").default("1"),
        Param::str("search_regex"),
        Param::list("active_connection_states").default("ESTABLISHED,FIN_WAIT1,FIN_WAIT2,SYN_RECV,SYN_SENT,TIME_WAIT"),
        Param::list("exclude_hosts"),
        Param::str("msg"),
    ],
    free_form: FreeForm::None,
};

/// Whether the condition holds already, and what the search found.
#[derive(Debug)]
pub struct State {
    is_met: bool,
    found: String,
}

impl Module for WaitFor {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, context: &dyn Context) -> Result<Option<Script>, Failure> {
        check_arguments(args)?;
        if context.check_mode() || args.int("delay") != Some(0) || !has_condition(args) {
            return Ok(None);
        }
        Ok(Some(Script::new(script::once(args)?)))
    }

    fn read(&self, _args: &Args, output: &Output) -> Result<State, Failure> {
        let stdout = output.stdout_text();
        let is_met = match stdout.lines().last() {
            Some("met") => true,
            Some("waiting") | None if output.success() => false,
            _ => return Err(Failure::new(output.stderr_text().trim())),
        };
        Ok(State { is_met, found: found(&stdout) })
    }

    fn decide(&self, args: &Args, state: State, context: &dyn Context) -> Result<Decision, Failure> {
        check_arguments(args)?;
        if context.check_mode() {
            let skipped = Outcome { skipped: true, ..Outcome::default() };
            return Ok(skipped.with("msg", "remote module (ansible.builtin.wait_for) does not support check mode").into());
        }
        let mut outcome = Outcome::unchanged();
        for name in ["state", "port", "path", "search_regex"] {
            outcome = outcome.with(name, args.get(name).cloned().unwrap_or_default());
        }
        let regex = args.str("search_regex").map(str::to_owned);
        if state.is_met {
            return Ok(matched(outcome, regex.as_deref(), &state.found)?.with("elapsed", 0).into());
        }
        let timed_out = timed_out(args);
        let finish = move |output: &Output, outcome: Outcome| {
            let stdout = output.stdout_text();
            let elapsed = stdout.lines().rev().find_map(|line| line.strip_prefix("elapsed ")?.parse::<i64>().ok());
            match elapsed {
                Some(elapsed) if output.success() => Ok(matched(outcome, regex.as_deref(), &found(&stdout))?.with("elapsed", elapsed)),
                Some(elapsed) => Err(Failure::new(timed_out).with("elapsed", elapsed)),
                None => Err(Failure::script("waiting", output)),
            }
        };
        Ok(Change::new(outcome, Script::new(script::until(args)?)).finish(finish).into())
    }
}

fn has_condition(args: &Args) -> bool {
    args.has("path") || args.int("port").is_some_and(|port| port != 0) || args.str("state") == Some("drained")
}

fn check_arguments(args: &Args) -> Result<(), Failure> {
    let state = args.str("state").unwrap_or_default();
    let refuse = |name: &str, message: &str| Err(Failure::argument(name, message).with("elapsed", 0));
    if args.has("port") && args.has("path") {
        return refuse("path", "port and path parameter can not both be passed to wait_for");
    }
    if args.has("path") && matches!(state, "stopped" | "drained") {
        return refuse("state", &format!("state={state} should only be used for checking a port in the wait_for module"));
    }
    if args.has("exclude_hosts") && state != "drained" {
        return refuse("exclude_hosts", "exclude_hosts should only be with state=drained");
    }
    if let Some(regex) = args.str("search_regex")
        && let Err(error) = pattern(regex)
    {
        return refuse("search_regex", &error.to_string());
    }
    Ok(())
}

/// What the search printed, between its own lines.
fn found(stdout: &str) -> String {
    let inside = stdout.split_once("found\n").and_then(|(_, rest)| rest.rsplit_once("\nend found"));
    inside.map(|(text, _)| text.to_owned()).unwrap_or_default()
}

fn pattern(regex: &str) -> Result<Pattern, regex::Error> {
    Pattern::new(regex, Flags { multiline: true, ..Flags::default() })
}

fn matched(outcome: Outcome, regex: Option<&str>, found: &str) -> Result<Outcome, Failure> {
    let mut groups = Vec::new();
    let mut named = Map::new();
    if let Some(regex) = regex.map(pattern).transpose()?
        && let Some(captures) = regex.search(found)?
    {
        let text = |n: usize| captures.get(n).map_or(Json::Null, |group| group.as_str().into());
        groups = (1..captures.len()).map(text).collect();
        for (n, name) in regex.groups().enumerate() {
            named.extend(name.map(|name| (name.to_owned(), text(n))));
        }
    }
    Ok(outcome.with("match_groups", groups).with("match_groupdict", named))
}

fn timed_out(args: &Args) -> String {
    if let Some(own) = args.str("msg") {
        return own.to_owned();
    }
    let place = || format!("{}:{}", args.str("host").unwrap_or_default(), args.int("port").unwrap_or_default());
    match (args.str("state").unwrap_or_default(), args.str("path"), args.str("search_regex")) {
        ("absent" | "stopped", Some(path), _) => format!("Timeout when waiting for {path} to be absent."),
        ("absent" | "stopped", None, _) => format!("Timeout when waiting for {} to stop.", place()),
        ("drained", ..) => format!("Timeout when waiting for {} to drain", place()),
        (_, Some(path), Some(regex)) => format!("Timeout when waiting for search string {regex} in {path}"),
        (_, None, Some(regex)) => format!("Timeout when waiting for search string {regex} in {}", place()),
        (_, Some(path), None) => format!("Timeout when waiting for file {path}"),
        (_, None, None) => format!("Timeout when waiting for {}", place()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::trial::{Controller, args, shells, task};
    use serde_json::json;
    use std::io::Write;

    fn wait(shell: &[&str], given: Json) -> Result<Outcome, Failure> {
        task(shell, &WaitFor, given, &Controller::default())
    }

    #[test]
    fn sees_ports_and_files_come_and_go() {
        for shell in shells() {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            assert_eq!(wait(shell, json!({"port": port})).unwrap().data["elapsed"], 0, "{shell:?}");
            assert_eq!(wait(shell, json!({"port": port, "state": "drained", "host": "127.0.0.1"})).unwrap().data["elapsed"], 0);
            let failure = wait(shell, json!({"port": port, "state": "stopped", "timeout": 0})).unwrap_err();
            assert_eq!(failure.message, format!("Timeout when waiting for 127.0.0.1:{port} to stop."), "{shell:?}");
            drop(listener);
            assert!(wait(shell, json!({"port": port, "state": "stopped"})).is_ok());
            let failure = wait(shell, json!({"port": port, "timeout": 0, "msg": "no server"})).unwrap_err();
            assert_eq!(failure.message, "no server");
            let path = tempfile::NamedTempFile::new().unwrap();
            writeln!(path.as_file(), "a\nversion 1.36.2 ready\n").unwrap();
            let text = path.path().to_str().unwrap();
            let outcome =
                wait(shell, json!({"path": text, "search_regex": "^version (?P<minor>\\d+\\.\\d+)\\.(\\d)", "timeout": 2})).unwrap();
            assert_eq!(
                (&outcome.data["match_groups"], &outcome.data["match_groupdict"]),
                (&json!(["1.36", "2"]), &json!({"minor": "1.36"})),
                "{shell:?}"
            );
            assert!(wait(shell, json!({"path": text, "search_regex": "^nope", "timeout": 0})).is_err());
            assert!(wait(shell, json!({"path": format!("{text}.gone"), "state": "absent"})).is_ok());
        }
    }

    #[test]
    fn reads_what_a_server_says() {
        for shell in shells() {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = std::thread::spawn(move || drop(listener.accept().unwrap().0.write_all(b"SSH-2.0-OpenSSH_9.2\r\n")));
            let outcome = wait(shell, json!({"port": port, "search_regex": "OpenSSH_([0-9.]+)", "timeout": 5})).unwrap();
            assert_eq!(outcome.data["match_groups"], json!(["9.2"]), "{shell:?}");
            server.join().unwrap();
        }
    }

    #[test]
    fn refuses_what_contradicts_itself() {
        let refused = |given| WaitFor.probe(&args(&WaitFor, given), &Controller::default()).unwrap_err().message;
        assert_eq!(refused(json!({"path": "/x", "port": 1})), "port and path parameter can not both be passed to wait_for");
        assert_eq!(
            refused(json!({"path": "/x", "state": "drained"})),
            "state=drained should only be used for checking a port in the wait_for module"
        );
        assert_eq!(
            refused(json!({"port": 1, "state": "drained", "host": "web1"})),
            "`web1` must be an address where connections are counted"
        );
    }
}
