//! What is known of one request once it is over.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::Method;
use serde::{Serialize, Serializer};
use tidegate_protocol::ollama::client::stamp::rfc3339;
use tidegate_protocol::{ErrorKind, Outcome, StreamId};

use super::Begun;
use crate::telemetry::clock;
use crate::telemetry::otlp::Measured;
use crate::telemetry::trace::Trace;

/// What is known of one request.
#[derive(Debug)]
pub struct Access {
    pub id: StreamId,
    pub arrived: Instant,
    pub arrived_unix_ns: u64,
    /// Its place in the trace that it is part of.
    pub trace: Option<Trace>,
    /// The id its client gave it.
    pub client_request_id: Option<String>,
    pub came: Option<Came>,
    pub owner: Option<Arc<str>>,
    pub client: Option<IpAddr>,
    pub model: Option<String>,
    /// Why there was no answer, or no more of it.
    pub failure: Option<ErrorKind>,
    /// The stream that it began.
    pub stream: Option<Generated>,
    /// The stream of another request that it was answered from.
    pub reads: Option<Read>,
}

/// How a request came, and what it was answered.
#[derive(Debug)]
pub enum Came {
    Http {
        method: Method,
        path: String,
        status: u16,
        bytes: usize,
    },
    /// As a message over a WebSocket, by its kind.
    Socket(&'static str),
}

/// An answer that was generated for the request.
#[derive(Debug)]
pub struct Generated {
    pub operation: &'static str,
    pub dialect: &'static str,
    pub provider: &'static str,
    /// The last one that was asked.
    pub target: Option<Arc<str>>,
    /// The model that answered in place of the one that was asked for.
    pub answered_by: Option<Arc<str>>,
    /// None while it is under way.
    pub outcome: Option<Outcome>,
    pub attempts: u32,
    pub continuations: u32,
    /// None where its turn never came.
    pub queue_wait: Option<Duration>,
    pub time_to_first_token: Option<Duration>,
    /// From the request's arrival to the stream's end.
    pub duration: Duration,
    /// As the upstream reports them.
    pub prompt_tokens: Option<u64>,
    /// As the upstream reports them, else chunks passed on.
    pub completion_tokens: u64,
}

impl Generated {
    #[must_use]
    pub fn new(begun: Begun) -> Self {
        let Begun { operation, dialect, provider, target } = begun;
        Self {
            operation,
            dialect,
            provider,
            target,
            answered_by: None,
            outcome: None,
            attempts: 0,
            continuations: 0,
            queue_wait: None,
            time_to_first_token: None,
            duration: Duration::ZERO,
            prompt_tokens: None,
            completion_tokens: 0,
        }
    }
}

/// An answer that was there, or under way, already.
#[derive(Debug)]
pub struct Read {
    pub stream: StreamId,
    /// How it ended for this reader; none who left before.
    pub outcome: Option<Outcome>,
}

/// How the outcome of a reader is spelt that left before the stream's end.
const LEFT: &str = "client_left";

/// A value as records have it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value<'a> {
    Text(Cow<'a, str>),
    Count(u64),
    Millis(f64),
}

impl<'a> Value<'a> {
    fn text(text: &'a str) -> Self {
        Self::Text(text.into())
    }

    fn millis(duration: Duration) -> Self {
        Self::Millis(duration.as_secs_f64() * 1000.0)
    }
}

/// The fields of a record but for its time, in the order in which they are written; those that are not known
/// have no value.
pub type Fields<'a> = [(&'static str, Option<Value<'a>>); 26];

impl Access {
    #[must_use]
    pub fn of(id: StreamId, arrived: Instant) -> Self {
        let since = u64::try_from(arrived.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Self {
            id,
            arrived,
            arrived_unix_ns: clock::unix_nanos().saturating_sub(since),
            trace: None,
            client_request_id: None,
            came: None,
            owner: None,
            client: None,
            model: None,
            failure: None,
            stream: None,
            reads: None,
        }
    }

    /// How the answer ended, its own or one that was read.
    #[must_use]
    pub fn outcome(&self) -> Option<&'static str> {
        let read = self.reads.as_ref().map(|read| read.outcome.map_or(LEFT, Outcome::as_str));
        read.or_else(|| self.stream.as_ref()?.outcome.map(Outcome::as_str))
    }

    /// The stream that it began, as a model's answers are measured.
    #[must_use]
    pub fn measured(&self) -> Option<Measured<'_>> {
        let stream = self.stream.as_ref()?;
        let outcome = stream.outcome?;
        let is_whole = outcome == Outcome::Completed;
        Some(Measured {
            operation: stream.operation,
            provider: stream.provider,
            request_model: self.model.as_deref()?,
            response_model: None,
            error_type: (!is_whole).then_some(outcome.as_str()),
            duration: stream.duration,
            first_token: stream.time_to_first_token,
            input_tokens: stream.prompt_tokens,
            output_tokens: Some(stream.completion_tokens),
        })
    }

    /// As they are written.
    #[must_use]
    pub fn fields(&self) -> Fields<'_> {
        let stream = self.stream.as_ref();
        let trace_id = self.trace.as_ref().map(Trace::id);
        let count = |count: u32| Value::Count(count.into());
        let (http, command) = match &self.came {
            Some(Came::Http { method, path, status, bytes }) => {
                (Some((method, path, *status, *bytes)), None)
            }
            Some(Came::Socket(command)) => (None, Some(*command)),
            None => (None, None),
        };
        [
            ("id", Some(Value::Text(self.id.to_string().into()))),
            ("trace_id", trace_id.map(|id| Value::Text(id.to_string().into()))),
            ("client_request_id", self.client_request_id.as_deref().map(Value::text)),
            ("command", command.map(Value::text)),
            ("method", http.map(|(method, ..)| Value::text(method.as_str()))),
            ("path", http.map(|(_, path, ..)| Value::text(path))),
            ("status", http.map(|(.., status, _)| Value::Count(status.into()))),
            ("bytes", http.map(|(.., bytes)| Value::Count(bytes as u64))),
            ("owner", self.owner.as_deref().map(Value::text)),
            ("client", self.client.map(|client| Value::Text(client.to_string().into()))),
            ("operation", stream.map(|stream| Value::text(stream.operation))),
            ("dialect", stream.map(|stream| Value::text(stream.dialect))),
            ("model", self.model.as_deref().map(Value::text)),
            ("provider", stream.map(|stream| Value::text(stream.provider))),
            ("target", stream.and_then(|stream| stream.target.as_deref()).map(Value::text)),
            ("answered_by", stream.and_then(|s| s.answered_by.as_deref()).map(Value::text)),
            ("reads", self.reads.as_ref().map(|read| Value::Text(read.stream.to_string().into()))),
            ("outcome", self.outcome().map(Value::text)),
            ("code", self.failure.map(|failure| Value::text(failure.code()))),
            ("attempts", stream.map(|stream| count(stream.attempts))),
            ("continuations", stream.map(|stream| count(stream.continuations))),
            ("queue_wait_ms", stream.and_then(|stream| stream.queue_wait).map(Value::millis)),
            (
                "time_to_first_token_ms",
                stream.and_then(|stream| stream.time_to_first_token).map(Value::millis),
            ),
            ("prompt_tokens", stream.and_then(|s| s.prompt_tokens).map(Value::Count)),
            ("completion_tokens", stream.map(|stream| Value::Count(stream.completion_tokens))),
            ("duration_ms", Some(Value::millis(self.arrived.elapsed()))),
        ]
    }
}

/// As one object, with the time of its arrival and without what is not known.
impl Serialize for Access {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let arrived = Some(Value::Text(rfc3339(self.arrived_unix_ns).into()));
        let fields = std::iter::once(("timestamp", arrived)).chain(self.fields());
        serializer.collect_map(fields.filter_map(|(name, value)| Some((name, value?))))
    }
}
