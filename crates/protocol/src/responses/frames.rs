//! The events of a streamed response, numbered without gaps.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::wire::{WireItem, WirePart};
use crate::openai::errors::ErrorObject;
use crate::sse;

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
        if !self.streams {
            return;
        }
        let out = &mut self.out;
        if std::mem::take(&mut self.joins) {
            out.extend_from_slice(sse::CONTINUED);
        }
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        append(out, &Head { r#type: name, sequence_number: self.sequence });
        // The head's closing brace goes, and the comma takes the place of the body's opening one.
        out.pop();
        let join = out.len();
        append(out, body);
        if let Some(brace) = out.get_mut(join) {
            *brace = b',';
        }
        out.extend_from_slice(b"\n\n");
        self.sequence += 1;
    }

    /// Writes an event of the response, which is JSON already.
    pub fn tell(&mut self, name: &'static str, response: &[u8]) {
        if let Ok(response) = serde_json::from_slice(response) {
            self.write(name, &OfResponse { response });
        }
    }

    /// What was written since the last time.
    pub fn take(&mut self) -> Option<Bytes> {
        (!self.out.is_empty()).then(|| Bytes::from(std::mem::take(&mut self.out)))
    }
}

/// Writing to memory does not fail, and none of these values can refuse to be written.
fn append(out: &mut Vec<u8>, value: &impl Serialize) {
    let _ = serde_json::to_writer(out, value);
}

/// How the response stands: created, in progress, at its end.
#[derive(Serialize)]
struct OfResponse<'a> {
    response: &'a RawValue,
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
