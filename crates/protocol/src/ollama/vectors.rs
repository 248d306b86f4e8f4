//! Ollama's answer to `POST /api/embed`.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;

use crate::codec::{Batch, Decoder};
use crate::error::Failure;
use crate::event::{Event, Timings, Usage};
use crate::openai::errors::decode_error_value;
use crate::vectors;
use crate::whole_body::WholeBody;

/// Collects the body and reads it at its end.
#[derive(Debug)]
pub struct VectorDecoder {
    /// For how many texts vectors were asked for; none where the body is passed on.
    texts: Option<usize>,
    body: WholeBody,
}

impl VectorDecoder {
    /// Gives one vector for each of `texts`.
    #[must_use]
    pub fn new(max_bytes: usize, texts: usize) -> Self {
        Self { texts: Some(texts), body: WholeBody::new(max_bytes) }
    }

    /// Passes the body on as it is; only its counts are looked at, and that there are vectors.
    #[must_use]
    pub fn relay(max_bytes: usize) -> Self {
        Self { texts: None, body: WholeBody::new(max_bytes) }
    }
}

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

/// What an answer says: vectors (or that they are there), and what else it tells.
struct Told<T> {
    vectors: Vec<T>,
    notices: Vec<Event>,
}

impl<T> Answer<'_, T> {
    /// Nothing where it is neither vectors nor an error.
    fn tell(self) -> Option<Result<Told<T>, Failure>> {
        if let Some(error) = self.error {
            return Some(Err(decode_error_value(error)));
        }
        let usage = self
            .prompt_eval_count
            .map(|prompt_tokens| Event::Usage(Usage { prompt_tokens, ..Usage::default() }));
        let timings = Timings {
            total_ns: self.total_duration,
            load_ns: self.load_duration,
            ..Timings::default()
        };
        let timings = (timings != Timings::default()).then_some(Event::Timings(timings));
        let notices = usage.into_iter().chain(timings).chain([Event::Done]).collect();
        Some(Ok(Told { vectors: self.embeddings?, notices }))
    }
}

fn read<T: DeserializeOwned>(text: &str) -> Option<Result<Told<T>, Failure>> {
    serde_json::from_str::<Answer<'_, T>>(text).ok()?.tell()
}

impl Decoder for VectorDecoder {
    fn decode(&mut self, read: Bytes) -> Result<Batch, Failure> {
        self.body.take(read).map(|()| Batch::default())
    }

    fn finish(&mut self) -> Result<Batch, Failure> {
        let Some(texts) = self.texts else {
            let (told, body) = self.body.end(read::<IgnoredAny>)?;
            let events = told?.notices;
            return Ok(Batch { frames: vec![body], events, chunks: 1, ..Batch::default() });
        };
        let (told, _) = self.body.end(read::<Vec<f32>>)?;
        let Told { vectors, notices } = told?;
        let mut events = vec![vectors::event(vectors, texts)?];
        events.extend(notices);
        Ok(Batch { events, chunks: 1, ..Batch::default() })
    }
}
