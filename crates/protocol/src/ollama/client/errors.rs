//! Errors as Ollama words them: an object with one string.

use bytes::Bytes;
use serde::Serialize;

use crate::codec::End;
use crate::error::Failure;
use crate::openai::errors::{message_with_details, unexplained};

#[derive(Serialize)]
struct ErrorBody {
    error: String,
}

/// A failure as the body of a response. This dialect has no list of faults and no code.
#[must_use]
pub fn error_body(failure: &Failure) -> Vec<u8> {
    // One string: there is nothing that could fail.
    serde_json::to_vec(&ErrorBody { error: message_with_details(failure) }).unwrap_or_default()
}

/// The terminal of a stream that failed. Ollama's clients raise on it.
pub(in crate::ollama) fn error_line(end: &End<'_>) -> Bytes {
    let unknown = unexplained(end.outcome);
    let mut line = error_body(end.failure.unwrap_or(&unknown));
    line.push(b'\n');
    Bytes::from(line)
}
