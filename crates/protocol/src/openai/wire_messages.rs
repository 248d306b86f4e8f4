//! Messages as an upstream of OpenAI's dialect is sent them.

use serde::Serialize;

use crate::chat::{Message, Part, Role, ToolCall};

#[derive(Serialize)]
pub(super) struct WireMessage<'a> {
    role: Role,
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireToolCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(&'a str),
    Parts(Vec<WirePart<'a>>),
    /// An assistant that only called tools said nothing.
    Nothing,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WirePart<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: ImageUrl<'a> },
    InputAudio { input_audio: InputAudio<'a> },
}

#[derive(Serialize)]
struct ImageUrl<'a> {
    url: &'a str,
}

#[derive(Serialize)]
struct InputAudio<'a> {
    data: &'a str,
    format: &'a str,
}

impl<'a> WireMessage<'a> {
    pub fn new(message: &'a Message) -> Self {
        Self {
            role: message.role,
            content: Content::of(message),
            reasoning_content: message.content.iter().find_map(reasoning),
            tool_calls: message.tool_calls.iter().map(WireToolCall::from).collect(),
            tool_call_id: message.tool_call_id.as_deref(),
        }
    }
}

fn reasoning(part: &Part) -> Option<&str> {
    match part {
        Part::Reasoning(text) => Some(text),
        _ => None,
    }
}

impl<'a> Content<'a> {
    /// One text is a string: not every server reads lists of parts.
    fn of(message: &'a Message) -> Self {
        let parts: Vec<_> = message.content.iter().filter_map(WirePart::of).collect();
        match parts.as_slice() {
            [] if message.tool_calls.is_empty() => Self::Text(""),
            [] => Self::Nothing,
            [WirePart::Text { text }] => Self::Text(text),
            _ => Self::Parts(parts),
        }
    }
}

impl<'a> WirePart<'a> {
    fn of(part: &'a Part) -> Option<Self> {
        Some(match part {
            Part::Text(text) => Self::Text { text },
            Part::Image(url) => Self::ImageUrl { image_url: ImageUrl { url } },
            Part::Audio { data, format } => {
                Self::InputAudio { input_audio: InputAudio { data, format } }
            }
            Part::Reasoning(_) => return None,
        })
    }
}

/// A whole tool call as OpenAI writes it.
#[derive(Serialize)]
pub(super) struct WireToolCall<'a> {
    id: &'a str,
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a str,
}

impl<'a> From<&'a ToolCall> for WireToolCall<'a> {
    fn from(call: &'a ToolCall) -> Self {
        let function = Function { name: &call.name, arguments: &call.arguments };
        Self { id: &call.id, r#type: "function", function }
    }
}
