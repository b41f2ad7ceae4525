//! What a script reads on standard input, brought to the host. Small inputs travel inside the script's own text. Large ones get a channel of
//! their own: a shell reads its standard input ahead, so nothing that follows a script there could be handed to it exactly. They are
//! written to a private file first, so that a script never sees an input that a lost connection cut short.

use super::error::RunError;
use super::frame::{Finder, Found, MARK, random_id};
use super::shared_file::SharedFile;
use super::shell::{self, Stdin};
use super::wire::{Piece, Wire};
use super::{OnSent, Run, lock};
use crate::sh::Input;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;

/// Up to this much is sent within the script.
const INLINE: u64 = 128 * 1024;
const BUFFER: usize = 256 * 1024;
const PROGRESS: Duration = Duration::from_millis(500);

pub(super) enum Prepared {
    None,
    Inline(Vec<u8>),
    /// A file on the host, in a directory of its own.
    Spooled(String),
}

/// What is rarely needed has a box of its own: thousands of scripts may be waited for at once, and each keeps room for all of this.
pub(super) async fn prepare(wire: &Wire, run: &Run, input: &Input) -> Result<Prepared, RunError> {
    match input {
        Input::None => Ok(Prepared::None),
        Input::Bytes(bytes) if bytes.len() as u64 <= INLINE => Ok(Prepared::Inline(bytes.to_vec())),
        Input::Bytes(bytes) => Box::pin(spool(wire, run, Source::Bytes(bytes))).await,
        Input::File(path) => {
            let cannot_read = |source: std::io::Error| RunError::Send { what: path.display().to_string(), reason: source.to_string() };
            let length = tokio::fs::metadata(path).await.map_err(cannot_read)?.len();
            if length <= INLINE {
                return Ok(Prepared::Inline(tokio::fs::read(path).await.map_err(cannot_read)?));
            }
            let file = SharedFile::open(path).map_err(cannot_read)?;
            Box::pin(spool(wire, run, Source::File(path, &file))).await
        }
    }
}

#[derive(Clone, Copy)]
enum Source<'a> {
    Bytes(&'a [u8]),
    File(&'a Path, &'a SharedFile),
}

impl Source<'_> {
    fn error(self, reason: impl ToString) -> RunError {
        let what = match self {
            Source::Bytes(bytes) => format!("{} bytes", bytes.len()),
            Source::File(path, _) => path.display().to_string(),
        };
        RunError::Send { what, reason: reason.to_string() }
    }

    fn length(self) -> u64 {
        match self {
            Source::Bytes(bytes) => bytes.len() as u64,
            Source::File(_, file) => file.length(),
        }
    }

    async fn write(self, to: &mut Stdin, told: &(dyn Fn(u64) + Send + Sync)) -> std::io::Result<()> {
        let mut at = 0;
        match self {
            Source::Bytes(bytes) => {
                for piece in bytes.chunks(BUFFER) {
                    to.write_all(piece).await?;
                    at += piece.len() as u64;
                    told(at);
                }
            }
            Source::File(_, file) => {
                while at < file.length() {
                    let piece = file.piece(at).await?;
                    to.write_all(&piece).await?;
                    at += piece.len() as u64;
                    told(at);
                }
            }
        }
        Ok(())
    }
}

/// Says now and then how far it is.
pub(super) fn progress(on_sent: Option<&OnSent>, length: u64) -> impl Fn(u64) + Send + Sync {
    let last = Mutex::new(Instant::now());
    move |sent| {
        let Some(on_sent) = on_sent else { return };
        let mut last = lock(&last);
        if last.elapsed() >= PROGRESS {
            *last = Instant::now();
            on_sent(sent, length);
        }
    }
}

async fn spool(wire: &Wire, run: &Run, source: Source<'_>) -> Result<Prepared, RunError> {
    let _permit = wire.streams.acquire().await.map_err(|closed| source.error(closed))?;
    let mut begun = String::new();
    loop {
        let shell = shell::open(wire, &run.r#become, |_| Vec::new()).await?;
        let directory = format!("/var/tmp/nodewright-in-{}", random_id());
        let path = format!("{directory}/in");
        let question = wire.meter.ask();
        let told = progress(run.on_sent.as_ref(), source.length());
        let sent = send(shell, &directory, &begun, source, &told).await;
        // That it can be sent, and that it has come.
        wire.meter.answered(question + 1);
        match sent {
            Ok(()) => return Ok(Prepared::Spooled(path)),
            Err(Failure::Lost) => begun = directory,
            Err(Failure::Said(reason)) => return Err(source.error(reason)),
        }
    }
}

pub(super) enum Failure {
    Lost,
    Said(String),
}

/// Sends to the file `in` of a new directory. What an earlier try `begun` is removed.
async fn send(
    shell: shell::Shell,
    directory: &str,
    begun: &str,
    source: Source<'_>,
    told: &(dyn Fn(u64) + Send + Sync),
) -> Result<(), Failure> {
    let shell::Shell { stdin, mut output, .. } = shell;
    let Ok(Ok(mut stdin)) = stdin.await else { return Err(Failure::Lost) };
    let marker = random_id();
    let remove = if begun.is_empty() { String::new() } else { format!("rm -rf -- {begun}; ") };
    // Nothing is sent after this line until its reader is about to read: the shell would keep it. The sum of what came is made on the way,
    // for whoever has to check it: reading it once more would take as long again.
    let line = format!(
        "umask 077; sha1sum </dev/null >/dev/null 2>&1 && tee </dev/null; nw_x=$?; {remove}mkdir {directory} && printf '\\{MARK:03o}%s\\n' {marker} || exit 1; \
         if [ $nw_x = 0 ]; then {{ tee {directory}/in && : >{directory}/whole; }} | LC_ALL=C sha1sum >{directory}/sum; [ -e {directory}/whole ]; \
         else cat >{directory}/in; fi; exit\n"
    );
    stdin.write_all(line.as_bytes()).await.map_err(|_| Failure::Lost)?;
    let mut ready = Finder::new(&marker);
    let mut words = Vec::new();
    let mut end = async |wait_for_ready: bool| -> Result<(), Failure> {
        loop {
            match output.recv().await {
                Some(Piece::Out(bytes)) if wait_for_ready => {
                    if let Found::End { .. } = ready.feed(&bytes, |_| ()) {
                        return Ok(());
                    }
                }
                Some(Piece::Out(_)) => (),
                Some(Piece::Err(bytes)) => words.extend_from_slice(&bytes[..bytes.len().min(1024)]),
                Some(Piece::Exit(0)) if !wait_for_ready => return Ok(()),
                Some(Piece::Exit(_)) => return Err(Failure::Said(String::from_utf8_lossy(&words).trim().to_owned())),
                None => return Err(Failure::Lost),
            }
        }
    };
    end(true).await?;
    let copy = async {
        source.write(&mut stdin, told).await?;
        stdin.shutdown().await?;
        drop(stdin);
        Ok::<(), std::io::Error>(())
    };
    // A disk that is full ends `cat` before all is sent.
    tokio::select! {
        biased;
        ended = end(false) => ended,
        copied = copy => match copied {
            Ok(()) => end(false).await,
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => end(false).await,
            Err(error) => Err(Failure::Said(error.to_string())),
        },
    }
}
