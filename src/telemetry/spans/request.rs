//! The span of a request over HTTP, and that of its way to a ticket: who asks, whether it may, what it means.

use std::time::Duration;

use tidegate_protocol::{ErrorKind, StreamId};

use super::{REQUEST_ID, REQUEST_MODEL};
use crate::telemetry::clock;
use crate::telemetry::trace::{Span, SpanKind, Trace};

/// From a request's arrival to the last byte of its answer.
pub struct RequestSpan(Span);

impl RequestSpan {
    /// `method` is one of the known ones.
    #[must_use]
    pub fn begin(trace: &Trace, id: StreamId, method: &'static str) -> Self {
        let mut span = trace.span(method, SpanKind::Server, clock::now());
        if span.is_recording() {
            span.set("http.request.method", method);
            span.set(REQUEST_ID, id.to_string());
        }
        Self(span)
    }

    /// The place of all that is done for it.
    #[must_use]
    pub fn inside(&self) -> &Trace {
        self.0.inside()
    }

    /// It is over. `route` is of the route table; `failure` is why there was no answer, or no more of it.
    pub fn end(
        mut self,
        method: &'static str,
        route: Option<&str>,
        status: u16,
        failure: Option<ErrorKind>,
    ) {
        if !self.0.is_recording() {
            return;
        }
        if let Some(route) = route {
            self.0.rename(format!("{method} {route}"));
            self.0.set("http.route", route.to_owned());
        }
        self.0.set("http.response.status_code", i64::from(status));
        if let Some(kind) = failure {
            self.0.set("tidegate.code", kind.code());
        }
        // A client's mistake is no failure of the server.
        if status >= 500 {
            self.0.failed(status.to_string());
        }
    }
}

/// From a request's arrival to the opening of its stream, or to its refusal.
pub struct AdmissionSpan(Span);

impl AdmissionSpan {
    /// So much time has passed since it arrived.
    #[must_use]
    pub fn begin(trace: &Trace, since: Duration) -> Self {
        Self(trace.span("admission", SpanKind::Internal, clock::ago(since)))
    }

    /// It is let in or refused. `model` is of the configuration, if it came to one.
    pub fn end(mut self, model: Option<String>, refusal: Option<ErrorKind>) {
        if let Some(model) = model {
            self.0.set(REQUEST_MODEL, model);
        }
        if let Some(kind) = refusal {
            self.0.failed(kind.code());
        }
    }
}
