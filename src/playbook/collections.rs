//! Collections: roles and playbooks that are named by them (`ns.name.role`). Their modules are Python, and are not for us.

use super::Loader;
use super::search::tidy;
use std::path::{Path, PathBuf};

/// A name of something in a collection, in its parts: `ns.name`, and the rest.
pub(super) fn parts(name: &str) -> Option<(&str, &str)> {
    let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_');
    let (second, _) = name.match_indices('.').nth(1)?;
    name.split('.').all(is_word).then(|| (&name[..second], &name[second + 1..]))
}

/// The collection that a path lies in.
pub(super) fn around(path: &Path) -> Option<String> {
    let words: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    let at = words.iter().rposition(|word| word == "ansible_collections")?;
    Some(format!("{}.{}", words.get(at + 1)?, words.get(at + 2)?))
}

impl Loader {
    /// The folder of a collection: beside the playbook first.
    pub(super) fn collection(&self, name: &str, play_dir: &Path) -> Option<PathBuf> {
        let (namespace, name) = name.split_once('.')?;
        let beside = play_dir.join("collections");
        let mut folders = std::iter::once(&beside).chain(&self.collections_path);
        folders.find_map(|folder| {
            // A folder may be given as that of `ansible_collections` itself.
            let inside = if folder.ends_with("ansible_collections") { folder.clone() } else { folder.join("ansible_collections") };
            Some(inside.join(namespace).join(name)).filter(|path| path.is_dir())
        })
    }

    pub(super) fn collection_role(&self, collection: &str, role: &str, play_dir: &Path) -> Option<PathBuf> {
        let path = self.collection(collection, play_dir)?.join("roles").join(role.replace('.', "/"));
        path.is_dir().then(|| tidy(&path))
    }

    /// The file of `ns.name.playbook`.
    pub(super) fn collection_playbook(&self, name: &str, play_dir: &Path) -> Option<PathBuf> {
        let (collection, playbook) = parts(name)?;
        let folder = self.collection(collection, play_dir)?.join("playbooks").join(playbook.replace('.', "/"));
        ["yml", "yaml", "json"].into_iter().map(|extension| folder.with_extension(extension)).find(|path| path.is_file())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_of_collections() {
        assert_eq!(parts("acme.web.proxy"), Some(("acme.web", "proxy")));
        assert_eq!(parts("acme.web.deep.proxy"), Some(("acme.web", "deep.proxy")));
        assert_eq!((parts("acme.web"), parts("./a.b.c/d"), parts("..x.")), (None, None, None));
        assert_eq!(around(Path::new("/c/ansible_collections/acme/web/roles/proxy")), Some("acme.web".into()));
        assert_eq!(around(Path::new("/c/ansible_collections/acme")), None);
    }
}
