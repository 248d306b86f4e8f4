//! `[console]`: the page at `/`.

use super::kind;
use super::section::Section;

/// The page at `/`, and what it is fed with.
#[derive(Debug, Clone, PartialEq)]
pub struct Console {
    pub enabled: bool,
    /// Samples of a second each that are kept for its charts.
    pub history: usize,
    /// How many pages may be fed at a time.
    pub max_pages: usize,
    /// How many streams a page is told of; of more, only how many.
    pub max_streams: usize,
}

impl Console {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            enabled: section.get("enabled", &kind::boolean(), true),
            history: section.get("history_seconds", &kind::integer(60..=3600), 900),
            max_pages: section.get("max_pages", &kind::integer(1..=1000), 16),
            max_streams: section.get("max_streams", &kind::integer(1..=10_000), 1000),
        }
    }
}
