//! A conversation to be continued, in the words all dialects share.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A conversation, and how it is to be continued.
#[derive(Debug, Clone, Default)]
pub struct Chat {
    pub messages: Vec<Message>,
    pub sampling: Sampling,
    pub tools: Vec<Tool>,
    /// None leaves it to the upstream: `auto` where there are tools.
    pub tool_choice: Option<ToolChoice>,
    /// Whether the model may call several tools at once.
    pub parallel_tool_calls: Option<bool>,
    pub response_format: Option<ResponseFormat>,
    pub reasoning: Option<Reasoning>,
    /// Who the client's own user is, in the client's words.
    pub user: Option<String>,
}

/// How the next token is chosen, and when to stop. Absent means the upstream's default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sampling {
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub top_k: Option<u32>,
    pub min_p: Option<f64>,
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
    pub content: Vec<Part>,
    /// Calls the assistant made in this message.
    pub tool_calls: Vec<ToolCall>,
    /// The call that a tool's message answers.
    pub tool_call_id: Option<String>,
}

impl Message {
    /// A message of one text; of none where it is empty.
    #[must_use]
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        let text = text.into();
        let content = if text.is_empty() { Vec::new() } else { vec![Part::Text(text)] };
        Self { role, content, ..Self::default() }
    }

    /// Adds a text; neighbours become one.
    pub fn push_text(&mut self, text: &str) {
        match self.content.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Text(before)) => before.push_str(text),
            _ => self.content.push(Part::Text(text.to_owned())),
        }
    }

    /// The texts of the message, joined.
    #[must_use]
    pub fn joined_text(&self) -> String {
        let texts = self.content.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }
}

/// A piece of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Text(String),
    /// As a URL; `data:` URLs included.
    Image(String),
    /// Base64, in a format such as `wav` or `mp3`.
    Audio {
        data: String,
        format: String,
    },
    /// What the assistant thought before it said the rest.
    Reasoning(String),
}

impl Part {
    /// An image's base64, where the image itself is there and not its address.
    #[must_use]
    pub fn image_data(&self) -> Option<&str> {
        let Self::Image(url) = self else { return None };
        let (kind, data) = url.strip_prefix("data:")?.split_once(',')?;
        kind.ends_with(";base64").then_some(data)
    }
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

impl ToolCall {
    /// The arguments, where they are a JSON object or nothing.
    #[must_use]
    pub fn argument_object(&self) -> Option<&RawValue> {
        let text = self.arguments.trim_ascii();
        let text = if text.is_empty() { "{}" } else { text };
        text.starts_with('{').then(|| serde_json::from_str(text).ok()).flatten()
    }
}

/// A function that the model may call.
#[derive(Debug, Clone, Default)]
pub struct Tool {
    pub name: String,
    pub description: Option<String>,
    /// A JSON schema of the arguments, untouched.
    pub parameters: Option<Box<RawValue>>,
    /// Whether the arguments must keep to the schema exactly.
    pub strict: Option<bool>,
}

/// Whether, and which, tools must be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// No tool may be called.
    None,
    /// At least one must be called.
    Required,
    /// This one must be called.
    Function(String),
}

/// What form the answer's text must have.
#[derive(Debug, Clone)]
pub enum ResponseFormat {
    Text,
    /// Any JSON object.
    Json,
    /// JSON by a schema.
    Schema {
        name: String,
        description: Option<String>,
        /// Untouched.
        schema: Box<RawValue>,
        strict: Option<bool>,
    },
}

/// How much the model may think before it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reasoning {
    Off,
    /// As much as the upstream thinks right.
    On,
    /// In OpenAI's words: `minimal`, `low`, `medium`, `high`, `xhigh`, `max`.
    Effort(String),
    /// At most so many tokens.
    Budget(u32),
}
