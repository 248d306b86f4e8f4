//! What one frame of an upstream's stream says.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::errors;
use crate::error::Failure;
use crate::event::{Event, FinishReason, ToolCallDelta, Usage};
use crate::whole_body::malformed;

/// A form feed is none of them, and a client's parser would stumble over it.
const JSON_BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

/// The kinds of data a frame can hold.
pub(super) enum Said<'a> {
    Nothing,
    EndMark,
    /// Begins with a brace.
    Json(&'a str),
    /// Plain text where JSON was expected: passed on as what it most likely is.
    Text(&'a str),
}

impl<'a> Said<'a> {
    /// # Errors
    /// [`ErrorKind::UpstreamProtocol`](crate::ErrorKind::UpstreamProtocol) for JSON that is no object.
    pub fn of(data: &'a str) -> Result<Self, Failure> {
        let trimmed = data.trim_matches(JSON_BLANKS);
        if data.is_empty() {
            Ok(Self::Nothing)
        } else if data.trim_ascii() == "[DONE]" {
            Ok(Self::EndMark)
        } else if trimmed.starts_with('{') {
            Ok(Self::Json(trimmed))
        } else if trimmed.starts_with('[') && serde_json::from_str::<&RawValue>(trimmed).is_ok() {
            Err(malformed())
        } else {
            Ok(Self::Text(data))
        }
    }
}

/// A chunk of a stream, or a whole answer: they differ in the name of one field.
#[derive(Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: u32,
    #[serde(alias = "message")]
    delta: Option<Delta>,
    /// A completion's piece, which has no delta around it.
    text: Option<String>,
    finish_reason: Option<String>,
    /// vLLM's: the stop sequence that was met, or the number of the token that ended the answer.
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
}

impl Choice<'_> {
    fn finish(&self) -> Option<FinishReason> {
        let sequence = self.stop_reason.and_then(|met| serde_json::from_str(met.get()).ok());
        match (finish(self.finish_reason.as_deref())?, sequence) {
            (FinishReason::Stop, Some(met)) => Some(FinishReason::StopSequence(met)),
            (reason, _) => Some(reason),
        }
    }
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
    /// What is said in place of an answer.
    refusal: Option<String>,
    reasoning_content: Option<String>,
    reasoning: Option<String>,
    tool_calls: Option<Vec<CallDelta>>,
}

#[derive(Deserialize)]
struct CallDelta {
    index: Option<u32>,
    id: Option<String>,
    function: Option<FunctionDelta>,
}

#[derive(Deserialize)]
struct FunctionDelta {
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct WireUsage<'a> {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    #[serde(borrow)]
    prompt_tokens_details: Option<&'a RawValue>,
    #[serde(borrow)]
    completion_tokens_details: Option<&'a RawValue>,
}

/// What both kinds of details may tell.
#[derive(Deserialize, Default)]
struct Details {
    cached_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
}

impl<'a> Chunk<'a> {
    /// # Errors
    /// [`ErrorKind::UpstreamProtocol`](crate::ErrorKind::UpstreamProtocol) when it cannot be understood.
    pub fn decode(json: &'a str) -> Result<Self, Failure> {
        serde_json::from_str(json).map_err(|_| malformed())
    }

    /// Appends what the chunk says; of several choices only the first.
    pub fn tell(self, events: &mut Vec<Event>) {
        if let Some(error) = self.error {
            events.push(Event::Error(errors::decode_error_value(error)));
            return;
        }
        let choices = self.choices.unwrap_or_default();
        if let Some(choice) = choices.into_iter().find(|choice| choice.index == 0) {
            let finish = choice.finish();
            if let Some(delta) = choice.delta {
                delta.tell(events);
            } else {
                let spoken = choice.text.filter(|text| !text.is_empty());
                events.extend(spoken.map(Event::Text));
            }
            events.extend(finish.map(Event::Finish));
        }
        events.extend(self.usage.and_then(usage).map(Event::Usage));
    }
}

impl Delta {
    fn tell(self, events: &mut Vec<Event>) {
        let spoken = |text: &String| !text.is_empty();
        // The older and the newer name of one thing; a server in transition sends both.
        let reasoning = self.reasoning_content.filter(spoken).or(self.reasoning.filter(spoken));
        events.extend(reasoning.map(Event::Reasoning));
        events.extend(self.content.filter(spoken).map(Event::Text));
        // Other dialects have no other place for it than the answer's.
        events.extend(self.refusal.filter(spoken).map(Event::Text));
        for (call, position) in self.tool_calls.unwrap_or_default().into_iter().zip(0..) {
            let (name, arguments) = match call.function {
                Some(function) => (function.name, function.arguments.unwrap_or_default()),
                None => (None, String::new()),
            };
            let index = call.index.unwrap_or(position);
            events.push(Event::ToolCall(ToolCallDelta { index, id: call.id, name, arguments }));
        }
    }
}

/// Some servers write an empty reason on every chunk but the last.
pub(super) fn finish(word: Option<&str>) -> Option<FinishReason> {
    word.filter(|word| !word.is_empty()).map(FinishReason::from)
}

pub(super) fn usage(value: &RawValue) -> Option<Usage> {
    let usage: WireUsage<'_> = serde_json::from_str(value.get()).ok()?;
    if usage.prompt_tokens.is_none() && usage.completion_tokens.is_none() {
        return None;
    }
    Some(Usage {
        prompt_tokens: usage.prompt_tokens.unwrap_or_default(),
        completion_tokens: usage.completion_tokens.unwrap_or_default(),
        cached_tokens: details(usage.prompt_tokens_details).cached_tokens,
        reasoning_tokens: details(usage.completion_tokens_details).reasoning_tokens,
    })
}

/// Details that are not understood do not cost the counts.
fn details(value: Option<&RawValue>) -> Details {
    value.and_then(|value| serde_json::from_str(value.get()).ok()).unwrap_or_default()
}
