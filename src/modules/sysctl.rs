//! Keeps a kernel parameter in a file of sysctl's and in the running kernel.
//!
//! ```yaml
//! - sysctl: {name: net.ipv4.ip_forward, value: "1", sysctl_file: /etc/sysctl.d/99-kubernetes.conf}
//! ```
//!
//! `reload` (the default) loads the whole file when something is to be changed, also when only the running kernel differs; `sysctl_set` sets
//! the one value at once.

use super::attributes::Fix;
use super::look::{Entry, FUNCTIONS, Fields};
use super::put::sha1_of;
use super::write_file::{CLEANING, Write, diff_of_contents};
use crate::module::{Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, quote, words};

pub struct Sysctl;

static SPEC: Spec = Spec {
    name: "ansible.posix.sysctl",
    aliases: &["ansible.builtin.sysctl"],
    params: &[
        Param::str("name").required().alias(&["key"]),
        Param::str("value").alias(&["val"]),
        Param::str("state").default("present").choices(&["present", "absent"]),
        Param::bool("reload").default("true"),
        Param::bool("sysctl_set").default("false"),
        Param::bool("ignoreerrors").default("false").alias(&["ignore_errors"]),
        Param::path("sysctl_file").default("/etc/sysctl.conf"),
    ],
    free_form: FreeForm::None,
};

/// By which exit status the script says what went wrong.
const NOT_RELOADED: i32 = 89;
const NOT_SET: i32 = 90;

pub struct State {
    path: String,
    entry: Option<Entry>,
    umask: u32,
    /// The running kernel's value, if it has the parameter.
    running: Option<String>,
    content: String,
}

impl Module for Sysctl {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        let name = args.required("name")?;
        if name.trim().is_empty() {
            return Err(Failure::argument("name", "name cannot be blank"));
        }
        Ok(Some(Script::new(format!(
            "{FUNCTIONS}p={}\nif [ -L \"$p\" ]; then r=$(real \"$p\" && echo .) && p=${{r%??}}; fi\n\
             say \"$p\"\nlook \"$p\"\nsay \"$(umask)\"\n\
             k={}\nif [ -e \"$k\" ] && v=$(cat \"$k\" 2>/dev/null); then say \"=$v\"; else say ''; fi\n\
             if [ -f \"$p\" ]; then cat -- \"$p\" || exit 1; fi\nexit 0\n",
            words::on_host(args.required("sysctl_file")?),
            quote(&kernel_path(name))
        ))))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<State, Failure> {
        let mut fields = Fields::of(&format!("read {}", args.required("sysctl_file")?), output)?;
        let path = fields.text()?;
        let entry = fields.entry(&path)?;
        let umask = fields.umask()?;
        let running = fields.text()?.strip_prefix('=').map(str::to_owned);
        let content = String::from_utf8(fields.rest().to_vec()).map_err(|_| Failure::new(format!("{path} is not UTF-8")))?;
        Ok(State { path, entry, umask, running, content })
    }

    fn decide(&self, args: &Args, state: State, context: &dyn Context) -> Result<Decision, Failure> {
        let name = args.required("name")?;
        let wants = args.required("state")? == "present";
        let value = match args.str("value") {
            Some(value) => value_of(value),
            None if wants => return Err(Failure::new("state is present but all of the following are missing: value")),
            None => String::new(),
        };
        if wants && value.is_empty() {
            return Err(Failure::argument("value", "value cannot be blank"));
        }
        let in_file = value_in(&state.content, name);
        let write = if wants { in_file != Some(value.as_str()) } else { in_file.is_some() };
        let runs = state.running.as_deref().is_some_and(|running| running.split_whitespace().eq(value.split_whitespace()));
        let set = wants && args.is("sysctl_set") && !runs;
        let reload = args.is("reload") && (write || set || (wants && !runs));
        let changed = write || set || reload;
        let mut outcome = Outcome { changed, ..Outcome::default() };
        if !changed {
            return Ok(outcome.into());
        }
        let new = new_content(&state.content, name, wants.then_some(value.as_str()));
        if write && context.diff_mode() {
            let headers = (state.path.as_str(), state.path.as_str());
            outcome = outcome.diff(diff_of_contents(headers, Some(state.content.as_bytes()), new.as_bytes()));
        }
        let ignore = if args.is("ignoreerrors") { "-e " } else { "" };
        let mut text = format!("{FUNCTIONS}{CLEANING}");
        if set {
            text.push_str(&format!("sysctl {ignore}-w {} > /dev/null || exit {NOT_SET}\n", quote(&format!("{name}={value}"))));
        }
        let mut input = Vec::new();
        if write {
            let fix = Fix { mode: state.entry.is_none().then_some(0o666 & !state.umask), ..Fix::default() };
            let checksum = sha1_of(new.as_bytes());
            let write = Write {
                path: &state.path,
                replaces: state.entry.as_ref(),
                fix,
                source: "cat",
                checksum: Some(&checksum),
                validate: None,
                backup: false,
                before: "",
            };
            text.push_str(&format!("{{\n{}}} > /dev/null\n", write.lines()?));
            input = new.into_bytes();
        }
        if reload {
            text.push_str(&format!("sysctl {ignore}-p {} > /dev/null || exit {NOT_RELOADED}\n", quote(&state.path)));
        }
        let named = format!("{name}={value}");
        let finish = move |output: &Output, outcome| match output.status {
            0 => Ok(outcome),
            NOT_RELOADED => Err(Failure::new(format!("Failed to reload sysctl: {}", output.stderr_text().trim()))),
            NOT_SET => Err(Failure::new(format!("setting {named} failed: {}", output.stderr_text().trim()))),
            _ => Err(Failure::script(&format!("set {named}"), output)),
        };
        Ok(Change::new(outcome, Script::new(text).with_input(input)).finish(finish).into())
    }
}

/// Where the kernel shows a parameter. As sysctl reads names: the separator that comes first separates.
fn kernel_path(name: &str) -> String {
    let slashes = name.find(['.', '/']).is_some_and(|at| name[at..].starts_with('/'));
    let swapped: String = name
        .chars()
        .map(|character| match character {
            '.' if !slashes => '/',
            '/' if !slashes => '.',
            other => other,
        })
        .collect();
    format!("/proc/sys/{swapped}")
}

/// Ansible's reading of a value: booleans are 1 and 0.
fn value_of(value: &str) -> String {
    match value.trim().to_lowercase().as_str() {
        "yes" | "on" | "true" | "y" | "t" => "1".into(),
        "no" | "off" | "false" | "n" | "f" => "0".into(),
        _ => value.trim().to_owned(),
    }
}

/// `name = value` of a line that has one.
fn parse(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    if line.starts_with(['#', ';']) {
        return None;
    }
    line.split_once('=').map(|(name, value)| (name.trim(), value.trim()))
}

/// The last one counts.
fn value_in<'a>(content: &'a str, name: &str) -> Option<&'a str> {
    content.lines().rev().filter_map(parse).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// The file as ansible.posix leaves it: each parameter once, without spaces, and ours with its value, or gone.
fn new_content(content: &str, name: &str, value: Option<&str>) -> String {
    let mut new = String::new();
    let mut seen = Vec::new();
    for line in content.lines() {
        match parse(line) {
            None => {
                new.push_str(line.trim());
                new.push('\n');
            }
            Some((key, _)) if seen.contains(&key) => {}
            Some((key, old)) => {
                seen.push(key);
                if key != name {
                    new.push_str(&format!("{key}={old}\n"));
                } else if let Some(value) = value {
                    new.push_str(&format!("{name}={value}\n"));
                }
            }
        }
    }
    if let Some(value) = value.filter(|_| !seen.contains(&name)) {
        new.push_str(&format!("{name}={value}\n"));
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_kernels_file() {
        assert_eq!(kernel_path("net.ipv4.conf.eth0/1.rp_filter"), "/proc/sys/net/ipv4/conf/eth0.1/rp_filter");
        assert_eq!(kernel_path("net/ipv4/conf/eth0.1/rp_filter"), "/proc/sys/net/ipv4/conf/eth0.1/rp_filter");
    }
}
