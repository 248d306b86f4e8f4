//! The request that asks another model to go on with an answer: the client's own, with the text so
//! far as a trailing assistant message. Nothing else is added to the conversation.

use serde_json::value::{RawValue, to_raw_value};

use crate::chat::{Message, Reasoning, ResponseFormat, Role, ToolChoice};
use crate::fields::Object;
use crate::original::{Form, Original};
use crate::request::{Request, Task};

/// The fields of a client's body with which an answer can be gone on with. One that is not here may
/// shape the answer as a whole, as a grammar does.
const HARMLESS: [&str; 34] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "n",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "repeat_penalty",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "reasoning_effort",
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "cache_prompt",
    // Ollama's.
    "options",
    "keep_alive",
    "format",
    "think",
    "truncate",
];

/// Whether an answer to `request` can be gone on with from its text.
///
/// Not where there are several answers, where the text has a form of its own, where the model is
/// made to call a tool or to think, and where the conversation ends in an assistant's message
/// already.
#[must_use]
pub fn is_possible(request: &Request) -> bool {
    let Some(chat) = request.chat() else { return false };
    let last = chat.messages.last().map(|message| message.role);
    let is_free = matches!(chat.response_format, None | Some(ResponseFormat::Text))
        && matches!(chat.tool_choice, None | Some(ToolChoice::Auto | ToolChoice::None))
        && matches!(chat.reasoning, None | Some(Reasoning::Off));
    is_free
        && last.is_some_and(|role| role != Role::Assistant)
        && request.original.as_ref().is_none_or(is_harmless)
}

fn is_harmless(original: &Original) -> bool {
    let asks = |value: &RawValue| !matches!(value.get(), "null" | "false" | "{}" | "[]");
    let fields = original.fields.0.iter();
    let mut asked = fields.filter(|(_, value)| asks(value)).map(|(name, _)| name.as_str());
    original.choices() == 1 && asked.all(|name| HARMLESS.contains(&name))
}

/// The request to go on from `text`, of which `produced` tokens were used up. None where the limit
/// of the client leaves none, or its body cannot be added to.
#[must_use]
pub fn request(request: &Request, text: &str, produced: u64) -> Option<Request> {
    let chat = request.chat()?;
    let limit = match chat.sampling.max_tokens {
        None => None,
        Some(limit) => Some(left_of(limit, produced)?),
    };
    let original = match &request.original {
        None => None,
        Some(original) => Some(added_to(original, text, limit)?),
    };
    let mut chat = chat.clone();
    chat.messages.push(Message::text(Role::Assistant, text));
    chat.sampling.max_tokens = limit;
    Some(Request { task: Task::Chat(chat), stream: true, original, ..request.clone() })
}

fn left_of(limit: u32, produced: u64) -> Option<u32> {
    limit.checked_sub(u32::try_from(produced).ok()?).filter(|left| *left > 0)
}

/// The client's own body with one more message, and a lower limit where it has one.
fn added_to(original: &Original, text: &str, limit: Option<u32>) -> Option<Original> {
    let mut added = original.clone();
    let message = serde_json::json!({ "role": "assistant", "content": text });
    for (name, value) in &mut added.fields.0 {
        let new = match (name.as_str(), limit) {
            ("messages", _) => {
                let messages = value.get().trim_end().strip_suffix(']')?;
                RawValue::from_string(format!("{messages},{message}]")).ok()
            }
            ("max_tokens" | "max_completion_tokens", Some(limit)) => lowered(value, limit),
            ("options", Some(limit)) if original.form() == Form::OllamaChat => {
                let options: Object = serde_json::from_str(value.get()).ok()?;
                options_with(&options, limit)
            }
            _ => continue,
        };
        *value = new?;
    }
    Some(added)
}

/// A limit that is none stays so.
fn lowered(value: &RawValue, limit: u32) -> Option<Box<RawValue>> {
    if value.get().starts_with(|first: char| first.is_ascii_digit()) {
        return to_raw_value(&limit).ok();
    }
    Some(value.to_owned())
}

/// Ollama's options, all as they are but for the limit.
fn options_with(options: &Object, limit: u32) -> Option<Box<RawValue>> {
    let mut fields = Vec::with_capacity(options.0.len());
    for (name, value) in &options.0 {
        let value = if name == "num_predict" { &*lowered(value, limit)? } else { &**value };
        fields.push(format!("{}:{}", serde_json::to_string(name).ok()?, value.get()));
    }
    RawValue::from_string(format!("{{{}}}", fields.join(","))).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{Wire, ollama, openai};

    fn asked(body: &Value) -> Request {
        openai::decode_request(body.to_string().as_bytes()).unwrap()
    }

    fn with(more: &Value) -> Request {
        let mut body = json!({ "messages": [{ "role": "user", "content": "hi" }] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        asked(&body)
    }

    #[test]
    fn an_answer_with_a_form_of_its_own_is_not_gone_on_with() {
        let tool = json!({ "type": "function", "function": { "name": "f" } });
        for (more, possible) in [
            (json!({}), true),
            (json!({ "n": 1, "logprobs": false, "logit_bias": {}, "grammar": null }), true),
            (json!({ "tools": [tool], "tool_choice": "auto" }), true),
            (json!({ "response_format": { "type": "text" } }), true),
            (json!({ "reasoning_effort": "none" }), true),
            (json!({ "n": 2 }), false),
            (json!({ "logprobs": true }), false),
            (json!({ "grammar": "root ::= \"a\"" }), false),
            (json!({ "guided_json": { "type": "object" } }), false),
            (json!({ "structured_outputs": { "regex": "a" } }), false),
            (json!({ "response_format": { "type": "json_object" } }), false),
            (json!({ "tools": [tool], "tool_choice": "required" }), false),
            (json!({ "reasoning_effort": "low" }), false),
        ] {
            assert_eq!(is_possible(&with(&more)), possible, "{more}");
        }
        let prefilled = json!({ "messages": [
            { "role": "user", "content": "hi" }, { "role": "assistant", "content": "Oh" },
        ]});
        assert!(!is_possible(&asked(&prefilled)));
        let text = openai::decode_completion(br#"{"model":"m","prompt":"a"}"#).unwrap();
        assert!(!is_possible(&text));
    }

    #[test]
    fn the_text_so_far_is_one_more_message_and_the_limit_is_lower() {
        let request = with(&json!({ "max_tokens": 10, "max_completion_tokens": 9, "seed": 3 }));
        let body = |request: &Request| {
            let body = openai::encode_request(request, "up", true).unwrap().body;
            serde_json::from_slice::<Value>(&body).unwrap()
        };
        let more = super::request(&request, "so \"far\"", 4).unwrap();
        let mut due = body(&request);
        let said = json!({ "role": "assistant", "content": "so \"far\"" });
        due["messages"].as_array_mut().unwrap().push(said);
        due["max_tokens"] = json!(5);
        due["max_completion_tokens"] = json!(5);
        assert_eq!(body(&more), due);
        // The same in the words all dialects share.
        let body = ollama::encode_request(&more, "up").unwrap().body;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["messages"][1]["content"], "so \"far\"");
        assert_eq!(body["options"]["num_predict"], 5);
        assert!(super::request(&request, "a", 9).is_none(), "nothing is left of the limit");
        assert!(super::request(&request, "a", u64::MAX).is_none());
    }

    #[test]
    fn ollamas_own_body_keeps_its_options() {
        let body = json!({
            "model": "m", "messages": [{ "role": "user", "content": "hi" }],
            "options": { "mirostat": 1, "num_predict": 8 }, "keep_alive": "5m",
        });
        let request = ollama::client::decode_chat(body.to_string().as_bytes()).unwrap();
        assert!(is_possible(&request) && crate::fit::relays(&request, Wire::Ollama));
        let more = super::request(&request, "a", 3).unwrap();
        let body = ollama::encode_request(&more, "up").unwrap().body;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["options"], json!({ "mirostat": 1, "num_predict": 5 }));
        assert_eq!(body["keep_alive"], "5m");
        assert_eq!(body["messages"][1], json!({ "role": "assistant", "content": "a" }));
        let unlimited = json!({
            "model": "m", "messages": [{ "role": "user", "content": "hi" }],
            "options": { "num_predict": -1 },
        });
        let request = ollama::client::decode_chat(unlimited.to_string().as_bytes()).unwrap();
        let more = super::request(&request, "a", 3).unwrap();
        let body = ollama::encode_request(&more, "up").unwrap().body;
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["options"]["num_predict"], -1);
    }
}
