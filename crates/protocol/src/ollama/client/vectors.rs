//! Vectors, as Ollama writes them.

use serde::Serialize;

use super::lines::Report;
use crate::codec::{Batch, Encoder, End, Payload};
use crate::vectors::Held;

/// Writes the answer to `/api/embed`, or to the older `/api/embeddings`, which has one vector and
/// nothing else. A relayed body goes out as it came.
#[derive(Debug)]
pub struct EmbedEncoder {
    model: String,
    older: bool,
    held: Held,
}

impl EmbedEncoder {
    #[must_use]
    pub fn new(model: String) -> Self {
        Self { model, older: false, held: Held::default() }
    }

    /// For `/api/embeddings`.
    #[must_use]
    pub fn older() -> Self {
        Self { older: true, ..Self::new(String::new()) }
    }
}

impl Encoder for EmbedEncoder {
    fn encode(&mut self, batch: Batch, _out: &mut Vec<Payload>) {
        self.held.take(batch);
    }

    fn end(&mut self, end: &End<'_>, out: &mut Vec<Payload>) {
        let Self { model, older, held } = self;
        // Strings and finite numbers only: there is nothing that could fail.
        held.end(end, out, |vectors| {
            if *older {
                let embedding = vectors.first().map(Vec::as_slice).unwrap_or_default();
                return serde_json::to_vec(&Older { embedding }).unwrap_or_default();
            }
            let report = Report::of_prompt(end);
            serde_json::to_vec(&Vectors { model, embeddings: vectors, report }).unwrap_or_default()
        });
    }

    fn held_bytes(&self) -> usize {
        self.held.bytes()
    }
}

#[derive(Serialize)]
struct Vectors<'a> {
    model: &'a str,
    embeddings: &'a [Vec<f32>],
    #[serde(flatten)]
    report: Report,
}

#[derive(Serialize)]
struct Older<'a> {
    embedding: &'a [f32],
}
