//! Ollama by its native API: NDJSON from `/api/chat`, models from `/api/tags`.

use std::rc::Rc;

use bytes::Bytes;
use futures::future::{FutureExt, LocalBoxFuture};
use futures::stream::StreamExt;
use tidegate_protocol::{Failure, ollama};

use super::answer::HttpAnswer;
use super::client::{HttpClient, Target};
use super::{Answer, Call, Provider, Refused, model_missing};
use crate::config::Model;

const CHAT: &str = "/api/chat";

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
        Self { target: Rc::new(Target::new(client.clone(), model, CHAT)) }
    }
}

impl Provider for Ollama {
    fn open(&self, call: Call) -> LocalBoxFuture<'static, Result<Answer, Refused>> {
        let target = Rc::clone(&self.target);
        async move {
            let encoded = ollama::encode_request(&call.request, &target.upstream_model)?;
            let reply = target.chat(call.id, Bytes::from(encoded.body), call.pool).await?;
            let decoder = Box::new(ollama::EventDecoder::new(target.max_frame_bytes));
            Ok(HttpAnswer::new(reply.body, decoder, target.secret()).boxed_local())
        }
        .boxed_local()
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

async fn list(target: &Target) -> Result<Vec<String>, Failure> {
    ollama::decode_tags(&target.get(&target.url("/api/tags"), TAGS_BYTES).await?)
}

/// Finds out what an Ollama has to offer, before any model is configured.
pub struct OllamaProbe(Target);

impl OllamaProbe {
    #[must_use]
    pub fn new(client: &HttpClient, candidate: &Model) -> Self {
        Self(Target::new(client.clone(), candidate, CHAT))
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
