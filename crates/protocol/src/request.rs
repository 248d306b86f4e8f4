//! A chat request, in the words all dialects share.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::openai::Original;

/// One call of a client, decoded and validated.
#[derive(Debug, Clone, Default)]
pub struct ChatRequest {
    /// The model's public name; none asks for the active model.
    pub model: Option<String>,
    pub messages: Vec<Message>,
    /// Whether the client wants the answer piece by piece.
    pub stream: bool,
    /// Whether a streamed OpenAI answer ends with a usage chunk.
    pub include_usage: bool,
    pub sampling: Sampling,
    /// Tool definitions in OpenAI's form, untouched.
    pub tools: Option<Box<RawValue>>,
    /// In OpenAI's form, untouched.
    pub tool_choice: Option<Box<RawValue>>,
    /// In OpenAI's form, untouched.
    pub response_format: Option<Box<RawValue>>,
    /// The body as an OpenAI client sent it: relayed to an upstream of the same dialect, so that
    /// fields unknown to the gateway reach it.
    pub original: Option<Original>,
}

/// How the next token is chosen, and when to stop. Absent means the upstream's default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sampling {
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub max_tokens: Option<u32>,
    pub stop: Vec<String>,
    pub seed: Option<i64>,
    pub presence_penalty: Option<f64>,
    pub frequency_penalty: Option<f64>,
}

/// One message of the conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    pub role: Role,
    pub content: String,
    /// Calls the assistant made in this message.
    pub tool_calls: Vec<ToolCall>,
    /// The call that a tool's message answers.
    pub tool_call_id: Option<String>,
    /// The images of the message, as URLs (`data:` URLs included), in order.
    pub images: Vec<String>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    System,
    /// OpenAI's newer word for system.
    Developer,
    #[default]
    User,
    Assistant,
    Tool,
}

/// A whole tool call, as a message of the conversation repeats it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    pub id: String,
    pub name: String,
    /// JSON text.
    pub arguments: String,
}
