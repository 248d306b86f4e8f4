//! The body an upstream of OpenAI's dialect is sent.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::request::Original;
use crate::fields::Object;
use crate::request::{ChatRequest, Message, Sampling, ToolCall};

/// Builds the body of `POST /chat/completions`.
///
/// From the client's own body when there is one: only the model's name, `stream` and
/// `stream_options` are the gateway's. A streamed answer is always asked to report its usage.
#[must_use]
pub fn encode_request(request: &ChatRequest, upstream_model: &str, stream: bool) -> Vec<u8> {
    let body = match &request.original {
        Some(original) => serde_json::to_vec(&Relayed { original, upstream_model, stream }),
        None => serde_json::to_vec(&Built::new(request, upstream_model, stream)),
    };
    // Strings, numbers and JSON that was parsed before: there is nothing that could fail.
    body.unwrap_or_default()
}

/// The client's body with three fields replaced.
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
            if !matches!(name.as_str(), "model" | "stream" | "stream_options") {
                map.serialize_entry(name, value)?;
            }
        }
        map.serialize_entry("stream", &self.stream)?;
        // OpenAI refuses stream options on a request that is not streamed.
        if self.stream {
            let given = self.original.fields.get("stream_options").map(RawValue::get);
            let given = given.and_then(|options| serde_json::from_str(options).ok());
            map.serialize_entry("stream_options", &StreamOptions(given.unwrap_or_default()))?;
        }
        map.end()
    }
}

/// Options as given, with the report of usage asked for.
struct StreamOptions(Object);

impl Serialize for StreamOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0.0.iter().filter(|(name, _)| name != "include_usage") {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("include_usage", &true)?;
        map.end()
    }
}

/// A body built from the words all dialects share.
#[derive(Serialize)]
struct Built<'a> {
    model: &'a str,
    messages: Vec<WireMessage<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(flatten)]
    sampling: WireSampling<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<&'a RawValue>,
}

impl<'a> Built<'a> {
    fn new(request: &'a ChatRequest, model: &'a str, stream: bool) -> Self {
        Self {
            model,
            messages: request.messages.iter().map(WireMessage::new).collect(),
            stream,
            stream_options: stream.then(|| StreamOptions(Object::default())),
            sampling: WireSampling::new(&request.sampling),
            tools: request.tools.as_deref(),
            tool_choice: request.tool_choice.as_deref(),
            response_format: request.response_format.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct WireSampling<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    /// The older name: every server knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f64>,
}

impl<'a> WireSampling<'a> {
    fn new(sampling: &'a Sampling) -> Self {
        Self {
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            max_tokens: sampling.max_tokens,
            stop: &sampling.stop,
            seed: sampling.seed,
            presence_penalty: sampling.presence_penalty,
            frequency_penalty: sampling.frequency_penalty,
        }
    }
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: crate::request::Role,
    content: Content<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireToolCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(&'a str),
    Parts(Vec<Part<'a>>),
    /// An assistant that only called tools said nothing.
    Nothing,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: ImageUrl<'a> },
}

#[derive(Serialize)]
struct ImageUrl<'a> {
    url: &'a str,
}

impl<'a> WireMessage<'a> {
    fn new(message: &'a Message) -> Self {
        let text = message.content.as_str();
        let content = if !message.images.is_empty() {
            let text = (!text.is_empty()).then_some(Part::Text { text });
            let images = message.images.iter();
            let images = images.map(|url| Part::ImageUrl { image_url: ImageUrl { url } });
            Content::Parts(text.into_iter().chain(images).collect())
        } else if text.is_empty() && !message.tool_calls.is_empty() {
            Content::Nothing
        } else {
            Content::Text(text)
        };
        Self {
            role: message.role,
            content,
            tool_calls: message.tool_calls.iter().map(WireToolCall::from).collect(),
            tool_call_id: message.tool_call_id.as_deref(),
        }
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
