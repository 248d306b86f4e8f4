//! What is kept of streams, who comes back to them, and what had to go.

use prometheus::{IntCounter, IntCounterVec, IntGauge};

use super::declare::Declare;

/// Why a stream is kept no longer.
#[derive(Debug, Clone, Copy)]
pub enum Forgotten {
    Age,
    Bytes,
}

impl Forgotten {
    const ALL: [Self; 2] = [Self::Age, Self::Bytes];

    fn as_str(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Bytes => "bytes",
        }
    }
}

/// How a client came to a stream that was there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attached {
    /// It asked for the stream by its id.
    ById,
    /// It asked again with the same key.
    ByKey,
    /// It asked the same as another at the same time.
    Coalesced,
}

impl Attached {
    const ALL: [Self; 3] = [Self::ById, Self::ByKey, Self::Coalesced];

    fn as_str(self) -> &'static str {
        match self {
            Self::ById => "id",
            Self::ByKey => "key",
            Self::Coalesced => "coalesced",
        }
    }
}

/// The metrics of the journals.
#[derive(Clone)]
pub struct JournalMetrics {
    streams: IntGauge,
    bytes: IntGauge,
    evictions: IntCounterVec,
    attached: IntCounterVec,
    too_slow: IntCounter,
}

impl JournalMetrics {
    pub(super) fn declare(declare: &Declare) -> prometheus::Result<Self> {
        let metrics = Self {
            streams: declare
                .gauge("ai_gateway_journals", "Streams whose frames are kept, running or ended.")?,
            bytes: declare.gauge("ai_gateway_journal_bytes", "Bytes of the frames kept.")?,
            evictions: declare.counters(
                "ai_gateway_journal_evictions_total",
                "Ended streams that are kept no longer, by reason.",
                &["reason"],
            )?,
            attached: declare.counters(
                "ai_gateway_attached_total",
                "Clients that joined a stream which was there already, by how they named it.",
                &["by"],
            )?,
            too_slow: declare.counter(
                "ai_gateway_slow_watchers_total",
                "Clients dropped from a stream for falling behind the others.",
            )?,
        };
        for reason in Forgotten::ALL {
            metrics.evictions.with_label_values(&[reason.as_str()]);
        }
        for by in Attached::ALL {
            metrics.attached.with_label_values(&[by.as_str()]);
        }
        Ok(metrics)
    }

    pub fn forgotten(&self, reason: Forgotten) {
        self.evictions.with_label_values(&[reason.as_str()]).inc();
    }

    pub fn attached(&self, by: Attached) {
        self.attached.with_label_values(&[by.as_str()]).inc();
    }

    pub fn too_slow(&self, clients: u64) {
        self.too_slow.inc_by(clients);
    }

    pub fn show(&self, streams: usize, bytes: usize) {
        self.streams.set(i64::try_from(streams).unwrap_or(i64::MAX));
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}
