//! What a gateway says of its streams and models.
//!
//! Fields that are not there have their defaults: a gateway may be older than this program.

use serde::Deserialize;

/// `GET /api/chat/streams`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the wire's own names")]
pub struct Streams {
    /// Of the whole gateway.
    pub active_count: u64,
    pub stats: Stats,
    /// Those that the key may see.
    pub streams: Vec<Stream>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Stats {
    pub max_streams: u64,
    pub queued: u64,
    pub bytes_buffered: u64,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Stream {
    pub request_id: String,
    pub model: String,
    pub target: Option<String>,
    pub owner: String,
    pub state: String,
    pub age_ms: u64,
    pub time_to_first_token_ms: Option<u64>,
    pub tokens: u64,
    pub tokens_per_second: Option<f64>,
    pub bytes_buffered: u64,
}

/// `GET /api/models`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Models {
    pub models: Vec<Model>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Model {
    pub name: String,
    pub status: String,
    pub max_concurrency: u64,
    pub targets: Vec<Target>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Target {
    pub name: String,
    pub provider: String,
    pub status: String,
    pub reason: Option<String>,
    pub circuit: String,
    pub max_concurrency: u64,
    pub active: u64,
    pub time_to_first_token_ms: Option<u64>,
    pub failing: f64,
}

/// Both, as they were at about one moment.
#[derive(Debug, Default)]
pub struct Lists {
    pub streams: Streams,
    pub models: Vec<Model>,
}

impl Lists {
    /// What all listed streams get together.
    #[must_use]
    pub fn tokens_per_second(&self) -> f64 {
        let streaming = self.streams.streams.iter().filter(|stream| stream.state == "streaming");
        // The sum of none would be a negative zero.
        streaming.filter_map(|stream| stream.tokens_per_second).fold(0.0, |sum, rate| sum + rate)
    }

    /// Listed streams of a model that wait for a permit.
    #[must_use]
    pub fn queued(&self, model: &str) -> usize {
        let queued = |stream: &&Stream| stream.model == model && stream.state == "queued";
        self.streams.streams.iter().filter(queued).count()
    }
}

impl Model {
    /// Permits that are taken.
    #[must_use]
    pub fn active(&self) -> u64 {
        self.targets.iter().map(|target| target.active).sum()
    }
}
