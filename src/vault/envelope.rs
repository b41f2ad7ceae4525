//! The text form: `$ANSIBLE_VAULT;1.1;AES256`, or 1.2 with the label of a vault id behind it; then hexadecimal digits in lines of 80.

use super::Error;
use super::cipher::Sealed;

const MARK: &[u8] = b"$ANSIBLE_VAULT";

/// The label that the older format stands for.
pub const DEFAULT_LABEL: &str = "default";

const LINE: usize = 80;

/// An encrypted text, taken apart.
pub struct Envelope {
    /// Whose password this was encrypted with, if it says so.
    pub label: Option<String>,
    pub(super) sealed: Sealed,
}

/// Whether this is what ansible-vault writes; a few bytes of the beginning will do.
pub fn is_encrypted(content: &[u8]) -> bool {
    content.starts_with(MARK)
}

impl Envelope {
    pub fn parse(vaulted: &[u8]) -> Result<Envelope, Error> {
        if !is_encrypted(vaulted) {
            return Err(Error::NotEncrypted);
        }
        let end = vaulted.iter().position(|byte| *byte == b'\n').unwrap_or(vaulted.len());
        let header = String::from_utf8_lossy(&vaulted[..end]);
        let mut words = header.trim_end().split(';').skip(1).map(str::trim);
        let version = words.next().ok_or(Error::Header("a version"))?;
        let cipher = words.next().ok_or(Error::Header("a cipher"))?;
        let label = (version != "1.1").then(|| words.next()).flatten().map(str::to_owned);
        if cipher != "AES256" {
            return Err(Error::Cipher(cipher.to_owned()));
        }
        let digits: Vec<u8> = vaulted[end..].iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let inner = unhex(&digits)?;
        let mut parts = inner.splitn(3, |byte| *byte == b'\n');
        let mut part = |lacks| parts.next().filter(|part| !part.is_empty()).ok_or(Error::Body(lacks)).and_then(unhex);
        let sealed =
            Sealed { salt: part("there is no salt")?, hmac: part("there is no HMAC")?, ciphertext: part("there is no ciphertext")? };
        Ok(Envelope { label, sealed })
    }

    pub fn seal(plain: &[u8], password: &[u8], label: Option<&str>, salt: Vec<u8>) -> Envelope {
        let label = label.filter(|label| !label.is_empty() && *label != DEFAULT_LABEL).map(str::to_owned);
        Envelope { label, sealed: Sealed::seal(plain, password, salt) }
    }

    /// The envelope as it is written into files, with its last line ended.
    pub fn to_text(&self) -> String {
        let Sealed { salt, hmac, ciphertext } = &self.sealed;
        let inner = [salt, hmac, ciphertext].map(hex::encode).join("\n");
        let mut text = match &self.label {
            Some(label) => format!("$ANSIBLE_VAULT;1.2;AES256;{label}\n"),
            None => "$ANSIBLE_VAULT;1.1;AES256\n".to_owned(),
        };
        let digits = hex::encode(inner);
        for line in 0..digits.len().div_ceil(LINE) {
            text.push_str(&digits[line * LINE..digits.len().min((line + 1) * LINE)]);
            text.push('\n');
        }
        text
    }
}

fn unhex(digits: &[u8]) -> Result<Vec<u8>, Error> {
    hex::decode(digits).map_err(|err| match err {
        hex::FromHexError::OddLength if digits.iter().all(u8::is_ascii_hexdigit) => Error::Hex("Odd-length string"),
        _ => Error::Hex("Non-hexadecimal digit found"),
    })
}
