//! The bodies of `POST /api/generate`, for texts to be continued, and of `POST /api/embed`.

use serde::Serialize;

use super::request::Options;
use crate::fit::Losses;
use crate::request::{Completion, Embedding};

/// A text goes to the model as it is (`raw`). Only the model's own template knows how to ask for
/// what stands between two texts, so that a suffix needs it.
///
/// Newer servers let a model think unless told not to, which has no place in a raw text.
#[derive(Serialize)]
struct Generate<'a> {
    model: &'a str,
    prompt: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    suffix: Option<&'a str>,
    raw: bool,
    think: bool,
    stream: bool,
    options: Options<'a>,
}

/// The body of `/api/generate`; the answer is always streamed.
pub(super) fn generate(completion: &Completion, model: &str, losses: &mut Losses) -> Vec<u8> {
    let Completion { prompt, suffix, sampling } = completion;
    let suffix = suffix.as_deref().filter(|suffix| !suffix.is_empty());
    let is_refused = losses.refused().iter().any(|fault| fault.field == "prompt");
    if prompt.is_empty() && !is_refused {
        // Ollama would load the model and say nothing.
        losses.refuse("prompt", "must not be empty for this model's upstream");
    }
    let body = Generate {
        model,
        prompt,
        suffix,
        raw: suffix.is_none(),
        think: false,
        stream: true,
        options: Options::from(sampling),
    };
    // Strings and numbers only: there is nothing that could fail.
    serde_json::to_vec(&body).unwrap_or_default()
}

#[derive(Serialize)]
struct Embed<'a> {
    model: &'a str,
    input: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    truncate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
}

/// The body of `/api/embed`.
pub(super) fn embed(embedding: &Embedding, model: &str, losses: &mut Losses) -> Vec<u8> {
    if embedding.user.is_some() {
        losses.ignore("user");
    }
    let Embedding { input, truncate, dimensions, .. } = embedding;
    let body = Embed { model, input, truncate: *truncate, dimensions: *dimensions };
    // Strings and numbers only: there is nothing that could fail.
    serde_json::to_vec(&body).unwrap_or_default()
}
