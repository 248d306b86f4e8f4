//! `[log]`: how much is logged, and in which form.

use super::kind;
use super::section::Section;

/// How much is logged, and in which form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub level: LogLevel,
    pub format: LogFormat,
    /// Lines that wait for whoever reads them; more are dropped.
    pub buffer_bytes: usize,
}

/// The least important lines that are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// For whom lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line, for collectors.
    Json,
    /// For people.
    Pretty,
}

impl LogFormat {
    const ALL: [Self; 2] = [Self::Json, Self::Pretty];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Pretty => "pretty",
        }
    }
}

/// What may wait to be written: from a few long lines on.
pub(super) fn buffer_bytes() -> kind::Kind<usize> {
    kind::integer(16 * 1024..=1024 * 1024 * 1024)
}

impl Log {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let level = kind::choice(&LogLevel::ALL, LogLevel::as_str);
        let format = kind::choice(&LogFormat::ALL, LogFormat::as_str);
        Self {
            level: section.get("level", &level, LogLevel::Info),
            format: section.get("format", &format, LogFormat::Pretty),
            buffer_bytes: section.get("buffer_bytes", &buffer_bytes(), 1024 * 1024),
        }
    }
}
