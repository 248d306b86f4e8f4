//! The registries of all workers, asked as one: a cancel is routed by the stream's id, a list
//! and a drain go to all.

use std::sync::{Arc, PoisonError, RwLock};

use actix::Addr;
use futures::future::join_all;
use tidegate_protocol::StreamId;

use super::actor::Registry;
use super::message::{CancelById, Drain, HeldBytes, List};
use crate::access::Caller;
use crate::stream::{Cap, StreamInfo};

/// More workers than ids can name are refused by the configuration.
const MAX_WORKERS: usize = 256;

/// All registries of one gateway.
#[derive(Clone)]
pub struct Directory {
    registries: Arc<RwLock<Vec<Addr<Registry>>>>,
    cap: Arc<Cap>,
}

impl Directory {
    #[must_use]
    pub fn new(cap: Arc<Cap>) -> Self {
        Self { registries: Arc::default(), cap }
    }

    /// Adds a worker's registry; gives the index its stream ids carry. A worker that is started
    /// anew after a crash takes the place of a registry that is gone.
    #[must_use]
    pub fn join(&self, registry: Addr<Registry>) -> u8 {
        let mut registries = self.registries.write().unwrap_or_else(PoisonError::into_inner);
        let vacant = registries.iter().position(|registry| !registry.connected());
        let index = match vacant {
            Some(index) => index,
            None if registries.len() < MAX_WORKERS => registries.len(),
            None => MAX_WORKERS - 1,
        };
        match registries.get_mut(index) {
            Some(place) => *place = registry,
            None => registries.push(registry),
        }
        u8::try_from(index).unwrap_or(u8::MAX)
    }

    fn all(&self) -> Vec<Addr<Registry>> {
        self.registries.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    #[must_use]
    pub fn cap(&self) -> &Cap {
        &self.cap
    }

    /// Cancels a stream; `false` when there is none of that id that the caller may see.
    pub async fn cancel(&self, id: StreamId, caller: Caller) -> bool {
        let registry = self.all().into_iter().nth(usize::from(id.worker()));
        let Some(registry) = registry else { return false };
        registry.send(CancelById { id, caller }).await.unwrap_or(false)
    }

    /// Lists the streams that the caller may see, oldest first.
    pub async fn list(&self, caller: &Caller) -> Vec<StreamInfo> {
        let list = List { caller: caller.clone() };
        let asked = self.all().into_iter().map(|registry| registry.send(list.clone()));
        let answers = join_all(asked.collect::<Vec<_>>()).await;
        let mut streams: Vec<_> = answers.into_iter().flatten().flatten().collect();
        streams.sort_by_key(|stream| stream.arrived);
        streams
    }

    /// How many bytes all streams hold for their clients. Asks workers, not streams, and so costs
    /// the same however many there are.
    pub async fn held_bytes(&self) -> usize {
        let asked = self.all().into_iter().map(|registry| registry.send(HeldBytes));
        join_all(asked.collect::<Vec<_>>()).await.into_iter().flatten().sum()
    }

    /// Passes a drain on to every worker, and waits until all have taken it.
    pub async fn drain(&self, drain: Drain) {
        let told = self.all().into_iter().map(|registry| registry.send(drain));
        join_all(told.collect::<Vec<_>>()).await;
    }
}

#[cfg(feature = "test-hooks")]
impl Directory {
    /// Makes the actor of one stream panic; `false` when there is none.
    pub async fn panic_stream(&self, id: StreamId) -> bool {
        let registry = self.all().into_iter().nth(usize::from(id.worker()));
        let Some(registry) = registry else { return false };
        registry.send(super::message::PanicById(id)).await.unwrap_or(false)
    }
}
