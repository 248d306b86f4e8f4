//! The bounded way from a stream's actor to its clients' connections.
//!
//! Counted in bytes. The publisher never blocks; whoever feeds it waits for [`Publisher::room`]
//! before more is asked of the upstream, and so slow clients slow their own upstream and nobody
//! else. All ends mostly live on one thread, so the lock is free whenever it is taken.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::stream::Stream;
use tidegate_protocol::{ErrorKind, Failure, Outcome, Payload};
use tokio_util::sync::CancellationToken;

use super::delivery::{Closing, Delivery, Frame};
use super::journal::{Bounds, Journal, NotThere, Part, ReaderKey, Reading};
use super::journals::Place;
use super::level::Level;

struct Shared {
    journal: Journal,
    /// What of [`Journal::unread`] is counted in the level.
    counted: usize,
    level: Level,
    /// Ends the answer when the last reader leaves; where nothing does, the actor is told.
    left: Option<CancellationToken>,
    /// How often the last reader has left.
    absences: u64,
    readers: Vec<(ReaderKey, Option<Waker>)>,
    writer: Option<Waker>,
    actor: Option<Waker>,
}

impl Shared {
    /// Counts what is held now.
    fn count(&mut self) {
        let unread = self.journal.unread();
        if unread >= self.counted {
            self.level.rise(unread - self.counted);
        } else {
            self.level.fall(self.counted - unread);
        }
        self.counted = unread;
    }

    fn wake_readers(&mut self) -> Wakers {
        let woken = self.readers.iter_mut().filter_map(|(_, waker)| waker.take());
        let mut wakers = Wakers::default();
        woken.for_each(|waker| wakers.push(waker));
        wakers
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.level.fall(self.counted);
    }
}

/// Mostly one: who is alone costs no memory.
#[derive(Default)]
struct Wakers {
    first: Option<Waker>,
    others: Vec<Waker>,
}

impl Wakers {
    fn push(&mut self, waker: Waker) {
        match self.first {
            None => self.first = Some(waker),
            Some(_) => self.others.push(waker),
        }
    }

    fn wake(self) {
        wake(self.first);
        self.others.into_iter().for_each(Waker::wake);
    }
}

/// What a stream's actor and its clients share.
#[derive(Clone)]
pub struct Channel(Arc<Mutex<Shared>>);

impl Channel {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A way to a reader that has had the frames up to `after`.
    ///
    /// # Errors
    /// When what follows is not held, or not yet there.
    pub fn attach(&self, part: Part, after: u64) -> Result<Subscription, NotThere> {
        let mut shared = self.lock();
        let key = shared.journal.attach(part, after)?;
        shared.readers.push((key, None));
        shared.count();
        Ok(Subscription { channel: self.clone(), key, ended: false })
    }

    /// How many read it.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.lock().journal.readers()
    }

    /// The number of the last frame, once the stream has ended.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        let shared = self.lock();
        shared.journal.is_closed().then(|| shared.journal.last_number())
    }

    /// Packs the frames of a stream that has ended. Gives the bytes that they take, and whether it
    /// was an answer: something was said, or it ended well.
    pub(super) fn compact(&self) -> (usize, bool) {
        let mut shared = self.lock();
        shared.journal.compact();
        let closing = shared.journal.closing();
        let ended_well = closing.is_some_and(|closing| closing.failure.is_none());
        (shared.journal.held(), ended_well || shared.journal.has_begun())
    }
}

/// Opens a way within those bounds; what is not read is counted in `level`. When the last
/// subscription is dropped, `left` fires.
#[must_use]
pub fn subscription(
    bounds: Bounds,
    level: Level,
    left: Option<CancellationToken>,
) -> (Publisher, Subscription) {
    let (journal, key) = Journal::new(bounds);
    let shared = Shared {
        journal,
        counted: 0,
        level,
        left,
        absences: 0,
        readers: vec![(key, None)],
        writer: None,
        actor: None,
    };
    let channel = Channel(Arc::new(Mutex::new(shared)));
    let publisher = Publisher { channel: channel.clone(), place: None, held: 0 };
    (publisher, Subscription { channel, key, ended: false })
}

/// The actor's end.
pub struct Publisher {
    channel: Channel,
    /// Where the journal is kept, if it is.
    place: Option<Place>,
    /// What of it is counted there.
    held: usize,
}

impl Publisher {
    /// Has the journal kept there.
    pub(super) fn keep(&mut self, keeper: impl FnOnce(Channel) -> Place) {
        self.place = Some(keeper(self.channel.clone()));
    }

    /// Hands frames to the subscribers.
    pub fn publish(&mut self, payloads: impl IntoIterator<Item = Payload>) {
        let mut shared = self.channel.lock();
        let too_slow = shared.journal.publish(payloads);
        shared.count();
        if let Some(place) = &self.place {
            place.dropped(too_slow);
            let excess = place.counts(self.held, shared.journal.held());
            self.held = shared.journal.held();
            if excess > 0 {
                shared.journal.shed(excess);
                place.frees(self.held - shared.journal.held());
                self.held = shared.journal.held();
            }
        }
        let readers = shared.wake_readers();
        drop(shared);
        readers.wake();
    }

    /// Says the end; what was published before is still delivered first.
    pub fn close(
        &mut self,
        outcome: Outcome,
        failure: Option<Failure>,
        terminal: Vec<Payload>,
        tokens: u64,
    ) {
        let mut shared = self.channel.lock();
        let numbered = terminal.into_iter().zip(shared.journal.next_number()..);
        let frames = numbered.map(|(payload, number)| Frame { number, payload }).collect();
        shared.journal.close(Closing { outcome, frames, failure, tokens });
        let readers = shared.wake_readers();
        drop(shared);
        readers.wake();
        if let Some(place) = self.place.take() {
            place.ended(self.held);
        }
    }

    /// Resolves once there is room for more, or nobody left to read.
    #[must_use]
    pub fn room(&self) -> Room {
        Room(self.channel.clone())
    }

    /// Bytes published and not yet written to the slowest connection.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.channel.lock().journal.unread()
    }

    /// How many read it.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.channel.readers()
    }

    /// How many of them it is for.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.channel.lock().journal.clients()
    }

    /// How often the last client has left.
    #[must_use]
    pub fn absences(&self) -> u64 {
        self.channel.lock().absences
    }

    /// Tells each time that the last client leaves.
    #[must_use]
    pub fn departures(&self) -> Departures {
        Departures { channel: self.channel.clone(), seen: 0 }
    }
}

impl Drop for Publisher {
    /// An actor that dies without a word leaves an internal error behind.
    fn drop(&mut self) {
        let closed = self.channel.lock().journal.is_closed();
        if !closed {
            let failure = Failure::new(ErrorKind::Internal, "the gateway failed in mid-answer");
            self.close(Outcome::InternalError, Some(failure), Vec::new(), 0);
        }
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// See [`Publisher::room`].
pub struct Room(Channel);

impl Room {
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.0.lock().journal.has_room()
    }
}

impl Future for Room {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut shared = self.0.lock();
        if shared.journal.has_room() {
            return Poll::Ready(());
        }
        shared.writer = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// See [`Publisher::departures`]. It has no end.
pub struct Departures {
    channel: Channel,
    seen: u64,
}

impl Stream for Departures {
    type Item = ();

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
        let mut shared = self.channel.lock();
        if shared.absences == self.seen {
            shared.actor = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let seen = shared.absences;
        drop(shared);
        self.seen = seen;
        Poll::Ready(Some(()))
    }
}

/// A connection's end: a stream of deliveries, the last of which is [`Delivery::End`].
pub struct Subscription {
    channel: Channel,
    key: ReaderKey,
    ended: bool,
}

impl Subscription {
    /// Lets somebody else say that the client has left.
    #[must_use]
    pub fn leaver(&self) -> Leaver {
        Leaver { channel: self.channel.clone(), key: self.key }
    }

    /// The end, if it is there, though not all before it was delivered.
    #[must_use]
    pub fn the_end(&self) -> Option<Closing> {
        if self.ended { None } else { self.channel.lock().journal.closing().cloned() }
    }
}

impl Stream for Subscription {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let key = self.key;
        let mut shared = self.channel.lock();
        let reading = shared.journal.read(key);
        shared.count();
        let writer = if shared.journal.has_room() { shared.writer.take() } else { None };
        if reading == Reading::Nothing
            && let Some((_, waker)) = shared.readers.iter_mut().find(|(reader, _)| *reader == key)
        {
            *waker = Some(cx.waker().clone());
        }
        drop(shared);
        wake(writer);
        let delivery = match reading {
            Reading::Nothing => return Poll::Pending,
            Reading::Frames(frames) => Delivery::Frames(frames),
            Reading::End(closing) => Delivery::End(closing),
            Reading::TooSlow => Delivery::End(Closing::too_slow()),
        };
        self.ended = matches!(delivery, Delivery::End(_));
        Poll::Ready(Some(delivery))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        leave(&self.channel, self.key);
    }
}

/// See [`Subscription::leaver`].
pub struct Leaver {
    channel: Channel,
    key: ReaderKey,
}

impl Leaver {
    /// As if the subscription were dropped. If it is read again, all that it says is that its client
    /// was too slow.
    pub fn leave(self) {
        leave(&self.channel, self.key);
    }
}

fn leave(channel: &Channel, key: ReaderKey) {
    let mut shared = channel.lock();
    let was_last = shared.journal.leave(key);
    shared.readers.retain(|(reader, _)| *reader != key);
    shared.count();
    let writer = if shared.journal.has_room() { shared.writer.take() } else { None };
    let mut left = None;
    let mut actor = None;
    if was_last {
        shared.absences += 1;
        left.clone_from(&shared.left);
        actor = shared.actor.take();
    }
    drop(shared);
    wake(writer);
    wake(actor);
    if let Some(left) = left {
        left.cancel();
    }
}
