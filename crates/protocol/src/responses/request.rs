//! The body of `POST /v1/responses`, checked field by field.
//!
//! No upstream is sent it as it is: what a chat has no word for is refused where the answer would
//! be another one without it, and named as ignored otherwise.

use serde_json::value::RawValue;

use super::echo::Echo;
use super::item::Item;
use super::{items, settings};
use crate::chat::{Chat, Message, Role, Sampling};
use crate::error::Failure;
use crate::fields::{Faults, Object, decode_body};
use crate::fit::Losses;
use crate::ids::StreamId;
use crate::request::{Request, Task};
use crate::wishes::Wish;

/// A response that is asked for.
#[derive(Debug)]
pub struct Asked {
    pub request: Request,
    /// What its answer repeats of it.
    pub echo: Echo,
    /// The conversation that it goes on from: of the previous response, then its own input.
    pub items: Vec<Item>,
}

/// Reads and checks a body. `id` names the stream that will answer it, and from it what has no
/// name yet; `earlier` gives the conversation up to and with a response, or says why it cannot.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) with every fault there is.
pub fn decode_request(
    body: &[u8],
    id: StreamId,
    earlier: impl FnOnce(&str) -> Result<Vec<Item>, String>,
) -> Result<Asked, Failure> {
    let mut faults = Faults::default();
    let fields = decode_body(body, &mut faults)?;
    let mut losses = Losses::named_by(&NAMES);
    let echo = Echo::of(&fields, &mut faults);
    let before = echo.previous_response_id.as_deref().map(earlier).transpose();
    let before = before.unwrap_or_else(|why| {
        faults.add("previous_response_id", why);
        None
    });
    let read = items::read(id, before.unwrap_or_default(), &fields, &mut faults, &mut losses);
    let chat = Chat {
        messages: with_instructions(&fields, read.messages, &mut faults),
        sampling: sampling(&fields, &mut faults),
        tools: settings::tools(&fields, &mut faults, &mut losses),
        tool_choice: settings::choice(&fields, &mut faults, &mut losses),
        parallel_tool_calls: faults.optional_boolean("", &fields, "parallel_tool_calls"),
        response_format: settings::format(&fields, &mut faults, &mut losses),
        reasoning: settings::reasoning(&fields, &mut faults, &mut losses),
        user: user(&fields, &mut faults, &mut losses),
    };
    let model = faults.model(&fields);
    let stream = faults.optional_boolean("", &fields, "stream").unwrap_or_default();
    if echo.background() && !echo.store() {
        faults.add("background", "needs a response that is kept: store must not be false");
    }
    unsupported(&fields, &mut faults, &mut losses);
    losses.unknown("", &fields, &KNOWN);
    faults.into_result()?;
    let task = Task::Chat(chat);
    let request = Request { model, stream, task, losses, ..Request::default() };
    Ok(Asked { request, echo, items: read.items })
}

/// What not every upstream can be told, and has one place here.
const NAMES: [(Wish, &str); 5] = [
    (Wish::Tools, "tools"),
    (Wish::ForcedCall, "tool_choice"),
    (Wish::OneCallAtATime, "parallel_tool_calls"),
    (Wish::Format, "text.format"),
    (Wish::Reasoning, "reasoning.effort"),
];

/// What is understood, and what is refused by name. All else is ignored and named.
const KNOWN: [&str; 28] = [
    "background",
    "background_options",
    "context_management",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "reasoning",
    "safety_identifier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// Fields that ask for what is not here, and why it is not.
const REFUSED: [(&str, &str); 7] = [
    ("background_options", "are not known here"),
    ("context_management", "is not done here: nothing shortens a conversation"),
    ("conversation", "is not kept here: use previous_response_id"),
    ("max_tool_calls", "counts calls of built-in tools, which are not here"),
    ("moderation", "is not done here"),
    ("prompt", "is not kept here: send the text itself as instructions and input"),
    ("top_logprobs", "cannot be told in a response here: ask /v1/chat/completions"),
];

fn unsupported(fields: &Object, faults: &mut Faults, losses: &mut Losses) {
    for (name, why) in REFUSED {
        let value = fields.get(name).map(RawValue::get);
        if value.is_some_and(|value| !matches!(value, "false" | "0" | "[]" | "{}")) {
            losses.refuse(name, why);
        }
    }
    truncation(fields, faults, losses);
    include(fields, faults, losses);
    stream_options(fields, faults, losses);
}

fn truncation(fields: &Object, faults: &mut Faults, losses: &mut Losses) {
    let Some(value) = fields.get("truncation") else { return };
    match faults.string("truncation", value).as_deref() {
        Some("disabled") | None => {}
        Some("auto") => losses.refuse("truncation", "nothing is cut here: must be \"disabled\""),
        Some(_) => faults.add("truncation", "must be \"disabled\""),
    }
}

/// Reasoning is told in plain words, so that a client can send it back: nothing is lost without
/// the encrypted form. Images are listed as they came.
fn include(fields: &Object, faults: &mut Faults, losses: &mut Losses) {
    let Some(value) = fields.get("include") else { return };
    let wanted: Vec<String> =
        faults.read("include", value, "a list of strings").unwrap_or_default();
    for (index, wanted) in wanted.iter().enumerate() {
        let field = format!("include[{index}]");
        match wanted.as_str() {
            "message.input_image.image_url" => {}
            "reasoning.encrypted_content" => losses.ignore(field),
            _ => losses.refuse(field, "cannot be given here"),
        }
    }
}

fn stream_options(fields: &Object, faults: &mut Faults, losses: &mut Losses) {
    let Some(value) = fields.get("stream_options") else { return };
    let options: Option<Object> = faults.read("stream_options", value, "an object");
    let options = options.unwrap_or_default();
    let obfuscation = options.get("include_obfuscation").map(RawValue::get);
    if obfuscation == Some("true") {
        losses.ignore("stream_options.include_obfuscation");
    }
    losses.unknown("stream_options", &options, &["include_obfuscation"]);
}

/// Instructions stand before everything, and are told as the system's: every server knows that.
fn with_instructions(
    fields: &Object,
    mut messages: Vec<Message>,
    faults: &mut Faults,
) -> Vec<Message> {
    let given = faults.optional_string("", fields, "instructions");
    if let Some(text) = given.filter(|text| !text.is_empty()) {
        messages.insert(0, Message::text(Role::System, text));
    }
    messages
}

fn sampling(fields: &Object, faults: &mut Faults) -> Sampling {
    let mut number =
        |name: &str, range| fields.get(name).and_then(|value| faults.number(name, value, range));
    let temperature = number("temperature", 0.0..=2.0);
    let top_p = number("top_p", 0.0..=1.0);
    let max = fields.get("max_output_tokens");
    let max_tokens = max.and_then(|value| faults.integer("max_output_tokens", value, 1..=u32::MAX));
    Sampling { temperature, top_p, max_tokens, ..Sampling::default() }
}

/// `safety_identifier` is OpenAI's newer name for it.
fn user(fields: &Object, faults: &mut Faults, losses: &mut Losses) -> Option<String> {
    let mut string = |name| {
        let user = faults.optional_string("", fields, name)?;
        losses.note(Wish::User, name);
        Some(user)
    };
    let (newer, older) = (string("safety_identifier"), string("user"));
    newer.or(older)
}
