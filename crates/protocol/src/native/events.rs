//! A streamed answer as named events.

use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use serde::Serialize;

use super::usage::WireUsage;
use crate::codec::{Batch, Encoder, End, EventName, Join, Payload, QueuePlace};
use crate::event::{Event, FinishReason, ToolCallDelta};
use crate::openai::errors::unexplained;
use crate::outcome::Outcome;

/// So much room is kept from piece to piece, which is enough for a piece of text.
const KEPT_BYTES: usize = 256;

/// Writes one event for each piece of the answer, and one terminal.
#[derive(Debug)]
pub struct EventEncoder {
    model: String,
    /// What all pieces of text begin with, and what is written behind it.
    text: Vec<u8>,
    head: usize,
}

impl EventEncoder {
    #[must_use]
    pub fn new(model: String) -> Self {
        let mut text = br#"{"model":"#.to_vec();
        append(&mut text, &model);
        text.extend_from_slice(br#","content":"#);
        let head = text.len();
        Self { model, text, head }
    }

    /// As [`Chunk`] would be written; most pieces are text.
    fn text(&mut self, text: &str) -> Payload {
        self.text.truncate(self.head);
        append(&mut self.text, text);
        self.text.extend_from_slice(br#","done":false}"#);
        // In memory of its own size: clients that do not read hold it for long.
        let data = ByteString::try_from(Bytes::copy_from_slice(&self.text)).unwrap_or_default();
        self.text.shrink_to(KEPT_BYTES);
        Payload::Event { name: EventName::Chunk, data }
    }

    fn done(&self, end: &End<'_>) -> Payload {
        let usage = end.usage.map(WireUsage::from);
        let done = Done {
            model: &self.model,
            total_duration: end.duration_ns,
            eval_count: end.usage.map_or(end.chunks, |usage| usage.completion_tokens),
            done: true,
            finish_reason: end.finish.as_ref().map(FinishReason::as_str),
            usage,
        };
        event(EventName::Done, &done)
    }
}

impl Encoder for EventEncoder {
    fn encode(&mut self, batch: Batch, out: &mut Vec<Payload>) {
        for piece in batch.events {
            if let Event::Text(text) = &piece {
                out.push(self.text(text));
                continue;
            }
            let mut chunk = Chunk::of(&self.model);
            match &piece {
                Event::Text(text) => chunk.content = text,
                Event::Reasoning(text) => chunk.reasoning = Some(text),
                Event::ToolCall(call) => chunk.tool_calls = Some([call]),
                // Told by the terminal.
                Event::Finish(_)
                | Event::Usage(_)
                | Event::Timings(_)
                | Event::Embeddings(_)
                | Event::Error(_)
                | Event::Done => continue,
            }
            out.push(event(EventName::Chunk, &chunk));
        }
    }

    fn queued(&mut self, place: QueuePlace, out: &mut Vec<Payload>) {
        let QueuePlace { position, wait } = place;
        let millis = |wait: Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let queued = Queued { position, estimated_wait_ms: wait.map(millis) };
        out.push(event(EventName::Queued, &queued));
    }

    fn continued(&mut self, join: &Join<'_>, out: &mut Vec<Payload>) {
        let said = Continued {
            model: &self.model,
            continued_by: join.model,
            code: join.failure.kind.code(),
            eval_count: join.chunks,
            done: false,
        };
        out.push(event(EventName::Continued, &said));
    }

    fn end(&mut self, end: &End<'_>, out: &mut Vec<Payload>) {
        if end.outcome == Outcome::Completed {
            out.push(self.done(end));
            return;
        }
        let unknown = unexplained(end.outcome);
        let failure = end.failure.unwrap_or(&unknown);
        let name =
            if end.outcome == Outcome::Cancelled { EventName::Cancelled } else { EventName::Error };
        let said = Failed {
            code: failure.kind.code(),
            message: &failure.message,
            retry_after: failure.retry_after_seconds,
        };
        out.push(event(name, &said));
    }
}

/// Writing to memory does not fail.
fn append(out: &mut Vec<u8>, text: &str) {
    let _ = serde_json::to_writer(out, text);
}

fn event(name: EventName, data: &impl Serialize) -> Payload {
    // Strings and numbers only: there is nothing that could fail.
    Payload::Event { name, data: serde_json::to_string(data).unwrap_or_default().into() }
}

/// A piece of the answer. `content` is always there, so that a reader of text needs no cases.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Chunk<'a> {
    model: &'a str,
    content: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[&'a ToolCallDelta; 1]>,
    done: bool,
}

impl<'a> Chunk<'a> {
    fn of(model: &'a str) -> Self {
        Self { model, content: "", reasoning: None, tool_calls: None, done: false }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the wire's own names")]
struct Done<'a> {
    model: &'a str,
    /// Nanoseconds.
    total_duration: u64,
    /// Tokens; pieces where the upstream reported none.
    eval_count: u64,
    done: bool,
    finish_reason: Option<&'a str>,
    usage: Option<WireUsage>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Queued {
    position: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_wait_ms: Option<u64>,
}

/// Another model goes on.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the wire's own names")]
struct Continued<'a> {
    model: &'a str,
    continued_by: &'a str,
    /// Why the one before broke off.
    code: &'static str,
    /// Pieces of the answer that came before.
    eval_count: u64,
    done: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failed<'a> {
    code: &'static str,
    message: &'a str,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u32>,
}
