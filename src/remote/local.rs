//! This machine as a host: programs are children of ours, in a process group of their own so that a Ctrl-C does not reach them.

use super::error::ConnectError;
use super::wire::{Piece, Process};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::sync::mpsc;

/// More than this nobody needs, and some programs go through all the numbers there may be.
const MOST_OPEN_FILES: u64 = 65_536;
/// How many files might be open before we asked for more: so many may be for what we start.
static OPEN_FILES_BEFORE: OnceLock<u64> = OnceLock::new();

/// Lets this process have as many files open as the system allows it, and says how many that is. One connection takes one.
pub fn allow_open_files() -> u64 {
    // Where the system does not say, it will when there are too many.
    let Ok((soft, hard)) = rlimit::getrlimit(rlimit::Resource::NOFILE) else { return 1024 };
    OPEN_FILES_BEFORE.get_or_init(|| soft);
    rlimit::increase_nofile_limit(hard.min(MOST_OPEN_FILES).max(soft)).unwrap_or(soft)
}

/// Who we are here: whom nobody has to become.
pub(super) async fn user_name() -> String {
    match Command::new("id").arg("-un").output().await {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => std::env::var("USER").unwrap_or_default(),
    }
}

pub(super) fn start(command: &str) -> Result<Process, ConnectError> {
    let broken = |reason: String| ConnectError::Broken { address: "this machine".to_owned(), reason };
    let limit = OPEN_FILES_BEFORE.get().map_or_else(String::new, |limit| format!("ulimit -S -n {limit}; "));
    let mut child = Command::new("/bin/sh")
        .args(["-c", &format!("{limit}{command}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|source| broken(format!("cannot start /bin/sh: {source}")))?;
    let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
        return Err(broken("cannot talk to /bin/sh".to_owned()));
    };
    let (sender, output) = mpsc::channel(64);
    let out = tokio::spawn(forward(stdout, sender.clone(), Piece::Out));
    let err = tokio::spawn(forward(stderr, sender.clone(), Piece::Err));
    tokio::spawn(async move {
        let status = child.wait().await;
        // What it left in the pipes comes first; but a daemon that it started may hold them open for ever.
        let _ = tokio::time::timeout(Duration::from_millis(200), async { tokio::join!(out, err) }).await;
        if let Ok(status) = status {
            use std::os::unix::process::ExitStatusExt;
            let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            let _ = sender.send(Piece::Exit(code)).await;
        }
    });
    Ok(Process { stdin: Box::new(stdin), output })
}

async fn forward(mut stream: impl AsyncRead + Unpin, sender: mpsc::Sender<Piece>, piece: fn(Vec<u8>) -> Piece) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(n) = stream.read(&mut buffer).await {
        if n == 0 || sender.send(piece(buffer[..n].to_vec())).await.is_err() {
            break;
        }
    }
}
