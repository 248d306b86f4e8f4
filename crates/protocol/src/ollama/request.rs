//! The body of `POST /api/chat`. Those of `/api/generate` and `/api/embed` are in `texts`.
//!
//! What this wire has no word for (images by address, sound, forced calls) is refused before
//! anything is written: [`fit`](crate::fit) says what.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::texts::{Embed, Generate};
use crate::chat::{
    Chat, Message, Part, Reasoning, ResponseFormat, Role, Sampling, ToolCall, ToolChoice,
};
use crate::error::Failure;
use crate::fit::{Encoded, Wire, ignored, relays};
use crate::openai::WireTool;
use crate::original::Original;
use crate::request::{Request, Task};

/// Builds the body, as [`fit::form`](crate::fit::form) says: from the client's own where it is of
/// this wire, of which only the model's name is replaced. Other answers are always streamed, but for
/// vectors.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] with every field that cannot be said to Ollama.
pub fn encode_request(request: &Request, upstream_model: &str) -> Result<Encoded, Failure> {
    let ignored = ignored(request, Wire::Ollama)?;
    let own = request.original.as_ref().filter(|_| relays(request, Wire::Ollama));
    let body = match (own, &request.task) {
        (Some(original), _) => {
            bytes_of(&Relayed { original, upstream_model, stream: request.stream })
        }
        (None, Task::Chat(chat)) => bytes_of(&Body::new(chat, upstream_model)),
        (None, Task::Completion(completion)) => {
            bytes_of(&Generate::new(completion, upstream_model))
        }
        (None, Task::Embedding(embedding)) => bytes_of(&Embed::new(embedding, upstream_model)),
    };
    Ok(Encoded { body, ignored })
}

/// Strings, numbers and JSON that was parsed before: there is nothing that could fail.
fn bytes_of(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}

/// The client's body with the model's name replaced, and `stream` spelt out.
struct Relayed<'a> {
    original: &'a Original,
    upstream_model: &'a str,
    stream: bool,
}

impl Serialize for Relayed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.original.write(&mut map, self.upstream_model, &["stream"])?;
        // Vectors are never streamed, and their endpoint has no word for it.
        if !self.original.form().is_embedding() {
            map.serialize_entry("stream", &self.stream)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<WireMessage<'a>>,
    stream: bool,
    options: Options<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    think: Option<Think<'a>>,
}

impl<'a> Body<'a> {
    fn new(chat: &'a Chat, model: &'a str) -> Self {
        Self {
            model,
            messages: wire_messages(&chat.messages),
            stream: true,
            options: Options::from(&chat.sampling),
            tools: tools(chat),
            format: chat.response_format.as_ref().and_then(format),
            think: chat.reasoning.as_ref().map(think),
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Format<'a> {
    Word(&'static str),
    Schema(&'a RawValue),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Think<'a> {
    Switch(bool),
    Effort(&'a str),
}

#[derive(Serialize)]
pub(super) struct Options<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_predict: Option<u32>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f64>,
}

impl<'a> From<&'a Sampling> for Options<'a> {
    fn from(sampling: &'a Sampling) -> Self {
        Self {
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            top_k: sampling.top_k,
            min_p: sampling.min_p,
            num_predict: sampling.max_tokens,
            stop: &sampling.stop,
            seed: sampling.seed,
            presence_penalty: sampling.presence_penalty,
            frequency_penalty: sampling.frequency_penalty,
        }
    }
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: Role,
    content: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_name: Option<&'a str>,
}

#[derive(Serialize)]
struct WireCall<'a> {
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a RawValue,
}

fn wire_messages(messages: &[Message]) -> Vec<WireMessage<'_>> {
    let mut tool_names = BTreeMap::new();
    let mut encoded = Vec::with_capacity(messages.len());
    for message in messages {
        // Ollama matches a result to its call by the tool's name, OpenAI by the call's id. An id may
        // come again in a later turn: the last call before the result is meant.
        let calls = message.tool_calls.iter();
        tool_names.extend(calls.map(|call| (call.id.as_str(), call.name.as_str())));
        let answered = message.tool_call_id.as_deref();
        encoded.push(WireMessage {
            tool_name: answered.and_then(|id| tool_names.get(id).copied()),
            ..wire_message(message)
        });
    }
    encoded
}

fn wire_message(message: &Message) -> WireMessage<'_> {
    let role = match message.role {
        Role::Developer => Role::System,
        role => role,
    };
    let thinking = message.content.iter().rev().find_map(|part| match part {
        Part::Reasoning(text) => Some(text.as_str()),
        _ => None,
    });
    WireMessage {
        role,
        content: message.joined_text(),
        thinking,
        images: message.content.iter().filter_map(Part::image_data).collect(),
        tool_calls: message.tool_calls.iter().filter_map(WireCall::new).collect(),
        tool_name: None,
    }
}

impl<'a> WireCall<'a> {
    fn new(call: &'a ToolCall) -> Option<Self> {
        let function = Function { name: &call.name, arguments: call.argument_object()? };
        Some(Self { function })
    }
}

/// Whom no tool is to be called for is told of none.
fn tools(chat: &Chat) -> Vec<WireTool<'_>> {
    if chat.tool_choice == Some(ToolChoice::None) {
        return Vec::new();
    }
    chat.tools.iter().map(WireTool::from).collect()
}

fn format(wanted: &ResponseFormat) -> Option<Format<'_>> {
    match wanted {
        ResponseFormat::Text => None,
        ResponseFormat::Json => Some(Format::Word("json")),
        ResponseFormat::Schema { schema, .. } => Some(Format::Schema(schema)),
    }
}

/// Words as Ollama's own translation of OpenAI's has them, but that not every Ollama knows a word
/// above `high`: it is said where the client's own is the highest there is.
fn think(reasoning: &Reasoning) -> Think<'_> {
    match reasoning {
        Reasoning::Off => Think::Switch(false),
        Reasoning::On | Reasoning::Budget(_) => Think::Switch(true),
        Reasoning::Effort(effort) => Think::Effort(match effort.as_str() {
            "minimal" => "low",
            "xhigh" => "high",
            effort => effort,
        }),
    }
}
