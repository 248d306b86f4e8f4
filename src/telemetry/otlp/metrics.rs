//! How much of what was recorded reaches the collector.

use prometheus::{IntCounter, IntCounterVec};

use super::Signal;
use crate::telemetry::declare::Declare;

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The collector has it.
    Sent,
    /// The collector did not take it.
    Failed,
    /// Too many waited.
    Dropped,
}

impl Fate {
    const ALL: [Self; 3] = [Self::Sent, Self::Failed, Self::Dropped];

    fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// The metrics of what is sent to a collector.
#[derive(Clone)]
pub struct OtlpMetrics(IntCounterVec);

impl OtlpMetrics {
    pub(in crate::telemetry) fn declare(declare: &Declare) -> prometheus::Result<Self> {
        let exports = declare.counters(
            "ai_gateway_otlp_exports_total",
            "Spans, metrics and access records for the collector, by what became of them.",
            &["signal", "result"],
        )?;
        let metrics = Self(exports);
        for signal in Signal::ALL {
            for fate in Fate::ALL {
                metrics.counter(signal, fate);
            }
        }
        Ok(metrics)
    }

    pub(super) fn counter(&self, signal: Signal, fate: Fate) -> IntCounter {
        self.0.with_label_values(&[signal.as_str(), fate.as_str()])
    }
}
