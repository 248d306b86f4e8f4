//! The body an upstream of OpenAI's dialect is sent.
//!
//! The bodies of completions and embeddings, where they are not the client's own, are in
//! `wire_tasks`.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::wire_messages::WireMessage;
use super::wire_tasks::{Completing, Embedding};
use super::wire_tools::{WireChoice, WireFormat, WireTool};
use crate::chat::{Chat, Reasoning, Sampling};
use crate::error::Failure;
use crate::fields::Object;
use crate::fit::{Encoded, Wire, ignored, relays};
use crate::original::{Form, Original};
use crate::request::{Request, Task};

/// Builds the body of `POST /chat/completions`, `/completions` or `/embeddings`, as
/// [`fit::form`](crate::fit::form) says.
///
/// From the client's own body when it is of this dialect: only the model's name, `stream` and
/// `stream_options` are the gateway's. A streamed answer is always asked to report its usage.
/// Embeddings are never streamed.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] with every field that cannot be said to this upstream.
pub fn encode_request(
    request: &Request,
    upstream_model: &str,
    stream: bool,
) -> Result<Encoded, Failure> {
    let ignored = ignored(request, Wire::OpenAi)?;
    let own = request.original.as_ref().filter(|_| relays(request, Wire::OpenAi));
    let body = match (own, &request.task) {
        (Some(original), _) => bytes_of(&Relayed { original, upstream_model, stream }),
        (None, Task::Chat(chat)) => bytes_of(&Built::new(chat, upstream_model, stream)),
        (None, Task::Completion(completion)) => {
            bytes_of(&Completing::new(completion, upstream_model, stream))
        }
        (None, Task::Embedding(embedding)) => bytes_of(&Embedding::new(embedding, upstream_model)),
    };
    Ok(Encoded { body, ignored })
}

/// Has vLLM go on with the conversation's last message. Other servers do so by themselves, or not.
#[must_use]
pub fn continue_final_message(mut body: Vec<u8>) -> Vec<u8> {
    if body.pop_if(|byte| *byte == b'}').is_some() {
        let asked = br#","continue_final_message":true,"add_generation_prompt":false}"#;
        body.extend_from_slice(asked);
    }
    body
}

/// Strings, numbers and JSON that was parsed before: there is nothing that could fail.
fn bytes_of(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
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
        if self.original.form() == Form::OpenAiEmbedding {
            self.original.write(&mut map, self.upstream_model, &[])?;
            return map.end();
        }
        self.original.write(&mut map, self.upstream_model, &["stream", "stream_options"])?;
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
pub(super) struct StreamOptions(Object);

impl StreamOptions {
    /// Those of a request built by the gateway; none where it is not streamed.
    pub fn own(stream: bool) -> Option<Self> {
        stream.then(|| Self(Object::default()))
    }
}

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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<WireChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<WireFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
}

impl<'a> Built<'a> {
    fn new(chat: &'a Chat, model: &'a str, stream: bool) -> Self {
        Self {
            model,
            messages: chat.messages.iter().map(WireMessage::new).collect(),
            stream,
            stream_options: StreamOptions::own(stream),
            sampling: WireSampling::new(&chat.sampling),
            tools: chat.tools.iter().map(WireTool::from).collect(),
            tool_choice: chat.tool_choice.as_ref().map(WireChoice::from),
            parallel_tool_calls: chat.parallel_tool_calls,
            response_format: chat.response_format.as_ref().map(WireFormat::from),
            reasoning_effort: chat.reasoning.as_ref().and_then(effort),
            user: chat.user.as_deref(),
        }
    }
}

/// How much to think is the upstream's choice where there is no word for it.
fn effort(reasoning: &Reasoning) -> Option<&str> {
    match reasoning {
        Reasoning::Off => Some("none"),
        Reasoning::Effort(effort) => Some(effort),
        Reasoning::On | Reasoning::Budget(_) => None,
    }
}

#[derive(Serialize)]
pub(super) struct WireSampling<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_p: Option<f64>,
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
    pub fn new(sampling: &'a Sampling) -> Self {
        Self {
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            top_k: sampling.top_k,
            min_p: sampling.min_p,
            max_tokens: sampling.max_tokens,
            stop: &sampling.stop,
            seed: sampling.seed,
            presence_penalty: sampling.presence_penalty,
            frequency_penalty: sampling.frequency_penalty,
        }
    }
}
