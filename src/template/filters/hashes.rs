//! Digests, UUIDs, and Python's random numbers, which `random(seed=...)` must repeat.

use super::Filter;
use crate::python::bytes;
use crate::template::fail::{Fail, Res};
use crate::template::value::text;
use md5::Md5;
use minijinja::Value;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

pub(super) const TABLE: &[(&str, Filter)] = &[
    ("hash", |_, value, args| {
        let kind = args.text_or("hashtype", "sha1")?;
        hash(&text(&value)?, &kind)
    }),
    ("checksum", |_, value, _| hash(&text(&value)?, "sha1")),
    ("md5", |_, value, _| hash(&text(&value)?, "md5")),
    ("sha1", |_, value, _| hash(&text(&value)?, "sha1")),
    ("to_uuid", |_, value, args| {
        let namespace = args.text_or("namespace", "361E6D51-FAEC-444A-9079-341386DA8E2E")?;
        uuid(&text(&value)?, &namespace)
    }),
];

fn hash(text: &str, kind: &str) -> Res {
    let text = bytes::of_text(text);
    let hex = match kind {
        "md5" => hex::encode(Md5::digest(&text)),
        "sha1" => hex::encode(Sha1::digest(&text)),
        "sha224" => hex::encode(Sha224::digest(&text)),
        "sha256" => hex::encode(Sha256::digest(&text)),
        "sha384" => hex::encode(Sha384::digest(&text)),
        "sha512" => hex::encode(Sha512::digest(&text)),
        other => return Err(Fail::error(format!("unsupported hash type {other}"))),
    };
    Ok(Value::from(hex))
}

/// A UUID of version 5.
fn uuid(name: &str, namespace: &str) -> Res {
    let digits: String = namespace.chars().filter(|c| *c != '-').collect();
    let parsed = (digits.len() == 32).then(|| u128::from_str_radix(&digits, 16).ok()).flatten();
    let namespace = parsed.ok_or_else(|| Fail::error(format!("Invalid value '{namespace}' for 'namespace': it is not a UUID")))?;
    let mut bytes = namespace.to_be_bytes().to_vec();
    bytes.extend(name.as_bytes());
    let digest = Sha1::digest(&bytes);
    let mut id: Vec<u8> = digest.iter().take(16).copied().collect();
    id[6] = (id[6] & 0x0f) | 0x50;
    id[8] = (id[8] & 0x3f) | 0x80;
    let text = hex::encode(&id);
    Ok(Value::from(format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])))
}

/// Python's `random.Random`: a Mersenne Twister, seeded as Python seeds it.
pub(in crate::template) struct PythonRandom {
    state: [u32; N],
    at: usize,
}

const N: usize = 624;

impl PythonRandom {
    pub fn from_int(seed: i128) -> PythonRandom {
        let seed = seed.unsigned_abs();
        let words: Vec<u32> = (0..4).map(|n| (seed >> (32 * n)) as u32).collect();
        let used = words.iter().rposition(|word| *word != 0).map_or(1, |at| at + 1);
        PythonRandom::from_words(&words[..used])
    }

    /// The text and its SHA-512 as one large number.
    pub fn from_text(seed: &str) -> PythonRandom {
        let mut bytes = seed.as_bytes().to_vec();
        bytes.extend(Sha512::digest(seed).iter());
        let mut words: Vec<u32> = bytes.rchunks(4).map(|chunk| chunk.iter().fold(0, |word, byte| word << 8 | u32::from(*byte))).collect();
        while words.len() > 1 && words.last() == Some(&0) {
            words.pop();
        }
        PythonRandom::from_words(&words)
    }

    fn from_words(key: &[u32]) -> PythonRandom {
        let mut state = [0u32; N];
        state[0] = 19_650_218;
        for n in 1..N {
            state[n] = 1_812_433_253u32.wrapping_mul(state[n - 1] ^ state[n - 1] >> 30).wrapping_add(n as u32);
        }
        let (mut i, mut j) = (1, 0);
        for _ in 0..N.max(key.len()) {
            let mixed = (state[i - 1] ^ state[i - 1] >> 30).wrapping_mul(1_664_525);
            state[i] = (state[i] ^ mixed).wrapping_add(key[j]).wrapping_add(j as u32);
            i += 1;
            j += 1;
            if i >= N {
                state[0] = state[N - 1];
                i = 1;
            }
            if j >= key.len() {
                j = 0;
            }
        }
        for _ in 1..N {
            let mixed = (state[i - 1] ^ state[i - 1] >> 30).wrapping_mul(1_566_083_941);
            state[i] = (state[i] ^ mixed).wrapping_sub(i as u32);
            i += 1;
            if i >= N {
                state[0] = state[N - 1];
                i = 1;
            }
        }
        state[0] = 0x8000_0000;
        PythonRandom { state, at: N }
    }

    fn next(&mut self) -> u32 {
        if self.at >= N {
            for n in 0..N {
                let y = (self.state[n] & 0x8000_0000) | (self.state[(n + 1) % N] & 0x7fff_ffff);
                let twist = if y & 1 == 0 { 0 } else { 0x9908_b0df };
                self.state[n] = self.state[(n + 397) % N] ^ y >> 1 ^ twist;
            }
            self.at = 0;
        }
        let mut y = self.state[self.at];
        self.at += 1;
        y ^= y >> 11;
        y ^= y << 7 & 0x9d2c_5680;
        y ^= y << 15 & 0xefc6_0000;
        y ^ y >> 18
    }

    fn bits(&mut self, count: u32) -> u128 {
        let mut value = 0;
        let (mut left, mut shift) = (count, 0);
        while left > 0 {
            let word = if left < 32 { self.next() >> (32 - left) } else { self.next() };
            value |= u128::from(word) << shift;
            shift += 32;
            left = left.saturating_sub(32);
        }
        value
    }

    /// A number from 0 up to, not including, `limit`, which is above zero.
    pub fn below(&mut self, limit: u128) -> u128 {
        let count = 128 - limit.leading_zeros();
        loop {
            let value = self.bits(count);
            if value < limit {
                return value;
            }
        }
    }
}
