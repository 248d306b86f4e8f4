//! What an upstream says in the course of one answer, whatever wire it says it on.

use serde::{Deserialize, Serialize};

use crate::error::Failure;

/// One thing an upstream said.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A piece of the answer's text.
    Text(String),
    /// A piece of the model's reasoning, kept apart from the answer.
    Reasoning(String),
    /// A fragment of a tool call.
    ToolCall(ToolCallDelta),
    /// The reason why generation stopped: evidence that the answer is complete.
    Finish(FinishReason),
    /// Token counts as the upstream reports them; a later report replaces an earlier one.
    Usage(Usage),
    /// How long the upstream's own steps took; a later report replaces an earlier one.
    Timings(Timings),
    /// Vectors for the texts of a request, in its order.
    Embeddings(Vec<Vec<f32>>),
    /// The upstream reported an error inside a successful response.
    Error(Failure),
    /// The wire format's own end mark (`[DONE]`, `"done": true`).
    Done,
}

/// A fragment of a tool call, in the form the OpenAI wire gives it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCallDelta {
    /// Which of the calls of this answer the fragment belongs to.
    pub index: u32,
    /// Present on the first fragment of a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Present on the first fragment of a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The next piece of the JSON text of the arguments.
    pub arguments: String,
}

/// Why generation stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended its answer, or met a stop sequence.
    Stop,
    /// The model met this stop sequence. Most upstreams do not tell which.
    StopSequence(String),
    /// `max_tokens` or the context length was reached.
    Length,
    /// The model wants tools called.
    ToolCalls,
    /// The upstream withheld the rest.
    ContentFilter,
    /// A reason this vocabulary has no word for, kept as it came.
    Other(String),
}

impl FinishReason {
    /// The reason in OpenAI's words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Stop | Self::StopSequence(_) => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Other(word) => word,
        }
    }
}

impl From<&str> for FinishReason {
    fn from(word: &str) -> Self {
        match word {
            "stop" => Self::Stop,
            "length" => Self::Length,
            "tool_calls" => Self::ToolCalls,
            "content_filter" => Self::ContentFilter,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// Token counts as the upstream reported them; never guessed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens generated, reasoning included.
    pub completion_tokens: u64,
    /// How many of the prompt's tokens came from a cache, where the upstream tells.
    pub cached_tokens: Option<u64>,
    /// How many of the generated tokens were reasoning, where the upstream tells.
    pub reasoning_tokens: Option<u64>,
}

impl Usage {
    /// Prompt and completion together.
    #[must_use]
    pub fn total_tokens(self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }
}

/// How long the steps of an answer took by the upstream's own clock, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// From the request's arrival at the upstream to its last token.
    pub total_ns: Option<u64>,
    /// Until the model was loaded.
    pub load_ns: Option<u64>,
    /// Reading the prompt.
    pub prompt_ns: Option<u64>,
    /// Generating the answer.
    pub generation_ns: Option<u64>,
}
