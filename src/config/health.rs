//! `[health]`: how upstreams are watched, and when one is left alone.

use std::time::Duration;

use super::kind;
use super::section::Section;

/// How upstreams are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Time between two probes of one upstream.
    pub interval: Duration,
    /// A probe that takes longer has failed.
    pub timeout: Duration,
    pub ejection: Ejection,
}

/// When a target is not asked any more, while its model has others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ejection {
    /// After so many failures in a row.
    pub failures: u32,
    /// Or where so many of a hundred requests fail.
    pub failure_percent: u32,
    /// For so long the first time; then twice as long each time.
    pub open: Duration,
    /// But no longer than this.
    pub max_open: Duration,
    /// One that is back gets its share step by step within this time.
    pub slow_start: Duration,
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            failures: 3,
            failure_percent: 10,
            open: Duration::from_secs(5),
            max_open: Duration::from_secs(60),
            slow_start: Duration::from_secs(10),
        }
    }
}

impl Health {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let interval = Duration::from_secs(5);
        let timeout = Duration::from_secs(3);
        Self {
            interval: section.get("interval_seconds", &kind::seconds(3600), interval),
            timeout: section.get("timeout_seconds", &kind::seconds(300), timeout),
            ejection: Ejection::read(section),
        }
    }
}

impl Ejection {
    fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let failures = kind::integer(1..=1000);
        let failures = section.get("failures_in_a_row", &failures, default.failures);
        let percent = kind::integer(1..=100);
        let failure_percent = section.get("failure_percent", &percent, default.failure_percent);
        let mut seconds = |key, default| section.get(key, &kind::seconds(3600), default);
        let read = Self {
            failures,
            failure_percent,
            open: seconds("open_seconds", default.open),
            max_open: seconds("max_open_seconds", default.max_open),
            slow_start: seconds("slow_start_seconds", default.slow_start),
        };
        if read.max_open < read.open {
            section.conflict("max_open_seconds", "must be no less than open_seconds");
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_target_is_left_alone_for_no_longer_than_the_bound() {
        let load = |text: &str| {
            let loaded = Config::parse(&format!("[health]\n{text}\n"), []);
            loaded.map(|loaded| loaded.config.health.ejection).map_err(|faults| faults.to_string())
        };
        assert_eq!(load("").unwrap(), Ejection::default());
        assert_eq!(load("max_open_seconds = 5").unwrap().max_open, Duration::from_secs(5));
        let fault = load("open_seconds = 10\nmax_open_seconds = 5").unwrap_err();
        assert!(fault.contains("must be no less than open_seconds"), "{fault}");
    }
}
