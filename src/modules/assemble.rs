//! Puts a file together of the files of a directory, in the order of their names.
//!
//! ```yaml
//! - assemble: {src: /etc/app/conf.d, dest: /etc/app/app.conf, delimiter: "### next ###", regexp: '\.conf$', validate: app -t %s}
//! - assemble: {src: fragments, remote_src: false, dest: /etc/motd, mode: "0644"}
//! ```
//!
//! The directory is the host's, or with `remote_src: false` the controller's. Returns `src`, `dest`, `checksum`, `md5sum`, `msg`, `mode`,
//! `owner`, `group`, `size`, `state`; `backup_file` where one was made.

use super::look::{FUNCTIONS, Fields};
use super::put::{self, Content, Destination};
use crate::module::{Args, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::python::regex::{Flags, Pattern};
use crate::sh::{Output, Script, words};
use md5::{Digest, Md5};

pub struct Assemble;

static SPEC: Spec = Spec {
    name: "ansible.builtin.assemble",
    aliases: &[],
    params: &[
        Param::path("src").required(),
        Param::path("dest").required(),
        Param::str("delimiter"),
        Param::str("regexp"),
        Param::bool("remote_src").default("true"),
        Param::bool("ignore_hidden").default("false"),
        Param::bool("backup").default("false"),
        Param::str("validate"),
        Param::bool("decrypt").default("true"),
        Param::mode("mode"),
        Param::str("owner"),
        Param::str("group"),
    ],
    free_form: FreeForm::None,
};

/// A file's name and content.
type Fragment = (String, Vec<u8>);

pub struct State {
    /// Of the host's directory, if it is the host's.
    fragments: Vec<Fragment>,
    destination: Destination,
}

impl Module for Assemble {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, context: &dyn Context) -> Result<Option<Script>, Failure> {
        pattern(args)?;
        if let Some(command) = args.str("validate").filter(|command| !command.contains("%s")) {
            return Err(Failure::argument("validate", format!("validate must contain %s: {command}")));
        }
        let mut text = FUNCTIONS.to_owned();
        if args.is("remote_src") {
            let src = words::on_host(args.required("src")?);
            text.push_str(&format!(
                "d={src}\nif [ ! -e \"$d\" ]; then say none; exit 0; elif [ ! -d \"$d\" ]; then say other; exit 0; fi\nsay here\n\
                 for f in \"$d\"/* \"$d\"/.[!.]* \"$d\"/..?*; do\n\
                 if [ -f \"$f\" ]; then say \"${{f##*/}}\"; n=$(wc -c < \"$f\") || exit 1; say $n; cat -- \"$f\" || exit 1; fi\n\
                 done\nsay ''\n"
            ));
        }
        text.push_str(&put::ask(args, "", context)?);
        text.push_str("exit 0\n");
        Ok(Some(Script::new(text)))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<State, Failure> {
        let src = args.required("src")?;
        let mut fields = Fields::of(&format!("put {src} together"), output)?;
        let mut fragments = Vec::new();
        if args.is("remote_src") {
            match fields.text()?.as_str() {
                "none" => return Err(Failure::argument("src", format!("Source ({src}) does not exist"))),
                "other" => return Err(Failure::argument("src", format!("Source ({src}) is not a directory"))),
                _ => {}
            }
            loop {
                let name = fields.text()?;
                if name.is_empty() {
                    break;
                }
                let length = fields.number()?.unwrap_or(0);
                fragments.push((name, fields.take(length as usize)?.to_vec()));
            }
        }
        Ok(State { fragments, destination: Destination::read(args, fields)? })
    }

    fn decide(&self, args: &Args, state: State, context: &dyn Context) -> Result<Decision, Failure> {
        let src = args.required("src")?;
        let is_remote = args.is("remote_src");
        let (fragments, is_secret) = if is_remote { (state.fragments, false) } else { local_fragments(args, context)? };
        let bytes = assemble(args, fragments)?;
        let md5sum = hex::encode(Md5::digest(&bytes));
        let told = move |outcome: &mut Outcome, src: &str| {
            outcome.lists_diffs = false;
            outcome.data.insert("md5sum".into(), md5sum.into());
            outcome.data.insert("src".into(), src.into());
            outcome.data.insert("msg".into(), "OK".into());
        };
        let mut decision = state.destination.decide(args, Content::Bytes { name: String::new(), bytes, is_secret }, context)?;
        match &mut decision {
            Decision::Unchanged(outcome) => told(outcome, src),
            Decision::Change(change) => told(&mut change.outcome, src),
        }
        Ok(decision)
    }
}

fn pattern(args: &Args) -> Result<Option<Pattern>, Failure> {
    let pattern = |text: &str| {
        let invalid = |err| Failure::argument("regexp", format!("Invalid Regexp ({err}) in \"{text}\""));
        Pattern::new(text, Flags::default()).map_err(invalid)
    };
    args.str("regexp").map(pattern).transpose()
}

/// The files of the folder, decrypted, and whether any of them was encrypted.
fn local_fragments(args: &Args, context: &dyn Context) -> Result<(Vec<Fragment>, bool), Failure> {
    let folder = context.find_file("files", args.required("src")?)?;
    if !folder.is_dir() {
        return Err(Failure::argument("src", format!("Source ({}) is not a directory", folder.display())));
    }
    let failed = |err: std::io::Error| Failure::argument("src", format!("read {}: {err}", folder.display()));
    let (mut fragments, mut is_secret) = (Vec::new(), false);
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let decrypted = if args.is("decrypt") { put::decrypted(&path)? } else { None };
            is_secret |= decrypted.is_some();
            fragments.push((name, decrypted.map_or_else(|| put::read(&path), |plain| Ok(plain.to_vec()))?));
        }
    }
    Ok((fragments, is_secret))
}

fn assemble(args: &Args, mut fragments: Vec<Fragment>) -> Result<Vec<u8>, Failure> {
    let pattern = pattern(args)?;
    let delimiter = args.str("delimiter").filter(|delimiter| !delimiter.is_empty()).map(unescape);
    fragments.sort();
    let mut content: Vec<u8> = Vec::new();
    // Asked of the last fragment, not of what is written so far: an empty one ends no line either.
    let mut ends_line = true;
    let mut is_first = true;
    for (name, fragment) in fragments {
        let is_hidden = args.is("ignore_hidden") && name.starts_with('.');
        if is_hidden || !pattern.as_ref().map_or(Ok(true), |pattern| pattern.is_found(&name))? {
            continue;
        }
        if !ends_line {
            content.push(b'\n');
        }
        if let Some(delimiter) = delimiter.as_ref().filter(|_| !is_first) {
            content.extend(delimiter);
            // Ansible's controller looks for a line break at its end in a way that never finds one.
            if !delimiter.ends_with(b"\n") || !args.is("remote_src") {
                content.push(b'\n');
            }
        }
        ends_line = fragment.ends_with(b"\n");
        content.extend(fragment);
        is_first = false;
    }
    Ok(content)
}

/// The escapes of a Python string: `\n`, `\t`, `\x41`, `\101`; what is none stays.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend(rest[..at].bytes());
        rest = &rest[at + 1..];
        let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().map(|number| (number as u8, digits.len()));
        let n_octal = rest.bytes().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
        let (byte, length) = match rest.bytes().next() {
            Some(b'n') => (b'\n', 1),
            Some(b't') => (b'\t', 1),
            Some(b'r') => (b'\r', 1),
            Some(b'a') => (7, 1),
            Some(b'b') => (8, 1),
            Some(b'f') => (12, 1),
            Some(b'v') => (11, 1),
            Some(byte @ (b'\\' | b'\'' | b'"')) => (byte, 1),
            Some(b'x') => match rest.get(1..3).and_then(|digits| number(digits, 16)) {
                Some((byte, length)) => (byte, length + 1),
                None => (b'\\', 0),
            },
            _ => number(&rest[..n_octal], 8).unwrap_or((b'\\', 0)),
        };
        bytes.push(byte);
        rest = &rest[length..];
    }
    bytes.extend(rest.bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_may_be_escaped() {
        assert_eq!(unescape(r"-\n\x41\101\\\q\"), b"-\nAA\\\\q\\");
    }
}
