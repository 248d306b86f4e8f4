//! `[reload]`: when the configuration is read again.

use std::time::Duration;

use super::kind;
use super::section::Section;

/// A change is seen about as soon as whoever made it looks, and reading a small file so often costs
/// nothing that could be measured.
const WATCH: Duration = Duration::from_secs(2);

/// When the configuration is read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reload {
    /// Whether a change of the file is enough. SIGHUP always is.
    pub watch: bool,
    /// Time between two looks at the file.
    pub every: Duration,
}

impl Reload {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            watch: section.get("watch", &kind::boolean(), true),
            every: section.get("watch_seconds", &kind::seconds(3600), WATCH),
        }
    }
}
