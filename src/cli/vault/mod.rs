//! ansible-vault: the passwords that every command takes, and the command of that name.

mod command;
mod edit;
mod file;
mod passwords;
mod string;

pub use command::{Args, main};
pub use passwords::{Options, Settings};

use crate::vault::{Envelope, Error, Key, Plain};
use anyhow::bail;

/// The key to encrypt with: the one of that label, or the first.
fn encrypting<'k>(keys: &'k [Key], label: Option<&str>) -> anyhow::Result<&'k Key> {
    let found = match label {
        Some(label) => keys.iter().find(|key| key.label == label),
        None => keys.first(),
    };
    if let Some(key) = found {
        return Ok(key);
    }
    let known: Vec<String> = keys.iter().map(|key| format!("'{}'", key.label)).collect();
    bail!("Did not find a match for --encrypt-vault-id={} in the known vault-ids [{}]", label.unwrap_or_default(), known.join(", "))
}

fn seal(plain: &[u8], key: &Key, label: Option<&str>, settings: &Settings) -> String {
    let salt = match &settings.salt {
        Some(salt) => salt.clone().into_bytes(),
        None => rand::random::<[u8; 32]>().to_vec(),
    };
    Envelope::seal(plain, key.password.bytes(), label, salt).to_text()
}

/// What was in an envelope, the key to it, and the label that it bears.
struct Opened {
    plain: Plain,
    key: Key,
    label: Option<String>,
}

fn open(vaulted: &[u8], keys: Vec<Key>, settings: &Settings) -> Result<Opened, Error> {
    let envelope = Envelope::parse(vaulted)?;
    let keyring = settings.keyring(keys);
    let opened = keyring.decrypt(&envelope)?;
    Ok(Opened { plain: opened.plain, key: opened.key.clone(), label: envelope.label })
}
