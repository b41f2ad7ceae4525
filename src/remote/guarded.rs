//! A stream whose writes do not wait for ever: when the other side has taken nothing for so long, the stream is broken.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

pub(super) struct Guarded<S> {
    stream: S,
    patience: Duration,
    /// There while a write waits.
    limit: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guarded<S> {
    pub fn new(stream: S, patience: Duration) -> Guarded<S> {
        Guarded { stream, patience, limit: None }
    }

    fn watched<T>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(written) = write(Pin::new(&mut self.stream), context) {
            self.limit = None;
            return Poll::Ready(written);
        }
        let patience = self.patience;
        let limit = self.limit.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + patience)));
        ready!(limit.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.watched(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watched(context, |stream, context| stream.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watched(context, |stream, context| stream.poll_shutdown(context))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_slow_reader_is_waited_for_and_none_is_not() {
        let (near, mut far) = tokio::io::duplex(100);
        let mut near = Guarded::new(near, Duration::from_millis(300));
        let (written, _) = tokio::join!(near.write_all(&[7; 5000]), async {
            for _ in 0..49 {
                tokio::time::sleep(Duration::from_millis(10)).await;
                far.read_exact(&mut [0; 100]).await.unwrap();
            }
        });
        written.unwrap();
        assert_eq!(near.write_all(&[7; 100]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        far.read_exact(&mut [0; 100]).await.unwrap();
        near.write_all(&[7; 100]).await.unwrap();
    }
}
