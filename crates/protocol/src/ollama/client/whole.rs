//! An answer in one piece, as Ollama writes it.

use bytes::Bytes;

use super::lines::{LineWriter, Piece};
use super::stream::{objection, whole_calls};
use crate::codec::{Batch, Encoder, End, Join, Payload};
use crate::collect::Collected;
use crate::error::Failure;
use crate::event::FinishReason;
use crate::outcome::Outcome;

/// Collects an answer and writes it as one object. A relayed body goes out as it came.
///
/// An answer that did not complete is not written: the HTTP layer answers with an error.
#[derive(Debug)]
pub struct WholeEncoder {
    lines: LineWriter,
    body: Vec<Bytes>,
    collected: Collected,
    /// The last model that went on with it.
    continued_by: Option<String>,
}

impl WholeEncoder {
    #[must_use]
    pub fn new(lines: LineWriter) -> Self {
        Self { lines, body: Vec::new(), collected: Collected::default(), continued_by: None }
    }
}

impl Encoder for WholeEncoder {
    fn encode(&mut self, batch: Batch, _out: &mut Vec<Payload>) {
        self.body.extend(batch.frames);
        for event in batch.events {
            self.collected.add(event);
        }
    }

    fn continued(&mut self, join: &Join<'_>, _out: &mut Vec<Payload>) {
        self.continued_by = Some(join.model.to_owned());
    }

    fn end(&mut self, end: &End<'_>, out: &mut Vec<Payload>) {
        if end.outcome != Outcome::Completed {
            return;
        }
        if !self.body.is_empty() {
            out.extend(self.body.drain(..).map(Payload::Wire));
            return;
        }
        let Collected { content, reasoning, .. } = &self.collected;
        let piece = Piece {
            content,
            thinking: Some(reasoning.as_str()).filter(|text| !text.is_empty()),
            tool_calls: whole_calls(&self.collected),
            continued_by: self.continued_by.as_deref(),
        };
        let mut body = Vec::new();
        self.lines.write(&piece, &self.lines.now(), Some(end), &mut body);
        out.push(Payload::Wire(Bytes::from(body)));
    }

    fn objection(&self, finish: Option<&FinishReason>) -> Option<Failure> {
        objection(self.lines.endpoint(), &self.collected, finish)
    }

    fn held_bytes(&self) -> usize {
        self.body.iter().map(Bytes::len).sum::<usize>() + self.collected.bytes()
    }
}
