//! `[websocket]`: the sockets of `GET /api/ws`.

use std::time::Duration;

use super::kind;
use super::section::Section;

/// A page sends its key with its first breath.
const AUTH_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_AUTH_TIMEOUT_SECONDS: u32 = 300;

/// The bounds of sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocket {
    /// That may be open at a time, over all workers.
    pub max_sockets: usize,
    /// That one socket may follow at a time.
    pub max_streams: usize,
    /// How long a client without a key in its head may take to send it.
    pub auth_timeout: Duration,
}

impl WebSocket {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            max_sockets: section.get("max_sockets", &kind::integer(1..=1_000_000), 1000),
            max_streams: section.get("max_streams_per_socket", &kind::integer(1..=10_000), 32),
            auth_timeout: section.get(
                "auth_timeout_seconds",
                &kind::seconds(MAX_AUTH_TIMEOUT_SECONDS),
                AUTH_TIMEOUT,
            ),
        }
    }
}
