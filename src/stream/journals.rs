//! The streams of one gateway that clients can come back to: found by id or by the key of the
//! request that began them, while they run and for a time after their end.
//!
//! One for all workers of a process. A lock is taken when a stream begins, when it ends, and when
//! somebody asks for it; per batch there is one addition. Within a journal's own lock this one may be
//! taken, never the other way round.
//!
//! - `shelf`: what is kept of those that have ended, in the order of their ends.

mod shelf;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tidegate_protocol::{ErrorKind, Failure, FieldFault, StreamId};

use super::journal::{Bounds, NotThere, Part};
use super::subscription::{Channel, Publisher, Subscription};
use crate::access::Caller;
use crate::config;
use crate::telemetry::{Attached, Forgotten, JournalMetrics};
use shelf::Shelf;

/// What a stream takes besides its frames, which are packed: as measured with a thousand of them.
const JOURNAL_BYTES: usize = 2048;

/// A stream that is kept, as its clients must know it.
#[derive(Debug, Clone)]
pub struct Standing {
    pub id: StreamId,
    pub owner: Arc<str>,
    /// As the stream list and logs spell it.
    pub dialect: &'static str,
    /// Whether it is a stream of events, or an answer in one piece.
    pub streams: bool,
    /// Whether its events carry ids, though its dialect has none.
    pub numbered: bool,
}

/// A name under which requests are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub name: String,
    /// Of what is asked: the same name must not be used for anything else.
    pub fingerprint: u64,
    pub by: Attached,
}

/// What comes of asking for a stream.
pub enum Opened {
    New(Publisher, Subscription),
    Joined(Standing, Subscription),
}

/// Why there is nothing to read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    #[error("no stream that can be resumed has this id")]
    Unknown,
    #[error("the stream has ended and is kept no longer")]
    Expired,
    #[error("{0}")]
    NotThere(#[from] NotThere),
    /// All there is was read already.
    #[error("nothing follows this event")]
    NothingLeft,
    #[error("{0} clients read this stream already, which is the most")]
    TooManyWatchers(usize),
    #[error("this key was used for another request")]
    OtherRequest,
}

impl From<NotKept> for Failure {
    fn from(not_kept: NotKept) -> Self {
        let message = not_kept.to_string();
        let kind = match not_kept {
            NotKept::Unknown => ErrorKind::NotFound,
            NotKept::Expired | NotKept::NotThere(NotThere::Evicted { .. }) => ErrorKind::Gone,
            NotKept::NotThere(NotThere::Beyond { .. }) | NotKept::NothingLeft => {
                return Self::invalid(vec![FieldFault { field: "after".to_owned(), message }]);
            }
            NotKept::TooManyWatchers(_) => ErrorKind::ConnectionLimit,
            NotKept::OtherRequest => ErrorKind::KeyReused,
        };
        Self::new(kind, message)
    }
}

/// The streams that are kept.
pub struct Journals {
    limits: config::Journal,
    metrics: JournalMetrics,
    /// Bytes of all frames kept.
    held: AtomicUsize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<StreamId, Entry>,
    claims: HashMap<String, (u64, StreamId)>,
    shelf: Shelf,
}

struct Entry {
    standing: Standing,
    channel: Channel,
    claims: Vec<Claim>,
    /// What is counted of it since its end.
    bytes: usize,
}

impl Journals {
    #[must_use]
    pub fn new(limits: config::Journal, metrics: JournalMetrics) -> Arc<Self> {
        Arc::new(Self { limits, metrics, held: AtomicUsize::new(0), inner: Mutex::default() })
    }

    #[must_use]
    pub fn limits(&self) -> &config::Journal {
        &self.limits
    }

    /// Of a journal whose fastest reader may be `room` bytes behind.
    #[must_use]
    pub fn bounds(&self, room: usize) -> Bounds {
        let config::Journal { max_lag_bytes: lag, max_stream_bytes, .. } = self.limits;
        Bounds { room, lag, keep: Some(max_stream_bytes) }
    }

    /// No code that can panic runs under the lock.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the stream that a request with one of these claims began, if there is one.
    ///
    /// # Errors
    /// When that was another request, or its stream cannot be read from its beginning.
    pub fn join(&self, claims: &[Claim]) -> Result<Option<(Standing, Subscription)>, NotKept> {
        let inner = self.lock();
        let Some((by, entry)) = inner.claimed(claims)? else { return Ok(None) };
        let (standing, channel) = (entry.standing.clone(), entry.channel.clone());
        drop(inner);
        let subscription = self.read(&channel, Part::Client, 0)?;
        self.metrics.attached(by);
        Ok(Some((standing, subscription)))
    }

    /// Keeps a stream that is about to begin, unless a request with one of these claims has begun one
    /// already; `open` makes the way to its client.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub fn open(
        self: &Arc<Self>,
        standing: Standing,
        claims: Vec<Claim>,
        open: impl FnOnce() -> (Publisher, Subscription),
    ) -> Result<Opened, NotKept> {
        let mut inner = self.lock();
        if inner.claimed(&claims)?.is_some() {
            drop(inner);
            if let Some((standing, subscription)) = self.join(&claims)? {
                return Ok(Opened::Joined(standing, subscription));
            }
            // It was forgotten between the two: this request begins anew.
            inner = self.lock();
        }
        let id = standing.id;
        let (mut publisher, subscription) = open();
        publisher.keep(|channel| {
            for claim in &claims {
                inner.claims.insert(claim.name.clone(), (claim.fingerprint, id));
            }
            inner.entries.insert(id, Entry { standing, channel, claims, bytes: 0 });
            Place { journals: Arc::clone(self), id }
        });
        drop(inner);
        Ok(Opened::New(publisher, subscription))
    }

    /// What follows the frame of number `after` in a stream that the caller may see.
    ///
    /// # Errors
    /// When there is no such stream, or no such place in it.
    pub fn attach(
        &self,
        id: StreamId,
        caller: &Caller,
        part: Part,
        after: u64,
    ) -> Result<(Standing, Subscription), NotKept> {
        self.forget_old(Instant::now());
        let inner = self.lock();
        let Some(entry) = inner.entries.get(&id) else {
            let was_theirs = inner.shelf.owner_of_gone(id).is_some_and(|it| caller.may_see(it));
            return Err(if was_theirs { NotKept::Expired } else { NotKept::Unknown });
        };
        if !caller.may_see(&entry.standing.owner) {
            return Err(NotKept::Unknown);
        }
        let (standing, channel) = (entry.standing.clone(), entry.channel.clone());
        drop(inner);
        if channel.end() == Some(after) {
            return Err(NotKept::NothingLeft);
        }
        let subscription = self.read(&channel, part, after)?;
        self.metrics.attached(Attached::ById);
        Ok((standing, subscription))
    }

    /// Forgets a stream that has ended, if the caller may see it.
    pub fn remove(&self, id: StreamId, caller: &Caller) {
        let mut inner = self.lock();
        let is_theirs = |entry: &Entry| caller.may_see(&entry.standing.owner);
        // What is counted of one that runs is counted until its end.
        if inner.entries.get(&id).is_some_and(|entry| entry.bytes > 0 && is_theirs(entry))
            && let Some(entry) = inner.remove(id)
        {
            self.held.fetch_sub(entry.bytes, Ordering::Relaxed);
        }
    }

    /// Lets go what has been kept for long enough, and shows the gauges as they stand.
    pub fn forget_old(&self, now: Instant) {
        let mut inner = self.lock();
        while let Some(id) = inner.shelf.older_than(now, self.limits.keep) {
            self.forget(&mut inner, id, Forgotten::Age);
        }
        self.show(&inner);
    }

    /// Shows the gauges as they stand.
    fn show(&self, inner: &Inner) {
        self.metrics.show(inner.entries.len(), self.held.load(Ordering::Relaxed));
    }

    fn read(&self, channel: &Channel, part: Part, after: u64) -> Result<Subscription, NotKept> {
        let most = self.limits.max_watchers;
        if channel.readers() >= most {
            return Err(NotKept::TooManyWatchers(most));
        }
        Ok(channel.attach(part, after)?)
    }

    /// Lets ended streams go, the first that ended first, until all fits.
    fn make_room(&self) -> usize {
        let excess = || {
            let held = self.held.load(Ordering::Relaxed);
            held.saturating_sub(self.limits.max_bytes)
        };
        if excess() > 0 {
            let mut inner = self.lock();
            while excess() > 0
                && let Some(id) = inner.shelf.first()
            {
                self.forget(&mut inner, id, Forgotten::Bytes);
            }
        }
        excess()
    }

    fn forget(&self, inner: &mut Inner, id: StreamId, reason: Forgotten) {
        let Some(entry) = inner.remove(id) else { return };
        self.held.fetch_sub(entry.bytes, Ordering::Relaxed);
        inner.shelf.remember_gone(id, entry.standing.owner);
        self.metrics.forgotten(reason);
    }

    fn ended(&self, id: StreamId, counted: usize) {
        let channel = self.lock().entries.get(&id).map(|entry| entry.channel.clone());
        let (frames, is_answer) = channel.as_ref().map_or((0, false), Channel::compact);
        let mut inner = self.lock();
        if is_answer {
            let bytes = frames + JOURNAL_BYTES;
            self.held.fetch_add(bytes, Ordering::Relaxed);
            inner.shelve(id, bytes, Instant::now());
        } else {
            // A refusal before the first word: who asks again is to be answered.
            inner.remove(id);
        }
        self.held.fetch_sub(counted, Ordering::Relaxed);
        drop(inner);
        self.make_room();
        self.show(&self.lock());
    }
}

impl Inner {
    /// The stream that one of these claims names.
    fn claimed(&self, claims: &[Claim]) -> Result<Option<(Attached, &Entry)>, NotKept> {
        for claim in claims {
            let Some((fingerprint, id)) = self.claims.get(&claim.name) else { continue };
            if *fingerprint != claim.fingerprint {
                return Err(NotKept::OtherRequest);
            }
            if let Some(entry) = self.entries.get(id) {
                return Ok(Some((claim.by, entry)));
            }
        }
        Ok(None)
    }

    fn shelve(&mut self, id: StreamId, bytes: usize, now: Instant) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.bytes = bytes;
        // Requests are coalesced while they are under way only.
        for claim in entry.claims.extract_if(.., |claim| matches!(claim.by, Attached::Coalesced)) {
            self.claims.remove(&claim.name);
        }
        self.shelf.put(id, now);
    }

    fn remove(&mut self, id: StreamId) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        for claim in &entry.claims {
            self.claims.remove(&claim.name);
        }
        self.shelf.remove(id);
        Some(entry)
    }
}

/// Where a running stream is kept.
pub struct Place {
    journals: Arc<Journals>,
    id: StreamId,
}

impl Place {
    /// The stream holds `now` bytes instead of `before`. Gives by how much there are too many.
    #[must_use]
    pub fn counts(&self, before: usize, now: usize) -> usize {
        if now <= before {
            self.frees(before - now);
            return 0;
        }
        let more = now - before;
        let all = self.journals.held.fetch_add(more, Ordering::Relaxed) + more;
        if all <= self.journals.limits.max_bytes { 0 } else { self.journals.make_room() }
    }

    /// The stream holds so many bytes less.
    pub fn frees(&self, bytes: usize) {
        self.journals.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// So many of its clients were dropped for falling behind.
    pub fn dropped(&self, too_slow: usize) {
        if too_slow > 0 {
            self.journals.metrics.too_slow(too_slow as u64);
        }
    }

    /// The stream has ended; `counted` bytes were counted of it.
    pub fn ended(self, counted: usize) {
        self.journals.ended(self.id, counted);
    }
}
