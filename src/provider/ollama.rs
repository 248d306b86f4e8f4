//! Ollama by its native API: NDJSON from `/api/chat` and `/api/generate`, vectors from
//! `/api/embed`, models from `/api/tags`.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::http::header::CONTENT_TYPE;
use bytes::Bytes;
use futures::future::{FutureExt, LocalBoxFuture};
use futures::stream::StreamExt;
use tidegate_protocol::ollama::client::{Endpoint, LineWriter};
use tidegate_protocol::{Decoder, ErrorKind, Failure, Form, Request, Wire, fit, ollama};

use super::answer::HttpAnswer;
use super::bearer::Bearer;
use super::client::{HttpClient, Reply, Target};
use super::{Answer, Call, Provider, Reading, Refused, WHOLE_BODY_BYTES, model_missing};
use crate::config;
use crate::telemetry::clock::unix_nanos;

/// A list of models is read up to here.
const TAGS_BYTES: usize = 4 * 1024 * 1024;

/// The description of one model is read up to here; it holds the model's licence.
const SHOW_BYTES: usize = 4 * 1024 * 1024;
/// Discovery asks about so many models before it gives up.
const SHOW_MODELS: usize = 20;

pub struct Ollama {
    target: Rc<Target>,
}

impl Ollama {
    pub fn new(client: &HttpClient, target: &config::Target, bearer: Arc<Bearer>) -> Self {
        Self { target: Rc::new(Target::new(client.clone(), target, Wire::Ollama, bearer)) }
    }
}

impl Provider for Ollama {
    fn open(&self, call: Call) -> LocalBoxFuture<'static, Result<Answer, Refused>> {
        let target = Rc::clone(&self.target);
        async move {
            if call.reading == Reading::Continued {
                can_go_on(&target).await?;
            }
            let encoded = ollama::encode_request(&call.request, &target.upstream_model)?;
            let form = fit::form(&call.request, Wire::Ollama);
            let reply = target.answer(form, &call, Bytes::from(encoded.body)).await?;
            let decoder = decoder_for(form, &reply, &call, &target);
            Ok(HttpAnswer::new(reply.body, decoder, target.bearer()).boxed_local())
        }
        .boxed_local()
    }

    fn streams(&self, request: &Request) -> bool {
        let relay = fit::relays(request, Wire::Ollama);
        !fit::form(request, Wire::Ollama).is_embedding() && (request.stream || !relay)
    }

    fn describe(&self) -> LocalBoxFuture<'static, Result<Option<Bytes>, Failure>> {
        let target = Rc::clone(&self.target);
        async move { shown(&target, &target.upstream_model).await.map(Some) }.boxed_local()
    }

    fn probe(&self) -> LocalBoxFuture<'static, Result<(), Failure>> {
        let target = Rc::clone(&self.target);
        async move {
            let offered = list(&target).await?;
            let wanted = &target.upstream_model;
            // Ollama completes a name without a tag.
            let latest = format!("{wanted}:latest");
            if offered.iter().any(|name| name == wanted || *name == latest) {
                return Ok(());
            }
            Err(model_missing(wanted, &offered))
        }
        .boxed_local()
    }
}

/// Trusts the response's own type over what was asked, where a whole answer was.
fn decoder_for(form: Form, reply: &Reply, call: &Call, target: &Target) -> Box<dyn Decoder> {
    let request = &call.request;
    let relay = call.reading.may_relay() && fit::relays(request, Wire::Ollama);
    let lines = reply.headers.get(CONTENT_TYPE);
    let lines = lines.is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-ndjson"));
    if relay && (form.is_embedding() || !(request.stream || lines)) {
        Box::new(ollama::RelayWhole::new(WHOLE_BODY_BYTES, form))
    } else if relay && request.stream {
        let endpoint = match form {
            Form::OllamaGenerate => Endpoint::Generate,
            _ => Endpoint::Chat,
        };
        let own = LineWriter::new(endpoint, target.upstream_model.clone(), unix_nanos);
        let decoder = ollama::RelayDecoder::new(target.max_frame_bytes, own);
        Box::new(decoder.hearing(call.reading == Reading::Heard))
    } else if form.is_embedding() {
        Box::new(ollama::VectorDecoder::new(WHOLE_BODY_BYTES, request.texts()))
    } else {
        Box::new(ollama::EventDecoder::new(target.max_frame_bytes).of_answer(call.id))
    }
}

async fn list(target: &Target) -> Result<Vec<String>, Failure> {
    ollama::decode_tags(&target.get(&target.url("/api/tags"), TAGS_BYTES).await?)
}

async fn shown(target: &Target, model: &str) -> Result<Bytes, Failure> {
    let asked = ollama::encode_show(model);
    target.post_for_document("/api/show", asked.into(), SHOW_BYTES).await
}

/// Ollama answers whatever its model's template makes of a conversation, so it is asked first.
///
/// # Errors
/// When the template has no place for an answer that has begun.
async fn can_go_on(target: &Target) -> Result<(), Failure> {
    if ollama::decode_goes_on(&shown(target, &target.upstream_model).await?)? {
        return Ok(());
    }
    let message = "the template of the Ollama's model closes a trailing assistant message";
    Err(Failure::new(ErrorKind::UpstreamRejected, message))
}

/// Finds out what an Ollama has to offer, before any model is configured.
pub struct OllamaProbe(Target);

impl OllamaProbe {
    #[must_use]
    pub fn new(client: &HttpClient, candidate: &config::Target) -> Self {
        let bearer = Bearer::unwatched(candidate);
        Self(Target::new(client.clone(), candidate, Wire::Ollama, bearer))
    }

    /// The first model that can chat, in the order of `/api/tags`: the last one used or changed.
    ///
    /// # Errors
    /// When no Ollama answers.
    pub async fn first_chat_model(&self) -> Result<Option<String>, Failure> {
        let Self(target) = self;
        for name in list(target).await?.into_iter().take(SHOW_MODELS) {
            if ollama::decode_capabilities(&shown(target, &name).await?)?
                .iter()
                .any(|word| word == "completion")
            {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}
