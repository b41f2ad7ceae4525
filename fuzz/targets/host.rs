//! What comes from hosts, and what says how to reach them.

use super::{draw, text};
use nodewright::module::{self, Apply, Args, Context, Decision, Failure, Registered, TemplateOptions};
use nodewright::remote::fuzzing;
use nodewright::sh::Output;
use serde_json::{Map, Value as Json};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

pub fn known_hosts(data: &[u8]) {
    fuzzing::known_hosts(&text(data));
}

pub fn ssh_config(data: &[u8]) {
    fuzzing::ssh_config(&text(data));
}

pub fn framing(data: &[u8]) {
    fuzzing::framing(data);
}

/// Tasks, at least one of every module. An input's first byte says which one it is: new ones go to the end.
static TASKS: LazyLock<Vec<(&'static dyn module::AnyModule, Args)>> = LazyLock::new(|| {
    let tasks: Vec<Map<String, Json>> = serde_json::from_str(include_str!("modules.json")).expect("tasks");
    let task = |task: Map<String, Json>| {
        let (name, given) = task.into_iter().next().expect("a task has a module");
        let Some(Registered::OnHost(module)) = module::find(&name) else { panic!("no module on hosts is called `{name}`") };
        (module, Args::convert(module.spec(), given.as_object().expect("arguments")).unwrap_or_else(|err| panic!("{name}: {err}")))
    };
    tasks.into_iter().map(task).collect()
});

/// Stands in the input between what the probe printed and what the change printed.
const THEN: &[u8] = b"\xff\xfe";

/// Which task, how the scripts ended, what the probe printed, what the change printed.
pub fn probe(data: &[u8]) {
    let [which, flags, said @ ..] = data else { return };
    let (module, args) = &TASKS[usize::from(*which) % TASKS.len()];
    let cut = said.windows(THEN.len()).position(|window| window == THEN);
    let (probed, applied) = cut.map_or((said, said), |cut| (&said[..cut], &said[cut + THEN.len()..]));
    let controller = Controller { check: flags & 1 != 0, diff: flags & 2 != 0 };
    std::hint::black_box(module.probe(args, &controller).ok());
    let probed = output(i32::from(flags & 4 != 0), probed);
    match module.decide(args, &probed, &controller) {
        Ok(Decision::Unchanged(outcome)) => {
            std::hint::black_box(outcome);
        }
        Ok(Decision::Change(change)) => {
            if let Apply::OnController { path, .. } = &change.apply {
                assert!(path.starts_with("/c/out"), "{} is not below the destination", path.display());
            }
            if let Some(finish) = change.finish {
                std::hint::black_box(finish(&output(i32::from(flags >> 3), applied), change.outcome).ok());
            }
        }
        Err(failure) => failure.diag.iter().for_each(|diag| draw(diag)),
    }
}

fn output(status: i32, stdout: &[u8]) -> Output {
    Output { status, stdout: stdout.to_vec(), stderr: b"said".to_vec(), started: SystemTime::UNIX_EPOCH, elapsed: Duration::ZERO }
}

/// Which module, and its arguments as JSON.
pub fn module_arguments(data: &[u8]) {
    let Some((which, given)) = data.split_first() else { return };
    let Ok(Json::Object(given)) = serde_json::from_slice(given) else { return };
    let (module, _) = TASKS[usize::from(*which) % TASKS.len()];
    let controller = Controller { check: false, diff: true };
    // The same answer for all: nothing is there, or something else.
    let Ok(args) = Args::convert(module.spec(), &given) else { return };
    std::hint::black_box(module.probe(&args, &controller).ok());
    std::hint::black_box(module.decide(&args, &output(0, b"/r/f\0!No such file or directory\x0022\0"), &controller).is_ok());
}

struct Controller {
    check: bool,
    diff: bool,
}

impl Context for Controller {
    fn check_mode(&self) -> bool {
        self.check
    }
    fn diff_mode(&self) -> bool {
        self.diff
    }
    fn find_file(&self, _kind: &str, name: &str) -> Result<PathBuf, Failure> {
        // No other file of this machine is to be looked at.
        let known = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|dir| dir.join("rustfmt.toml")).find(|path| path.exists());
        known.filter(|_| name == "small").ok_or_else(|| Failure::argument("src", format!("could not find `{name}`")))
    }
    fn render_template(&self, _name: &str, _options: &TemplateOptions) -> Result<String, Failure> {
        Ok("rendered\n".to_owned())
    }
    fn fact(&self, name: &str) -> Option<Json> {
        match name {
            "os_family" => Some("Debian".into()),
            "distribution_release" => Some("bookworm".into()),
            "pkg_mgr" => Some("apt".into()),
            "service_mgr" => Some("systemd".into()),
            _ => None,
        }
    }
    fn python(&self) -> Option<String> {
        None
    }
    fn tells_secret(&self, text: &str) -> bool {
        text.contains("secret")
    }
    fn playbook_dir(&self) -> PathBuf {
        PathBuf::from("/c")
    }
    fn inventory_hostname(&self) -> &str {
        "web1"
    }
}
