//! The little that a relayed frame is asked for.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::errors;
use super::frame;
use crate::error::Failure;
use crate::event::{FinishReason, Usage};
use crate::whole_body::malformed;

/// What a frame says to a relay. The pieces of the answer are left to the client to understand.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    pub error: Option<Failure>,
    /// The choices that the frame finishes, by index.
    pub finished: Vec<(u32, FinishReason)>,
    pub usage: Option<Usage>,
    pub has_piece: bool,
    /// It reports usage and holds no choice: the frame that only comes when it was asked for.
    pub is_usage_only: bool,
}

impl Scanned {
    /// Whether the frame carries a piece of the answer and nothing else.
    pub fn is_ordinary(&self) -> bool {
        self.has_piece && self.error.is_none() && self.finished.is_empty() && self.usage.is_none()
    }

    /// # Errors
    /// [`ErrorKind::UpstreamProtocol`](crate::ErrorKind::UpstreamProtocol) when it cannot be
    /// understood.
    pub fn of(json: &str) -> Result<Self, Failure> {
        let chunk: Chunk<'_> = serde_json::from_str(json).map_err(|_| malformed())?;
        let choices = chunk.choices.unwrap_or_default();
        let usage = chunk.usage.and_then(frame::usage);
        let finished =
            |choice: &Choice| Some((choice.index, frame::finish(choice.finish_reason.as_deref())?));
        let has_piece = |choice: &Choice| {
            choice.text.is_some() || choice.delta.as_ref().is_some_and(Delta::has_piece)
        };
        Ok(Self {
            error: chunk.error.map(errors::decode_error_value),
            finished: choices.iter().filter_map(finished).collect(),
            usage,
            has_piece: choices.iter().any(has_piece),
            is_usage_only: usage.is_some() && choices.is_empty(),
        })
    }
}

#[derive(Deserialize)]
struct Chunk<'a> {
    choices: Option<Vec<Choice>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u32,
    finish_reason: Option<String>,
    delta: Option<Delta>,
    /// A completion's piece.
    text: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<IgnoredAny>,
    reasoning_content: Option<IgnoredAny>,
    reasoning: Option<IgnoredAny>,
    tool_calls: Option<IgnoredAny>,
}

impl Delta {
    fn has_piece(&self) -> bool {
        let fields = [&self.content, &self.reasoning_content, &self.reasoning, &self.tool_calls];
        fields.iter().any(|field| field.is_some())
    }
}
