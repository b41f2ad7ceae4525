//! What the host knows of a user.

use super::ssh_key;
use crate::module::{Args, Failure, Outcome};
use crate::sh::{Output, quote, quote_all};
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub struct Account {
    name: String,
    pub uid: i64,
    gid: i64,
    pub comment: String,
    pub home: String,
    pub shell: String,
    /// Supplementary groups.
    pub groups: Vec<String>,
    /// The hash, where we may see it.
    pub password: Option<String>,
    pub shortest: Option<i64>,
    pub longest: Option<i64>,
    pub warning: Option<i64>,
    pub inactive: Option<i64>,
    /// In days since 1970.
    pub expires: Option<i64>,
    pub has_home: bool,
    pub has_key: bool,
    key_file: String,
    public_key: String,
    fingerprint: String,
    /// The groups that were asked for and exist, by name.
    known_groups: BTreeMap<String, String>,
}

/// Prints `word:...` lines. `getent` ends with 2 if, and only if, it looked and found none.
pub fn probe(args: &Args) -> Result<String, Failure> {
    let name = args.required("name")?;
    let groups = args.list("groups").unwrap_or_default();
    let groups: Vec<_> =
        groups.iter().map(String::as_str).chain(args.str("group")).filter(|group| !group.is_empty()).chain([name]).collect();
    let mut text = format!(
        r#"entry=$(getent passwd {name}); status=$?
if [ $status -eq 2 ]; then echo "absent:"
elif [ $status -ne 0 ]; then exit $status
else
  echo "passwd:$entry"
  ! shadow=$(getent shadow {name}) || echo "shadow:$shadow"
  echo "groups:$(id -nG -- {name})"
  echo "primary:$(id -ng -- {name})"
  home=${{entry%:*}}; home=${{home##*:}}
  [ ! -d "$home" ] || echo "home:"
"#,
        name = quote(name)
    );
    if args.is("generate_ssh_key") {
        text += &ssh_key::probe(args);
    }
    text += &format!("fi\ngetent group {} | sed 's/^/group:/'\nexit 0\n", quote_all(groups));
    Ok(text)
}

impl Account {
    pub fn read(output: &Output) -> Result<Account, Failure> {
        let stdout = output.stdout_text();
        let mut account = Account::default();
        let (mut looked, mut primary) = (false, "");
        for line in stdout.lines() {
            let Some((word, rest)) = line.split_once(':') else { continue };
            let fields: Vec<_> = rest.split(':').collect();
            match (word, &fields[..]) {
                ("absent", _) => looked = true,
                ("passwd", [name, _, uid, gid, comment, home, shell]) => {
                    looked = true;
                    account.name = name.to_string();
                    (account.uid, account.gid) = (uid.parse().unwrap_or(-1), gid.parse().unwrap_or(-1));
                    (account.comment, account.home, account.shell) = (comment.to_string(), home.to_string(), shell.to_string());
                }
                ("shadow", [_, password, _, shortest, longest, warning, inactive, expires, ..]) => {
                    account.password = Some(password.to_string());
                    let days = |text: &str| text.parse::<i64>().ok();
                    (account.shortest, account.longest, account.warning) = (days(shortest), days(longest), days(warning));
                    (account.inactive, account.expires) = (days(inactive), days(expires).filter(|days| *days >= 0));
                }
                ("groups", _) => account.groups = rest.split_whitespace().map(str::to_owned).collect(),
                ("primary", _) => primary = rest,
                ("home", _) => account.has_home = true,
                ("key", _) => (account.has_key, account.key_file) = (true, rest.to_owned()),
                ("public", _) => account.public_key = rest.to_owned(),
                ("fingerprint", _) => account.fingerprint = rest.to_owned(),
                ("group", [name, _, gid, ..]) => {
                    account.known_groups.insert(name.to_string(), name.to_string());
                    account.known_groups.insert(gid.to_string(), name.to_string());
                }
                _ => {}
            }
        }
        account.groups.retain(|group| group != primary);
        if looked && output.success() { Ok(account) } else { Err(Failure::script("looking up the user", output)) }
    }

    pub fn exists(&self) -> bool {
        !self.name.is_empty()
    }

    /// By name or number.
    pub fn has_group(&self, group: &str) -> bool {
        self.known_groups.contains_key(group)
    }

    pub fn name_of(&self, group: &str) -> String {
        self.known_groups.get(group).cloned().unwrap_or_else(|| group.to_owned())
    }

    /// Whether it is the user's own group, by name or number.
    pub fn is_primary(&self, group: &str) -> bool {
        let name = self.name_of(group);
        self.known_groups.iter().any(|(key, known)| *known == name && key.parse() == Ok(self.gid))
    }

    /// For a diff: what is no secret.
    pub fn line(&self) -> String {
        if !self.exists() {
            return String::new();
        }
        format!("{}:{}:{}:{}:{}:{} groups={}\n", self.name, self.uid, self.gid, self.comment, self.home, self.shell, self.groups.join(","))
    }

    pub fn describe(&self, outcome: Outcome) -> Outcome {
        let mut outcome = outcome
            .with("uid", self.uid)
            .with("group", self.gid)
            .with("comment", self.comment.as_str())
            .with("home", self.home.as_str())
            .with("shell", self.shell.as_str())
            .with("groups", self.groups.join(","));
        if self.has_key {
            outcome = outcome
                .with("ssh_key_file", self.key_file.as_str())
                .with("ssh_public_key", self.public_key.as_str())
                .with("ssh_fingerprint", self.fingerprint.as_str());
        }
        outcome
    }
}
