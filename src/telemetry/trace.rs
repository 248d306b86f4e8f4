//! Spans, and the places in traces that they begin at.
//!
//! Where spans are off a request that belongs to no trace has none here either, and costs nothing. One that
//! does has its headers handed on.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::Context;
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceState,
    Tracer,
};
pub use opentelemetry::trace::{SpanKind, TraceId};
pub use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::{self as sdk, IdGenerator, RandomIdGenerator, SdkTracer};

use super::traceparent;

const ERROR_TYPE: &str = "error.type";

/// Where the traces of requests begin; off by default. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Tracing(Option<SdkTracer>);

impl Tracing {
    pub(super) fn by(tracer: SdkTracer) -> Self {
        Self(Some(tracer))
    }

    /// The trace that a request belongs to, by its W3C headers (several `tracestate` are one, joined by
    /// commas). Without a valid one a new trace while spans are on, else none.
    #[must_use]
    pub fn of(&self, traceparent: Option<&str>, tracestate: Option<&str>) -> Option<Trace> {
        let place = match traceparent.and_then(|parent| traceparent::parse(parent, tracestate)) {
            Some(place) => place,
            None if self.0.is_some() => new_trace(),
            None => return None,
        };
        Some(Trace { tracing: self.clone(), place: Arc::new(place) })
    }
}

/// A trace without a span yet.
fn new_trace() -> SpanContext {
    let id = RandomIdGenerator::default().new_trace_id();
    SpanContext::new(id, SpanId::INVALID, TraceFlags::default(), false, TraceState::default())
}

/// A place in a trace: what begins here is its child. Where spans are off it is what the client sent, to
/// be handed on unchanged. Cheap to clone.
#[derive(Clone)]
pub struct Trace {
    tracing: Tracing,
    /// Its span is invalid where nothing of the trace has begun.
    place: Arc<SpanContext>,
}

impl Trace {
    /// It is known before the first span is.
    #[must_use]
    pub fn id(&self) -> TraceId {
        self.place.trace_id()
    }

    /// The span that this place is in: none at the beginning of a new trace.
    #[must_use]
    pub fn span_id(&self) -> Option<SpanId> {
        Some(self.place.span_id()).filter(|id| *id != SpanId::INVALID)
    }

    /// The header that names this place: none at the beginning of a new trace.
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        self.span_id().map(|_| traceparent::write(&self.place))
    }

    /// The header that goes with it.
    #[must_use]
    pub fn tracestate(&self) -> Option<String> {
        Some(self.place.trace_state().header()).filter(|header| !header.is_empty())
    }

    /// Begins a span at this place; the first of a new trace is its root.
    #[must_use]
    pub fn span(
        &self,
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
        began: SystemTime,
    ) -> Span {
        let Some(tracer) = &self.tracing.0 else { return self.unrecorded() };
        let builder = SpanBuilder::from_name(name).with_kind(kind).with_start_time(began);
        let span = if self.span_id().is_some() {
            let parent = Context::new().with_remote_span_context((*self.place).clone());
            tracer.build_with_context(builder, &parent)
        } else {
            FIRST.set(Some(self.id()));
            let root = tracer.build_with_context(builder, &Context::new());
            FIRST.set(None);
            root
        };
        if !span.span_context().is_valid() {
            // The exporter has been shut down.
            return self.unrecorded();
        }
        let place = Arc::new(span.span_context().clone());
        let recording = span.is_recording().then(|| Box::new(span));
        Span { inside: Self { tracing: self.tracing.clone(), place }, recording }
    }

    fn unrecorded(&self) -> Span {
        Span { inside: self.clone(), recording: None }
    }

    pub(super) fn place(&self) -> &SpanContext {
        &self.place
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trace").field(&traceparent::write(&self.place)).finish()
    }
}

/// A span under way. It ends when it is dropped, in a panic too.
#[derive(Debug)]
pub struct Span {
    inside: Trace,
    /// Large, and not there in a trace that is not sampled.
    recording: Option<Box<sdk::Span>>,
}

impl Span {
    /// The place for its children, whose headers go to the upstream.
    #[must_use]
    pub fn inside(&self) -> &Trace {
        &self.inside
    }

    /// Whether it is worth the while to find out what could be set.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.recording.is_some()
    }

    /// Sets an attribute. Once each: a second one of that name is sent as well.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(span) = &mut self.recording {
            span.set_attribute(KeyValue::new(key, value));
        }
    }

    /// What happened now.
    pub fn event(&mut self, name: &'static str, attributes: Vec<KeyValue>) {
        if let Some(span) = &mut self.recording {
            span.add_event(name, attributes);
        }
    }

    /// It is known only now what it is.
    pub fn rename(&mut self, name: String) {
        if let Some(span) = &mut self.recording {
            span.update_name(name);
        }
    }

    /// It failed. `error_type` is one of few words.
    pub fn failed(&mut self, error_type: impl Into<StringValue>) {
        if let Some(span) = &mut self.recording {
            span.set_status(Status::error(""));
            span.set_attribute(KeyValue::new(ERROR_TYPE, error_type.into()));
        }
    }
}

thread_local! {
    /// The id of the trace whose root this thread is about to begin: the SDK asks for one while it does,
    /// and takes none from a parent that has no span.
    static FIRST: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// Random ids, but for traces that have theirs already.
#[derive(Debug, Default)]
pub(super) struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        FIRST.take().unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

#[cfg(test)]
mod tests {
    use std::mem::size_of;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn while_spans_are_off_there_is_what_the_client_sent_and_nothing_else() {
        let off = Tracing::default();
        assert!(off.of(None, None).is_none());
        assert!(off.of(Some("00-4bf9"), Some("a=1")).is_none());
        let trace = off.of(Some(PARENT), Some("a=1")).unwrap();
        let mut span = trace.span("chat", SpanKind::Server, SystemTime::now());
        span.set("key", 1);
        span.event("event", vec![]);
        span.failed("error");
        assert!(!span.is_recording());
        let child = span.inside().span("ask", SpanKind::Client, SystemTime::now());
        assert_eq!(child.inside().traceparent().as_deref(), Some(PARENT));
        assert_eq!(child.inside().tracestate().as_deref(), Some("a=1"));
        assert_eq!(child.inside().id().to_string(), PARENT[3..35]);
    }

    #[test]
    fn thousands_of_spans_fit_in_little() {
        assert!(size_of::<Option<Trace>>() <= 24, "{}", size_of::<Option<Trace>>());
        assert!(size_of::<Option<Span>>() <= 32, "{}", size_of::<Option<Span>>());
    }
}
