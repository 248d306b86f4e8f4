//! A response and its items, as OpenAI writes them.

use serde::Serialize;

use super::echo::Echo;
use crate::error::{ErrorKind, Failure};
use crate::event::Usage;

#[derive(Serialize)]
pub(super) struct Response<'a> {
    pub id: &'a str,
    pub object: &'static str,
    pub created_at: u64,
    pub status: &'static str,
    pub background: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<u64>,
    pub error: Option<ResponseError<'a>>,
    pub incomplete_details: Option<Incomplete<'a>>,
    pub model: &'a str,
    pub output: Vec<WireItem<'a>>,
    pub usage: Option<WireUsage>,
    #[serde(flatten)]
    pub echo: &'a Echo,
}

/// Why an answer that came to its end is not whole.
#[derive(Serialize)]
pub(super) struct Incomplete<'a> {
    pub reason: &'a str,
}

#[derive(Serialize)]
pub(super) struct ResponseError<'a> {
    code: &'static str,
    message: &'a str,
}

impl<'a> From<&'a Failure> for ResponseError<'a> {
    /// The dialect has a code for few failures; the rest are the server's.
    fn from(failure: &'a Failure) -> Self {
        let code = match failure.kind {
            ErrorKind::RateLimited | ErrorKind::UpstreamRateLimited => "rate_limit_exceeded",
            ErrorKind::InvalidRequest | ErrorKind::UpstreamRejected => "invalid_prompt",
            _ => "server_error",
        };
        Self { code, message: &failure.message }
    }
}

/// An item of the answer.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum WireItem<'a> {
    Message {
        id: &'a str,
        status: &'static str,
        role: &'static str,
        content: Vec<WirePart<'a>>,
    },
    Reasoning {
        id: &'a str,
        status: &'static str,
        /// Nobody sums up here what the model thought; its own words are the content.
        summary: [(); 0],
        content: Vec<WirePart<'a>>,
    },
    FunctionCall {
        id: &'a str,
        status: &'static str,
        call_id: &'a str,
        name: &'a str,
        arguments: &'a str,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum WirePart<'a> {
    OutputText { text: &'a str, annotations: [(); 0], logprobs: [(); 0] },
    ReasoningText { text: &'a str },
}

impl<'a> WirePart<'a> {
    pub fn said(text: &'a str) -> Self {
        Self::OutputText { text, annotations: [], logprobs: [] }
    }
}

/// Token counts. The dialect has no word for details that are not known: they are 0.
#[derive(Serialize)]
pub(super) struct WireUsage {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
}

#[derive(Serialize)]
struct InputDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
}

impl From<Usage> for WireUsage {
    fn from(usage: Usage) -> Self {
        let cached_tokens = usage.cached_tokens.unwrap_or_default();
        let reasoning_tokens = usage.reasoning_tokens.unwrap_or_default();
        Self {
            input_tokens: usage.prompt_tokens,
            input_tokens_details: InputDetails { cached_tokens, cache_write_tokens: 0 },
            output_tokens: usage.completion_tokens,
            output_tokens_details: OutputDetails { reasoning_tokens },
            total_tokens: usage.total_tokens(),
        }
    }
}
