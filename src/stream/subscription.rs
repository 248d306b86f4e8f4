//! The bounded way from a stream's actor to a client's connection.
//!
//! Counted in bytes. The publisher never blocks; whoever feeds it waits for [`Publisher::room`]
//! before more is asked of the upstream, and so a slow client slows its own upstream and nobody
//! else. Both ends mostly live on one thread, so the lock is free whenever it is taken.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::stream::Stream;
use tidegate_protocol::{ErrorKind, Failure, Outcome, Payload};
use tokio_util::sync::CancellationToken;

use super::delivery::{Closing, Delivery, Frame};
use super::level::Level;

#[derive(Default)]
struct Shared {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// Of these, what the reader was given last. It counts until the reader comes back: what a
    /// connection has not written yet is held as much as what it has not taken.
    handed: usize,
    level: Level,
    closing: Option<Closing>,
    closed: bool,
    reader_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Shared {
    fn has_room(&self, limit: usize) -> bool {
        self.bytes <= limit || self.reader_gone
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.level.fall(self.bytes);
    }
}

type Channel = Arc<Mutex<Shared>>;

fn lock(channel: &Channel) -> MutexGuard<'_, Shared> {
    channel.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens a way that holds about `limit` bytes, counted in `level`. When the subscription is
/// dropped, `left` fires, and what is published is dropped as well.
#[must_use]
pub fn subscription(
    limit: usize,
    level: Level,
    left: CancellationToken,
) -> (Publisher, Subscription) {
    let channel = Channel::default();
    lock(&channel).level = level;
    let publisher = Publisher { channel: Arc::clone(&channel), limit, next_number: 1 };
    (publisher, Subscription { channel, left, ended: false })
}

/// The actor's end.
pub struct Publisher {
    channel: Channel,
    limit: usize,
    next_number: u64,
}

impl Publisher {
    /// Hands frames to the subscriber.
    pub fn publish(&mut self, payloads: impl IntoIterator<Item = Payload>) {
        let mut shared = lock(&self.channel);
        if shared.reader_gone {
            self.next_number += payloads.into_iter().map(|_| 1).sum::<u64>();
            return;
        }
        let before = shared.bytes;
        for payload in payloads {
            let frame = Frame { number: self.next_number, payload };
            shared.bytes += frame.weight();
            shared.frames.push_back(frame);
            self.next_number += 1;
        }
        shared.level.rise(shared.bytes - before);
        let reader = shared.reader.take();
        drop(shared);
        wake(reader);
    }

    /// Says the end; what was published before is still delivered first.
    pub fn close(
        &mut self,
        outcome: Outcome,
        failure: Option<Failure>,
        terminal: Vec<Payload>,
        tokens: u64,
    ) {
        let numbered = terminal.into_iter().zip(self.next_number..);
        let frames = numbered.map(|(payload, number)| Frame { number, payload }).collect();
        let mut shared = lock(&self.channel);
        shared.closing = Some(Closing { outcome, frames, failure, tokens });
        shared.closed = true;
        let reader = shared.reader.take();
        drop(shared);
        wake(reader);
    }

    /// Resolves once there is room for more, or nobody left to read.
    #[must_use]
    pub fn room(&self) -> Room {
        Room { channel: Arc::clone(&self.channel), limit: self.limit }
    }

    /// Bytes published and not yet written to the connection.
    #[must_use]
    pub fn buffered(&self) -> usize {
        lock(&self.channel).bytes
    }
}

impl Drop for Publisher {
    /// An actor that dies without a word leaves an internal error behind.
    fn drop(&mut self) {
        if lock(&self.channel).closed {
            return;
        }
        let failure = Failure::new(ErrorKind::Internal, "the gateway failed in mid-answer");
        self.close(Outcome::InternalError, Some(failure), Vec::new(), 0);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// See [`Publisher::room`].
pub struct Room {
    channel: Channel,
    limit: usize,
}

impl Room {
    #[must_use]
    pub fn is_there(&self) -> bool {
        lock(&self.channel).has_room(self.limit)
    }
}

impl Future for Room {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut shared = lock(&self.channel);
        if shared.has_room(self.limit) {
            return Poll::Ready(());
        }
        shared.writer = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// The connection's end: a stream of deliveries, the last of which is [`Delivery::End`].
pub struct Subscription {
    channel: Channel,
    left: CancellationToken,
    ended: bool,
}

impl Subscription {
    /// Lets somebody else say that the client has left.
    #[must_use]
    pub fn leaver(&self) -> Leaver {
        Leaver { channel: Arc::clone(&self.channel), left: self.left.clone() }
    }

    /// The end, if it is there, though not all before it was delivered.
    pub fn take_end(&mut self) -> Option<Closing> {
        lock(&self.channel).closing.take()
    }
}

impl Stream for Subscription {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let mut shared = lock(&self.channel);
        let written = std::mem::take(&mut shared.handed);
        shared.bytes -= written;
        shared.level.fall(written);
        let writer = if written > 0 { shared.writer.take() } else { None };
        if shared.reader_gone {
            drop(shared);
            self.ended = true;
            return Poll::Ready(Some(Delivery::End(Closing::took_nothing())));
        }
        if !shared.frames.is_empty() {
            let frames = std::mem::take(&mut shared.frames);
            shared.handed = shared.bytes;
            drop(shared);
            wake(writer);
            return Poll::Ready(Some(Delivery::Frames(frames)));
        }
        if let Some(closing) = shared.closing.take() {
            drop(shared);
            wake(writer);
            self.ended = true;
            return Poll::Ready(Some(Delivery::End(closing)));
        }
        shared.reader = Some(cx.waker().clone());
        drop(shared);
        wake(writer);
        Poll::Pending
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        leave(&self.channel, &self.left);
    }
}

/// See [`Subscription::leaver`].
pub struct Leaver {
    channel: Channel,
    left: CancellationToken,
}

impl Leaver {
    /// As if the subscription were dropped. If it is read again, all that it says is that its answer
    /// was cancelled: something is missing from it now.
    pub fn leave(self) {
        leave(&self.channel, &self.left);
    }
}

fn leave(channel: &Channel, left: &CancellationToken) {
    let mut shared = lock(channel);
    shared.reader_gone = true;
    shared.frames = VecDeque::new();
    shared.level.fall(shared.bytes);
    (shared.bytes, shared.handed) = (0, 0);
    let writer = shared.writer.take();
    drop(shared);
    wake(writer);
    left.cancel();
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::{FutureExt, StreamExt};

    use super::*;

    fn payload(text: &'static str) -> Payload {
        Payload::Wire(Bytes::from_static(text.as_bytes()))
    }

    /// What a payload of so many bytes weighs.
    fn weight(bytes: usize) -> usize {
        size_of::<Frame>() + bytes
    }

    fn open(limit: usize) -> (Publisher, Subscription, Level) {
        let level = Level::default();
        let (publisher, subscription) =
            subscription(limit, level.clone(), CancellationToken::new());
        (publisher, subscription, level)
    }

    fn next(subscription: &mut Subscription) -> Poll<Option<Delivery>> {
        subscription.next().now_or_never().map_or(Poll::Pending, Poll::Ready)
    }

    #[test]
    fn frames_come_numbered_in_order_and_the_end_last() {
        let (mut publisher, mut subscription, _) = open(100);
        assert!(next(&mut subscription).is_pending());
        publisher.publish([payload("a"), payload("b")]);
        publisher.close(Outcome::Completed, None, vec![payload("end")], 2);
        let Poll::Ready(Some(Delivery::Frames(frames))) = next(&mut subscription) else { panic!() };
        assert_eq!(frames.iter().map(|frame| frame.number).collect::<Vec<_>>(), [1, 2]);
        let Poll::Ready(Some(Delivery::End(closing))) = next(&mut subscription) else { panic!() };
        assert_eq!(closing.frames, [Frame { number: 3, payload: payload("end") }]);
        assert_eq!(next(&mut subscription), Poll::Ready(None));
    }

    #[test]
    fn a_full_buffer_has_no_room_until_it_is_read() {
        let (mut publisher, mut subscription, level) = open(weight(3));
        publisher.publish([payload("abc")]);
        assert!(publisher.room().now_or_never().is_some());
        publisher.publish([payload("d")]);
        assert!(publisher.room().now_or_never().is_none());
        let held = weight(3) + weight(1);
        assert_eq!((publisher.buffered(), level.get()), (held, held));
        assert!(next(&mut subscription).is_ready());
        assert!(publisher.room().now_or_never().is_none(), "given, but perhaps not written");
        assert!(next(&mut subscription).is_pending());
        assert!(publisher.room().now_or_never().is_some());
        assert_eq!(level.get(), 0);
    }

    #[test]
    fn what_is_never_read_is_not_counted_for_ever() {
        let (mut publisher, subscription, level) = open(100);
        publisher.publish([payload("abc")]);
        assert_eq!(level.get(), weight(3));
        drop((publisher, subscription));
        assert_eq!(level.get(), 0);
    }

    #[test]
    fn a_reader_that_leaves_is_noticed_and_blocks_nobody_and_costs_nothing() {
        let (left, level) = (CancellationToken::new(), Level::default());
        let (mut publisher, subscription) = subscription(1, level.clone(), left.clone());
        publisher.publish([payload("too much")]);
        drop(subscription);
        assert!(left.is_cancelled());
        assert!(publisher.room().now_or_never().is_some());
        publisher.publish([payload("for nobody")]);
        assert_eq!((publisher.buffered(), level.get()), (0, 0));
    }

    /// Also where the stream went on and was whole.
    #[test]
    fn who_was_taken_for_gone_and_reads_again_gets_no_whole_answer() {
        let left = CancellationToken::new();
        let (mut publisher, mut subscription) = subscription(1, Level::default(), left.clone());
        publisher.publish([payload("never seen")]);
        subscription.leaver().leave();
        assert!(left.is_cancelled());
        publisher.publish([payload("for nobody")]);
        publisher.close(Outcome::Completed, None, vec![payload("end")], 2);
        let Poll::Ready(Some(Delivery::End(closing))) = next(&mut subscription) else { panic!() };
        assert_eq!((closing.outcome, closing.frames), (Outcome::Cancelled, vec![]));
        assert_eq!(next(&mut subscription), Poll::Ready(None));
    }

    #[test]
    fn a_publisher_that_dies_leaves_an_internal_error() {
        let (publisher, mut subscription, _) = open(1);
        drop(publisher);
        let Poll::Ready(Some(Delivery::End(closing))) = next(&mut subscription) else { panic!() };
        assert_eq!(closing.outcome, Outcome::InternalError);
        assert_eq!(closing.failure.unwrap().kind, ErrorKind::Internal);
    }
}
