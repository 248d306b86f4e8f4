//! How often one request may ask its upstream.

use std::time::Duration;

use super::kind;
use super::section::Section;

/// When an upstream is asked again for one answer, and how often all of a model's requests may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retries {
    /// How often one request may go out, the first time included.
    pub max_attempts: u32,
    /// So many more, at targets that have answered others lately.
    pub proven_attempts: u32,
    /// Further attempts for each hundred requests.
    pub budget_percent: u32,
    /// An upstream that asks for a longer pause is not asked again.
    pub max_pause: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            max_attempts: 2,
            proven_attempts: 1,
            budget_percent: 20,
            max_pause: Duration::from_secs(1),
        }
    }
}

impl Retries {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let mut integer = |key, default, range| section.get(key, &kind::integer(range), default);
        Self {
            max_attempts: integer("max_attempts", default.max_attempts, 1..=10),
            proven_attempts: integer("proven_attempts", default.proven_attempts, 0..=10),
            budget_percent: integer("retry_budget_percent", default.budget_percent, 0..=100),
            max_pause: section.get(
                "max_retry_pause_seconds",
                &kind::seconds(60),
                default.max_pause,
            ),
        }
    }
}
