//! The little that a relayed line is asked for.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::ending::Ending;
use crate::error::Failure;
use crate::event::{Event, ToolCallDelta};
use crate::fields::Object;
use crate::openai::errors::decode_error_value;
use crate::openai::heard::says_nothing;
use crate::whole_body::malformed;

/// What a line says to a relay. The pieces of the answer are left to the client to understand.
#[derive(Debug)]
pub(super) struct Scanned {
    pub error: Option<Failure>,
    pub has_piece: bool,
    pub calls_tools: bool,
    pub has_vectors: bool,
    /// The upstream says that it is the last, and how the answer ended.
    pub ending: Option<Ending>,
}

impl Scanned {
    /// # Errors
    /// [`ErrorKind::UpstreamProtocol`](crate::ErrorKind::UpstreamProtocol) when it cannot be understood.
    pub fn of(json: &str) -> Result<Self, Failure> {
        let line: Line<'_> = serde_json::from_str(json).map_err(|_| malformed())?;
        let message = line.message.unwrap_or_default();
        let texts = [message.content, message.thinking, line.response, line.thinking];
        let speaks = texts.iter().flatten().any(|text| text.get() != "\"\"");
        let calls_tools = message.tool_calls.is_some_and(|calls| calls.get() != "[]");
        let ending = match line.done {
            Some(true) => Some(serde_json::from_str(json).map_err(|_| malformed())?),
            _ => None,
        };
        Ok(Self {
            error: line.error.map(decode_error_value),
            has_piece: speaks || calls_tools,
            calls_tools,
            has_vectors: line.embeddings.is_some(),
            ending,
        })
    }
}

#[derive(Deserialize)]
struct Spoken {
    message: Option<Object>,
}

/// Appends the pieces of the answer in a line of `/api/chat`; `false` where it says more than there
/// are words for.
pub(super) fn pieces(json: &str, events: &mut Vec<Event>) -> bool {
    let Ok(line) = serde_json::from_str::<Spoken>(json) else { return false };
    let mut all = true;
    for (name, value) in line.message.iter().flat_map(|message| &message.0) {
        if name == "role" || says_nothing(value) {
            continue;
        }
        let piece = match name.as_str() {
            "content" => serde_json::from_str(value.get()).ok().map(Event::Text),
            "thinking" => Some(Event::Reasoning(String::new())),
            "tool_calls" => Some(Event::ToolCall(ToolCallDelta::default())),
            _ => None,
        };
        all &= piece.is_some();
        events.extend(piece);
    }
    all
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    message: Option<Message<'a>>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    embeddings: Option<IgnoredAny>,
    done: Option<bool>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
}
