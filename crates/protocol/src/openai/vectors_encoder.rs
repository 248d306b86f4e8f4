//! Vectors as an OpenAI client asked for them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::codec::{Batch, Encoder, End, Payload};
use crate::event::Usage;
use crate::vectors::Held;

/// Writes vectors as one `list`. A relayed body goes out as it came.
#[derive(Debug)]
pub struct VectorEncoder {
    model: String,
    base64: bool,
    held: Held,
}

impl VectorEncoder {
    /// With `base64` a vector is the base64 of its floats, little-endian.
    #[must_use]
    pub fn new(model: String, base64: bool) -> Self {
        Self { model, base64, held: Held::default() }
    }
}

impl Encoder for VectorEncoder {
    fn encode(&mut self, batch: Batch, _out: &mut Vec<Payload>) {
        self.held.take(batch);
    }

    fn end(&mut self, end: &End<'_>, out: &mut Vec<Payload>) {
        let Self { model, base64, held } = self;
        held.end(end, out, |vectors| list(vectors, model, *base64, end.usage));
    }

    fn held_bytes(&self) -> usize {
        self.held.bytes()
    }
}

fn list(vectors: &[Vec<f32>], model: &str, base64: bool, usage: Option<Usage>) -> Vec<u8> {
    let written = |vector| {
        if base64 { Numbers::Base64(base64_of(vector)) } else { Numbers::Floats(vector) }
    };
    let data = vectors.iter().zip(0..).map(|(vector, index)| Entry {
        object: "embedding",
        index,
        embedding: written(vector),
    });
    let usage = usage.map(WireUsage::from);
    let list = List { object: "list", data: data.collect(), model, usage };
    // Strings and finite numbers only: there is nothing that could fail.
    serde_json::to_vec(&list).unwrap_or_default()
}

fn base64_of(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    STANDARD.encode(bytes)
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
