//! `[responses]`: how many responses are kept, and for how long.

use std::time::Duration;

use super::kind;
use super::section::Section;

/// A day.
const KEEP: Duration = Duration::from_secs(24 * 3600);
/// A month, which is what OpenAI keeps.
const MAX_KEEP_SECONDS: u32 = 30 * 24 * 3600;

/// How many responses are kept in memory, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Responses {
    /// 0 keeps none.
    pub max_stored: usize,
    /// Of all of them, with the conversations they belong to.
    pub max_stored_bytes: usize,
    pub keep: Duration,
}

impl Responses {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let bytes = kind::integer(0..=1 << 36);
        Self {
            max_stored: section.get("max_stored", &kind::integer(0..=1_000_000), 1000),
            max_stored_bytes: section.get("max_stored_bytes", &bytes, 64 * 1024 * 1024),
            keep: section.get("keep_seconds", &kind::seconds(MAX_KEEP_SECONDS), KEEP),
        }
    }
}
