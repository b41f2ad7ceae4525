//! The ssh configuration, read without asking `ssh`: a process for each of many hosts takes longer than anything else about connecting.
//! Only what is understood exactly as ssh understands it is taken (`Host` blocks, `Include`, plain values); anything else, and there is no
//! answer: then `ssh -G` is asked.

use super::known_hosts::{matches_patterns, wildcard};
use super::ssh_options::{canonical, is_without_effect_in_files, plain};
use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Who runs this, as ssh sees it: by the account, whatever the environment says.
pub(super) struct Account {
    pub name: String,
    pub home: PathBuf,
}

impl Account {
    /// None where it is not in `/etc/passwd`, or where `HOME` says something else.
    pub fn own() -> Option<Account> {
        let uid = std::fs::metadata("/proc/self").ok()?.uid().to_string();
        let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
        let account = passwd.lines().find_map(|line| {
            let words: Vec<&str> = line.split(':').collect();
            (words.get(2) == Some(&uid.as_str())).then(|| Some(Account { name: words[0].to_owned(), home: words.get(5)?.into() }))?
        })?;
        (std::env::home_dir()? == account.home).then_some(account)
    }
}

/// The settings that apply to `host`, in the order in which they count.
pub(super) fn settings(host: &str, account: &Account, config_file: Option<&Path>) -> Option<Vec<(String, String)>> {
    let mut reading = Reading { host, settings: Vec::new(), seen: HashSet::new(), n_files: 0 };
    match config_file {
        Some(file) => reading.file(file, Path::new("/etc/ssh"), true)?,
        None => {
            let own = account.home.join(".ssh");
            reading.optional(&own.join("config"), &own)?;
            reading.optional(Path::new("/etc/ssh/ssh_config"), Path::new("/etc/ssh"))?;
        }
    }
    let has = |name: &str| reading.seen.contains(name);
    // The first of the two counts, also against `none`.
    (!(has("proxyjump") && has("proxycommand"))).then_some(reading.settings)
}

struct Reading<'a> {
    host: &'a str,
    settings: Vec<(String, String)>,
    seen: HashSet<String>,
    n_files: usize,
}

impl Reading<'_> {
    fn optional(&mut self, file: &Path, beside: &Path) -> Option<()> {
        match file.try_exists() {
            Ok(false) => Some(()),
            _ => self.file(file, beside, true),
        }
    }

    /// `beside` is where an `Include` looks. `applies` is what held where the file was included.
    fn file(&mut self, file: &Path, beside: &Path, applies: bool) -> Option<()> {
        self.n_files += 1;
        // A circle, perhaps. And ssh does not read what others may write.
        if self.n_files > 64 || std::fs::metadata(file).ok()?.mode() & 0o022 != 0 {
            return None;
        }
        let text = std::fs::read_to_string(file).ok()?;
        let mut applies_here = applies;
        for line in text.lines() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = line.split_once(|c: char| c.is_whitespace() || c == '=')?;
            let name = canonical(name);
            let value = value.trim_start_matches(|c: char| c.is_whitespace() || c == '=').trim();
            match name.as_str() {
                "host" if value.contains(['"', '#', '\\']) => return None,
                "host" => applies_here = applies && matches_patterns(self.host, value.split_whitespace()),
                "include" if value.contains(['"', '#', '\\', '$', '%', '[']) => return None,
                "include" => {
                    for pattern in value.split_whitespace() {
                        self.include(pattern, beside, applies_here)?;
                    }
                }
                name if is_without_effect_in_files(name) => {}
                name => {
                    let value = plain(name, value)?;
                    if applies_here && (name == "identityfile" || !self.seen.contains(name)) {
                        self.settings.push((name.to_owned(), value));
                        self.seen.insert(name.to_owned());
                    }
                }
            }
        }
        Some(())
    }

    fn include(&mut self, pattern: &str, beside: &Path, applies: bool) -> Option<()> {
        if pattern.starts_with('~') {
            return None;
        }
        let path = beside.join(pattern);
        let (folder, name) = (path.parent()?, path.file_name()?.to_str()?);
        if folder.to_str()?.contains(['*', '?']) {
            return None;
        }
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let found = entry.ok()?.file_name().to_str()?.to_owned();
            if wildcard(name, &found) && (!found.starts_with('.') || name.starts_with('.')) {
                files.push(folder.join(found));
            }
        }
        files.sort();
        files.iter().try_for_each(|file| self.file(file, beside, applies).ok_or(())).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)], host: &str) -> Option<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(folder.path().join(name), text.replace("HERE", folder.path().to_str().unwrap())).unwrap();
        }
        let account = Account { name: "deploy".into(), home: folder.path().into() };
        let settings = settings(host, &account, Some(&folder.path().join("config")))?;
        Some(settings.into_iter().map(|(name, value)| format!("{name} {value}")).collect())
    }

    #[test]
    fn blocks_and_included_files() {
        let config = "Include HERE/more/*.conf\nHost web*\n  Include HERE/more/web\n  Port 2201\nHost *\nPORT=2202\nIdentitiesOnly TRUE\nSendEnv \"LANG\"\n";
        let first =
            "Host db\n  User dba\n  PubkeyAcceptedKeyTypes ^ssh-rsa*\nHost *\n  IdentityFile ~/one\n  PubkeyAcceptedAlgorithms -*\n";
        let files = [("config", config), ("more/a.conf", first), ("more/web", "User web\nHost web2\nIdentityFile ~/two\n")];
        assert_eq!(
            read(&files, "web2").unwrap(),
            ["identityfile ~/one", "pubkeyacceptedalgorithms -*", "user web", "identityfile ~/two", "port 2201", "identitiesonly yes"]
        );
        assert_eq!(
            read(&files, "db").unwrap(),
            ["user dba", "pubkeyacceptedalgorithms ^ssh-rsa*", "identityfile ~/one", "port 2202", "identitiesonly yes"]
        );
    }

    #[test]
    fn ssh_is_asked_where_it_may_know_better() {
        for line in [
            "Match all",
            "HostName %h.lab",
            "Prot 22",
            "ConnectTimeout 1m",
            "User \"a b\"",
            "Include ~/other",
            "ProxyCommand nc gate 22",
            "CanonicalizeHostname yes",
            "Port",
            "Ciphers aes129-ctr",
            "MACs hmac-sha1 # old",
        ] {
            assert_eq!(read(&[("config", &format!("Host other\n{line}\n"))], "web1"), None, "{line}");
        }
    }

    #[test]
    fn ssh_agrees() {
        let Some(account) = Account::own() else { return };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        let text = "Host gate\n User ops\nHost !bad *.lab gate\n Port 2201\n HostName=10.0.0.7\nHost *\n User late\n IdentityFile ~/a\n IdentityFile /b\n HashKnownHosts true\n";
        std::fs::write(&file, text).unwrap();
        for host in ["gate", "one.lab", "bad", "other"] {
            let Ok(output) = std::process::Command::new("ssh").arg("-G").arg("-F").arg(&file).arg(host).output() else { return };
            let answer = String::from_utf8(output.stdout).unwrap();
            for (name, value) in settings(host, &account, Some(&file)).unwrap() {
                assert!(answer.lines().any(|line| line == format!("{name} {value}")), "{host}: {name} {value} in\n{answer}");
            }
        }
    }
}
