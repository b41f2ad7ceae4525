//! What `~/.ssh/config` says about a host. Where that is plain it is read here (`ssh_files`). Else `ssh -G` is asked where there is an ssh
//! client, so that Match and tokens mean what they mean there; without one a small reader takes the common words and refuses what it cannot
//! do exactly. What the inventory says is put on top.

use super::Ssh;
use super::algorithms::{Algorithms, Spec};
use super::error::ConnectError;
use super::ssh_files::{self, Account};
use super::ssh_options;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::OnceCell;

/// All that is known about reaching a host.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct HostConfig {
    pub hostname: String,
    pub port: u16,
    pub user: String,
    pub identity_files: Vec<PathBuf>,
    pub identities_only: bool,
    pub agent: Option<PathBuf>,
    pub proxy_jump: Option<String>,
    pub proxy_command: Option<String>,
    pub known_hosts: Vec<PathBuf>,
    pub global_known_hosts: Vec<PathBuf>,
    pub host_key_alias: Option<String>,
    pub hash_known_hosts: bool,
    pub accept_new: bool,
    pub connect_timeout: Option<Duration>,
    /// How long the host may say nothing before it is asked for a sign of life. `ssh -G` shows none as 0, which is what nobody asked for.
    pub alive_interval: Option<Duration>,
    /// How many such questions may stay without an answer.
    pub alive_count: Option<usize>,
    /// Ways of logging in, those that are wanted first; all there are if None.
    pub preferred: Option<Vec<String>>,
    /// Ways that are not to be tried.
    pub refused: Vec<&'static str>,
    pub family: Option<Family>,
    /// The agent that the host may ask too.
    pub forwarded_agent: Option<PathBuf>,
    pub algorithms: Algorithms,
    pub required_rsa_bits: Option<u32>,
}

/// Which addresses count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Family {
    V4,
    V6,
}

/// One of the hosts on the way.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Jump {
    pub user: Option<String>,
    pub host: String,
    pub port: Option<u16>,
}

impl fmt::Display for Jump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        write!(f, "{}", bracketed(&self.host))?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

impl HostConfig {
    pub fn address(&self) -> String {
        format!("{}:{}", bracketed(&self.hostname), self.port)
    }

    /// A shorter key is of no use to anybody: what OpenSSH takes at least, if nothing else is asked for.
    pub fn least_rsa_bits(&self) -> u32 {
        self.required_rsa_bits.unwrap_or(1024)
    }

    fn refuse(&mut self, way: &'static str, value: &str) {
        if matches!(value, "no" | "false") {
            self.refused.push(way);
        }
    }

    /// The hosts on the way, nearest first, or what is wrong with how they are written.
    pub fn jumps(&self) -> Option<Result<Vec<Jump>, ConnectError>> {
        let jumps = self.proxy_jump.as_deref()?;
        Some(
            jumps
                .split(',')
                .map(|jump| parse_jump(jump.trim()).ok_or_else(|| config_error(&self.hostname, format!("`{jump}` is not a jump host"))))
                .collect(),
        )
    }
}

fn config_error(host: &str, reason: impl Into<String>) -> ConnectError {
    ConnectError::Config { host: host.to_owned(), reason: reason.into() }
}

pub(super) fn parse_jump(text: &str) -> Option<Jump> {
    let text = text.strip_prefix("ssh://").unwrap_or(text);
    let (user, rest) = match text.rsplit_once('@') {
        Some((user, rest)) => (Some(user.to_owned()), rest),
        None => (None, text),
    };
    let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':')?)),
        None => match rest.split_once(':') {
            // More than one colon: an IPv6 address.
            Some((_, port)) if port.contains(':') => (rest, None),
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    let port = match port {
        Some(port) => Some(port.parse().ok()?),
        None => None,
    };
    (!host.is_empty()).then(|| Jump { user, host: host.to_owned(), port })
}

pub(super) async fn resolve(ssh: &Ssh) -> Result<HostConfig, ConnectError> {
    let host = ssh.host.trim_start_matches('[').trim_end_matches(']');
    // It becomes an argument of ssh.
    if host.is_empty() || host.starts_with('-') || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(config_error(host, "this is not the name of a host"));
    }
    let mut config = match read_plain(ssh, host)? {
        Some(config) => config,
        None => match ask_ssh(ssh, host).await? {
            Some(answer) => {
                let mut config = from_answer(host, &answer, usual_answer(host).await?)?;
                for (name, value) in ssh.options.iter().filter(|(name, _)| ssh_options::algorithms(name).is_some()) {
                    apply(&mut config, name, value).map_err(|reason| config_error(host, reason))?;
                }
                config
            }
            None => read_files(ssh, host)?,
        },
    };
    if let Some(port) = ssh.port {
        config.port = port;
    }
    if let Some(user) = &ssh.user {
        config.user.clone_from(user);
    }
    if let Some(jump) = &ssh.proxy_jump {
        config.proxy_jump = Some(jump.clone());
    }
    config.proxy_jump = config.proxy_jump.filter(|jump| !jump.is_empty() && !jump.eq_ignore_ascii_case("none"));
    config.proxy_command = config.proxy_command.filter(|command| !command.eq_ignore_ascii_case("none"));
    if let Some(command) = &config.proxy_command {
        config.proxy_command = Some(expand(command, host, &config));
    }
    config.identity_files =
        config.identity_files.iter().map(|path| PathBuf::from(expand(&path.to_string_lossy(), host, &config))).collect();
    config.accept_new |= ssh.accept_new_host_keys;
    Ok(config)
}

/// None where it is not plain what ssh would say.
fn read_plain(ssh: &Ssh, host: &str) -> Result<Option<HostConfig>, ConnectError> {
    let Some(account) = Account::own() else { return Ok(None) };
    let Some(settings) = ssh_files::settings(host, &account, ssh.config_file.as_deref()) else { return Ok(None) };
    let mut config = defaults(host);
    config.user = account.name;
    let mut given = Vec::new();
    for (name, value) in &ssh.options {
        let Some(value) = ssh_options::plain(name, value) else { return Ok(None) };
        given.push((name.clone(), value));
    }
    let beaten = |name: &String| name != "identityfile" && ssh.options.iter().any(|(given, _)| given == name);
    for (name, value) in given.iter().chain(settings.iter().filter(|(name, _)| !beaten(name))) {
        apply(&mut config, name, value).map_err(|reason| config_error(host, reason))?;
    }
    if !settings.iter().any(|(name, _)| name == "identityfile") {
        add_usual_keys(&mut config);
    }
    Ok(Some(config))
}

/// `ssh -G`, or None where there is no ssh.
async fn ask_ssh(ssh: &Ssh, host: &str) -> Result<Option<String>, ConnectError> {
    let mut command = tokio::process::Command::new("ssh");
    command.arg("-G").stdin(std::process::Stdio::null());
    if let Some(file) = &ssh.config_file {
        command.arg("-F").arg(file);
    }
    // These take part in what Match blocks see.
    if let Some(port) = ssh.port {
        command.arg("-p").arg(port.to_string());
    }
    if let Some(user) = &ssh.user {
        command.arg(format!("-oUser={user}"));
    }
    // Algorithms may be known to us and not to this ssh; no Match block sees them.
    for (name, value) in ssh.options.iter().filter(|(name, _)| ssh_options::algorithms(name).is_none()) {
        command.arg(format!("-o{name}={value}"));
    }
    answer(host, command).await
}

/// What `ssh -G` says where nobody asks for anything, which is the same for all hosts.
async fn usual_answer(host: &str) -> Result<&'static str, ConnectError> {
    static USUAL: OnceCell<String> = OnceCell::const_new();
    let ask = || async {
        let mut command = tokio::process::Command::new("ssh");
        command.args(["-G", "-F", "/dev/null"]).stdin(std::process::Stdio::null());
        answer(host, command).await.map(Option::unwrap_or_default)
    };
    USUAL.get_or_try_init(ask).await.map(String::as_str)
}

async fn answer(host: &str, mut command: tokio::process::Command) -> Result<Option<String>, ConnectError> {
    match command.arg("--").arg(host).output().await {
        Ok(output) if output.status.success() => Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned())),
        Ok(output) => Err(config_error(host, format!("`ssh -G` says: {}", String::from_utf8_lossy(&output.stderr).trim()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(config_error(host, format!("cannot run `ssh -G`: {error}"))),
    }
}

/// `usual` is the answer where nobody asked for anything: ssh shows its own algorithms, whether they were asked for or not.
pub(super) fn from_answer(host: &str, answer: &str, usual: &str) -> Result<HostConfig, ConnectError> {
    let mut config = HostConfig { hostname: host.to_owned(), port: 22, agent: agent_of_environment(), ..HostConfig::default() };
    let usual: HashMap<&str, &str> = usual.lines().filter_map(|line| line.split_once(' ')).collect();
    for line in answer.lines() {
        let Some((word, value)) = line.split_once(' ') else { continue };
        match ssh_options::algorithms(&ssh_options::canonical(word)) {
            Some(kind) => config.algorithms.ask_as_shown(kind, usual.get(word).unwrap_or(&""), value),
            None => apply(&mut config, word, value).map_err(|reason| config_error(host, reason))?,
        }
    }
    Ok(config)
}

fn agent_of_environment() -> Option<PathBuf> {
    std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// One setting, its name in small letters.
fn apply(config: &mut HostConfig, word: &str, value: &str) -> Result<(), String> {
    let files = || value.split_whitespace().filter(|file| *file != "none").map(|file| PathBuf::from(home(file))).collect::<Vec<_>>();
    match word {
        "hostname" => config.hostname = value.to_owned(),
        "port" => config.port = value.parse().map_err(|_| format!("`{value}` is not a port"))?,
        "user" => config.user = value.to_owned(),
        "identityfile" if value != "none" => config.identity_files.push(PathBuf::from(home(value))),
        "identitiesonly" => config.identities_only = value == "yes",
        "identityagent" => match value {
            "none" => config.agent = None,
            "SSH_AUTH_SOCK" => config.agent = agent_of_environment(),
            _ => {
                config.agent = match value.strip_prefix('$') {
                    Some(variable) => std::env::var_os(variable.trim_matches(['{', '}'])).map(PathBuf::from),
                    None => Some(PathBuf::from(home(value))),
                }
            }
        },
        "proxyjump" => config.proxy_jump = Some(value.to_owned()),
        "proxycommand" => config.proxy_command = Some(value.to_owned()),
        "userknownhostsfile" => config.known_hosts = files(),
        "globalknownhostsfile" => config.global_known_hosts = files(),
        "hostkeyalias" => config.host_key_alias = Some(value.to_owned()),
        "hashknownhosts" => config.hash_known_hosts = value == "yes",
        // `no` and `off` would accept a changed key too, which is never done.
        "stricthostkeychecking" => config.accept_new = matches!(value, "accept-new" | "no" | "off" | "false"),
        "preferredauthentications" => config.preferred = Some(value.split(',').map(|way| way.trim().to_owned()).collect()),
        "pubkeyauthentication" => config.refuse("publickey", value),
        "passwordauthentication" => config.refuse("password", value),
        "kbdinteractiveauthentication" => config.refuse("keyboard-interactive", value),
        "addressfamily" => {
            config.family = match value {
                "inet" => Some(Family::V4),
                "inet6" => Some(Family::V6),
                _ => None,
            }
        }
        "forwardagent" => {
            config.forwarded_agent = match value {
                "no" | "false" => None,
                "yes" | "true" => agent_of_environment(),
                _ => match value.strip_prefix('$') {
                    Some(variable) => std::env::var_os(variable.trim_matches(['{', '}'])).map(PathBuf::from),
                    None => Some(PathBuf::from(home(value))),
                },
            }
        }
        "connecttimeout" => config.connect_timeout = value.parse().ok().map(Duration::from_secs),
        "serveraliveinterval" => config.alive_interval = value.parse().ok().filter(|seconds| *seconds > 0).map(Duration::from_secs),
        "requiredrsasize" => config.required_rsa_bits = Some(value.parse().map_err(|_| format!("`{value}` is no number of bits"))?),
        "serveralivecountmax" => config.alive_count = value.parse().ok(),
        _ => {
            if let Some(kind) = ssh_options::algorithms(word) {
                config.algorithms.ask(kind, Spec::read(kind, value)?);
            }
        }
    }
    Ok(())
}

fn home_directory() -> String {
    std::env::home_dir().map(|home| home.display().to_string()).unwrap_or_default()
}

fn home(path: &str) -> String {
    match path.strip_prefix("~/") {
        Some(rest) => format!("{}/{rest}", home_directory()),
        None => path.to_owned(),
    }
}

/// The `%` tokens that paths and proxy commands use.
pub(super) fn expand(text: &str, host: &str, config: &HostConfig) -> String {
    let mut expanded = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            expanded.push(letter);
            continue;
        }
        match letters.next() {
            Some('%') => expanded.push('%'),
            Some('h') => expanded.push_str(&config.hostname),
            Some('n') => expanded.push_str(host),
            Some('p') => expanded.push_str(&config.port.to_string()),
            Some('r') => expanded.push_str(&config.user),
            Some('d') => expanded.push_str(&home_directory()),
            Some(other) => expanded.extend(['%', other]),
            None => expanded.push('%'),
        }
    }
    expanded
}

/// Without an ssh client: the user's file and the system's, the first value of a word counts.
fn read_files(ssh: &Ssh, host: &str) -> Result<HostConfig, ConnectError> {
    let files = match &ssh.config_file {
        Some(file) => vec![file.clone()],
        None => vec![PathBuf::from(home("~/.ssh/config")), PathBuf::from("/etc/ssh/ssh_config")],
    };
    let mut config = defaults(host);
    let mut seen = Vec::new();
    for (name, value) in &ssh.options {
        apply(&mut config, name, value).map_err(|reason| config_error(host, reason))?;
        seen.push(name.clone());
    }
    for file in files {
        match std::fs::read_to_string(&file) {
            Ok(text) => read_text(&text, &file, host, &mut config, &mut seen)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && ssh.config_file.is_none() => (),
            Err(error) => return Err(config_error(host, format!("cannot read {}: {error}", file.display()))),
        }
    }
    add_usual_keys(&mut config);
    Ok(config)
}

fn defaults(host: &str) -> HostConfig {
    HostConfig {
        hostname: host.to_owned(),
        port: 22,
        user: std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "root".to_owned()),
        agent: agent_of_environment(),
        known_hosts: vec![PathBuf::from(home("~/.ssh/known_hosts")), PathBuf::from(home("~/.ssh/known_hosts2"))],
        global_known_hosts: vec![PathBuf::from("/etc/ssh/ssh_known_hosts"), PathBuf::from("/etc/ssh/ssh_known_hosts2")],
        ..HostConfig::default()
    }
}

fn add_usual_keys(config: &mut HostConfig) {
    if config.identity_files.is_empty() {
        config.identity_files = ["id_rsa", "id_ecdsa", "id_ed25519"].map(|name| PathBuf::from(home(&format!("~/.ssh/{name}")))).to_vec();
    }
}

pub(super) fn read_text(text: &str, file: &Path, host: &str, config: &mut HostConfig, seen: &mut Vec<String>) -> Result<(), ConnectError> {
    let mut applies = true;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (word, value) = line.split_once(|c: char| c.is_whitespace() || c == '=').unwrap_or((line, ""));
        let word = ssh_options::canonical(word);
        let value = value.trim_start_matches(|c: char| c.is_whitespace() || c == '=').trim().trim_matches('"');
        match word.as_str() {
            "host" => applies = super::known_hosts::matches_patterns(host, value.split_whitespace()),
            "match" | "include" => {
                let reason = format!("{}:{}: `{word}` needs an ssh client on this machine to be understood", file.display(), index + 1);
                return Err(config_error(host, reason));
            }
            // The first value counts, except that every IdentityFile does.
            word if applies && ssh_options::is_followed(word) && (word == "identityfile" || !seen.iter().any(|seen| seen == word)) => {
                seen.push(word.to_owned());
                let value = if word == "hostname" { value.replace("%h", host) } else { value.to_owned() };
                apply(config, word, &value).map_err(|reason| config_error(host, format!("{}:{}: {reason}", file.display(), index + 1)))?;
            }
            _ => (),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::algorithms::Kind;
    use super::*;

    #[test]
    fn jump_hosts() {
        let jump = |text: &str| parse_jump(text).map(|jump| (jump.user, jump.host, jump.port));
        assert_eq!(jump("ops@gate:2222"), Some((Some("ops".into()), "gate".into(), Some(2222))));
        assert_eq!(jump("[fd00::1]:2222"), Some((None, "fd00::1".into(), Some(2222))));
        assert_eq!(jump("fd00::1"), Some((None, "fd00::1".into(), None)));
        assert_eq!(jump("gate:ssh"), None);
        assert_eq!(jump("ops@"), None);
    }

    #[test]
    fn the_first_value_counts_and_match_is_refused() {
        let text = "User early\nHost web* !web9\n  HostName=10.0.0.7\n  Port 2201\n  User late\n  IdentityFile ~/a\n  IdentityFile \"/b c\"\nHost *\n Port 1\n";
        let mut config = HostConfig::default();
        read_text(text, Path::new("config"), "web1", &mut config, &mut Vec::new()).unwrap();
        assert_eq!((config.hostname.as_str(), config.port, config.user.as_str()), ("10.0.0.7", 2201, "early"));
        assert_eq!(config.identity_files[1], PathBuf::from("/b c"));
        let mut other = HostConfig::default();
        read_text(text, Path::new("config"), "web9", &mut other, &mut Vec::new()).unwrap();
        assert_eq!(other.port, 1);
        let error = read_text("\nMatch user x\n", Path::new("config"), "web1", &mut config, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("config:2: `match` needs an ssh client"), "{error}");
    }

    #[test]
    fn algorithms_of_a_file_and_of_an_answer() {
        let text = "Host old*\n  KexAlgorithms +diffie-hellman-group14-sha1 # the switch\nHost *\n KexAlgorithms curve25519-sha256\n  Ciphers arcfour\n";
        let read = |text, host| {
            let mut config = HostConfig::default();
            read_text(text, Path::new("config"), host, &mut config, &mut Vec::new()).map(|()| config)
        };
        let asked = |config: &HostConfig, kind| config.algorithms.asked(kind).map(Spec::to_string);
        let config = read(text, "old1").unwrap();
        assert_eq!(asked(&config, Kind::KeyExchange).as_deref(), Some("+diffie-hellman-group14-sha1"));
        assert_eq!(asked(&config, Kind::Cipher).as_deref(), Some("arcfour"));
        assert_eq!(asked(&read(text, "web1").unwrap(), Kind::KeyExchange).as_deref(), Some("curve25519-sha256"));
        let error = read("\nMACs hmac-sha3\n", "web1").unwrap_err();
        assert!(error.to_string().ends_with("config:2: `hmac-sha3` is no MAC that is known (`MACs`)"), "{error}");

        let usual = "ciphers aes128-ctr,aes128-gcm@openssh.com\nmacs umac-64@openssh.com,hmac-sha2-256,hmac-sha1\nkexalgorithms ecdh-sha2-nistp256\n";
        let answer = "user ops\nciphers aes128-ctr,aes128-gcm@openssh.com,3des-cbc\nmacs hmac-sha2-256,hmac-sha1\nkexalgorithms ecdh-sha2-nistp256\n";
        let config = from_answer("old1", answer, usual).unwrap();
        assert_eq!(asked(&config, Kind::Cipher).as_deref(), Some("+3des-cbc"));
        assert_eq!(asked(&config, Kind::Mac).as_deref(), Some("-umac-64@openssh.com"));
        assert!(!config.algorithms.allowed(Kind::Mac).contains(&"hmac-sha1"), "only ssh has it on by itself");
        assert_eq!(asked(&config, Kind::KeyExchange), None);
    }
}
