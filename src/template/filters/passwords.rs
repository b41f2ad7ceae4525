//! `password_hash`: passwords as `/etc/shadow` keeps them. The lookup `password` encrypts with it, too.

use super::Filter;
use crate::template::fail::{Fail, Res};
use crate::template::value::{as_int, text};
use md5::{Digest, Md5};
use minijinja::Value;

pub(super) const TABLE: &[(&str, Filter)] = &[("password_hash", |_, value, args| {
    let kind = args.text_or("hashtype", "sha512")?;
    let maybe = |value: Option<Value>| value.filter(|value| !value.is_none());
    let salt = maybe(args.get("salt")).map(|salt| text(&salt)).transpose()?.filter(|salt| !salt.is_empty());
    let whole = |value: Option<Value>, name: &str| match maybe(value) {
        None => Ok(None),
        Some(value) => match as_int(&value).or_else(|| value.as_str().and_then(|text| text.parse().ok())) {
            Some(number) => Ok(Some(usize::try_from(number).unwrap_or(0))),
            None => Err(Fail::error(format!("{name} must be an integer"))),
        },
    };
    let salt_size = whole(args.get("salt_size"), "salt_size")?;
    let rounds = whole(args.get("rounds"), "rounds")?;
    let ident = maybe(args.get("ident")).map(|ident| text(&ident)).transpose()?.filter(|ident| !ident.is_empty());
    let scheme = Scheme::find(&kind)?;
    let salt = match (salt, salt_size) {
        (Some(salt), Some(size)) if salt.chars().count() != size => {
            return Err(Fail::error(format!("salt_size={size} does not match the length of the salt")));
        }
        (Some(salt), _) => salt,
        (None, size) => scheme.new_salt(size)?,
    };
    scheme.hash(&text(&value)?, &salt, rounds, ident.as_deref()).map(Value::from)
})];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::template) enum Scheme {
    Md5,
    Sha256,
    Sha512,
    Bcrypt,
}

const SALT_CHARS: &str = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The same 64 characters in the order in which bcrypt counts.
const BCRYPT_CHARS: &str = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

impl Scheme {
    pub fn find(name: &str) -> Res<Scheme> {
        match name {
            "md5" | "md5_crypt" => Ok(Scheme::Md5),
            "sha256" | "sha256_crypt" => Ok(Scheme::Sha256),
            "sha512" | "sha512_crypt" => Ok(Scheme::Sha512),
            "blowfish" | "bcrypt" => Ok(Scheme::Bcrypt),
            other => Err(Fail::error(format!(
                "{other} is not in the list of supported passlib algorithms: md5_crypt, bcrypt, sha256_crypt, sha512_crypt"
            ))),
        }
    }

    fn salt_size(self) -> usize {
        match self {
            Scheme::Md5 => 8,
            Scheme::Sha256 | Scheme::Sha512 => 16,
            Scheme::Bcrypt => 22,
        }
    }

    /// A salt by chance.
    pub fn new_salt(self, size: Option<usize>) -> Res<String> {
        let size = size.unwrap_or(self.salt_size());
        self.check_size(size)?;
        let chars: Vec<char> = SALT_CHARS.chars().collect();
        Ok((0..size).map(|_| chars[rand::random_range(0..chars.len())]).collect())
    }

    fn check_size(self, size: usize) -> Res<()> {
        match (self, self.salt_size()) {
            (Scheme::Bcrypt, right) if size != right => Err(Fail::error(format!("invalid salt size supplied ({size}), expected {right}"))),
            (_, most) if size > most => Err(Fail::error(format!("invalid salt size supplied ({size}), expected at most {most}"))),
            _ => Ok(()),
        }
    }

    pub fn hash(self, password: &str, salt: &str, rounds: Option<usize>, ident: Option<&str>) -> Res<String> {
        if !salt.chars().all(|c| SALT_CHARS.contains(c)) {
            return Err(Fail::error("invalid characters in salt"));
        }
        self.check_size(salt.len())?;
        if ident.is_some() && self != Scheme::Bcrypt {
            return Err(Fail::error("`ident` is only for bcrypt"));
        }
        match self {
            Scheme::Md5 if rounds.is_some() => Err(Fail::error("md5_crypt has no rounds")),
            Scheme::Md5 => Ok(md5_crypt(password, salt)),
            Scheme::Sha256 | Scheme::Sha512 => {
                let (number, usual) = if self == Scheme::Sha256 { (5, 535_000) } else { (6, 656_000) };
                let rounds = rounds.unwrap_or(usual).clamp(1000, 999_999_999) as u32;
                if rounds > MAX_ROUNDS {
                    return Err(Fail::error(format!("{rounds} rounds would take hours: more than {MAX_ROUNDS} are refused")));
                }
                let params = sha_crypt::Params::new(rounds).map_err(|err| Fail::error(err.to_string()))?;
                let (password, bytes) = (password.as_bytes(), salt.as_bytes());
                let hash = match self {
                    Scheme::Sha256 => encode(&sha_crypt::sha256_crypt(password, bytes, params), &SHA256_ORDER),
                    _ => encode(&sha_crypt::sha512_crypt(password, bytes, params), &SHA512_ORDER),
                };
                let shown = if rounds == 5000 { String::new() } else { format!("rounds={rounds}$") };
                Ok(format!("${number}${shown}{salt}${hash}"))
            }
            Scheme::Bcrypt => {
                let version = match ident.unwrap_or("2b") {
                    "2b" => bcrypt::Version::TwoB,
                    "2a" => bcrypt::Version::TwoA,
                    "2y" => bcrypt::Version::TwoY,
                    other => return Err(Fail::error(format!("invalid bcrypt ident: '{other}' (2a, 2b or 2y)"))),
                };
                let cost = u32::try_from(rounds.unwrap_or(12)).unwrap_or(u32::MAX);
                if cost > MAX_COST {
                    return Err(Fail::error(format!("a cost of {cost} would take hours: more than {MAX_COST} is refused")));
                }
                let parts = bcrypt::hash_with_salt(password, cost, bcrypt_salt(salt)).map_err(|err| Fail::error(err.to_string()))?;
                Ok(parts.format_for_version(version))
            }
        }
    }
}

/// Some seconds. Whoever logs in would wait as long.
const MAX_ROUNDS: u32 = 10_000_000;
const MAX_COST: u32 = 18;

/// 22 characters of six bits each are 16 bytes; the last bits are nothing.
fn bcrypt_salt(salt: &str) -> [u8; 16] {
    let mut bytes = [0u8; 16];
    let mut bits = 0u32;
    let mut held = 0;
    let mut at = 0;
    for c in salt.chars() {
        bits = bits << 6 | BCRYPT_CHARS.find(c).unwrap_or(0) as u32;
        held += 6;
        if held >= 8 && at < bytes.len() {
            held -= 8;
            bytes[at] = (bits >> held) as u8;
            at += 1;
        }
    }
    bytes
}

const SHA256_ORDER: [usize; 32] =
    [0, 10, 20, 21, 1, 11, 12, 22, 2, 3, 13, 23, 24, 4, 14, 15, 25, 5, 6, 16, 26, 27, 7, 17, 18, 28, 8, 9, 19, 29, 31, 30];

const SHA512_ORDER: [usize; 64] = [
    0, 21, 42, 22, 43, 1, 44, 2, 23, 3, 24, 45, 25, 46, 4, 47, 5, 26, 6, 27, 48, 28, 49, 7, 50, 8, 29, 9, 30, 51, 31, 52, 10, 53, 11, 32,
    12, 33, 54, 34, 55, 13, 56, 14, 35, 15, 36, 57, 37, 58, 16, 59, 17, 38, 18, 39, 60, 40, 61, 19, 62, 20, 41, 63,
];

const MD5_ORDER: [usize; 16] = [0, 6, 12, 1, 7, 13, 2, 8, 14, 3, 9, 15, 4, 10, 5, 11];

/// Three bytes, the first of them the highest, make four characters, the lowest six bits first.
fn encode(digest: &[u8], order: &[usize]) -> String {
    let chars = SALT_CHARS.as_bytes();
    let mut out = String::new();
    for group in order.chunks(3) {
        let mut bits = group.iter().fold(0u32, |bits, n| bits << 8 | u32::from(digest[*n]));
        let count = group.len() + 1;
        for _ in 0..count {
            out.push(char::from(chars[(bits & 63) as usize]));
            bits >>= 6;
        }
    }
    out
}

/// The scheme of FreeBSD's `crypt`: a thousand rounds of MD5.
fn md5_crypt(password: &str, salt: &str) -> String {
    let (password, salt_bytes) = (password.as_bytes(), salt.as_bytes());
    let inner = Md5::new().chain_update(password).chain_update(salt_bytes).chain_update(password).finalize();
    let mut outer = Md5::new().chain_update(password).chain_update(b"$1$").chain_update(salt_bytes);
    for chunk in password.chunks(16) {
        outer.update(&inner[..chunk.len()]);
    }
    let mut left = password.len();
    while left > 0 {
        // The bits of the length choose between a zero and the first letter.
        outer.update(if left & 1 == 1 { &[0u8][..] } else { &password[..1] });
        left >>= 1;
    }
    let mut digest = outer.finalize();
    for round in 0..1000 {
        let mut step = Md5::new();
        let odd = round % 2 == 1;
        if odd {
            step.update(password)
        } else {
            step.update(digest)
        }
        if round % 3 != 0 {
            step.update(salt_bytes);
        }
        if round % 7 != 0 {
            step.update(password);
        }
        if odd {
            step.update(digest)
        } else {
            step.update(password)
        }
        digest = step.finalize();
    }
    format!("$1${salt}${}", encode(&digest, &MD5_ORDER))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What libxcrypt and passlib make of the same.
    #[test]
    fn hashes_are_those_of_crypt() {
        let hash = |name: &str, salt: &str, rounds| Scheme::find(name).and_then(|scheme| scheme.hash("a", salt, rounds, None)).ok();
        let cases = [
            ("md5", "n34PoBLM", None, "$1$n34PoBLM$rJsU35yDRh2sVexmJzEWB1"),
            ("sha256", "n34PoBLM", Some(535_000), "$5$rounds=535000$n34PoBLM$OaoUhkZNJAnY6NUz6YKYaK79An1/NVRDNbppVQXHnYA"),
            (
                "sha512",
                "n34PoBLM",
                Some(5000),
                "$6$n34PoBLM$qBFOL71woH5TkFWjgOnkKnUBQtdwYwFcVD.8w7joMLLCfvOJlKKubSOAU8hTTtuozbauLoYRa/HTqyiLjP.Oc/",
            ),
            ("bcrypt", "KRGxLBS0Lxe3KBCwKxOzLe", None, "$2b$12$KRGxLBS0Lxe3KBCwKxOzLeg42UC76jAz727c/Yu03EtnZ6rTVWAA."),
        ];
        for (name, salt, rounds, right) in cases {
            assert_eq!(hash(name, salt, rounds).as_deref(), Some(right), "{name}");
        }
    }

    #[test]
    fn bad_salts_are_refused() {
        let words =
            |name: &str, salt: &str| Scheme::find(name).and_then(|scheme| scheme.hash("a", salt, None, None)).map_err(|fail| fail.words());
        assert_eq!(words("md5", "12^").unwrap_err(), "invalid characters in salt");
        assert_eq!(words("bcrypt", "123").unwrap_err(), "invalid salt size supplied (3), expected 22");
        assert_eq!(words("md5", "123456789").unwrap_err(), "invalid salt size supplied (9), expected at most 8");
    }
}
