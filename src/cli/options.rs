//! Options that several commands share, under Ansible's names, and what they mean with the settings of `ansible.cfg` behind them.

use crate::config::Config;
use crate::engine::{ConnectionSettings, SshArgs};
use crate::remote::{BecomeMethod, Secret};
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which hosts, and with which variables.
#[derive(clap::Args)]
pub struct Hosts {
    /// An inventory: a YAML or INI file, a script, a folder, or `host,host,`; may be given several times
    #[arg(short, long = "inventory", visible_alias = "inventory-file")]
    inventory: Vec<String>,
    /// Narrow the hosts to a pattern
    #[arg(short, long, value_name = "SUBSET")]
    pub limit: Option<String>,
    /// Variables that beat all others: `key=value`, YAML, JSON or `@FILE`
    #[arg(short, long)]
    pub extra_vars: Vec<String>,
    #[command(flatten)]
    pub vault: super::vault::Options,
    /// Forget the facts that were kept of earlier runs
    #[arg(long)]
    pub flush_cache: bool,
}

impl Hosts {
    /// What reading variables depends on: passwords of the vault, and whether mappings are merged.
    ///
    /// # Errors
    /// No password can be had.
    pub fn provide(&self, config: &Config) -> anyhow::Result<()> {
        self.vault.provide(config)?;
        super::reading::settle(config);
        Ok(())
    }

    /// What was given, or what the settings say.
    pub fn sources(&self, config: &Config) -> Vec<String> {
        if self.inventory.is_empty() { config.list("DEFAULT_HOST_LIST").to_vec() } else { self.inventory.clone() }
    }

    /// The limit; a blank one is none.
    pub fn limit(&self) -> Option<&str> {
        self.limit.as_deref().filter(|limit| limit.split([',', ':']).any(|part| !part.trim().is_empty()))
    }
}

/// How to reach the hosts, and whom to become there.
#[derive(clap::Args)]
pub struct Connecting {
    /// Log in as this user
    #[arg(short, long, value_name = "REMOTE_USER")]
    user: Option<String>,
    /// Log in with this key
    #[arg(long, visible_alias = "key-file", value_name = "PRIVATE_KEY_FILE")]
    private_key: Vec<PathBuf>,
    /// Ask for the login password
    #[arg(short = 'k', long)]
    ask_pass: bool,
    /// Read the login password from a file, or from what an executable prints
    #[arg(long, visible_alias = "conn-pass-file", conflicts_with = "ask_pass")]
    connection_password_file: Option<PathBuf>,
    /// Become another user on the hosts
    #[arg(short, long)]
    r#become: bool,
    /// Whom to become [default: root]
    #[arg(long)]
    become_user: Option<String>,
    /// How to become [default: sudo]
    #[arg(long, value_parser = ["sudo", "su"])]
    become_method: Option<String>,
    /// Ask for the become password
    #[arg(short = 'K', long)]
    ask_become_pass: bool,
    /// Read the become password from a file, or from what an executable prints
    #[arg(long, visible_alias = "become-pass-file", conflicts_with = "ask_become_pass")]
    become_password_file: Option<PathBuf>,
    /// `ssh` or `local`
    #[arg(short, long)]
    connection: Option<String>,
    /// Give up connecting after so many seconds [default: 10]
    #[arg(short = 'T', long)]
    timeout: Option<u64>,
    /// Options of ssh for every connection, as `ansible_ssh_common_args` takes them
    #[arg(long, allow_hyphen_values = true)]
    ssh_common_args: Option<String>,
    /// Options of ssh for every connection, as `ansible_ssh_extra_args` takes them
    #[arg(long, allow_hyphen_values = true)]
    ssh_extra_args: Option<String>,
    /// Taken, and warned of: files travel through the same connection, not through sftp
    #[arg(long, allow_hyphen_values = true, hide = true)]
    sftp_extra_args: Option<String>,
    /// Taken, and warned of: files travel through the same connection, not through scp
    #[arg(long, allow_hyphen_values = true, hide = true)]
    scp_extra_args: Option<String>,
    /// Accept and remember the keys of hosts that known_hosts does not know; a changed key is refused all the same
    #[arg(long)]
    accept_new_host_keys: bool,
}

impl Connecting {
    /// Options that can do nothing here.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let given = [("--sftp-extra-args", &self.sftp_extra_args), ("--scp-extra-args", &self.scp_extra_args)];
        given
            .into_iter()
            .filter(|(_, args)| args.is_some())
            .map(|(option, _)| format!("{option} does nothing: files travel through the connection that is open anyway"))
    }

    /// Asks for passwords where that was wanted.
    ///
    /// # Errors
    /// A password that cannot be asked for or read.
    pub fn settings(&self, config: &Config) -> anyhow::Result<ConnectionSettings> {
        let file = |given: &Option<PathBuf>, setting: &str| given.clone().or_else(|| config.path(setting));
        let password = match file(&self.connection_password_file, "CONNECTION_PASSWORD_FILE") {
            Some(path) => Some(password_file(&path)?),
            None if self.ask_pass || config.flag("DEFAULT_ASK_PASS") => Some(ask("SSH password: ")?),
            None => None,
        };
        let become_password = match file(&self.become_password_file, "BECOME_PASSWORD_FILE") {
            Some(path) => Some(password_file(&path)?),
            None if self.ask_become_pass || config.flag("DEFAULT_BECOME_ASK_PASS") => {
                let like_login = password.as_ref().filter(|_| self.ask_pass);
                let question = if like_login.is_some() { "BECOME password[defaults to SSH password]: " } else { "BECOME password: " };
                let answer = ask(question)?;
                Some(if answer.expose().is_empty() { like_login.cloned().unwrap_or(answer) } else { answer })
            }
            None => None,
        };
        let method = self.become_method.as_deref().or_else(|| config.text("DEFAULT_BECOME_METHOD"));
        let configured_key = || config.path("DEFAULT_PRIVATE_KEY_FILE").into_iter().collect();
        Ok(ConnectionSettings {
            user: self.user.clone().or_else(|| config.text("DEFAULT_REMOTE_USER").map(str::to_owned)),
            private_keys: if self.private_key.is_empty() { configured_key() } else { self.private_key.clone() },
            password,
            connection: self.connection.clone().or_else(|| config.text("DEFAULT_TRANSPORT").map(str::to_owned)),
            accept_new_host_keys: self.accept_new_host_keys || !config.flag("HOST_KEY_CHECKING"),
            connect_timeout: self.timeout.or_else(|| config.number("DEFAULT_TIMEOUT")?.try_into().ok()).map(Duration::from_secs),
            connect_retries: config.number("SSH_RETRIES").and_then(|number| number.try_into().ok()),
            reconnect_for: config.number("NODEWRIGHT_RECONNECT_FOR").and_then(|seconds| seconds.try_into().ok()).map(Duration::from_secs),
            ssh_args: [
                (SshArgs::Main, "", &None, "ssh_args", "SSH_ARGS"),
                (SshArgs::Common, "--ssh-common-args", &self.ssh_common_args, "ssh_common_args", "SSH_COMMON_ARGS"),
                (SshArgs::Extra, "--ssh-extra-args", &self.ssh_extra_args, "ssh_extra_args", "SSH_EXTRA_ARGS"),
            ]
            .into_iter()
            .filter_map(|(which, option, given, name, setting)| match given {
                Some(args) => Some((which, option, args.clone())),
                None => Some((which, name, config.text(setting)?.to_owned())),
            })
            .collect(),
            port: config.number("DEFAULT_REMOTE_PORT").and_then(|port| port.try_into().ok()),
            r#become: self.r#become || config.flag("DEFAULT_BECOME"),
            become_user: self.become_user.clone().or_else(|| config.text("DEFAULT_BECOME_USER").map(str::to_owned)),
            become_method: method.map(|method| if method == "su" { BecomeMethod::Su } else { BecomeMethod::Sudo }),
            become_password,
            become_flags: config.text("DEFAULT_BECOME_FLAGS").map(str::to_owned),
            become_exe: config.text("DEFAULT_BECOME_EXE").map(str::to_owned),
        })
    }
}

/// How to run, and what to say of it.
#[derive(clap::Args)]
pub struct Running {
    /// Change nothing: say what would be changed
    #[arg(short = 'C', long)]
    pub check: bool,
    /// Show what changes in files
    #[arg(short = 'D', long)]
    diff: bool,
    /// How many hosts work at once [default: 50]
    #[arg(short, long)]
    forks: Option<usize>,
    /// Ask a host about a task only when its turn has come
    #[arg(long)]
    no_read_ahead: bool,
    /// Taken, and warned of: modules are part of the program, and none is loaded from folders
    #[arg(short = 'M', long, hide = true)]
    module_path: Vec<PathBuf>,
    /// Say more; may be repeated
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl Running {
    /// Options that can do nothing here.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let words = "--module-path does nothing: modules are part of the program, and none is loaded from folders";
        (!self.module_path.is_empty()).then(|| words.to_owned()).into_iter()
    }

    pub fn forks(&self, config: &Config) -> usize {
        self.forks.or_else(|| config.number("DEFAULT_FORKS")?.try_into().ok()).unwrap_or(50)
    }

    pub fn diff(&self, config: &Config) -> bool {
        self.diff || config.flag("DIFF_ALWAYS")
    }

    pub fn reads_ahead(&self, config: &Config) -> bool {
        !self.no_read_ahead && config.flag("NODEWRIGHT_READ_AHEAD")
    }

    pub fn verbosity(&self, config: &Config) -> u8 {
        self.verbose.max(config.number("DEFAULT_VERBOSITY").unwrap_or(0).clamp(0, 6) as u8)
    }
}

fn ask(question: &str) -> anyhow::Result<Secret> {
    crate::ask::hidden(question).map(|answer| Secret::from(answer.as_str())).with_context(|| format!("cannot ask: {question}"))
}

/// A password out of a file, `-` for standard input, or what an executable file prints.
fn password_file(path: &Path) -> anyhow::Result<Secret> {
    use std::os::unix::fs::PermissionsExt;
    let shown = || format!("cannot read the password file `{}`", path.display());
    if path == Path::new("-") {
        return std::io::read_to_string(std::io::stdin()).map(|text| Secret::from(text.trim().to_owned())).with_context(shown);
    }
    let is_executable = std::fs::metadata(path).with_context(shown)?.permissions().mode() & 0o111 != 0;
    if !is_executable {
        return std::fs::read_to_string(path).map(|text| Secret::from(text.trim().to_owned())).with_context(shown);
    }
    let path = std::path::absolute(path).with_context(shown)?;
    let output =
        std::process::Command::new(&path).output().with_context(|| format!("cannot run the password script `{}`", path.display()))?;
    anyhow::ensure!(output.status.success(), "the password script `{}` failed ({})", path.display(), output.status);
    String::from_utf8(output.stdout).map(|text| Secret::from(text.trim().to_owned())).with_context(shown)
}
