//! An answer in one piece, as the client asked for it.

use bytes::Bytes;
use serde::Serialize;

use super::chunks::{Shape, WireUsage};
use super::wire_messages::WireToolCall;
use crate::codec::{Batch, Encoder, End, Payload};
use crate::collect::Collected;
use crate::event::FinishReason;
use crate::outcome::Outcome;

/// Collects an answer and writes it as one `chat.completion`. A relayed body goes out as it came.
///
/// An answer that did not complete is not written: the HTTP layer answers with an error.
#[derive(Debug)]
pub struct WholeEncoder {
    shape: Shape,
    id: String,
    model: String,
    created: u64,
    body: Vec<Bytes>,
    collected: Collected,
}

impl WholeEncoder {
    #[must_use]
    pub fn new(id: String, model: String, created: u64) -> Self {
        let collected = Collected::default();
        Self { shape: Shape::Chat, id, model, created, body: Vec::new(), collected }
    }

    /// Writes a `text_completion` in its place.
    #[must_use]
    pub fn of_completion(self) -> Self {
        Self { shape: Shape::Completion, ..self }
    }

    fn answer(&self, end: &End<'_>) -> Vec<u8> {
        let finish_reason = end.finish.as_ref().map_or("stop", FinishReason::as_str);
        match self.shape {
            Shape::Chat => self.written("chat.completion", self.choice(finish_reason), end),
            Shape::Completion => {
                // All that a model says continues the text.
                let text = [self.collected.reasoning.as_str(), &self.collected.content].concat();
                let choice = TextChoice { index: 0, text, logprobs: None, finish_reason };
                self.written("text_completion", choice, end)
            }
        }
    }

    fn choice<'a>(&'a self, finish_reason: &'a str) -> Choice<'a> {
        let Collected { content, reasoning, .. } = &self.collected;
        let tool_calls: Vec<_> = self.collected.calls().map(WireToolCall::from).collect();
        let message = Message {
            role: "assistant",
            content: Some(content.as_str())
                .filter(|_| !content.is_empty() || tool_calls.is_empty()),
            refusal: None,
            reasoning_content: Some(reasoning.as_str()).filter(|text| !text.is_empty()),
            tool_calls,
        };
        Choice { index: 0, message, logprobs: None, finish_reason }
    }

    fn written<T: Serialize>(&self, object: &'static str, choice: T, end: &End<'_>) -> Vec<u8> {
        let completion = Completion {
            id: &self.id,
            object,
            created: self.created,
            model: &self.model,
            choices: [choice],
            usage: end.usage.map(WireUsage::from),
        };
        // Strings and numbers only: there is nothing that could fail.
        serde_json::to_vec(&completion).unwrap_or_default()
    }
}

impl Encoder for WholeEncoder {
    fn encode(&mut self, batch: Batch, _out: &mut Vec<Payload>) {
        self.body.extend(batch.frames);
        for event in batch.events {
            self.collected.add(event);
        }
    }

    fn end(&mut self, end: &End<'_>, out: &mut Vec<Payload>) {
        if end.outcome != Outcome::Completed {
            return;
        }
        if self.body.is_empty() {
            out.push(Payload::Wire(Bytes::from(self.answer(end))));
        } else {
            out.extend(self.body.drain(..).map(Payload::Wire));
        }
    }

    fn held_bytes(&self) -> usize {
        self.body.iter().map(Bytes::len).sum::<usize>() + self.collected.bytes()
    }
}

#[derive(Serialize)]
struct Completion<'a, T> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: [T; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<WireUsage>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    message: Message<'a>,
    logprobs: Option<()>,
    finish_reason: &'a str,
}

#[derive(Serialize)]
struct TextChoice<'a> {
    text: String,
    index: u32,
    logprobs: Option<()>,
    finish_reason: &'a str,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<&'a str>,
    /// Always there in an answer of OpenAI's own.
    refusal: Option<()>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireToolCall<'a>>,
}
