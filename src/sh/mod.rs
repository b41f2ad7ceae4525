//! POSIX sh as data, no I/O: the one place that quotes, what is sent to a shell, and what came back. `words` has those that the host expands.

pub mod words;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Quotes a word for sh, exactly as Python's `shlex.quote` does (Ansible's `quote` filter must be byte-equal).
pub fn quote(word: &str) -> Cow<'_, str> {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"@%+=:,./-_".contains(&byte);
    if word.is_empty() {
        Cow::Borrowed("''")
    } else if word.bytes().all(is_safe) {
        Cow::Borrowed(word)
    } else {
        Cow::Owned(format!("'{}'", word.replace('\'', "'\"'\"'")))
    }
}

/// Words as one command line, each quoted.
pub fn quote_all<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> String {
    words.into_iter().map(|word| quote(word.as_ref()).into_owned()).collect::<Vec<_>>().join(" ")
}

macro_rules! path {
    () => {
        "PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin\n"
    };
}

/// Shell functions for probes and applies. Every answer is a field that ends with NUL, which no name and no variable can contain.
///
/// `say TEXT` · `look PATH [-L]` what is there (`$s` is empty if nothing could be seen) · `link PATH` a link's target · `real PATH` a path without links · `sum PATH` its SHA-1 · `number FILE DATABASE NAME` an id.
///
/// `holds=1` makes `say` hold its fields back, and `let_go` prints them in one piece: each piece is a packet of its own on the wire, and wakes
/// everybody on the way. What prints by itself is to come after `let_go`, and so is the end.
///
/// `loops`: `readlink -f` never ends on a link that leads into itself (`a -> a/b`); the kernel gives up after 40.
///
/// sysctl, mount and what `validate` runs are where a plain user's PATH does not lead.
pub const FUNCTIONS: &str = concat!(path!(), include_str!("functions.sh"));

/// What defines the same functions under a name that a shell can be given once: [`Script::after_definition`] is for that shell.
pub const DEFINITION: &str = concat!("nw_functions() {\n", include_str!("functions.sh"), "}\n");

/// A POSIX sh script, to be run by `/bin/sh` in a process of its own: `exit`, `cd`, `set` and traps touch nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    pub text: String,
    pub input: Input,
    /// Put into the script's environment before it starts, in order.
    pub environment: Vec<(String, String)>,
}

/// What the script reads on its standard input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Input {
    /// Nothing: `/dev/null`.
    #[default]
    None,
    Bytes(Arc<[u8]>),
    /// A file of the controller, streamed.
    File(PathBuf),
}

impl Script {
    pub fn new(text: impl Into<String>) -> Script {
        Script { text: text.into(), ..Script::default() }
    }

    pub fn with_input(mut self, bytes: impl Into<Arc<[u8]>>) -> Script {
        self.input = Input::Bytes(bytes.into());
        self
    }

    pub fn with_file(mut self, path: impl Into<PathBuf>) -> Script {
        self.input = Input::File(path.into());
        self
    }

    /// The text for a shell that has read [`DEFINITION`]: what nearly every script begins with need not be sent and read again.
    pub fn after_definition(&self) -> Cow<'_, str> {
        match self.text.strip_prefix(FUNCTIONS) {
            Some(rest) => Cow::Owned(format!(concat!("nw_functions\n", path!(), "{}"), rest)),
            None => Cow::Borrowed(&self.text),
        }
    }

    pub fn with_environment(mut self, environment: impl IntoIterator<Item = (String, String)>) -> Script {
        self.environment.extend(environment);
        self
    }
}

/// What a script that ended left behind. A script whose end was not seen has no `Output`.
#[derive(Clone, Debug)]
pub struct Output {
    /// As in `$?`: 128 + n for a script that signal n ended.
    pub status: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub started: SystemTime,
    pub elapsed: Duration,
}

impl Output {
    pub fn success(&self) -> bool {
        self.status == 0
    }

    /// Standard output as text; bytes that are not UTF-8 become the replacement character.
    pub fn stdout_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stdout)
    }

    pub fn stderr_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stderr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_as_shlex_does() {
        assert_eq!(quote("plain-1.0_x@y%z+a=b:c,d./e"), "plain-1.0_x@y%z+a=b:c,d./e");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("it's"), r#"'it'"'"'s'"#);
        assert_eq!(quote("a b~"), "'a b~'");
        assert_eq!(quote("grüße"), "'grüße'");
    }
}
