//! One pooled HTTP client per worker, and the few settings without which it harms streams.
//!
//! Upstreams without TLS are reached by [`plain`](super::plain), others by awc.
//!
//! awc's own timeout covers the response head, so a slow first token would fail: it is off, and
//! the backend's timers take its place. Its pool is capped at 100 connections: the cap is off,
//! permits bound the load. Redirects are not followed: configuration alone chooses hosts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::HttpMessage;
use actix_web::error::PayloadError;
use actix_web::http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::uri::Scheme;
use actix_web::http::{Method, StatusCode};
use awc::error::SendRequestError;
use bytes::{Bytes, BytesMut};
use futures::stream::{LocalBoxStream, StreamExt};
use tidegate_protocol::{ErrorKind, Failure, Form, Wire, openai};

use super::Call;
use super::ask::{Ask, authorization};
use super::bearer::Bearer;
use super::connector::{Hosts, UpstreamConnector};
use super::plain::PlainClient;
use super::refused::{Again, Refused, SendFault, failure_of, no_answer};
use crate::config::{self, Model};
use crate::telemetry::trace::Trace;

const STREAMS: &str = "text/event-stream, application/x-ndjson, application/json";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Idle connections are closed before the upstream does it: llama.cpp waits 5 s.
pub(super) const POOL_IDLE: Duration = Duration::from_secs(4);
/// No connection is used for longer: names may come to mean other addresses.
pub(super) const POOL_LIFETIME: Duration = Duration::from_secs(3600);
/// A refusal's body is read up to here for its message.
const ERROR_BODY_BYTES: usize = 64 * 1024;
const ERROR_BODY_TIME: Duration = Duration::from_secs(5);

type Connector = awc::Connector<UpstreamConnector>;

/// The client of one worker; clones share its pool.
#[derive(Clone)]
pub struct HttpClient {
    plain: PlainClient,
    tls: awc::Client,
    /// As awc connects to them.
    hosts: Hosts,
}

/// Whether a pooled connection may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    Use,
    /// The last one was closed, and those beside it may be.
    Avoid,
}

/// The head of a response, as far as it matters, and its body.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Body,
}

/// The bytes of a body as they come. Not to be polled past its end.
pub type Body = LocalBoxStream<'static, Result<Bytes, PayloadError>>;

impl HttpClient {
    /// Builds the client for upstreams of `models`; each host gets the connect time limit its
    /// models ask for (the longest, where they differ).
    #[must_use]
    pub fn new(models: &[Model]) -> Self {
        Self::trusting(models, |connector| connector)
    }

    /// As [`new`](Self::new); `trust` may change whose certificates are trusted.
    pub(super) fn trusting(models: &[Model], trust: impl FnOnce(Connector) -> Connector) -> Self {
        let plain = UpstreamConnector::new(models);
        let upstream = UpstreamConnector::new(models);
        let (hosts, longest) = (upstream.hosts.clone(), upstream.longest);
        let connector = trust(awc::Connector::new().connector(upstream))
            .timeout(longest + Duration::from_secs(1))
            .handshake_timeout(longest)
            .limit(0)
            .conn_keep_alive(POOL_IDLE)
            .conn_lifetime(POOL_LIFETIME);
        let tls = awc::Client::builder()
            .connector(connector)
            .disable_timeout()
            .disable_redirects()
            .no_default_headers()
            .finish();
        Self { plain: PlainClient::new(plain), tls, hosts }
    }

    /// Whether it is as one that is built for `models` would be.
    #[must_use]
    pub fn serves(&self, models: &[Model]) -> bool {
        self.hosts.are_those_of(models)
    }

    async fn send(&self, ask: &Ask, body: Bytes, pool: Pool) -> Result<Reply, SendFault> {
        if ask.uri.scheme() == Some(&Scheme::HTTP) {
            return self.plain.send(ask.head(), body, pool).await;
        }
        let before = self.hosts.connects(&ask.uri);
        let mut request = self.tls.request(ask.method.clone(), ask.uri.clone());
        for header in &ask.headers {
            request = request.insert_header(header.clone());
        }
        // awc does not say which connection it took. If none was opened, it was a pooled one.
        let mut response = request.send_body(body).await.map_err(|error| SendFault {
            error,
            reused: self.hosts.connects(&ask.uri) == before,
        })?;
        let body = response.take_payload().boxed_local();
        Ok(Reply { status: response.status(), headers: response.headers().clone(), body })
    }
}

/// Where a model is served and how to ask there.
pub struct Target {
    client: HttpClient,
    base_url: String,
    bearer: Arc<Bearer>,
    /// Its keys as headers carry them.
    authorizations: Vec<Result<HeaderValue, SendRequestError>>,
    /// The requests for answers, but for the key.
    asks: [(Form, Result<Ask, SendRequestError>); 3],
    pub upstream_model: String,
    pub max_frame_bytes: usize,
}

impl Target {
    /// `wire` says where answers are asked for.
    #[must_use]
    pub fn new(
        client: HttpClient,
        target: &config::Target,
        wire: Wire,
        bearer: Arc<Bearer>,
    ) -> Self {
        let base_url = target.base_url.clone();
        let ask = |form: Form| {
            let url = format!("{base_url}{}", form.path());
            let ask = Ask::new(Method::POST, &url);
            (form, ask.map(|ask| ask.with(ACCEPT, HeaderValue::from_static(STREAMS))))
        };
        Self {
            client,
            asks: Form::all(wire).map(ask),
            base_url,
            authorizations: bearer.pool().all().iter().map(authorization).collect(),
            bearer,
            upstream_model: target.upstream_model.clone(),
            max_frame_bytes: target.max_line_bytes,
        }
    }

    /// The base URL without a final `/v1`: where llama.cpp and vLLM keep what is their own.
    #[must_use]
    pub fn root(&self) -> &str {
        self.base_url.strip_suffix("/v1").unwrap_or(&self.base_url)
    }

    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    /// Asks for an answer; gives the response once its head says success.
    ///
    /// # Errors
    /// By kind: unreachable, connect timeout, or as the upstream's status says.
    pub async fn answer(&self, form: Form, call: &Call, body: Bytes) -> Result<Reply, Refused> {
        let known = self.asks.iter().find(|(known, _)| *known == form);
        let (_, ask) = known.ok_or_else(|| {
            Failure::new(ErrorKind::Internal, "the upstream's wire has no such request")
        })?;
        let key = self.bearer.take()?;
        let mut ask = self.authorized(ask.as_ref().map_err(failure_of)?.clone(), key)?;
        if let Ok(id) = HeaderValue::from_str(&call.id.to_string()) {
            ask = ask.with(REQUEST_ID, id);
        }
        if let Some(trace) = &call.trace {
            ask = traced(ask, trace);
        }
        let reply = self.client.send(&ask, body, call.pool).await?;
        let status = reply.status;
        match self.accept(reply).await {
            Ok(reply) => {
                self.bearer.accepted(key);
                Ok(reply)
            }
            Err(refused) => Err(self.bearer.refused(key, status, refused)),
        }
    }

    /// The same request, with the key at that place.
    fn authorized(&self, ask: Ask, key: Option<usize>) -> Result<Ask, Failure> {
        let Some(known) = key.and_then(|key| self.authorizations.get(key)) else { return Ok(ask) };
        let value = known.as_ref().map_err(failure_of)?;
        Ok(ask.with(AUTHORIZATION, value.clone()))
    }

    /// Lets a success pass; turns a refusal into a failure with the upstream's own message, but
    /// for the keys, which some quote.
    async fn accept(&self, reply: Reply) -> Result<Reply, Refused> {
        let Reply { status, headers, body } = reply;
        if status.is_success() {
            if let Some(failure) = no_answer(&headers) {
                return Err(failure.into());
            }
            return Ok(Reply { status, headers, body });
        }
        let reading = collect(body, ERROR_BODY_BYTES);
        let body = tokio::time::timeout(ERROR_BODY_TIME, reading).await;
        let body = body.ok().and_then(Result::ok).unwrap_or_default();
        let mut failure = openai::decode_error(status.as_u16(), &body);
        failure.message = self.bearer.hidden_in(failure.message);
        Err(Refused::by_status(failure, &headers))
    }

    /// What the upstream knows and must not tell.
    #[must_use]
    pub fn bearer(&self) -> Arc<Bearer> {
        Arc::clone(&self.bearer)
    }

    /// Posts a small question and reads the document that answers it.
    ///
    /// # Errors
    /// As [`answer`](Self::answer).
    pub async fn post_for_document(
        &self,
        path: &str,
        body: Bytes,
        limit: usize,
    ) -> Result<Bytes, Failure> {
        self.document(Method::POST, &self.url(path), body, limit).await
    }

    /// As [`post_for_document`](Self::post_for_document), for a path beside `/v1`.
    ///
    /// # Errors
    /// As [`chat`](Self::chat).
    pub async fn post_at_root(
        &self,
        path: &str,
        body: Bytes,
        limit: usize,
    ) -> Result<Bytes, Failure> {
        let url = format!("{}{path}", self.root());
        self.document(Method::POST, &url, body, limit).await
    }

    /// Gets a small document, such as a list of models.
    ///
    /// # Errors
    /// As [`answer`](Self::answer).
    pub async fn get(&self, url: &str, limit: usize) -> Result<Bytes, Failure> {
        self.document(Method::GET, url, Bytes::new(), limit).await
    }

    /// With any key: what is asked here costs nothing. A limit on it says nothing of answers, but a key
    /// that is not accepted is not accepted for them either, and the next one is tried.
    async fn document(
        &self,
        method: Method,
        url: &str,
        body: Bytes,
        limit: usize,
    ) -> Result<Bytes, Failure> {
        let ask = Ask::new(method, url).map_err(|error| failure_of(&error))?;
        let mut left = self.authorizations.len().max(1);
        loop {
            left -= 1;
            let key = self.bearer.pool().take_any(Instant::now());
            let ask = self.authorized(ask.clone(), key)?;
            let reply = self.client.send(&ask, body.clone(), Pool::Use).await;
            let reply = reply.map_err(|fault| failure_of(&fault.error))?;
            let status = reply.status;
            let refused = match self.accept(reply).await {
                Ok(reply) => return read_whole(reply, limit).await,
                Err(refused) if status == StatusCode::UNAUTHORIZED => {
                    self.bearer.refused(key, status, refused)
                }
                Err(refused) => refused,
            };
            if refused.again != Again::WithOtherKey || left == 0 {
                return Err(refused.failure);
            }
        }
    }
}

/// With the headers of W3C's Trace Context.
fn traced(mut ask: Ask, trace: &Trace) -> Ask {
    let headers = [(TRACEPARENT, trace.traceparent()), (TRACESTATE, trace.tracestate())];
    for (name, text) in headers {
        if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
            ask = ask.with(name, value);
        }
    }
    ask
}

async fn read_whole(reply: Reply, limit: usize) -> Result<Bytes, Failure> {
    collect(reply.body, limit).await.map_err(|error| {
        let message = format!("the upstream's reply could not be read: {error}");
        Failure::new(ErrorKind::UpstreamProtocol, message)
    })
}

async fn collect(mut body: Body, limit: usize) -> Result<Bytes, PayloadError> {
    let mut whole = BytesMut::new();
    while let Some(read) = body.next().await {
        let read = read?;
        if whole.len() + read.len() > limit {
            return Err(PayloadError::Overflow);
        }
        whole.extend_from_slice(&read);
    }
    Ok(whole.freeze())
}
