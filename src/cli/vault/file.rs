//! Files of `ansible-vault`: whole contents in, whole contents out, never half of one.

use crate::cli::OptionError;
use anyhow::{Context, anyhow};
use std::fmt;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

pub enum Input {
    Stdin,
    File(PathBuf),
}

pub enum Output {
    Stdout,
    File(PathBuf),
}

/// What a link leads to: the link stays.
pub fn real(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

/// What is read and where it goes: each file onto itself, unless there is an output; the standard input to the standard output.
pub fn pairs(files: &[PathBuf], output: Option<&Path>) -> anyhow::Result<Vec<(Input, Output)>> {
    if output.is_some() && files.len() > 1 {
        return Err(OptionError("At most one input file may be used with the --output option".to_owned()).into());
    }
    let to = |own: Output| match output {
        Some(path) if path == Path::new("-") => Output::Stdout,
        Some(path) => Output::File(path.to_owned()),
        None => own,
    };
    if files.is_empty() {
        return Ok(vec![(Input::Stdin, to(Output::Stdout))]);
    }
    Ok(files
        .iter()
        .map(|path| match Input::of(path) {
            Input::Stdin => (Input::Stdin, to(Output::Stdout)),
            Input::File(path) => (Input::File(real(&path)), to(Output::File(real(&path)))),
        })
        .collect())
}

impl Input {
    pub fn of(path: &Path) -> Input {
        if path == Path::new("-") { Input::Stdin } else { Input::File(path.to_owned()) }
    }

    pub fn read(&self) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        let mut content = Zeroizing::new(Vec::new());
        match self {
            Input::Stdin => std::io::stdin().lock().read_to_end(&mut content).map(drop).context("cannot read the standard input")?,
            Input::File(path) => {
                let failed = |err: std::io::Error| anyhow!("Unable to read source file ({}): {err}", path.display());
                // In one piece: a vector that grows leaves its content behind.
                let mut file = std::fs::File::open(path).map_err(failed)?;
                content.reserve_exact(file.metadata().map_err(failed)?.len() as usize + 1);
                file.read_to_end(&mut content).map_err(failed)?;
            }
        }
        Ok(content)
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Stdin => f.write_str("-"),
            Input::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Output {
    /// A file is for its owner alone from now on, as with Ansible.
    pub fn write(&self, content: &[u8]) -> anyhow::Result<()> {
        match self {
            Output::Stdout => {
                let mut out = std::io::stdout().lock();
                out.write_all(content).and_then(|()| out.flush()).context("cannot write to the standard output")
            }
            Output::File(path) => put(path, content, None),
        }
    }
}

/// Writes a file anew; mode and owner stay.
pub fn replace(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let like = std::fs::metadata(path).with_context(|| format!("cannot look at `{}`", path.display()))?;
    put(path, content, Some(&like))
}

/// Writes beside the file and renames.
fn put(path: &Path, content: &[u8], like: Option<&std::fs::Metadata>) -> anyhow::Result<()> {
    let failed = || format!("cannot write `{}`", path.display());
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Made with mode 0600.
    let mut file = tempfile::Builder::new().prefix(".ansible-vault-").tempfile_in(dir).with_context(failed)?;
    file.write_all(content).with_context(failed)?;
    if let Some(like) = like {
        let own = file.as_file().metadata().with_context(failed)?;
        if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
            fchown(file.as_file(), Some(like.uid()), Some(like.gid())).with_context(failed)?;
        }
        file.as_file().set_permissions(like.permissions()).with_context(failed)?;
    }
    file.as_file().sync_all().with_context(failed)?;
    file.persist(path).map_err(|err| err.error).with_context(failed)?;
    Ok(())
}
