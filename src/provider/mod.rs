//! The code that speaks to upstreams, one file per kind.
//!
//! - [`client`]: one pooled HTTP client per worker.
//! - [`ask`]: what an upstream is asked, but for the body.
//! - [`connector`]: how connections are made.
//! - [`plain`]: HTTP/1.1 without TLS, with little memory per stream; [`framing`], its bodies.
//! - [`keys`]: the API keys of a target; [`bearer`], which of them goes out with a request.
//! - [`refused`]: why there is no answer, and whether to ask again; [`retry_after`], when.
//! - [`answer`]: an upstream's response body as a stream of batches.
//! - [`counting`]: how many tokens a prompt has.
//! - [`openai`], [`vllm`], [`ollama`], [`builtin`]: the kinds.
//!
//! A provider opens an answer and reports failures by kind. It knows nothing of permits, queues
//! and time limits but the connect timer; those belong to the backend that drives it.

mod answer;
mod ask;
mod bearer;
mod builtin;
pub mod client;
mod connector;
mod counting;
mod framing;
mod keys;
mod ollama;
mod openai;
mod plain;
mod refused;
mod retry_after;
#[cfg(test)]
mod tls_tests;
mod vllm;

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::{FutureExt, LocalBoxFuture, ready};
use futures::stream::LocalBoxStream;
use tidegate_protocol::exposition::EngineLoad;
use tidegate_protocol::{Batch, ErrorKind, Failure, Request, StreamId, Wire, fit};

use crate::config::{ProviderKind, Target};
use crate::telemetry::trace::Trace;
use client::HttpClient;

pub use bearer::Bearer;
pub use client::Pool;
pub use keys::KeyPool;
pub use ollama::OllamaProbe;
pub use refused::{Again, Refused};

/// One answer under way. Dropping it closes the upstream connection.
pub type Answer = LocalBoxStream<'static, Result<Batch, Failure>>;

/// What an upstream is asked.
#[derive(Clone)]
pub struct Call {
    pub request: Arc<Request>,
    /// Sent along as `X-Request-Id`, so that the upstream's log can be matched.
    pub id: StreamId,
    /// Sent along as `traceparent`, where it is part of a trace.
    pub trace: Option<Trace>,
    pub pool: Pool,
    pub reading: Reading,
}

/// How an answer is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Its frames are passed on where they are of the client's dialect.
    Relayed,
    /// As [`Relayed`](Self::Relayed), and what the frames say is told beside them.
    Heard,
    /// As events, whatever the client speaks.
    Told,
    /// As [`Told`](Self::Told); and the conversation's last message is what the answer begins with.
    Continued,
}

impl Reading {
    fn may_relay(self) -> bool {
        matches!(self, Self::Relayed | Self::Heard)
    }
}

/// An answer in one piece, or a list of models, is read up to here.
const WHOLE_BODY_BYTES: usize = 16 * 1024 * 1024;

/// Speaks to one upstream for one model.
pub trait Provider {
    /// Sends the request; resolves when the upstream has accepted it with a response head.
    fn open(&self, call: Call) -> LocalBoxFuture<'static, Result<Answer, Refused>>;

    /// Whether the upstream will answer `request` piece by piece. If not, its first byte comes with
    /// its last, and no time limit between the two makes sense.
    fn streams(&self, _request: &Request) -> bool {
        true
    }

    /// How many tokens the prompt of `request` has, by the upstream's own word.
    fn count_tokens(
        &self,
        _request: Arc<Request>,
    ) -> LocalBoxFuture<'static, Result<u64, Failure>> {
        ready(Err(counting::cannot_count())).boxed_local()
    }

    /// What the upstream says of its model, in Ollama's words; none from those that have no such
    /// words.
    fn describe(&self) -> LocalBoxFuture<'static, Result<Option<Bytes>, Failure>> {
        ready(Ok(None)).boxed_local()
    }

    /// Asks whether the upstream is there, lets the gateway in and, where it can tell, has the
    /// model.
    fn probe(&self) -> LocalBoxFuture<'static, Result<(), Failure>>;

    /// What the upstream says of its load; none from those that have no words for it.
    fn load(&self) -> LocalBoxFuture<'static, Result<Option<EngineLoad>, Failure>> {
        ready(Ok(None)).boxed_local()
    }
}

/// The provider that speaks to `target`, with keys that all workers share.
#[must_use]
pub fn for_target(target: &Target, client: &HttpClient, bearer: Arc<Bearer>) -> Rc<dyn Provider> {
    match target.provider {
        ProviderKind::OpenAi => Rc::new(openai::OpenAi::new(client, target, bearer)),
        ProviderKind::Vllm => Rc::new(vllm::Vllm::new(client, target, bearer)),
        ProviderKind::Ollama => Rc::new(ollama::Ollama::new(client, target, bearer)),
        ProviderKind::Builtin => Rc::new(builtin::Builtin),
    }
}

/// Whether answers to `request` come in the client's own dialect from a provider of this kind,
/// and can be relayed frame by frame.
#[must_use]
pub fn relays(kind: ProviderKind, request: &Request) -> bool {
    wire(kind).is_some_and(|wire| fit::relays(request, wire))
}

/// The fields of the client's body that a provider of this kind leaves out.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] with every field that must not be left out.
pub fn ignored(kind: ProviderKind, request: &Request) -> Result<Vec<String>, Failure> {
    match wire(kind) {
        Some(wire) => fit::ignored(request, wire),
        None => builtin::ignored(request),
    }
}

/// What providers of several kinds make of a request.
#[derive(Debug, Default)]
pub struct Fit {
    /// The fields of the client's body that any of them leaves out.
    pub ignored: Vec<String>,
    /// Those that must not be sent it: they would have to leave out what must not be.
    pub unfit: Vec<ProviderKind>,
}

/// What providers of these kinds make of `request`.
///
/// # Errors
/// As [`ignored`], where it fits none of them.
pub fn fit(kinds: &[ProviderKind], request: &Request) -> Result<Fit, Failure> {
    let mut fit = Fit::default();
    let mut refusal = None;
    for kind in kinds {
        match ignored(*kind, request) {
            Ok(fields) => {
                for field in fields {
                    if !fit.ignored.contains(&field) {
                        fit.ignored.push(field);
                    }
                }
            }
            Err(failure) => {
                fit.unfit.push(*kind);
                refusal.get_or_insert(failure);
            }
        }
    }
    match refusal {
        Some(failure) if fit.unfit.len() == kinds.len() => Err(failure),
        _ => Ok(fit),
    }
}

/// What upstreams of this kind speak; the builtin model speaks nothing.
fn wire(kind: ProviderKind) -> Option<Wire> {
    match kind {
        ProviderKind::OpenAi | ProviderKind::Vllm => Some(Wire::OpenAi),
        ProviderKind::Ollama => Some(Wire::Ollama),
        ProviderKind::Builtin => None,
    }
}

/// So many of an upstream's models are named in a message.
const NAMED_MODELS: usize = 10;

/// What a probe says of an upstream that lacks the model.
fn model_missing(wanted: &str, offered: &[String]) -> Failure {
    let named: Vec<_> = offered.iter().take(NAMED_MODELS).map(String::as_str).collect();
    let (count, named) = (offered.len(), named.join(", "));
    let message = format!("the upstream has no model `{wanted}`, but {count} others: {named}");
    Failure::new(ErrorKind::UpstreamNotFound, message)
}
