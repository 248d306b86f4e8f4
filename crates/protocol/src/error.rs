//! What can go wrong with a request, by kind. HTTP status codes are not known here: one place in
//! the gateway maps kinds to them.

use crate::outcome::Outcome;

/// What went wrong. Few enough to be a metric label, exact enough to choose a status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request cannot be understood or breaks a limit.
    InvalidRequest,
    /// No key, or one that is not known.
    Unauthorized,
    /// A page of an origin that is not allowed.
    Forbidden,
    /// No such route or stream.
    NotFound,
    /// The model is not configured here.
    ModelNotFound,
    /// It was here, and is kept no longer.
    Gone,
    /// The idempotency key belongs to another request.
    KeyReused,
    /// The route exists, not for this method.
    MethodNotAllowed,
    /// The body is not JSON by its content type.
    UnsupportedMediaType,
    /// The body is larger than the limit.
    PayloadTooLarge,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The caller's rate limit is used up.
    RateLimited,
    /// The gateway's cap of concurrent streams is reached.
    Capacity,
    /// As many connections of its sort as there may be: sockets, streams on one, readers of a stream, pages.
    ConnectionLimit,
    /// The model's queue is full.
    QueueFull,
    /// The request waited in the model's queue for too long.
    QueueTimeout,
    /// None of the model's upstreams can be asked now.
    NoTarget,
    /// The gateway is shutting down and takes no new streams.
    Draining,
    /// No connection to the upstream.
    UpstreamUnreachable,
    /// The upstream was too late: connect, first token, idle or total.
    UpstreamTimeout,
    /// The upstream answered 429.
    UpstreamRateLimited,
    /// The upstream answered 503.
    UpstreamOverloaded,
    /// The upstream refused the request as invalid.
    UpstreamRejected,
    /// The upstream does not know the model or the path it was asked for.
    UpstreamNotFound,
    /// The upstream did not accept the gateway's credentials.
    UpstreamUnauthorized,
    /// The upstream failed, before or within its answer.
    UpstreamError,
    /// The upstream sent what its wire format does not allow.
    UpstreamProtocol,
    /// The upstream ended without evidence that the answer is whole.
    Truncated,
    /// The stream was cancelled.
    Cancelled,
    /// The client fell too far behind the others of its stream.
    TooSlow,
    /// The gateway shut down before the answer was whole.
    Drained,
    /// A fault of the gateway itself.
    Internal,
}

impl ErrorKind {
    /// What an upstream can have to do with. All but [`UpstreamRejected`](Self::UpstreamRejected), which is
    /// its word about the request, are faults of its own.
    pub const OF_UPSTREAMS: [Self; 11] = [
        Self::NoTarget,
        Self::UpstreamUnreachable,
        Self::UpstreamTimeout,
        Self::UpstreamRateLimited,
        Self::UpstreamOverloaded,
        Self::UpstreamRejected,
        Self::UpstreamNotFound,
        Self::UpstreamUnauthorized,
        Self::UpstreamError,
        Self::UpstreamProtocol,
        Self::Truncated,
    ];

    /// The code that clients, logs and metrics see.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest => "INVALID_REQUEST",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Forbidden => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::ModelNotFound => "MODEL_NOT_FOUND",
            Self::Gone => "GONE",
            Self::KeyReused => "IDEMPOTENCY_KEY_REUSED",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::RequestTimeout => "REQUEST_TIMEOUT",
            Self::RateLimited => "RATE_LIMITED",
            Self::Capacity => "CAPACITY",
            Self::ConnectionLimit => "CONNECTION_LIMIT",
            Self::QueueFull => "QUEUE_FULL",
            Self::QueueTimeout => "QUEUE_TIMEOUT",
            Self::NoTarget => "NO_TARGET",
            Self::Draining => "DRAINING",
            Self::UpstreamUnreachable => "UPSTREAM_UNREACHABLE",
            Self::UpstreamTimeout => "UPSTREAM_TIMEOUT",
            Self::UpstreamRateLimited => "UPSTREAM_RATE_LIMITED",
            Self::UpstreamOverloaded => "UPSTREAM_OVERLOADED",
            Self::UpstreamRejected => "UPSTREAM_REJECTED",
            Self::UpstreamNotFound => "UPSTREAM_NOT_FOUND",
            Self::UpstreamUnauthorized => "UPSTREAM_UNAUTHORIZED",
            Self::UpstreamError => "UPSTREAM_ERROR",
            Self::UpstreamProtocol => "UPSTREAM_PROTOCOL",
            Self::Truncated => "TRUNCATED",
            Self::Cancelled => "CANCELLED",
            Self::TooSlow => "TOO_SLOW",
            Self::Drained => "DRAINED",
            Self::Internal => "INTERNAL_ERROR",
        }
    }

    /// The outcome of a stream that ends with this kind of failure.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Cancelled | Self::TooSlow => Outcome::Cancelled,
            Self::Truncated => Outcome::Truncated,
            Self::Drained | Self::Draining => Outcome::Drained,
            Self::UpstreamTimeout | Self::RequestTimeout => Outcome::TimedOut,
            Self::NoTarget
            | Self::UpstreamUnreachable
            | Self::UpstreamRateLimited
            | Self::UpstreamOverloaded
            | Self::UpstreamNotFound
            | Self::UpstreamUnauthorized
            | Self::UpstreamError
            | Self::UpstreamProtocol => Outcome::UpstreamError,
            Self::Internal => Outcome::InternalError,
            _ => Outcome::Rejected,
        }
    }
}

/// One field of a request that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// Where, as a path: `messages[0].role`.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// What went wrong, in a form that can be told to a client.
///
/// The message holds no secret, and no prompt unless an upstream quotes it: then it is
/// [`quoted`](Self::quoted), for the client and not for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", kind.code())]
pub struct Failure {
    pub kind: ErrorKind,
    /// What was wrong, where, and what would be right.
    pub message: String,
    /// Every faulty field of an invalid request.
    pub details: Vec<FieldFault>,
    /// What the upstream called it, where that is a word that OpenAI's clients look for.
    pub upstream_code: Option<&'static str>,
    /// When another try makes sense.
    pub retry_after_seconds: Option<u32>,
    /// The message is an upstream's own, cut short; some quote the request they refuse.
    pub quoted: bool,
}

impl Failure {
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            kind,
            message,
            details: Vec::new(),
            upstream_code: None,
            retry_after_seconds: None,
            quoted: false,
        }
    }

    /// A failure in an upstream's own words, or in ours if it had none.
    pub(crate) fn quoting(kind: ErrorKind, theirs: Option<String>, ours: &str) -> Self {
        let quoted = theirs.is_some();
        Self { quoted, ..Self::new(kind, theirs.unwrap_or_else(|| ours.to_owned())) }
    }

    /// The message as far as it may be logged.
    #[must_use]
    pub fn logged(&self) -> &str {
        if self.quoted {
            "in the upstream's words, which the client was told"
        } else {
            &self.message
        }
    }

    /// An invalid request with the fields that make it so.
    #[must_use]
    pub fn invalid(details: Vec<FieldFault>) -> Self {
        let message = match details.as_slice() {
            [one] => format!("{}: {}", one.field, one.message),
            many => format!("{} fields of the request are not valid", many.len()),
        };
        Self { details, ..Self::new(ErrorKind::InvalidRequest, message) }
    }

    #[must_use]
    pub fn retry_after(mut self, seconds: Option<u32>) -> Self {
        self.retry_after_seconds = seconds;
        self
    }
}
