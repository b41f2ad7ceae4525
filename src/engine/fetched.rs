//! Files that come to the controller: each is written beside its place, and gets its name when it is whole and on the disk.

use super::execute::{Trouble, nothing_said};
use super::wire::Wire;
use crate::module::{Failure, Finish, Outcome};
use crate::remote::Sought;
use crate::sh::Output;
use std::path::Path;
use tempfile::NamedTempFile;

/// A file beside its place, that goes away if it is not put there.
fn beside(path: &Path) -> Result<NamedTempFile, Failure> {
    let dir = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)
        .and_then(|()| tempfile::Builder::new().prefix(".nodewright.").tempfile_in(dir))
        .map_err(|err| cannot_write(path, &err))
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
