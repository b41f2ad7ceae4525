//! ansible-vault's envelope, read and written: text around AES-256-CTR under a key that PBKDF2 makes of a password. Pure: where passwords come
//! from is `cli`'s business, and who reads files is `source`'s.
//!
//! The passwords that a run was given stand in one [`Keyring`] for the whole process: any file of the user's may be encrypted, so everybody
//! who reads one would have to carry it.

mod cipher;
mod envelope;
mod keyring;

pub use envelope::{Envelope, is_encrypted};
pub use keyring::{Key, Keyring, Opened, Password};

use std::sync::{Arc, OnceLock};
use zeroize::Zeroizing;

/// Decrypted text or bytes, wiped from memory when they are no longer needed.
pub type Plain = Zeroizing<Vec<u8>>;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("Input is not vault encrypted data.")]
    NotEncrypted,
    #[error("Vault envelope format error: the first line lacks {0}")]
    Header(&'static str),
    #[error("Cipher '{0}' could not be found.")]
    Cipher(String),
    #[error("Vault format unhexlify error: {0}")]
    Hex(&'static str),
    #[error("Vault vaulttext format error: {0}")]
    Body(&'static str),
    #[error("Attempting to decrypt but no vault secrets found.")]
    NoPasswords,
    #[error("Decryption failed (no vault secrets were found that could decrypt).")]
    NoneFits,
    #[error("Decryption failed: the padding is wrong although the password fits")]
    Padding,
    #[error("the decrypted value is not UTF-8 text")]
    NotText,
}

static RUN: OnceLock<Keyring> = OnceLock::new();

/// Gives the process its passwords, once.
pub fn provide(keyring: Keyring) {
    // Given twice, the first stays: what was decrypted so far was decrypted with it.
    let _ = RUN.set(keyring);
}

/// The run's passwords; none, if nobody has given any.
pub fn keyring() -> &'static Keyring {
    RUN.get_or_init(Keyring::default)
}

/// Decrypts with the run's passwords. What comes out is a secret; see [`crate::secrets`].
pub fn decrypt(vaulted: &[u8]) -> Result<Plain, Error> {
    keyring().decrypt(&Envelope::parse(vaulted)?).map(|opened| opened.plain)
}

/// The value of a `!vault` in a file, which is text. Values are decrypted whenever a variable is used, so they are remembered.
pub fn decrypt_value(vaulted: &Arc<str>) -> Result<Arc<str>, Error> {
    keyring().decrypt_value(vaulted)
}

#[cfg(test)]
mod tests;
