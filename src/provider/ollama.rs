//! Ollama by its native API: NDJSON from `/api/chat` and `/api/generate`, vectors from
//! `/api/embed`, models from `/api/tags`.

use std::rc::Rc;

use bytes::Bytes;
use futures::future::{FutureExt, LocalBoxFuture};
use futures::stream::StreamExt;
use tidegate_protocol::{Decoder, Failure, Form, Request, Wire, fit, ollama};

use super::answer::HttpAnswer;
use super::client::{HttpClient, Target};
use super::{Answer, Call, Provider, Refused, WHOLE_BODY_BYTES, model_missing};
use crate::config::Model;

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
    pub fn new(client: &HttpClient, model: &Model) -> Self {
        Self { target: Rc::new(Target::new(client.clone(), model, Wire::Ollama)) }
    }
}

impl Provider for Ollama {
    fn open(&self, call: Call) -> LocalBoxFuture<'static, Result<Answer, Refused>> {
        let target = Rc::clone(&self.target);
        async move {
            let encoded = ollama::encode_request(&call.request, &target.upstream_model)?;
            let form = fit::form(&call.request, Wire::Ollama);
            let body = Bytes::from(encoded.body);
            let reply = target.answer(form, call.id, body, call.pool).await?;
            let decoder = decoder_for(form, &call.request, &target);
            Ok(HttpAnswer::new(reply.body, decoder, target.secret()).boxed_local())
        }
        .boxed_local()
    }

    fn streams(&self, request: &Request) -> bool {
        !fit::form(request, Wire::Ollama).is_embedding()
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

fn decoder_for(form: Form, request: &Request, target: &Target) -> Box<dyn Decoder> {
    if form.is_embedding() {
        Box::new(ollama::VectorDecoder::new(WHOLE_BODY_BYTES, request.texts()))
    } else {
        Box::new(ollama::EventDecoder::new(target.max_frame_bytes))
    }
}

async fn list(target: &Target) -> Result<Vec<String>, Failure> {
    ollama::decode_tags(&target.get(&target.url("/api/tags"), TAGS_BYTES).await?)
}

/// Finds out what an Ollama has to offer, before any model is configured.
pub struct OllamaProbe(Target);

impl OllamaProbe {
    #[must_use]
    pub fn new(client: &HttpClient, candidate: &Model) -> Self {
        Self(Target::new(client.clone(), candidate, Wire::Ollama))
    }

    /// The first model that can chat, in the order of `/api/tags`: the last one used or changed.
    ///
    /// # Errors
    /// When no Ollama answers.
    pub async fn first_chat_model(&self) -> Result<Option<String>, Failure> {
        let Self(target) = self;
        for name in list(target).await?.into_iter().take(SHOW_MODELS) {
            let asked = ollama::encode_show(&name);
            let shown = target.post_for_document("/api/show", asked.into(), SHOW_BYTES).await?;
            if ollama::decode_capabilities(&shown)?.iter().any(|word| word == "completion") {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}
