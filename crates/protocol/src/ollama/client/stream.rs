//! A streamed answer made of events, in Ollama's lines.

use bytes::Bytes;

use super::error_line;
use super::lines::{Endpoint, LineWriter, Piece, WireCall};
use crate::codec::{Batch, Encoder, End, Join, Payload};
use crate::collect::Collected;
use crate::error::{ErrorKind, Failure};
use crate::event::{Event, FinishReason};
use crate::outcome::Outcome;
use crate::spoken::Signature;

/// Writes one answer: a line for each piece, one for all tool calls, the last with the counts.
///
/// A call's arguments are an object here, so calls are held until the answer is whole.
#[derive(Debug)]
pub struct LineEncoder {
    lines: LineWriter,
    calls: Collected,
    /// The model that goes on from here, until a line has told it.
    continued_by: Option<String>,
}

impl LineEncoder {
    #[must_use]
    pub fn new(lines: LineWriter) -> Self {
        Self { lines, calls: Collected::default(), continued_by: None }
    }

    /// Goes on with an answer that began in lines of another's, in their name.
    pub(in crate::ollama) fn sign(&mut self, signature: Option<&Signature>) {
        if let Some(model) = signature.and_then(|signature| signature.model.clone()) {
            self.lines.name(model);
        }
    }
}

impl Encoder for LineEncoder {
    fn encode(&mut self, batch: Batch, out: &mut Vec<Payload>) {
        let mut written = Vec::new();
        // All that came at once was made at once.
        let mut now = None;
        for event in batch.events {
            let piece = match &event {
                Event::Text(content) => Piece { content, ..Piece::default() },
                Event::Reasoning(thinking) => {
                    Piece { thinking: Some(thinking), ..Piece::default() }
                }
                Event::ToolCall(_) => {
                    self.calls.add(event);
                    continue;
                }
                // Told by the last line, or no part of an answer in words.
                _ => continue,
            };
            let now = now.get_or_insert_with(|| self.lines.now());
            let continued_by = self.continued_by.take();
            let piece = Piece { continued_by: continued_by.as_deref(), ..piece };
            self.lines.write(&piece, now, None, &mut written);
        }
        if !written.is_empty() {
            out.push(Payload::Wire(Bytes::from(written)));
        }
    }

    fn continued(&mut self, join: &Join<'_>, _out: &mut Vec<Payload>) {
        self.continued_by = Some(join.model.to_owned());
    }

    fn end(&mut self, end: &End<'_>, out: &mut Vec<Payload>) {
        if end.outcome != Outcome::Completed {
            out.push(Payload::Wire(error_line(end)));
            return;
        }
        let mut written = Vec::new();
        let now = self.lines.now();
        let mut continued_by = self.continued_by.as_deref();
        let tool_calls = whole_calls(&self.calls);
        if !tool_calls.is_empty() {
            let piece = Piece { tool_calls, continued_by: continued_by.take(), ..Piece::default() };
            self.lines.write(&piece, &now, None, &mut written);
        }
        let piece = Piece { continued_by, ..Piece::default() };
        self.lines.write(&piece, &now, Some(end), &mut written);
        out.push(Payload::Wire(Bytes::from(written)));
    }

    fn objection(&self, finish: Option<&FinishReason>) -> Option<Failure> {
        objection(self.lines.endpoint(), &self.calls, finish)
    }

    fn held_bytes(&self) -> usize {
        self.calls.bytes()
    }
}

/// The calls that this wire can say: of an answer that reached its limit the last may be cut.
pub(super) fn whole_calls(collected: &Collected) -> Vec<WireCall<'_>> {
    let calls = collected.calls().enumerate();
    calls.filter_map(|(index, call)| WireCall::of(index, call)).collect()
}

/// Why an answer that came to its end cannot be said.
pub(super) fn objection(
    endpoint: Endpoint,
    collected: &Collected,
    finish: Option<&FinishReason>,
) -> Option<Failure> {
    let message = if endpoint == Endpoint::Generate && collected.calls().len() > 0 {
        "the model called a tool, for which this endpoint has no word"
    } else if finish != Some(&FinishReason::Length)
        && whole_calls(collected).len() < collected.calls().len()
    {
        "the model called a tool with arguments that are no JSON object"
    } else {
        return None;
    };
    Some(Failure::new(ErrorKind::UpstreamProtocol, message))
}
