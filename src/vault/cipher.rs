//! Password and salt to keys, and AES-256 in counter mode under an HMAC.

use super::{Error, Plain};
use aes::Aes256;
use ctr::cipher::{KeyIvInit, StreamCipher};
use ring::{hmac, pbkdf2};
use std::num::NonZeroU32;
use zeroize::Zeroizing;

type Ctr = ctr::Ctr128BE<Aes256>;

/// As many as ansible-vault has always taken; the envelope does not say.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(10_000).expect("it is not zero");

const KEY: usize = 32;
const BLOCK: usize = 16;

/// One for the cipher, one for the HMAC, and the counter's start.
struct Keys(Zeroizing<[u8; KEY + KEY + BLOCK]>);

impl Keys {
    fn derive(password: &[u8], salt: &[u8]) -> Keys {
        let mut derived = Zeroizing::new([0; KEY + KEY + BLOCK]);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, salt, password, derived.as_mut());
        Keys(derived)
    }

    fn signing(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0[KEY..2 * KEY])
    }

    /// Encrypts and decrypts: the counter's stream is the same.
    fn apply(&self, data: &mut [u8]) {
        let mut stream = Ctr::new_from_slices(&self.0[..KEY], &self.0[2 * KEY..]).expect("key and counter have their lengths");
        stream.apply_keystream(data);
    }
}

/// What stands in an envelope of cipher `AES256`.
pub struct Sealed {
    pub salt: Vec<u8>,
    pub hmac: Vec<u8>,
    pub ciphertext: Vec<u8>,
}

impl Sealed {
    pub fn seal(plain: &[u8], password: &[u8], salt: Vec<u8>) -> Sealed {
        let keys = Keys::derive(password, &salt);
        let padding = BLOCK - plain.len() % BLOCK;
        let mut data = Vec::with_capacity(plain.len() + padding);
        data.extend_from_slice(plain);
        data.resize(plain.len() + padding, padding as u8);
        keys.apply(&mut data);
        let hmac = hmac::sign(&keys.signing(), &data).as_ref().to_vec();
        Sealed { salt, hmac, ciphertext: data }
    }

    /// `None`: the password is another.
    pub fn open(&self, password: &[u8]) -> Option<Result<Plain, Error>> {
        let keys = Keys::derive(password, &self.salt);
        // Compares in constant time.
        hmac::verify(&keys.signing(), &self.ciphertext, &self.hmac).ok()?;
        let mut plain = Zeroizing::new(self.ciphertext.clone());
        keys.apply(&mut plain);
        let padding = plain.last().copied().map_or(0, usize::from);
        let end = plain.len().checked_sub(padding).filter(|_| (1..=BLOCK).contains(&padding));
        let Some(end) = end.filter(|end| plain[*end..].iter().all(|byte| usize::from(*byte) == padding)) else {
            return Some(Err(Error::Padding));
        };
        plain.truncate(end);
        Some(Ok(plain))
    }
}
