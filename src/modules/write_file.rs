//! The one way in which modules put content at a path of the host: into a file beside it, checked, owned, validated, synced, and then
//! renamed over it, so that no reader and no lost connection ever sees half of it. Also what a diff says of two contents.

use super::attributes::Fix;
use super::look::{Entry, FUNCTIONS, Fields};
use crate::module::{Diff, Failure, Outcome};
use crate::sh::{Output, Script, quote, words};
use serde_json::{Map, Value as Json};

/// The exit status by which the script says that `validate` refused the content.
pub const REFUSED: i32 = 88;

/// Contents larger than this are not shown in diffs, as in Ansible.
pub const LARGEST_DIFF: u64 = 104_448;

/// A file to be written.
pub struct Write<'a> {
    /// Expanded already.
    pub path: &'a str,
    /// What is there now, if something is: its mode and owner are kept where `fix` does not say otherwise.
    pub replaces: Option<&'a Entry>,
    /// For a new file the mode is always said.
    pub fix: Fix,
    /// A command that writes the content to its standard output; the script's input unless it is another file of the host.
    pub source: &'a str,
    /// SHA-1 of the whole content.
    pub checksum: Option<&'a str>,
    pub validate: Option<&'a str>,
    pub backup: bool,
    /// Lines that run before anything else: parents that are to be made.
    pub before: &'a str,
}

impl Write<'_> {
    /// A script without its input. It says the backup's name (or nothing) and what is at the path in the end: [`finish_write`] reads that.
    pub fn script(&self) -> Result<Script, Failure> {
        Ok(Script::new(format!("{FUNCTIONS}{CLEANING}{}", self.lines()?)))
    }

    /// The same as a part of a script that has [`FUNCTIONS`] and [`CLEANING`] already.
    pub fn lines(&self) -> Result<String, Failure> {
        let mut text = format!("p={}\n{}", quote(self.path), self.before);
        text.push_str(
            "case $p in */*) folder=${p%/*}/ ;; *) folder=./ ;; esac\n\
             if [ -d \"$p\" ] && [ ! -L \"$p\" ]; then echo \"$p is a directory\" >&2; exit 1; fi\n\
             t=$(mktemp -- \"${folder}.nodewright.XXXXXX\") || exit 1\n",
        );
        text.push_str(&format!("s=''\n{} > \"$t\" || exit 1\n", self.source));
        if let Some(checksum) = self.checksum {
            text.push_str(&format!(
                "[ -n \"$s\" ] || s=$(LC_ALL=C sha1sum < \"$t\") || exit 1\n\
                 if [ \"${{s%% *}}\" != {checksum} ]; then echo 'the content arrived damaged' >&2; exit 1; fi\n"
            ));
        }
        if let Some(entry) = self.replaces {
            let (uid, gid) = (entry.uid, entry.gid);
            // Whoever may write a file beside it need not be able to give it away; Ansible goes on as well.
            text.push_str(&format!("chown {uid}:{gid} -- \"$t\" 2>/dev/null || chgrp {gid} -- \"$t\" 2>/dev/null || :\n"));
        }
        let mode = self.fix.mode.or(self.replaces.map(Entry::mode));
        text.push_str(&Fix { mode, ..self.fix.clone() }.lines("\"$t\"", false));
        if let Some(command) = self.validate {
            text.push_str(&format!("o=$({}) || {{ r=$?; say \"$r\"; say \"$o\"; exit {REFUSED}; }}\n", validate_words(command, "\"$t\"")?));
        }
        if self.backup && self.replaces.is_some() {
            text.push_str(
                "b=\"$p.$$.$(date +%Y-%m-%d@%H:%M:%S)~\"\n\
                 cp -p -- \"$p\" \"$b\" || exit 1\n",
            );
        } else {
            text.push_str("b=''\n");
        }
        text.push_str("into_place \"$t\" \"$p\" || exit 1\nt=''\nsay \"$b\"\nlook \"$p\"\n");
        Ok(text)
    }
}

/// The script's whole input as a [`Write::source`], if it is large: its sum was made while it arrived, and it is brought to the disk at once.
pub const LARGE_INPUT: &str = r#"{ cat && s=$nw_in_sum && { sync -- "$t" > /dev/null 2>&1 & }; }"#;

macro_rules! into_place {
    () => {
        r#"into_place() {
  [ -L "$1" ] || sync -- "$1" 2>/dev/null || :
  if [ -d "$2" ] && [ -L "$2" ]; then
    mv -fT -- "$1" "$2" 2>/dev/null && return
    rm -f -- "$2" || return
  fi
  mv -f -- "$1" "$2"
}
make_link() (
  p=$2 x=
  while :; do case $p in ?*/) p=${p%/} ;; *) break ;; esac; done
  case $p in */*) folder=${p%/*}/ ;; *) folder=./ ;; esac
  if [ -d "$p" ] && [ ! -L "$p" ]; then echo "$p is a directory" >&2; exit 1; fi
  trap 'rm -f -- "$x"' EXIT
  trap 'exit 143' HUP INT TERM
  new=$(mktemp -u -- "${folder}.nodewright.XXXXXX") && ln $3 -- "$1" "$new" && x=$new && into_place "$new" "$p"
)
"#
    };
}

/// The shell function `into_place NEW PATH`, the only way in which a module's script makes a file the one at a path: `NEW` is finished, with its
/// mode and owner, and stands in the same folder. It is on the disk before it has the name, so whatever dies whenever leaves the old file
/// or the new one.
///
/// Where sync takes no file it syncs everything, which is as good. A link to a directory would be moved into: it goes first where `mv` knows no
/// `-T`, or refuses it (busybox's does, unless the new one is a link to a directory, too).
///
/// And `make_link TARGET PATH [-s]`, by which a path becomes a link in the same way.
pub const INTO_PLACE: &str = into_place!();

/// Removes what a script that ends early leaves: the file `$t` and the folder `$x`. Has [`INTO_PLACE`].
pub const CLEANING: &str =
    concat!("t='' x=''\n", "trap 'rm -rf -- \"$t\" \"$x\"' EXIT\n", "trap 'exit 143' HUP INT TERM\n", "umask 077\n", into_place!());

/// Reads what a [`Write`] said, for [`crate::module::Change::finish`].
pub fn finish_write(doing: String, path: String) -> impl FnOnce(&Output, Outcome) -> Result<Outcome, Failure> + Send + 'static {
    move |output, mut outcome| {
        if output.status == REFUSED {
            let refused = Output { status: 0, ..output.clone() };
            let mut fields = Fields::of(&doing, &refused)?;
            let status = fields.number()?.unwrap_or(1);
            return Err(Failure::new("failed to validate")
                .with("exit_status", status)
                .with("stdout", fields.text()?)
                .with("stderr", output.stderr_text().into_owned()));
        }
        let mut fields = Fields::of(&doing, output)?;
        let backup = fields.text()?;
        if !backup.is_empty() {
            outcome.data.insert("backup_file".into(), backup.into());
        }
        if let Some(entry) = fields.entry(&path)? {
            entry.add_to(&mut outcome.data);
        }
        Ok(outcome)
    }
}

/// A script that only corrects attributes and says what is at the path then: [`finish_look`] reads that.
pub fn fix_script(path: &str, lines: &str) -> Script {
    Script::new(format!("{FUNCTIONS}p={}\n{lines}look \"$p\"\n", quote(path)))
}

/// Reads what a [`fix_script`] said.
pub fn finish_look(doing: String, path: String) -> impl FnOnce(&Output, Outcome) -> Result<Outcome, Failure> + Send + 'static {
    move |output, mut outcome| {
        if let Some(entry) = Fields::of(&doing, output)?.entry(&path)? {
            entry.add_to(&mut outcome.data);
        }
        Ok(outcome)
    }
}

/// The command of `validate` as words of a script, without a shell's own meaning, `%s` being `file`.
pub fn validate_words(command: &str, file: &str) -> Result<String, Failure> {
    if !command.contains("%s") {
        return Err(Failure::argument("validate", format!("validate must contain %s: {command}")));
    }
    let words =
        words::split(command).map_err(|why| Failure::argument("validate", format!("Invalid command syntax: {why} in `{command}`")))?;
    let quoted: Vec<String> = words
        .iter()
        .map(|word| match word.split_once("%s") {
            None => words::on_host(word),
            Some(_) => word
                .split("%s")
                .map(|part| if part.is_empty() { String::new() } else { quote(part).into_owned() })
                .collect::<Vec<_>>()
                .join(file),
        })
        .collect();
    Ok(quoted.join(" "))
}

/// Two states as Ansible's diff shows them: indented JSON.
pub fn diff_of_states(before: Map<String, Json>, after: Map<String, Json>) -> Diff {
    let (shown_before, shown_after) = (show_state(before.clone()), show_state(after.clone()));
    Diff { before: shown_before, after: shown_after, states: Some(Box::new((before, after))), ..Diff::default() }
}

fn show_state(mut state: Map<String, Json>) -> String {
    state.sort_keys();
    state.values_mut().for_each(Json::sort_all_objects);
    let mut shown = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut shown, serde_json::ser::PrettyFormatter::with_indent(b"    "));
    // Writing JSON to memory has no way to fail.
    if serde::Serialize::serialize(&state, &mut serializer).is_err() {
        return String::new();
    }
    let mut text = String::from_utf8_lossy(&shown).into_owned();
    text.push('\n');
    text
}

/// Two contents as Ansible's diff shows them: words instead of contents for what is binary or large.
pub fn diff_of_contents(headers: (&str, &str), before: Option<&[u8]>, after: &[u8]) -> Diff {
    let words = |which: &str, content: &[u8]| {
        if content.len() as u64 > LARGEST_DIFF {
            Some(format!("diff skipped: {which} file size is greater than {LARGEST_DIFF}\n"))
        } else {
            content.contains(&0).then(|| format!("diff skipped: {which} file appears to be binary\n"))
        }
    };
    if let Some(words) = words("destination", before.unwrap_or_default()).or_else(|| words("source", after)) {
        return diff_of_words(("", headers.1), words);
    }
    Diff {
        before_header: headers.0.to_owned(),
        after_header: headers.1.to_owned(),
        before: String::from_utf8_lossy(before.unwrap_or_default()).into_owned(),
        after: String::from_utf8_lossy(after).into_owned(),
        ..Diff::default()
    }
}

/// A diff that cannot be shown, and why.
pub fn diff_of_words(headers: (&str, &str), words: String) -> Diff {
    Diff { before_header: headers.0.to_owned(), after_header: headers.1.to_owned(), before: String::new(), after: words, ..Diff::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validate_is_a_command_without_a_shell() {
        assert_eq!(validate_words("visudo -cf %s", "\"$t\"").ok().as_deref(), Some("visudo -cf \"$t\""));
        assert_eq!(validate_words("x 'a b;c' --f=%s|y", "$t").ok().as_deref(), Some("x 'a b;c' --f=$t'|y'"));
        assert!(validate_words("visudo -c", "$t").is_err());
    }
}
