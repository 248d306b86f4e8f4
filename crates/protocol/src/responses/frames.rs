//! The events of a streamed response, numbered without gaps.

use bytes::Bytes;
use serde::Serialize;

use super::wire::{WireItem, WirePart};
use crate::openai::errors::ErrorObject;
use crate::sse;

/// So much room is kept from batch to batch, which is enough for a piece of text.
const KEPT_BYTES: usize = 320;

/// Writes events one behind the other; nothing where the answer is not streamed.
#[derive(Debug)]
pub(super) struct Frames {
    streams: bool,
    sequence: u64,
    out: Vec<u8>,
    /// What comes next is another model's.
    joins: bool,
}

#[derive(Serialize)]
struct Head {
    r#type: &'static str,
    sequence_number: u64,
}

impl Frames {
    pub fn new(streams: bool) -> Self {
        Self { streams, sequence: 0, out: Vec::new(), joins: false }
    }

    pub fn streams(&self) -> bool {
        self.streams
    }

    /// The next event is another model's.
    pub fn mark_join(&mut self) {
        self.joins = true;
    }

    /// Writes an event; `body` is an object with at least one field.
    pub fn write(&mut self, name: &'static str, body: &impl Serialize) {
        if self.streams {
            self.begin(name);
            let join = self.out.len();
            append(&mut self.out, body);
            // A comma joins it to the head, in the place of its opening brace.
            if let Some(brace) = self.out.get_mut(join) {
                *brace = b',';
            }
            self.out.extend_from_slice(b"\n\n");
        }
    }

    /// Writes an event of the response, which is JSON already.
    pub fn tell(&mut self, name: &'static str, response: &[u8]) {
        if self.streams {
            self.begin(name);
            self.out.extend_from_slice(br#","response":"#);
            self.out.extend_from_slice(response);
            self.out.extend_from_slice(b"}\n\n");
        }
    }

    /// The fields that all events have; the object is left open.
    fn begin(&mut self, name: &'static str) {
        let out = &mut self.out;
        if std::mem::take(&mut self.joins) {
            out.extend_from_slice(sse::CONTINUED);
        }
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        append(out, &Head { r#type: name, sequence_number: self.sequence });
        out.pop();
        self.sequence += 1;
    }

    /// What was written since the last time, in memory of its own size: clients that do not read, and
    /// journals, hold it for long.
    pub fn take(&mut self) -> Option<Bytes> {
        let written = (!self.out.is_empty()).then(|| Bytes::copy_from_slice(&self.out));
        self.out.clear();
        self.out.shrink_to(KEPT_BYTES);
        written
    }
}

/// Writing to memory does not fail, and none of these values can refuse to be written.
fn append(out: &mut Vec<u8>, value: &impl Serialize) {
    let _ = serde_json::to_writer(out, value);
}

#[derive(Serialize)]
pub(super) struct OfItem<'a> {
    pub output_index: usize,
    pub item: WireItem<'a>,
}

#[derive(Serialize)]
pub(super) struct OfPart<'a> {
    pub item_id: &'a str,
    pub output_index: usize,
    pub content_index: usize,
    pub part: WirePart<'a>,
}

/// A piece of text, or all of it.
#[derive(Serialize)]
pub(super) struct OfText<'a> {
    pub item_id: &'a str,
    pub output_index: usize,
    pub content_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<&'a str>,
    /// Only text that is said has these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<[(); 0]>,
}

/// A piece of a call's arguments, or all of them.
#[derive(Serialize)]
pub(super) struct OfArguments<'a> {
    pub item_id: &'a str,
    pub output_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<&'a str>,
}

/// An error within a stream. OpenAI's SDKs raise on the object; others read the plain fields.
#[derive(Serialize)]
pub(super) struct OfError<'a> {
    pub code: &'static str,
    pub message: &'a str,
    pub param: Option<&'a str>,
    pub error: ErrorObject<'a>,
}
