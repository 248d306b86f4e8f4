//! The messages of a client's body, and its system prompt.
//!
//! A client's message may be several of the shared vocabulary: a tool's result is a message of its
//! own there. The results come first, as they answer the message before.

use serde_json::value::RawValue;

use super::blocks::{Block, BlockReader};
use super::request::Reader;
use crate::chat::{Message, Part, Role};
use crate::fields::{Object, join};

const ROLES: &str = "one of \"user\", \"assistant\", \"system\"";
pub(super) const CONTENT: &str = "a string or a list of blocks";

pub(super) fn decode(reader: &mut Reader<'_>) -> Vec<Message> {
    let mut messages = Vec::new();
    if let Some(system) = reader.fields.get("system") {
        add(reader, "system", system, Role::System, &mut messages);
    }
    let allowed = "a list of at least one message";
    let required = reader.faults.required("", reader.fields, "messages", allowed);
    let Some(value) = required else { return messages };
    reader.faults.not_empty("messages", value, "message");
    for (path, object) in reader.faults.objects("messages", value) {
        message(reader, &path, &object, &mut messages);
    }
    messages
}

fn message(reader: &mut Reader<'_>, path: &str, object: &Object, messages: &mut Vec<Message>) {
    reader.note_unknown(path, object, &["role", "content"]);
    let role = reader.faults.required(path, object, "role", ROLES);
    let role = role.and_then(|role| match role.get() {
        "\"user\"" => Some(Role::User),
        "\"assistant\"" => Some(Role::Assistant),
        "\"system\"" => Some(Role::System),
        _ => {
            reader.faults.add(join(path, "role"), format!("must be {ROLES}"));
            None
        }
    });
    let content = reader.faults.required(path, object, "content", CONTENT);
    if let (Some(role), Some(content)) = (role, content) {
        add(reader, &join(path, "content"), content, role, messages);
    }
}

/// Adds what a role says.
fn add(
    reader: &mut Reader<'_>,
    path: &str,
    content: &RawValue,
    role: Role,
    messages: &mut Vec<Message>,
) {
    let mut said = Message { role, ..Message::default() };
    let mut reasoning = String::new();
    let mut results = 0_usize;
    let mut blocks = BlockReader { reader, role };
    for block in blocks.read(path, content) {
        match block {
            Block::Part(Part::Text(text)) => said.push_text(&text),
            // Upstreams know one reasoning a message.
            Block::Part(Part::Reasoning(text)) => reasoning.push_str(&text),
            Block::Part(part) => said.content.push(part),
            Block::Call(call) => said.tool_calls.push(call),
            Block::Result(result) => {
                results += 1;
                messages.push(result);
            }
        }
    }
    if !reasoning.is_empty() {
        said.content.insert(0, Part::Reasoning(reasoning));
    }
    // Who only answers calls has said nothing else.
    if results == 0 || !said.content.is_empty() {
        messages.push(said);
    }
}
