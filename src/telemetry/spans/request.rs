//! The span of a request over HTTP, and that of its way to a ticket: who asks, whether it may, what it means.

use std::time::Duration;

use actix_web::http::Method;
use tidegate_protocol::{ErrorKind, StreamId};

use super::{REQUEST_ID, REQUEST_MODEL};
use crate::telemetry::clock;
use crate::telemetry::trace::{Span, SpanKind, Trace};

/// The methods that the conventions know. A client's own is no name for a span.
const METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::CONNECT,
    Method::TRACE,
];
/// As such a one is told nevertheless.
const METHOD_CHARS: usize = 32;

/// A request, as it arrives.
pub struct Arriving<'a> {
    pub id: StreamId,
    pub method: &'a Method,
    /// No longer than is worth telling.
    pub path: &'a str,
    pub scheme: &'static str,
}

/// From a request's arrival to the last byte of its answer.
pub struct RequestSpan(Span);

impl RequestSpan {
    #[must_use]
    pub fn begin(trace: &Trace, arriving: &Arriving<'_>) -> Self {
        let Arriving { id, method, path, scheme } = *arriving;
        let mut span = trace.span(name(method), SpanKind::Server, clock::now());
        if span.is_recording() {
            if METHODS.contains(method) {
                span.set("http.request.method", name(method));
            } else {
                let original: String = method.as_str().chars().take(METHOD_CHARS).collect();
                span.set("http.request.method", "_OTHER");
                span.set("http.request.method_original", original);
            }
            span.set("url.path", path.to_owned());
            span.set("url.scheme", scheme);
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
        method: &Method,
        route: Option<&str>,
        status: u16,
        failure: Option<ErrorKind>,
    ) {
        if !self.0.is_recording() {
            return;
        }
        if let Some(route) = route {
            self.0.rename(format!("{} {route}", name(method)));
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

/// What a span is called by the method of its request.
fn name(method: &Method) -> String {
    if METHODS.contains(method) { method.to_string() } else { "HTTP".to_owned() }
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
