//! Anthropic's dialect: what its requests become, and how its answers are written.

mod grammar;
mod order;

mod refusals;
mod requests;
mod streams;
mod whole;

pub use crate::properties::anthropic_reader as reader;
use tidegate_protocol::{Event, ToolCallDelta};

/// A fragment of a tool call.
fn call(index: u32, id: Option<&str>, name: Option<&str>, arguments: &str) -> Event {
    let (id, name) = (id.map(str::to_owned), name.map(str::to_owned));
    Event::ToolCall(ToolCallDelta { index, id, name, arguments: arguments.to_owned() })
}

fn thought(text: &str) -> Event {
    Event::Reasoning(text.to_owned())
}
