//! Where the passwords come from: prompts, files, scripts, the environment.

use crate::ask;
use crate::cli::OptionError;
use crate::config::Config;
use crate::secrets;
use crate::vault::{Envelope, Key, Keyring, Password, is_encrypted};
use anstream::eprintln;
use anyhow::{anyhow, bail};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use zeroize::Zeroizing;

/// The options of all commands that read encrypted files.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Options {
    /// A password of ansible-vault: `LABEL@SOURCE`, where the source is a file, a script that prints it, or `prompt`
    #[arg(long = "vault-id", value_name = "LABEL@SOURCE")]
    pub vault_ids: Vec<String>,
    /// A file with a password of ansible-vault, or a script that prints it
    #[arg(long = "vault-password-file", alias = "vault-pass-file", value_name = "FILE", conflicts_with = "ask_vault_password")]
    pub vault_password_files: Vec<String>,
    /// Ask for the password of ansible-vault
    #[arg(short = 'J', long = "ask-vault-password", alias = "ask-vault-pass")]
    pub ask_vault_password: bool,
}

/// What the configuration says of ansible-vault.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `vault_identity_list`: as if each was given with `--vault-id`, before those that were.
    pub identities: Vec<String>,
    pub password_file: Option<String>,
    /// The label of passwords that were given without one.
    pub identity: String,
    pub encrypt_identity: Option<String>,
    pub only_matching: bool,
    /// For tests of what would be written: two files with the same salt show whether their contents are the same.
    pub salt: Option<String>,
    pub ask: bool,
}

/// What a password is wanted for: a new one is asked for twice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Decrypt,
    Encrypt,
}

impl Settings {
    pub fn of(config: &Config) -> Settings {
        let text = |name: &str| config.text(name).map(str::to_owned);
        Settings {
            identities: config.list("DEFAULT_VAULT_IDENTITY_LIST").to_vec(),
            password_file: text("DEFAULT_VAULT_PASSWORD_FILE"),
            identity: text("DEFAULT_VAULT_IDENTITY").unwrap_or_else(|| "default".to_owned()),
            encrypt_identity: text("DEFAULT_VAULT_ENCRYPT_IDENTITY"),
            only_matching: config.flag("DEFAULT_VAULT_ID_MATCH"),
            salt: text("VAULT_ENCRYPT_SALT"),
            ask: config.flag("DEFAULT_ASK_VAULT_PASS"),
        }
    }

    pub fn keyring(&self, keys: Vec<Key>) -> Keyring {
        Keyring::new(keys, self.only_matching)
    }
}

enum From {
    /// `old`: the question is the one that programs know which type the password in.
    Prompt {
        old: bool,
    },
    File(String),
}

impl Options {
    /// Gives the run its passwords.
    ///
    /// # Errors
    /// None of them can be had.
    pub fn provide(&self, config: &Config) -> anyhow::Result<()> {
        let settings = Settings::of(config);
        let keys = self.keys(&settings, Purpose::Decrypt, false)?;
        crate::vault::provide(settings.keyring(keys));
        Ok(())
    }

    /// All passwords, in the order in which they are tried. One that cannot be had is a warning as long as there is another.
    /// `must_ask`: without any source the password is asked for.
    pub fn keys(&self, settings: &Settings, purpose: Purpose, must_ask: bool) -> anyhow::Result<Vec<Key>> {
        let mut keys: Vec<Key> = Vec::new();
        let mut last_error = None;
        for (label, from) in self.sources(settings, must_ask) {
            let (what, read) = match &from {
                From::Prompt { old } => ("Error in vault password prompt", prompt(&label, *old, purpose)),
                From::File(path) => match existing(path) {
                    Ok(path) => ("Error in vault password file loading", of_file(&path, &label, settings.keyring(keys.clone()))),
                    Err(err) => ("Error getting vault password file", Err(err)),
                },
            };
            match read {
                Ok(password) => {
                    secrets::register(&String::from_utf8_lossy(password.bytes()));
                    keys.push(Key { label, password });
                }
                Err(err) => {
                    eprintln!("[WARNING]: {what} ({label}): {}", secrets::without(err.to_string()));
                    if matches!(from, From::Prompt { .. }) {
                        return Err(err);
                    }
                    last_error = Some(err);
                }
            }
        }
        match last_error {
            Some(err) if keys.is_empty() => Err(err),
            Some(_) | None => Ok(keys),
        }
    }

    fn sources(&self, settings: &Settings, must_ask: bool) -> Vec<(String, From)> {
        let default = || settings.identity.clone();
        let mut sources = Vec::new();
        for id in settings.identities.iter().chain(&self.vault_ids) {
            let (label, source) = id.split_once('@').unwrap_or(("", id));
            let label = if label.is_empty() { default() } else { label.to_owned() };
            sources.push((label, if source == "prompt" { From::Prompt { old: false } } else { From::File(source.to_owned()) }));
        }
        for file in self.vault_password_files.iter().chain(&settings.password_file) {
            sources.push((default(), From::File(file.clone())));
        }
        if self.ask_vault_password || settings.ask || (sources.is_empty() && must_ask) {
            sources.push((default(), From::Prompt { old: true }));
        }
        sources
    }
}

fn prompt(label: &str, old: bool, purpose: Purpose) -> anyhow::Result<Password> {
    let new = purpose == Purpose::Encrypt;
    let question = match (old, new) {
        (true, false) => "Vault password: ".to_owned(),
        (true, true) => "New Vault password: ".to_owned(),
        (false, false) => format!("Vault password ({label}): "),
        (false, true) => format!("New vault password ({label}): "),
    };
    let ask = |question: &str| {
        ask::hidden(question).map_err(|err| match err.kind() {
            std::io::ErrorKind::UnexpectedEof => anyhow!("EOFError (ctrl-d) on prompt for ({label})"),
            _ => anyhow!("cannot ask for the vault password ({label}): {err}"),
        })
    };
    let answer = ask(&question)?;
    if new {
        let (first, rest) = question.split_at(1);
        let again = ask(&format!("Confirm {}{rest}", if old { first.to_owned() } else { first.to_lowercase() }))?;
        if *again != *answer {
            bail!("Passwords do not match");
        }
    }
    let password = answer.trim();
    if password.is_empty() {
        bail!("Invalid vault password was provided");
    }
    Ok(Password::new(password.as_bytes().to_vec()))
}

fn existing(given: &str) -> anyhow::Result<PathBuf> {
    let path = match (given.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => std::path::absolute(if given.is_empty() { "." } else { given })?,
    };
    if path.is_dir() {
        bail!("The vault password file provided '{}' can not be a directory", path.display());
    }
    if !path.exists() {
        bail!("The vault password file {} was not found", path.display());
    }
    Ok(path)
}

/// The content of a file, or the output of a script. A file may be encrypted with a password that was given before it.
fn of_file(path: &Path, label: &str, before: Keyring) -> anyhow::Result<Password> {
    let shown = path.display();
    let mode = std::fs::metadata(path).map_err(|err| anyhow!("Could not read vault password file {shown}: {err}"))?.permissions().mode();
    let password = if mode & 0o111 != 0 {
        of_script(path, label)?
    } else {
        let content = std::fs::read(path).map_err(|err| anyhow!("Could not read vault password file {shown}: {err}"))?;
        if is_encrypted(&content) {
            let opened = Envelope::parse(&content).and_then(|envelope| before.decrypt(&envelope).map(|opened| opened.plain));
            opened.map_err(|err| anyhow!("cannot decrypt the vault password file {shown}: {err}"))?
        } else {
            Zeroizing::new(content)
        }
    };
    let password = password.trim_ascii();
    if password.is_empty() {
        bail!("Invalid vault password was provided from {} ({shown})", if mode & 0o111 != 0 { "script" } else { "file" });
    }
    Ok(Password::new(password.to_vec()))
}

/// A script's output. One that is called `NAME-client` is told whose password is wanted.
fn of_script(path: &Path, label: &str) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let is_client = path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("-client"));
    let kind = if is_client { "client script" } else { "script" };
    let mut command = Command::new(path);
    if is_client {
        command.args(["--vault-id", label]);
    }
    let output = command.stdin(Stdio::inherit()).stderr(Stdio::inherit()).output().map_err(|err| {
        anyhow!(
            "Problem running vault password {kind} {} ({err}). If this is not a script, remove the executable bit from the file.",
            path.display()
        )
    })?;
    let printed = Zeroizing::new(output.stdout);
    match output.status.code() {
        Some(0) => Ok(printed),
        Some(2) if is_client => bail!("Vault password client script {} did not find a secret for vault-id={label}", path.display()),
        code => bail!(
            "Vault password {kind} {} returned non-zero ({})",
            path.display(),
            code.map_or_else(|| "killed by a signal".to_owned(), |code| code.to_string())
        ),
    }
}

/// What encrypting needs: the passwords, and the label of the one to encrypt with, if it was said.
pub fn to_encrypt(options: &Options, settings: &Settings, label: Option<&str>) -> anyhow::Result<(Vec<Key>, Option<String>)> {
    let keys = options.keys(settings, Purpose::Encrypt, true)?;
    let label = label.map(str::to_owned).or_else(|| settings.encrypt_identity.clone());
    if keys.len() > 1 && label.is_none() {
        let labels: Vec<&str> = keys.iter().map(|key| key.label.as_str()).collect();
        let labels = labels.join(",");
        return Err(OptionError(format!(
            "The vault-ids {labels} are available to encrypt. Specify the vault-id to encrypt with --encrypt-vault-id"
        ))
        .into());
    }
    Ok((keys, label))
}
