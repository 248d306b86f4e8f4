//! Asks the collector. It may block: only the exporters' own threads use it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use ureq::Agent;
use ureq::http::{HeaderName, HeaderValue};

use super::OtlpError;
use super::delivery::{Answer, Delivery};
use crate::config;

/// Answers are a few bytes.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;
const MAX_FAULT_CHARS: usize = 200;

/// The client of one signal.
pub(super) struct Client {
    agent: Agent,
    headers: Arc<[(HeaderName, HeaderValue)]>,
    delivery: Arc<Delivery>,
}

/// Headers hold secrets.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// What the clients of all signals have in common.
pub(super) struct Clients {
    agent: Agent,
    headers: Arc<[(HeaderName, HeaderValue)]>,
}

impl Clients {
    pub(super) fn new(config: &config::Otlp) -> Result<Self, OtlpError> {
        let headers = config.headers.iter().map(header);
        let headers = headers.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { agent: agent(config.timeout), headers: headers.into() })
    }

    pub(super) fn client(&self, delivery: &Arc<Delivery>) -> Client {
        let (agent, headers) = (self.agent.clone(), Arc::clone(&self.headers));
        Client { agent, headers, delivery: Arc::clone(delivery) }
    }
}

/// Configuration alone chooses hosts: no redirects, no proxy from the environment.
fn agent(timeout: Duration) -> Agent {
    let config = Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .build();
    config.new_agent()
}

fn header(header: &config::Header) -> Result<(HeaderName, HeaderValue), OtlpError> {
    let refused = || OtlpError::Header(header.name.clone());
    let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| refused())?;
    let mut value = HeaderValue::from_str(header.value.expose()).map_err(|_| refused())?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.send(request);
        self.delivery.answered(match &answer {
            Ok(response) if response.status().is_success() => {
                Answer { rejected: rejected(response.body()), fault: None }
            }
            Ok(response) => Answer { rejected: 0, fault: Some(response.status().to_string()) },
            Err(error) => Answer { rejected: 0, fault: Some(fault(error)) },
        });
        Ok(answer?)
    }
}

impl Client {
    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ureq::Error> {
        let (mut head, body) = request.into_parts();
        for (name, value) in self.headers.iter() {
            head.headers.insert(name, value.clone());
        }
        let mut response = self.agent.run(Request::from_parts(head, &body[..]))?;
        let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec();
        let (head, _) = response.into_parts();
        // The status says whether it was taken. What was taken must not be sent again for the rest.
        Ok(Response::from_parts(head, body.unwrap_or_default().into()))
    }
}

/// What the collector says of the connection, never of a request's head.
fn fault(error: &ureq::Error) -> String {
    error.to_string().chars().take(MAX_FAULT_CHARS).collect()
}

/// How many records the collector did not take of a request that it accepted. The answers of all signals
/// have it in the same place.
fn rejected(answer: &[u8]) -> u64 {
    let answer = ExportTraceServiceResponse::decode(answer).ok();
    let rejected = answer.and_then(|answer| answer.partial_success?.rejected_spans.try_into().ok());
    rejected.unwrap_or(0)
}
