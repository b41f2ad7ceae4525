//! The key under which a run's secrets lie in its journal, and where that key lies: in a folder that is memory, which only its owner may enter. After
//! a reboot of the controller it is gone; where the run had passwords of vaults, the journal holds it under each of them too.

use super::make_private;
use crate::vault::{Envelope, keyring};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const KEY: usize = 32;

pub struct Seal {
    key: LessSafeKey,
    raw: Zeroizing<[u8; KEY]>,
}

impl Seal {
    /// A new key, kept for `run`. `None`: there is no memory to keep it in.
    pub fn new(run: &str) -> Option<Seal> {
        let seal = Seal::of(Zeroizing::new(rand::random()))?;
        let folder = folders().into_iter().find(|folder| is_private_memory(folder))?;
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(run)).ok()?;
        file.write_all(seal.raw.as_ref()).ok()?;
        Some(seal)
    }

    /// The key of an earlier run; from memory, or from what the journal holds under a password that is known now.
    pub fn find(run: &str, envelopes: &[String]) -> Option<Seal> {
        let kept = folders().into_iter().filter(|folder| is_private_memory(folder)).find_map(|folder| {
            let bytes = Zeroizing::new(std::fs::read(folder.join(run)).ok()?);
            Some(Zeroizing::new(<[u8; KEY]>::try_from(bytes.as_slice()).ok()?))
        });
        let unsealed = || {
            envelopes.iter().find_map(|envelope| {
                let opened = keyring().decrypt(&Envelope::parse(envelope.as_bytes()).ok()?).ok()?;
                Some(Zeroizing::new(<[u8; KEY]>::try_from(opened.plain.as_slice()).ok()?))
            })
        };
        Seal::of(kept.or_else(unsealed)?)
    }

    fn of(raw: Zeroizing<[u8; KEY]>) -> Option<Seal> {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, raw.as_ref()).ok()?);
        Some(Seal { key, raw })
    }

    pub fn close(&self, plain: &[u8]) -> Option<String> {
        // A fresh number for each text: of these there are far too few to meet twice.
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut sealed = plain.to_vec();
        self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed).ok()?;
        Some(STANDARD.encode([nonce.as_slice(), &sealed].concat()))
    }

    pub fn open(&self, sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        let mut bytes = Zeroizing::new(STANDARD.decode(sealed).ok()?);
        let (nonce, text) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let plain = self.key.open_in_place(nonce, Aad::empty(), text).ok()?;
        Some(Zeroizing::new(plain.to_vec()))
    }

    /// The key under each of the run's passwords.
    pub fn envelopes(&self) -> Vec<String> {
        let salt = || rand::random::<[u8; KEY]>().to_vec();
        let under = |key: &crate::vault::Key| Envelope::seal(self.raw.as_ref(), key.password.bytes(), Some(&key.label), salt()).to_text();
        keyring().keys().iter().map(under).collect()
    }
}

/// Removes a run's key: nobody will ask for it.
pub fn forget(run: &str) {
    for folder in folders() {
        let _ = std::fs::remove_file(folder.join(run));
    }
}

/// Where keys may lie, the best first.
fn folders() -> Vec<PathBuf> {
    let uid = std::fs::metadata("/proc/self").map(|me| me.uid()).ok();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let of_user = uid.map(|uid| if uid == 0 { PathBuf::from("/run") } else { format!("/run/user/{uid}").into() });
    let shared = uid.map(|uid| PathBuf::from(format!("/dev/shm/nodewright-keys-{uid}")));
    let own = runtime.into_iter().chain(of_user).filter(|path| path.is_dir()).map(|path| path.join("nodewright-keys"));
    own.chain(shared).collect()
}

/// Makes the folder if need be, and says whether it is in memory and nobody else's.
fn is_private_memory(folder: &Path) -> bool {
    let mine = std::fs::metadata("/proc/self").map(|me| me.uid());
    let is_own = |path: &Path| {
        std::fs::symlink_metadata(path)
            .is_ok_and(|meta| meta.is_dir() && meta.mode() & 0o077 == 0 && mine.as_ref().is_ok_and(|uid| *uid == meta.uid()))
    };
    make_private(folder).is_ok() && is_own(folder) && is_memory(folder)
}

/// Whether the file system that holds a folder is memory, by the system's own table.
fn is_memory(folder: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else { return false };
    let table = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounts = table.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.nth(1)?, words.next()?))
    });
    // Of several on the same place, the last is seen.
    let holding = mounts.filter(|(at, _)| folder.starts_with(at)).max_by_key(|(at, _)| at.len());
    holding.is_some_and(|(_, kind)| matches!(kind, "tmpfs" | "ramfs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_read_with_the_same_key_only() {
        let (one, other) = (Seal::of(Zeroizing::new([7; KEY])).unwrap(), Seal::of(Zeroizing::new([9; KEY])).unwrap());
        let sealed = one.close(b"tiger-lily").unwrap();
        assert_eq!(one.open(&sealed).unwrap().as_slice(), b"tiger-lily");
        assert!(other.open(&sealed).is_none());
        assert_ne!(sealed, one.close(b"tiger-lily").unwrap());
        assert!(one.open("").is_none() && one.open("AAAA").is_none() && one.open("%").is_none());
    }
}
