//! Which configuration is in force, and what became of later ones.

use prometheus::{IntCounterVec, IntGauge};

use super::clock;
use super::declare::Declare;

/// What became of a configuration that was read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadResult {
    Applied,
    /// It says the same.
    Unchanged,
    /// It has faults, and the one before it goes on.
    Refused,
}

impl ReloadResult {
    const ALL: [Self; 3] = [Self::Applied, Self::Unchanged, Self::Refused];

    /// As metrics and logs spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        }
    }
}

/// The metrics of the configuration.
#[derive(Clone)]
pub struct ReloadMetrics {
    reloads: IntCounterVec,
    /// The first is 1.
    pub generation: IntGauge,
    is_current: IntGauge,
    at: IntGauge,
}

impl ReloadMetrics {
    pub(super) fn declare(declare: &Declare) -> prometheus::Result<Self> {
        let metrics = Self {
            reloads: declare.counters(
                "ai_gateway_config_reloads_total",
                "Times the configuration was read again, by what became of it.",
                &["result"],
            )?,
            generation: declare.gauge(
                "ai_gateway_config_generation",
                "The configuration in force: 1 is that of the start, each that was applied one more.",
            )?,
            is_current: declare.gauge(
                "ai_gateway_config_last_reload_successful",
                "0 while the file has faults, and an earlier configuration is in force.",
            )?,
            at: declare.gauge(
                "ai_gateway_config_last_reload_timestamp_seconds",
                "When the configuration in force was read.",
            )?,
        };
        for result in ReloadResult::ALL {
            metrics.reloads.with_label_values(&[result.as_str()]);
        }
        Ok(metrics)
    }

    /// A configuration is in force from now on.
    pub fn in_force(&self, generation: u64) {
        self.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
        self.is_current.set(1);
        self.at.set(i64::try_from(clock::unix_seconds()).unwrap_or(i64::MAX));
    }

    /// The configuration was read again.
    pub fn count(&self, result: ReloadResult) {
        self.reloads.with_label_values(&[result.as_str()]).inc();
        self.is_current.set(i64::from(result != ReloadResult::Refused));
    }
}
