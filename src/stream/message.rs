//! What a stream can be asked, and what it tells the registry.

use std::time::{Duration, Instant};

use actix::Message;
use serde::Serialize;
use tidegate_protocol::StreamId;

/// Ends a stream: the upstream connection is closed at once.
#[derive(Message, Clone, Copy)]
#[rtype(result = "()")]
pub struct Cancel(pub CancelCause);

/// Who wanted the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelCause {
    /// Somebody asked for it by id.
    Request,
    /// The gateway shuts down and its grace is over.
    Drain,
}

/// Asks a stream what it does.
#[derive(Message)]
#[rtype(result = "StreamInfo")]
pub struct Inspect;

/// Tells the registry that a stream is no more, however it went.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Gone(pub StreamId);

/// A stream as the list shows it. Durations are in milliseconds.
#[derive(Debug, Clone, Serialize, actix::MessageResponse)]
#[serde(rename_all = "camelCase")]
pub struct StreamInfo {
    /// When the request arrived: ages are told by each stream at a moment of its own.
    #[serde(skip)]
    pub arrived: Instant,
    pub request_id: String,
    pub model: String,
    pub provider: &'static str,
    /// The target that is asked, once one is.
    pub target: Option<String>,
    pub dialect: &'static str,
    /// `queued`, `connecting`, `waiting` or `streaming`.
    pub state: &'static str,
    pub age_ms: u64,
    pub queue_wait_ms: u64,
    /// How often the request went to the upstream.
    pub attempts: u32,
    /// How often another model went on with it.
    pub continuations: u32,
    pub time_to_first_token_ms: Option<u64>,
    /// Pieces of the answer passed on so far.
    pub tokens: u64,
    pub tokens_per_second: Option<f64>,
    /// Bytes taken from the upstream that the client has not taken yet.
    pub bytes_buffered: usize,
    /// The name of the API key, or `anonymous`.
    pub owner: String,
    /// The client's address.
    pub client: Option<String>,
    /// The answer goes on without a client, as the policy on disconnects has it.
    pub client_left: bool,
    /// How many clients read it.
    pub watchers: usize,
}

/// Whole milliseconds, for people and dashboards.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
