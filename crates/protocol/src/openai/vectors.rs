//! An upstream's answer to `POST /embeddings`.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{errors, frame};
use crate::error::Failure;
use crate::event::Event;
use crate::vectors::{self, Document, Told};
use crate::whole_body::malformed;

/// Collects the body and reads it at its end.
pub type VectorDecoder = vectors::VectorDecoder<List>;

/// OpenAI's document: a list, in which each vector has its place.
#[derive(Debug)]
pub struct List;

/// `T` is what is wanted of each vector.
#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct Answer<'a, T> {
    data: Option<Vec<T>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub struct Vector {
    index: usize,
    embedding: Vec<f32>,
}

impl Document for List {
    type Vector = Vector;

    fn tell<T: DeserializeOwned>(text: &str) -> Option<Result<Told<T>, Failure>> {
        let answer: Answer<'_, T> = serde_json::from_str(text).ok()?;
        if let Some(error) = answer.error {
            return Some(Err(errors::decode_error_value(error)));
        }
        let usage = answer.usage.and_then(frame::usage).map(Event::Usage);
        let notices = usage.into_iter().chain([Event::Done]).collect();
        Some(Ok(Told { vectors: answer.data?, notices }))
    }

    /// By their index, which must be the places of a list.
    fn in_order(mut vectors: Vec<Vector>) -> Result<Vec<Vec<f32>>, Failure> {
        vectors.sort_by_key(|vector| vector.index);
        if vectors.iter().zip(0..).any(|(vector, place)| vector.index != place) {
            return Err(malformed());
        }
        Ok(vectors.into_iter().map(|vector| vector.embedding).collect())
    }
}
