//! Whether the key that a host shows is the one we know. Unknown keys are refused unless new ones are accepted, which is then written down;
//! a changed or revoked key is always refused. Understands hashed names, wildcards, `!`, `[host]:port`, `@revoked` and `@cert-authority`.

use super::Ssh;
use super::algorithms::Kind;
use super::error::ConnectError;
use super::ssh_config::HostConfig;
use russh::keys::PublicKeyOrCertificate;
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, Marker};
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey};
use sha1::{Digest, Sha1};
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

#[derive(Clone, Debug, thiserror::Error)]
pub enum HostKeyError {
    #[error(
        "the key of `{host}` is not known: {key}. If it is the right one, connect with `ssh` once, pin it in the inventory, or use --accept-new-host-keys"
    )]
    Unknown { host: String, key: String },
    #[error(
        "the key of `{host}` has CHANGED: it shows {shown}, but {file}:{line} has {known}. Somebody may be in between. If the host was made anew, \
         remove that line (`ssh-keygen -R '{host}' -f {file}`)"
    )]
    Changed { host: String, shown: String, known: String, file: String, line: usize },
    #[error("the key of `{host}` is revoked at {file}:{line}: {key}")]
    Revoked { host: String, key: String, file: String, line: usize },
    #[error("the key of `{host}` is {shown}, but the inventory pins {pinned}")]
    NotPinned { host: String, shown: String, pinned: String },
    #[error("the key of `{host}` has only {bits} bits, and `RequiredRSASize` is {least}: {key}")]
    Short { host: String, key: String, bits: u32, least: u32 },
    #[error("the certificate of `{host}` is not valid: {reason}")]
    Certificate { host: String, reason: String },
    #[error("cannot write the key of `{host}` to {file}: {reason}")]
    Write { host: String, file: String, reason: String },
}

struct Known {
    file: PathBuf,
    line: usize,
    entry: Entry,
}

/// The keys that may be shown by one host.
pub(super) struct HostKeys {
    /// As it stands in known_hosts: `[host]:port` unless the port is 22.
    name: String,
    known: Vec<Arc<Known>>,
    pinned: Option<PublicKey>,
    accept_new: bool,
    write_to: Option<PathBuf>,
    hash: bool,
    /// What an authority may have signed with.
    of_authorities: Vec<&'static str>,
    least_rsa_bits: u32,
}

fn fingerprint(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

impl HostKeys {
    pub fn new(ssh: &Ssh, config: &HostConfig) -> Result<HostKeys, ConnectError> {
        let host = config.host_key_alias.as_deref().unwrap_or(&config.hostname).to_ascii_lowercase();
        let name = if config.port == 22 || config.host_key_alias.is_some() { host } else { format!("[{host}]:{}", config.port) };
        let pinned = match &ssh.pinned_host_key {
            Some(text) => Some(PublicKey::from_openssh(text.trim()).map_err(|error| {
                let reason = format!("the pinned host key `{}` cannot be read: {error}", text.trim());
                ConnectError::Config { host: ssh.host.clone(), reason }
            })?),
            None => None,
        };
        let mut known = Vec::new();
        for file in config.known_hosts.iter().chain(&config.global_known_hosts) {
            match in_file(file, &name) {
                Ok(found) => known.extend(found),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => (),
                Err(error) => {
                    let reason = format!("cannot read {}: {error}", file.display());
                    return Err(ConnectError::Config { host: ssh.host.clone(), reason });
                }
            }
        }
        Ok(HostKeys {
            name,
            known,
            pinned,
            accept_new: config.accept_new,
            write_to: config.known_hosts.first().filter(|file| *file != Path::new("/dev/null")).cloned(),
            hash: config.hash_known_hosts,
            of_authorities: config.algorithms.allowed(Kind::Authority),
            least_rsa_bits: config.least_rsa_bits(),
        })
    }

    /// What one file's text says of a host, and nothing else.
    pub(super) fn of_text(name: &str, text: &str) -> HostKeys {
        let mut known = Vec::new();
        read(text.lines().enumerate(), Path::new("known_hosts"), &mut known);
        let known = about(&known, name).collect();
        let config = HostConfig::default();
        HostKeys {
            name: name.to_owned(),
            known,
            pinned: None,
            accept_new: false,
            write_to: None,
            hash: false,
            of_authorities: config.algorithms.allowed(Kind::Authority),
            least_rsa_bits: config.least_rsa_bits(),
        }
    }

    /// What the host is asked to prove itself with, of what is allowed, keys and certificates: the kinds of key that we know first, or it would
    /// show another and look unknown. Certificates only where we know an authority.
    pub fn algorithms(&self, allowed: &[&str]) -> (Vec<Algorithm>, Vec<Algorithm>) {
        let (certificates, plain): (Vec<&str>, Vec<&str>) = allowed.iter().partition(|name| name.ends_with("-cert-v01@openssh.com"));
        let plain = plain.into_iter().filter_map(|name| Algorithm::new(name).ok());
        let same_kind = |one: &Algorithm, other: &Algorithm| one == other || (one.clone().is_rsa() && other.clone().is_rsa());
        if let Some(pinned) = &self.pinned {
            return (plain.filter(|algorithm| same_kind(algorithm, &pinned.algorithm())).collect(), Vec::new());
        }
        let is_known = |algorithm: &Algorithm| {
            self.known.iter().any(|known| known.entry.marker().is_none() && same_kind(algorithm, &known.entry.public_key().algorithm()))
        };
        let (mut plain, others): (Vec<_>, Vec<_>) = plain.partition(is_known);
        plain.extend(others);
        let has_authority = self.known.iter().any(|known| known.entry.marker() == Some(&Marker::CertAuthority));
        let certificates = certificates.into_iter().filter(|_| has_authority);
        (plain, certificates.filter_map(|name| Algorithm::new_certificate(name).ok()).collect())
    }

    /// The host has nothing of what it was asked for, and the pin is why.
    pub fn not_as_pinned(&self, offered: &[String]) -> Option<HostKeyError> {
        let pinned = fingerprint(self.pinned.as_ref()?);
        Some(HostKeyError::NotPinned { host: self.name.clone(), shown: format!("one of {}", offered.join(", ")), pinned })
    }

    pub fn check(&self, shown: &PublicKeyOrCertificate) -> Result<(), HostKeyError> {
        match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => self.check_key(key),
            PublicKeyOrCertificate::Certificate(certificate) => self.check_certificate(certificate),
        }
    }

    fn refuse_revoked(&self, key: &PublicKey) -> Result<(), HostKeyError> {
        let is_this =
            |known: &&Arc<Known>| known.entry.marker() == Some(&Marker::Revoked) && known.entry.public_key().key_data() == key.key_data();
        match self.known.iter().find(is_this) {
            Some(known) => Err(HostKeyError::Revoked {
                host: self.name.clone(),
                key: fingerprint(key),
                file: known.file.display().to_string(),
                line: known.line,
            }),
            None => Ok(()),
        }
    }

    fn refuse_short(&self, key: &PublicKey) -> Result<(), HostKeyError> {
        let (bits, least) = (key.key_data().rsa().map_or(u32::MAX, |key| key.key_size()), self.least_rsa_bits);
        let short = || HostKeyError::Short { host: self.name.clone(), key: fingerprint(key), bits, least };
        if bits < least { Err(short()) } else { Ok(()) }
    }

    fn check_key(&self, key: &PublicKey) -> Result<(), HostKeyError> {
        self.refuse_revoked(key)?;
        self.refuse_short(key)?;
        if let Some(pinned) = &self.pinned {
            if pinned.key_data() == key.key_data() {
                return Ok(());
            }
            return Err(HostKeyError::NotPinned { host: self.name.clone(), shown: fingerprint(key), pinned: fingerprint(pinned) });
        }
        let plain = || self.known.iter().filter(|known| known.entry.marker().is_none());
        if plain().any(|known| known.entry.public_key().key_data() == key.key_data()) {
            return Ok(());
        }
        // Also where only a key of another kind is known: it was asked for first, and the host did not have it any more.
        if let Some(known) = plain().find(|known| known.entry.public_key().algorithm() == key.algorithm()).or_else(|| plain().next()) {
            return Err(HostKeyError::Changed {
                host: self.name.clone(),
                shown: fingerprint(key),
                known: fingerprint(known.entry.public_key()),
                file: known.file.display().to_string(),
                line: known.line,
            });
        }
        match &self.write_to {
            Some(file) if self.accept_new => self.write_down(key, file),
            // `UserKnownHostsFile=/dev/null`: nothing is to be remembered.
            None if self.accept_new => Ok(()),
            _ => Err(HostKeyError::Unknown { host: self.name.clone(), key: fingerprint(key) }),
        }
    }

    fn check_certificate(&self, certificate: &Certificate) -> Result<(), HostKeyError> {
        let invalid = |reason: &str| HostKeyError::Certificate { host: self.name.clone(), reason: reason.to_owned() };
        let authority = PublicKey::from(certificate.signature_key().clone());
        self.refuse_revoked(&authority)?;
        let own = PublicKey::from(certificate.public_key().clone());
        self.refuse_revoked(&own)?;
        for key in [&authority, &own] {
            self.refuse_short(key)?;
        }
        let trusted: Vec<_> = (self.known.iter().filter(|known| known.entry.marker() == Some(&Marker::CertAuthority)))
            .map(|known| known.entry.public_key().fingerprint(HashAlg::Sha256))
            .collect();
        let signed_with = certificate.signature().algorithm();
        if !self.of_authorities.contains(&signed_with.as_str()) {
            return Err(invalid(&format!("it is signed with {signed_with}, which `CASignatureAlgorithms` does not allow")));
        }
        if !certificate.cert_type().is_host() {
            return Err(invalid("it is one for users"));
        }
        let host = self.name.trim_start_matches('[').split(']').next().unwrap_or_default();
        let principals = certificate.valid_principals();
        if !principals.is_empty() && !principals.iter().any(|principal| matches_patterns(host, [principal.as_str()])) {
            return Err(invalid(&format!("it is one for {}", principals.join(", "))));
        }
        certificate.validate(&trusted).map_err(|error| invalid(&format!("{error}, or signed by an authority that is not in known_hosts")))
    }

    fn write_down(&self, key: &PublicKey, file: &Path) -> Result<(), HostKeyError> {
        // Two hosts at once must not write into each other's lines.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _guard = super::lock(&ONE_AT_A_TIME);
        let name = if self.hash { hashed(&self.name, &rand::random::<[u8; 20]>()) } else { self.name.clone() };
        let failed = |reason: String| HostKeyError::Write { host: self.name.clone(), file: file.display().to_string(), reason };
        let key = PublicKey::from(key.key_data().clone()).to_openssh().map_err(|error| failed(error.to_string()))?;
        append(file, &format!("{name} {key}\n")).map_err(|error| failed(error.to_string()))
    }
}

/// In one write at the end of the file: nobody sees half a line, and nobody else's line is lost.
fn append(file: &Path, line: &str) -> std::io::Result<()> {
    if let Some(directory) = file.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let ends_well = match std::fs::read(file) {
        Ok(bytes) => bytes.last().is_none_or(|&byte| byte == b'\n'),
        Err(_) => true,
    };
    let line = if ends_well { line.to_owned() } else { format!("\n{line}") };
    std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(file)?.write_all(line.as_bytes())
}

/// A file as it was when it was last read: many hosts are looked up in it.
struct ReadFile {
    written: SystemTime,
    text: String,
    known: Vec<Arc<Known>>,
}

/// What a file says of a host.
fn in_file(file: &Path, name: &str) -> std::io::Result<Vec<Arc<Known>>> {
    static FILES: Mutex<BTreeMap<PathBuf, ReadFile>> = Mutex::new(BTreeMap::new());
    let mut files = super::lock(&FILES);
    let metadata = std::fs::metadata(file)?;
    let written = metadata.modified()?;
    let is_fresh = |read: &ReadFile| read.written == written && read.text.len() as u64 == metadata.len();
    if !files.get(file).is_some_and(is_fresh) {
        let bytes = std::fs::read(file)?;
        // Bytes that are no text are no reason to read the file again and again: their number must stay.
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|err| err.as_bytes().iter().map(|&byte| if byte.is_ascii() { byte as char } else { '?' }).collect());
        let mut known = Vec::new();
        let mut n_lines = 0;
        // New lines come at the end, ours too: those before need not be read again.
        if let Some(old) = files.remove(file).filter(|old| old.text.ends_with('\n') && text.starts_with(&old.text)) {
            n_lines = old.text.lines().count();
            known = old.known;
        }
        read(text.lines().enumerate().skip(n_lines), file, &mut known);
        files.insert(file.to_owned(), ReadFile { written, text, known });
    }
    Ok(files.get(file).into_iter().flat_map(|read| about(&read.known, name)).collect())
}

/// A line that cannot be read is about nobody, as for ssh.
fn read<'a>(lines: impl Iterator<Item = (usize, &'a str)>, file: &Path, known: &mut Vec<Arc<Known>>) {
    for (index, line) in lines {
        let words: Vec<&str> = line.split_whitespace().take(4).collect();
        if words.first().is_none_or(|word| word.starts_with('#')) {
            continue;
        }
        // Three words, four with a marker; what follows is a comment, which may hold anything.
        let wanted = if line.trim_start().starts_with('@') { 4 } else { 3 };
        let Ok(entry) = words[..words.len().min(wanted)].join(" ").parse::<Entry>() else { continue };
        known.push(Arc::new(Known { file: file.to_owned(), line: index + 1, entry }));
    }
}

fn about(known: &[Arc<Known>], name: &str) -> impl Iterator<Item = Arc<Known>> {
    let is_about_host = |known: &&Arc<Known>| match known.entry.host_patterns() {
        HostPatterns::Patterns(patterns) => matches_patterns(name, patterns.iter().map(String::as_str)),
        HostPatterns::HashedName { salt, hash } => hmac_sha1(salt, name.as_bytes()) == *hash,
    };
    known.iter().filter(is_about_host).cloned()
}

/// Whether one of the patterns fits and none that begins with `!` does.
pub(super) fn matches_patterns<'a>(name: &str, patterns: impl IntoIterator<Item = &'a str>) -> bool {
    let mut matches = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(pattern) if wildcard(pattern, name) => return false,
            Some(_) => (),
            None => matches |= wildcard(pattern, name),
        }
    }
    matches
}

/// `*` and `?`, whatever the case. Remembers only the last `*`: no pattern takes long.
pub(super) fn wildcard(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte.eq_ignore_ascii_case(&name[n]) => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

fn hashed(name: &str, salt: &[u8]) -> String {
    use base64::Engine;
    let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    format!("|1|{}|{}", base64(salt), base64(&hmac_sha1(salt, name.as_bytes())))
}

fn hmac_sha1(key: &[u8], message: &[u8]) -> [u8; 20] {
    let mut block = [0u8; 64];
    if key.len() > block.len() {
        block[..20].copy_from_slice(&Sha1::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha1::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha1::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::super::algorithms::{Algorithms, Spec};
    use super::*;

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJPprQPbDlKt6aYOoCA0iwtyGcffIVEyLqqIlCzjVqwN";
    const TWO: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB2gQZkVYfrTo57NcoSNBi1QbhuH/KzV4IJX1pMqyYR6";
    const OTHER_KIND: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBH7uZ+tk6vfLNHubDQ6Z4E61g6c7Sfw9LkMzyvEqhQga0Az+89Uuh+gO8Z73xbrEuyvRBAcEbi2/iG0YUnZ2qVU=";

    fn shows(file: &str, name: &str, key: &str) -> String {
        match HostKeys::of_text(name, file).check_key(&key.parse().unwrap()) {
            Ok(()) => "known".into(),
            Err(HostKeyError::Unknown { .. }) => "unknown".into(),
            Err(HostKeyError::Changed { line, .. }) => format!("changed from line {line}"),
            Err(HostKeyError::Revoked { line, .. }) => format!("revoked in line {line}"),
            Err(other) => other.to_string(),
        }
    }

    #[test]
    fn lines_of_every_form() {
        let hashed = hashed("web1", b"some salt of twenty b");
        let file = format!(
            "# web1 {TWO}\nweb1,10.0.0.?  {ONE} a comment # more\n[web1]:2222 {TWO}\n*.lab,!bad.lab {ONE}\nnonsense\n{hashed} {TWO}\n@revoked * {OTHER_KIND}\n"
        );
        assert_eq!(shows(&file, "web1", ONE), "known");
        assert_eq!(shows(&file, "web1", TWO), "known", "of the hashed line");
        assert_eq!(shows(&file, "[web1]:2222", TWO), "known");
        assert_eq!(shows(&file, "[web1]:2222", ONE), "changed from line 3");
        assert_eq!(shows(&file, "10.0.0.7", ONE), "known");
        assert_eq!(shows(&file, "10.0.0.77", ONE), "unknown");
        assert_eq!(shows(&file, "a.LAB", ONE), "known");
        assert_eq!(shows(&file, "bad.lab", ONE), "unknown");
        assert_eq!(shows(&file, "web1", OTHER_KIND), "revoked in line 7");
        assert_eq!(shows(&format!("web1 {ONE}"), "web1", OTHER_KIND), "changed from line 1", "another kind of key is a change too");
    }

    #[test]
    fn the_kinds_that_are_known_are_asked_for_first() {
        let asked = |keys: HostKeys, spec: Option<&str>| {
            let mut algorithms = Algorithms::default();
            if let Some(spec) = spec {
                algorithms.ask(Kind::HostKey, Spec::read(Kind::HostKey, spec).unwrap());
            }
            let (plain, certificates) = keys.algorithms(&algorithms.allowed(Kind::HostKey));
            (plain.iter().map(Algorithm::to_string).collect::<Vec<_>>(), certificates.len())
        };
        let other = || HostKeys::of_text("web1", &format!("web1 {OTHER_KIND}"));
        let (plain, n_certificates) = asked(other(), None);
        assert_eq!((plain[0].as_str(), plain.len(), n_certificates), ("ecdsa-sha2-nistp256", 6, 0));
        assert!(!plain.contains(&"ssh-rsa".to_owned()));
        assert_eq!(asked(other(), Some("^ssh-rsa")).0[..2], ["ecdsa-sha2-nistp256", "ssh-rsa"]);
        assert_eq!(asked(other(), Some("ssh-rsa,ssh-ed25519")).0, ["ssh-rsa", "ssh-ed25519"]);
        let signed = || HostKeys::of_text("a.lab", &format!("@cert-authority *.lab {ONE}"));
        assert_eq!(asked(signed(), None).1, 6);
        assert_eq!(asked(signed(), Some("-*ecdsa*")), (["ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"].map(str::to_owned).to_vec(), 3));
        let pinned = HostKeys { pinned: Some(OTHER_KIND.parse().unwrap()), ..signed() };
        assert_eq!(asked(pinned, None), (vec!["ecdsa-sha2-nistp256".to_owned()], 0));
    }

    #[test]
    fn a_new_key_is_written_after_an_unfinished_line() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("new/known_hosts");
        let mut accepting = HostKeys { accept_new: true, write_to: Some(file.clone()), ..HostKeys::of_text("web1", "") };
        accepting.check_key(&ONE.parse().unwrap()).unwrap();
        std::fs::write(&file, std::fs::read_to_string(&file).unwrap().trim_end()).unwrap();
        accepting.name = "web2".into();
        accepting.hash = true;
        accepting.check_key(&TWO.parse().unwrap()).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text.lines().next(), Some(format!("web1 {ONE}").as_str()));
        assert_eq!(
            (shows(&text, "web1", ONE).as_str(), shows(&text, "web2", TWO).as_str(), text.contains("web2")),
            ("known", "known", false)
        );
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn wildcards_take_no_time() {
        assert!(wildcard("*a*b?c", "xxaxxb-c"));
        assert!(!wildcard(&"*a".repeat(40), &"a".repeat(39)));
        assert!(!wildcard("web", "web1") && wildcard("*", "") && !wildcard("?", ""));
    }
}
