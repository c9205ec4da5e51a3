//! A connection whose other side has to take what it is sent. One that takes nothing for a while is
//! broken off, so that whatever is being sent (an answer, events as they happen) is let go.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use spark_events::limits;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

const PATIENCE: Duration = Duration::from_millis(limits::CONNECTION_STALLED_MS_MAX);

/// A connection, with the end of patience while the other side takes nothing.
pub(super) struct Patient<C> {
    connection: C,
    end: Option<Pin<Box<Sleep>>>,
}

impl<C: Unpin> Patient<C> {
    pub(super) fn new(connection: C) -> Self {
        Self { connection, end: None }
    }

    /// The outcome of an attempt to send: whatever comes of it in time is passed on.
    fn heed<T>(&mut self, context: &mut Context<'_>, sent: Poll<Result<T>>) -> Poll<Result<T>> {
        if sent.is_ready() {
            self.end = None;
            return sent;
        }
        let end = self.end.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        match end.as_mut().poll(context) {
            Poll::Ready(()) => {
                Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the client takes nothing")))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Patient<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.connection).poll_read(context, into)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Patient<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let sent = Pin::new(&mut self.connection).poll_write(context, bytes);
        self.heed(context, sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let sent = Pin::new(&mut self.connection).poll_write_vectored(context, pieces);
        self.heed(context, sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::{Instant, advance};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_given_up_and_who_is_slow_is_not() {
        let (server, mut client) = duplex(8);
        let mut server = Patient::new(server);
        // Twice as long as patience lasts, and always something in time.
        let slow = async {
            for _ in 0..4 {
                advance(PATIENCE / 2).await;
                client.read_exact(&mut [0; 8]).await.unwrap();
            }
        };
        let (sent, ()) = tokio::join!(server.write_all(&[7; 32]), slow);
        sent.unwrap();

        server.write_all(&[7; 8]).await.unwrap();
        let begun = Instant::now();
        let error = server.write_all(&[7; 1]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(begun.elapsed(), PATIENCE);
        drop(client);
    }
}
