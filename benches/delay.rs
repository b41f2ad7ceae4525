//! A long line to hosts that are near: a TCP proxy that hands every byte on after half a round trip, for `make bench` where the kernel
//! has no netem; and a counter of what passes. For each line on its standard input it says what passed since the last one: connections,
//! turns (how often a client spoke after its server had: the round trips of a connection), bytes to the servers, bytes to the clients.
//! Ends when its standard input does, so that it does not outlive whoever started it.
//!
//!     delay MILLISECONDS LISTEN=TARGET...        e.g. delay 50 127.0.0.1:2201=10.77.0.11:22

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// How much one direction may hold back: 256 pieces of up to 64 KB, more than a line of 50 ms has under way.
const PIECES: usize = 256;
const PIECE: usize = 64 * 1024;

/// What passed since it was last asked for.
#[derive(Default)]
struct Passed {
    connections: AtomicUsize,
    turns: AtomicUsize,
    bytes_up: AtomicUsize,
    bytes_down: AtomicUsize,
}

/// One direction of a connection as [`Passed`] counts it.
struct Counter {
    passed: Arc<Passed>,
    is_up: bool,
    /// Of the connection: the server was the last to speak.
    is_answered: Arc<AtomicBool>,
}

impl Counter {
    fn count(&self, n_bytes: usize) {
        let was_answered = self.is_answered.swap(!self.is_up, Relaxed);
        let (bytes, turns) = match self.is_up {
            true => (&self.passed.bytes_up, usize::from(was_answered)),
            false => (&self.passed.bytes_down, 0),
        };
        bytes.fetch_add(n_bytes, Relaxed);
        self.passed.turns.fetch_add(turns, Relaxed);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1);
    let usage = || anyhow::anyhow!("usage: delay MILLISECONDS LISTEN=TARGET...");
    let round_trip = Duration::from_millis(words.next().ok_or_else(usage)?.parse()?);
    let passed = Arc::new(Passed::default());
    for pair in words {
        let (listen, target) = pair.split_once('=').ok_or_else(usage)?;
        let listener = TcpListener::bind(listen).await?;
        tokio::spawn(accept(listener, target.to_owned(), round_trip, passed.clone()));
    }
    println!("ready");
    let mut questions = BufReader::new(tokio::io::stdin()).lines();
    while questions.next_line().await?.is_some() {
        let Passed { connections, turns, bytes_up, bytes_down } = &*passed;
        let [connections, turns, up, down] = [connections, turns, bytes_up, bytes_down].map(|number| number.swap(0, Relaxed));
        println!("{connections} {turns} {up} {down}");
    }
    Ok(())
}

async fn accept(listener: TcpListener, target: String, round_trip: Duration, passed: Arc<Passed>) {
    loop {
        match listener.accept().await {
            Ok((near, _)) => {
                let (target, passed) = (target.clone(), passed.clone());
                tokio::spawn(async move {
                    // A connection that is reset is its two ends' affair
                    let _ = carry(near, &target, round_trip, passed).await;
                });
            }
            Err(err) => eprintln!("delay: {err}"),
        }
    }
}

/// Carries one connection. The kernel has accepted it at once, so the round trip of TCP's handshake is made up for here: what either side
/// says first arrives when it would have over a long line, the client's after one and a half round trips, the server's after two.
async fn carry(near: TcpStream, target: &str, round_trip: Duration, passed: Arc<Passed>) -> io::Result<()> {
    // The handshake is a round trip, too
    passed.connections.fetch_add(1, Relaxed);
    passed.turns.fetch_add(1, Relaxed);
    let is_open = Instant::now() + round_trip * 3 / 2;
    sleep_until(is_open).await;
    let far = TcpStream::connect(target).await?;
    for stream in [&near, &far] {
        stream.set_nodelay(true)?;
    }
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let is_answered = Arc::new(AtomicBool::new(false));
    let counter = |is_up| Counter { passed: passed.clone(), is_up, is_answered: is_answered.clone() };
    let delay = round_trip / 2;
    // The client's first words have waited long enough already: they are read with the line already open
    tokio::try_join!(
        one_way(near_read, far_write, delay, Some(is_open), counter(true)),
        one_way(far_read, near_write, delay, None, counter(false))
    )?;
    Ok(())
}

/// Hands on what is read, each piece `delay` after it came; the first, if `at_first` says so, at that time.
async fn one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    delay: Duration,
    mut at_first: Option<Instant>,
    counter: Counter,
) -> io::Result<()> {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES);
    let read = async move {
        let mut piece = vec![0; PIECE];
        loop {
            let n_bytes = from.read(&mut piece).await?;
            if n_bytes > 0 {
                counter.count(n_bytes);
            }
            let due = at_first.take().unwrap_or_else(|| Instant::now() + delay);
            if sender.send((due, piece[..n_bytes].to_vec())).await.is_err() || n_bytes == 0 {
                return Ok(());
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = receiver.recv().await {
            sleep_until(due).await;
            if piece.is_empty() {
                to.shutdown().await?;
                break;
            }
            to.write_all(&piece).await?;
        }
        Ok(())
    };
    tokio::try_join!(read, write).map(drop)
}
