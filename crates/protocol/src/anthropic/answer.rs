//! What streamed and whole answers have in common.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::event::{FinishReason, Usage};

/// A message as it is answered: without content where it is only begun.
#[derive(Serialize)]
pub(super) struct Message<'a> {
    pub id: &'a str,
    #[serde(flatten)]
    pub kind: Kind,
    pub model: &'a str,
    pub content: Vec<Block<'a>>,
    pub stop_reason: Option<&'a str>,
    pub stop_sequence: Option<&'a str>,
    pub usage: WireUsage,
}

/// What every message is.
#[derive(Serialize)]
pub(super) struct Kind {
    r#type: &'static str,
    role: &'static str,
}

impl Default for Kind {
    fn default() -> Self {
        Self { r#type: "message", role: "assistant" }
    }
}

/// A block of an answer's content.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'a> {
    /// Nobody signs it: the signature, which clients expect, is empty.
    Thinking {
        thinking: &'a str,
        signature: &'static str,
    },
    Text {
        text: &'a str,
    },
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: Input<'a>,
    },
}

/// What a tool is given.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Input<'a> {
    /// A JSON object.
    Given(&'a RawValue),
    Nothing {},
}

impl<'a> Input<'a> {
    /// None where `arguments` are no JSON object; no text at all is an empty one.
    pub fn of(arguments: &'a str) -> Option<Self> {
        let text = arguments.trim_ascii();
        if text.is_empty() {
            return Some(Self::Nothing {});
        }
        let object = text.starts_with('{').then(|| serde_json::from_str(text).ok());
        object.flatten().map(Self::Given)
    }
}

/// Token counts in Anthropic's words: what came from a cache is not part of the input.
#[derive(Serialize, Default)]
pub(super) struct WireUsage {
    /// None may be left out of a stream's end only.
    #[serde(skip_serializing_if = "Option::is_none")]
    input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_read_input_tokens: Option<u64>,
    output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Serialize)]
struct OutputDetails {
    thinking_tokens: u64,
}

impl WireUsage {
    /// Of a whole message: this dialect has no word for counts that are not known, but 0.
    pub fn of_message(usage: Option<Usage>) -> Self {
        Self::of_end(Some(usage.unwrap_or_default()))
    }

    /// Of a stream's end: a count of the input that is not known is left out.
    pub fn of_end(usage: Option<Usage>) -> Self {
        let Some(usage) = usage else { return Self::default() };
        let cached = usage.cached_tokens;
        Self {
            input_tokens: Some(usage.prompt_tokens.saturating_sub(cached.unwrap_or_default())),
            cache_read_input_tokens: cached,
            output_tokens: usage.completion_tokens,
            output_tokens_details: usage
                .reasoning_tokens
                .map(|thinking_tokens| OutputDetails { thinking_tokens }),
        }
    }
}

/// The stop reason, and the stop sequence that was met if the upstream told.
///
/// Ollama says `stop` behind tool calls, and vLLM behind those that were asked for by name:
/// clients run tools where the reason is `tool_use`.
pub(super) fn stop_reason(finish: Option<&FinishReason>, calls: bool) -> (&str, Option<&str>) {
    match finish {
        Some(FinishReason::Length) => ("max_tokens", None),
        Some(FinishReason::ContentFilter) => ("refusal", None),
        Some(FinishReason::Other(word)) => (word, None),
        _ if calls => ("tool_use", None),
        Some(FinishReason::StopSequence(sequence)) => ("stop_sequence", Some(sequence)),
        Some(FinishReason::Stop | FinishReason::ToolCalls) | None => ("end_turn", None),
    }
}

#[derive(Serialize)]
struct Count {
    input_tokens: u64,
}

/// The answer to a count of tokens.
#[must_use]
pub fn count_body(input_tokens: u64) -> Vec<u8> {
    // A number: there is nothing that could fail.
    serde_json::to_vec(&Count { input_tokens }).unwrap_or_default()
}
