//! Vectors as an OpenAI client asked for them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;

use crate::codec::{Batch, Encoder, End, Payload};
use crate::event::{Event, Usage};
use crate::outcome::Outcome;

/// Writes vectors as one `list`. A relayed body goes out as it came.
///
/// An answer that did not complete is not written: the HTTP layer answers with an error.
#[derive(Debug)]
pub struct VectorEncoder {
    model: String,
    base64: bool,
    body: Vec<Bytes>,
    vectors: Vec<Vec<f32>>,
}

impl VectorEncoder {
    /// With `base64` a vector is the base64 of its floats, little-endian.
    #[must_use]
    pub fn new(model: String, base64: bool) -> Self {
        Self { model, base64, body: Vec::new(), vectors: Vec::new() }
    }

    fn list(&self, usage: Option<Usage>) -> Vec<u8> {
        let written = |vector| {
            if self.base64 { Numbers::Base64(base64_of(vector)) } else { Numbers::Floats(vector) }
        };
        let data = self.vectors.iter().zip(0..).map(|(vector, index)| Entry {
            object: "embedding",
            index,
            embedding: written(vector),
        });
        let list = List {
            object: "list",
            data: data.collect(),
            model: &self.model,
            usage: usage.map(WireUsage::from),
        };
        // Strings and finite numbers only: there is nothing that could fail.
        serde_json::to_vec(&list).unwrap_or_default()
    }
}

fn base64_of(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}

impl Encoder for VectorEncoder {
    fn encode(&mut self, batch: Batch, _out: &mut Vec<Payload>) {
        self.body.extend(batch.frames);
        for event in batch.events {
            if let Event::Embeddings(vectors) = event {
                self.vectors.extend(vectors);
            }
        }
    }

    fn end(&mut self, end: &End<'_>, out: &mut Vec<Payload>) {
        if end.outcome != Outcome::Completed {
            return;
        }
        if self.body.is_empty() {
            out.push(Payload::Wire(Bytes::from(self.list(end.usage))));
        } else {
            out.extend(self.body.drain(..).map(Payload::Wire));
        }
    }

    fn held_bytes(&self) -> usize {
        let of_vector = |vector: &Vec<f32>| size_of::<Vec<f32>>() + size_of_val(vector.as_slice());
        let vectors: usize = self.vectors.iter().map(of_vector).sum();
        vectors + self.body.iter().map(Bytes::len).sum::<usize>()
    }
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Entry<'a>>,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<WireUsage>,
}

#[derive(Serialize)]
struct Entry<'a> {
    object: &'static str,
    index: usize,
    embedding: Numbers<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Numbers<'a> {
    Floats(&'a [f32]),
    Base64(String),
}

/// Nothing is generated.
#[derive(Serialize)]
struct WireUsage {
    prompt_tokens: u64,
    total_tokens: u64,
}

impl From<Usage> for WireUsage {
    fn from(usage: Usage) -> Self {
        Self { prompt_tokens: usage.prompt_tokens, total_tokens: usage.total_tokens() }
    }
}
