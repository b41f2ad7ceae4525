//! Brings a file of the host to the controller.
//!
//! ```yaml
//! - fetch: {src: /etc/kubernetes/admin.conf, dest: ./, flat: true}
//! ```
//!
//! Without `flat` it goes to `dest/HOST/path`. It may be of any size, and gets its name when all of it has come. Returns `dest`, `file`, `checksum`, `remote_checksum`.

use super::look::{FUNCTIONS, Fields};
use super::put::{checksum_of, sha1_of};
use crate::module::{Apply, Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, words};
use std::path::PathBuf;

pub struct Fetch;

/// Up to so many bytes come with the answer that says what the file is: that saves the way there and back. What is larger comes by itself.
const SMALL: u64 = 128 * 1024;

static SPEC: Spec = Spec {
    name: "ansible.builtin.fetch",
    aliases: &[],
    params: &[
        Param::path("src").required(),
        Param::str("dest").required(),
        Param::bool("flat").default("false"),
        Param::bool("fail_on_missing").default("true"),
        Param::bool("validate_checksum").default("true"),
    ],
    free_form: FreeForm::None,
};

pub struct State {
    path: String,
    found: Found,
}

enum Found {
    Missing,
    Directory,
    /// Its SHA-1 as the host says it, and its content if it is small.
    File {
        checksum: String,
        length: u64,
        content: Option<Vec<u8>>,
    },
}

impl Module for Fetch {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        let path = words::on_host(args.required("src")?);
        Ok(Some(Script::new(format!(
            "{FUNCTIONS}p={path}\nsay \"$p\"\nlook \"$p\" -L\n[ -n \"$s\" ] || exit 0\nif [ -d \"$p\" ]; then exit 0; fi\n\
             set -- $s\nsum \"$p\"\nif [ \"$7\" -le {SMALL} ]; then say small; exec cat -- \"$p\"; fi\nsay ''\n"
        ))))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<State, Failure> {
        let mut fields = Fields::of(&format!("read {}", args.required("src")?), output)?;
        let path = fields.text()?;
        let found = match fields.entry(&path)? {
            None => Found::Missing,
            Some(entry) if entry.is_dir() => Found::Directory,
            Some(entry) => match fields.sum()? {
                Some(checksum) => {
                    let is_small = !fields.bytes()?.is_empty();
                    Found::File { checksum, length: entry.size, content: is_small.then(|| fields.rest().to_vec()) }
                }
                None => return Err(Failure::argument("src", format!("cannot read {path}"))),
            },
        };
        Ok(State { path, found })
    }

    fn decide(&self, args: &Args, state: State, context: &dyn Context) -> Result<Decision, Failure> {
        if context.check_mode() {
            let skipped = Outcome { skipped: true, ..Outcome::default() };
            return Ok(skipped.with("msg", "check mode not (yet) supported for this module").into());
        }
        let source = state.path.as_str();
        let missing = |why: &str| {
            if args.is("fail_on_missing") {
                Err(Failure::argument("src", why).with("file", source))
            } else {
                Ok(Outcome::unchanged().with("msg", format!("{why}, not transferring, ignored")).with("file", source).into())
            }
        };
        let (remote_checksum, length, content) = match state.found {
            Found::Missing => return missing("the remote file does not exist"),
            Found::Directory => return missing("remote file is a directory, fetch cannot work on directories"),
            Found::File { checksum, length, content } => (checksum, length, content),
        };
        let dest = destination(args, source, context)?;
        let outcome = |changed| Outcome { changed, ..Outcome::default() }.with("dest", dest.to_string_lossy()).with("file", source);
        let compare = came_as(remote_checksum.clone(), args.is("validate_checksum"));
        // Of what has not come yet, it is what the host says that would be new.
        let checksum = content.as_deref().map_or_else(|| remote_checksum.clone(), sha1_of);
        let received = compare(&checksum, outcome(true))?;
        if dest.is_file() && checksum_of(&dest)? == checksum {
            return Ok(outcome(false).with("checksum", checksum).into());
        }
        let Some(content) = content else {
            let apply = Apply::FromHost { source: state.path.clone(), length, checksum: remote_checksum, path: dest.clone() };
            let finish = move |output: &Output, outcome| compare(&output.stdout_text(), outcome);
            return Ok(Change { outcome: received, apply, finish: Some(Box::new(finish)), in_check_mode: None }.into());
        };
        Ok(Change { outcome: received, apply: Apply::OnController { path: dest.clone(), content }, finish: None, in_check_mode: None }
            .into())
    }
}

/// What is returned of a file that came with this SHA-1.
fn came_as(remote_checksum: String, must_agree: bool) -> impl Fn(&str, Outcome) -> Result<Outcome, Failure> + Send + 'static {
    move |checksum, outcome| {
        if must_agree && checksum != remote_checksum {
            let failure = Failure::new("checksum mismatch").with("checksum", checksum).with("remote_checksum", remote_checksum.as_str());
            return Err(outcome.data.get("dest").cloned().into_iter().fold(failure, |failure, dest| failure.with("dest", dest)));
        }
        Ok(outcome
            .with("checksum", checksum)
            .with("remote_checksum", remote_checksum.as_str())
            .with("remote_md5sum", serde_json::Value::Null))
    }
}

/// A host's own folder below `dest`. Its name may come from anywhere (`add_host` of what a host said).
fn folder_of_host(host: &str) -> Result<&str, Failure> {
    let is_folder = !host.is_empty() && !host.starts_with('/') && !host.split('/').any(|part| matches!(part, "." | ".."));
    is_folder.then_some(host).ok_or_else(|| Failure::argument("dest", format!("the host's name `{host}` would lead out of `dest`")))
}

/// Where the file goes on the controller.
fn destination(args: &Args, source: &str, context: &dyn Context) -> Result<PathBuf, Failure> {
    let asked = args.required("dest")?;
    let expanded = match (asked.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(asked),
    };
    // A relative place is the playbook's, wherever one stands.
    let mut dest = context.playbook_dir().join(expanded);
    // Where the host has nothing to expand, its word for its own path is not needed: it would choose the name of a file of ours.
    let written = args.required("src")?;
    let source = if written.starts_with('~') || written.contains('$') { source } else { written };
    let name = source.rsplit('/').next().unwrap_or(source);
    if !args.is("flat") {
        dest.push(folder_of_host(context.inventory_hostname())?);
        dest.extend(source.split('/').filter(|part| !matches!(*part, "" | "." | "..")));
    } else if asked.ends_with('/') {
        if matches!(name, "" | "." | "..") {
            return Err(Failure::argument("src", format!("`{source}` names no file")));
        }
        dest.push(name);
    } else if dest.is_dir() {
        let why = "dest is an existing directory, use a trailing slash if you want to fetch src into that directory";
        return Err(Failure::argument("dest", why));
    }
    Ok(dest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::trial::{Controller, decide};
    use serde_json::json;

    #[test]
    fn a_host_does_not_choose_where_its_file_goes() {
        for (src, dest, flat, said, goes) in [
            ("/etc/motd", "/c/out/", true, "/root/.bashrc", "/c/out/motd"),
            ("/etc/motd", "/c/out", false, "/root/.ssh/config", "/c/out/web1/etc/motd"),
            ("~/notes", "/c/out", false, "/../../x/../y", "/c/out/web1/x/y"),
        ] {
            let stat = "81a4 0 0 1 2 3 2 1 1 1 8 4096 0 0|1|1|1|root|root";
            let probe = format!("{said}\0{stat}\0{}\0small\0x\n", sha1_of(b"x\n"));
            let decision = decide(&Fetch, json!({"src": src, "dest": dest, "flat": flat}), &probe, &Controller::default());
            let Ok(Decision::Change(Change { apply: Apply::OnController { path, .. }, .. })) = decision else { panic!("{src} is new") };
            assert_eq!(path, PathBuf::from(goes));
        }
        let refused = decide(
            &Fetch,
            json!({"src": "$X/..", "dest": "/c/out/", "flat": true}),
            "/..\081a4 0 0 1 2 3 2 1 1 1 8 4096 0 0|1|1|1|root|root\0da39a3ee5e6b4b0d3255bfef95601890afd80709\0small\0",
            &Controller::default(),
        );
        assert!(refused.is_err());
    }

    #[test]
    fn a_hosts_name_does_not_lead_out() {
        for name in ["..", "../x", "/etc", "a/../..", ""] {
            assert!(folder_of_host(name).is_err(), "{name}");
        }
        assert_eq!(folder_of_host("rack1/web1").ok(), Some("rack1/web1"));
    }
}
