//! The bodies of completions and embeddings, built from the words all dialects share.

use serde::Serialize;

use super::encode::{StreamOptions, WireSampling};
use crate::request;

/// The body of `POST /completions`.
#[derive(Serialize)]
pub(super) struct Completing<'a> {
    model: &'a str,
    prompt: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    suffix: Option<&'a str>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(flatten)]
    sampling: WireSampling<'a>,
}

impl<'a> Completing<'a> {
    pub fn new(completion: &'a request::Completion, model: &'a str, stream: bool) -> Self {
        Self {
            model,
            prompt: &completion.prompt,
            suffix: completion.suffix.as_deref(),
            stream,
            stream_options: StreamOptions::own(stream),
            sampling: WireSampling::new(&completion.sampling),
        }
    }
}

/// The body of `POST /embeddings`. Vectors are asked for as numbers, which every server writes.
#[derive(Serialize)]
pub(super) struct Embedding<'a> {
    model: &'a str,
    input: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
}

impl<'a> Embedding<'a> {
    pub fn new(embedding: &'a request::Embedding, model: &'a str) -> Self {
        Self {
            model,
            input: &embedding.input,
            dimensions: embedding.dimensions,
            user: embedding.user.as_deref(),
        }
    }
}
