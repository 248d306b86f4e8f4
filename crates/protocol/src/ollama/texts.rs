//! The bodies of `POST /api/generate`, for texts to be continued, and of `POST /api/embed`.

use serde::Serialize;

use super::request::Options;
use crate::request::{Completion, Embedding};

/// The body of `/api/generate`. A text goes to the model as it is (`raw`). Only the model's own template knows how to ask for
/// what stands between two texts, so that a suffix needs it.
///
/// Newer servers let a model think unless told not to, which has no place in a raw text.
#[derive(Serialize)]
pub(super) struct Generate<'a> {
    model: &'a str,
    prompt: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    suffix: Option<&'a str>,
    raw: bool,
    think: bool,
    stream: bool,
    options: Options<'a>,
}

impl<'a> Generate<'a> {
    /// The answer is always streamed.
    pub fn new(completion: &'a Completion, model: &'a str) -> Self {
        let suffix = completion.suffix.as_deref().filter(|suffix| !suffix.is_empty());
        Self {
            model,
            prompt: &completion.prompt,
            suffix,
            raw: suffix.is_none(),
            think: false,
            stream: true,
            options: Options::from(&completion.sampling),
        }
    }
}

/// The body of `/api/embed`.
#[derive(Serialize)]
pub(super) struct Embed<'a> {
    model: &'a str,
    input: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    truncate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
}

impl<'a> Embed<'a> {
    pub fn new(embedding: &'a Embedding, model: &'a str) -> Self {
        let Embedding { input, truncate, dimensions, .. } = embedding;
        Self { model, input, truncate: *truncate, dimensions: *dimensions }
    }
}
