//! The command `ansible-vault`: its arguments, and which file does what.

use super::file::{self, Input, Output};
use super::passwords::{Purpose, to_encrypt};
use super::{Opened, Options, Settings, edit, encrypting, open, seal, string};
use crate::cli::{Manner, OptionError};
use crate::config::Config;
use crate::vault::is_encrypted;
use anstream::eprintln;
use anyhow::{Context, bail};
use std::io::IsTerminal;
use std::path::PathBuf;

/// Encrypt and decrypt files and values as Ansible reads them
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
#[command(rename_all = "snake_case")]
enum Action {
    /// Create a new encrypted file in an editor
    Create(Create),
    /// Decrypt files, or the standard input
    Decrypt(Decrypt),
    /// Edit an encrypted file
    Edit(Edit),
    /// Show encrypted files
    View(View),
    /// Encrypt files, or the standard input
    Encrypt(Encrypt),
    /// Encrypt strings, for use in a YAML file
    EncryptString(string::Args),
    /// Encrypt files again, with another password
    Rekey(Rekey),
}

#[derive(clap::Args)]
struct Create {
    files: Vec<PathBuf>,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    encrypting: Encrypting,
    /// Open an editor without a terminal, too
    #[arg(long)]
    skip_tty_check: bool,
}

#[derive(clap::Args)]
struct Decrypt {
    files: Vec<PathBuf>,
    #[command(flatten)]
    common: Common,
    /// Where to write; `-` for the standard output
    #[arg(long)]
    output: Option<PathBuf>,
}

#[derive(clap::Args)]
struct Edit {
    files: Vec<PathBuf>,
    #[command(flatten)]
    common: Common,
    /// Taken as Ansible takes it: a file that is edited keeps its vault id
    #[arg(long, hide = true)]
    encrypt_vault_id: Option<String>,
}

#[derive(clap::Args)]
struct View {
    files: Vec<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args)]
struct Encrypt {
    files: Vec<PathBuf>,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    encrypting: Encrypting,
    /// Where to write; `-` for the standard output
    #[arg(long)]
    output: Option<PathBuf>,
}

#[derive(clap::Args)]
struct Rekey {
    files: Vec<PathBuf>,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    encrypting: Encrypting,
    /// A file with the new password, or a script that prints it
    #[arg(long, conflicts_with = "new_vault_id")]
    new_vault_password_file: Option<String>,
    /// The new password: `LABEL@SOURCE`
    #[arg(long)]
    new_vault_id: Option<String>,
}

#[derive(clap::Args)]
pub struct Common {
    #[command(flatten)]
    pub passwords: Options,
    /// Taken for Ansible's sake: there is no more to say
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(clap::Args)]
pub struct Encrypting {
    /// The label of the password to encrypt with, where there are several
    #[arg(long, value_name = "LABEL")]
    pub encrypt_vault_id: Option<String>,
}

/// Does what was asked for.
///
/// # Errors
/// A password that is missing or wrong, a file that cannot be read or written, options that do not go together.
pub fn main(args: Args, _: Manner) -> anyhow::Result<u8> {
    let config = Config::load()?;
    let settings = Settings::of(&config);
    match args.action {
        Action::Create(args) => create(&args, &config, &settings)?,
        Action::Decrypt(args) => decrypt(&args, &settings)?,
        Action::Edit(args) => edit_all(&args, &config, &settings)?,
        Action::View(args) => view(&args, &config, &settings)?,
        Action::Encrypt(args) => encrypt(&args, &settings)?,
        Action::EncryptString(args) => string::encrypt(&args, &settings)?,
        Action::Rekey(args) => rekey(&args, &settings)?,
    }
    Ok(0)
}

fn create(args: &Create, config: &Config, settings: &Settings) -> anyhow::Result<()> {
    let [path] = args.files.as_slice() else {
        return Err(OptionError("ansible-vault create can take only one filename argument".to_owned()).into());
    };
    let (keys, label) = to_encrypt(&args.common.passwords, settings, args.encrypting.encrypt_vault_id.as_deref())?;
    let key = encrypting(&keys, label.as_deref())?;
    if !std::io::stdout().is_terminal() && !args.skip_tty_check {
        return Err(OptionError("not a tty, editor cannot be opened".to_owned()).into());
    }
    if path.exists() {
        bail!("{} exists, please use 'edit' instead", path.display());
    }
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty() && !dir.exists()) {
        eprintln!("[WARNING]: {} does not exist, creating...", dir.display());
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create the folder `{}`", dir.display()))?;
    }
    let plain = edit::in_editor(b"", path, config)?;
    Output::File(path.clone()).write(seal(&plain, key, Some(&key.label), settings).as_bytes())
}

fn edit_all(args: &Edit, config: &Config, settings: &Settings) -> anyhow::Result<()> {
    let keys = args.common.passwords.keys(settings, Purpose::Decrypt, true)?;
    for path in &args.files {
        let path = file::real(path);
        let opened = open_file(&path, &keys, settings, "edit")?;
        let plain = edit::in_editor(&opened.plain, &path, config)?;
        if *plain != *opened.plain {
            file::replace(&path, seal(&plain, &opened.key, opened.label.as_deref(), settings).as_bytes())?;
        }
    }
    Ok(())
}

fn view(args: &View, config: &Config, settings: &Settings) -> anyhow::Result<()> {
    let keys = args.common.passwords.keys(settings, Purpose::Decrypt, true)?;
    for path in &args.files {
        let vaulted = Input::of(path).read()?;
        let opened = open(&vaulted, keys.clone(), settings).with_context(|| format!("Failed to view '{}'", path.display()))?;
        edit::in_pager(&opened.plain, config)?;
    }
    Ok(())
}

fn open_file(path: &std::path::Path, keys: &[crate::vault::Key], settings: &Settings, doing: &str) -> anyhow::Result<Opened> {
    let vaulted = Input::of(path).read()?;
    open(&vaulted, keys.to_vec(), settings).with_context(|| format!("Failed to {doing} '{}'", path.display()))
}

fn encrypt(args: &Encrypt, settings: &Settings) -> anyhow::Result<()> {
    let (keys, label) = to_encrypt(&args.common.passwords, settings, args.encrypting.encrypt_vault_id.as_deref())?;
    let key = encrypting(&keys, label.as_deref())?;
    for (input, output) in file::pairs(&args.files, args.output.as_deref())? {
        let plain = input.read()?;
        if is_encrypted(&plain) {
            bail!("input is already encrypted");
        }
        output.write(seal(&plain, key, Some(&key.label), settings).as_bytes())?;
    }
    succeeded("Encryption successful");
    Ok(())
}

fn decrypt(args: &Decrypt, settings: &Settings) -> anyhow::Result<()> {
    let keys = args.common.passwords.keys(settings, Purpose::Decrypt, true)?;
    for (input, output) in file::pairs(&args.files, args.output.as_deref())? {
        let opened = open(&input.read()?, keys.clone(), settings).with_context(|| format!("Failed to decrypt '{input}'"))?;
        output.write(&opened.plain)?;
    }
    succeeded("Decryption successful");
    Ok(())
}

fn rekey(args: &Rekey, settings: &Settings) -> anyhow::Result<()> {
    let keys = args.common.passwords.keys(settings, Purpose::Decrypt, true)?;
    for path in &args.files {
        open_file(&file::real(path), &keys, settings, "rekey")?;
    }
    // Only the new one: what the settings say is what the files are encrypted with now.
    let new = Options {
        vault_ids: args.new_vault_id.iter().cloned().collect(),
        vault_password_files: args.new_vault_password_file.iter().cloned().collect(),
        ask_vault_password: false,
    };
    let settings_for_new = Settings { identities: Vec::new(), password_file: None, ask: false, ..settings.clone() };
    let new_keys = new.keys(&settings_for_new, Purpose::Encrypt, true)?;
    let key = encrypting(&new_keys, args.encrypting.encrypt_vault_id.as_deref())?;
    for path in &args.files {
        let path = file::real(path);
        let opened = open_file(&path, &keys, settings, "rekey")?;
        file::replace(&path, seal(&opened.plain, key, Some(&key.label), settings).as_bytes())?;
    }
    eprintln!("Rekey successful");
    Ok(())
}

fn succeeded(words: &str) {
    if std::io::stdout().is_terminal() {
        eprintln!("{words}");
    }
}
