//! An answer in one piece.

use bytes::Bytes;
use serde::Serialize;

use super::usage::WireUsage;
use crate::chat::ToolCall;
use crate::codec::{Batch, Encoder, End, Join, Payload};
use crate::collect::Collected;
use crate::event::FinishReason;
use crate::outcome::Outcome;

/// Collects an answer and writes it as one body.
///
/// An answer that did not complete is not written: the HTTP layer answers with an error.
#[derive(Debug)]
pub struct WholeEncoder {
    request_id: String,
    model: String,
    collected: Collected,
    /// The other models that went on with it.
    continued_by: Vec<String>,
}

impl WholeEncoder {
    #[must_use]
    pub fn new(request_id: String, model: String) -> Self {
        Self { request_id, model, collected: Collected::default(), continued_by: Vec::new() }
    }
}

impl Encoder for WholeEncoder {
    fn encode(&mut self, batch: Batch, _out: &mut Vec<Payload>) {
        for event in batch.events {
            self.collected.add(event);
        }
    }

    fn continued(&mut self, join: &Join<'_>, _out: &mut Vec<Payload>) {
        self.continued_by.push(join.model.to_owned());
    }

    fn end(&mut self, end: &End<'_>, out: &mut Vec<Payload>) {
        if end.outcome != Outcome::Completed {
            return;
        }
        let reasoning = self.collected.reasoning.as_str();
        let answer = Answer {
            request_id: &self.request_id,
            model: &self.model,
            content: &self.collected.content,
            reasoning: Some(reasoning).filter(|text| !text.is_empty()),
            tool_calls: self.collected.calls().map(WireCall::from).collect(),
            finish_reason: end.finish.as_ref().map(FinishReason::as_str),
            usage: end.usage.map(WireUsage::from),
            continued_by: &self.continued_by,
        };
        // Strings and numbers only: there is nothing that could fail.
        out.push(Payload::Wire(Bytes::from(serde_json::to_vec(&answer).unwrap_or_default())));
    }

    fn held_bytes(&self) -> usize {
        self.collected.bytes()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    request_id: &'a str,
    model: &'a str,
    content: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireCall<'a>>,
    finish_reason: Option<&'a str>,
    usage: Option<WireUsage>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    continued_by: &'a [String],
}

#[derive(Serialize)]
struct WireCall<'a> {
    id: &'a str,
    name: &'a str,
    arguments: &'a str,
}

impl<'a> From<&'a ToolCall> for WireCall<'a> {
    fn from(call: &'a ToolCall) -> Self {
        Self { id: &call.id, name: &call.name, arguments: &call.arguments }
    }
}
