//! The body of `POST /api/chat`. Those of `/api/generate` and `/api/embed` are in `texts`.
//!
//! What this wire has no word for is refused, not dropped, where the answer would be another one
//! without it: images by address, sound, forced tool calls.

use std::collections::HashMap;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::texts;
use crate::chat::{
    Chat, Message, Part, Reasoning, ResponseFormat, Role, Sampling, ToolCall, ToolChoice,
};
use crate::error::Failure;
use crate::fit::{Encoded, Losses, Wire, relays};
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
    if let Some(original) = request.original.as_ref().filter(|_| relays(request, Wire::Ollama)) {
        let body = Relayed { original, upstream_model, stream: request.stream };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        return Ok(Encoded { body, ignored: Vec::new() });
    }
    let mut losses = request.losses.clone();
    let body = match &request.task {
        Task::Chat(chat) => chat_body(chat, upstream_model, &mut losses),
        Task::Completion(completion) => texts::generate(completion, upstream_model, &mut losses),
        Task::Embedding(embedding) => texts::embed(embedding, upstream_model, &mut losses),
    };
    Ok(Encoded { body, ignored: losses.into_ignored()? })
}

fn chat_body(chat: &Chat, upstream_model: &str, losses: &mut Losses) -> Vec<u8> {
    let body = Body {
        model: upstream_model,
        messages: wire_messages(&chat.messages, losses),
        stream: true,
        options: Options::from(&chat.sampling),
        tools: tools(chat, losses),
        format: chat.response_format.as_ref().and_then(format),
        think: chat.reasoning.as_ref().map(|reasoning| think(reasoning, losses)),
    };
    if chat.user.is_some() {
        losses.ignore("user");
    }
    // Strings, numbers and JSON that was parsed before: there is nothing that could fail.
    serde_json::to_vec(&body).unwrap_or_default()
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
        map.serialize_entry("model", self.upstream_model)?;
        for (name, value) in &self.original.fields.0 {
            if !matches!(name.as_str(), "model" | "stream") {
                map.serialize_entry(name, value)?;
            }
        }
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

fn wire_messages<'a>(messages: &'a [Message], losses: &mut Losses) -> Vec<WireMessage<'a>> {
    let mut tool_names = HashMap::new();
    let mut encoded = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        // Ollama matches a result to its call by the tool's name, OpenAI by the call's id. An id may
        // come again in a later turn: the last call before the result is meant.
        let calls = message.tool_calls.iter();
        tool_names.extend(calls.map(|call| (call.id.as_str(), call.name.as_str())));
        let answered = message.tool_call_id.as_deref();
        encoded.push(WireMessage {
            tool_name: answered.and_then(|id| tool_names.get(id).copied()),
            ..wire_message(&format!("messages[{index}]"), message, losses)
        });
    }
    encoded
}

fn wire_message<'a>(path: &str, message: &'a Message, losses: &mut Losses) -> WireMessage<'a> {
    let role = match message.role {
        Role::Developer => Role::System,
        role => role,
    };
    let mut wire = WireMessage {
        role,
        content: message.joined_text(),
        thinking: None,
        images: Vec::new(),
        tool_calls: Vec::with_capacity(message.tool_calls.len()),
        tool_name: None,
    };
    for part in &message.content {
        match part {
            Part::Text(_) => {}
            Part::Reasoning(text) => wire.thinking = Some(text),
            Part::Image(url) => match base64_of(url) {
                Some(data) => wire.images.push(data),
                None => losses.refuse(format!("{path}.content"), IMAGES),
            },
            Part::Audio { .. } => losses.refuse(format!("{path}.content"), AUDIO),
        }
    }
    for (index, call) in message.tool_calls.iter().enumerate() {
        match arguments_of(call) {
            Some(arguments) => {
                let function = Function { name: &call.name, arguments };
                wire.tool_calls.push(WireCall { function });
            }
            None => losses.refuse(
                format!("{path}.tool_calls[{index}].function.arguments"),
                "must be the text of a JSON object",
            ),
        }
    }
    wire
}

const IMAGES: &str =
    "images must be base64 `data:` URLs for this model: its upstream fetches nothing";
const AUDIO: &str = "this model's upstream takes text and images only, no sound";

fn base64_of(url: &str) -> Option<&str> {
    let (kind, data) = url.strip_prefix("data:")?.split_once(',')?;
    kind.ends_with(";base64").then_some(data)
}

/// The arguments of a call, where they are a JSON object or nothing.
pub(super) fn arguments_of(call: &ToolCall) -> Option<&RawValue> {
    let text = call.arguments.trim_ascii();
    let text = if text.is_empty() { "{}" } else { text };
    text.starts_with('{').then(|| serde_json::from_str(text).ok()).flatten()
}

/// This wire cannot force a call, nor keep a model from calling several tools.
fn tools<'a>(chat: &'a Chat, losses: &mut Losses) -> Vec<WireTool<'a>> {
    if chat.parallel_tool_calls == Some(false) && !chat.tools.is_empty() {
        losses.refuse("parallel_tool_calls", "must be true for this model's upstream");
    }
    match &chat.tool_choice {
        None | Some(ToolChoice::Auto) => chat.tools.iter().map(WireTool::from).collect(),
        Some(ToolChoice::None) => Vec::new(),
        Some(ToolChoice::Required | ToolChoice::Function(_)) => {
            losses.refuse("tool_choice", "must be \"auto\" or \"none\" for this model's upstream");
            Vec::new()
        }
    }
}

fn format(wanted: &ResponseFormat) -> Option<Format<'_>> {
    match wanted {
        ResponseFormat::Text => None,
        ResponseFormat::Json => Some(Format::Word("json")),
        ResponseFormat::Schema { schema, .. } => Some(Format::Schema(schema)),
    }
}

/// Words as Ollama's own translation of OpenAI's has them.
fn think<'a>(reasoning: &'a Reasoning, losses: &mut Losses) -> Think<'a> {
    match reasoning {
        Reasoning::Off => Think::Switch(false),
        Reasoning::On => Think::Switch(true),
        Reasoning::Budget(_) => {
            losses.ignore("(the number of tokens for reasoning)");
            Think::Switch(true)
        }
        Reasoning::Effort(effort) => Think::Effort(match effort.as_str() {
            "minimal" => "low",
            "xhigh" => "high",
            effort => effort,
        }),
    }
}
