//! What the connections to one target cost, counted where it is spent: a few numbers under a lock that nobody holds for long.
//! Whoever made the meter reads it; a connection that is made again goes on counting where the lost one stopped.

use super::lock;
use crate::cost::Counts;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The step of a host's clock, where its shell knows none but `/proc/uptime`.
const STEP: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
pub struct Meter {
    reads_clock: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    counts: Counts,
    /// While a connection is made, whatever is read after something was written is an answer that was waited for.
    is_handshake: bool,
    /// What has been handed out by [`Meter::take`].
    taken: Counts,
}

impl Meter {
    /// A meter that also has the host's clock read before and after each script, which costs the host a little.
    pub fn with_clock() -> Meter {
        Meter { reads_clock: true, ..Meter::default() }
    }

    /// All there has been so far.
    pub fn counts(&self) -> Counts {
        lock(&self.state).counts
    }

    pub fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut lock(&self.state).counts);
    }

    /// What has come since the last time, for somebody who has waited so long. Of the time that the host took they get no more than they waited:
    /// for the rest nobody waited. Only a step of the host's clock is left for those who wait next, since it may have been theirs.
    pub fn take(&self, waited: Duration) -> Counts {
        let mut state = lock(&self.state);
        let mut news = state.counts - state.taken;
        let left = news.on_host.saturating_sub(waited).min(STEP);
        news.on_host = news.on_host.min(waited);
        state.taken = Counts { on_host: state.counts.on_host - left, ..state.counts };
        news
    }

    pub(super) fn reads_clock(&self) -> bool {
        self.reads_clock
    }

    /// Something is asked now. Its answer is said with the number that is returned.
    pub(super) fn ask(&self) -> u64 {
        lock(&self.state).counts.round_trips + 1
    }

    /// Questions that were on their way together share a number, and count once.
    pub(super) fn answered(&self, question: u64) {
        self.count(|counts| counts.round_trips = counts.round_trips.max(question));
    }

    pub(super) fn handshake(&self, is_handshake: bool) {
        lock(&self.state).is_handshake = is_handshake;
    }
}

/// A stream whose bytes are counted.
pub(super) struct Metered<S> {
    stream: S,
    meter: Arc<Meter>,
    has_asked: bool,
}

impl<S> Metered<S> {
    pub fn new(stream: S, meter: &Arc<Meter>) -> Metered<S> {
        Metered { stream, meter: meter.clone(), has_asked: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let n_read = buffer.filled().len() - before;
        if n_read > 0 {
            let was_asked = std::mem::take(&mut self.has_asked);
            let mut state = lock(&self.meter.state);
            state.counts.bytes_in += n_read as u64;
            if was_asked && state.is_handshake {
                state.counts.round_trips += 1;
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(n_written)) = polled {
            self.has_asked = true;
            self.meter.count(|counts| counts.bytes_out += n_written as u64);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_on_their_way_together_are_one_round_trip() {
        let meter = Meter::default();
        let together = [meter.ask(), meter.ask(), meter.ask()];
        meter.answered(together[0]);
        // Asked after the first answer, before the others: it depends on one only.
        let later = meter.ask();
        meter.answered(together[1]);
        meter.answered(together[2]);
        assert_eq!(meter.counts().round_trips, 1);
        meter.answered(later);
        assert_eq!(meter.counts().round_trips, 2);
    }

    #[test]
    fn a_tick_of_the_hosts_clock_is_shared_by_those_who_waited_for_it() {
        let meter = Meter::with_clock();
        let ms = Duration::from_millis;
        meter.count(|counts| counts.on_host += ms(10));
        assert_eq!(meter.take(ms(4)).on_host, ms(4));
        assert_eq!(meter.take(ms(3)).on_host, ms(3));
        assert_eq!(meter.take(ms(9)).on_host, ms(3));
        assert_eq!(meter.counts().on_host, ms(10));
    }

    #[test]
    fn what_the_host_did_while_nobody_waited_is_no_part_of_a_later_wait() {
        let meter = Meter::with_clock();
        let ms = Duration::from_millis;
        meter.count(|counts| counts.on_host += ms(70));
        assert_eq!(meter.take(ms(4)).on_host, ms(4));
        assert_eq!(meter.take(ms(50)).on_host, STEP);
        assert_eq!(meter.take(ms(50)).on_host, ms(0));
        assert_eq!(meter.counts().on_host, ms(70));
    }
}
