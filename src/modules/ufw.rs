//! The firewall as `ufw` keeps it.
//!
//! ```yaml
//! - ufw: {rule: allow, port: "6443", proto: tcp, src: 10.0.0.0/8, comment: apiserver}
//! - ufw: {state: enabled, policy: deny, direction: incoming}
//! ```
//!
//! Whether a rule changes something ufw itself knows: its state and its rules are compared before and after, in check mode with those of a dry
//! run. Returns `commands`, `msg` (the state after).

use super::look::{FUNCTIONS, Fields};
use crate::module::{Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, quote_all};
use serde_json::Value as Json;
use std::net::{Ipv4Addr, Ipv6Addr};

pub struct Ufw;

static SPEC: Spec = Spec {
    name: "community.general.ufw",
    aliases: &["ansible.builtin.ufw"],
    params: &[
        Param::str("state").choices(&["enabled", "disabled", "reloaded", "reset"]),
        Param::str("default").alias(&["policy"]).choices(&["allow", "deny", "reject"]),
        Param::str("logging").choices(&["full", "high", "low", "medium", "off", "on"]),
        Param::str("direction").choices(&["in", "incoming", "out", "outgoing", "routed"]),
        Param::bool("delete").default("false"),
        Param::bool("route").default("false"),
        Param::int("insert"),
        Param::str("insert_relative_to").default("zero").choices(&["zero", "first-ipv4", "last-ipv4", "first-ipv6", "last-ipv6"]),
        Param::str("rule").choices(&["allow", "deny", "limit", "reject"]),
        Param::str("interface").alias(&["if"]),
        Param::str("interface_in").alias(&["if_in"]),
        Param::str("interface_out").alias(&["if_out"]),
        Param::bool("log").default("false"),
        Param::str("from_ip").default("any").alias(&["from", "src"]),
        Param::str("from_port"),
        Param::str("to_ip").default("any").alias(&["dest", "to"]),
        Param::str("to_port").alias(&["port"]),
        Param::str("proto").alias(&["protocol"]).choices(&["ah", "any", "esp", "ipv6", "tcp", "udp", "gre", "igmp", "vrrp"]),
        Param::str("name").alias(&["app"]),
        Param::str("comment"),
    ],
    free_form: FreeForm::None,
};

/// What ufw says of itself.
pub struct State {
    ufw: String,
    grep: String,
    status: String,
    rules: String,
    version: String,
    numbered: String,
    dry_run: String,
}

/// The rules, one line each. Which of the files there are depends on the version.
const RULES: &str = "'^### tuple' /lib/ufw/user.rules /lib/ufw/user6.rules /etc/ufw/user.rules /etc/ufw/user6.rules \
                     /var/lib/ufw/user.rules /var/lib/ufw/user6.rules";

const PATHS: &str = "export LC_ALL=C LANGUAGE=C\n";

impl Module for Ufw {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, context: &dyn Context) -> Result<Option<Script>, Failure> {
        check(args)?;
        let mut text = format!(
            "{FUNCTIONS}{PATHS}\
             for c in ufw grep; do command -v $c || {{ echo \"Failed to find required executable \\\"$c\\\" in paths\" >&2; exit 1; }}; done > /dev/null\n\
             say \"$(command -v ufw)\"; say \"$(command -v grep)\"\n\
             o=$(ufw status verbose 2>&1) || {{ echo \"$o\" >&2; exit 1; }}\nsay \"$o\"\nsay \"$(grep -h {RULES} 2>/dev/null)\"\n\
             say \"$(ufw --version)\"\nsay \"$(ufw status numbered)\"\n"
        );
        if let Some(rule) = args.str("rule").filter(|_| context.check_mode()) {
            // Whether the rule is there already does not depend on where a new one would go.
            let place = args.int("insert").filter(|_| args.str("insert_relative_to") == Some("zero"));
            let words = rule_words(args, rule, place, true);
            let command = quote_all(["ufw", "--dry-run"].into_iter().chain(words.iter().map(String::as_str)));
            text.push_str(&format!("o=$({command} 2>&1) || {{ printf '%s\\n' \"$o\" >&2; exit 1; }}\nsay \"$o\"\n"));
        } else {
            text.push_str("say ''\n");
        }
        text.push_str("exit 0\n");
        Ok(Some(Script::new(text)))
    }

    fn read(&self, _args: &Args, output: &Output) -> Result<State, Failure> {
        if !output.success() {
            let failure = Failure::script("ufw", output);
            return Err(Failure { message: output.stderr_text().into_owned(), ..failure });
        }
        let mut fields = Fields::of("ufw", output)?;
        Ok(State {
            ufw: fields.text()?,
            grep: fields.text()?,
            status: fields.text()?,
            rules: fields.text()?,
            version: fields.text()?,
            numbered: fields.text()?,
            dry_run: fields.text()?,
        })
    }

    fn decide(&self, args: &Args, state: State, context: &dyn Context) -> Result<Decision, Failure> {
        let check_mode = context.check_mode();
        let look = [format!("{} status verbose", state.ufw), format!("{} -h {RULES}", state.grep)];
        let mut told = look.to_vec();
        let mut commands: Vec<Vec<String>> = Vec::new();
        let mut changed = false;
        let mut warnings = Vec::new();
        let mut run = |words: &[&str]| commands.push(words.iter().map(|word| (*word).to_owned()).collect());
        match args.str("state") {
            None => {}
            Some(wanted) => {
                let is_active = state.status.contains(" active");
                changed |= match wanted {
                    "enabled" => check_mode && !is_active,
                    "disabled" => check_mode && is_active,
                    _ => true,
                };
                let word = match wanted {
                    "enabled" => "enable",
                    "disabled" => "disable",
                    "reloaded" => "reload",
                    other => other,
                };
                run(&["-f", word]);
            }
        }
        if let Some(policy) = args.str("default") {
            let direction = args.str("direction");
            let there = state.policy_of(direction.unwrap_or("incoming"));
            if there.is_none_or(|there| there != policy && there != "disabled") {
                changed |= check_mode;
                run(&["default", policy].into_iter().chain(direction).collect::<Vec<_>>());
            }
        }
        if let Some(rule) = args.str("rule") {
            let place = state.place(args, &mut warnings);
            let words = rule_words(args, rule, place, state.takes_comments());
            run(&words.iter().map(String::as_str).collect::<Vec<_>>());
            changed |= check_mode && state.dry_run_changes(args);
            told.push(format!("{} --version", state.ufw));
        }
        if let Some(level) = args.str("logging") {
            changed |= state.logging_changes(level);
            run(&["logging", level]);
        }
        let shown = |words: &Vec<String>| {
            let quoted = |at: usize, word: &String| {
                let is_text = at > 0 && matches!(words[at - 1].as_str(), "comment" | "app");
                if is_text { format!("'{word}'") } else { word.clone() }
            };
            let line = words.iter().enumerate().map(|(at, word)| quoted(at, word)).collect::<Vec<_>>().join(" ");
            format!("{} {}{line}", state.ufw, if check_mode { "--dry-run " } else { "" })
        };
        // In check mode only a rule's command is really run.
        let is_run = |words: &&Vec<String>| !check_mode || (args.has("rule") && !matches!(words[0].as_str(), "-f" | "default" | "logging"));
        told.extend(commands.iter().filter(is_run).map(shown));
        if !check_mode {
            told.push(look[0].clone());
        }
        let mut outcome = Outcome { changed, warnings, ..Outcome::default() };
        if check_mode {
            outcome = outcome.with("commands", told);
            return Ok(if changed { Change::new(outcome, Script::default()).into() } else { outcome.into() });
        }
        let lines: String = commands.iter().map(|words| format!("run {}\n", quote_all(words))).collect();
        let script = format!(
            "{FUNCTIONS}{PATHS}run() {{ if o=$(ufw \"$@\" 2>&1); then :; else printf '%s\\n' \"$o\" >&2; exit 1; fi; }}\n{lines}\
             say \"$(ufw status verbose)\"\nsay \"$(grep -h {RULES} 2>/dev/null)\"\nexit 0\n"
        );
        let change = Change::new(outcome, Script::new(script)).finish(move |output, mut outcome| {
            if !output.success() {
                let failure = Failure::script("ufw", output).with("commands", told);
                return Err(Failure { message: output.stderr_text().into_owned(), ..failure });
            }
            let mut fields = Fields::of("ufw", output)?;
            let (status, rules) = (fields.text()?, fields.text()?);
            if !outcome.changed {
                told.push(look[1].clone());
                outcome.changed = status != state.status || rules != state.rules;
            }
            Ok(outcome.with("commands", Json::from(told)).with("msg", status.trim_end()))
        });
        Ok(change.into())
    }
}

fn check(args: &Args) -> Result<(), Failure> {
    for names in [&["name", "proto", "logging"][..], &["direction", "interface_in"], &["direction", "interface_out"]] {
        let given: Vec<_> = names.iter().filter(|name| args.has(name)).collect();
        if let [_, second, ..] = given[..] {
            return Err(Failure::argument(second, format!("parameters are mutually exclusive: {}", names.join("|"))));
        }
    }
    if !["state", "default", "rule", "logging"].iter().any(|name| args.has(name)) {
        return Err(Failure::new("one of the following is required: state, default, rule, logging"));
    }
    let direction = args.str("direction");
    if args.has("interface") && direction.is_none() {
        return Err(Failure::argument("interface", "missing parameter(s) required by 'interface': direction"));
    }
    if args.has("default") && matches!(direction, Some("in" | "out")) {
        let message =
            "For default, direction must be one of \"outgoing\", \"incoming\" and \"routed\", or direction must not be specified.";
        return Err(Failure::argument("direction", message));
    }
    if args.has("rule") && matches!(direction, Some("incoming" | "outgoing" | "routed")) {
        let message = "For rules, direction must be one of \"in\" and \"out\", or direction must not be specified.";
        return Err(Failure::argument("direction", message));
    }
    if args.has("rule") && !args.is("route") && args.has("interface_in") && args.has("interface_out") {
        return Err(Failure::argument("interface_out", "Only route rules can combine interface_in and interface_out"));
    }
    Ok(())
}

/// A rule in ufw's long form.
fn rule_words(args: &Args, rule: &str, place: Option<i64>, takes_comments: bool) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut add = |more: &[&str]| words.extend(more.iter().map(|word| (*word).to_owned()));
    if args.is("route") {
        add(&["route"]);
    }
    match place {
        _ if args.is("delete") => add(&["delete"]),
        Some(place) => add(&["insert", &place.to_string()]),
        None => {}
    }
    add(&[rule]);
    args.str("direction").iter().for_each(|direction| add(&[direction]));
    for (name, before) in [("interface", &["on"][..]), ("interface_in", &["in", "on"]), ("interface_out", &["out", "on"])] {
        if let Some(interface) = args.str(name) {
            add(before);
            add(&[interface]);
        }
    }
    if args.is("log") {
        add(&["log"]);
    }
    for (name, word) in
        [("from_ip", "from"), ("from_port", "port"), ("to_ip", "to"), ("to_port", "port"), ("proto", "proto"), ("name", "app")]
    {
        if let Some(value) = args.str(name).filter(|value| !value.is_empty()) {
            add(&[word, value]);
        }
    }
    if let Some(comment) = args.str("comment").filter(|comment| !comment.is_empty() && takes_comments) {
        add(&["comment", comment]);
    }
    words
}

fn has_ipv4(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_digit() && c != '.').any(|word| word.parse::<Ipv4Addr>().is_ok())
}

fn has_ipv6(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_hexdigit() && c != ':' && c != '.').any(|word| word.contains(':') && word.parse::<Ipv6Addr>().is_ok())
}

impl State {
    fn policy_of(&self, direction: &str) -> Option<&str> {
        let line = self.status.lines().find_map(|line| line.strip_prefix("Default: "))?;
        let part = line.split(", ").find_map(|part| part.strip_suffix(&format!("({direction})")))?;
        Some(part.trim())
    }

    fn logging_changes(&self, wanted: &str) -> bool {
        let Some(there) = self.status.lines().find_map(|line| line.strip_prefix("Logging: ")) else { return true };
        let is_off = there.starts_with("off");
        let level = there.split_once('(').map(|(_, level)| level.trim_end_matches(')'));
        match wanted {
            "off" => !is_off,
            "on" => is_off,
            wanted => is_off || level != Some(wanted),
        }
    }

    fn takes_comments(&self) -> bool {
        let number = self.version.lines().next().and_then(|line| line.split_whitespace().nth(1)).unwrap_or_default();
        let mut parts = number.split('.').map_while(|part| part.parse::<u32>().ok());
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (0, 35)
    }

    /// The number that a new rule gets, if it is not simply the last one.
    fn place(&self, args: &Args, warnings: &mut Vec<String>) -> Option<i64> {
        let insert = args.int("insert").filter(|_| !args.is("delete"))?;
        let relative = args.str("insert_relative_to").unwrap_or("zero");
        if relative == "zero" {
            return Some(insert);
        }
        let number = |line: &str| line.strip_prefix('[')?.split_once("] ")?.0.trim().parse::<i64>().ok();
        let is_ipv6 = |line: &str| line.contains("(v6)") || has_ipv6(line);
        let lines: Vec<(i64, bool)> = self.numbered.lines().filter_map(|line| Some((number(line)?, is_ipv6(line)))).collect();
        let of = |ipv6: bool| lines.iter().filter(move |(_, is_ipv6)| *is_ipv6 == ipv6).map(|(number, _)| *number);
        let last = lines.iter().map(|(number, _)| *number).max().unwrap_or(0);
        let (last_ipv4, first_ipv6) = (of(false).max(), of(true).min());
        if last_ipv4.zip(first_ipv6).is_some_and(|(ipv4, ipv6)| ipv4 > ipv6) {
            warnings.push("ufw output could not be parsed correctly. ipv4 follows ipv6!".into());
        }
        let start = match relative {
            "first-ipv4" => 1,
            "last-ipv4" => last_ipv4.unwrap_or(1),
            "first-ipv6" => first_ipv6.unwrap_or(last_ipv4.map_or(1, |ipv4| ipv4 + 1)),
            _ => of(true).max().unwrap_or(last + 1),
        };
        // A number beyond the last rule is one that ufw does not take.
        Some(insert + start).filter(|place| *place <= last)
    }

    fn dry_run_changes(&self, args: &Args) -> bool {
        let lines: Vec<&str> = self.dry_run.lines().collect();
        if !lines.is_empty() && lines.iter().all(|line| line.contains("Skipping")) {
            return false;
        }
        let ips = ["from_ip", "to_ip"].map(|name| args.str(name).unwrap_or_default());
        // A dry run shows only the rules of the protocol that it is about.
        let counts: fn(&str) -> bool = if ips.iter().any(|ip| has_ipv4(ip) && !ip.contains(':')) {
            has_ipv4
        } else if ips.iter().any(|ip| has_ipv6(ip)) {
            has_ipv6
        } else {
            |_| true
        };
        let rules = lines.into_iter().filter(|line| line.starts_with("### tuple") && counts(line));
        !rules.eq(self.rules.lines().filter(|line| counts(line)))
    }
}
