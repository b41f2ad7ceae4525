//! Brings a file of the host to the controller.
//!
//! ```yaml
//! - fetch: {src: /etc/kubernetes/admin.conf, dest: ./, flat: true}
//! ```
//!
//! Without `flat` it goes to `dest/HOST/path`. Returns `dest`, `file`, `checksum`, `remote_checksum`.

use super::look::{FUNCTIONS, Fields};
use super::put::{checksum_of, sha1_of};
use crate::module::{Apply, Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, words};
use std::path::PathBuf;

pub struct Fetch;

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
    /// Its SHA-1 as the host says it, and its content.
    File {
        checksum: String,
        content: Vec<u8>,
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
            "{FUNCTIONS}p={path}\nsay \"$p\"\nlook \"$p\" -L\n[ -n \"$s\" ] || exit 0\nif [ -d \"$p\" ]; then exit 0; fi\nsum \"$p\"\nexec cat -- \"$p\"\n"
        ))))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<State, Failure> {
        let mut fields = Fields::of(&format!("read {}", args.required("src")?), output)?;
        let path = fields.text()?;
        let found = match fields.entry(&path)? {
            None => Found::Missing,
            Some(entry) if entry.is_dir() => Found::Directory,
            Some(_) => match fields.sum()? {
                Some(checksum) => Found::File { checksum, content: fields.rest().to_vec() },
                None => return Err(Failure::argument("src", format!("cannot read {path}"))),
            },
        };
        Ok(State { path, found })
    }

    fn decide(&self, args: &Args, state: State, context: &dyn Context) -> Result<Decision, Failure> {
        let source = state.path.as_str();
        let missing = |why: &str| {
            if args.is("fail_on_missing") {
                Err(Failure::argument("src", why).with("file", source))
            } else {
                Ok(Outcome::unchanged().with("msg", format!("{why}, not transferring, ignored")).with("file", source).into())
            }
        };
        let (remote_checksum, content) = match state.found {
            Found::Missing => return missing("the remote file does not exist"),
            Found::Directory => return missing("remote file is a directory, fetch cannot work on directories"),
            Found::File { checksum, content } => (checksum, content),
        };
        let checksum = sha1_of(&content);
        let dest = destination(args, source, context)?;
        let shown = dest.to_string_lossy().into_owned();
        if checksum != remote_checksum && args.is("validate_checksum") {
            return Err(Failure::new("checksum mismatch")
                .with("checksum", checksum)
                .with("remote_checksum", remote_checksum)
                .with("dest", shown));
        }
        let outcome = |changed| Outcome { changed, ..Outcome::default() }.with("dest", shown.as_str()).with("file", source);
        if dest.is_file() && checksum_of(&dest)? == checksum {
            return Ok(outcome(false).with("checksum", checksum).into());
        }
        let outcome = outcome(true)
            .with("checksum", checksum)
            .with("remote_checksum", remote_checksum)
            .with("remote_md5sum", serde_json::Value::Null);
        Ok(Change { outcome, apply: Apply::OnController { path: dest, content }, finish: None, in_check_mode: None }.into())
    }
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
    let name = source.rsplit('/').next().unwrap_or(source);
    if !args.is("flat") {
        dest.push(context.inventory_hostname());
        dest.extend(source.split('/').filter(|part| !matches!(*part, "" | "." | "..")));
    } else if asked.ends_with('/') {
        dest.push(name);
    } else if dest.is_dir() {
        let why = "dest is an existing directory, use a trailing slash if you want to fetch src into that directory";
        return Err(Failure::argument("dest", why));
    }
    Ok(dest)
}
