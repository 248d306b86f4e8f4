//! A client's body, checked field by field.
//!
//! Fields the gateway has no word for are no fault: they stay in the [`Original`] and reach an
//! upstream of the same dialect. What cannot be said to an upstream of another dialect is noted
//! there as well, so that it is refused and not silently dropped.

use std::fmt;

use serde_json::value::RawValue;

use super::messages;
use crate::error::{Failure, FieldFault};
use crate::fields::{Faults, Object, decode_body, join};
use crate::request::{ChatRequest, Sampling};

/// The body as the client sent it: its fields in order, their values untouched.
#[derive(Clone)]
pub struct Original {
    pub(super) fields: Object,
    untranslatable: Vec<FieldFault>,
    choices: u32,
}

impl Original {
    /// How many answers are asked for (`n`).
    #[must_use]
    pub fn choices(&self) -> u32 {
        self.choices
    }

    /// The parts of the request that only an upstream of OpenAI's dialect understands.
    #[must_use]
    pub fn untranslatable(&self) -> &[FieldFault] {
        &self.untranslatable
    }
}

impl fmt::Debug for Original {
    /// Names only: values are the client's content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.fields.names()).finish()
    }
}

/// Reads and checks the body of `POST /v1/chat/completions`.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) with every fault there is.
pub fn decode_request(body: &[u8]) -> Result<ChatRequest, Failure> {
    let mut faults = Faults::default();
    let fields = decode_body(body, &mut faults)?;
    let mut untranslatable = Faults::default();
    lookalikes(&fields, &mut faults);
    let request = ChatRequest {
        model: fields.get("model").and_then(|value| model(value, &mut faults)),
        messages: messages::decode(&fields, &mut faults, &mut untranslatable),
        stream: fields
            .get("stream")
            .and_then(|value| faults.boolean("stream", value))
            .unwrap_or_default(),
        include_usage: include_usage(&fields, &mut faults),
        sampling: sampling(&fields, &mut faults),
        tools: tools(&fields, &mut faults),
        tool_choice: word_or_object("tool_choice", &fields, &mut faults),
        response_format: response_format(&fields, &mut faults),
        original: None,
    };
    let n = fields.get("n").and_then(|value| faults.integer("n", value, 1..=128));
    let choices = n.unwrap_or(1);
    if choices > 1 {
        untranslatable.add("n", "more than one choice is only for upstreams of OpenAI's dialect");
    }
    faults.into_result()?;
    let original = Original { fields, untranslatable: untranslatable.into_vec(), choices };
    Ok(ChatRequest { original: Some(original), ..request })
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
    let presence_penalty = number("presence_penalty", -2.0..=2.0);
    let frequency_penalty = number("frequency_penalty", -2.0..=2.0);
    // The newer name wins; both are checked.
    let older = max_tokens("max_tokens", fields, faults);
    let newer = max_tokens("max_completion_tokens", fields, faults);
    Sampling {
        temperature,
        top_p,
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

fn stop(fields: &Object, faults: &mut Faults) -> Vec<String> {
    let Some(value) = fields.get("stop") else { return Vec::new() };
    if value.get().starts_with('"') {
        return faults.string("stop", value).into_iter().collect();
    }
    faults.read("stop", value, "a string or a list of strings").unwrap_or_default()
}

fn tools(fields: &Object, faults: &mut Faults) -> Option<Box<RawValue>> {
    let value = fields.get("tools")?;
    let tools = faults.objects("tools", value);
    for (path, tool) in &tools {
        faults.required_string(path, tool, "type");
    }
    (!tools.is_empty()).then(|| value.to_owned())
}

fn word_or_object(name: &str, fields: &Object, faults: &mut Faults) -> Option<Box<RawValue>> {
    let value = fields.get(name)?;
    if !value.get().starts_with(['"', '{']) {
        faults.add(name, "must be a string or an object");
    }
    Some(value.to_owned())
}

fn response_format(fields: &Object, faults: &mut Faults) -> Option<Box<RawValue>> {
    let value = fields.get("response_format")?;
    let format: Object = faults.read("response_format", value, "an object")?;
    faults.required_string("response_format", &format, "type");
    Some(value.to_owned())
}
