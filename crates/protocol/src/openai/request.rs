//! A client's body, checked field by field.
//!
//! Fields the gateway has no word for are no fault: they stay in the [`Original`] and reach an
//! upstream of the same dialect. For upstreams of another dialect they are named in the
//! [`Losses`](crate::Losses).

use super::common::{ONLY_HERE, choices, include_usage, sampling, several};
use super::{messages, tools};
use crate::chat::{Chat, Reasoning};
use crate::error::Failure;
use crate::fields::{Faults, Object, decode_body, join};
use crate::fit::Losses;
use crate::lookalikes;
use crate::original::{Form, Original};
use crate::request::{Request, Task};
use crate::wishes::Wish;

/// Reads and checks the body of `POST /v1/chat/completions`.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) with every fault there is.
pub fn decode_request(body: &[u8]) -> Result<Request, Failure> {
    let mut faults = Faults::default();
    let fields = decode_body(body, &mut faults)?;
    let mut losses = Losses::named_by(&NAMES);
    lookalikes::refuse(&fields, &DECISIVE, &mut faults);
    let model = faults.model(&fields);
    let messages = messages::decode(&fields, &mut faults, &mut losses);
    let stream = faults.optional_boolean("", &fields, "stream").unwrap_or_default();
    let include_usage = include_usage(&fields, &mut faults);
    let chat = Chat {
        messages,
        sampling: sampling(1, &fields, &mut faults),
        tools: tools::decode(&fields, &mut faults, &mut losses),
        tool_choice: tools::choice(&fields, &mut faults, &mut losses),
        parallel_tool_calls: faults.optional_boolean("", &fields, "parallel_tool_calls"),
        response_format: tools::response_format(&fields, &mut faults, &mut losses),
        reasoning: reasoning(&fields, &mut faults),
        user: faults.optional_string("", &fields, "user"),
    };
    let choices = choices(&fields, &mut faults);
    several("n", choices, &mut losses);
    leftovers(&fields, &mut losses);
    faults.into_result()?;
    let original = Original::new(Form::OpenAiChat, fields).with_choices(choices);
    let task = Task::Chat(chat);
    Ok(Request { model, stream, include_usage, task, losses, original: Some(original) })
}

/// What not every upstream can be told, and has one place here.
const NAMES: [(Wish, &str); 6] = [
    (Wish::Tools, "tools"),
    (Wish::ForcedCall, "tool_choice"),
    (Wish::OneCallAtATime, "parallel_tool_calls"),
    (Wish::Format, "response_format"),
    (Wish::Reasoning, "reasoning_effort"),
    (Wish::User, "user"),
];

/// The fields that decide what is asked of the upstream.
const DECISIVE: [&str; 10] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "n",
    "max_tokens",
    "max_completion_tokens",
    "tools",
    "tool_choice",
    "response_format",
];

/// The other fields that are understood.
const UNDERSTOOD: [&str; 11] = [
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "parallel_tool_calls",
    "reasoning_effort",
    "user",
];

/// Fields that make the answer another one. `false` and `{}` ask for nothing, but of a search.
const ESSENTIAL: [&str; 6] =
    ["logprobs", "logit_bias", "audio", "web_search_options", "functions", "function_call"];

/// Notes what only an upstream of OpenAI's dialect understands.
fn leftovers(fields: &Object, losses: &mut Losses) {
    for name in fields.names() {
        let Some(value) = fields.get(name) else { continue };
        let value = value.get();
        let asks_for_text = value.trim_matches(['[', ']', ' ']) == "\"text\"";
        if ESSENTIAL.contains(&name) || (name == "modalities" && !asks_for_text) {
            let empty = matches!(value, "false" | "{}" | "[]");
            if !empty || name == "web_search_options" {
                losses.refuse(name, ONLY_HERE);
            }
        } else if name != "modalities" && !DECISIVE.contains(&name) && !UNDERSTOOD.contains(&name) {
            losses.ignore(join("", name));
        }
    }
}

fn reasoning(fields: &Object, faults: &mut Faults) -> Option<Reasoning> {
    let value = fields.get("reasoning_effort")?;
    let effort = faults.string("reasoning_effort", value)?;
    Some(if effort == "none" { Reasoning::Off } else { Reasoning::Effort(effort) })
}
