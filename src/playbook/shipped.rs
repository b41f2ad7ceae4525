//! The playbooks that are shipped with the program, embedded in it.

use anyhow::Context;
use std::path::{Path, PathBuf};

#[derive(rust_embed::RustEmbed)]
#[folder = "playbooks/"]
struct Playbooks;

/// Where a playbook is: the path as given if there is such a file, else the shipped one of that name, unpacked into the user's cache.
pub fn locate(path: &Path) -> anyhow::Result<PathBuf> {
    if path.exists() {
        return Ok(path.to_owned());
    }
    let name = path.strip_prefix("playbooks").unwrap_or(path);
    let embedded = name.to_str().is_some_and(|name| Playbooks::get(name).is_some());
    if !embedded {
        let mut known: Vec<_> =
            Playbooks::iter().filter(|name| !name.contains('/') && name.ends_with(".yaml")).map(|name| name.into_owned()).collect();
        known.sort();
        anyhow::bail!("the playbook `{}` could not be found; shipped are: {}", path.display(), known.join(", "));
    }
    Ok(unpack()?.join(name))
}

/// Writes all shipped files into a folder named after the program's version and their contents, once.
fn unpack() -> anyhow::Result<PathBuf> {
    use sha2::Digest;
    let mut hash = sha2::Sha256::new();
    for name in Playbooks::iter() {
        hash.update(name.as_bytes());
        hash.update(Playbooks::get(&name).map(|file| file.metadata.sha256_hash()).unwrap_or_default());
    }
    let hash = hex::encode(&hash.finalize()[..8]);
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    let cache = cache.context("neither XDG_CACHE_HOME nor HOME is set: there is no place to unpack the shipped playbooks to")?;
    let dir = cache.join("nodewright").join(format!("playbooks-{}-{hash}", env!("CARGO_PKG_VERSION")));
    if dir.join(".complete").exists() {
        return Ok(dir);
    }
    for name in Playbooks::iter() {
        let Some(file) = Playbooks::get(&name) else { continue };
        let path = dir.join(name.as_ref());
        let parent = path.parent().unwrap_or(&dir);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, &file.data))
            .with_context(|| format!("cannot unpack `{}`", path.display()))?;
    }
    std::fs::write(dir.join(".complete"), "").with_context(|| format!("cannot write into `{}`", dir.display()))?;
    Ok(dir)
}
