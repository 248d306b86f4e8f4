//! The spans of one request: its own; `admission`; `stream`, which may outlive it; below that `queue`, and one
//! for each upstream that is asked, with its `first token`.
//!
//! - [`request`]: by OpenTelemetry's conventions for HTTP servers.
//! - [`stream`]: from its opening to its one outcome.
//! - [`upstream`]: by its conventions for generative AI.

pub mod request;
pub mod stream;
pub mod upstream;

pub use request::{AdmissionSpan, RequestSpan};
pub use stream::StreamSpan;
pub use upstream::UpstreamSpan;

use tidegate_protocol::ErrorKind;

/// Of a request, in every one of its spans that has it.
const REQUEST_ID: &str = "tidegate.request.id";
const OUTCOME: &str = "tidegate.outcome";
const ATTEMPTS: &str = "tidegate.attempts";
const TARGET: &str = "tidegate.target";
const REQUEST_MODEL: &str = "gen_ai.request.model";
const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";

/// As what it failed, in spans and metrics. A cancelled request did not: somebody wanted it so.
#[must_use]
pub fn error_type(failure: Option<ErrorKind>) -> Option<&'static str> {
    failure.filter(|kind| *kind != ErrorKind::Cancelled).map(ErrorKind::code)
}

/// As attributes have it.
fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
