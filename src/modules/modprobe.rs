//! Loads a kernel module, now and at boot.
//!
//! ```yaml
//! - modprobe: {name: br_netfilter, persistent: present}
//! ```
//!
//! A module that is built into the kernel counts as loaded. `persistent: present` writes `/etc/modules-load.d/NAME.conf` and, for `params`,
//! `/etc/modprobe.d/NAME.conf`; `absent` comments the lines out wherever they are. Returns `name`, `params`, `state`.

use super::attributes::Fix;
use super::look::{FUNCTIONS, Fields};
use super::write_file::{CLEANING, Write};
use crate::module::{Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, quote};
use std::collections::BTreeSet;

pub struct Modprobe;

static SPEC: Spec = Spec {
    name: "community.general.modprobe",
    aliases: &["ansible.builtin.modprobe"],
    params: &[
        Param::str("name").required(),
        Param::str("state").default("present").choices(&["absent", "present"]),
        Param::str("params").default(""),
        Param::str("persistent").default("disabled").choices(&["disabled", "absent", "present"]),
    ],
    free_form: FreeForm::None,
};

const AT_BOOT: &str = "/etc/modules-load.d";
const OPTIONS: &str = "/etc/modprobe.d";

/// By which exit status the script says that modprobe failed.
const NOT_LOADED: i32 = 89;

pub struct State {
    is_loaded: bool,
    /// Path and content of every file of the two folders, if they matter.
    files: Vec<(String, String)>,
}

impl Module for Modprobe {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        let name = args.required("name")?;
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)) {
            return Err(Failure::argument("name", format!("`{name}` is not the name of a kernel module")));
        }
        let kernel_name = name.replace('-', "_");
        // The kernel and the list of what is built in do not agree on dashes.
        let pattern = kernel_name.replace('_', "[-_]");
        let mut text = format!(
            "{FUNCTIONS}loaded() {{\n\
             \x20 [ -d /sys/module/{kernel_name} ] && return\n\
             \x20 if [ -r /proc/modules ]; then while read -r name x; do [ \"$name\" != {kernel_name} ] || return 0; done < /proc/modules; fi\n\
             \x20 [ {kernel_name} = br_netfilter ] && [ -d /proc/sys/net/bridge ] && return\n\
             \x20 list=/lib/modules/$(uname -r)/modules.builtin\n\
             \x20 [ -r \"$list\" ] && grep -q '/{pattern}\\.ko' \"$list\"\n\
             }}\nif loaded; then say 1; else say ''; fi\n"
        );
        if args.required("persistent")? != "disabled" {
            text.push_str(&format!(
                "for f in {AT_BOOT}/* {OPTIONS}/*; do\n\
                 \x20 if [ -f \"$f\" ]; then c=$(cat -- \"$f\" && echo .) || exit 1; say \"$f\"; say \"${{c%.}}\"; fi\n\
                 done\n"
            ));
        }
        text.push_str("exit 0\n");
        Ok(Some(Script::new(text)))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<State, Failure> {
        let mut fields = Fields::of(&format!("look for the module {}", args.required("name")?), output)?;
        let is_loaded = !fields.text()?.is_empty();
        let mut files = Vec::new();
        while !fields.is_empty() {
            files.push((fields.text()?, fields.text()?));
        }
        Ok(State { is_loaded, files })
    }

    fn decide(&self, args: &Args, state: State, _context: &dyn Context) -> Result<Decision, Failure> {
        let name = args.required("name")?;
        let params: Vec<&str> = args.required("params")?.split_whitespace().collect();
        let wants = args.required("state")?;
        let mut lines = String::new();
        match (wants, state.is_loaded) {
            ("present", false) => {
                let params: String = params.iter().map(|param| format!(" {}", quote(param))).collect();
                lines.push_str(&format!("modprobe -- {}{params} || exit {NOT_LOADED}\n", quote(name)));
            }
            ("absent", true) => lines.push_str(&format!("modprobe -r -- {} || exit {NOT_LOADED}\n", quote(name))),
            _ => {}
        }
        for (path, content) in state.new_files(args.required("persistent")?, name, &params) {
            let source = format!("printf '%s' {}", quote(&content));
            let fix = Fix { mode: Some(0o644), ..Fix::default() };
            let write =
                Write { path: &path, replaces: None, fix, source: &source, checksum: None, validate: None, backup: false, before: "" };
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            lines.push_str(&format!("mkdir -p -- {} || exit 1\n{{\n{}}} > /dev/null\n", quote(folder), write.lines()?));
        }
        let outcome = Outcome { changed: !lines.is_empty(), ..Outcome::default() }
            .with("name", name)
            .with("params", args.required("params")?)
            .with("state", wants);
        if lines.is_empty() {
            return Ok(outcome.into());
        }
        let named = name.to_owned();
        let finish = move |output: &Output, outcome| match output.status {
            0 => Ok(outcome),
            NOT_LOADED => {
                let stderr = output.stderr_text();
                Err(Failure::new(format!("modprobe {named}: {}", stderr.trim())).with("stderr", stderr.trim()).with("name", named.as_str()))
            }
            _ => Err(Failure::script(&format!("keep the module {named}"), output)),
        };
        // Under umask 077 from the start: a folder that is made has to be readable.
        let script = Script::new(format!("{FUNCTIONS}{CLEANING}umask 022\n{lines}"));
        Ok(Change::new(outcome, script).finish(finish).into())
    }
}

impl State {
    /// The files that change, with their new contents.
    fn new_files(&self, persistent: &str, name: &str, params: &[&str]) -> Vec<(String, String)> {
        let at_boot = |line: &str| body_of(line) == name;
        let option = |line: &str| {
            body_of(line)
                .strip_prefix("options ")
                .and_then(|rest| rest.trim_start().split_once(' '))
                .filter(|(of, _)| *of == name)
                .is_some()
        };
        let in_folder =
            |folder: &'static str| self.files.iter().filter(move |(path, _)| path.rsplit_once('/').is_some_and(|(of, _)| of == folder));
        let is_at_boot = in_folder(AT_BOOT).any(|(_, content)| content.lines().any(at_boot));
        let set: BTreeSet<&str> = in_folder(OPTIONS)
            .flat_map(|(_, content)| content.lines().filter(|line| option(line)))
            .flat_map(|line| body_of(line).split_whitespace().skip(2))
            .collect();
        let without = |folder: &'static str, is_meant: &dyn Fn(&str) -> bool| -> Vec<(String, String)> {
            in_folder(folder)
                .filter(|(_, content)| content.lines().any(is_meant))
                .map(|(path, content)| {
                    let comment = |line: &str| if is_meant(line) { format!("#{line}\n") } else { format!("{line}\n") };
                    (path.clone(), content.lines().map(comment).collect())
                })
                .collect()
        };
        let mut new = Vec::new();
        match persistent {
            "present" => {
                if !is_at_boot {
                    new.push((format!("{AT_BOOT}/{name}.conf"), format!("{name}\n")));
                }
                if set != params.iter().copied().collect() {
                    let own = format!("{OPTIONS}/{name}.conf");
                    new.extend(without(OPTIONS, &option).into_iter().filter(|(path, _)| *path != own));
                    new.push((own, params.iter().map(|param| format!("options {name} {param}\n")).collect()));
                }
            }
            "absent" => {
                new.extend(without(AT_BOOT, &at_boot));
                new.extend(without(OPTIONS, &option));
            }
            _ => {}
        }
        new
    }
}

/// A line without its comment and the spaces around.
fn body_of(line: &str) -> &str {
    line.split(['#', ';']).next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(persistent: &str, params: &[&str], files: &[(&str, &str)]) -> Vec<(String, String)> {
        let files = files.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect();
        State { is_loaded: true, files }.new_files(persistent, "br_netfilter", params)
    }

    fn owned(files: &[(&str, &str)]) -> Vec<(String, String)> {
        files.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned())).collect()
    }

    #[test]
    fn persistent_files_are_the_collections() {
        let at_boot = ("/etc/modules-load.d/br_netfilter.conf", "br_netfilter\n");
        assert_eq!(check("present", &[], &[]), owned(&[at_boot]));
        assert_eq!(check("present", &[], &[("/etc/modules-load.d/k8s.conf", "overlay\n br_netfilter # bridge\n")]), []);
        assert_eq!(
            check("present", &["a=1", "b=2"], &[at_boot, ("/etc/modprobe.d/x.conf", "options br_netfilter a=9\noptions other a=1\n")]),
            owned(&[
                ("/etc/modprobe.d/x.conf", "#options br_netfilter a=9\noptions other a=1\n"),
                ("/etc/modprobe.d/br_netfilter.conf", "options br_netfilter a=1\noptions br_netfilter b=2\n"),
            ])
        );
        assert_eq!(check("absent", &[], &[at_boot]), owned(&[("/etc/modules-load.d/br_netfilter.conf", "#br_netfilter\n")]));
        assert_eq!(check("absent", &[], &[("/etc/modules-load.d/br_netfilter.conf", "#br_netfilter\n")]), []);
        assert_eq!(check("disabled", &["a=1"], &[]), []);
    }
}
