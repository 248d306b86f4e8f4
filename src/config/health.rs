//! `[health]`: how upstreams are watched.

use std::time::Duration;

use super::kind;
use super::section::Section;

/// How upstreams are watched.
#[derive(Debug, Clone)]
pub struct Health {
    /// Time between two probes of one upstream.
    pub interval: Duration,
    /// A probe that takes longer has failed.
    pub timeout: Duration,
}

impl Health {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let interval = Duration::from_secs(10);
        let timeout = Duration::from_secs(3);
        Self {
            interval: section.get("interval_seconds", &kind::seconds(3600), interval),
            timeout: section.get("timeout_seconds", &kind::seconds(300), timeout),
        }
    }
}
