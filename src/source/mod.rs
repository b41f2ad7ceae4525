//! Text with positions. Everybody who reads a user's file reads it here, so that every value knows its file, line and column.

mod diag;
mod node;
mod noted;
pub mod yaml;

pub use diag::{Diag, Level, nearest, origin};
pub use node::{Kind, Node, Str, Tag, may_be_template};
pub use noted::{Checksum, checksum, note, noted};

use crate::vault;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::{Zeroize, Zeroizing};

/// One text that was read: a file, or something typed (`-e`, a prompt).
pub struct Source {
    /// How the user would name it: the path as it was given, or `<extra vars>`.
    pub name: String,
    pub text: String,
    /// The file is encrypted: its text is not to be shown, not even where it is wrong, and its values are secrets.
    pub is_secret: bool,
    line_starts: Vec<usize>,
    /// The text is shown as a whole, and its lines have no numbers: it was never a file.
    is_whole: bool,
}

impl Drop for Source {
    fn drop(&mut self) {
        if self.is_secret {
            self.text.zeroize();
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("cannot read `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        err: std::io::Error,
    },
    #[error("`{}` is not UTF-8: byte {} begins no character", path.display(), at)]
    NotUtf8 { path: PathBuf, at: usize },
    #[error("cannot decrypt `{}`", path.display())]
    Decrypt {
        path: PathBuf,
        #[source]
        err: vault::Error,
    },
}

impl ReadError {
    /// The finding for the user, cause included.
    pub fn into_diag(self) -> Diag {
        let why = std::error::Error::source(&self).map(|why| format!(": {why}")).unwrap_or_default();
        Diag { is_locked: matches!(self, ReadError::Decrypt { .. }), ..Diag::error(format!("{self}{why}")) }
    }
}

/// The largest text that is read. Values take many times a text's length, and what is larger was never meant as one.
const LARGEST_TEXT: u64 = 64 << 20;

/// Refuses a named pipe, on which one waits for ever, and a device, which has no end. What a shell has opened for us (`<(command)`,
/// `/dev/stdin`) is read.
pub fn refuse_endless(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    let kind = std::fs::metadata(path)?.file_type();
    let is_known = ["/dev/fd", "/dev/stdin", "/dev/null", "/proc/self/fd"].iter().any(|known| path.starts_with(known));
    let what = match () {
        () if is_known => return Ok(()),
        () if kind.is_fifo() => "a named pipe",
        () if kind.is_char_device() || kind.is_block_device() => "a device",
        () if kind.is_socket() => "a socket",
        () => return Ok(()),
    };
    Err(std::io::Error::other(format!("it is {what}, not a file")))
}

/// What is in a file that has an end.
pub fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    refuse_endless(path)?;
    std::fs::read(path)
}

/// The same as text, which has a largest size.
pub fn read_text(path: &Path) -> std::io::Result<String> {
    refuse_large(path)?;
    String::from_utf8(read_file(path)?).map_err(|err| std::io::Error::new(std::io::ErrorKind::InvalidData, err.utf8_error()))
}

fn refuse_large(path: &Path) -> std::io::Result<()> {
    let size = std::fs::metadata(path)?.len();
    if size <= LARGEST_TEXT { Ok(()) } else { Err(std::io::Error::other(format!("it is larger than {} MiB", LARGEST_TEXT >> 20))) }
}

/// A file's bytes, decrypted if they are encrypted, and whether they were.
pub fn read_bytes(path: &Path) -> Result<(Zeroizing<Vec<u8>>, bool), ReadError> {
    let bytes = read_file(path).map_err(|err| ReadError::Read { path: path.to_owned(), err })?;
    if !vault::is_encrypted(&bytes) {
        return Ok((Zeroizing::new(bytes), false));
    }
    let plain = vault::decrypt(&bytes).map_err(|err| ReadError::Decrypt { path: path.to_owned(), err })?;
    Ok((plain, true))
}

impl Source {
    /// Reads a file whole, decrypted if need be. The name in messages is `path` as given.
    pub fn read(path: &Path) -> Result<Arc<Source>, ReadError> {
        refuse_large(path).map_err(|err| ReadError::Read { path: path.to_owned(), err })?;
        let (mut bytes, is_secret) = read_bytes(path)?;
        let text = String::from_utf8(std::mem::take(&mut *bytes))
            .map_err(|err| ReadError::NotUtf8 { path: path.to_owned(), at: err.utf8_error().valid_up_to() })?;
        Ok(Source::new(path.display().to_string(), text, is_secret))
    }

    /// Reads a file on which the way of a run depends, and notes its checksum: see [`noted`].
    pub fn read_noted(path: &Path) -> Result<Arc<Source>, ReadError> {
        let source = Source::read(path)?;
        // A file that is decrypted here is noted as it lies there.
        match source.is_secret {
            true => std::fs::read(path).iter().for_each(|bytes| note(path, bytes)),
            false => note(path, source.text.as_bytes()),
        }
        Ok(source)
    }

    pub fn from_text(name: impl Into<String>, text: impl Into<String>) -> Arc<Source> {
        Source::new(name.into(), text.into(), false)
    }

    fn new(name: String, text: String, is_secret: bool) -> Arc<Source> {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Arc::new(Source { name, text, is_secret, line_starts, is_whole: false })
    }

    /// What was given on the command line, or made of that.
    pub fn given(name: impl Into<String>, text: impl Into<String>) -> Arc<Source> {
        Arc::new(Source { name: name.into(), text: text.into(), is_secret: false, line_starts: vec![0], is_whole: true })
    }

    /// Line and column, both from 1, of a byte offset. Columns count characters.
    pub fn position(&self, byte: usize) -> (usize, usize) {
        let byte = byte.min(self.text.len());
        let line = self.line_starts.partition_point(|&start| start <= byte);
        let start = self.line_starts[line - 1];
        let column = self.text.get(start..byte).map_or(byte - start, |before| before.chars().count());
        (line, column + 1)
    }

    /// The byte offset of a line and a column, both from 0; columns count characters.
    pub fn offset(&self, line: usize, column: usize) -> usize {
        let Some(&start) = self.line_starts.get(line) else { return self.text.len() };
        self.text[start..].char_indices().nth(column).map_or(self.text.len(), |(at, _)| start + at)
    }

    pub fn span(self: &Arc<Self>, start: usize, end: usize) -> Span {
        Span { source: self.clone(), start, end }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.name)
    }
}

/// A piece of a [`Source`], in bytes.
#[derive(Clone)]
pub struct Span {
    pub source: Arc<Source>,
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub fn text(&self) -> &str {
        self.source.text.get(self.start..self.end).unwrap_or("")
    }
}

/// `file:line:column`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.source.position(self.start);
        write!(f, "{}:{line}:{column}", self.source.name)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
