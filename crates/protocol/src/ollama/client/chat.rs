//! The body of `POST /api/chat`, checked field by field.
//!
//! Fields the gateway has no word for are no fault: they stay in the [`Original`] and reach an
//! upstream that is an Ollama. For others they are named in the [`Losses`].

use super::{messages, options};
use crate::chat::Chat;
use crate::error::Failure;
use crate::fields::{Faults, decode_body};
use crate::fit::Losses;
use crate::lookalikes;
use crate::openai::tools;
use crate::original::{Form, Original};
use crate::request::{Request, Task};
use crate::wishes::Wish;

/// What not every upstream can be told, and has one place here.
pub(super) const NAMES: [(Wish, &str); 3] =
    [(Wish::Tools, "tools"), (Wish::Format, "format"), (Wish::Reasoning, "think")];

/// What is understood, or judged by itself.
const KNOWN: [&str; 10] = [
    "model",
    "messages",
    "stream",
    "tools",
    "format",
    "options",
    "think",
    "keep_alive",
    "logprobs",
    "top_logprobs",
];
/// What makes the answer another one.
const ESSENTIAL: [&str; 3] = ["logprobs", "top_logprobs", "_debug_render_only"];

/// Reads and checks the body. No messages ask for the model to be loaded.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) with every fault there is.
pub fn decode_chat(body: &[u8]) -> Result<Request, Failure> {
    let mut faults = Faults::default();
    let fields = decode_body(body, &mut faults)?;
    lookalikes::refuse(&fields, &KNOWN, &mut faults);
    let mut losses = Losses::named_by(&NAMES);
    let messages = messages::decode(&fields, &mut faults, &mut losses);
    let loads = messages.is_empty();
    let chat = Chat {
        messages,
        sampling: options::sampling(&fields, &mut faults, &mut losses),
        tools: tools::decode(&fields, &mut faults, &mut losses),
        response_format: options::format(&fields, &mut faults),
        reasoning: options::think(&fields, &mut faults),
        ..Chat::default()
    };
    options::refuse(&ESSENTIAL, &fields, &mut losses);
    options::keep_alive(&fields, loads, &mut losses);
    losses.unknown("", &fields, &KNOWN);
    let model = faults.model(&fields);
    let stream = options::stream(&fields, &mut faults);
    faults.into_result()?;
    let original = Some(Original::new(Form::OllamaChat, fields));
    Ok(Request { model, stream, task: Task::Chat(chat), losses, original, ..Request::default() })
}

/// Whether nothing is asked but that the model be loaded: a chat without messages, or no prompt.
#[must_use]
pub fn only_loads(request: &Request) -> bool {
    let own = request
        .original
        .as_ref()
        .is_some_and(|original| matches!(original.form(), Form::OllamaChat | Form::OllamaGenerate));
    own && match &request.task {
        Task::Chat(chat) => chat.messages.is_empty(),
        Task::Completion(completion) => completion.prompt.is_empty(),
        Task::Embedding(_) => false,
    }
}
