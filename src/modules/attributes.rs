//! `mode`, `owner` and `group`, as every module that leaves a file behind takes them: what they ask for, what is to be done to a file
//! that is there, and the lines of a script that do it.

use super::look::{Entry, Fields, show_mode};
use crate::module::{Args, Failure};
use crate::sh::quote;
use serde_json::{Map, Value as Json};

/// What a task asks of a file's attributes.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub mode: Option<Mode>,
    pub owner: Option<String>,
    pub group: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Mode {
    Octal(u32),
    Symbolic(String),
    /// The source's own (`copy`, `template`); the module puts in the bits.
    Preserve,
}

/// The host's numbers for the names that were asked for, and its umask.
#[derive(Clone, Debug)]
pub struct Ids {
    uid: Option<u32>,
    gid: Option<u32>,
    pub umask: u32,
}

/// What is to be changed on one path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fix {
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub mode: Option<u32>,
}

impl Wanted {
    pub fn of(args: &Args) -> Result<Wanted, Failure> {
        let mode = args.str("mode").map(Mode::parse).transpose()?;
        let text = |name: &str| args.str(name).map(str::to_owned);
        Ok(Wanted { mode, owner: text("owner"), group: text("group") })
    }

    /// Lines of a probe that say what [`ids`](Wanted::ids) reads. Names are looked up in the files first, without a process.
    pub fn ask_ids(&self) -> String {
        let mut lines = String::from("say \"${nw_umask:-$(umask)}\"\n");
        for (name, file, database) in [(&self.owner, "/etc/passwd", "passwd"), (&self.group, "/etc/group", "group")] {
            match name.as_deref() {
                Some(name) if known_id(name).is_none() => lines.push_str(&format!("number {file} {database} {}\n", quote(name))),
                _ => {}
            }
        }
        lines
    }

    pub fn ids(&self, fields: &mut Fields) -> Result<Ids, Failure> {
        let umask = fields.umask()?;
        let mut id = |name: &Option<String>| match name.as_deref() {
            None => Ok(None),
            Some(name) => match known_id(name) {
                Some(id) => Ok(Some(id)),
                None => fields.number(),
            },
        };
        Ok(Ids { uid: id(&self.owner)?, gid: id(&self.group)?, umask })
    }

    pub fn asks_for_something(&self) -> bool {
        self.mode.is_some() || self.owner.is_some() || self.group.is_some()
    }

    /// What is to be done to a file that is there.
    pub fn fix(&self, entry: &Entry, ids: &Ids) -> Result<Fix, Failure> {
        let (uid, gid) = self.owners(ids)?;
        let mode = self.mode_from(entry.mode(), entry.is_dir(), ids)?;
        let uid = uid.filter(|uid| *uid != entry.uid);
        let gid = gid.filter(|gid| *gid != entry.gid);
        // A change of owner clears setuid and setgid: whoever named a mode wants them back.
        let special = entry.mode() & 0o6000 != 0 && (uid.is_some() || gid.is_some());
        Ok(Fix { uid, gid, mode: mode.filter(|mode| *mode != entry.mode() || special) })
    }

    /// What is to be done to a file that is about to be made; its mode is always said.
    pub fn fix_new(&self, base: u32, is_dir: bool, ids: &Ids) -> Result<Fix, Failure> {
        let (uid, gid) = self.owners(ids)?;
        let mode = self.mode_from(base & !ids.umask, is_dir, ids)?;
        Ok(Fix { uid, gid, mode: Some(mode.unwrap_or(base & !ids.umask)) })
    }

    /// The numbers that were asked for; a name that the host does not know is a failure.
    fn owners(&self, ids: &Ids) -> Result<(Option<u32>, Option<u32>), Failure> {
        if let (Some(owner), None) = (&self.owner, ids.uid) {
            return Err(Failure::argument("owner", format!("chown failed: failed to look up user {owner}")));
        }
        if let (Some(group), None) = (&self.group, ids.gid) {
            return Err(Failure::argument("group", format!("chgrp failed: failed to look up group {group}")));
        }
        Ok((ids.uid, ids.gid))
    }

    fn mode_from(&self, current: u32, is_dir: bool, ids: &Ids) -> Result<Option<u32>, Failure> {
        match &self.mode {
            None | Some(Mode::Preserve) => Ok(None),
            Some(Mode::Octal(mode)) => Ok(Some(*mode)),
            Some(Mode::Symbolic(text)) => symbolic(text, current, is_dir, ids.umask).map(Some),
        }
    }
}

impl Mode {
    pub fn parse(text: &str) -> Result<Mode, Failure> {
        if text == "preserve" {
            return Ok(Mode::Preserve);
        }
        let digits = text.trim();
        let digits = digits.strip_prefix("0o").unwrap_or(digits);
        match u32::from_str_radix(digits, 8) {
            Ok(mode) if mode <= 0o7777 => Ok(Mode::Octal(mode)),
            Ok(_) => Err(Failure::argument("mode", "Invalid mode supplied, only permission info is allowed").with("details", text)),
            Err(_) => {
                // Whether it is well formed does not depend on the file.
                symbolic(text, 0, false, 0)?;
                Ok(Mode::Symbolic(text.to_owned()))
            }
        }
    }
}

impl Fix {
    pub fn is_nothing(&self) -> bool {
        *self == Fix::default()
    }

    /// Lines that do it to the path that the shell's `word` names. `follow` decides whether a link's owner or its target's is meant.
    pub fn lines(&self, word: &str, follow: bool) -> String {
        let mut lines = String::new();
        let dereference = if follow { "" } else { "-h " };
        match (self.uid, self.gid) {
            (Some(uid), Some(gid)) => lines.push_str(&format!("chown {dereference}{uid}:{gid} -- {word} || exit 1\n")),
            (Some(uid), None) => lines.push_str(&format!("chown {dereference}{uid} -- {word} || exit 1\n")),
            (None, Some(gid)) => lines.push_str(&format!("chgrp {dereference}{gid} -- {word} || exit 1\n")),
            (None, None) => {}
        }
        if let Some(mode) = self.mode {
            // The fifth digit makes GNU chmod clear a directory's setgid bit too.
            lines.push_str(&format!("chmod {mode:05o} -- {word} || exit 1\n"));
        }
        lines
    }

    /// The attributes that differ, as Ansible's diff of states has them.
    pub fn diff(&self, entry: &Entry, before: &mut Map<String, Json>, after: &mut Map<String, Json>) {
        let mut pair = |key: &str, was: Json, is: Json| {
            before.insert(key.into(), was);
            after.insert(key.into(), is);
        };
        if let Some(uid) = self.uid {
            pair("owner", entry.uid.into(), uid.into());
        }
        if let Some(gid) = self.gid {
            pair("group", entry.gid.into(), gid.into());
        }
        if let Some(mode) = self.mode {
            pair("mode", show_mode(entry.mode()).into(), show_mode(mode).into());
        }
    }

    /// The same for a file that is about to be made: it would have had `base` under the host's umask.
    pub fn diff_new(&self, base: u32, ids: &Ids, before: &mut Map<String, Json>, after: &mut Map<String, Json>) {
        if let Some(mode) = self.mode
            && mode != base & !ids.umask
        {
            before.insert("mode".into(), show_mode(base & !ids.umask).into());
            after.insert("mode".into(), show_mode(mode).into());
        }
        if let Some(uid) = self.uid.filter(|uid| *uid != 0) {
            after.insert("owner".into(), uid.into());
        }
        if let Some(gid) = self.gid.filter(|gid| *gid != 0) {
            after.insert("group".into(), gid.into());
        }
    }
}

/// The bits that a mode sets on what has none, as `find` compares them.
pub fn mode_of_nothing(text: &str) -> Result<u32, Failure> {
    match Mode::parse(text)? {
        Mode::Octal(mode) => Ok(mode),
        Mode::Symbolic(text) => symbolic(&text, 0, false, 0),
        Mode::Preserve => Err(Failure::argument("mode", "mode must be in octal or symbolic form")),
    }
}

/// An id that needs no look-up: a number, or root's, which is 0 everywhere.
fn known_id(name: &str) -> Option<u32> {
    if name == "root" { Some(0) } else { name.trim().parse().ok() }
}

/// A symbolic mode applied to a file's mode, as Ansible does: clause by clause, a clause without users heeds the umask, `X` is `x` for
/// directories and for what somebody may execute already.
fn symbolic(text: &str, current: u32, is_dir: bool, umask: u32) -> Result<u32, Failure> {
    let bad = || {
        Failure::argument("mode", "mode must be in octal or symbolic form")
            .with("details", format!("bad symbolic permission for mode: {text}"))
    };
    let mut mode = current;
    for clause in text.split(',') {
        let users_end = clause.find(['+', '-', '=']).ok_or_else(bad)?;
        let (users, mut rest) = clause.split_at(users_end);
        if !users.chars().all(|user| "ugoa".contains(user)) {
            return Err(bad());
        }
        let heeds_umask = users.is_empty();
        let users = if heeds_umask || users.contains('a') { "ugo" } else { users };
        while let Some(operator) = rest.chars().next() {
            let end = rest[1..].find(['+', '-', '=']).map_or(rest.len(), |at| at + 1);
            let permissions = &rest[1..end];
            rest = &rest[end..];
            if !permissions.chars().all(|permission| "rwxXstugo".contains(permission)) {
                return Err(bad());
            }
            for user in users.chars() {
                let mut bits = permissions.chars().fold(0, |bits, permission| bits | permission_bits(user, permission, mode, is_dir));
                if heeds_umask {
                    bits &= !umask;
                }
                mode = match operator {
                    '+' => mode | bits,
                    '-' => mode & !bits,
                    _ => (mode & !whole_of(user)) | bits,
                };
            }
        }
    }
    Ok(mode)
}

fn shift_of(user: char) -> u32 {
    match user {
        'u' => 6,
        'g' => 3,
        _ => 0,
    }
}

/// Every bit that `=` replaces for a user.
fn whole_of(user: char) -> u32 {
    match user {
        'u' => 0o4700,
        'g' => 0o2070,
        _ => 0o1007,
    }
}

fn permission_bits(user: char, permission: char, mode: u32, is_dir: bool) -> u32 {
    let shift = shift_of(user);
    match permission {
        'r' => 4 << shift,
        'w' => 2 << shift,
        'x' => 1 << shift,
        'X' if is_dir || mode & 0o111 != 0 => 1 << shift,
        's' => match user {
            'u' => 0o4000,
            'g' => 0o2000,
            _ => 0,
        },
        't' if user == 'o' => 0o1000,
        'u' | 'g' | 'o' => ((mode >> shift_of(permission)) & 7) << shift,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ansible-core 2.21 made of them with umask 022.
    #[test]
    fn symbolic_modes_are_ansibles() {
        for (text, before, is_dir, after) in [
            ("u=rwx,g=rx,o=", 0o711, true, 0o750),
            ("u+s,g-x,o=u", 0o754, false, 0o4747),
            ("a+X", 0o4747, false, 0o4757),
            ("a+X", 0o644, false, 0o644),
            ("a+X", 0o644, true, 0o755),
            ("+t,-x", 0o4757, false, 0o5646),
            ("u=g,g=o", 0o5646, false, 0o1466),
            ("+w", 0o1466, false, 0o1666),
            ("g+s,=r", 0o1666, false, 0o444),
            ("u=rw-w", 0o777, false, 0o477),
        ] {
            assert_eq!(symbolic(text, before, is_dir, 0o022).ok(), Some(after), "{text} of {before:o}");
        }
        for text in ["9999", "u+q", "q+x", "rw"] {
            assert!(Mode::parse(text).is_err(), "{text}");
        }
        assert_eq!(Mode::parse("0o640").ok(), Some(Mode::Octal(0o640)));
    }
}
