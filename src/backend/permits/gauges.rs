//! Metrics that follow the permits of one model and its queue.

use std::time::{Duration, Instant};

use prometheus::{Gauge, IntCounter, IntGauge};

use super::super::queue::Line;
use super::Seat;
use crate::config::Priority;

/// Metrics that follow the pool.
#[derive(Clone)]
pub struct PoolGauges {
    /// How many permits there are.
    pub all: IntGauge,
    pub in_use: IntGauge,
    pub queued: IntGauge,
    /// Of these, those of each class: the lowest first.
    pub by_class: [IntGauge; 3],
    /// How many seconds the one that has waited longest has waited. Right when it was measured last, or 0
    /// where nobody waits.
    pub oldest: Gauge,
    pub preemptions: IntCounter,
}

impl PoolGauges {
    /// Somebody came or went.
    pub(super) fn follow(&self, line: &Line<Seat>) {
        let gauge = |len| i64::try_from(len).unwrap_or(i64::MAX);
        self.queued.set(gauge(line.len()));
        for class in Priority::ALL {
            self.by_class[class as usize].set(gauge(line.len_of(class)));
        }
        // Nobody measures the queue of a model that is gone from the configuration.
        if line.len() == 0 {
            self.oldest.set(0.0);
        }
    }

    /// Time went by.
    pub(super) fn measure(&self, line: &Line<Seat>, now: Instant) {
        let oldest = line.items().map(|seat| seat.since).min();
        let waited = oldest.map(|since| now.saturating_duration_since(since));
        self.oldest.set(waited.unwrap_or(Duration::ZERO).as_secs_f64());
    }
}
