//! An answer in one piece.

use bytes::Bytes;

use super::answer::{Block, Input, Kind, Message, WireUsage, stop_reason};
use crate::chat::ToolCall;
use crate::codec::{Batch, Encoder, End, Payload};
use crate::collect::Collected;
use crate::error::{ErrorKind, Failure};
use crate::event::FinishReason;
use crate::outcome::Outcome;

/// Collects an answer and writes it as one message.
///
/// An answer that did not complete is not written: the HTTP layer answers with an error.
#[derive(Debug)]
pub struct WholeEncoder {
    id: String,
    model: String,
    collected: Collected,
}

impl WholeEncoder {
    /// `id` is the message's without its prefix, `model` the public name.
    #[must_use]
    pub fn new(id: &str, model: String) -> Self {
        Self { id: id.to_owned(), model, collected: Collected::default() }
    }

    fn message(&self, end: &End<'_>) -> Vec<u8> {
        let Collected { content: text, reasoning: thinking, .. } = &self.collected;
        let ids: Vec<_> = self.collected.calls().enumerate().map(|it| self.call_id(it)).collect();
        let mut content = Vec::new();
        if !thinking.is_empty() {
            content.push(Block::Thinking { thinking, signature: "" });
        }
        if !text.is_empty() {
            content.push(Block::Text { text });
        }
        let said = content.len();
        for (call, id) in self.collected.calls().zip(&ids) {
            // What is no object was cut for its length: the stop reason tells.
            if let Some(input) = input(call) {
                content.push(Block::ToolUse { id, name: &call.name, input });
            }
        }
        let called = content.len() > said;
        let (stop_reason, stop_sequence) = stop_reason(end.finish.as_ref(), called);
        let message = Message {
            id: &format!("msg_{}", self.id),
            kind: Kind::default(),
            model: &self.model,
            content,
            stop_reason: Some(stop_reason),
            stop_sequence,
            usage: WireUsage::of_message(end.usage),
        };
        // Strings, numbers and JSON that was parsed before: there is nothing that could fail.
        serde_json::to_vec(&message).unwrap_or_default()
    }

    fn call_id(&self, (place, call): (usize, &ToolCall)) -> String {
        if call.id.is_empty() { format!("toolu_{}_{place}", self.id) } else { call.id.clone() }
    }
}

/// None where it is no whole call.
fn input(call: &ToolCall) -> Option<Input<'_>> {
    if call.name.is_empty() { None } else { Input::of(&call.arguments) }
}

/// A tool's input is an object here, and nothing else.
pub(super) fn no_object() -> Failure {
    let message = "the upstream called a tool with arguments that are no JSON object";
    Failure::new(ErrorKind::UpstreamProtocol, message)
}

impl Encoder for WholeEncoder {
    fn encode(&mut self, batch: Batch, _out: &mut Vec<Payload>) {
        for event in batch.events {
            self.collected.add(event);
        }
    }

    fn end(&mut self, end: &End<'_>, out: &mut Vec<Payload>) {
        if end.outcome == Outcome::Completed {
            out.push(Payload::Wire(Bytes::from(self.message(end))));
        }
    }

    fn objection(&self, finish: Option<&FinishReason>) -> Option<Failure> {
        let cut = finish == Some(&FinishReason::Length);
        let faulty = !cut && self.collected.calls().any(|call| input(call).is_none());
        faulty.then(no_object)
    }

    fn held_bytes(&self) -> usize {
        self.collected.bytes()
    }
}
