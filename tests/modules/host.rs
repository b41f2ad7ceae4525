//! A scratch folder that stands for a host, a shell that runs a module's scripts there, and a controller with a few files.

use fancy_regex::Regex;
use nodewright::module::{self, Apply, Args, Context, Decision, Failure, Outcome, Registered, TemplateOptions};
use nodewright::sh::{Input, Output, Script};
use serde_json::{Map, Value as Json, json};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

/// Compiled once: a pattern takes longer than what it is looked for in, and there are thousands of those.
static BACKUP: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\.\d+\.\d{4}-\d\d-\d\d@\d\d:\d\d:\d\d~").expect("a pattern"));
static RANDOM: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(pre|ansible)\.\w{8}(\.suf)?").expect("a pattern"));

/// A shell with the tools that go with it.
pub struct Shell {
    pub name: &'static str,
    program: &'static str,
    args: &'static [&'static str],
    /// Put before PATH: busybox's own tools, and a sync that does not wait for the disk.
    tools: tempfile::TempDir,
    only_tools: bool,
}

impl Shell {
    /// Those that are installed here; sh always is.
    pub fn all() -> Vec<Shell> {
        let has =
            |program: &str| std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(program).exists());
        let shell = |name, program, args| {
            let tools = tempfile::tempdir().expect("a folder for tools");
            if program == "busybox" {
                let installed = Command::new("busybox").args(["--install", "-s"]).arg(tools.path()).status();
                assert!(installed.is_ok_and(|status| status.success()), "busybox installs its tools");
                std::fs::remove_file(tools.path().join("sync")).expect("busybox has a sync");
            }
            std::os::unix::fs::symlink("/bin/true", tools.path().join("sync")).expect("a link");
            Shell { name, program, args, tools, only_tools: false }
        };
        let mut shells = vec![if has("dash") { shell("dash", "dash", &[][..]) } else { shell("sh", "sh", &[]) }];
        if has("bash") {
            shells.push(shell("bash", "bash", &["--posix"]));
        }
        if has("busybox") {
            shells.push(shell("busybox ash", "busybox", &["ash"]));
        }
        shells
    }

    pub fn has(&self, program: &str) -> bool {
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(program).exists())
    }

    /// The same where a program is another: this script.
    pub fn with(self, program: &str, script: &str) -> Shell {
        let path = self.tools.path().join(program);
        let _ = std::fs::remove_file(&path);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("its mode");
        self
    }

    /// The same where a program is not installed: a PATH of links to all others.
    pub fn without(&self, program: &str) -> Shell {
        let tools = tempfile::tempdir().expect("a folder for tools");
        for folder in std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten().filter(|entry| entry.file_name() != program) {
                // The first of a name counts.
                let _ = std::os::unix::fs::symlink(entry.path(), tools.path().join(entry.file_name()));
            }
        }
        Shell { name: self.name, program: self.program, args: self.args, tools, only_tools: true }
    }
}

/// One task.
pub struct Step {
    pub module: String,
    pub args: Json,
    pub check: bool,
}

impl Step {
    pub fn of(given: &Json) -> Step {
        let step = given.as_object().expect("a step is a mapping");
        let notes = ["check", "returns", "differs", "settles"];
        let (module, args) = step.iter().find(|(key, _)| !notes.contains(&key.as_str())).expect("a step names its module");
        Step { module: module.clone(), args: args.clone(), check: step.get("check") == Some(&json!(true)) }
    }
}

pub struct Host<'a> {
    shell: &'a Shell,
    folder: tempfile::TempDir,
}

struct Controller {
    project: PathBuf,
    check: bool,
}

impl Context for Controller {
    fn python(&self) -> Option<String> {
        None
    }

    fn check_mode(&self) -> bool {
        self.check
    }
    fn diff_mode(&self) -> bool {
        true
    }
    fn find_file(&self, kind: &str, name: &str) -> Result<PathBuf, Failure> {
        let path = self.project.join(kind).join(name);
        if path.exists() { Ok(path) } else { Err(Failure::argument("src", format!("could not find `{name}`"))) }
    }
    fn render_template(&self, name: &str, _options: &TemplateOptions) -> Result<String, Failure> {
        std::fs::read_to_string(self.find_file("templates", name)?).map_err(|err| Failure::new(err.to_string()))
    }
    fn fact(&self, _name: &str) -> Option<Json> {
        None
    }
    fn playbook_dir(&self) -> PathBuf {
        self.project.clone()
    }
    fn inventory_hostname(&self) -> &str {
        "localhost"
    }
    fn tells_secret(&self, text: &str) -> bool {
        text.contains("SECRET")
    }
}

impl<'a> Host<'a> {
    pub fn new(shell: &'a Shell) -> Host<'a> {
        let folder = tempfile::Builder::new().prefix("modules").tempdir().expect("a scratch folder");
        for name in ["root", "project/files", "project/templates"] {
            std::fs::create_dir_all(folder.path().join(name)).expect("a scratch folder");
        }
        Host { shell, folder }
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn project(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    pub fn write_controller_file(&self, name: &str, content: &str) {
        for kind in ["files", "templates"] {
            let path = self.project().join(kind).join(name);
            std::fs::create_dir_all(path.parent().expect("a name")).expect("a folder");
            std::fs::write(path, content).expect("a file");
        }
    }

    pub fn set_up(&self, script: &str) {
        let output = self.execute(&Script::new(format!("set -e\nROOT=$PWD\n{script}")));
        assert!(output.success(), "set up: {}", output.stderr_text());
    }

    /// Runs a task; what it returns, as Ansible shows it, with our paths by their names.
    pub fn run(&self, step: &Step) -> Json {
        let result = self.try_run(step);
        let mut shown = match result {
            Ok(outcome) => {
                let mut data = Map::from_iter([("changed".to_owned(), Json::from(outcome.changed))]);
                data.extend(outcome.data);
                if outcome.skipped {
                    data.insert("skipped".into(), true.into());
                }
                if !outcome.diff.is_empty() {
                    let diff = |diff: module::Diff| {
                        if !diff.prepared.is_empty() {
                            json!({"prepared": diff.prepared})
                        } else {
                            json!({"before_header": diff.before_header, "after_header": diff.after_header, "before": diff.before, "after": diff.after})
                        }
                    };
                    data.insert("diff".into(), outcome.diff.into_iter().map(diff).collect());
                }
                Json::Object(data)
            }
            Err(failure) => {
                let mut data = Map::from_iter([("changed".to_owned(), false.into()), ("failed".into(), true.into())]);
                data.insert("msg".into(), failure.message.into());
                data.extend(failure.data);
                Json::Object(data)
            }
        };
        self.redact(&mut shown);
        shown
    }

    fn try_run(&self, step: &Step) -> Result<Outcome, Failure> {
        let Some(Registered::OnHost(module)) = module::find(&step.module) else {
            panic!("no module `{}`", step.module);
        };
        let context = Controller { project: self.project(), check: step.check };
        let args = self.fill(&step.args);
        let args = Args::convert(module.spec(), args.as_object().expect("arguments are a mapping"))?;
        let output = match module.probe(&args, &context)? {
            Some(probe) => self.execute(&probe),
            None => nothing(),
        };
        let change = match module.decide(&args, &output, &context)? {
            Decision::Unchanged(outcome) => return Ok(outcome),
            Decision::Change(change) => change,
        };
        if step.check {
            return Ok(change.in_check_mode.unwrap_or(change.outcome));
        }
        let script = match change.apply {
            Apply::OnHost(script) => script,
            Apply::OnController { path, content } => {
                std::fs::create_dir_all(path.parent().expect("a file's folder")).map_err(|err| Failure::new(err.to_string()))?;
                std::fs::write(&path, content).map_err(|err| Failure::new(err.to_string()))?;
                return Ok(change.outcome);
            }
            Apply::FromHost { .. } => panic!("what is so large is brought by the wire, which is not here"),
        };
        let output = self.execute(&script);
        match change.finish {
            Some(finish) => finish(&output, change.outcome),
            None if output.success() => Ok(change.outcome),
            None => Err(Failure::script("apply", &output)),
        }
    }

    /// Runs a task's change and kills it, with all that it has started, after a while; whether it was still running then.
    pub fn run_killed(&self, step: &Step, after: Duration) -> bool {
        let Some(Registered::OnHost(module)) = module::find(&step.module) else { panic!("no module `{}`", step.module) };
        let context = Controller { project: self.project(), check: false };
        let args = Args::convert(module.spec(), self.fill(&step.args).as_object().expect("arguments")).expect("they are right");
        let output = module.probe(&args, &context).expect("a probe").map_or_else(nothing, |probe| self.execute(&probe));
        let Ok(Decision::Change(change)) = module.decide(&args, &output, &context) else { panic!("there is something to change") };
        let Apply::OnHost(script) = change.apply else { panic!("it changes the host") };
        let mut child =
            self.command(&script).process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the shell starts");
        std::thread::sleep(after);
        let was_running = child.try_wait().expect("a child").is_none();
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]).stderr(Stdio::null()).status();
        child.wait().expect("a child");
        was_running
    }

    fn execute(&self, script: &Script) -> Output {
        let (started, clock) = (SystemTime::now(), Instant::now());
        let output = self.command(script).output().expect("the shell starts");
        let status = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
        Output { status, stdout: output.stdout, stderr: output.stderr, started, elapsed: clock.elapsed() }
    }

    fn command(&self, script: &Script) -> Command {
        let text = self.folder.path().join("script");
        std::fs::write(&text, format!("umask 022\n{}", script.text)).expect("a script");
        let mut command = Command::new(self.shell.program);
        command.args(self.shell.args).arg(&text).current_dir(self.root()).env("ROOT", self.root());
        if self.shell.args.is_empty() || self.shell.name == "bash" {
            command.arg0("sh");
        }
        let mut path = self.shell.tools.path().as_os_str().to_owned();
        if !self.shell.only_tools {
            path.push(":");
            path.push(std::env::var_os("PATH").unwrap_or_default());
        }
        command.env("PATH", path);
        command.envs(script.environment.iter().cloned());
        let input = self.folder.path().join("input");
        match &script.input {
            Input::None => std::fs::write(&input, "").expect("an input"),
            Input::Bytes(bytes) => std::fs::write(&input, bytes).expect("an input"),
            Input::File(path) => drop(std::fs::copy(path, &input).expect("an input")),
        }
        command.stdin(Stdio::from(std::fs::File::open(&input).expect("an input")));
        command
    }

    fn fill(&self, value: &Json) -> Json {
        match value {
            Json::String(text) => text.replace("[ROOT]", &self.root().to_string_lossy()).into(),
            Json::Array(items) => items.iter().map(|item| self.fill(item)).collect(),
            Json::Object(map) => map.iter().map(|(key, item)| (key.clone(), self.fill(item))).collect(),
            other => other.clone(),
        }
    }

    fn redact(&self, value: &mut Json) {
        match value {
            Json::String(text) => *text = self.redacted(text),
            Json::Array(items) => items.iter_mut().for_each(|item| self.redact(item)),
            Json::Object(map) => {
                for key in
                    ["warnings", "elapsed", "atime", "mtime", "ctime", "inode", "dev", "device_type", "blocks", "block_size", "md5sum"]
                {
                    map.remove(key);
                }
                map.values_mut().for_each(|item| self.redact(item));
            }
            _ => {}
        }
    }

    fn redacted(&self, text: &str) -> String {
        let text = text.replace(&*self.project().join("files").to_string_lossy(), "[FILES]");
        let text = text.replace(&*self.root().to_string_lossy(), "[ROOT]");
        RANDOM.replace_all(&BACKUP.replace_all(&text, "[BACKUP]"), "[RANDOM]").into_owned()
    }

    /// Everything below the scratch root, a line each.
    pub fn tree(&self) -> Vec<String> {
        let mut lines = Vec::new();
        self.add_tree(&self.root(), "", &mut lines);
        lines.sort();
        lines
    }

    fn add_tree(&self, folder: &Path, prefix: &str, lines: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let path = entry.path();
            let meta = path.symlink_metadata().expect("a file");
            let (mode, shown) = (meta.permissions().mode() & 0o7777, self.redacted(&name));
            if meta.is_symlink() {
                let target = std::fs::read_link(&path).expect("a link");
                lines.push(format!("l {shown} -> {}", self.redacted(&target.to_string_lossy())));
            } else if meta.is_dir() {
                lines.push(format!("d {mode:04o} {shown}/"));
                self.add_tree(&path, &format!("{name}/"), lines);
            } else if meta.is_file() && meta.mode() & 0o170_000 == 0o100_000 {
                let content = std::fs::read(&path).expect("a file");
                let content = self.redacted(&String::from_utf8_lossy(&content)).replace("[ROOT]", &self.root().to_string_lossy());
                let content = content.replace(&*self.root().to_string_lossy(), "[ROOT]");
                lines.push(format!("f {mode:04o} {shown} {}", Json::from(content)));
            } else {
                lines.push(format!("o {mode:04o} {shown}"));
            }
        }
    }
}

fn nothing() -> Output {
    Output { status: 0, stdout: Vec::new(), stderr: Vec::new(), started: SystemTime::now(), elapsed: Duration::ZERO }
}

/// Runs an ignored test of this program where its mounts are its own, or says why not.
pub fn in_a_mount_namespace(test: &str) {
    let can = Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        println!("skipped: {test}: no mount namespace can be made here");
        return;
    }
    let myself = std::env::current_exe().expect("a test has a path");
    let output = Command::new("unshare")
        .args(["-m", "--propagation", "private"])
        .arg(myself)
        .args(["--exact", test, "--ignored"])
        .output()
        .expect("unshare starts");
    let said = String::from_utf8_lossy(&output.stdout);
    // A name that no test has any more would pass, too.
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
