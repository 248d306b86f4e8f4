//! The requests that the gateway itself refused, by reason.

use std::collections::BTreeSet;

use prometheus::IntCounterVec;
use tidegate_protocol::ErrorKind;

use super::declare::Declare;

/// The refusals of the gateway itself, and what their metric calls them. Like outcomes, each has
/// its series from the start.
const REJECTIONS: [(ErrorKind, &str); 13] = [
    (ErrorKind::Unauthorized, "unauthorized"),
    (ErrorKind::Forbidden, "forbidden"),
    (ErrorKind::RateLimited, "rate_limited"),
    (ErrorKind::Capacity, "capacity"),
    (ErrorKind::ConnectionLimit, "connection_limit"),
    (ErrorKind::QueueFull, "queue_full"),
    (ErrorKind::QueueTimeout, "queue_timeout"),
    (ErrorKind::Draining, "draining"),
    (ErrorKind::InvalidRequest, "invalid"),
    (ErrorKind::ModelNotFound, "invalid"),
    (ErrorKind::PayloadTooLarge, "invalid"),
    (ErrorKind::RequestTimeout, "invalid"),
    (ErrorKind::UnsupportedMediaType, "invalid"),
];

/// Counts them.
#[derive(Clone)]
pub struct Rejections(IntCounterVec);

impl Rejections {
    pub(super) fn declare(declare: &Declare) -> prometheus::Result<Self> {
        let rejected = declare.counters(
            "ai_gateway_rejected_requests_total",
            "Requests refused by the gateway itself, by reason.",
            &["reason"],
        )?;
        for (_, reason) in REJECTIONS {
            rejected.with_label_values(&[reason]);
        }
        Ok(Self(rejected))
    }

    /// Counts a request that the gateway itself refused; other kinds are not counted here.
    pub fn count(&self, kind: ErrorKind) {
        if let Some((_, reason)) = REJECTIONS.iter().find(|(refused, _)| *refused == kind) {
            self.0.with_label_values(&[reason]).inc();
        }
    }

    /// How many requests the gateway itself has refused.
    #[must_use]
    pub fn in_all(&self) -> u64 {
        // Some reasons stand for several kinds.
        let reasons: BTreeSet<_> = REJECTIONS.iter().map(|(_, reason)| *reason).collect();
        let count = |reason| self.0.with_label_values(&[reason]).get();
        reasons.into_iter().map(count).sum()
    }
}
