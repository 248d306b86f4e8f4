//! A client's body, checked field by field.
//!
//! Fields the gateway has no word for are no fault: they stay in the [`Original`] and reach an
//! upstream of the same dialect. For upstreams of another dialect they are named in the
//! [`Losses`](crate::Losses).

use serde_json::value::RawValue;

use super::{messages, tools};
use crate::chat::{Chat, Reasoning, Sampling};
use crate::error::Failure;
use crate::fields::{Faults, Object, decode_body, join};
use crate::fit::Losses;
use crate::original::{Form, Original};
use crate::request::{Request, Task};

/// Reads and checks the body of `POST /v1/chat/completions`.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) with every fault there is.
pub fn decode_request(body: &[u8]) -> Result<Request, Failure> {
    let mut faults = Faults::default();
    let fields = decode_body(body, &mut faults)?;
    let mut losses = Losses::default();
    lookalikes(&fields, &mut faults);
    let model = fields.get("model").and_then(|value| model(value, &mut faults));
    let messages = messages::decode(&fields, &mut faults, &mut losses);
    let stream = flag("stream", &fields, &mut faults).unwrap_or_default();
    let include_usage = include_usage(&fields, &mut faults);
    let chat = Chat {
        messages,
        sampling: sampling(&fields, &mut faults),
        tools: tools::decode(&fields, &mut faults, &mut losses),
        tool_choice: tools::choice(&fields, &mut faults, &mut losses),
        parallel_tool_calls: flag("parallel_tool_calls", &fields, &mut faults),
        response_format: tools::response_format(&fields, &mut faults, &mut losses),
        reasoning: reasoning(&fields, &mut faults),
        user: fields.get("user").and_then(|value| faults.string("user", value)),
    };
    let n = fields.get("n").and_then(|value| faults.integer("n", value, 1..=128));
    let choices = n.unwrap_or(1);
    if choices > 1 {
        losses.refuse("n", "more than one choice is only for upstreams of OpenAI's dialect");
    }
    leftovers(&fields, &mut losses);
    faults.into_result()?;
    let original = Original::new(Form::OpenAiChat, fields).with_choices(choices);
    let task = Task::Chat(chat);
    Ok(Request { model, stream, include_usage, task, losses, original: Some(original) })
}

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

/// Fields that make the answer another one. `false` and `{}` ask for nothing.
const ESSENTIAL: [&str; 6] =
    ["logprobs", "logit_bias", "audio", "web_search_options", "functions", "function_call"];

/// Notes what only an upstream of OpenAI's dialect understands.
fn leftovers(fields: &Object, losses: &mut Losses) {
    for name in fields.names() {
        let Some(value) = fields.get(name) else { continue };
        let value = value.get();
        let asks_for_text = value.trim_matches(['[', ']', ' ']) == "\"text\"";
        if ESSENTIAL.contains(&name) || (name == "modalities" && !asks_for_text) {
            if !matches!(value, "false" | "{}" | "[]") {
                losses.refuse(name, "is only for upstreams of OpenAI's dialect");
            }
        } else if name != "modalities" && !DECISIVE.contains(&name) && !UNDERSTOOD.contains(&name) {
            losses.ignore(join("", name));
        }
    }
}

/// Servers written in Go take `Model` for `model`, and the last of the two counts: passed on, it
/// would undo what was checked here.
fn lookalikes(fields: &Object, faults: &mut Faults) {
    for name in fields.names().filter(|name| !DECISIVE.contains(name)) {
        if let Some(known) = DECISIVE.iter().find(|known| folded(name).eq(known.chars())) {
            let message = format!("must be spelt \"{known}\": some servers take it for that");
            faults.add(join("", name), message);
        }
    }
}

/// A name without its case, as Unicode folds it: U+017F is an `s` as well, U+212A a `k`.
fn folded(name: &str) -> impl Iterator<Item = char> {
    name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

fn model(value: &RawValue, faults: &mut Faults) -> Option<String> {
    let name = faults.string("model", value)?;
    if name.is_empty() {
        faults.add("model", "must not be empty: leave it out for the active model");
    }
    Some(name)
}

fn flag(name: &str, fields: &Object, faults: &mut Faults) -> Option<bool> {
    fields.get(name).and_then(|value| faults.boolean(name, value))
}

fn include_usage(fields: &Object, faults: &mut Faults) -> bool {
    let Some(value) = fields.get("stream_options") else { return false };
    let Some(options) = faults.read::<Object>("stream_options", value, "an object") else {
        return false;
    };
    let value = options.get("include_usage");
    value.and_then(|value| faults.boolean("stream_options.include_usage", value)).unwrap_or(false)
}

fn sampling(fields: &Object, faults: &mut Faults) -> Sampling {
    let mut number =
        |name: &str, range| fields.get(name).and_then(|value| faults.number(name, value, range));
    let temperature = number("temperature", 0.0..=2.0);
    let top_p = number("top_p", 0.0..=1.0);
    let min_p = number("min_p", 0.0..=1.0);
    let presence_penalty = number("presence_penalty", -2.0..=2.0);
    let frequency_penalty = number("frequency_penalty", -2.0..=2.0);
    // The newer name wins; both are checked.
    let older = max_tokens("max_tokens", fields, faults);
    let newer = max_tokens("max_completion_tokens", fields, faults);
    Sampling {
        temperature,
        top_p,
        top_k: top_k(fields, faults),
        min_p,
        max_tokens: newer.or(older),
        stop: stop(fields, faults),
        seed: fields.get("seed").and_then(|value| faults.read("seed", value, "a whole number")),
        presence_penalty,
        frequency_penalty,
    }
}

/// Several local servers and their examples write -1 for "no limit".
fn max_tokens(name: &str, fields: &Object, faults: &mut Faults) -> Option<u32> {
    let value = fields.get(name)?;
    if value.get() == "-1" {
        return None;
    }
    faults.integer(name, value, 1..=u32::MAX)
}

/// No word of OpenAI's own, but of most servers of its dialect. 0 and -1 turn it off.
fn top_k(fields: &Object, faults: &mut Faults) -> Option<u32> {
    let value = fields.get("top_k")?;
    if value.get() == "-1" {
        return None;
    }
    faults.integer("top_k", value, 0..=u32::MAX)
}

fn stop(fields: &Object, faults: &mut Faults) -> Vec<String> {
    let Some(value) = fields.get("stop") else { return Vec::new() };
    if value.get().starts_with('"') {
        return faults.string("stop", value).into_iter().collect();
    }
    faults.read("stop", value, "a string or a list of strings").unwrap_or_default()
}

fn reasoning(fields: &Object, faults: &mut Faults) -> Option<Reasoning> {
    let value = fields.get("reasoning_effort")?;
    let effort = faults.string("reasoning_effort", value)?;
    Some(if effort == "none" { Reasoning::Off } else { Reasoning::Effort(effort) })
}
