//! Facts that outlive a run: a file of JSON per host, in the form in which ansible-core keeps them, so that both can use one folder.

use crate::config::Config;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::time::Duration;

pub struct FactCache {
    dir: PathBuf,
    prefix: String,
    /// Older facts do not count. `None`: they do forever.
    lifetime: Option<Duration>,
}

/// The form's name in ansible-core, before each file's name.
const FORM: &str = "s1_";

/// The member that holds the facts.
const PAYLOAD: &str = "__payload__";

impl FactCache {
    /// As the settings say. The error is worth a warning: there is no cache.
    pub fn configured(config: &Config) -> Result<Option<FactCache>, String> {
        let plugin = config.text("CACHE_PLUGIN").unwrap_or("memory");
        match plugin.strip_prefix("ansible.builtin.").unwrap_or(plugin) {
            "memory" => return Ok(None),
            "jsonfile" => {}
            _ => return Err(format!("Unable to load the cache plugin '{plugin}'.")),
        }
        let Some(dir) = config.text("CACHE_PLUGIN_CONNECTION") else {
            return Err("the cache plugin `jsonfile` needs `fact_caching_connection`, the folder that it writes to".to_owned());
        };
        let dir = PathBuf::from(crate::config::expanded(dir));
        std::fs::create_dir_all(&dir).map_err(|err| format!("cannot make the folder `{}` for the facts: {err}", dir.display()))?;
        let seconds = config.number("CACHE_PLUGIN_TIMEOUT").and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0);
        let prefix = config.text("CACHE_PLUGIN_PREFIX").unwrap_or_default();
        Ok(Some(FactCache { dir, prefix: prefix.to_owned(), lifetime: (seconds > 0).then(|| Duration::from_secs(seconds)) }))
    }

    fn file(&self, host: &str) -> PathBuf {
        // A name that cannot be a file's is replaced by its checksum.
        let safe = match host.contains(['/', '\\']) {
            true => hex::encode(Sha256::digest(host)).chars().take(host.len().max(12)).collect(),
            false => host.to_owned(),
        };
        self.dir.join(format!("{}{FORM}{safe}", self.prefix))
    }

    /// What is known of a host. What cannot be read is as good as nothing: it is gathered again.
    pub fn load(&self, host: &str) -> Option<Map<String, Json>> {
        let file = self.file(host);
        let age = std::fs::metadata(&file).ok()?.modified().ok()?.elapsed().unwrap_or_default();
        if self.lifetime.is_some_and(|lifetime| age > lifetime) {
            return None;
        }
        let kept: Json = serde_json::from_str(&std::fs::read_to_string(&file).ok()?).ok()?;
        match serde_json::from_str(kept.get(PAYLOAD)?.as_str()?).ok()? {
            Json::Object(facts) => Some(facts.into_iter().map(|(name, value)| (name, untagged(value))).collect()),
            _ => None,
        }
    }

    /// Keeps what is known of a host.
    pub fn store(&self, host: &str, facts: &Map<String, Json>) -> std::io::Result<()> {
        use std::io::Write;
        use std::os::unix::fs::PermissionsExt;
        let text = json!({PAYLOAD: Json::from(facts.clone()).to_string()}).to_string();
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(text.as_bytes())?;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        file.persist(self.file(host)).map(drop).map_err(|err| err.error)
    }

    pub fn forget(&self, host: &str) {
        // What is not there is forgotten already; what cannot be removed is found by the next run as it was.
        let _ = std::fs::remove_file(self.file(host));
    }
}

/// A value without what ansible-core notes of its origin.
fn untagged(value: Json) -> Json {
    match value {
        Json::Object(mut map) if map.contains_key("__ansible_type") && map.contains_key("value") => untagged(map["value"].take()),
        Json::Object(map) => Json::Object(map.into_iter().map(|(key, value)| (key, untagged(value))).collect()),
        Json::Array(items) => items.into_iter().map(untagged).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_come_back_until_they_are_too_old() {
        let dir = tempfile::tempdir().expect("a folder can be made");
        let cache = |lifetime| FactCache { dir: dir.path().to_owned(), prefix: "p_".to_owned(), lifetime };
        let facts = Map::from_iter([("ansible_distribution".to_owned(), json!("Debian"))]);
        let lasting = cache(Some(Duration::from_secs(600)));
        lasting.store("/srv/chroot", &facts).expect("it can be written");
        assert_eq!(lasting.load("/srv/chroot"), Some(facts));
        assert_eq!(cache(Some(Duration::ZERO)).load("/srv/chroot"), None);
        lasting.forget("/srv/chroot");
        assert_eq!(lasting.load("/srv/chroot"), None);
    }

    #[test]
    fn what_ansible_core_wrote_is_read() {
        let dir = tempfile::tempdir().expect("a folder can be made");
        let cache = FactCache { dir: dir.path().to_owned(), prefix: String::new(), lifetime: None };
        let payload =
            r#"{"foo": {"value": "1", "tags": [{"__ansible_type": "TrustedAsTemplate"}], "__ansible_type": "_AnsibleTaggedStr"}}"#;
        std::fs::write(dir.path().join("s1_web1"), json!({PAYLOAD: payload}).to_string()).expect("it can be written");
        assert_eq!(cache.load("web1"), Some(Map::from_iter([("foo".to_owned(), json!("1"))])));
    }
}
