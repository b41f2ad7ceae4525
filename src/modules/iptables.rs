//! Rules, chains and policies of the kernel's packet filter.
//!
//! ```yaml
//! - iptables: {chain: INPUT, protocol: tcp, destination_port: "6443", ctstate: [NEW], source: 10.0.0.0/8, jump: ACCEPT, comment: apiserver}
//! - iptables: {chain: INPUT, policy: DROP}
//! - iptables: {chain: WHITELIST, chain_management: true}
//! ```
//!
//! A rule is there if `iptables -C` finds it. What is changed here is gone after a reboot unless something saves it. Returns `chain`, `table`,
//! `ip_version`, `rule`, `state`, `flush`, `chain_management`, `wait`.

use crate::module::{Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::modules::look::{FUNCTIONS, Fields};
use crate::sh::{Output, Script, quote_all};
use serde_json::Value as Json;

pub struct Iptables;

static SPEC: Spec = Spec {
    name: "ansible.builtin.iptables",
    aliases: &[],
    params: &[
        Param::str("table").default("filter").choices(&["filter", "nat", "mangle", "raw", "security"]),
        Param::str("state").default("present").choices(&["absent", "present"]),
        Param::str("action").default("append").choices(&["append", "insert"]),
        Param::str("ip_version").default("ipv4").choices(&["ipv4", "ipv6", "both"]),
        Param::str("chain"),
        Param::str("rule_num"),
        Param::str("protocol"),
        Param::str("wait"),
        Param::str("source"),
        Param::str("to_source"),
        Param::str("destination"),
        Param::str("to_destination"),
        Param::list("match"),
        Param::dict("tcp_flags"),
        Param::str("jump"),
        Param::str("gateway"),
        Param::str("log_prefix"),
        Param::str("log_level")
            .choices(&["0", "1", "2", "3", "4", "5", "6", "7", "emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"]),
        Param::str("goto"),
        Param::str("in_interface"),
        Param::str("out_interface"),
        Param::str("fragment"),
        Param::str("set_counters"),
        Param::str("source_port"),
        Param::str("destination_port"),
        Param::list("destination_ports"),
        Param::str("to_ports"),
        Param::str("set_dscp_mark"),
        Param::str("set_dscp_mark_class"),
        Param::str("comment"),
        Param::list("ctstate"),
        Param::str("src_range"),
        Param::str("dst_range"),
        Param::str("match_set"),
        Param::str("match_set_flags").choices(&["src", "dst", "src,dst", "dst,src", "src,src", "dst,dst"]),
        Param::str("limit"),
        Param::str("limit_burst"),
        Param::str("uid_owner"),
        Param::str("gid_owner"),
        Param::str("reject_with"),
        Param::str("icmp_type"),
        Param::str("syn").default("ignore").choices(&["ignore", "match", "negate"]),
        Param::bool("flush").default("false"),
        Param::str("policy").choices(&["ACCEPT", "DROP", "QUEUE", "RETURN"]),
        Param::bool("chain_management").default("false"),
        Param::bool("numeric").default("false"),
    ],
    free_form: FreeForm::None,
};

/// What one task is about.
enum Aim {
    Flush,
    Policy(String),
    /// There is no rule: the chain itself.
    Chain,
    Rule(Vec<String>),
}

/// What there is of it, for one of the two programs.
#[derive(Debug)]
pub struct Found {
    program: String,
    /// The words of `-w`, if this version has it.
    wait: Vec<String>,
    /// Of a rule or chain: whether it is there. Of a policy: which it is.
    is_there: bool,
    policy: String,
}

impl Module for Iptables {
    type State = Vec<Found>;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        let aim = Aim::of(args)?;
        let mut text = FUNCTIONS.to_owned();
        for program in programs(args) {
            text.push_str(&format!(
                "command -v {program} > /dev/null || {{ echo 'Failed to find required executable \"{program}\" in paths' >&2; exit 1; }}\n\
                 v=$({program} --version) || exit 1\nv=${{v#*v}}\nv=${{v%% *}}\nsay {program}; say \"$v\"\n\
                 a=${{v%%.*}} b=${{v#*.}}; c=${{b#*.}}; b=${{b%%.*}}; [ \"$c\" = \"$b\" ] && c=0\n\
                 if [ \"$a\" -gt 1 ] || [ \"$b\" -ge 6 ]; then w=full; elif [ \"$b\" -gt 4 ] || [ \"$c\" -ge 20 ]; then w=bare; else w=none; fi\nsay $w\n"
            ));
            let look = |wait: &[String]| {
                Ok::<_, Failure>(match &aim {
                    Aim::Flush => "say ''; say ''\n".to_owned(),
                    Aim::Policy(_) => {
                        format!("o=$(LC_ALL=C {}) || exit 1\nsay 1; say \"$o\"\n", command(args, program, "-L", wait, &numeric(args))?)
                    }
                    Aim::Chain => {
                        let command = command(args, program, "-L", wait, &numeric(args))?;
                        format!("if {command} > /dev/null 2>&1; then say 1; else say ''; fi; say ''\n")
                    }
                    Aim::Rule(rule) => {
                        let command = command(args, program, "-C", wait, rule)?;
                        format!("if {command} > /dev/null 2>&1; then say 1; else say ''; fi; say ''\n")
                    }
                })
            };
            match args.str("wait") {
                None => text.push_str(&look(&[])?),
                Some(seconds) => {
                    text.push_str(&format!("case $w in\nfull) {};;\n*) {};;\nesac\n", look(&wait_words("full", seconds))?, look(&[])?))
                }
            }
        }
        text.push_str("exit 0\n");
        Ok(Some(Script::new(text)))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<Vec<Found>, Failure> {
        let mut fields = Fields::of("look at the packet filter", output).map_err(|failure| {
            let said = output.stderr_text().trim().to_owned();
            if said.is_empty() { failure } else { Failure { message: said, ..failure } }
        })?;
        let mut all = Vec::new();
        while !fields.is_empty() {
            let (program, _version, waits) = (fields.text()?, fields.text()?, fields.text()?);
            let wait = args.str("wait").map(|seconds| wait_words(&waits, seconds)).unwrap_or_default();
            let (is_there, listed) = (!fields.text()?.is_empty(), fields.text()?);
            let policy = listed.lines().next().and_then(|line| line.split_once("(policy "));
            let policy = policy.and_then(|(_, rest)| rest.split([' ', ')']).next()).unwrap_or_default().to_owned();
            all.push(Found { program, wait, is_there, policy });
        }
        Ok(all)
    }

    fn decide(&self, args: &Args, found: Vec<Found>, _context: &dyn Context) -> Result<Decision, Failure> {
        let aim = Aim::of(args)?;
        let is_present = args.required("state")? == "present";
        let mut commands = Vec::new();
        let mut changed = false;
        for found in &found {
            let mut run = |action: &str, words: &[String]| {
                commands.push(command(args, &found.program, action, &found.wait, words)?);
                Ok::<_, Failure>(())
            };
            match &aim {
                Aim::Flush => {
                    changed = true;
                    run("-F", &[])?;
                }
                Aim::Policy(_) if found.policy.is_empty() => return Err(Failure::argument("chain", "Can't detect current policy")),
                Aim::Policy(policy) if *policy == found.policy => {}
                Aim::Policy(policy) => {
                    changed = true;
                    run("-P", std::slice::from_ref(policy))?;
                }
                Aim::Chain | Aim::Rule(_) if found.is_there == is_present => {}
                Aim::Chain => {
                    // Without leave to manage chains Ansible says that it would have to be changed, and leaves it.
                    changed = true;
                    if args.is("chain_management") {
                        run(if is_present { "-N" } else { "-X" }, &[])?;
                    }
                }
                Aim::Rule(rule) => {
                    changed = true;
                    let add = if args.str("action") == Some("insert") { "-I" } else { "-A" };
                    run(if is_present { add } else { "-D" }, rule)?;
                }
            }
        }
        let shown = |name: &str| args.get(name).cloned().unwrap_or(Json::Null);
        let names = ["ip_version", "table", "chain", "flush", "state", "chain_management", "wait"];
        let outcome = names.iter().fold(Outcome { changed, ..Outcome::default() }, |outcome, name| outcome.with(name, shown(name)));
        let outcome = outcome.with("rule", rule_of(args, false)?.join(" "));
        if !changed {
            return Ok(outcome.into());
        }
        let lines: String = commands.iter().map(|command| format!("{command} || exit\n")).collect();
        Ok(Change::new(outcome, Script::new(format!("PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin\n{lines}")))
            .finish(|output, outcome| {
                if output.success() {
                    return Ok(outcome);
                }
                let said = Failure::script("iptables", output);
                Err(Failure { message: output.stderr_text().trim().to_owned(), ..said })
            })
            .into())
    }
}

fn programs(args: &Args) -> &'static [&'static str] {
    match args.str("ip_version") {
        Some("ipv6") => &["ip6tables"],
        Some("both") => &["iptables", "ip6tables"],
        _ => &["iptables"],
    }
}

fn wait_words(waits: &str, seconds: &str) -> Vec<String> {
    match waits {
        "full" if !seconds.is_empty() => vec!["-w".into(), seconds.into()],
        _ => Vec::new(),
    }
}

fn numeric(args: &Args) -> Vec<String> {
    if args.is("numeric") { vec!["--numeric".into()] } else { Vec::new() }
}

fn command(args: &Args, program: &str, action: &str, wait: &[String], words: &[String]) -> Result<String, Failure> {
    let mut all = vec![program, "-t", args.required("table")?, action];
    all.extend(args.str("chain"));
    all.extend(args.str("rule_num").filter(|number| action == "-I" && !number.is_empty()));
    all.extend(wait.iter().chain(words).map(String::as_str));
    Ok(quote_all(all))
}

impl Aim {
    fn of(args: &Args) -> Result<Aim, Failure> {
        for (one, other) in [("set_dscp_mark", "set_dscp_mark_class"), ("flush", "policy")] {
            let is_given = |name: &str| args.has(name) && args.bool(name) != Some(false);
            if is_given(one) && is_given(other) {
                return Err(Failure::argument(other, format!("parameters are mutually exclusive: {one}|{other}")));
            }
        }
        for mark in ["set_dscp_mark", "set_dscp_mark_class"] {
            if args.has(mark) && !args.has("jump") {
                return Err(Failure::argument(mark, format!("missing parameter(s) required by '{mark}': jump")));
            }
        }
        if let Some(jump @ ("TEE" | "tee")) = args.str("jump")
            && !args.has("gateway")
        {
            return Err(Failure::argument("jump", format!("jump is {jump} but all of the following are missing: gateway")));
        }
        if args.is("flush") {
            return Ok(Aim::Flush);
        }
        if !args.has("chain") {
            return Err(Failure::new("flush is False but all of the following are missing: chain"));
        }
        if logs(args) && args.str("jump").is_some_and(|jump| jump != "LOG") {
            return Err(Failure::argument("jump", "Logging options can only be used with the LOG jump target."));
        }
        if let Some(policy) = args.str("policy") {
            return Ok(Aim::Policy(policy.to_owned()));
        }
        if rule_of(args, false)?.is_empty() { Ok(Aim::Chain) } else { rule_of(args, logs(args)).map(Aim::Rule) }
    }
}

fn logs(args: &Args) -> bool {
    ["log_prefix", "log_level"].iter().any(|name| args.str(name).is_some_and(|value| !value.is_empty()))
}

/// The words of a rule, put together one after another.
struct Rule<'a> {
    args: &'a Args,
    words: Vec<String>,
    /// The extensions that are loaded already (`-m`).
    loaded: Vec<String>,
}

/// `as_log`: the options of logging imply their target.
fn rule_of(args: &Args, as_log: bool) -> Result<Vec<String>, Failure> {
    let loaded = args.list("match").unwrap_or_default();
    let given_jump = args.str("jump").or(as_log.then_some("LOG"));
    let jump = given_jump.unwrap_or_default().to_lowercase();
    let has = |name: &str| args.str(name).is_some_and(|value| !value.is_empty());
    let mut rule = Rule { args, words: Vec::new(), loaded: loaded.clone() };
    rule.options(&[("protocol", "-p"), ("source", "-s"), ("destination", "-d")])?;
    for extension in &loaded {
        rule.option("-m", extension);
    }
    rule.tcp_flags()?;
    if let Some(target) = given_jump {
        rule.option("-j", target);
    }
    if jump == "tee" {
        rule.options(&[("gateway", "--gateway")])?;
    }
    rule.options(&[("log_prefix", "--log-prefix"), ("log_level", "--log-level"), ("to_destination", "--to-destination")])?;
    let ports = args.list("destination_ports").unwrap_or_default();
    if !ports.is_empty() {
        rule.load("multiport");
        rule.words.extend(["--dports".into(), ports.join(",")]);
    }
    rule.options(&[
        ("to_source", "--to-source"),
        ("goto", "-g"),
        ("in_interface", "-i"),
        ("out_interface", "-o"),
        ("fragment", "-f"),
        ("set_counters", "-c"),
        ("source_port", "--source-port"),
        ("destination_port", "--destination-port"),
        ("to_ports", "--to-ports"),
    ])?;
    for (mark, flag) in [("set_dscp_mark", "--set-dscp"), ("set_dscp_mark_class", "--set-dscp-class")] {
        rule.options(&[(mark, flag)])?;
        if has(mark) && jump != "dscp" {
            rule.words.extend(["-j".into(), "DSCP".into()]);
        }
    }
    match args.str("syn") {
        Some("match") => rule.words.push("--syn".into()),
        Some("negate") => rule.words.extend(["!".into(), "--syn".into()]),
        _ => {}
    }
    let states = args.list("ctstate").unwrap_or_default();
    if !states.is_empty() {
        let by_state = loaded.iter().any(|extension| extension == "state") && !loaded.iter().any(|extension| extension == "conntrack");
        if !by_state {
            rule.load("conntrack");
        }
        rule.words.extend([if by_state { "--state" } else { "--ctstate" }.into(), states.join(",")]);
    }
    if has("src_range") || has("dst_range") {
        rule.load("iprange");
    }
    rule.options(&[("src_range", "--src-range"), ("dst_range", "--dst-range")])?;
    if has("match_set") {
        rule.load("set");
    }
    rule.options(&[("match_set", "--match-set")])?;
    if has("match_set")
        && let Some(flags) = args.str("match_set_flags")
    {
        rule.words.push(flags.to_owned());
    }
    if has("limit") || has("limit_burst") {
        rule.load("limit");
    }
    rule.options(&[("limit", "--limit"), ("limit_burst", "--limit-burst")])?;
    for (owner, flag) in [("uid_owner", "--uid-owner"), ("gid_owner", "--gid-owner")] {
        if has(owner) {
            rule.load("owner");
        }
        rule.options(&[(owner, flag)])?;
    }
    if given_jump.is_none() && has("reject_with") {
        rule.words.extend(["-j".into(), "REJECT".into()]);
    }
    rule.options(&[("reject_with", "--reject-with")])?;
    let icmp = match args.str("ip_version") {
        Some("ipv6") => "--icmpv6-type",
        Some("both") if has("icmp_type") => {
            return Err(Failure::argument("icmp_type", "the types of the two protocols differ: use a task for each `ip_version`"));
        }
        _ => "--icmp-type",
    };
    rule.options(&[("icmp_type", icmp)])?;
    if has("comment") {
        rule.load("comment");
    }
    rule.options(&[("comment", "--comment")])?;
    Ok(rule.words)
}

impl Rule<'_> {
    fn options(&mut self, flags: &[(&str, &str)]) -> Result<(), Failure> {
        let args = self.args;
        flags.iter().try_for_each(|(name, flag)| match args.str(name) {
            Some("") => Err(Failure::argument(name, "is empty")),
            Some(value) => {
                self.option(flag, value);
                Ok(())
            }
            None => Ok(()),
        })
    }

    /// A value that begins with `!` turns its option round.
    fn option(&mut self, flag: &str, value: &str) {
        match value.strip_prefix('!') {
            Some(rest) => self.words.extend(["!".into(), flag.into(), rest.into()]),
            None => self.words.extend([flag.into(), value.into()]),
        }
    }

    fn load(&mut self, extension: &str) {
        if !self.loaded.iter().any(|loaded| loaded == extension) {
            self.words.extend(["-m".into(), extension.into()]);
            self.loaded.push(extension.to_owned());
        }
    }

    fn tcp_flags(&mut self) -> Result<(), Failure> {
        let Some(given) = self.args.dict("tcp_flags") else { return Ok(()) };
        if let Some(key) = given.keys().find(|key| !["flags", "flags_set"].contains(&key.as_str())) {
            let message = format!("Unsupported parameters: tcp_flags.{key}. Supported parameters include: flags, flags_set.");
            return Err(Failure::argument("tcp_flags", message));
        }
        let list = |key: &str| match given.get(key) {
            Some(Json::Array(items)) => Some(items.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(",")),
            Some(Json::String(text)) => Some(text.clone()),
            _ => None,
        };
        if let (Some(flags), Some(set)) = (list("flags"), list("flags_set")) {
            self.words.extend(["--tcp-flags".into(), flags, set]);
        }
        Ok(())
    }
}
