//! Ends connections that are busy with nothing.
//!
//! A client that pipelines more than actix-http buffers (128 KiB, or 16 requests of them) behind a
//! request which is being answered makes its connection wake itself without end: a core is burnt
//! for as long as the answer takes (`docs/upstream/actix-http-pipelining.md`). Nothing above sees
//! it, so it is found here: a connection that is polled time and again while no byte moves in
//! either direction is dropped, and with it its streams. What comes once a request was read to its end
//! is bounded before it gets so far, by [`Ahead`]; what comes along with the request is not.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::ahead::Ahead;

/// So many polls in vain are too many. Polls in vain happen, now and then; a spin makes as many
/// within milliseconds.
const MAX_IN_VAIN: u32 = 1000;
/// A poll that moves bytes makes up for so many in vain. A TLS record comes in a dozen packets, of
/// which only the last gives anything to read.
const CREDIT: u32 = 64;

/// How many bytes a connection has moved.
#[derive(Clone, Default)]
pub struct Moved(Rc<Cell<u64>>);

impl Moved {
    fn count(&self, bytes: usize) {
        self.0.set(self.0.get().wrapping_add(bytes as u64));
    }
}

/// A connection whose bytes are counted; it breaks where its client sends too far ahead.
pub struct Counted<T> {
    io: T,
    moved: Moved,
    ahead: Ahead,
}

impl<T> Counted<T> {
    pub fn new(io: T) -> Self {
        Self { io, moved: Moved::default(), ahead: Ahead::default() }
    }

    pub fn moved(&self) -> Moved {
        self.moved.clone()
    }

    pub fn ahead(&self) -> Ahead {
        self.ahead.clone()
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Counted<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buffer);
        let bytes = buffer.filled().len() - before;
        self.moved.count(bytes);
        self.ahead.take(bytes)?;
        polled
    }
}

impl<T: AsyncWrite + Unpin> Counted<T> {
    fn written(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &polled {
            self.moved.count(*bytes);
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Counted<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.written(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.written(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// What a connection has done with its turns.
#[derive(Default)]
struct Turns {
    moved: u64,
    in_vain: u32,
}

impl Turns {
    /// Takes note of one turn; whether the connection spins.
    fn note(&mut self, moved: u64) -> bool {
        if self.moved == moved {
            self.in_vain += 1;
        } else {
            self.moved = moved;
            self.in_vain = self.in_vain.saturating_sub(CREDIT);
        }
        self.in_vain > MAX_IN_VAIN
    }
}

/// Serves a connection until it is over, or spins. It comes in a box, or all of it would be held
/// twice: as what this is given, and as what it goes on with.
///
/// # Errors
/// Those of the connection.
pub async fn unless_it_spins<E>(
    mut serving: Pin<Box<impl Future<Output = Result<(), E>>>>,
    moved: Moved,
) -> Result<(), E> {
    let mut turns = Turns::default();
    poll_fn(|cx| match serving.as_mut().poll(cx) {
        Poll::Pending if turns.note(moved.0.get()) => {
            tracing::warn!("a connection that spins was dropped: its client pipelines too much");
            Poll::Ready(Ok(()))
        }
        polled => polled,
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Is woken `turns` times, and moves a byte in each for which `in_use` says so.
    async fn serve(turns: u32, in_use: fn(u32) -> bool) -> Result<(), &'static str> {
        let moved = Moved::default();
        let mut turn = 0;
        let counter = moved.clone();
        let serving = poll_fn(move |cx| {
            turn += 1;
            counter.count(usize::from(in_use(turn)));
            if turn == turns {
                return Poll::Ready(Err("came to its end"));
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        unless_it_spins(Box::pin(serving), moved).await
    }

    #[actix_web::test]
    async fn a_connection_that_moves_bytes_is_left_alone() {
        assert!(serve(100_000, |_| true).await.is_err());
        assert!(serve(100_000, |turn| turn % CREDIT == 0).await.is_err());
        assert!(serve(MAX_IN_VAIN, |_| false).await.is_err());
    }

    #[actix_web::test]
    async fn a_connection_that_spins_is_ended() {
        assert!(serve(100_000, |_| false).await.is_ok());
        assert!(serve(100_000, |turn| turn % (4 * CREDIT) == 0).await.is_ok());
    }
}
