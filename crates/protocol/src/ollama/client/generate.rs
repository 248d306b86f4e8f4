//! The body of `POST /api/generate`, checked field by field.

use super::chat::NAMES;
use super::{messages, options};
use crate::chat::{Chat, Message, Role};
use crate::error::Failure;
use crate::fields::{Faults, Object, decode_body};
use crate::fit::Losses;
use crate::lookalikes;
use crate::original::{Form, Original};
use crate::request::{Completion, Request, Task};

/// What is understood, or judged by itself.
const KNOWN: [&str; 15] = [
    "model",
    "prompt",
    "system",
    "suffix",
    "template",
    "context",
    "raw",
    "images",
    "stream",
    "format",
    "options",
    "think",
    "keep_alive",
    "logprobs",
    "top_logprobs",
];
/// What makes the answer another one.
const ESSENTIAL: [&str; 6] =
    ["suffix", "template", "context", "logprobs", "top_logprobs", "_debug_render_only"];

/// Reads and checks the body. Elsewhere than at an Ollama a prompt is a user's message, unless it is
/// `raw`; none at all asks for the model to be loaded.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) with every fault there is.
pub fn decode_generate(body: &[u8]) -> Result<Request, Failure> {
    let mut faults = Faults::default();
    let fields = decode_body(body, &mut faults)?;
    lookalikes::refuse(&fields, &KNOWN, &mut faults);
    let mut losses = Losses::named_by(&NAMES);
    let prompt = options::text("prompt", &fields, &mut faults);
    let loads = prompt.is_empty();
    let raw = faults.optional_boolean("", &fields, "raw").unwrap_or_default();
    let task = if raw {
        completion(prompt, &fields, &mut faults, &mut losses)
    } else {
        chat(prompt, &fields, &mut faults, &mut losses)
    };
    options::refuse(&ESSENTIAL, &fields, &mut losses);
    options::keep_alive(&fields, loads, &mut losses);
    losses.unknown("", &fields, &KNOWN);
    let model = faults.model(&fields);
    let stream = options::stream(&fields, &mut faults);
    faults.into_result()?;
    let original = Some(Original::new(Form::OllamaGenerate, fields));
    Ok(Request { model, stream, task, losses, original, ..Request::default() })
}

fn chat(prompt: String, fields: &Object, faults: &mut Faults, losses: &mut Losses) -> Task {
    let mut messages = Vec::new();
    let system = options::text("system", fields, faults);
    let images = messages::images("", fields, faults, losses);
    if !prompt.is_empty() {
        if !system.is_empty() {
            messages.push(Message::text(Role::System, system));
        }
        let mut message = Message::text(Role::User, prompt);
        message.content.extend(images);
        messages.push(message);
    }
    Task::Chat(Chat {
        messages,
        sampling: options::sampling(fields, faults, losses),
        response_format: options::format(fields, faults),
        reasoning: options::think(fields, faults),
        ..Chat::default()
    })
}

/// A text as it is, in no template. Ollama refuses the rest in this mode, or passes it over.
fn completion(prompt: String, fields: &Object, faults: &mut Faults, losses: &mut Losses) -> Task {
    options::refuse(&["system", "images"], fields, losses);
    if options::format(fields, faults).is_some() {
        losses.refuse("format", "goes with `raw` at an Ollama only");
    }
    if options::think(fields, faults).is_some() {
        losses.ignore("think");
    }
    let sampling = options::sampling(fields, faults, losses);
    Task::Completion(Completion { prompt, suffix: None, sampling })
}
