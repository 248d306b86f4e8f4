//! What an inference server says of its load among its own metrics, in Prometheus' text format.
//!
//! Of the format only what its gauges need is read, and what is not understood is passed over: a server
//! has hundreds of other lines.

use crate::error::{ErrorKind, Failure};

/// Requests that wait: vLLM's, llama.cpp's. A server has one line for each of its engines.
const WAITING: [&str; 2] = ["vllm:num_requests_waiting", "llamacpp:requests_deferred"];

/// Requests that are worked on, by the same.
const RUNNING: [&str; 2] = ["vllm:num_requests_running", "llamacpp:requests_processing"];

/// The part of the cache that is taken: vLLM's, its name before that, llama.cpp's while it had one.
const CACHE: [&str; 3] =
    ["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "llamacpp:kv_cache_usage_ratio"];

/// How busy an inference server is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct EngineLoad {
    /// Requests that are worked on, at all its engines together; none where nothing is said of them.
    pub running: u32,
    /// Requests that wait, at all its engines together.
    pub waiting: u32,
    /// The part of its fullest cache that is taken, 0 to 1, where it says so.
    pub cache: Option<f64>,
}

/// Reads the load out of all metrics of a server.
///
/// # Errors
/// Where nothing is said of it.
pub fn decode_load(text: &[u8]) -> Result<EngineLoad, Failure> {
    let mut running = 0.0;
    let mut waiting: Option<f64> = None;
    let mut cache: Option<f64> = None;
    for (name, value) in text.split(|byte| *byte == b'\n').filter_map(sample) {
        if WAITING.contains(&name) {
            waiting = Some(waiting.unwrap_or(0.0) + value);
        } else if RUNNING.contains(&name) {
            running += value;
        } else if CACHE.contains(&name) {
            cache = Some(cache.unwrap_or(0.0).max(value).min(1.0));
        }
    }
    let waiting = waiting.ok_or_else(|| {
        Failure::new(ErrorKind::UpstreamProtocol, "the upstream's metrics say nothing of its load")
    })?;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and a cast ends at the largest number there is"
    )]
    Ok(EngineLoad { running: running as u32, waiting: waiting as u32, cache })
}

/// The name and the value of a line, if it is a sample with a value that counts or measures: neither
/// negative nor without end.
fn sample(line: &[u8]) -> Option<(&str, f64)> {
    let line = std::str::from_utf8(line).ok()?.trim();
    let end = line.find(|char: char| char == '{' || char.is_ascii_whitespace())?;
    let (name, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let values = match rest.strip_prefix('{') {
        Some(labels) => behind_labels(labels)?,
        None => rest,
    };
    let value: f64 = values.split_ascii_whitespace().next()?.parse().ok()?;
    (value.is_finite() && value >= 0.0).then_some((name, value))
}

/// What comes behind the brace that closes the labels. Within quotes it closes nothing.
fn behind_labels(text: &str) -> Option<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b'}' if !is_quoted => return text.get(at + 1..),
            _ => {}
        }
    }
    None
}
