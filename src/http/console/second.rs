//! What pages are told: once what there was, then every second what there is.
//!
//! Streams and samples are rows of values; what their columns are is said once, at the beginning.

use bytes::{BufMut, Bytes, BytesMut};
use prometheus::IntGauge;
use serde::Serialize;
use serde::ser::{SerializeSeq, SerializeTuple, Serializer};

use crate::http::models::ModelInfo;
use crate::stream::StreamInfo;
use crate::telemetry::{ModelMetrics, Sample, history};

/// What of a stream is told, in this order.
const COLUMNS: [&str; 16] = [
    "id",
    "model",
    "target",
    "dialect",
    "state",
    "ageMs",
    "queueWaitMs",
    "ttftMs",
    "tokens",
    "tokensPerSecond",
    "buffered",
    "owner",
    "client",
    "clientLeft",
    "watchers",
    "attempts",
];

/// The first event: how to read the others, and the last minutes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Hello<'a> {
    version: &'static str,
    owner: &'a str,
    history_seconds: usize,
    stream_columns: [&'static str; COLUMNS.len()],
    sample_columns: [&'static str; history::COLUMNS.len()],
    samples: Vec<&'a Sample>,
}

impl<'a> Hello<'a> {
    pub fn new(owner: &'a str, history_seconds: usize, samples: Vec<&'a Sample>) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            owner,
            history_seconds,
            stream_columns: COLUMNS,
            sample_columns: history::COLUMNS,
            samples,
        }
    }
}

/// One second.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Second<'a> {
    pub sample: &'a Sample,
    pub draining: bool,
    /// Streams of the whole gateway, which may be more than are listed.
    pub active: usize,
    pub limit: usize,
    /// The oldest first.
    #[serde(serialize_with = "rows")]
    pub streams: &'a [StreamInfo],
    pub models: Vec<ModelRow>,
}

/// A model with what its queue and permits are at.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModelRow {
    #[serde(flatten)]
    info: ModelInfo,
    permits: i64,
    permits_in_use: i64,
    queued: i64,
}

impl ModelRow {
    pub fn new(info: ModelInfo, metrics: &ModelMetrics) -> Self {
        let [permits, permits_in_use, queued] =
            [&metrics.permits, &metrics.permits_in_use, &metrics.queued].map(IntGauge::get);
        Self { info, permits, permits_in_use, queued }
    }
}

/// An event as it goes out.
pub(super) fn event(name: &str, data: &impl Serialize) -> Bytes {
    let mut event = BytesMut::with_capacity(4096);
    event.put_slice(b"event: ");
    event.put_slice(name.as_bytes());
    event.put_slice(b"\ndata: ");
    let mut writer = event.writer();
    // Writing numbers and texts to memory does not fail.
    let _ = serde_json::to_writer(&mut writer, data);
    let mut event = writer.into_inner();
    event.put_slice(b"\n\n");
    event.freeze()
}

fn rows<S: Serializer>(streams: &[StreamInfo], serializer: S) -> Result<S::Ok, S::Error> {
    let mut rows = serializer.serialize_seq(Some(streams.len()))?;
    for stream in streams {
        rows.serialize_element(&Row(stream))?;
    }
    rows.end()
}

struct Row<'a>(&'a StreamInfo);

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let it = self.0;
        let pace = it.tokens_per_second.map(|pace| (pace * 10.0).round() / 10.0);
        let mut row = serializer.serialize_tuple(COLUMNS.len())?;
        row.serialize_element(&it.request_id)?;
        row.serialize_element(&it.model)?;
        row.serialize_element(&it.target)?;
        row.serialize_element(it.dialect)?;
        row.serialize_element(it.state)?;
        row.serialize_element(&it.age_ms)?;
        row.serialize_element(&it.queue_wait_ms)?;
        row.serialize_element(&it.time_to_first_token_ms)?;
        row.serialize_element(&it.tokens)?;
        row.serialize_element(&pace)?;
        row.serialize_element(&it.bytes_buffered)?;
        row.serialize_element(&it.owner)?;
        row.serialize_element(&it.client)?;
        row.serialize_element(&it.client_left)?;
        row.serialize_element(&it.watchers)?;
        row.serialize_element(&it.attempts)?;
        row.end()
    }
}
