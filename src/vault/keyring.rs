//! Passwords under their labels, and which of them is tried on what.

use super::envelope::{DEFAULT_LABEL, Envelope};
use super::{Error, Plain};
use crate::secrets;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// A password, wiped from memory at its end and never printed.
#[derive(Clone)]
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    pub fn new(bytes: Vec<u8>) -> Password {
        Password(Zeroizing::new(bytes))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A password and the label under which it was given: `--vault-id LABEL@SOURCE`.
#[derive(Clone, Debug)]
pub struct Key {
    pub label: String,
    pub password: Password,
}

#[derive(Default)]
pub struct Keyring {
    keys: Vec<Key>,
    /// `vault_id_match`: a password is tried only on what bears its label.
    only_matching: bool,
    values: Mutex<HashMap<Arc<str>, Arc<str>>>,
}

/// What was decrypted, and with which of the keys.
pub struct Opened<'k> {
    pub plain: Plain,
    pub key: &'k Key,
}

impl Keyring {
    pub fn new(keys: Vec<Key>, only_matching: bool) -> Keyring {
        Keyring { keys, only_matching, values: Mutex::default() }
    }

    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Tries the passwords with the envelope's label first, then the others.
    pub fn decrypt(&self, envelope: &Envelope) -> Result<Opened<'_>, Error> {
        if self.keys.is_empty() {
            return Err(Error::NoPasswords);
        }
        let label = envelope.label.as_deref().unwrap_or(DEFAULT_LABEL);
        let (matching, others): (Vec<&Key>, Vec<&Key>) = self.keys.iter().partition(|key| key.label == label);
        let others = if self.only_matching { Vec::new() } else { others };
        for key in matching.into_iter().chain(others) {
            if let Some(opened) = envelope.sealed.open(key.password.bytes()) {
                return opened.map(|plain| Opened { plain, key });
            }
        }
        Err(Error::NoneFits)
    }

    pub(super) fn decrypt_value(&self, vaulted: &Arc<str>) -> Result<Arc<str>, Error> {
        let known = || self.values.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = known().get(vaulted) {
            return Ok(value.clone());
        }
        let opened = self.decrypt(&Envelope::parse(vaulted.trim_start().as_bytes())?)?;
        let value: Arc<str> = std::str::from_utf8(&opened.plain).map_err(|_| Error::NotText)?.into();
        secrets::register(&value);
        known().insert(vaulted.clone(), value.clone());
        Ok(value)
    }
}
