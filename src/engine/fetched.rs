//! Files that come to the controller: each is written beside its place, and gets its name when it is whole and on the disk.

use super::execute::{Trouble, nothing_said};
use super::wire::Wire;
use crate::module::{Failure, Finish, Outcome};
use crate::remote::Sought;
use crate::sh::Output;
use std::fs::DirEntry;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;
use tempfile::NamedTempFile;

const PREFIX: &str = ".nodewright.";
/// So long after it was last written to, nobody works on such a file any more.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// A file beside its place, that goes away if it is not put there.
fn beside(path: &Path) -> Result<NamedTempFile, Failure> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let made = std::fs::create_dir_all(dir).and_then(|()| {
        let file = tempfile::Builder::new().prefix(PREFIX).tempfile_in(dir)?;
        sweep(dir, file.as_file().metadata()?.uid());
        Ok(file)
    });
    made.map_err(|err| cannot_write(path, &err))
}

/// Removes our own files that a run left here which was killed long ago. That it cannot is nobody's trouble.
fn sweep(dir: &Path, own: u32) {
    let is_stale = |entry: &DirEntry| {
        entry.file_name().to_str().and_then(|name| name.strip_prefix(PREFIX)).is_some_and(|rest| rest.len() == 6)
            && entry.metadata().is_ok_and(|meta| {
                meta.is_file() && meta.uid() == own && meta.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age > STALE))
            })
    };
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten().filter(is_stale) {
        let _ = std::fs::remove_file(entry.path());
    }
}

fn cannot_write(path: &Path, err: &std::io::Error) -> Failure {
    Failure::new(format!("cannot write `{}` on the controller: {err}", path.display()))
}

/// Writes a content that is known.
pub fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let failed = |err: std::io::Error| cannot_write(path, &err);
    let mut file = beside(path)?;
    std::io::Write::write_all(&mut file, content).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|err| failed(err.error))?;
    Ok(())
}

/// Writes a file of the host, of whatever size, if `finish` has nothing against its SHA-1.
pub async fn receive(wire: &Wire, sought: &Sought<'_>, path: &Path, outcome: Outcome, finish: Option<Finish>) -> Result<Outcome, Trouble> {
    let failed = |err: std::io::Error| cannot_write(path, &err);
    let (file, beside) = beside(path)?.into_parts();
    let mut file = tokio::fs::File::from_std(file);
    let sum = wire.receive(sought, &mut file).await?;
    let outcome = match finish {
        Some(finish) => finish(&Output { stdout: sum.into_bytes(), ..nothing_said() }, outcome)?,
        None => outcome,
    };
    file.sync_all().await.map_err(failed)?;
    beside.persist(path).map_err(|err| failed(err.error))?;
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn what_was_killed_long_ago_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let yesterday = SystemTime::now() - STALE - Duration::from_secs(60);
        for (name, is_old) in [(".nodewright.aB3dE6", true), (".nodewright.zzzzzz", false), (".nodewright.longer7", true), ("other", true)]
        {
            let file = std::fs::File::create(at(name)).unwrap();
            if is_old {
                file.set_modified(yesterday).unwrap();
            }
        }
        std::os::unix::fs::symlink("other", at(".nodewright.a_link")).unwrap();
        write(&at("new"), b"x").unwrap();
        let mut left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".nodewright.a_link", ".nodewright.longer7", ".nodewright.zzzzzz", "new", "other"]);
    }
}
