//! What every request gets: an id, an access record, and its place in the HTTP metrics.
//!
//! It is over when the body's last byte is handed over or the body is dropped, so that a streamed answer
//! counts with its whole duration.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::ErrorInternalServerError;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage};
use bytes::Bytes;
use tidegate_protocol::{ErrorKind, StreamId};

use super::ahead::Answer;
use super::arrival::Arrival;
use super::error::status_of;
use super::routes::is_anthropic;
use super::worker::Worker;
use crate::telemetry::access::Came;
use crate::telemetry::spans::RequestSpan;
use crate::telemetry::spans::request::Arriving;
use crate::telemetry::trace::{Trace, Tracing};
use crate::telemetry::{AccessLog, AccessRecord, Metrics};

/// The gateway's id of the request; also the id of the stream it opens.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The same, by the name that Anthropic's clients know it by.
pub const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
/// The id a client gave its own request; echoed and logged, never used as a stream's id.
pub const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-client-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// A client's id that is longer is ignored.
const CLIENT_ID_BYTES: usize = 128;
/// A longer path is cut in the access record and in the span.
const PATH_CHARS: usize = 200;
/// So is a longer method; of those that have a name, none is.
const METHOD_BYTES: usize = 32;
/// The path label of scrapes, wherever `metrics.path` is: dashboards leave them out.
const METRICS_ROUTE: &str = "/metrics";

/// By which requests reach the app.
#[derive(Debug, Clone, Copy)]
pub struct Scheme(&'static str);

impl Scheme {
    #[must_use]
    pub fn of(tls: bool) -> Self {
        Self(if tls { "https" } else { "http" })
    }
}

/// The middleware.
///
/// # Errors
/// Passes the inner service's error on.
pub async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<Observed>, Error> {
    let id = request.app_data::<Data<Worker>>().map(|worker| worker.new_id());
    let id = id.unwrap_or_else(|| StreamId::new(u8::MAX, rand::random()));
    let client_id = client_request_id(request.headers());
    let log = request.app_data::<Data<AccessLog>>();
    let log = log.ok_or_else(|| ErrorInternalServerError("there is no log of accesses"))?;
    let path = shortened(request.path());
    let span = trace(&request, log).map(|trace| begin_span(&trace, id, &request, &path));
    let place = span.as_ref().map(|span| span.inside().clone());
    let arrival = Arrival::now(id, log, place, tracing::Span::current());
    if let Some(id) = client_id.as_ref().and_then(|id| id.to_str().ok()) {
        arrival.record.client_request_id(id);
    }
    let metrics = request.app_data::<Data<Metrics>>().cloned();
    request.extensions_mut().insert(arrival.clone());
    let answer = Answer::to(&request);
    let mut exchange = Exchange {
        at: arrival.at,
        record: arrival.record.clone(),
        metrics,
        span,
        method: shortened_method(request.method()),
        route: route(&request, log),
        path,
        status: None,
        bytes: 0,
    };

    let answered = next.call(request).await;
    let mut response = answered.inspect_err(|error| {
        exchange.status = Some(error.as_response_error().status_code());
    })?;

    let anthropic = is_anthropic(response.request().path());
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        if anthropic {
            headers.insert(ANTHROPIC_REQUEST_ID, value.clone());
        }
        headers.insert(REQUEST_ID, value);
    }
    if let Some(value) = client_id {
        headers.insert(CLIENT_REQUEST_ID, value);
    }
    for (name, value) in arrival.allowance() {
        headers.insert(name, value);
    }
    if let Some(failure) = response.response().extensions().get::<ErrorKind>() {
        arrival.record.failed(*failure);
    }
    exchange.status = Some(response.status());
    Ok(response.map_body(|_, body| Observed { body: body.boxed(), exchange, _answer: answer }))
}

/// The trace that it is part of. One that a probe would begin is nobody's.
fn trace(request: &ServiceRequest, log: &AccessLog) -> Option<Trace> {
    let tracing = request.app_data::<Data<Tracing>>()?;
    let headers = request.headers();
    let mut parents = headers.get_all(TRACEPARENT);
    // Of several places none can be believed.
    let parent = parents.next().filter(|_| parents.next().is_none());
    let parent = parent.and_then(|value| value.to_str().ok());
    if parent.is_none() && log.is_probe(request.path()) {
        return None;
    }
    let state = parent.map(|_| {
        let all = headers.get_all(TRACESTATE).filter_map(|value| value.to_str().ok());
        all.collect::<Vec<_>>().join(",")
    });
    tracing.of(parent, state.as_deref())
}

fn begin_span(trace: &Trace, id: StreamId, request: &ServiceRequest, path: &str) -> RequestSpan {
    let scheme = request.app_data::<Scheme>().map_or("http", |scheme| scheme.0);
    RequestSpan::begin(trace, &Arriving { id, method: request.method(), path, scheme })
}

/// As the table of routes has it.
fn route(request: &ServiceRequest, log: &AccessLog) -> Option<String> {
    let route = request.match_pattern()?;
    Some(if log.is_scrape(&route) { METRICS_ROUTE.to_owned() } else { route })
}

/// A method that is worth a label of its own.
fn known(method: &Method) -> &'static str {
    let known = [Method::GET, Method::POST, Method::DELETE, Method::OPTIONS, Method::HEAD];
    let names = ["GET", "POST", "DELETE", "OPTIONS", "HEAD"];
    let found = known.iter().position(|known| known == method);
    found.and_then(|at| names.get(at)).unwrap_or(&"other")
}

/// The id under which the client knows its request, if it is short and plain.
fn client_request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let given = headers.get(CLIENT_REQUEST_ID).or_else(|| headers.get(REQUEST_ID))?;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    let good = given.len() <= CLIENT_ID_BYTES && given.as_bytes().iter().all(plain);
    good.then(|| given.clone())
}

fn shortened(path: &str) -> String {
    path.chars().take(PATH_CHARS).collect()
}

/// Any token is a method, as long as a head may be.
fn shortened_method(method: &Method) -> Method {
    let name = method.as_str().as_bytes();
    let cut = name.get(..METHOD_BYTES).and_then(|cut| Method::from_bytes(cut).ok());
    cut.unwrap_or_else(|| method.clone())
}

/// A body whose end is recorded.
pub struct Observed {
    body: BoxBody,
    exchange: Exchange,
    _answer: Answer,
}

impl MessageBody for Observed {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_next(cx);
        if let Poll::Ready(Some(Ok(bytes))) = &polled {
            self.exchange.bytes += bytes.len();
        }
        polled
    }
}

/// Counts the request when dropped, and tells its record that it is over.
struct Exchange {
    at: Instant,
    record: AccessRecord,
    metrics: Option<Data<Metrics>>,
    span: Option<RequestSpan>,
    method: Method,
    route: Option<String>,
    path: String,
    /// Of its response, once it has one.
    status: Option<StatusCode>,
    bytes: usize,
}

impl Exchange {
    /// What it counts with. A request that never had a response was left by its client, unless it is a panic
    /// that ends it.
    fn status(&self) -> u16 {
        let without = || {
            let panics = std::thread::panicking();
            status_of(if panics { ErrorKind::Internal } else { ErrorKind::Cancelled })
        };
        self.status.unwrap_or_else(without).as_u16()
    }

    fn count(&self, status: u16) {
        let Some(metrics) = &self.metrics else { return };
        // Labels come from the route table, never from the client.
        let method = known(&self.method);
        let path = self.route.as_deref().unwrap_or("other");
        metrics.http_requests.with_label_values(&[method, path, &status.to_string()]).inc();
        let seconds = self.at.elapsed().as_secs_f64();
        metrics.http_duration.with_label_values(&[method, path]).observe(seconds);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let status = self.status();
        self.count(status);
        if let Some(span) = self.span.take() {
            let failure = self.record.failure();
            span.end(&self.method, self.route.as_deref(), status, failure);
        }
        let (method, path) = (self.method.clone(), std::mem::take(&mut self.path));
        self.record.over(Came::Http { method, path, status, bytes: self.bytes });
    }
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;

    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, HttpResponse, web};
    use futures::FutureExt as _;

    use super::*;

    async fn panics() -> HttpResponse {
        panic!("as a fault would")
    }

    /// A fault of the gateway is no client that left.
    #[actix_web::test]
    async fn a_request_whose_handler_panics_counts_as_a_fault() {
        let metrics = Metrics::new(false).unwrap();
        let app = App::new()
            .app_data(Data::new(metrics.clone()))
            .app_data(Data::new(AccessLog::off(&metrics)))
            .wrap(from_fn(observe))
            .route("/x", web::get().to(panics));
        let app = init_service(app).await;
        let request = TestRequest::get().uri("/x").to_request();
        let called = AssertUnwindSafe(call_service(&app, request)).catch_unwind().await;
        assert!(called.is_err());
        let counted =
            |status| metrics.http_requests.with_label_values(&["GET", "/x", status]).get();
        assert_eq!((counted("500"), counted("499")), (1, 0));
    }
}
