//! `[access_log]`: where it is written what became of each request.

use std::path::PathBuf;

use super::kind;
use super::log::buffer_bytes;
use super::section::Section;

/// Where access records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// Whether each is a line of the log.
    pub log: bool,
    /// A file of JSON lines.
    pub file: Option<PathBuf>,
    /// Lines that wait for the disk; more are dropped.
    pub buffer_bytes: usize,
}

impl AccessLog {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let file = kind::text("the path of a file", |path| {
            (!path.is_empty()).then(|| PathBuf::from(path))
        });
        Self {
            log: section.get("log", &kind::boolean(), true),
            file: section.optional("file", &file),
            buffer_bytes: section.get("buffer_bytes", &buffer_bytes(), 4 * 1024 * 1024),
        }
    }
}
