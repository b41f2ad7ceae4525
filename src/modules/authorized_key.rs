//! Keys that may log in as a user.
//!
//! ```yaml
//! - authorized_key: {user: deploy, key: "{{ lookup('file', 'keys/alice.pub') }}"}
//! - authorized_key: {user: backup, key: "{{ keys | join('\n') }}", exclusive: true, key_options: 'no-pty,from="10.0.0.0/8"'}
//! ```
//!
//! `key` is one key or several, a line each, or where they are: `https://...`, which the host fetches, or `file:///...` of the host. The file is
//! the user's `.ssh/authorized_keys` unless `path` names another. Where `manage_dir` is not false its folder is made, and owned by the user.
//! Returns `keyfile` and the arguments.

use super::attributes::{Fix, Wanted};
use super::edit::{self, Text, told};
use super::file::make_directories;
use super::look::{FUNCTIONS, Fields};
use super::web;
use super::write_file::{diff_of_contents, finish_write};
use crate::module::{Args, Change, Context, Decision, Failure, FreeForm, Module, Outcome, Param, Spec};
use crate::sh::{Output, Script, quote, words};
use indexmap::IndexMap;
use std::collections::HashMap;

pub struct AuthorizedKey;

static SPEC: Spec = Spec {
    name: "ansible.posix.authorized_key",
    aliases: &["ansible.builtin.authorized_key"],
    params: &[
        Param::str("user").required(),
        Param::str("key").required(),
        Param::path("path"),
        Param::bool("manage_dir").default("true"),
        Param::str("state").default("present").choices(&["absent", "present"]),
        Param::str("key_options"),
        Param::bool("exclusive").default("false"),
        Param::str("comment"),
        Param::bool("validate_certs").default("true"),
        Param::bool("follow").default("false"),
    ],
    free_form: FreeForm::None,
};

pub struct State {
    /// The user's and the group's number, if there is such a user.
    user: Option<(u32, u32)>,
    key: String,
    file: Text,
}

/// The attributes are the module's business, not the task's.
const NOTHING_WANTED: Wanted = Wanted { mode: None, owner: None, group: None };

impl Module for AuthorizedKey {
    type State = State;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        let (user, key) = (args.required("user")?, args.required("key")?);
        let mut text = format!(
            "{FUNCTIONS}u={}\ne=''\nwhile IFS= read -r l; do case $l in \"$u\":*) e=$l; break ;; esac; done < /etc/passwd\n\
             if [ -z \"$e\" ]; then e=$(getent passwd \"$u\" 2>/dev/null); fi\nsay \"$e\"\n",
            quote(user)
        );
        if key.starts_with("http") {
            text.push_str(&format!(
                "f=$(mktemp) || exit 1\ntrap 'rm -f -- \"$f\"' EXIT\n{{ {}\n}} || {{ say !; exit 0; }}\nsay \"=$(cat \"$f\")\"\n",
                web::download(key, args.is("validate_certs"), "\"$f\"")
            ));
        } else if let Some(path) = key_file(key) {
            let path = quote(path);
            text.push_str(&format!("if [ ! -e {path} ]; then say '?'; exit 0; elif [ ! -f {path} ]; then say /; exit 0; fi\n"));
            text.push_str(&format!("if k=$(cat -- {path}); then say \"=$k\"; else say !; exit 0; fi\n"));
        } else {
            text.push_str("say ''\n");
        }
        match args.str("path") {
            Some(path) => text.push_str(&format!("p={}\n", words::on_host(path))),
            None => text.push_str("h=${e%:*}; h=${h##*:}; p=$h/.ssh/authorized_keys\n"),
        }
        text.push_str(&edit::ask(args.is("follow"), &NOTHING_WANTED));
        text.push_str("exit 0\n");
        Ok(Some(Script::new(text)))
    }

    fn read(&self, args: &Args, output: &Output) -> Result<State, Failure> {
        let (user, key) = (args.required("user")?, args.required("key")?);
        let mut fields = Fields::of(&format!("look at the keys of {user}"), output)?;
        let record = fields.text()?;
        let mut numbers = record.split(':').skip(2).map_while(|id| id.parse::<u32>().ok());
        let user = numbers.next().zip(numbers.next());
        let fetched = fields.text()?;
        let path = key_file(key).unwrap_or_default();
        let refused = |message: String| Err(Failure::argument("key", message).with("stderr", output.stderr_text()));
        let key = match fetched.strip_prefix('=') {
            Some(key) => key.to_owned(),
            None if fetched.is_empty() => key.to_owned(),
            None if fetched == "?" => return refused(format!("Path to a key file not found: {path}")),
            None if fetched == "/" => return refused(format!("Path to a key is a directory and must be a file: {path}")),
            None if key.starts_with("http") => return refused(format!("Error getting key from: {key}")),
            None => return refused(format!("Failed to read key file {path} : {}", output.stderr_text().trim())),
        };
        Ok(State { user, key, file: Text::read(fields, &NOTHING_WANTED)? })
    }

    fn decide(&self, args: &Args, state: State, context: &dyn Context) -> Result<Decision, Failure> {
        let State { user, key, file } = state;
        let name = args.required("user")?;
        if user.is_none() && context.check_mode() && !args.has("path") {
            return Err(Failure::argument("user", "Either user must exist or you must provide full path to key file in check mode"));
        }
        if user.is_none() && !context.check_mode() {
            return Err(Failure::argument("user", format!("Failed to lookup user {name}: \"getpwnam(): name not found: '{name}'\"")));
        }
        let content = file.content.replace("\r\n", "\n").replace('\r', "\n");
        let mut keys = parse_file(&content);
        let mut outcome = told(&SPEC, args).with("keyfile", file.real());
        if args.has("path") {
            file.add_to(&mut outcome);
        }
        if !change(args, &key, &mut keys)? {
            return Ok(outcome.into());
        }
        outcome.changed = true;
        let new = serialize(&keys);
        if context.diff_mode() {
            outcome = outcome.diff(diff_of_contents((file.real(), file.real()), Some(content.as_bytes()), new.as_bytes()));
        }
        let Some((uid, gid)) = user.filter(|_| !context.check_mode()) else {
            return Ok(Change::new(outcome, Script::default()).into());
        };
        let path = file.real().to_owned();
        let folder = path.rsplit_once('/').map_or(".", |(folder, _)| if folder.is_empty() { "/" } else { folder });
        let before = if args.is("manage_dir") {
            let named = quote(folder);
            let fix = Fix { uid: Some(uid), gid: Some(gid), mode: Some(0o700) };
            format!("d={named}\nif [ ! -e \"$d\" ]; then mkdir -m 0700 -- \"$d\" || exit 1; fi\n{}", fix.lines("\"$d\"", args.is("follow")))
        } else {
            let fix = Fix { uid: None, gid: None, mode: Some(0o777 & !file.umask()) };
            format!("p={}\n{}p={}\n", quote(folder), make_directories(&fix), quote(&path))
        };
        let fix = Fix { uid: Some(uid), gid: Some(gid), mode: Some(0o600) };
        let script = file.write(&new, fix, &before)?;
        let shows_file = args.has("path");
        let finish = finish_write(format!("write the keys of {name}"), path);
        let change = Change::new(outcome, script).finish(move |output, mut outcome| {
            let mut written = finish(output, Outcome::default())?;
            if shows_file {
                outcome.data.append(&mut written.data);
            }
            Ok(outcome)
        });
        Ok(change.into())
    }
}

/// The file of the host that `key: file:///...` names.
fn key_file(key: &str) -> Option<&str> {
    let rest = key.strip_prefix("file")?;
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    // What stands between two slashes and the third is a machine's name.
    let path = rest.strip_prefix("//").map_or(rest, |rest| rest.find('/').map_or("", |at| &rest[at..]));
    Some(path.split(['?', '#']).next().unwrap_or(path))
}

#[derive(Clone, Debug, PartialEq)]
enum Line {
    Key {
        kind: String,
        options: Vec<(String, Option<String>)>,
        comment: String,
    },
    /// A remark, or nothing that we understand: it stays.
    Other,
}

/// What a line is known by (a key's own text, or the line), the line, and its place among the others.
type Keys = IndexMap<String, (Line, usize)>;

fn parse_file(content: &str) -> Keys {
    let mut keys = Keys::new();
    for (rank, line) in content.split_inclusive('\n').enumerate() {
        let (id, parsed) = parse(line).unwrap_or_else(|| (line.to_owned(), Line::Other));
        keys.insert(id, (parsed, rank));
    }
    keys
}

const TYPES: &[&str] = &[
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "rsa-sha2-256",
    "rsa-sha2-256-cert-v01@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-512-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "sk-ssh-ed25519@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "ssh-dss",
    "ssh-dss-cert-v01@openssh.com",
    "ssh-ed25519",
    "ssh-ed25519-cert-v01@openssh.com",
    "ssh-rsa",
    "ssh-rsa-cert-v01@openssh.com",
    "ssh-xmss@openssh.com",
    "ssh-xmss-cert-v01@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
];

/// A line of the file or of `key`. None: it is no key.
fn parse(line: &str) -> Option<(String, Line)> {
    let line = line.replace("\\#", "#");
    let words: Vec<&str> = line.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty()).collect();
    if words.first() == Some(&"#") {
        return Some((line.clone(), Line::Other));
    }
    let at = words.iter().position(|word| TYPES.contains(word))?;
    let key = words.get(at + 1)?;
    let options = parse_options(&words[..at].join(" "));
    let comment = words[at + 2..].join(" ");
    Some(((*key).to_owned(), Line::Key { kind: words[at].to_owned(), options, comment }))
}

/// `no-pty,from="a,b"`: commas inside quotes separate nothing.
fn parse_options(text: &str) -> Vec<(String, Option<String>)> {
    let mut parts = vec![String::new()];
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '"' | '\'' => rest[1..].find(c).map_or(1, |end| end + 2),
            c => c.len_utf8(),
        };
        match (c, parts.last_mut()) {
            (',', _) => parts.push(String::new()),
            (_, Some(part)) => part.push_str(&rest[..length]),
            (_, None) => {}
        }
        rest = &rest[length..];
    }
    let option = |part: String| match part.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (part, None),
    };
    parts.into_iter().filter(|part| !part.is_empty()).map(option).collect()
}

/// The same options, whatever their order; several values of one stay in theirs.
fn same_options(one: &[(String, Option<String>)], other: &[(String, Option<String>)]) -> bool {
    let by_name = |options: &[(String, Option<String>)]| {
        let mut map: HashMap<String, Vec<Option<String>>> = HashMap::new();
        options.iter().for_each(|(name, value)| map.entry(name.clone()).or_default().push(value.clone()));
        map
    };
    by_name(one) == by_name(other)
}

fn is_same(one: &Line, other: &Line) -> bool {
    match (one, other) {
        (Line::Key { kind, options, comment }, Line::Key { kind: k, options: o, comment: c }) => {
            kind == k && comment == c && same_options(options, o)
        }
        _ => one == other,
    }
}

/// Puts the keys that are asked for among those that are there, or takes them away; says whether that made a difference.
fn change(args: &Args, given: &str, keys: &mut Keys) -> Result<bool, Failure> {
    let is_present = args.required("state")? == "present";
    let n_there = keys.len();
    let mut changed = false;
    let mut asked_for = Vec::new();
    let lines = given.lines().flat_map(|line| line.split('\r')).filter(|line| !line.is_empty() && !line.starts_with('#'));
    for (place, line) in lines.enumerate() {
        let Some((id, mut new)) = parse(line) else {
            return Err(Failure::argument("key", format!("invalid key specified: {line}")));
        };
        if let Line::Key { options, comment, .. } = &mut new {
            if let Some(text) = args.str("key_options") {
                *options = parse_options(text);
            }
            if let Some(text) = args.str("comment") {
                text.clone_into(comment);
            }
        }
        let there = keys.get(&id);
        if is_present {
            if there.is_none_or(|(old, _)| !is_same(old, &new)) {
                keys.shift_remove(&id);
                keys.insert(id.clone(), (new, n_there + place));
                changed = true;
            }
            asked_for.push(id);
        } else if there.is_some() {
            keys.shift_remove(&id);
            changed = true;
        }
    }
    if is_present && args.is("exclusive") {
        let n_before = keys.len();
        keys.retain(|id, _| asked_for.contains(id));
        changed |= keys.len() != n_before;
    }
    Ok(changed)
}

fn serialize(keys: &Keys) -> String {
    let mut lines: Vec<_> = keys.iter().collect();
    lines.sort_by_key(|(_, (_, rank))| *rank);
    let mut text = String::new();
    for (id, (line, _)) in lines {
        let Line::Key { kind, options, comment } = line else {
            text.push_str(id);
            continue;
        };
        let options: Vec<String> =
            options.iter().map(|(name, value)| value.as_ref().map_or_else(|| name.clone(), |value| format!("{name}={value}"))).collect();
        let gap = if options.is_empty() { "" } else { " " };
        text.push_str(&format!("{}{gap}{kind} {id} {comment}\n", options.join(",")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_keep_their_quotes_and_commas() {
        let options = parse_options(r#"no-pty,from="10.0.0.0/8,!10.1.0.0/16",command="a='x,y'",permitopen="a:1",permitopen="b:2""#);
        let names: Vec<_> = options.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        let expected = [
            ("no-pty", None),
            ("from", Some(r#""10.0.0.0/8,!10.1.0.0/16""#)),
            ("command", Some(r#""a='x,y'""#)),
            ("permitopen", Some(r#""a:1""#)),
            ("permitopen", Some(r#""b:2""#)),
        ];
        assert_eq!(names, expected);
        assert!(same_options(&parse_options("a,b=1"), &parse_options("b=1,a")));
        assert!(!same_options(&parse_options("p=1,p=2"), &parse_options("p=2,p=1")));
    }

    #[test]
    fn a_file_is_named_by_its_address() {
        assert_eq!(key_file("file:///root/k.pub"), Some("/root/k.pub"));
        assert_eq!(key_file("file://localhost/root/k.pub"), Some("/root/k.pub"));
        assert_eq!(key_file("ssh-rsa AAAA"), None);
    }
}
