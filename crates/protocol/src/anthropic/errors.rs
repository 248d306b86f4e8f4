//! Error bodies and the error event.

use bytes::Bytes;
use serde::Serialize;

use crate::codec::End;
use crate::error::{ErrorKind, Failure};
use crate::openai::errors::{message_with_details, unexplained};

#[derive(Serialize)]
struct ErrorBody<'a> {
    r#type: &'static str,
    error: ErrorObject<'a>,
}

#[derive(Serialize)]
struct ErrorObject<'a> {
    r#type: &'static str,
    message: &'a str,
    /// The gateway's own code. Clients of this dialect pass over what they do not know.
    code: &'static str,
}

/// A failure as the body of an error response, and as the data of a stream's error event.
#[must_use]
pub fn error_body(failure: &Failure) -> Vec<u8> {
    let message = message_with_details(failure);
    let error = ErrorObject {
        r#type: error_type(failure.kind),
        message: &message,
        code: failure.kind.code(),
    };
    // Strings only: there is nothing that could fail.
    serde_json::to_vec(&ErrorBody { r#type: "error", error }).unwrap_or_default()
}

fn error_type(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest
        | ErrorKind::MethodNotAllowed
        | ErrorKind::UnsupportedMediaType
        | ErrorKind::UpstreamRejected => "invalid_request_error",
        ErrorKind::Unauthorized => "authentication_error",
        ErrorKind::Forbidden => "permission_error",
        ErrorKind::NotFound | ErrorKind::ModelNotFound => "not_found_error",
        ErrorKind::PayloadTooLarge => "request_too_large",
        ErrorKind::RateLimited
        | ErrorKind::Capacity
        | ErrorKind::ConnectionLimit
        | ErrorKind::QueueFull
        | ErrorKind::UpstreamRateLimited => "rate_limit_error",
        ErrorKind::QueueTimeout
        | ErrorKind::NoTarget
        | ErrorKind::Draining
        | ErrorKind::Drained
        | ErrorKind::UpstreamOverloaded => "overloaded_error",
        ErrorKind::RequestTimeout | ErrorKind::UpstreamTimeout => "timeout_error",
        _ => "api_error",
    }
}

/// The terminal of a stream that failed. The SDKs raise on it.
pub(super) fn error_event(end: &End<'_>) -> Bytes {
    let unknown = unexplained(end.outcome);
    let body = error_body(end.failure.unwrap_or(&unknown));
    Bytes::from([b"event: error\ndata: ", body.as_slice(), b"\n\n"].concat())
}
