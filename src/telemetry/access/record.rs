//! What is known of one request once it is over.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::Method;
use serde::{Serialize, Serializer};
use tidegate_protocol::ollama::client::stamp::rfc3339;
use tidegate_protocol::{ErrorKind, Outcome, StreamId};

use super::{Begun, Ended};
use crate::telemetry::clock;
use crate::telemetry::otlp::Measured;
use crate::telemetry::spans::error_type;
use crate::telemetry::trace::Trace;

/// What is known of one request.
#[derive(Debug)]
pub struct Access {
    pub id: StreamId,
    pub arrived: Instant,
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
    /// Its target is the last one that was asked.
    pub begun: Begun,
    /// The model that answered in place of the one that was asked for.
    pub answered_by: Option<Arc<str>>,
    /// None while it is under way.
    pub ended: Option<Ended>,
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
        Self {
            id,
            arrived,
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
        read.or_else(|| Some(self.stream.as_ref()?.ended?.outcome.as_str()))
    }

    /// The stream that it began, as a model's answers are measured.
    #[must_use]
    pub fn measured(&self) -> Option<Measured<'_>> {
        let Generated { begun, answered_by, ended } = self.stream.as_ref()?;
        let ended = (*ended)?;
        let request_model = self.model.as_deref()?;
        let completed = ended.outcome == Outcome::Completed;
        let has_answer = completed || ended.time_to_first_token.is_some();
        Some(Measured {
            operation: begun.operation,
            provider: begun.provider,
            request_model,
            response_model: has_answer.then(|| answered_by.as_deref().unwrap_or(request_model)),
            completed,
            error_type: error_type(ended.failure),
            duration: ended.duration,
            first_token: ended.time_to_first_token,
            input_tokens: ended.prompt_tokens(),
            output_tokens: ended.usage.map(|usage| usage.completion_tokens),
        })
    }

    /// As they are written.
    #[must_use]
    pub fn fields(&self) -> Fields<'_> {
        let stream = self.stream.as_ref();
        let begun = stream.map(|stream| &stream.begun);
        let ended = stream.and_then(|stream| stream.ended);
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
            ("operation", begun.map(|begun| Value::text(begun.operation))),
            ("dialect", begun.map(|begun| Value::text(begun.dialect))),
            ("model", self.model.as_deref().map(Value::text)),
            ("provider", begun.map(|begun| Value::text(begun.provider))),
            ("target", begun.and_then(|begun| begun.target.as_deref()).map(Value::text)),
            ("answered_by", stream.and_then(|s| s.answered_by.as_deref()).map(Value::text)),
            ("reads", self.reads.as_ref().map(|read| Value::Text(read.stream.to_string().into()))),
            ("outcome", self.outcome().map(Value::text)),
            ("code", self.failure.map(|failure| Value::text(failure.code()))),
            ("attempts", ended.map(|ended| count(ended.attempts))),
            ("continuations", ended.map(|ended| count(ended.continuations))),
            ("queue_wait_ms", ended.and_then(|ended| ended.queue_wait).map(Value::millis)),
            (
                "time_to_first_token_ms",
                ended.and_then(|ended| ended.time_to_first_token).map(Value::millis),
            ),
            ("prompt_tokens", ended.and_then(|ended| ended.prompt_tokens()).map(Value::Count)),
            ("completion_tokens", ended.map(|ended| Value::Count(ended.completion_tokens()))),
            ("duration_ms", Some(Value::millis(self.arrived.elapsed()))),
        ]
    }
}

/// As one object, with the time of its arrival and without what is not known.
impl Serialize for Access {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let arrived =
            Some(Value::Text(rfc3339(clock::unix_nanos_ago(self.arrived.elapsed())).into()));
        let fields = std::iter::once(("timestamp", arrived)).chain(self.fields());
        serializer.collect_map(fields.filter_map(|(name, value)| Some((name, value?))))
    }
}
