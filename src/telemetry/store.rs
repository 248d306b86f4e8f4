//! What is kept of responses, and what had to go.

use prometheus::{IntCounterVec, IntGauge};

use super::declare::Declare;

/// Why a response is kept no longer.
#[derive(Debug, Clone, Copy)]
pub enum Evicted {
    Count,
    Bytes,
    Age,
}

impl Evicted {
    const ALL: [Self; 3] = [Self::Count, Self::Bytes, Self::Age];

    fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Bytes => "bytes",
            Self::Age => "age",
        }
    }
}

/// The metrics of the store.
#[derive(Clone)]
pub struct StoreMetrics {
    count: IntGauge,
    bytes: IntGauge,
    evictions: IntCounterVec,
}

impl StoreMetrics {
    pub(super) fn declare(declare: &Declare) -> prometheus::Result<Self> {
        let metrics = Self {
            count: declare.gauge("ai_gateway_stored_responses", "Responses that are kept.")?,
            bytes: declare
                .gauge("ai_gateway_stored_response_bytes", "Bytes of the responses kept.")?,
            evictions: declare.counters(
                "ai_gateway_response_evictions_total",
                "Responses that had to go before their client deleted them, by reason.",
                &["reason"],
            )?,
        };
        for reason in Evicted::ALL {
            metrics.evictions.with_label_values(&[reason.as_str()]);
        }
        Ok(metrics)
    }

    pub fn evicted(&self, reason: Evicted) {
        self.evictions.with_label_values(&[reason.as_str()]).inc();
    }

    pub fn show(&self, count: usize, bytes: usize) {
        self.count.set(i64::try_from(count).unwrap_or(i64::MAX));
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}
