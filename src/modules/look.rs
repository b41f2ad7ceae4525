//! How the file modules look at a host: shell functions for a probe, fields that are unambiguous for any file name, and what `stat` says
//! of a path with a type. *Not there*, *not allowed* and *could not look* stay three answers.

use crate::module::Failure;
use crate::sh::Output;
use serde_json::{Map, Value as Json};

pub use crate::sh::FUNCTIONS;

/// What [`Entry::parse`] reads; the same as in `look`.
pub const STAT_FORMAT: &str = "%f %u %g %h %i %d %s %X %Y %Z %b %o %t %T|%x|%y|%z|%U|%G";

/// The fields that a script said, one after another.
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The answer of a script that has to have ended well; `doing` is what it was for.
    pub fn of(doing: &str, output: &'a Output) -> Result<Fields<'a>, Failure> {
        if output.success() { Ok(Fields { rest: &output.stdout }) } else { Err(Failure::script(doing, output)) }
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], Failure> {
        let end = self.rest.iter().position(|byte| *byte == 0).ok_or_else(cut_short)?;
        let field = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        Ok(field)
    }

    pub fn text(&mut self) -> Result<String, Failure> {
        Ok(String::from_utf8_lossy(self.bytes()?).into_owned())
    }

    /// So many bytes, whatever they are.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Failure> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(cut_short)?;
        self.rest = rest;
        Ok(taken)
    }

    /// What follows the last field, as it is: a file's content.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The answer of `look`.
    pub fn entry(&mut self, path: &str) -> Result<Option<Entry>, Failure> {
        let field = self.text()?;
        match field.strip_prefix('!') {
            None => Entry::parse(&field).map(Some).ok_or_else(|| Failure::new(format!("{path}: stat said something unexpected: {field}"))),
            Some(message) => {
                let message = message.trim_end();
                if message.ends_with("No such file or directory") {
                    Ok(None)
                } else {
                    Err(Failure::new(format!("cannot look at {path}: {message}")).with("path", path))
                }
            }
        }
    }

    /// The answer of `look -L` of a link. One that leads in a circle leads nowhere, and so does in a sticky directory another's, which the
    /// kernel lets nobody follow.
    pub fn entry_of_link(&mut self, path: &str) -> Result<Option<Entry>, Failure> {
        let leads_nowhere = |why: &str| why.ends_with("Permission denied") || why.ends_with("Too many levels of symbolic links");
        self.entry(path).or_else(|failure| if leads_nowhere(&failure.message) { Ok(None) } else { Err(failure) })
    }

    /// The answer of `sum`: none where the file could not be read.
    pub fn sum(&mut self) -> Result<Option<String>, Failure> {
        let field = self.text()?;
        Ok((!field.starts_with('!')).then_some(field))
    }

    /// The answer of `say "$(umask)"`.
    pub fn umask(&mut self) -> Result<u32, Failure> {
        let said = self.text()?;
        u32::from_str_radix(said.trim(), 8).map_err(|_| Failure::new(format!("the host's umask is `{said}`")))
    }

    /// A field that is empty or a number.
    pub fn number(&mut self) -> Result<Option<u32>, Failure> {
        let field = self.text()?;
        match field.trim() {
            "" => Ok(None),
            digits => digits.parse().map(Some).map_err(|_| Failure::new(format!("expected a number from the host, not `{digits}`"))),
        }
    }
}

/// Reads what `find -exec stat -c //FIELDS//%n` printed: fields and name. A name that find makes never has two slashes in a row, so a line
/// break in one is not its end.
pub fn read_list(said: &str) -> Result<Vec<(&str, &str)>, Failure> {
    let mut items = Vec::new();
    let mut rest = said;
    while !rest.is_empty() {
        let (fields, after) = rest.strip_prefix("//").and_then(|rest| rest.split_once("//")).ok_or_else(cut_short)?;
        let end = after.find("\n//").or_else(|| after.strip_suffix('\n').map(str::len)).ok_or_else(cut_short)?;
        items.push((fields, &after[..end]));
        rest = &after[end + 1..];
    }
    Ok(items)
}

pub fn cut_short() -> Failure {
    Failure::new("the host's answer is cut short")
}

/// Seconds since 1970 and nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Time {
    pub seconds: i64,
    pub nanos: u32,
}

impl Time {
    pub fn as_f64(self) -> f64 {
        self.seconds as f64 + f64::from(self.nanos) / 1e9
    }
}

/// What `stat` says of a path.
#[derive(Clone, Debug)]
pub struct Entry {
    raw_mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub nlink: u64,
    pub inode: u64,
    pub dev: u64,
    pub size: u64,
    pub atime: Time,
    pub mtime: Time,
    pub ctime: Time,
    pub blocks: u64,
    pub block_size: u64,
    pub device_type: u64,
    pub owner: String,
    pub group: String,
}

impl Entry {
    /// Reads what `stat` printed for [`STAT_FORMAT`].
    pub fn parse(text: &str) -> Option<Entry> {
        let mut parts = text.trim_end_matches('\n').split('|');
        let numbers: Vec<&str> = parts.next()?.split(' ').collect();
        let [mode, uid, gid, nlink, inode, dev, size, atime, mtime, ctime, blocks, block_size, major, minor] = numbers.as_slice() else {
            return None;
        };
        let mut time = |seconds: &str| Some(Time { seconds: seconds.parse().ok()?, nanos: nanos_of(parts.next()?) });
        let (atime, mtime, ctime) = (time(atime)?, time(mtime)?, time(ctime)?);
        let (uid, gid): (u32, u32) = (uid.parse().ok()?, gid.parse().ok()?);
        // As Ansible: an id without a name is shown by its number.
        let name = |name: &str, id: u32| if name == "UNKNOWN" { id.to_string() } else { name.to_owned() };
        Some(Entry {
            raw_mode: u32::from_str_radix(mode, 16).ok()?,
            uid,
            gid,
            nlink: nlink.parse().ok()?,
            inode: inode.parse().ok()?,
            dev: dev.parse().ok()?,
            size: size.parse().ok()?,
            atime,
            mtime,
            ctime,
            blocks: blocks.parse().ok()?,
            block_size: block_size.parse().ok()?,
            device_type: (u64::from_str_radix(major, 16).ok()? << 8) | u64::from_str_radix(minor, 16).ok()?,
            owner: name(parts.next()?, uid),
            group: name(parts.next()?, gid),
        })
    }

    /// An entry of which only the mode, with its type, and the owners are known.
    pub fn of_ids(raw_mode: u32, uid: u32, gid: u32) -> Entry {
        let never = Time { seconds: 0, nanos: 0 };
        let (owner, group) = (uid.to_string(), gid.to_string());
        Entry {
            raw_mode,
            uid,
            gid,
            nlink: 1,
            inode: 0,
            dev: 0,
            size: 0,
            atime: never,
            mtime: never,
            ctime: never,
            blocks: 0,
            block_size: 0,
            device_type: 0,
            owner,
            group,
        }
    }

    /// Permission bits with setuid, setgid and sticky.
    pub fn mode(&self) -> u32 {
        self.raw_mode & 0o7777
    }

    /// The bits that say what it is (`S_IFMT`).
    pub fn file_type(&self) -> u32 {
        self.raw_mode & 0o170_000
    }

    pub fn is_dir(&self) -> bool {
        self.file_type() == 0o040_000
    }

    pub fn is_link(&self) -> bool {
        self.file_type() == 0o120_000
    }

    pub fn is_file(&self) -> bool {
        self.file_type() == 0o100_000
    }

    /// Ansible's word for it.
    pub fn state(&self) -> &'static str {
        if self.is_link() {
            "link"
        } else if self.is_dir() {
            "directory"
        } else if self.nlink > 1 {
            "hard"
        } else {
            "file"
        }
    }

    /// What every file module returns of the path it worked on.
    pub fn add_to(&self, data: &mut Map<String, Json>) {
        data.insert("uid".into(), self.uid.into());
        data.insert("gid".into(), self.gid.into());
        data.insert("owner".into(), self.owner.as_str().into());
        data.insert("group".into(), self.group.as_str().into());
        data.insert("mode".into(), show_mode(self.mode()).into());
        data.insert("state".into(), self.state().into());
        data.insert("size".into(), self.size.into());
    }
}

/// A mode as Ansible returns it: `0644`, `04755`.
pub fn show_mode(mode: u32) -> String {
    format!("0{mode:03o}")
}

/// The nanoseconds of `2026-11-20 10:32:41.123456789 +0000`.
fn nanos_of(shown: &str) -> u32 {
    let fraction = shown.split_once('.').map_or("", |(_, fraction)| fraction);
    let digits: String = fraction.chars().take_while(char::is_ascii_digit).take(9).collect();
    format!("{digits:0<9}").parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::trial::{run, shells};
    use crate::sh::Script;

    #[test]
    fn reads_stat() {
        let said = "89ed 1000 7 2 11 2049 6 1763634761 1763634762 1763634763 8 4096 0 0|2026-11-20 10:32:41.123456789 +0000|2026-11-20 10:32:42.5 +0000|x|UNKNOWN|adm";
        let entry = Entry::parse(said).expect("a complete answer");
        assert_eq!((entry.mode(), entry.is_file(), entry.state()), (0o4755, true, "hard"));
        assert_eq!((entry.owner.as_str(), entry.group.as_str()), ("1000", "adm"));
        assert_eq!((entry.atime.nanos, entry.mtime.nanos, entry.ctime.nanos), (123_456_789, 500_000_000, 0));
    }

    #[test]
    fn a_link_into_itself_ends() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        for (target, name) in [("round/about", "round"), ("nowhere", "dangling"), (".", "here")] {
            std::os::unix::fs::symlink(target, dir.join(name)).unwrap();
        }
        for shell in shells() {
            let text = format!("{FUNCTIONS}for p in round dangling here/here; do real {}/$p; done\n", dir.display());
            let output = run(shell, &Script::new(text));
            let expected = format!("{0}/round\n{0}/nowhere\n{0}\n", dir.display());
            assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{shell:?}: {output:?}");
        }
    }

    #[test]
    fn not_there_is_not_the_same_as_not_allowed() {
        let answer = |said: &str| {
            let stdout = format!("{said}\0").into_bytes();
            Fields { rest: &stdout }.entry("/x").map(|entry| entry.is_some()).map_err(|failure| failure.message)
        };
        assert_eq!(answer("!stat: cannot statx '/x': No such file or directory"), Ok(false));
        assert_eq!(
            answer("!stat: cannot statx '/x': Permission denied"),
            Err("cannot look at /x: stat: cannot statx '/x': Permission denied".into())
        );
        assert_eq!(answer("!sh: stat: not found"), Err("cannot look at /x: sh: stat: not found".into()));
    }
}
