//! The algorithms that are offered to a host, in russh's words, and what is said when the host has none of them.

use super::algorithms::Kind;
use super::error::ConnectError;
use super::known_hosts::HostKeys;
use super::ssh_config::HostConfig;
use russh::client::GexParams;
use russh::{AlgorithmKind, Preferred, cipher, kex, mac};
use std::borrow::Cow;

/// Not algorithms, but said in the same list: that we hear of the host's signatures, and that the exchange cannot be tampered with.
const EXTENSIONS: [kex::Name; 2] = [kex::EXTENSION_SUPPORT_AS_CLIENT, kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT];

pub(super) fn preferred(config: &HostConfig, keys: &HostKeys) -> Result<Preferred, ConnectError> {
    let wrong = |reason| ConnectError::Config { host: config.hostname.clone(), reason };
    let needed = |kind| config.algorithms.needed(kind).map_err(wrong);
    let mut kex: Vec<kex::Name> = needed(Kind::KeyExchange)?.into_iter().filter_map(|name| name.try_into().ok()).collect();
    kex.extend(EXTENSIONS);
    let cipher: Vec<cipher::Name> = needed(Kind::Cipher)?.into_iter().filter_map(|name| name.try_into().ok()).collect();
    let mac: Vec<mac::Name> = needed(Kind::Mac)?.into_iter().filter_map(|name| name.try_into().ok()).collect();
    let allowed = needed(Kind::HostKey)?;
    let (key, host_key_certificates) = keys.algorithms(&allowed);
    if key.is_empty() && host_key_certificates.is_empty() {
        let allowed = allowed.join(", ");
        return Err(wrong(format!("`HostKeyAlgorithms` allows only {allowed}: neither what is pinned, nor of an authority that is known")));
    }
    Ok(Preferred {
        kex: Cow::Owned(kex),
        key: Cow::Owned(key),
        host_key_certificates: Cow::Owned(host_key_certificates),
        cipher: Cow::Owned(cipher),
        mac: Cow::Owned(mac),
        ..Preferred::DEFAULT
    })
}

/// Where an exchange of old hosts was asked for, groups of their time are taken too, of the size that OpenSSH takes.
pub(super) fn groups(config: &HostConfig) -> GexParams {
    let is_old = config.algorithms.allowed(Kind::KeyExchange).contains(&"diffie-hellman-group-exchange-sha1");
    let old = if is_old { GexParams::new(2048, 3072, 8192).ok() } else { None };
    old.unwrap_or_default()
}

/// Why there was no agreement.
pub(super) fn failed(error: russh::Error, config: &HostConfig, keys: &HostKeys) -> ConnectError {
    let address = config.address();
    let russh::Error::NoCommonAlgo { kind, theirs, .. } = error else {
        return ConnectError::Broken { address, reason: error.to_string() };
    };
    // The host's words: no control characters, and no end of them either.
    let shown = |name: String| name.chars().filter(char::is_ascii_graphic).take(64).collect();
    let is_extension = |name: &String| name.starts_with("ext-info-") || name.starts_with("kex-strict-");
    let offered: Vec<String> = theirs.into_iter().filter(|name| !is_extension(name)).take(64).map(shown).collect();
    let kind = match kind {
        AlgorithmKind::Kex => Kind::KeyExchange,
        AlgorithmKind::Cipher => Kind::Cipher,
        AlgorithmKind::Mac => Kind::Mac,
        AlgorithmKind::Key => Kind::HostKey,
        AlgorithmKind::Compression => {
            let advice = "none of these is implemented".to_owned();
            return ConnectError::NothingInCommon { address, what: "compression", offered, advice };
        }
    };
    let allowed = config.algorithms.allowed(kind);
    if kind == Kind::HostKey
        && offered.iter().any(|name| allowed.contains(&name.as_str()))
        && let Some(error) = keys.not_as_pinned(&offered)
    {
        return ConnectError::HostKey(error);
    }
    let advice = config.algorithms.advice(kind, &offered);
    ConnectError::NothingInCommon { address, what: kind.noun(), offered, advice }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_russh_has_can_be_asked_for() {
        fn same<N: AsRef<str>>(kind: Kind, names: &[&N]) {
            let of_russh = names.iter().map(|name| name.as_ref()).filter(|name| !["none", "clear"].contains(name));
            let (mut ours, mut theirs): (Vec<_>, Vec<_>) = (kind.usable().collect(), of_russh.collect());
            ours.sort_unstable();
            theirs.sort_unstable();
            assert_eq!(ours, theirs);
        }
        same(Kind::KeyExchange, kex::ALL_KEX_ALGORITHMS);
        same(Kind::Cipher, cipher::ALL_CIPHERS);
        same(Kind::Mac, mac::ALL_MAC_ALGORITHMS);
    }
}
