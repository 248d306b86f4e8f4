//! Histograms of answers by OpenTelemetry's conventions for generative AI, as of their version 1.41.
//!
//! The names stand here, for the crate of the conventions calls them moved to another one, which does not
//! exist yet.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, Meter};

const OPERATION: &str = "gen_ai.operation.name";
const PROVIDER: &str = "gen_ai.provider.name";
const REQUEST_MODEL: &str = "gen_ai.request.model";
const RESPONSE_MODEL: &str = "gen_ai.response.model";
const TOKEN_TYPE: &str = "gen_ai.token.type";
const ERROR_TYPE: &str = "error.type";

/// The buckets that the conventions ask for, in seconds and in tokens.
const DURATION: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const FIRST_TOKEN: [f64; 16] =
    [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
const PER_TOKEN: [f64; 13] =
    [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];
const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// An answer, when it is over.
#[derive(Debug, Clone)]
pub struct Measured<'a> {
    /// `chat`, `text_completion` or `embeddings`.
    pub operation: &'static str,
    pub provider: &'static str,
    /// As the configuration names it.
    pub request_model: &'a str,
    /// That which answered, as the configuration names it; none where none did.
    pub response_model: Option<&'a str>,
    pub completed: bool,
    /// One of few words; none where it was completed or cancelled.
    pub error_type: Option<&'static str>,
    pub duration: Duration,
    pub first_token: Option<Duration>,
    /// As the upstream counted, if it did.
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
}

/// The histograms. Cheap to clone.
#[derive(Clone)]
pub struct GenAiMetrics {
    duration: Histogram<f64>,
    first_token: Histogram<f64>,
    per_token: Histogram<f64>,
    tokens: Histogram<u64>,
}

impl GenAiMetrics {
    pub(super) fn new(meter: &Meter) -> Self {
        let seconds = |name: &'static str, what: &'static str, buckets: &[f64]| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(what);
            histogram.with_boundaries(buckets.to_vec()).build()
        };
        let tokens = meter.u64_histogram("gen_ai.client.token.usage").with_unit("{token}");
        let tokens = tokens.with_description("Number of input and output tokens used.");
        Self {
            duration: seconds(
                "gen_ai.server.request.duration",
                "From the request to the end of its answer.",
                &DURATION,
            ),
            first_token: seconds(
                "gen_ai.server.time_to_first_token",
                "From the request to the first token of an answer that was completed.",
                &FIRST_TOKEN,
            ),
            per_token: seconds(
                "gen_ai.server.time_per_output_token",
                "Behind the first token of an answer that was completed.",
                &PER_TOKEN,
            ),
            tokens: tokens.with_boundaries(TOKENS.to_vec()).build(),
        }
    }

    /// Records an answer, once, when it is over.
    pub fn record(&self, measured: &Measured<'_>) {
        let mut attributes = vec![
            KeyValue::new(OPERATION, measured.operation),
            KeyValue::new(PROVIDER, measured.provider),
            KeyValue::new(REQUEST_MODEL, measured.request_model.to_owned()),
        ];
        let model = measured.response_model;
        attributes.extend(model.map(|name| KeyValue::new(RESPONSE_MODEL, name.to_owned())));
        let used = [("input", measured.input_tokens), ("output", measured.output_tokens)];
        for (kind, count) in used {
            let Some(count) = count else { continue };
            attributes.push(KeyValue::new(TOKEN_TYPE, kind));
            self.tokens.record(count, &attributes);
            attributes.pop();
        }
        if measured.completed {
            self.record_pace(measured, &attributes);
        }
        attributes.extend(measured.error_type.map(|error| KeyValue::new(ERROR_TYPE, error)));
        self.duration.record(measured.duration.as_secs_f64(), &attributes);
    }

    fn record_pace(&self, measured: &Measured<'_>, attributes: &[KeyValue]) {
        let Some(first) = measured.first_token else { return };
        self.first_token.record(first.as_secs_f64(), attributes);
        let others = measured.output_tokens.unwrap_or(0).saturating_sub(1);
        if others > 0 {
            let rest = measured.duration.saturating_sub(first).as_secs_f64();
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
            self.per_token.record(rest / others as f64, attributes);
        }
    }
}
