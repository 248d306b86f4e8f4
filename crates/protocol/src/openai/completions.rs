//! A client's body for a completion, checked field by field.

use super::common::{ONLY_HERE, Texts, choices, include_usage, sampling, several};
use crate::error::Failure;
use crate::fields::{Faults, Object, decode_body};
use crate::fit::Losses;
use crate::lookalikes;
use crate::original::{Form, Original};
use crate::request::{Completion, Request, Task};
use crate::wishes::Wish;

/// The fields that decide what is asked of the upstream.
const DECISIVE: [&str; 7] =
    ["model", "prompt", "stream", "stream_options", "n", "best_of", "max_tokens"];

/// The other fields that are understood.
const UNDERSTOOD: [&str; 13] = [
    "suffix",
    "echo",
    "logprobs",
    "logit_bias",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "max_completion_tokens",
];

/// Reads and checks the body of `POST /v1/completions`.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) with every fault there is.
pub fn decode_completion(body: &[u8]) -> Result<Request, Failure> {
    let mut faults = Faults::default();
    let fields = decode_body(body, &mut faults)?;
    let mut losses = Losses::named_by(&[(Wish::EmptyPrompt, "prompt")]);
    lookalikes::refuse(&fields, &DECISIVE, &mut faults);
    let (prompt, prompts) = prompt(&fields, &mut faults, &mut losses);
    let completion = Completion {
        prompt,
        suffix: faults.optional_string("", &fields, "suffix"),
        // None, to have the prompt itself repeated and measured.
        sampling: sampling(0, &fields, &mut faults),
    };
    if completion.sampling.max_tokens == Some(0) {
        losses.refuse("max_tokens", "must not be 0 for this model's upstream");
    }
    let request = Request {
        model: faults.model(&fields),
        stream: faults.optional_boolean("", &fields, "stream").unwrap_or_default(),
        include_usage: include_usage(&fields, &mut faults),
        task: Task::Completion(completion),
        ..Request::default()
    };
    let n = choices(&fields, &mut faults);
    several("n", n, &mut losses);
    only_here(&fields, &mut faults, &mut losses);
    losses.unknown("", &fields, &[DECISIVE.as_slice(), &UNDERSTOOD].concat());
    faults.into_result()?;
    // Every prompt has as many answers.
    let choices = n.saturating_mul(prompts);
    let original = Original::new(Form::OpenAiCompletion, fields).with_choices(choices);
    Ok(Request { losses, original: Some(original), ..request })
}

/// What other dialects have no word for.
fn only_here(fields: &Object, faults: &mut Faults, losses: &mut Losses) {
    if faults.optional_boolean("", fields, "echo") == Some(true) {
        losses.refuse("echo", ONLY_HERE);
    }
    let best_of = fields.get("best_of").and_then(|value| faults.integer("best_of", value, 0..=128));
    several("best_of", best_of.unwrap_or(1), losses);
    for name in ["logprobs", "logit_bias"] {
        if fields.get(name).is_some_and(|value| !matches!(value.get(), "false" | "{}")) {
            losses.refuse(name, ONLY_HERE);
        }
    }
}

/// One text is what every dialect has a word for.
fn prompt(fields: &Object, faults: &mut Faults, losses: &mut Losses) -> (String, u32) {
    let value = faults.required("", fields, "prompt", Texts::ALLOWED);
    let texts = value.and_then(|value| Texts::read("prompt", value, faults));
    let Some(texts) = texts else { return (String::new(), 1) };
    let count = texts.count();
    match texts {
        Texts::Plain(mut texts) if count == 1 => (texts.pop().unwrap_or_default(), 1),
        Texts::Plain(_) => {
            losses.refuse("prompt", "several prompts are only for upstreams of OpenAI's dialect");
            (String::new(), count)
        }
        Texts::Tokens(_) => {
            losses.refuse("prompt", Texts::TOKENS);
            (String::new(), count)
        }
    }
}
