//! A file of the host on its way to us, over a channel of its own: it stands in no script's output, so it may be of any size, and it goes to the
//! disk as it comes. After a lost connection it goes on where it was.

use super::error::RunError;
use super::frame::{Finder, Found, MARK, random_id};
use super::shell;
use super::upload::{Failure, progress};
use super::wire::{Piece, Wire};
use super::{Run, queue};
use crate::sh::quote;
use ring::digest;
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

/// A file of the host, as a probe has found it.
pub struct Sought<'a> {
    pub path: &'a str,
    pub length: u64,
    /// SHA-1, in hex.
    pub checksum: &'a str,
}

/// What has come of it.
struct Came {
    length: u64,
    sum: digest::Context,
    /// It came over more than one connection.
    in_parts: bool,
}

impl Came {
    fn nothing() -> Came {
        Came { length: 0, sum: digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY), in_parts: false }
    }
}

/// Writes the file to `to`, which is empty; returns the SHA-1 of what came.
pub(super) async fn receive(wire: &Wire, run: &Run, sought: &Sought<'_>, to: &mut File) -> Result<String, RunError> {
    let late = async {
        match run.timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        received = receive_all(wire, run, sought, to) => received,
        () = queue::wait_until(&wire.interrupts) => Err(RunError::Interrupted),
        () = late => Err(RunError::Timeout { after: run.timeout.unwrap_or_default(), stdout: Vec::new(), stderr: Vec::new() }),
    }
}

async fn receive_all(wire: &Wire, run: &Run, sought: &Sought<'_>, to: &mut File) -> Result<String, RunError> {
    let failed = |reason: String| RunError::Receive { what: sought.path.to_owned(), reason };
    let _permit = wire.streams.acquire().await.map_err(|closed| failed(closed.to_string()))?;
    let told = progress(run.on_sent.as_ref(), sought.length);
    let mut came = Came::nothing();
    let mut begun_again = false;
    loop {
        let shell = shell::open(wire, &run.r#become, |_| Vec::new()).await?;
        let question = wire.meter.ask();
        let part = go_on(shell, sought.path, &mut came, to, &told).await;
        wire.meter.answered(question);
        match part {
            Ok(()) => to.flush().await.map_err(|err| failed(err.to_string()))?,
            Err(Failure::Lost) => {
                came.in_parts |= came.length > 0;
                continue;
            }
            Err(Failure::Said(reason)) => return Err(failed(reason)),
        }
        let sum = hex::encode(came.sum.clone().finish());
        // Its parts may be of two files: the host has put another there meanwhile.
        if sum == sought.checksum || !came.in_parts || begun_again {
            return Ok(sum);
        }
        begun_again = true;
        came = Came::nothing();
        to.rewind().await.map_err(|err| failed(err.to_string()))?;
        to.set_len(0).await.map_err(|err| failed(err.to_string()))?;
    }
}

/// Brings what has not come yet.
async fn go_on(shell: shell::Shell, path: &str, came: &mut Came, to: &mut File, told: &(dyn Fn(u64) + Send + Sync)) -> Result<(), Failure> {
    let shell::Shell { stdin, mut output, .. } = shell;
    let Ok(Ok(mut stdin)) = stdin.await else { return Err(Failure::Lost) };
    let marker = random_id();
    let read = if came.length == 0 { "cat".to_owned() } else { format!("tail -c +{}", came.length + 1) };
    let line = format!("printf '\\{MARK:03o}%s\\n' {marker} && exec {read} <{}; exit 1\n", quote(path));
    stdin.write_all(line.as_bytes()).await.map_err(|_| Failure::Lost)?;
    stdin.flush().await.map_err(|_| Failure::Lost)?;
    let mut beginning = Some(Finder::new(&marker));
    let (mut words, mut status) = (Vec::new(), None);
    // Its exit may be known before the last of its output is here.
    while let Some(piece) = output.recv().await {
        match piece {
            Piece::Out(bytes) => {
                let mut content = &bytes[..];
                if let Some(finder) = &mut beginning {
                    let Found::End { used, .. } = finder.feed(content, |_| ()) else { continue };
                    content = &bytes[used..];
                    beginning = None;
                }
                to.write_all(content).await.map_err(|err| Failure::Said(err.to_string()))?;
                came.sum.update(content);
                came.length += content.len() as u64;
                told(came.length);
            }
            Piece::Err(bytes) => words.extend_from_slice(&bytes[..bytes.len().min(1024_usize.saturating_sub(words.len()))]),
            Piece::Exit(code) => status = Some(code),
        }
    }
    match status {
        Some(0) if beginning.is_none() => Ok(()),
        Some(code) => {
            let words = String::from_utf8_lossy(&words).trim().to_owned();
            Err(Failure::Said(if words.is_empty() { format!("its reader ended with status {code}") } else { words }))
        }
        None => Err(Failure::Lost),
    }
}
