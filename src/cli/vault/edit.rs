//! Plain text in front of the user: in an editor, in a pager.

use crate::cli::signals;
use crate::config::Config;
use crate::engine::Cause;
use anyhow::{Context, bail};
use std::io::{IsTerminal, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use zeroize::Zeroizing;

/// What the user made of a text. It lies in a file that nobody else can read, in a folder that nobody else can look into, in memory where there
/// is such a file system; before it is removed it is written over, also when a signal ends us meanwhile.
pub fn in_editor(plain: &[u8], name: &Path, config: &Config) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let _held = signals::hold();
    sweep();
    let prefix = format!("{PREFIX}{}-", std::process::id());
    let mut folder = tempfile::Builder::new();
    folder.prefix(&prefix).permissions(std::fs::Permissions::from_mode(0o700));
    let made = homes().iter().find_map(|home| folder.tempdir_in(home).ok());
    let dir = made.map_or_else(|| folder.tempdir(), Ok).context("cannot create a folder for the editor's file")?;
    let extension = name.extension().map(|extension| format!(".{}", extension.to_string_lossy())).unwrap_or_default();
    let mut file = tempfile::Builder::new().suffix(&extension).tempfile_in(dir.path()).context("cannot create a file for the editor")?;
    let written = file.write_all(plain).and_then(|()| file.flush()).context("cannot write the editor's file");
    let edited = written.and_then(|()| edit(file.path(), config));
    // An editor may have written another file in place of this one: that one counts, and both are shredded, and so are its copies.
    let shredded = shred(file.as_file_mut()).and_then(|()| shred_all(dir.path()));
    let edited = edited?;
    shredded.context("cannot write over the editor's file")?;
    Ok(edited)
}

const PREFIX: &str = "ansible-vault-";

/// Folders in memory: nothing in them reaches a disk, but through swap.
fn homes() -> Vec<PathBuf> {
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute());
    own.into_iter().chain([PathBuf::from("/dev/shm")]).filter(|dir| dir.is_dir()).collect()
}

/// Removes what others of our kind left who were killed without a chance to do it. What cannot be removed is another user's, or theirs to see.
fn sweep() {
    for home in homes().into_iter().chain([std::env::temp_dir()]) {
        for entry in std::fs::read_dir(home).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let process = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split_once('-')?.0.parse::<u32>().ok());
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if process.is_some_and(|process| is_folder && !Path::new(&format!("/proc/{process}")).exists()) {
                let _ = shred_all(&entry.path()).and_then(|()| std::fs::remove_dir_all(entry.path()));
            }
        }
    }
}

fn edit(path: &Path, config: &Config) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let editor = config.text("EDITOR").unwrap_or("vi");
    let words = shell_words::split(editor).with_context(|| format!("cannot understand the editor's command `{editor}`"))?;
    let Some((program, args)) = words.split_first() else { bail!("the editor's command is empty") };
    let shown = format!("{editor} {}", path.display());
    let mut command = tokio::process::Command::new(program);
    command.args(args).arg(path);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot wait for the editor")?;
    let status = runtime.block_on(watched(command)).map_err(|err| match err.is::<signals::Ended>() {
        true => err,
        false => err.context(format!("Unable to execute the command \"{shown}\"")),
    })?;
    if !status.success() {
        bail!("Unable to execute the command \"{shown}\": it ended with {status}");
    }
    std::fs::read(path).map(Zeroizing::new).context("cannot read what the editor left")
}

/// The editor's end. A signal that is to end us ends it, too; what a terminal sends to both is the editor's business.
async fn watched(mut command: tokio::process::Command) -> anyhow::Result<std::process::ExitStatus> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupts, mut quits) = (signal(SignalKind::interrupt())?, signal(SignalKind::quit())?);
    let (mut terminations, mut hangups) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let mut child = command.spawn()?;
    let (cause, why) = loop {
        tokio::select! {
            status = child.wait() => return Ok(status?),
            Some(()) = interrupts.recv() => {}
            Some(()) = quits.recv() => {}
            Some(()) = terminations.recv() => break (Cause::Terminated, "we were to end"),
            Some(()) = hangups.recv() => break (Cause::HungUp, "the terminal is gone"),
        }
    };
    child.kill().await?;
    Err(signals::Ended { cause, words: format!("{why} while the editor ran") }.into())
}

fn shred_all(dir: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            shred(&mut std::fs::OpenOptions::new().write(true).open(entry.path())?)?;
        }
    }
    Ok(())
}

/// Writes noise over a file's content, down to the disk.
fn shred(file: &mut std::fs::File) -> std::io::Result<()> {
    let mut left = file.metadata()?.len() as usize;
    file.seek(SeekFrom::Start(0))?;
    while left > 0 {
        let noise: [u8; 4096] = rand::random();
        let length = left.min(noise.len());
        file.write_all(&noise[..length])?;
        left -= length;
    }
    file.sync_all()?;
    file.set_len(0)
}

/// Shows a text: through a pager on a terminal, as it is elsewhere.
pub fn in_pager(plain: &[u8], config: &Config) -> anyhow::Result<()> {
    let text = String::from_utf8_lossy(plain);
    let text = Zeroizing::new(text.into_owned());
    let pager = config.text("PAGER").unwrap_or("less");
    let words = shell_words::split(pager).with_context(|| format!("cannot understand the pager's command `{pager}`"))?;
    if let (true, Some((program, args))) = (std::io::stdout().is_terminal(), words.split_first()) {
        let mut command = Command::new(program);
        if std::env::var_os("LESS").is_none() {
            command.env("LESS", "FRSX");
        }
        // Ctrl-C is the pager's.
        let _held = signals::hold_interrupts();
        if let Ok(mut child) = command.args(args).stdin(Stdio::piped()).spawn() {
            if let Some(mut stdin) = child.stdin.take() {
                // A pager that is left early reads no further.
                let _ = stdin.write_all(text.as_bytes());
            }
            child.wait().context("cannot wait for the pager")?;
            return Ok(());
        }
    }
    let mut out = std::io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    out.write_all(text.as_bytes()).and_then(|()| out.write_all(end.as_bytes())).and_then(|()| out.flush()).context("cannot write")
}
