//! Vectors, as Ollama writes them.

use bytes::Bytes;
use serde::Serialize;

use super::lines::Report;
use crate::codec::{Batch, Encoder, End, Payload};
use crate::event::Event;
use crate::outcome::Outcome;

/// Writes the answer to `/api/embed`, or to the older `/api/embeddings`, which has one vector and
/// nothing else. A relayed body goes out as it came.
#[derive(Debug)]
pub struct EmbedEncoder {
    model: String,
    older: bool,
    body: Vec<Bytes>,
    vectors: Vec<Vec<f32>>,
}

impl EmbedEncoder {
    #[must_use]
    pub fn new(model: String) -> Self {
        Self { model, older: false, body: Vec::new(), vectors: Vec::new() }
    }

    /// For `/api/embeddings`.
    #[must_use]
    pub fn older() -> Self {
        Self { older: true, ..Self::new(String::new()) }
    }

    fn written(&self, end: &End<'_>) -> Vec<u8> {
        let report = Report::of_prompt(end);
        let Self { model, vectors, .. } = self;
        // Strings and numbers only: there is nothing that could fail.
        if self.older {
            let embedding = vectors.first().map(Vec::as_slice).unwrap_or_default();
            serde_json::to_vec(&Older { embedding }).unwrap_or_default()
        } else {
            serde_json::to_vec(&Vectors { model, embeddings: vectors, report }).unwrap_or_default()
        }
    }
}

impl Encoder for EmbedEncoder {
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
            out.push(Payload::Wire(Bytes::from(self.written(end))));
        } else {
            out.extend(self.body.drain(..).map(Payload::Wire));
        }
    }

    fn held_bytes(&self) -> usize {
        let of_vector = |vector: &Vec<f32>| size_of_val(vector.as_slice());
        let vectors: usize = self.vectors.iter().map(of_vector).sum();
        self.body.iter().map(Bytes::len).sum::<usize>() + vectors
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
