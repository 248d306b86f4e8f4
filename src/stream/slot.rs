//! The place under the cap that a stream holds, and the lease that gives it back on every path.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::Recipient;
use tidegate_protocol::StreamId;

use super::message::Gone;

/// The cap of concurrent streams, shared by the registries of all workers.
pub struct Cap {
    limit: usize,
    active: AtomicUsize,
}

impl Cap {
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, active: AtomicUsize::new(0) })
    }

    /// Takes a slot, unless all are taken.
    #[must_use]
    pub fn take(self: &Arc<Self>) -> Option<Slot> {
        let below = |active| (active < self.limit).then_some(active + 1);
        self.active.fetch_update(Ordering::AcqRel, Ordering::Relaxed, below).ok()?;
        Some(Slot(Arc::clone(self)))
    }

    #[must_use]
    pub fn active(&self) -> usize {
        self.active.load(Ordering::Acquire)
    }

    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }
}

/// One place under the cap; given back when dropped.
pub struct Slot(Arc<Cap>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Held by a stream for its whole life. Its drop runs even when the actor panics; the slot is
/// free and the registry forgets the stream.
pub struct Lease {
    id: StreamId,
    registry: Recipient<Gone>,
    _slot: Slot,
}

impl Lease {
    #[must_use]
    pub fn new(id: StreamId, registry: Recipient<Gone>, slot: Slot) -> Self {
        Self { id, registry, _slot: slot }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.registry.do_send(Gone(self.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cap_holds_and_slots_come_back() {
        let cap = Cap::new(2);
        let first = cap.take().unwrap();
        let second = cap.take().unwrap();
        assert!(cap.take().is_none());
        drop(first);
        let third = cap.take().unwrap();
        assert_eq!(cap.active(), 2);
        drop((second, third));
        assert_eq!(cap.active(), 0);
    }
}
