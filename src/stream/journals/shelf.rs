//! The streams that have ended, in the order of their ends; and the ids of those that are gone.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_protocol::StreamId;

/// Of so many streams it is known that they were here once. A client that comes back too late is
/// told so; of older ones it is told that nobody knows them. About a megabyte.
const MOST_GONE: usize = 10_000;

/// The order in which streams have ended.
#[derive(Default)]
pub struct Shelf {
    order: BTreeMap<u64, (Instant, StreamId)>,
    places: HashMap<StreamId, u64>,
    next: u64,
    gone: HashMap<StreamId, Arc<str>>,
    first_gone: VecDeque<StreamId>,
}

impl Shelf {
    pub fn put(&mut self, id: StreamId, now: Instant) {
        self.order.insert(self.next, (now, id));
        self.places.insert(id, self.next);
        self.next += 1;
    }

    pub fn remove(&mut self, id: StreamId) {
        if let Some(place) = self.places.remove(&id) {
            self.order.remove(&place);
        }
    }

    /// The one that ended first.
    #[must_use]
    pub fn first(&self) -> Option<StreamId> {
        self.order.first_key_value().map(|(_, (_, id))| *id)
    }

    /// The one that ended first, if that is so long ago.
    #[must_use]
    pub fn older_than(&self, now: Instant, age: Duration) -> Option<StreamId> {
        let (_, (since, id)) = self.order.first_key_value()?;
        (now.saturating_duration_since(*since) >= age).then_some(*id)
    }

    pub fn remember_gone(&mut self, id: StreamId, owner: Arc<str>) {
        self.gone.insert(id, owner);
        self.first_gone.push_back(id);
        if self.first_gone.len() > MOST_GONE
            && let Some(oldest) = self.first_gone.pop_front()
        {
            self.gone.remove(&oldest);
        }
    }

    /// Whose stream that was, if it is remembered.
    #[must_use]
    pub fn owner_of_gone(&self, id: StreamId) -> Option<&str> {
        self.gone.get(&id).map(|owner| &**owner)
    }
}
