//! Host keys in a `known_hosts` file.
//!
//! ```yaml
//! - known_hosts: {name: git.example.org, key: "git.example.org ssh-ed25519 AAAA...", path: /etc/ssh/ssh_known_hosts}
//! - known_hosts: {name: old.example.org, state: absent}
//! ```
//!
//! `key` is a whole line, its host the one that is named. A key of the same type that is there for the host is replaced; with `state: absent` and
//! a key that one line goes, without a key every line of the host, and the file as it was stays beside it as `.old`, as `ssh-keygen -R` does.
//! Unlike Ansible this does not need `ssh-keygen` on the host. Returns the arguments and what is at `path`.

use super::attributes::{Fix, Wanted};
use super::edit::{self, Text, told};
use super::look::Fields;
use super::write_file::{diff_of_contents, finish_write};
use crate::module::{Args, Change, Context, Decision, Failure, FreeForm, Module, Param, Spec};
use crate::python::fnmatch;
use crate::sh::{Output, Script};
use base64::Engine;
use hmac::{KeyInit, Mac};
use sha1::Sha1;

pub struct KnownHosts;

static SPEC: Spec = Spec {
    name: "ansible.builtin.known_hosts",
    aliases: &[],
    params: &[
        Param::str("name").required().alias(&["host"]),
        Param::str("key"),
        Param::path("path").default("~/.ssh/known_hosts"),
        Param::bool("hash_host").default("false"),
        Param::str("state").default("present").choices(&["absent", "present"]),
    ],
    free_form: FreeForm::None,
};

const NOTHING_WANTED: Wanted = Wanted { mode: None, owner: None, group: None };

impl Module for KnownHosts {
    type State = Text;

    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn probe(&self, args: &Args, _context: &dyn Context) -> Result<Option<Script>, Failure> {
        let host = args.required("name")?.to_lowercase();
        match args.str("key").filter(|key| !key.is_empty()) {
            None if args.required("state")? == "present" => return Err(Failure::argument("key", "No key specified when adding a host")),
            Some(_) if host.split_once(',').is_some_and(|(first, _)| !first.trim().is_empty()) => {
                let message =
                    "Comma separated list of names is not supported. Please pass a single name to lookup in the known_hosts file.";
                return Err(Failure::argument("name", message));
            }
            Some(key) if !key.lines().filter_map(Entry::parse).any(|entry| entry.is_of(&host)) => {
                let message = "Host parameter does not match hashed host field in supplied key";
                return Err(Failure::argument("key", message).with("rc", 1));
            }
            _ => {}
        }
        edit::probe_at(args, false).map(Some)
    }

    fn read(&self, args: &Args, output: &Output) -> Result<Text, Failure> {
        Text::read(Fields::of(&format!("read {}", args.required("path")?), output)?, &NOTHING_WANTED)
    }

    fn decide(&self, args: &Args, file: Text, _context: &dyn Context) -> Result<Decision, Failure> {
        let host = args.required("name")?.to_lowercase();
        let is_present = args.required("state")? == "present";
        let key = args.str("key").filter(|key| !key.is_empty());
        let key = key.map(|key| line_of(key, args.is("hash_host").then_some(&*host)));
        let mut outcome = told(&SPEC, args).with("path", file.path.as_str());
        file.add_to(&mut outcome);
        let new = match &key {
            Some(key) => with_key(&file.content, &host, key, is_present),
            None => without_host(&file.content, &host),
        };
        let before = if file.exists() { file.path.as_str() } else { "/dev/null" };
        let after = new.as_ref().unwrap_or(&file.content);
        outcome = outcome.diff(diff_of_contents((before, &file.path), Some(file.content.as_bytes()), after.as_bytes()));
        outcome.always_diffs = true;
        let Some(new) = new else {
            return Ok(outcome.into());
        };
        outcome.changed = true;
        let keep_old = if key.is_none() { "ln -f -- \"$p\" \"$p.old\" || exit 1\n" } else { "" };
        let script = file.write(&new, Fix::default(), keep_old)?;
        let path = file.real().to_owned();
        Ok(Change::new(outcome, script).finish(finish_write(format!("write {path}"), path)).into())
    }
}

/// A line of the file that names a host and a key.
struct Entry<'a> {
    marker: Option<&'a str>,
    hosts: &'a str,
    kind: &'a str,
    key: &'a str,
}

impl<'a> Entry<'a> {
    fn parse(line: &'a str) -> Option<Entry<'a>> {
        let mut words = line.split_whitespace();
        let first = words.next().filter(|word| !word.starts_with('#'))?;
        let (marker, hosts) = if first.starts_with('@') { (Some(first), words.next()?) } else { (None, first) };
        Some(Entry { marker, hosts, kind: words.next()?, key: words.next()? })
    }

    /// Whether it is about the host, as `ssh-keygen -F` finds it.
    fn is_of(&self, host: &str) -> bool {
        if let Some(hashed) = self.hosts.strip_prefix("|1|") {
            let base64 = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).ok();
            let parts = hashed.split_once('|').and_then(|(salt, hash)| base64(salt).zip(base64(hash)));
            return parts.is_some_and(|(salt, hash)| hash_of(host, &salt) == hash);
        }
        // The brackets around a name with a port are its own, not a pattern's.
        let fits = |pattern: &str| fnmatch::matches(&pattern.to_lowercase().replace('[', "[[]"), host);
        let (mut found, mut refused) = (false, false);
        for pattern in self.hosts.split(',') {
            match pattern.strip_prefix('!') {
                Some(pattern) => refused |= fits(pattern),
                None => found |= fits(pattern),
            }
        }
        found && !refused
    }

    fn is_hashed(&self) -> bool {
        self.hosts.starts_with("|1|")
    }

    fn is_same(&self, other: &Entry) -> bool {
        let same_hosts = self.hosts == other.hosts || (self.is_hashed() && other.is_hashed());
        self.marker == other.marker && same_hosts && self.kind == other.kind && self.key == other.key
    }

    /// An authority or a revoked key stands beside a host's own.
    fn is_marked(&self) -> bool {
        self.marker.is_some_and(|marker| marker.starts_with("@cert-authority") || marker.starts_with("@revoke"))
    }
}

/// HMAC-SHA1, the way OpenSSH hides a name.
fn hash_of(host: &str, salt: &[u8]) -> Vec<u8> {
    // A key of any length will do.
    hmac::Hmac::<Sha1>::new_from_slice(salt).map_or_else(|_| Vec::new(), |mac| mac.chain_update(host).finalize().into_bytes().to_vec())
}

/// The line that is to be there, with its end; `hash` is the name that it hides.
fn line_of(key: &str, hash: Option<&str>) -> String {
    let mut line = key.to_owned();
    if let Some(host) = hash {
        let salt = rand::random::<[u8; 20]>();
        let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        let hidden = format!("|1|{}|{}", base64(&salt), base64(&hash_of(host, &salt)));
        let mut words: Vec<&str> = key.split_whitespace().collect();
        let at = usize::from(words.first().is_some_and(|word| word.starts_with('@')));
        if let Some(word) = words.get_mut(at) {
            *word = &hidden;
        }
        line = words.join(" ");
    }
    if !line.ends_with('\n') {
        line.push('\n');
    }
    line
}

/// The content with the key, or without it. None: it stays as it is.
fn with_key(content: &str, host: &str, key: &str, is_present: bool) -> Option<String> {
    let wanted = Entry::parse(key)?;
    let mut same_type = None;
    for (at, entry) in entries_of(content, host) {
        if entry.is_same(&wanted) {
            same_type = Some(at);
            if is_present {
                return None;
            }
            break;
        }
        if !entry.is_marked() && entry.kind == wanted.kind {
            same_type = Some(at);
            break;
        }
    }
    if !is_present && same_type.is_none() {
        return None;
    }
    let kept = content.split_inclusive('\n').enumerate().filter(|(at, _)| Some(*at) != same_type).map(|(_, line)| line);
    let mut new: String = kept.collect();
    if is_present {
        new.push_str(key);
    }
    Some(new)
}

fn without_host(content: &str, host: &str) -> Option<String> {
    let gone: Vec<usize> = entries_of(content, host).filter(|(_, entry)| entry.marker.is_none()).map(|(at, _)| at).collect();
    let kept = content.split_inclusive('\n').enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, line)| line);
    (!gone.is_empty()).then(|| kept.collect())
}

fn entries_of<'a>(content: &'a str, host: &'a str) -> impl Iterator<Item = (usize, Entry<'a>)> {
    content.lines().enumerate().filter_map(|(at, line)| Some((at, Entry::parse(line)?))).filter(move |(_, entry)| entry.is_of(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_name_is_found_and_kept() {
        let line = line_of("@revoked web ssh-rsa AAAA x", Some("web"));
        let entry = Entry::parse(&line).expect("a line with a key");
        assert!(entry.is_hashed() && entry.is_of("web") && !entry.is_of("web2"));
        let hidden = line_of("web ssh-rsa AAAA", Some("web"));
        assert_eq!(with_key(&hidden, "web", &line_of("web ssh-rsa AAAA", Some("web")), true), None);
    }

    #[test]
    fn patterns_and_ports_are_openssh_s() {
        let is_of = |hosts: &str, host: &str| Entry { marker: None, hosts, kind: "", key: "" }.is_of(host);
        assert!(is_of("*.Example,!bad.example", "web.example") && !is_of("*.example,!bad.example", "bad.example"));
        assert!(is_of("[10.0.0.?]:2222", "[10.0.0.5]:2222") && !is_of("[10.0.0.5]:2222", "10.0.0.5"));
    }
}
