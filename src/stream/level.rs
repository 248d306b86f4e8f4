//! How much all streams of one worker hold for their clients.
//!
//! One counter per worker, touched only on the worker's own thread, so that no core waits for
//! another's cache line; the sum is made when somebody asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes held by the streams of one worker.
#[derive(Debug, Clone, Default)]
pub struct Level(Arc<AtomicUsize>);

impl Level {
    pub fn rise(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn fall(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    #[must_use]
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
