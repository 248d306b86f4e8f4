//! Why an upstream gave no answer, and whether it may be asked again.
//!
//! Only what the upstream has certainly not worked on may be asked again: what never got there,
//! what it refused in so many words, and what went out on a pooled connection that it had closed.

use std::io;
use std::time::Duration;

use actix_http::error::ParseError;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName};
use awc::error::{ConnectError, SendRequestError};
use tidegate_protocol::{ErrorKind, Failure};

use super::retry_after::retry_after;

/// A failure before the first byte of an answer.
#[derive(Debug)]
pub struct Refused {
    pub failure: Failure,
    pub again: Again,
}

/// Whether another try is safe and makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// The upstream may have begun its work, or would say the same again.
    Never,
    /// The pooled connection was closed already: at once, and not on a pooled one.
    OnNewConnection,
    /// It was refused because of its key, and there is another: at once.
    WithOtherKey,
    /// After a pause, which the upstream may have named.
    Later(Option<Duration>),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self { failure, again: Again::Never }
    }
}

impl Refused {
    /// A refusal by status: `failure` tells it, `headers` came with it.
    pub(super) fn by_status(failure: Failure, headers: &HeaderMap) -> Self {
        let seconds = retry_after(headers);
        let pause = seconds.map(|seconds| Duration::from_secs(seconds.into()));
        let again = match failure.kind {
            _ if forbids_retries(headers) => Again::Never,
            ErrorKind::UpstreamOverloaded => Again::Later(pause),
            // A limit that does not say when it is lifted is not lifted in a moment.
            ErrorKind::UpstreamRateLimited if pause.is_some() => Again::Later(pause),
            _ => Again::Never,
        };
        Self { failure: failure.retry_after(seconds), again }
    }
}

/// Why a success cannot be read as an answer: it is compressed, which nobody asked for and which a
/// decoder might half take for text, or it is a page for people.
pub(super) fn no_answer(headers: &HeaderMap) -> Option<Failure> {
    let header = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let encoding = header(CONTENT_ENCODING).unwrap_or("identity").trim();
    let kind = header(CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default();
    let message = if !encoding.eq_ignore_ascii_case("identity") {
        "the upstream compressed its answer, which it was not asked to"
    } else if kind.trim().eq_ignore_ascii_case("text/html") {
        "the upstream answered with a web page"
    } else {
        return None;
    };
    Some(Failure::new(ErrorKind::UpstreamProtocol, message))
}

/// OpenAI's own servers say so where their SDKs should not try again.
fn forbids_retries(headers: &HeaderMap) -> bool {
    headers.get("x-should-retry").is_some_and(|value| value.as_bytes() == b"false")
}

/// A request that could not be sent, or was sent and not answered.
#[derive(Debug)]
pub struct SendFault {
    pub error: SendRequestError,
    /// It went out on a connection that had been used before.
    pub reused: bool,
}

impl From<SendRequestError> for SendFault {
    /// On a new connection, or none.
    fn from(error: SendRequestError) -> Self {
        Self { error, reused: false }
    }
}

impl From<SendFault> for Refused {
    fn from(SendFault { error, reused }: SendFault) -> Self {
        let failure = failure_of(&error);
        let again = match &error {
            _ if reused && closed_early(&error) => Again::OnNewConnection,
            // So rustls says that it does not trust a certificate, which does not get better.
            SendRequestError::Connect(ConnectError::Io(io))
                if io.kind() == io::ErrorKind::InvalidData =>
            {
                Again::Never
            }
            _ if failure.kind == ErrorKind::UpstreamUnreachable => Again::Later(None),
            _ => Again::Never,
        };
        Self { failure, again }
    }
}

/// Whether a connection was closed before anything was answered on it.
fn closed_early(error: &SendRequestError) -> bool {
    match error {
        SendRequestError::Connect(ConnectError::Disconnected) => true,
        // Over TLS awc reports what it could not read as what it could not parse, and an end
        // without a farewell as one that is not expected.
        SendRequestError::Send(io) | SendRequestError::Response(ParseError::Io(io)) => matches!(
            io.kind(),
            io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::NotConnected
                | io::ErrorKind::UnexpectedEof
        ),
        _ => false,
    }
}

/// A failed send in a client's words: an upstream's address is not its affair.
pub fn failure_of(error: &SendRequestError) -> Failure {
    let (kind, message) = match error {
        SendRequestError::Connect(ConnectError::Timeout) => {
            (ErrorKind::UpstreamTimeout, "the upstream did not accept a connection in time")
        }
        SendRequestError::Connect(ConnectError::Io(io)) if io.kind() == io::ErrorKind::TimedOut => {
            (ErrorKind::UpstreamTimeout, "the upstream did not accept a connection in time")
        }
        SendRequestError::Connect(ConnectError::Disconnected) | SendRequestError::Send(_) => {
            (ErrorKind::UpstreamError, "the upstream closed the connection before it answered")
        }
        SendRequestError::Connect(ConnectError::Resolver(_) | ConnectError::NoRecords) => {
            (ErrorKind::UpstreamUnreachable, "the upstream's host name is not known")
        }
        SendRequestError::Connect(ConnectError::Io(io)) => {
            let message = format!("no connection to the upstream: {}", io.kind());
            return Failure::new(ErrorKind::UpstreamUnreachable, message);
        }
        SendRequestError::Connect(other) => {
            let message = format!("no connection to the upstream: {other}");
            return Failure::new(ErrorKind::UpstreamUnreachable, message);
        }
        SendRequestError::Response(_) => {
            (ErrorKind::UpstreamProtocol, "the upstream's response head is not HTTP")
        }
        _ => (ErrorKind::UpstreamError, "the request to the upstream failed"),
    };
    Failure::new(kind, message)
}
