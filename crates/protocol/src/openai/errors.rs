//! Error bodies: those the gateway writes, and those it reads from upstreams.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::{ErrorKind, Failure};
use crate::outcome::Outcome;

/// An upstream's message is cut to so many characters.
const MESSAGE_CHARS: usize = 500;
const UNWORDED: &str = "the upstream reported an error";

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorObject<'a>,
}

#[derive(Serialize)]
pub(crate) struct ErrorObject<'a> {
    message: String,
    r#type: &'static str,
    param: Option<&'a str>,
    code: &'static str,
}

impl<'a> ErrorObject<'a> {
    pub fn new(failure: &'a Failure, status: u16) -> Self {
        let param = match failure.details.as_slice() {
            [one] => Some(one.field.as_str()),
            _ => None,
        };
        Self {
            message: message_with_details(failure),
            r#type: error_type(failure.kind, status),
            param,
            code: failure.upstream_code.unwrap_or_else(|| code(failure.kind)),
        }
    }
}

/// A failure as the body of a response with `status`, and of the error frame of a stream.
#[must_use]
pub fn error_body(failure: &Failure, status: u16) -> Vec<u8> {
    let error = ErrorObject::new(failure, status);
    // Strings only: there is nothing that could fail.
    serde_json::to_vec(&ErrorBody { error }).unwrap_or_default()
}

/// This dialect has no list of faults, so the message names them all.
pub(crate) fn message_with_details(failure: &Failure) -> String {
    if failure.details.len() < 2 {
        return failure.message.clone();
    }
    let faults: Vec<_> =
        failure.details.iter().map(|fault| format!("{}: {}", fault.field, fault.message)).collect();
    format!("{}: {}", failure.message, faults.join("; "))
}

/// OpenAI's own word, where it has one that clients look for.
fn code(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ModelNotFound => "model_not_found",
        ErrorKind::Unauthorized => "invalid_api_key",
        ErrorKind::RateLimited => "rate_limit_exceeded",
        kind => kind.code(),
    }
}

fn error_type(kind: ErrorKind, status: u16) -> &'static str {
    match kind {
        ErrorKind::RateLimited
        | ErrorKind::Capacity
        | ErrorKind::ConnectionLimit
        | ErrorKind::QueueFull
        | ErrorKind::UpstreamRateLimited => "rate_limit_error",
        ErrorKind::InvalidRequest | ErrorKind::UpstreamRejected => "invalid_request_error",
        _ if (400..499).contains(&status) => "invalid_request_error",
        _ => "server_error",
    }
}

/// The failure of a stream that ended without saying why.
pub(crate) fn unexplained(outcome: Outcome) -> Failure {
    Failure::new(ErrorKind::Internal, format!("the stream ended as {}", outcome.as_str()))
}

/// All shapes of an error that upstreams send: OpenAI's and vLLM's object, llama.cpp's object with
/// a number as code, Ollama's string, older servers' bare message.
#[derive(Deserialize)]
struct UpstreamError<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct UpstreamErrorObject<'a> {
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
}

const TOO_LONG: &str = "context_length_exceeded";

/// What upstreams call a failure, and the word that clients look for. The second is llama.cpp's.
const KNOWN_CODES: [(&str, &str); 3] = [
    (r#""context_length_exceeded""#, TOO_LONG),
    (r#""exceed_context_size_error""#, TOO_LONG),
    (r#""insufficient_quota""#, "insufficient_quota"),
];

/// How vLLM and Ollama, which have no word for it, begin to say that a prompt is too long.
const TOO_LONG_SAID: [&str; 3] =
    ["maximum context length is", "exceeds the context length", "exceeds maximum context length"];

/// What the upstream calls a failure: by its code, its type, or its message.
fn upstream_code(error: Option<&RawValue>, message: &str) -> Option<&'static str> {
    let object: Option<UpstreamErrorObject<'_>> =
        error.and_then(|error| serde_json::from_str(error.get()).ok());
    let words = object.into_iter().flat_map(|object| [object.code, object.r#type]).flatten();
    let mut known = words.filter_map(|word| {
        let known = KNOWN_CODES.iter().find(|(theirs, _)| *theirs == word.get());
        known.map(|(_, ours)| *ours)
    });
    let is_said = || TOO_LONG_SAID.iter().any(|said| message.contains(said));
    known.next().or_else(|| is_said().then_some(TOO_LONG))
}

/// An upstream's error response as a failure: its kind by the status, its message as the upstream
/// worded it.
#[must_use]
pub fn decode_error(status: u16, body: &[u8]) -> Failure {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let error = serde_json::from_str::<UpstreamError<'_>>(text).ok().and_then(|body| body.error);
    let unworded = format!("the upstream answered {status}");
    let failure = Failure::quoting(kind_of(status), message_in(text), &unworded);
    let refused =
        matches!(failure.kind, ErrorKind::UpstreamRejected | ErrorKind::UpstreamRateLimited);
    let upstream_code = upstream_code(error, &failure.message).filter(|_| refused);
    Failure { upstream_code, ..failure }
}

/// The value of `error` in a frame of a stream as a failure. Its code says what a status would.
pub(crate) fn decode_error_value(value: &RawValue) -> Failure {
    let object: Option<UpstreamErrorObject<'_>> = serde_json::from_str(value.get()).ok();
    let status = object.and_then(|object| serde_json::from_str::<u16>(object.code?.get()).ok());
    let kind = kind_of(status.unwrap_or_default());
    let failure = Failure::quoting(kind, text_of(value), UNWORDED);
    Failure { upstream_code: upstream_code(Some(value), &failure.message), ..failure }
}

/// The data of an `event: error` frame, whatever its shape, as a failure.
pub(crate) fn decode_error_event(data: &str) -> Failure {
    let known: Option<UpstreamError<'_>> = serde_json::from_str(data).ok();
    if let Some(error) = known.and_then(|known| known.error) {
        return decode_error_value(error);
    }
    Failure::quoting(ErrorKind::UpstreamError, message_in(data), UNWORDED)
}

fn kind_of(status: u16) -> ErrorKind {
    match status {
        429 => ErrorKind::UpstreamRateLimited,
        503 => ErrorKind::UpstreamOverloaded,
        401 | 403 => ErrorKind::UpstreamUnauthorized,
        400 | 413 | 422 => ErrorKind::UpstreamRejected,
        404 => ErrorKind::UpstreamNotFound,
        _ => ErrorKind::UpstreamError,
    }
}

fn message_in(body: &str) -> Option<String> {
    let known: UpstreamError<'_> = serde_json::from_str(body).ok()?;
    known.error.or(known.message).or(known.detail).and_then(text_of)
}

/// The message of an error that is a string, or an object with a message.
fn text_of(value: &RawValue) -> Option<String> {
    let message = if value.get().starts_with('{') {
        serde_json::from_str::<UpstreamErrorObject<'_>>(value.get()).ok()?.message?
    } else {
        value
    };
    let text: String = serde_json::from_str(message.get()).ok()?;
    let text = bounded(&text);
    (!text.is_empty()).then_some(text)
}

/// Fit for a log line and a client: one line, of bounded length.
fn bounded(text: &str) -> String {
    let blank = |c: char| if c.is_whitespace() { ' ' } else { c };
    let printable = text.chars().map(blank).filter(|c| !c.is_control());
    // Behind what is left out there may be blanks again.
    let line: String = printable.skip_while(|c| *c == ' ').take(MESSAGE_CHARS).collect();
    line.trim_end().to_owned()
}
