//! A streamed answer made of events, in the chunks OpenAI streams: those of a chat, or those of a
//! completion, which have neither role nor delta.

use std::cell::OnceCell;

use bytes::Bytes;
use serde::Serialize;

use super::errors;
use crate::codec::{Batch, Encoder, End, Join, Payload};
use crate::event::{Event, FinishReason, ToolCallDelta, Usage};
use crate::outcome::Outcome;
use crate::spoken::Signature;
use crate::sse;

pub(super) const END_MARK: &[u8] = b"data: [DONE]\n\n";
/// What a chunk's head takes besides its id and model.
const HEAD_BYTES: usize = 96;

/// Of what an answer is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Chat,
    /// Plain text.
    Completion,
}

/// Writes one answer as `chat.completion.chunk` frames: the role, the pieces, the finish reason,
/// the usage if the client asked for it, the end mark. All frames of a batch go out as one slice.
#[derive(Debug)]
pub struct ChunkEncoder {
    shape: Shape,
    id: String,
    model: String,
    created_unix: u64,
    /// Made when there is something to write: a relayed answer mostly has no use for it.
    chunks: OnceCell<ChunkWriter>,
    include_usage: bool,
    begun: bool,
    finished: bool,
    /// Before what is written next: a mark, where it is another model's.
    mark: &'static [u8],
}

impl ChunkEncoder {
    #[must_use]
    pub fn new(id: String, model: String, created_unix: u64, include_usage: bool) -> Self {
        let chunks = OnceCell::new();
        Self {
            shape: Shape::Chat,
            id,
            model,
            created_unix,
            chunks,
            include_usage,
            begun: false,
            finished: false,
            mark: &[],
        }
    }

    /// Writes `text_completion` frames in their place.
    #[must_use]
    pub fn of_completion(self) -> Self {
        Self { shape: Shape::Completion, ..self }
    }

    /// Goes on with an answer that began in frames of another's, in their name.
    pub(super) fn sign(&mut self, signature: Option<&Signature>) {
        self.begun = true;
        self.chunks = OnceCell::new();
        let Signature { id, model, created } = signature.cloned().unwrap_or_default();
        self.id = id.unwrap_or_else(|| std::mem::take(&mut self.id));
        self.model = model.unwrap_or_else(|| std::mem::take(&mut self.model));
        self.created_unix = created.unwrap_or(self.created_unix);
    }

    fn payload(&mut self, frames: Vec<u8>) -> Payload {
        let mark = std::mem::take(&mut self.mark);
        let frames = if mark.is_empty() { frames } else { [mark, &frames].concat() };
        Payload::Wire(Bytes::from(frames))
    }

    fn chunks(&self) -> &ChunkWriter {
        self.chunks.get_or_init(|| {
            let writer = ChunkWriter::new(self.shape, &self.id, &self.model, self.created_unix);
            ChunkWriter { names_usage: self.include_usage, ..writer }
        })
    }

    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.shape == Shape::Completion
            && let Event::Text(text) | Event::Reasoning(text) = event
        {
            // All that a model says continues the text.
            return self.chunks().write_text(text, None, out);
        }
        let delta = match event {
            Event::Text(text) => Delta { content: Some(text), ..Delta::default() },
            Event::Reasoning(text) => Delta { reasoning_content: Some(text), ..Delta::default() },
            Event::ToolCall(call) => Delta { tool_calls: Some([call.into()]), ..Delta::default() },
            Event::Finish(reason) => return self.write_finish(reason, out),
            // Usage, errors and the end are told by the terminal; times and vectors have no place.
            Event::Usage(_)
            | Event::Timings(_)
            | Event::Embeddings(_)
            | Event::Error(_)
            | Event::Done => return,
        };
        self.write_role(out);
        self.chunks().write(&delta, None, out);
    }

    fn write_role(&mut self, out: &mut Vec<u8>) {
        if !self.begun && self.shape == Shape::Chat {
            self.begun = true;
            let role = Delta { role: Some("assistant"), content: Some(""), ..Delta::default() };
            self.chunks().write(&role, None, out);
        }
    }

    fn write_finish(&mut self, reason: &FinishReason, out: &mut Vec<u8>) {
        if !self.finished {
            self.write_role(out);
            self.finished = true;
            match self.shape {
                Shape::Chat => {
                    self.chunks().write(&Delta::default(), Some(reason.as_str()), out);
                }
                Shape::Completion => self.chunks().write_text("", Some(reason.as_str()), out),
            }
        }
    }
}

impl Encoder for ChunkEncoder {
    fn encode(&mut self, batch: Batch, out: &mut Vec<Payload>) {
        let mut frames = Vec::new();
        for event in &batch.events {
            self.write(event, &mut frames);
        }
        if !frames.is_empty() {
            out.push(self.payload(frames));
        }
    }

    fn continued(&mut self, _join: &Join<'_>, _out: &mut Vec<Payload>) {
        self.mark = sse::CONTINUED;
    }

    fn end(&mut self, end: &End<'_>, out: &mut Vec<Payload>) {
        if end.outcome != Outcome::Completed {
            out.push(Payload::Wire(error_frame(end)));
            return;
        }
        let mut frames = Vec::new();
        self.write_finish(end.finish.as_ref().unwrap_or(&FinishReason::Stop), &mut frames);
        if let Some(usage) = end.usage.filter(|_| self.include_usage) {
            self.chunks().write_usage(usage, &mut frames);
        }
        frames.extend_from_slice(END_MARK);
        out.push(self.payload(frames));
    }
}

/// The terminal of a stream that failed. The SDKs raise on it, and on nothing else.
pub(super) fn error_frame(end: &End<'_>) -> Bytes {
    let unknown = errors::unexplained(end.outcome);
    // No status goes with an error inside a stream; the kind decides.
    let body = errors::error_body(end.failure.unwrap_or(&unknown), 500);
    Bytes::from([b"data: ", body.as_slice(), b"\n\n"].concat())
}

/// Writes single chunks. What all chunks of an answer have in common is encoded once.
#[derive(Debug)]
pub(super) struct ChunkWriter {
    shape: Shape,
    /// `data: {"id":…,"object":…,"created":…,"model":…`, without the closing brace.
    head: Vec<u8>,
    /// OpenAI writes `"usage":null` on all chunks but the last when usage was asked for.
    names_usage: bool,
}

#[derive(Serialize)]
struct Head<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
}

impl ChunkWriter {
    pub fn new(shape: Shape, id: &str, model: &str, created: u64) -> Self {
        let mut head = Vec::with_capacity(HEAD_BYTES + id.len() + model.len());
        head.extend_from_slice(b"data: ");
        let object = match shape {
            Shape::Chat => "chat.completion.chunk",
            Shape::Completion => "text_completion",
        };
        append(&mut head, &Head { id, object, created, model });
        head.pop();
        Self { shape, head, names_usage: false }
    }

    /// A frame of one piece of text.
    pub fn text(&self, text: &str) -> Bytes {
        let mut frame = Vec::new();
        match self.shape {
            Shape::Chat => {
                let delta = Delta { content: Some(text), ..Delta::default() };
                self.write(&delta, None, &mut frame);
            }
            Shape::Completion => self.write_text(text, None, &mut frame),
        }
        Bytes::from(frame)
    }

    fn write(&self, delta: &Delta<'_>, finish_reason: Option<&str>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(br#","choices":[{"index":0,"delta":"#);
        append(out, delta);
        self.write_rest(finish_reason, out);
    }

    fn write_text(&self, text: &str, finish_reason: Option<&str>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(br#","choices":[{"index":0,"text":"#);
        append(out, &text);
        self.write_rest(finish_reason, out);
    }

    fn write_rest(&self, finish_reason: Option<&str>, out: &mut Vec<u8>) {
        out.extend_from_slice(br#","logprobs":null,"finish_reason":"#);
        append(out, &finish_reason);
        out.extend_from_slice(if self.names_usage { br#"}],"usage":null}"# } else { b"}]}" });
        out.extend_from_slice(b"\n\n");
    }

    fn write_usage(&self, usage: Usage, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(br#","choices":[],"usage":"#);
        append(out, &WireUsage::from(usage));
        out.extend_from_slice(b"}\n\n");
    }
}

/// Writing to memory does not fail, and none of these values can refuse to be written.
fn append(out: &mut Vec<u8>, value: &impl Serialize) {
    let _ = serde_json::to_writer(out, value);
}

#[derive(Serialize, Default)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[CallDelta<'a>; 1]>,
}

#[derive(Serialize)]
struct CallDelta<'a> {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    /// Goes with the id, on the first fragment.
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    function: FunctionDelta<'a>,
}

#[derive(Serialize)]
struct FunctionDelta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

impl<'a> From<&'a ToolCallDelta> for CallDelta<'a> {
    fn from(call: &'a ToolCallDelta) -> Self {
        let function = FunctionDelta { name: call.name.as_deref(), arguments: &call.arguments };
        let id = call.id.as_deref();
        Self { index: call.index, id, r#type: id.map(|_| "function"), function }
    }
}

/// Token counts in OpenAI's words.
#[derive(Serialize)]
pub(super) struct WireUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Serialize)]
struct PromptDetails {
    cached_tokens: u64,
}

#[derive(Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
}

impl From<Usage> for WireUsage {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            total_tokens: usage.total_tokens(),
            prompt_tokens_details: usage
                .cached_tokens
                .map(|cached_tokens| PromptDetails { cached_tokens }),
            completion_tokens_details: usage
                .reasoning_tokens
                .map(|reasoning_tokens| CompletionDetails { reasoning_tokens }),
        }
    }
}
