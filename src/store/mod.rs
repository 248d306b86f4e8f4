//! Responses that clients may ask for again, and go on from: in memory, and bounded.
//!
//! One store for all workers of a process. What is running is known while it runs; what has ended
//! is kept until it is too old, or there is no more room. A lock is taken when a response begins,
//! when it ends, and when somebody asks for it: never per token.
//!
//! - [`shelf`]: what is kept, oldest first, within its bounds.

pub mod shelf;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tidegate_protocol::StreamId;
use tidegate_protocol::responses::{Finished, Item};
use tokio::sync::watch;

use crate::access::Caller;
use crate::config::Responses;
use crate::telemetry::StoreMetrics;

pub use shelf::Kept;
use shelf::Shelf;

/// The responses of one gateway.
pub struct Store {
    inner: Mutex<Inner>,
}

struct Inner {
    running: HashMap<StreamId, Running>,
    shelf: Shelf,
}

/// A response whose answer is being generated.
#[derive(Clone)]
pub struct Running {
    owner: Arc<str>,
    /// The response as it stands.
    pub body: Bytes,
    /// What it answers: the conversation so far.
    pub input: Arc<[Item]>,
    /// Whether the client wants it kept.
    pub store: bool,
    /// Nobody waits for it: however it ends, that is to be told later.
    background: bool,
    /// Told the response once it has ended.
    pub ended: watch::Receiver<Option<Bytes>>,
}

/// A response that begins.
pub struct Begun {
    /// The response as it stands.
    pub body: Bytes,
    /// What it answers: the conversation so far.
    pub input: Arc<[Item]>,
    /// Whether the client wants it kept.
    pub store: bool,
    /// Whether nobody waits for it.
    pub background: bool,
}

/// What is known of a response.
pub enum Found {
    Running(Running),
    Kept(Arc<Kept>),
}

impl Store {
    #[must_use]
    pub fn new(limits: &Responses, metrics: StoreMetrics) -> Arc<Self> {
        let shelf = Shelf::new(limits.clone(), metrics);
        Arc::new(Self { inner: Mutex::new(Inner { running: HashMap::new(), shelf }) })
    }

    /// No code that can panic runs under the lock.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a response known; it stays so until its seat is dropped.
    #[must_use]
    pub fn begin(self: &Arc<Self>, id: StreamId, owner: Arc<str>, begun: Begun) -> Seat {
        let (tell, ended) = watch::channel(None);
        let Begun { body, input, store, background } = begun;
        let running = Running { owner, body, input, store, background, ended };
        self.lock().running.insert(id, running);
        Seat { store: Arc::clone(self), id, tell }
    }

    /// Finds a response that the caller may see.
    #[must_use]
    pub fn find(&self, id: StreamId, caller: &Caller) -> Option<Found> {
        let mut inner = self.lock();
        let running = inner.running.get(&id).filter(|running| caller.may_see(&running.owner));
        if let Some(running) = running {
            return Some(Found::Running(running.clone()));
        }
        let kept = inner.shelf.get(id, Instant::now())?;
        caller.may_see(&kept.owner).then_some(Found::Kept(kept))
    }

    /// Forgets a response; `false` where there is none that the caller may see. One that runs goes
    /// on for its client, and is not kept.
    pub fn remove(&self, id: StreamId, caller: &Caller) -> bool {
        let mut inner = self.lock();
        if let Some(running) = inner.running.get_mut(&id) {
            let theirs = running.store && caller.may_see(&running.owner);
            running.store &= !theirs;
            return theirs;
        }
        let kept = inner.shelf.get(id, Instant::now());
        let theirs = kept.is_some_and(|kept| caller.may_see(&kept.owner));
        theirs && inner.shelf.remove(id)
    }
}

/// A running response's place; given back when dropped.
pub struct Seat {
    store: Arc<Store>,
    id: StreamId,
    tell: watch::Sender<Option<Bytes>>,
}

impl Seat {
    /// Keeps the response as it ended, if it is to be kept.
    pub fn finish(&self, finished: Finished) {
        let body = finished.body.clone();
        let mut inner = self.store.lock();
        // A refusal before the first word is no answer: nobody knows its id, and a bad hour of an
        // upstream must not push out good answers.
        let kept = inner.running.remove(&self.id).filter(|running| running.store);
        let worth = finished.begun || finished.standing.has_ended_well();
        if let Some(Running { owner, input, .. }) = kept.filter(|it| worth || it.background) {
            inner.shelf.put(self.id, Kept::new(owner, &input, finished), Instant::now());
        }
        drop(inner);
        self.tell.send_replace(Some(body));
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.store.lock().running.remove(&self.id);
    }
}
