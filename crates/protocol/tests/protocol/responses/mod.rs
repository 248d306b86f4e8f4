//! OpenAI's Responses: what its requests become, and how its answers are written.

mod conversation;
mod ends;
mod grammar;

mod refusals;
mod requests;
mod streams;

pub use crate::properties::responses_reader as reader;
use serde_json::{Value, json};
use tidegate_protocol::responses::{Asked, Item, ResponseEncoder, decode_request};
use tidegate_protocol::{Event, Failure, StreamId, ToolCallDelta};

fn id() -> StreamId {
    StreamId::new(1, 0xab)
}

/// Reads a body that goes on from nothing.
fn decode(body: &Value) -> Result<Asked, Failure> {
    decode_request(body.to_string().as_bytes(), id(), |_| Err("is not known".to_owned()))
}

/// Reads a body that goes on from a conversation.
fn decode_after(body: &Value, before: &[Item]) -> Result<Asked, Failure> {
    decode_request(body.to_string().as_bytes(), id(), |_| Ok(before.to_vec()))
}

/// The encoder of an answer to a request that asks for nothing special.
pub fn encoder(stream: bool) -> ResponseEncoder {
    let asked = decode(&json!({"input": "hi"})).unwrap();
    ResponseEncoder::new(id(), "model \"x\"".to_owned(), 1_700_000_000, asked.echo, stream)
}

/// A fragment of a tool call.
fn call(index: u32, id: Option<&str>, name: Option<&str>, arguments: &str) -> Event {
    let (id, name) = (id.map(str::to_owned), name.map(str::to_owned));
    Event::ToolCall(ToolCallDelta { index, id, name, arguments: arguments.to_owned() })
}

fn thought(text: &str) -> Event {
    Event::Reasoning(text.to_owned())
}
