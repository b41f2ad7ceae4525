//! Puts a file, a directory or a text on the host.
//!
//! ```yaml
//! - copy: {src: containerd/, dest: /etc/containerd, mode: "0640", directory_mode: "0750"}
//! - copy: {content: "overlay\n", dest: /etc/modules-load.d/k8s.conf}
//! - copy: {src: /etc/kubernetes/admin.conf, dest: /home/deploy/.kube/config, remote_src: true, owner: deploy, mode: "0600"}
//! ```
//!
//! A directory is copied itself, or with a slash at its end what is in it. Of a directory only files that differ are sent.
//! Returns `dest`, `src`, `checksum`, `mode`, `owner`, `group`, `uid`, `gid`, `size`, `state`; `backup_file` where one was made.

use super::copy_tree::{LocalTree, RemoteTree};
use super::look::{Entry, FUNCTIONS, Fields};
use super::put::{self, Content, Destination};
use crate::module::{Args, Context, Decision, Failure, FreeForm, Module, Param, Spec};
use crate::sh::{Output, Script, words};
use serde_json::Value as Json;
use std::path::PathBuf;

pub struct Copy;

static SPEC: Spec = Spec {
    name: "ansible.builtin.copy",
    aliases: &[],
    params: &[
        Param::path("src"),
        Param::raw("content"),
        // Required, and missed in words of its own.
        Param::path("dest"),
        Param::bool("remote_src").default("false"),
        Param::bool("backup").default("false"),
        Param::bool("force").default("true"),
        Param::bool("follow").default("false"),
        // True for what is on the controller, false for what is on the host.
        Param::bool("local_follow"),
        Param::bool("decrypt").default("true"),
        Param::str("validate"),
        Param::str("checksum"),
        Param::mode("directory_mode"),
        Param::mode("mode"),
        Param::str("owner"),
        Param::str("group"),
    ],
    free_form: FreeForm::None,
};

/// Where the content comes from.
enum Source {
    Content(Vec<u8>),
    LocalFile(PathBuf),
    LocalTree(PathBuf),
    OnHost(String),
}

/// What was found, by the kind of source.
pub enum State {
    File(Destination),
    HostFile { source: String, checksum: String, entry: Entry, destination: Destination },
    LocalTree(super::copy_tree::There),
    RemoteTree(RemoteTree),
}

impl Source {
    fn of(args: &Args, context: &dyn Context) -> Result<Source, Failure> {
        if args.str("dest").is_none_or(str::is_empty) {
            return Err(Failure::argument("dest", "dest is required"));
        }
        match (args.get("content"), args.str("src").filter(|src| !src.is_empty())) {
            (Some(_), Some(_)) => Err(Failure::argument("content", "src and content are mutually exclusive")),
            (None, None) => Err(Failure::new("src (or content) is required")),
            (Some(_), None) if args.is("remote_src") => Err(Failure::argument("remote_src", "remote_src takes a src, not a content")),
            (Some(content), None) => Ok(Source::Content(crate::python::bytes::of_text(&text_of(content)).into_owned())),
            (None, Some(source)) if args.is("remote_src") => Ok(Source::OnHost(source.to_owned())),
            (None, Some(source)) => {
                let path = context.find_file("files", source)?;
                Ok(if path.is_dir() { Source::LocalTree(path) } else { Source::LocalFile(path) })
            }
        }
    }
}

impl Module for Copy {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, context: &dyn Context) -> Result<Option<Script>, Failure> {
        let script = match Source::of(args, context)? {
            Source::Content(_) => {
                if args.required("dest")?.ends_with('/') {
                    return Err(content_in_directory());
                }
                put::probe(args, "", context)?
            }
            Source::LocalFile(path) => put::probe(args, &name_of(&path)?, context)?,
            Source::LocalTree(path) => LocalTree::read(&path, args)?.probe(args)?,
            Source::OnHost(source) => {
                let name = source.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
                let file = put::ask(args, &name, context)?;
                let tree = RemoteTree::ask(args, &source)?;
                let source = words::on_host(&source);
                Script::new(format!(
                    "{FUNCTIONS}o={source}\nsay \"$o\"\nlook \"$o\" -L\nif [ -d \"$o\" ]; then\n{tree}else\nif [ -e \"$o\" ]; then sum \"$o\"; else say ''; fi\n{file}fi\nexit 0\n"
                ))
            }
        };
        Ok(Some(script))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<State, Failure> {
        if args.is("remote_src") {
            let mut fields = Fields::of(&format!("look at {}", args.required("dest")?), output)?;
            let source = fields.text()?;
            let Some(entry) = fields.entry(&source)? else {
                return Err(Failure::argument("src", format!("Source {source} not found")));
            };
            if entry.is_dir() {
                return RemoteTree::read(args, source, fields).map(State::RemoteTree);
            }
            let Some(checksum) = fields.sum()? else {
                return Err(Failure::argument("src", format!("Source {source} not readable")));
            };
            return Ok(State::HostFile { source, checksum, entry, destination: Destination::read(args, fields)? });
        }
        // A tree's answer begins with a word of its own.
        if output.success() && output.stdout.starts_with(b"tree\0") {
            return super::copy_tree::There::read(args, output).map(State::LocalTree);
        }
        Destination::read_output(args, output).map(State::File)
    }

    fn decide(&self, args: &Args, state: State, context: &dyn Context) -> Result<Decision, Failure> {
        match state {
            State::RemoteTree(tree) => tree.decide(args, context),
            State::HostFile { source, checksum, entry, destination } => {
                destination.decide(args, Content::OnHost { path: source, checksum, entry }, context)
            }
            State::LocalTree(there) => match Source::of(args, context)? {
                Source::LocalTree(path) => LocalTree::read(&path, args)?.decide(args, there, context),
                _ => Err(Failure::argument("src", "is not a directory any more")),
            },
            State::File(destination) => match Source::of(args, context)? {
                Source::Content(_) if destination.in_directory => Err(content_in_directory()),
                Source::Content(bytes) => {
                    destination.decide(args, Content::Bytes { name: String::new(), bytes, is_secret: false }, context)
                }
                Source::LocalFile(path) => destination.decide(args, Content::of_file(path, args.is("decrypt"))?, context),
                _ => Err(Failure::argument("src", "is not a file any more")),
            },
        }
    }
}

fn content_in_directory() -> Failure {
    Failure::argument("dest", "can not use content with a dir as dest")
}

fn name_of(path: &std::path::Path) -> Result<String, Failure> {
    let name = path.file_name().ok_or_else(|| Failure::argument("src", format!("{} has no name", path.display())))?;
    Ok(name.to_string_lossy().into_owned())
}

/// A text, or a structure as JSON in Python's spacing, which is what Ansible writes.
fn text_of(content: &Json) -> String {
    match content {
        Json::String(text) => text.clone(),
        Json::Bool(true) => "True".into(),
        Json::Bool(false) => "False".into(),
        Json::Array(_) | Json::Object(_) => {
            let mut text = String::new();
            add_json(content, &mut text);
            text
        }
        other => other.to_string(),
    }
}

fn add_json(value: &Json, text: &mut String) {
    match value {
        Json::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                text.push_str(if at > 0 { ", " } else { "" });
                add_json(item, text);
            }
            text.push(']');
        }
        Json::Object(map) => {
            text.push('{');
            for (at, (key, item)) in map.iter().enumerate() {
                text.push_str(if at > 0 { ", " } else { "" });
                add_json(&Json::from(key.as_str()), text);
                text.push_str(": ");
                add_json(item, text);
            }
            text.push('}');
        }
        Json::String(string) => {
            let quoted = Json::from(string.as_str()).to_string();
            let mut units = [0; 2];
            for character in quoted.chars() {
                if character.is_ascii() && character != '\u{7f}' {
                    text.push(character);
                } else {
                    for unit in character.encode_utf16(&mut units) {
                        text.push_str(&format!("\\u{unit:04x}"));
                    }
                }
            }
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_structure_is_written_as_python_does() {
        assert_eq!(text_of(&json!({"a": [1, true, null], "b": "ü\n😀"})), r#"{"a": [1, true, null], "b": "\u00fc\n\ud83d\ude00"}"#);
        assert_eq!(text_of(&json!(true)), "True");
    }
}
