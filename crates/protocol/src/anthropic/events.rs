//! The events of a streamed answer, as they are written.

use serde::Serialize;

use super::answer::{Block, Input, Message, WireUsage};

/// A sign of life.
pub const PING: &[u8] = b"event: ping\ndata: {\"type\":\"ping\"}\n\n";
const STOPPED: &[u8] = b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event<'a> {
    MessageStart { message: Message<'a> },
    ContentBlockStart { index: u32, content_block: Block<'a> },
    ContentBlockStop { index: u32 },
    MessageDelta { delta: Stop<'a>, usage: WireUsage },
}

#[derive(Serialize)]
struct Stop<'a> {
    stop_reason: &'a str,
    stop_sequence: Option<&'a str>,
}

/// The message begins. Anthropic's own servers send a ping behind it.
pub(super) fn message_start(message: Message<'_>, out: &mut Vec<u8>) {
    event("message_start", &Event::MessageStart { message }, out);
    out.extend_from_slice(PING);
}

/// The message has ended, and well.
pub(super) fn message_end(
    (stop_reason, stop_sequence): (&str, Option<&str>),
    usage: WireUsage,
    out: &mut Vec<u8>,
) {
    let delta = Stop { stop_reason, stop_sequence };
    event("message_delta", &Event::MessageDelta { delta, usage }, out);
    out.extend_from_slice(STOPPED);
}

fn event(name: &str, event: &Event<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    append(out, event);
    out.extend_from_slice(b"\n\n");
}

/// Writing to memory does not fail, and none of these values can refuse to be written.
fn append(out: &mut Vec<u8>, value: &impl Serialize) {
    let _ = serde_json::to_writer(out, value);
}

/// Writes blocks, one after another.
#[derive(Debug, Default)]
pub(super) struct BlockWriter {
    /// Blocks begun so far.
    begun: u32,
    /// A delta of the block that is open, up to its text.
    head: Vec<u8>,
    /// Whether the open block wants a signature before it ends.
    signs: bool,
}

impl BlockWriter {
    pub fn start_thinking(&mut self, out: &mut Vec<u8>) {
        let block = Block::Thinking { thinking: "", signature: "" };
        self.start(block, "thinking_delta\",\"thinking", out);
        self.signs = true;
    }

    pub fn start_text(&mut self, out: &mut Vec<u8>) {
        self.start(Block::Text { text: "" }, "text_delta\",\"text", out);
    }

    pub fn start_call(&mut self, id: &str, name: &str, out: &mut Vec<u8>) {
        let block = Block::ToolUse { id, name, input: Input::Nothing {} };
        self.start(block, "input_json_delta\",\"partial_json", out);
    }

    fn start(&mut self, content_block: Block<'_>, delta: &str, out: &mut Vec<u8>) {
        let index = self.begun;
        self.begun += 1;
        self.signs = false;
        event("content_block_start", &Event::ContentBlockStart { index, content_block }, out);
        let head = format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":{index},\
             \"delta\":{{\"type\":\"{delta}\":"
        );
        self.head = head.into_bytes();
    }

    /// The next piece of the open block.
    pub fn delta(&self, piece: &str, out: &mut Vec<u8>) {
        if !piece.is_empty() {
            out.extend_from_slice(&self.head);
            append(out, &piece);
            out.extend_from_slice(b"}}\n\n");
        }
    }

    /// Ends the open block. Some clients only pass on thinking that was signed, so the signature
    /// that nobody gave is told, as llama.cpp does.
    pub fn stop(&self, out: &mut Vec<u8>) {
        let index = self.begun.saturating_sub(1);
        if self.signs {
            let delta = format!(
                "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":{index},\
                 \"delta\":{{\"type\":\"signature_delta\",\"signature\":\"\"}}}}\n\n"
            );
            out.extend_from_slice(delta.as_bytes());
        }
        event("content_block_stop", &Event::ContentBlockStop { index }, out);
    }
}
