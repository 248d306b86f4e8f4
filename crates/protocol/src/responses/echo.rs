//! What of a request its response repeats.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::fields::{Faults, Object, join};

/// OpenAI's own limits.
const MAX_PAIRS: usize = 16;
const MAX_KEY_CHARS: usize = 64;
const MAX_VALUE_CHARS: usize = 512;
const METADATA: &str = "an object of strings";

/// What of a request its response repeats: as it came, or what holds where nothing was said. What
/// only the upstream decides stays `null`.
#[derive(Debug, Clone, Serialize)]
pub struct Echo {
    /// Told among the first fields.
    #[serde(skip)]
    background: bool,
    instructions: Option<Box<RawValue>>,
    max_output_tokens: Option<Box<RawValue>>,
    metadata: Or<Nothing>,
    parallel_tool_calls: bool,
    pub(super) previous_response_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_cache_key: Option<Box<RawValue>>,
    reasoning: Or<NoReasoning>,
    #[serde(skip_serializing_if = "Option::is_none")]
    safety_identifier: Option<Box<RawValue>>,
    store: bool,
    temperature: Option<Box<RawValue>>,
    text: Or<PlainText>,
    tool_choice: Or<&'static str>,
    tools: Or<[(); 0]>,
    top_p: Option<Box<RawValue>>,
    truncation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Box<RawValue>>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum Or<T> {
    Given(Box<RawValue>),
    Default(T),
}

#[derive(Debug, Clone, Serialize)]
struct Nothing {}

#[derive(Debug, Clone, Serialize)]
struct NoReasoning {
    effort: Option<()>,
    summary: Option<()>,
}

#[derive(Debug, Clone, Serialize)]
struct PlainText {
    format: TextFormat,
}

#[derive(Debug, Clone, Serialize)]
struct TextFormat {
    r#type: &'static str,
}

impl Echo {
    /// Whether the response is to be kept.
    #[must_use]
    pub fn store(&self) -> bool {
        self.store
    }

    /// Whether it is generated without its client.
    #[must_use]
    pub fn background(&self) -> bool {
        self.background
    }

    /// Of fields that are checked elsewhere; the metadata are checked here.
    pub(super) fn of(fields: &Object, faults: &mut Faults) -> Self {
        let given = |name: &str| fields.get(name).map(ToOwned::to_owned);
        check_metadata(fields, faults);
        let previous = fields.get("previous_response_id");
        let background = fields.get("background");
        Self {
            background: background
                .and_then(|value| faults.boolean("background", value))
                .unwrap_or_default(),
            instructions: given("instructions"),
            max_output_tokens: given("max_output_tokens"),
            metadata: or(given("metadata"), Nothing {}),
            // OpenAI's default: the dialect has no word for "not said".
            parallel_tool_calls: fields
                .get("parallel_tool_calls")
                .is_none_or(|value| value.get() != "false"),
            previous_response_id: previous
                .and_then(|value| faults.string("previous_response_id", value)),
            prompt_cache_key: given("prompt_cache_key"),
            reasoning: or(given("reasoning"), NoReasoning { effort: None, summary: None }),
            safety_identifier: given("safety_identifier"),
            store: fields
                .get("store")
                .and_then(|value| faults.boolean("store", value))
                .unwrap_or(true),
            temperature: given("temperature"),
            text: or(given("text"), PlainText { format: TextFormat { r#type: "text" } }),
            tool_choice: or(given("tool_choice"), "auto"),
            tools: or(given("tools"), []),
            top_p: given("top_p"),
            truncation: "disabled",
            user: given("user"),
        }
    }
}

fn or<T>(given: Option<Box<RawValue>>, default: T) -> Or<T> {
    given.map_or(Or::Default(default), Or::Given)
}

fn check_metadata(fields: &Object, faults: &mut Faults) {
    let Some(value) = fields.get("metadata") else { return };
    let Some(pairs) = faults.read::<BTreeMap<String, String>>("metadata", value, METADATA) else {
        return;
    };
    if pairs.len() > MAX_PAIRS {
        faults.add("metadata", format!("must hold at most {MAX_PAIRS} pairs"));
    }
    for (key, value) in &pairs {
        if key.chars().count() > MAX_KEY_CHARS {
            let message = format!("must be a key of at most {MAX_KEY_CHARS} characters");
            faults.add(join("metadata", key), message);
        } else if value.chars().count() > MAX_VALUE_CHARS {
            let message = format!("must be at most {MAX_VALUE_CHARS} characters");
            faults.add(join("metadata", key), message);
        }
    }
}
