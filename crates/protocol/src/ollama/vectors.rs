//! Ollama's answer to `POST /api/embed`.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::error::Failure;
use crate::event::{Event, Timings, Usage};
use crate::openai::errors::decode_error_value;
use crate::vectors::{self, Document, Told};

/// Collects the body and reads it at its end.
pub type VectorDecoder = vectors::VectorDecoder<Embeddings>;

/// Ollama's document: vectors in the order of the texts, and how long they took.
#[derive(Debug)]
pub struct Embeddings;

/// `T` is what is wanted of each vector.
#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct Answer<'a, T> {
    embeddings: Option<Vec<T>>,
    prompt_eval_count: Option<u64>,
    total_duration: Option<u64>,
    load_duration: Option<u64>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl Document for Embeddings {
    type Vector = Vec<f32>;

    fn tell<T: DeserializeOwned>(text: &str) -> Option<Result<Told<T>, Failure>> {
        let answer: Answer<'_, T> = serde_json::from_str(text).ok()?;
        if let Some(error) = answer.error {
            return Some(Err(decode_error_value(error)));
        }
        let usage = answer
            .prompt_eval_count
            .map(|prompt_tokens| Event::Usage(Usage { prompt_tokens, ..Usage::default() }));
        let timings = Timings {
            total_ns: answer.total_duration,
            load_ns: answer.load_duration,
            ..Timings::default()
        };
        let timings = (timings != Timings::default()).then_some(Event::Timings(timings));
        let notices = usage.into_iter().chain(timings).chain([Event::Done]).collect();
        Some(Ok(Told { vectors: answer.embeddings?, notices }))
    }

    fn in_order(vectors: Vec<Vec<f32>>) -> Result<Vec<Vec<f32>>, Failure> {
        Ok(vectors)
    }
}
