//! One pooled HTTP client per worker, and the few settings without which it harms streams.
//!
//! Upstreams without TLS are reached by [`plain`](super::plain), others by awc.
//!
//! awc's own timeout covers the response head, so a slow first token would fail: it is off, and
//! the backend's timers take its place. Its pool is capped at 100 connections: the cap is off,
//! permits bound the load. Redirects are not followed: configuration alone chooses hosts.

use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_rt::net::TcpStream;
use actix_tls::connect::{
    ConnectError as TcpConnectError, ConnectInfo, Connection, Connector, ConnectorService,
};
use actix_web::HttpMessage;
use actix_web::dev::Service;
use actix_web::error::PayloadError;
use actix_web::http::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::http::uri::Scheme;
use actix_web::http::{Method, StatusCode, Uri};
use awc::error::{ConnectError, SendRequestError};
use bytes::{Bytes, BytesMut};
use futures::future::{FutureExt, LocalBoxFuture};
use futures::stream::{LocalBoxStream, StreamExt};
use tidegate_protocol::{ErrorKind, Failure, StreamId, openai};

use super::ask::Ask;
use super::plain::PlainClient;
use crate::config::{Model, Secret};

const STREAMS: &str = "text/event-stream, application/x-ndjson, application/json";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Idle connections are closed before the upstream does it: llama.cpp waits 5 s.
pub(super) const POOL_IDLE: Duration = Duration::from_secs(4);
/// No connection is used for longer: names may come to mean other addresses.
pub(super) const POOL_LIFETIME: Duration = Duration::from_secs(3600);
/// A refusal's body is read up to here for its message.
const ERROR_BODY_BYTES: usize = 64 * 1024;
const ERROR_BODY_TIME: Duration = Duration::from_secs(5);
/// A longer Retry-After of an upstream is cut to this.
const RETRY_AFTER_CAP_SECONDS: u32 = 3600;

/// The client of one worker; clones share its pool.
#[derive(Clone)]
pub struct HttpClient {
    plain: PlainClient,
    tls: awc::Client,
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
        let mut limits: HashMap<String, Duration> = HashMap::new();
        for model in models {
            if let Some(authority) =
                model.base_url.parse::<Uri>().ok().as_ref().and_then(authority_of)
            {
                let limit = limits.entry(authority).or_default();
                *limit = (*limit).max(model.timeouts.connect);
            }
        }
        let longest = limits.values().max().copied().unwrap_or(Duration::from_secs(5));
        let upstream = UpstreamConnector {
            tcp: Connector::default().service(),
            limits: Rc::new(limits),
            longest,
        };
        let connector = awc::Connector::new()
            .connector(upstream.clone())
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
        Self { plain: PlainClient::new(upstream), tls }
    }

    async fn send(&self, ask: &Ask, body: Bytes) -> Result<Reply, SendRequestError> {
        if ask.uri.scheme() == Some(&Scheme::HTTP) {
            return self.plain.send(ask.head(), body).await;
        }
        let mut request = self.tls.request(ask.method.clone(), ask.uri.clone());
        for header in &ask.headers {
            request = request.insert_header(header.clone());
        }
        let mut response = request.send_body(body).await?;
        let body = response.take_payload().boxed_local();
        Ok(Reply { status: response.status(), headers: response.headers().clone(), body })
    }
}

fn authority_of(uri: &Uri) -> Option<String> {
    uri.authority().map(|authority| authority.as_str().to_owned())
}

/// Connects with a time limit per host and without Nagle's delay, which would hold a request's
/// last bytes back.
#[derive(Clone)]
pub(super) struct UpstreamConnector {
    tcp: ConnectorService,
    limits: Rc<HashMap<String, Duration>>,
    longest: Duration,
}

impl Service<ConnectInfo<Uri>> for UpstreamConnector {
    type Response = Connection<Uri, TcpStream>;
    type Error = TcpConnectError;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&self, info: ConnectInfo<Uri>) -> Self::Future {
        let limit = authority_of(info.request()).and_then(|host| self.limits.get(&host).copied());
        let connecting = tokio::time::timeout(limit.unwrap_or(self.longest), self.tcp.call(info));
        async move {
            let connection = connecting
                .await
                .map_err(|_| TcpConnectError::Io(io::ErrorKind::TimedOut.into()))??;
            connection.io_ref().set_nodelay(true).map_err(TcpConnectError::Io)?;
            Ok(connection)
        }
        .boxed_local()
    }
}

/// Where a model is served and how to ask there.
pub struct Target {
    client: HttpClient,
    base_url: String,
    api_key: Option<Secret>,
    /// The request for an answer.
    chat: Result<Ask, SendRequestError>,
    pub upstream_model: String,
    pub max_frame_bytes: usize,
}

impl Target {
    /// `chat_path` is where answers are asked for.
    #[must_use]
    pub fn new(client: HttpClient, model: &Model, chat_path: &str) -> Self {
        let base_url = model.base_url.clone();
        let chat =
            Ask::new(Method::POST, &format!("{base_url}{chat_path}"), model.api_key.as_ref());
        Self {
            client,
            base_url,
            api_key: model.api_key.clone(),
            chat: chat.map(|chat| chat.with(ACCEPT, HeaderValue::from_static(STREAMS))),
            upstream_model: model.upstream_model.clone(),
            max_frame_bytes: model.max_line_bytes,
        }
    }

    /// The base URL without a final `/v1`: where vLLM keeps `/health`.
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
    pub async fn chat(&self, id: StreamId, body: Bytes) -> Result<Reply, Failure> {
        let mut ask = self.chat.as_ref().map_err(send_failure)?.clone();
        if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
            ask = ask.with(REQUEST_ID, id);
        }
        let mut reply = self.client.send(&ask, body.clone()).await;
        // The upstream may close a pooled connection at the very moment it is taken up again.
        // Nothing was answered on it, so one more try on another one is safe.
        if reply.as_ref().is_err_and(was_stale) {
            reply = self.client.send(&ask, body).await;
        }
        accept(reply.map_err(|error| send_failure(&error))?).await
    }

    /// Posts a small question and reads the document that answers it.
    ///
    /// # Errors
    /// As [`chat`](Self::chat).
    pub async fn post_for_document(
        &self,
        path: &str,
        body: Bytes,
        limit: usize,
    ) -> Result<Bytes, Failure> {
        self.document(Method::POST, &self.url(path), body, limit).await
    }

    /// Gets a small document, such as a list of models.
    ///
    /// # Errors
    /// As [`chat`](Self::chat).
    pub async fn get(&self, url: &str, limit: usize) -> Result<Bytes, Failure> {
        self.document(Method::GET, url, Bytes::new(), limit).await
    }

    async fn document(
        &self,
        method: Method,
        url: &str,
        body: Bytes,
        limit: usize,
    ) -> Result<Bytes, Failure> {
        let ask = Ask::new(method, url, self.api_key.as_ref());
        let sent = match ask {
            Ok(ask) => self.client.send(&ask, body).await,
            Err(error) => Err(error),
        };
        read_whole(accept(sent.map_err(|error| send_failure(&error))?).await?, limit).await
    }
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

/// Lets a success pass; turns a refusal into a failure with the upstream's own message.
async fn accept(reply: Reply) -> Result<Reply, Failure> {
    let status = reply.status;
    if status.is_success() {
        return Ok(reply);
    }
    let retry_after = reply
        .headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse::<u32>().ok())
        .map(|seconds| seconds.min(RETRY_AFTER_CAP_SECONDS));
    let reading = collect(reply.body, ERROR_BODY_BYTES);
    let body = tokio::time::timeout(ERROR_BODY_TIME, reading).await;
    let body = body.ok().and_then(Result::ok).unwrap_or_default();
    Err(openai::decode_error(status.as_u16(), &body).retry_after(retry_after))
}

/// Whether a send failed the way it does on a pooled connection that the upstream has closed.
fn was_stale(error: &SendRequestError) -> bool {
    match error {
        SendRequestError::Connect(ConnectError::Disconnected) => true,
        SendRequestError::Send(io) => matches!(
            io.kind(),
            io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::NotConnected
        ),
        _ => false,
    }
}

fn send_failure(error: &SendRequestError) -> Failure {
    let timed_out = |message: &str| Failure::new(ErrorKind::UpstreamTimeout, message);
    match error {
        SendRequestError::Connect(ConnectError::Timeout) => {
            timed_out("the upstream did not accept a connection in time")
        }
        SendRequestError::Connect(ConnectError::Io(io)) if io.kind() == io::ErrorKind::TimedOut => {
            timed_out("the upstream did not accept a connection in time")
        }
        SendRequestError::Connect(ConnectError::Disconnected) | SendRequestError::Send(_) => {
            Failure::new(
                ErrorKind::UpstreamError,
                "the upstream closed the connection before it answered",
            )
        }
        SendRequestError::Connect(ConnectError::Resolver(_) | ConnectError::NoRecords) => {
            Failure::new(ErrorKind::UpstreamUnreachable, "the upstream's host name is not known")
        }
        SendRequestError::Connect(ConnectError::Io(io)) => Failure::new(
            ErrorKind::UpstreamUnreachable,
            format!("no connection to the upstream: {}", io.kind()),
        ),
        SendRequestError::Connect(other) => Failure::new(
            ErrorKind::UpstreamUnreachable,
            format!("no connection to the upstream: {other}"),
        ),
        SendRequestError::Response(_) => {
            Failure::new(ErrorKind::UpstreamProtocol, "the upstream's response head is not HTTP")
        }
        _ => Failure::new(ErrorKind::UpstreamError, "the request to the upstream failed"),
    }
}
