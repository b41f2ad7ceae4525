//! For tests: a controller without files, and a real shell to run a module's scripts in.

use crate::module::{Args, Change, Context, Decision, Failure, Module, Outcome, TemplateOptions};
use crate::sh::{Input, Output, Script, quote};
use serde_json::Value as Json;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// What a module may ask of the controller, as a test sets it.
#[derive(Default)]
pub struct Controller {
    pub check_mode: bool,
    pub diff_mode: bool,
    pub facts: Json,
    /// Where `find_file` looks.
    pub files: PathBuf,
}

impl Context for Controller {
    fn check_mode(&self) -> bool {
        self.check_mode
    }
    fn diff_mode(&self) -> bool {
        self.diff_mode
    }
    fn find_file(&self, _kind: &str, name: &str) -> Result<PathBuf, Failure> {
        let path = self.files.join(name);
        if path.exists() { Ok(path) } else { Err(Failure::new(format!("could not find or access `{name}`"))) }
    }
    fn render_template(&self, name: &str, _options: &TemplateOptions) -> Result<String, Failure> {
        Err(Failure::new(format!("no templates here, not even `{name}`")))
    }
    fn fact(&self, name: &str) -> Option<Json> {
        self.facts.get(name).cloned()
    }
    fn python(&self) -> Option<String> {
        None
    }
    fn playbook_dir(&self) -> PathBuf {
        self.files.clone()
    }
    fn inventory_hostname(&self) -> &str {
        "web1"
    }
    fn tells_secret(&self, text: &str) -> bool {
        text.contains("SECRET")
    }
}

/// The shells a host's `/bin/sh` may be, those of them that are here.
pub fn shells() -> Vec<&'static [&'static str]> {
    let all: [&[&str]; 3] = [&["dash"], &["bash", "--posix"], &["busybox", "ash"]];
    all.into_iter()
        .filter(|shell| Command::new(shell[0]).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok())
        .collect()
}

pub fn run(shell: &[&str], script: &Script) -> Output {
    let (started, clock) = (SystemTime::now(), Instant::now());
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).envs(script.environment.iter().cloned());
    match shell[0] {
        "ssh" => command.arg(format!("sh -c {}", quote(&script.text))),
        _ => command.arg("-c").arg(&script.text),
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("a shell that was found starts");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    let input = match &script.input {
        Input::None => Vec::new(),
        Input::Bytes(bytes) => bytes.to_vec(),
        Input::File(path) => std::fs::read(path).expect("the script's file is there"),
    };
    // A script that does not read all of its input closes the pipe: no error of ours.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("a shell that started ends");
    writer.join().expect("the writer does not panic");
    let status = output.status.code().unwrap_or(255);
    Output { status, stdout: output.stdout, stderr: output.stderr, started, elapsed: clock.elapsed() }
}

pub fn args<M: Module>(module: &M, given: Json) -> Args {
    let given = given.as_object().expect("arguments are a mapping");
    Args::convert(module.spec(), given).unwrap_or_else(|failure| panic!("{failure}"))
}

/// What a probe said, for a test that has it recorded.
pub fn said(stdout: &str) -> Output {
    Output { status: 0, stdout: stdout.into(), stderr: Vec::new(), started: SystemTime::UNIX_EPOCH, elapsed: Duration::ZERO }
}

/// Reads and decides from a recorded probe.
pub fn decide<M: Module>(module: &M, given: Json, probe: &str, controller: &Controller) -> Result<Decision, Failure> {
    let args = args(module, given);
    let state = module.read(&args, &said(probe))?;
    module.decide(&args, state, controller)
}

/// The script of a decision that is to change the host.
pub fn apply_of(decision: Decision) -> (Outcome, Script) {
    match decision {
        Decision::Change(Change { outcome, apply: crate::module::Apply::OnHost(script), .. }) => (outcome, script),
        Decision::Change(_) => panic!("a change of the controller"),
        Decision::Unchanged(outcome) => panic!("unchanged: {outcome:?}"),
    }
}

/// The whole of a task, as the engine runs it.
pub fn task<M: Module>(shell: &[&str], module: &M, given: Json, controller: &Controller) -> Result<Outcome, Failure> {
    let args = args(module, given);
    let output = match module.probe(&args, controller)? {
        Some(script) => run(shell, &script),
        None => said(""),
    };
    let state = module.read(&args, &output)?;
    match module.decide(&args, state, controller)? {
        Decision::Unchanged(outcome) => Ok(outcome),
        Decision::Change(Change { outcome, in_check_mode, .. }) if controller.check_mode => Ok(in_check_mode.unwrap_or(outcome)),
        Decision::Change(Change { outcome, apply: crate::module::Apply::OnHost(script), finish, .. }) => {
            let output = run(shell, &script);
            match finish {
                Some(finish) => finish(&output, outcome),
                None if output.success() => Ok(outcome),
                None => Err(Failure::script("apply", &output)),
            }
        }
        Decision::Change(_) => panic!("a change of the controller"),
    }
}

/// Probes, and what a module makes of a host on which nothing is as asked, are read by every shell without complaint.
#[test]
fn every_shell_understands_the_scripts() {
    let cases = [
        ("apt", r#"{"name": ["a*", "b>=1", "c"], "state": "latest", "update_cache": true}"#, "now\t5\nnative\tamd64\nmatch\ta*\ta1\n"),
        ("alternatives", r#"{"name": "it's", "path": "/b c", "link": "/l", "priority": 7}"#, "exists\nx - auto mode\n/a - priority 9\n"),
        ("cron", r#"{"name": "it's", "job": "a 'b' %", "user": "de-ploy", "backup": true}"#, "MAILTO=x\n"),
        (
            "cron",
            r#"{"name": "x", "env": true, "job": "y", "user": "root", "cron_file": "a b"}"#,
            "/a b\0/a b\0!No such file or directory\x000022\0",
        ),
        ("debconf", r#"{"name": "x", "question": "x/y z", "vtype": "password", "value": "a'b", "unseen": true}"#, "* x/y: 1\0\0"),
        (
            "iptables",
            r#"{"chain": "INPUT", "comment": "it's", "wait": "5", "log_prefix": "a b", "ip_version": "both"}"#,
            "iptables\x001.8.9\0full\0\0\0",
        ),
        (
            "iptables",
            r#"{"chain": "INPUT", "policy": "DROP", "numeric": true}"#,
            "iptables\x001.4.7\0none\x001\0Chain INPUT (policy ACCEPT)\0",
        ),
        ("locale_gen", r#"{"name": ["de_CH.UTF-8"]}"#, "C\0de_CH.UTF-8 UTF-8\0# de_CH.UTF-8 UTF-8\n"),
        (
            "timezone",
            r#"{"name": "Europe/Zurich", "hwclock": "local"}"#,
            "here\0/bin/timedatectl\0 Time zone: UTC (UTC)\n RTC in local TZ: no\0",
        ),
        ("timezone", r#"{"name": "Europe/It's"}"#, "here\0\x00../usr/share/zoneinfo/UTC\0UTC\n"),
        (
            "ufw",
            r#"{"rule": "limit", "comment": "it's", "insert": 0, "insert_relative_to": "last-ipv4", "log": true}"#,
            "/u\0/g\0Status: active\0\0ufw 0.36.2\0[ 1] a\0\0",
        ),
        ("apt", r#"{"deb": "~/a.deb,http://x/b.deb", "policy_rc_d": 101, "autoremove": true}"#, "now\t5\nnative\tamd64\n"),
        ("apt_repository", r#"{"repo": "deb http://x/ y z"}"#, ""),
        ("deb822_repository", r#"{"name": "x y", "signed_by": "https://k/x'y", "suites": "/"}"#, "fetched QUJD\n"),
        ("dpkg_selections", r#"{"name": "x", "selection": "hold"}"#, "x install\n"),
        ("group", r#"{"name": "x y"}"#, "absent\n"),
        ("script", r#"{"cmd": "Cargo.toml 'a b'", "creates": "~/x*", "chdir": "/$HOME"}"#, "run\n"),
        ("service_facts", "{}", ""),
        (
            "systemd",
            r#"{"name": "it's", "state": "started", "scope": "user"}"#,
            "enabled enabled\nshow\nLoadState=loaded\nActiveState=dead\nstatus 0\n",
        ),
        (
            "user",
            r#"{"name": "x", "home": "~/a b", "generate_ssh_key": true, "ssh_key_passphrase": "a'b", "password": "$6$a$b"}"#,
            "absent:\n",
        ),
        ("user", r#"{"name": "x", "home": "/a", "move_home": true, "umask": "077"}"#, "passwd:x:x:1:1::/b:/bin/sh\n"),
        ("wait_for", r#"{"port": 80, "host": "x", "search_regex": "a'(\\d)", "delay": 1}"#, ""),
        ("wait_for", r#"{"port": 80, "state": "drained", "exclude_hosts": "10.0.0.1,::1"}"#, "waiting\n"),
    ];
    for (name, given, probe) in cases {
        let Some(crate::module::Registered::OnHost(module)) = crate::module::find(name) else { panic!("no module {name}") };
        let given: Json = serde_json::from_str(given).expect("a case is JSON");
        let args = Args::convert(module.spec(), given.as_object().expect("a mapping")).expect("arguments of the module");
        let controller = Controller { files: ".".into(), ..Controller::default() };
        let probe_script = module.probe(&args, &controller).expect("a probe");
        let apply = match module.decide(&args, &said(probe), &controller).unwrap_or_else(|failure| panic!("{name}: {failure}")) {
            Decision::Change(change) => Some(apply_of(change.into()).1),
            Decision::Unchanged(_) => None,
        };
        for script in probe_script.iter().chain(&apply) {
            for shell in shells() {
                let words: Vec<_> = shell.iter().copied().chain(["-n"]).collect();
                let output = run(&words, &Script::new(script.text.clone()));
                assert!(output.success() && output.stderr.is_empty(), "{shell:?} {name}: {}\n{}", output.stderr_text(), script.text);
            }
        }
    }
}

/// Runs one module for real and prints what its probe said, what it decided and what came of it; twice, as the second must change nothing.
/// The way to record a probe: `NODEWRIGHT_SHELL="ssh root@host" NODEWRIGHT_MODULE=apt NODEWRIGHT_ARGS='{"name": "jq"}' cargo test --lib record -- --ignored --nocapture`
#[test]
#[ignore = "changes the host it is pointed at"]
fn record() {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let line = variable("NODEWRIGHT_SHELL");
    let shell: Vec<_> = line.split_whitespace().collect();
    let Some(crate::module::Registered::OnHost(module)) = crate::module::find(&variable("NODEWRIGHT_MODULE")) else {
        panic!("NODEWRIGHT_MODULE names no module")
    };
    let given: Json = serde_json::from_str(&variable("NODEWRIGHT_ARGS")).expect("NODEWRIGHT_ARGS is JSON");
    let args = Args::convert(module.spec(), given.as_object().expect("a mapping")).expect("arguments of the module");
    let controller =
        Controller { check_mode: !variable("NODEWRIGHT_CHECK").is_empty(), diff_mode: true, files: ".".into(), facts: Json::Null };
    for _ in 0..variable("NODEWRIGHT_TIMES").parse().unwrap_or(2) {
        let probed = module.probe(&args, &controller).expect("a probe").map_or_else(|| said(""), |script| run(&shell, &script));
        println!("--- probe {} in {:?}\n{}{}", probed.status, probed.elapsed, probed.stdout_text(), probed.stderr_text());
        let (outcome, change) = match module.decide(&args, &probed, &controller) {
            Err(failure) => return println!("--- refused: {failure:#?}"),
            Ok(Decision::Unchanged(outcome)) => (outcome, None),
            Ok(Decision::Change(Change { outcome, apply: crate::module::Apply::OnHost(script), finish, in_check_mode }))
                if !controller.check_mode =>
            {
                drop(in_check_mode);
                println!("--- apply\n{}", script.text);
                let output = run(&shell, &script);
                println!("--- said {} in {:?}\n{}{}", output.status, output.elapsed, output.stdout_text(), output.stderr_text());
                (outcome, Some((output, finish)))
            }
            Ok(Decision::Change(Change { outcome, in_check_mode, .. })) => (in_check_mode.unwrap_or(outcome), None),
        };
        let outcome = match change {
            Some((output, Some(finish))) => finish(&output, outcome),
            Some((output, None)) if !output.success() => Err(Failure::script("apply", &output)),
            _ => Ok(outcome),
        };
        match outcome {
            Ok(outcome) => println!(
                "--- changed={} skipped={} {}\nfacts {}\ndiff {:#?} {:?}",
                outcome.changed,
                outcome.skipped,
                serde_json::to_string_pretty(&outcome.data).unwrap_or_default(),
                serde_json::to_string_pretty(&outcome.facts).unwrap_or_default(),
                outcome.diff,
                outcome.warnings
            ),
            Err(failure) => println!("--- failed: {failure:#?}"),
        }
    }
}
