//! The span of a stream, and of its time in the queue.

use tidegate_protocol::{ErrorKind, Outcome, StreamId, Usage};

use super::{
    ATTEMPTS, INPUT_TOKENS, OUTCOME, OUTPUT_TOKENS, REQUEST_ID, REQUEST_MODEL, count, error_type,
};
use crate::telemetry::clock;
use crate::telemetry::trace::{KeyValue, Span, SpanKind, Trace};

/// From a stream's opening to its outcome. Ends as a failure of the gateway's if it is dropped without one.
pub struct StreamSpan {
    /// Ends before the stream does.
    queue: Option<Span>,
    span: Span,
    is_over: bool,
}

impl StreamSpan {
    #[must_use]
    pub fn begin(trace: &Trace, id: StreamId, model: &str, dialect: &'static str) -> Self {
        let mut span = trace.span("stream", SpanKind::Internal, clock::now());
        if span.is_recording() {
            span.set(REQUEST_ID, id.to_string());
            span.set(REQUEST_MODEL, model.to_owned());
            span.set("tidegate.dialect", dialect);
        }
        Self { queue: None, span, is_over: false }
    }

    /// The place of what is asked for its sake.
    #[must_use]
    pub fn inside(&self) -> &Trace {
        self.span.inside()
    }

    /// It waits for its turn, if it did not yet.
    pub fn queued(&mut self) {
        let inside = self.span.inside();
        let begin = || inside.span("queue", SpanKind::Internal, clock::now());
        self.queue.get_or_insert_with(begin);
    }

    /// Its turn has come.
    pub fn dispatched(&mut self) {
        self.queue = None;
    }

    /// Something else than the first attempt at one upstream is needed.
    pub fn event(&mut self, name: &'static str, why: &'static str) {
        self.span.event(name, vec![KeyValue::new("tidegate.cause", why)]);
    }

    /// The first piece of the answer is there.
    pub fn first_token(&mut self) {
        self.span.event("first token", Vec::new());
    }

    pub fn end(
        &mut self,
        outcome: Outcome,
        failure: Option<ErrorKind>,
        usage: Option<Usage>,
        attempts: u32,
    ) {
        self.is_over = true;
        let error_type = error_type(failure);
        if let (Some(mut queue), Some(error)) = (self.queue.take(), error_type) {
            queue.failed(error);
        }
        self.span.set(OUTCOME, outcome.as_str());
        self.span.set(ATTEMPTS, i64::from(attempts));
        if let Some(usage) = usage {
            self.span.set(INPUT_TOKENS, count(usage.prompt_tokens));
            self.span.set(OUTPUT_TOKENS, count(usage.completion_tokens));
        }
        if let Some(error) = error_type {
            self.span.failed(error);
        }
    }
}

impl Drop for StreamSpan {
    fn drop(&mut self) {
        if !self.is_over {
            self.end(Outcome::InternalError, Some(ErrorKind::Internal), None, 0);
        }
    }
}
