//! What is known of a request from its first moment, for whoever answers it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use actix_web::{HttpMessage, HttpRequest};
use tidegate_protocol::{ErrorKind, Failure, StreamId};

use super::allowance::Headers;
use crate::access::Caller;
use crate::stream::Closing;
use crate::telemetry::spans::AdmissionSpan;
use crate::telemetry::trace::Trace;
use crate::telemetry::{AccessLog, AccessRecord};

/// When a request arrived and what it is called; in the request's extensions.
#[derive(Clone)]
pub struct Arrival {
    pub id: StreamId,
    pub at: Instant,
    pub record: AccessRecord,
    /// Where it is part of a trace.
    pub trace: Option<Trace>,
    /// What is logged of it is logged within this.
    pub log_span: tracing::Span,
    /// How much the caller may still ask; told with every response to it.
    allowance: Rc<RefCell<Headers>>,
}

impl Arrival {
    /// A request that arrived now; `log_span` is its own.
    #[must_use]
    pub fn now(
        id: StreamId,
        log: &AccessLog,
        trace: Option<Trace>,
        log_span: tracing::Span,
    ) -> Self {
        let at = Instant::now();
        let record = AccessRecord::open(log, id, at);
        log_span.record("request_id", tracing::field::display(id));
        if let Some(trace) = &trace {
            log_span.record("trace_id", tracing::field::display(trace.id()));
            record.traced(trace.clone());
        }
        Self { id, at, record, trace, log_span, allowance: Rc::default() }
    }

    /// That of a request over HTTP.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where it was not taken in as all are.
    pub fn of(http: &HttpRequest) -> Result<Self, Failure> {
        let arrival = http.extensions().get::<Self>().cloned();
        arrival.ok_or_else(|| Failure::new(ErrorKind::Internal, "the request was not registered"))
    }

    /// It is known who asks.
    pub fn caller(&self, caller: &Caller) {
        self.record.caller(&caller.owner, caller.address);
    }

    /// Has its trace tell how it is let in, or why it is not.
    ///
    /// # Errors
    /// Those of `admission`.
    pub async fn admitted_by<T>(
        &self,
        admission: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let begin = |trace| AdmissionSpan::begin(trace, self.at.elapsed());
        let span = self.trace.as_ref().map(begin);
        let admitted = admission.await;
        if let Some(span) = span {
            let refusal = admitted.as_ref().err().map(|failure| failure.kind);
            span.end(self.record.asked_model(), refusal);
        }
        admitted
    }

    pub fn allow(&self, headers: Headers) {
        *self.allowance.borrow_mut() = headers;
    }

    /// What its response tells of the caller's allowance, once.
    #[must_use]
    pub fn allowance(&self) -> Headers {
        self.allowance.take()
    }
}

/// The answer has ended, as its reader is told.
pub(super) fn told(record: &AccessRecord, closing: &Closing) {
    record.told(closing.outcome, closing.failure.as_ref().map(|failure| failure.kind));
}
