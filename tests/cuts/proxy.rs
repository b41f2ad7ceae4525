//! A proxy that ends connections in every way in which they end, at a moment that was chosen before.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    /// Both sides get a reset.
    Reset,
    /// Both sides get an end.
    End,
    /// The host gets an end; what it says still passes.
    HalfUp,
    /// The controller gets an end; what it says still passes.
    HalfDown,
    /// Nothing passes any more, and nothing ends.
    Stall,
    /// The same; but what the controller said in the meantime reaches the host all the same, much later.
    Late,
}

pub const WAYS: [Way; 6] = [Way::Reset, Way::End, Way::HalfUp, Way::HalfDown, Way::Stall, Way::Late];
/// Longer than the controller waits for a sign of life.
const LATE: Duration = Duration::from_secs(6);

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Direction {
    Up,
    Down,
}

#[derive(Clone, Copy, Debug)]
pub enum Moment {
    After(Duration),
    /// So many bytes have passed in this direction, in all connections together.
    Bytes(Direction, u64),
    /// So many have passed in the connection of this number.
    OfConnection(usize, Direction, u64),
}

#[derive(Clone, Copy, Debug)]
pub struct Cut {
    pub moment: Moment,
    pub way: Way,
    /// So long afterwards nobody gets through.
    pub away: Duration,
}

pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

struct State {
    cuts: Mutex<Vec<Cut>>,
    passed: [AtomicU64; 2],
    n_connections: AtomicUsize,
    away_until: Mutex<Option<tokio::time::Instant>>,
    /// Of the whole proxy: a cut by time, for whichever connections there are.
    timed: watch::Sender<Option<Way>>,
}

impl Proxy {
    pub async fn before(port: u16, cuts: Vec<Cut>) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let own_port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            cuts: Mutex::new(cuts.clone()),
            passed: Default::default(),
            n_connections: AtomicUsize::new(0),
            away_until: Mutex::default(),
            timed: watch::channel(None).0,
        });
        for cut in cuts {
            if let Moment::After(after) = cut.moment {
                let state = Arc::downgrade(&state);
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    if let Some(state) = state.upgrade() {
                        state.go_away(cut.away);
                        let _ = state.timed.send(Some(cut.way));
                    }
                });
            }
        }
        let accepted = state.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let number = accepted.n_connections.fetch_add(1, Ordering::SeqCst);
                if accepted.is_away() {
                    continue;
                }
                let state = accepted.clone();
                tokio::spawn(async move {
                    if let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await {
                        Box::pin(carry(state, number, near, far)).await;
                    }
                });
            }
        });
        Proxy { port: own_port, state, accepting }
    }

    /// What has passed up and down.
    pub fn passed(&self) -> [u64; 2] {
        [0, 1].map(|at| self.state.passed[at].load(Ordering::SeqCst))
    }

    pub fn n_connections(&self) -> usize {
        self.state.n_connections.load(Ordering::SeqCst)
    }
}

impl State {
    fn go_away(&self, time: Duration) {
        *self.away_until.lock().unwrap() = Some(tokio::time::Instant::now() + time);
    }

    fn is_away(&self) -> bool {
        self.away_until.lock().unwrap().is_some_and(|until| tokio::time::Instant::now() < until)
    }

    /// How many of `n` bytes may still pass, and what happens then.
    fn pass(&self, connection: usize, direction: Direction, in_connection: u64, n: u64) -> (u64, Option<Way>) {
        let all = &self.passed[direction as usize];
        let before = all.load(Ordering::SeqCst);
        let mut cuts = self.cuts.lock().unwrap();
        let due = cuts.iter().position(|cut| match cut.moment {
            Moment::Bytes(of, at) => of == direction && before + n > at,
            Moment::OfConnection(number, of, at) => number == connection && of == direction && in_connection + n > at,
            Moment::After(_) => false,
        });
        let (passes, way) = match due.map(|due| cuts.swap_remove(due)) {
            None => (n, None),
            Some(cut) => {
                let passes = match cut.moment {
                    Moment::Bytes(_, at) => at.saturating_sub(before),
                    Moment::OfConnection(_, _, at) => at.saturating_sub(in_connection),
                    Moment::After(_) => n,
                };
                self.go_away(cut.away);
                (passes.min(n), Some(cut.way))
            }
        };
        all.fetch_add(passes, Ordering::SeqCst);
        (passes, way)
    }
}

async fn carry(state: Arc<State>, number: usize, near: TcpStream, far: TcpStream) {
    for stream in [&near, &far] {
        stream.set_nodelay(true).unwrap();
    }
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let own = watch::channel(None::<Way>).0;
    let mut timed = state.timed.subscribe();
    timed.mark_unchanged();
    let pump = |direction| Pump { state: state.clone(), number, direction, own: own.clone() };
    let (up, down) = (pump(Direction::Up), pump(Direction::Down));
    let mut way = own.subscribe();
    let by_time = async {
        while timed.changed().await.is_ok() {
            let way = *timed.borrow_and_update();
            own.send_replace(way);
        }
    };
    let mut halves = (near_read, near_write, far_read, far_write);
    let both = async { tokio::join!(up.run(&mut halves.0, &mut halves.3), down.run(&mut halves.2, &mut halves.1)) };
    let hard = way.wait_for(|way| matches!(way, Some(Way::Reset | Way::End)));
    let resets = tokio::select! {
        _ = both => false,
        () = by_time => false,
        way = hard => way.is_ok_and(|way| *way == Some(Way::Reset)),
    };
    if resets {
        let (near, far) = (halves.0.as_ref(), halves.2.as_ref());
        for stream in [near, far] {
            let _ = stream.set_zero_linger();
        }
    }
}

struct Pump {
    state: Arc<State>,
    number: usize,
    direction: Direction,
    own: watch::Sender<Option<Way>>,
}

impl Pump {
    async fn run(self, from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) {
        let mut way = self.own.subscribe();
        let mut buffer = [0; 16 * 1024];
        let mut passed = 0;
        loop {
            let read = tokio::select! {
                read = from.read(&mut buffer) => Some(read),
                _ = way.changed() => None,
            };
            match read {
                Some(Ok(0) | Err(_)) => {
                    let _ = to.shutdown().await;
                    return;
                }
                Some(Ok(n)) => {
                    let (passes, cut) = self.state.pass(self.number, self.direction, passed, n as u64);
                    passed += passes;
                    let mut rest = Vec::new();
                    if to.write_all(&buffer[..passes as usize]).await.is_err() {
                        return;
                    }
                    if let Some(cut) = cut {
                        // What did not pass is lost, or late.
                        rest.extend_from_slice(&buffer[passes as usize..n]);
                        self.own.send_replace(Some(cut));
                    }
                    let now = *way.borrow_and_update();
                    if !self.is_over(now, rest, from, to).await {
                        return;
                    }
                }
                None => {
                    let now = *way.borrow_and_update();
                    if !self.is_over(now, Vec::new(), from, to).await {
                        return;
                    }
                }
            }
        }
    }

    /// Does what the cut means for this direction; false: nothing more passes.
    async fn is_over(&self, way: Option<Way>, mut rest: Vec<u8>, from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) -> bool {
        match (way, self.direction) {
            (Some(Way::HalfUp), Direction::Up) | (Some(Way::HalfDown), Direction::Down) => {
                let _ = to.shutdown().await;
                false
            }
            (Some(Way::Reset | Way::End | Way::Stall), _) => std::future::pending().await,
            (Some(Way::Late), Direction::Down) => std::future::pending().await,
            (Some(Way::Late), Direction::Up) => {
                let end = tokio::time::Instant::now() + LATE;
                while let Ok(Ok(n)) = tokio::time::timeout_at(end, from.read_buf(&mut rest)).await {
                    if n == 0 {
                        tokio::time::sleep_until(end).await;
                        break;
                    }
                }
                let _ = to.write_all(&rest).await;
                let _ = to.shutdown().await;
                false
            }
            (None | Some(Way::HalfUp | Way::HalfDown), _) => {
                // The other direction's affair: what was read passes on.
                to.write_all(&rest).await.is_ok()
            }
        }
    }
}
