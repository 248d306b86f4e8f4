//! The body of `POST /api/chat`.
//!
//! What this wire has no word for is refused, not dropped, where the answer would be another one
//! without it: images by address, forced tool calls, parts only OpenAI's dialect knows.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::Failure;
use crate::fields::Faults;
use crate::openai::Original;
use crate::request::{ChatRequest, Message, Role, Sampling, ToolCall};

/// Builds the body; the answer is always streamed.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) with every field that cannot be
/// said to Ollama.
pub fn encode_request(request: &ChatRequest, upstream_model: &str) -> Result<Vec<u8>, Failure> {
    let mut faults = Faults::default();
    for fault in request.original.iter().flat_map(Original::untranslatable) {
        faults.add(fault.field.as_str(), fault.message.as_str());
    }
    let tool_names = tool_names(&request.messages);
    let mut messages = Vec::with_capacity(request.messages.len());
    for (index, message) in request.messages.iter().enumerate() {
        let mut encoded = wire_message(&format!("messages[{index}]"), message, &mut faults);
        let answered = message.tool_call_id.as_deref();
        encoded.tool_name = answered.and_then(|id| tool_names.get(id).copied());
        messages.push(encoded);
    }
    let body = Body {
        model: upstream_model,
        messages,
        stream: true,
        options: Options::from(&request.sampling),
        tools: tools(request, &mut faults),
        format: format(request.response_format.as_deref(), &mut faults),
    };
    faults.into_result()?;
    // Strings, numbers and JSON that was parsed before: there is nothing that could fail.
    Ok(serde_json::to_vec(&body).unwrap_or_default())
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<WireMessage<'a>>,
    stream: bool,
    options: Options<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Options<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
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
    content: &'a str,
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

/// Ollama matches a tool's message to its call by the tool's name, OpenAI by the call's id.
fn tool_names(messages: &[Message]) -> HashMap<&str, &str> {
    let calls = messages.iter().flat_map(|message| &message.tool_calls);
    calls.map(|call| (call.id.as_str(), call.name.as_str())).collect()
}

fn wire_message<'a>(path: &str, message: &'a Message, faults: &mut Faults) -> WireMessage<'a> {
    let mut images = Vec::with_capacity(message.images.len());
    for url in &message.images {
        match base64_of(url) {
            Some(data) => images.push(data),
            None => faults.add(
                format!("{path}.content"),
                "images must be base64 `data:` URLs for this model: its upstream fetches nothing",
            ),
        }
    }
    let mut tool_calls = Vec::with_capacity(message.tool_calls.len());
    for (index, call) in message.tool_calls.iter().enumerate() {
        match arguments_of(call) {
            Some(arguments) => {
                tool_calls.push(WireCall { function: Function { name: &call.name, arguments } });
            }
            None => faults.add(
                format!("{path}.tool_calls[{index}].function.arguments"),
                "must be the text of a JSON object",
            ),
        }
    }
    let role = match message.role {
        Role::Developer => Role::System,
        role => role,
    };
    WireMessage { role, content: &message.content, images, tool_calls, tool_name: None }
}

fn base64_of(url: &str) -> Option<&str> {
    let (kind, data) = url.strip_prefix("data:")?.split_once(',')?;
    kind.ends_with(";base64").then_some(data)
}

fn arguments_of(call: &ToolCall) -> Option<&RawValue> {
    let text = call.arguments.trim_ascii();
    let text = if text.is_empty() { "{}" } else { text };
    text.starts_with('{').then(|| serde_json::from_str(text).ok()).flatten()
}

fn tools<'a>(request: &'a ChatRequest, faults: &mut Faults) -> Option<&'a RawValue> {
    match request.tool_choice.as_deref().map(RawValue::get) {
        None | Some("\"auto\"") => request.tools.as_deref(),
        Some("\"none\"") => None,
        Some(_) => {
            faults.add("tool_choice", "must be \"auto\" or \"none\" for this model's upstream");
            None
        }
    }
}

#[derive(Deserialize)]
struct ResponseFormat<'a> {
    r#type: String,
    #[serde(borrow)]
    json_schema: Option<JsonSchema<'a>>,
}

#[derive(Deserialize)]
struct JsonSchema<'a> {
    #[serde(borrow)]
    schema: &'a RawValue,
}

fn format<'a>(wanted: Option<&'a RawValue>, faults: &mut Faults) -> Option<&'a RawValue> {
    let format: ResponseFormat<'a> = faults.read(
        "response_format",
        wanted?,
        "{\"type\": \"text\" | \"json_object\" | \"json_schema\", \"json_schema\": {\"schema\"}}",
    )?;
    match (format.r#type.as_str(), format.json_schema) {
        ("text", _) => None,
        ("json_object", _) => serde_json::from_str("\"json\"").ok(),
        ("json_schema", Some(json_schema)) => Some(json_schema.schema),
        ("json_schema", None) => {
            faults.add("response_format.json_schema.schema", "is required: a JSON schema");
            None
        }
        _ => {
            faults.add(
                "response_format.type",
                "must be one of \"text\", \"json_object\", \"json_schema\"",
            );
            None
        }
    }
}
