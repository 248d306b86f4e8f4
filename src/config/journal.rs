//! `[journal]`: what is kept of streams, so that clients can come back to them.

use std::time::Duration;

use super::kind;
use super::section::Section;

/// Ten minutes: a reload, a tunnel, a lunch break without a network.
const KEEP: Duration = Duration::from_secs(600);
const MAX_KEEP_SECONDS: u32 = 24 * 3600;
const MIB: usize = 1024 * 1024;

/// What is kept of streams in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// Of one stream; beyond it its oldest frames go. 0 keeps nothing of any.
    pub max_stream_bytes: usize,
    /// Of all streams; beyond it those that ended first go.
    pub max_bytes: usize,
    /// How long a stream is kept after its end.
    pub keep: Duration,
    /// How many clients may read one stream.
    pub max_watchers: usize,
    /// A client that is further behind than this is dropped, unless all others are too.
    pub max_lag_bytes: usize,
}

impl Journal {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let bytes = kind::integer(0..=1 << 36);
        let max_bytes = section.get("max_bytes", &bytes, 256 * MIB);
        let default = MIB.min(max_bytes);
        let max_stream_bytes = section.get("max_stream_bytes", &bytes, default);
        if max_stream_bytes > max_bytes && section.is_sound("max_bytes") {
            let explanation = format!("must not exceed journal.max_bytes, which is {max_bytes}");
            section.conflict("max_stream_bytes", explanation);
        }
        Self {
            max_stream_bytes,
            max_bytes,
            keep: section.get("keep_seconds", &kind::seconds(MAX_KEEP_SECONDS), KEEP),
            max_watchers: section.get("max_watchers", &kind::integer(1..=10_000), 32),
            max_lag_bytes: section.get("max_lag_bytes", &kind::integer(4096..=1 << 30), MIB / 4),
        }
    }

    /// Whether anything is kept.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.max_stream_bytes > 0
    }
}
