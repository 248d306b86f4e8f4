//! What is kept: found by id, oldest first, bounded in count, in bytes and in time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tidegate_protocol::StreamId;
use tidegate_protocol::responses::{Finished, Item, Standing};

use crate::config::Responses;
use crate::telemetry::{Evicted, StoreMetrics};

/// What a response takes besides its texts.
const KEPT_BYTES: usize = 512;

/// A response that has ended.
pub struct Kept {
    pub owner: Arc<str>,
    pub standing: Standing,
    /// The response.
    pub body: Bytes,
    /// The whole conversation: what was asked, then what was answered.
    pub conversation: Vec<Item>,
    /// So many of them were asked.
    input: usize,
    bytes: usize,
}

impl Kept {
    #[must_use]
    pub fn new(owner: Arc<str>, input: &[Item], finished: Finished) -> Self {
        let Finished { standing, body, output, .. } = finished;
        let conversation: Vec<_> = input.iter().cloned().chain(output).collect();
        let items: usize = conversation.iter().map(Item::bytes).sum();
        let bytes = KEPT_BYTES + owner.len() + body.len() + items;
        Self { owner, standing, body, conversation, input: input.len(), bytes }
    }

    /// What was asked.
    #[must_use]
    pub fn input(&self) -> &[Item] {
        self.conversation.get(..self.input).unwrap_or_default()
    }
}

/// The kept responses.
pub(super) struct Shelf {
    limits: Responses,
    metrics: StoreMetrics,
    kept: HashMap<StreamId, (u64, Arc<Kept>)>,
    /// By age: when it was put there, and which.
    order: BTreeMap<u64, (Instant, StreamId)>,
    next: u64,
    bytes: usize,
}

impl Shelf {
    pub fn new(limits: Responses, metrics: StoreMetrics) -> Self {
        let (kept, order) = (HashMap::new(), BTreeMap::new());
        Self { limits, metrics, kept, order, next: 0, bytes: 0 }
    }

    pub fn get(&mut self, id: StreamId, now: Instant) -> Option<Arc<Kept>> {
        self.forget_old(now);
        self.kept.get(&id).map(|(_, kept)| Arc::clone(kept))
    }

    /// Puts a response there; the oldest make room for it. One that is larger than all the room
    /// there is pushes nobody out.
    pub fn put(&mut self, id: StreamId, kept: Kept, now: Instant) {
        self.forget_old(now);
        let Responses { max_stored, max_stored_bytes, .. } = self.limits;
        if max_stored == 0 || kept.bytes > max_stored_bytes {
            let why = if max_stored == 0 { Evicted::Count } else { Evicted::Bytes };
            self.metrics.evicted(why);
            return;
        }
        self.bytes += kept.bytes;
        self.order.insert(self.next, (now, id));
        self.kept.insert(id, (self.next, Arc::new(kept)));
        self.next += 1;
        while self.kept.len() > max_stored && self.evict_oldest(Evicted::Count) {}
        while self.bytes > max_stored_bytes && self.evict_oldest(Evicted::Bytes) {}
        self.show();
    }

    pub fn remove(&mut self, id: StreamId) -> bool {
        let Some((at, kept)) = self.kept.remove(&id) else { return false };
        self.order.remove(&at);
        self.bytes -= kept.bytes;
        self.show();
        true
    }

    fn forget_old(&mut self, now: Instant) {
        while let Some((_, (since, _))) = self.order.first_key_value()
            && now.saturating_duration_since(*since) >= self.limits.keep
            && self.evict_oldest(Evicted::Age)
        {}
    }

    /// `false` where nothing is left to go.
    fn evict_oldest(&mut self, why: Evicted) -> bool {
        let oldest = self.order.first_key_value().map(|(_, (_, id))| *id);
        let gone = oldest.is_some_and(|id| self.remove(id));
        if gone {
            self.metrics.evicted(why);
        }
        gone
    }

    fn show(&self) {
        self.metrics.show(self.kept.len(), self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::Metrics;

    const ID: fn(u128) -> StreamId = |n| StreamId::new(0, n);

    fn shelf(max_stored: usize, max_stored_bytes: usize) -> Shelf {
        let keep = Duration::from_secs(60);
        let limits = Responses { max_stored, max_stored_bytes, keep };
        Shelf::new(limits, Metrics::new(false).unwrap().store)
    }

    fn kept(bytes: usize) -> Kept {
        let body = Bytes::from(vec![b' '; bytes]);
        let finished =
            Finished { standing: Standing::Completed, body, output: Vec::new(), begun: true };
        Kept::new("o".into(), &[], finished)
    }

    fn there(shelf: &mut Shelf, now: Instant) -> Vec<u128> {
        (1..=5).filter(|n| shelf.get(ID(*n), now).is_some()).collect()
    }

    #[test]
    fn the_oldest_make_room_in_their_order() {
        let now = Instant::now();
        let mut shelf = shelf(3, 1 << 20);
        for n in 1..=5 {
            shelf.put(ID(n), kept(1), now);
        }
        assert_eq!(there(&mut shelf, now), [3, 4, 5]);
        assert!(shelf.remove(ID(4)));
        assert!(!shelf.remove(ID(4)));
        assert_eq!(there(&mut shelf, now), [3, 5]);
    }

    #[test]
    fn bytes_are_bounded_and_what_can_never_fit_pushes_nobody_out() {
        let now = Instant::now();
        let one = kept(1000).bytes;
        let mut shelf = shelf(10, 2 * one);
        for n in 1..=3 {
            shelf.put(ID(n), kept(1000), now);
        }
        assert_eq!((there(&mut shelf, now), shelf.bytes), (vec![2, 3], 2 * one));
        shelf.put(ID(4), kept(2 * one), now);
        assert_eq!(there(&mut shelf, now), [2, 3]);
        shelf.remove(ID(2));
        shelf.remove(ID(3));
        assert_eq!(shelf.bytes, 0);
    }

    #[test]
    fn what_is_old_is_gone() {
        let now = Instant::now();
        let mut shelf = shelf(10, 1 << 20);
        shelf.put(ID(1), kept(1), now);
        shelf.put(ID(2), kept(1), now + Duration::from_secs(30));
        assert_eq!(there(&mut shelf, now + Duration::from_secs(59)), [1, 2]);
        assert_eq!(there(&mut shelf, now + Duration::from_secs(60)), [2]);
        assert_eq!((shelf.kept.len(), shelf.order.len()), (1, 1));
    }
}
