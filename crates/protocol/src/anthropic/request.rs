//! A client's body, checked field by field.
//!
//! No upstream is asked in this dialect, so every field that the gateway has no word for is named
//! in the [`Losses`], or refused where the answer would be another one without it.

use serde_json::value::RawValue;

use super::{messages, tools};
use crate::chat::{Chat, Reasoning, Sampling};
use crate::error::Failure;
use crate::fields::{Faults, Object, decode_body, join};
use crate::fit::Losses;
use crate::request::{Request, Task};
use crate::wishes::Wish;

/// Reads and checks the body of `POST /v1/messages`.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) with every fault there is.
pub fn decode_request(body: &[u8]) -> Result<Request, Failure> {
    decode(body, |reader| {
        let required = "a whole number: the most tokens to be generated";
        let value = reader.faults.required("", reader.fields, "max_tokens", required)?;
        reader.faults.integer("max_tokens", value, 1..=u32::MAX)
    })
}

/// Reads and checks the body of `POST /v1/messages/count_tokens`: the same, but that nothing is to
/// be generated.
///
/// # Errors
/// As [`decode_request`].
pub fn decode_count_request(body: &[u8]) -> Result<Request, Failure> {
    decode(body, |reader| {
        let value = reader.fields.get("max_tokens")?;
        reader.faults.integer("max_tokens", value, 1..=u32::MAX)
    })
}

fn decode(
    body: &[u8],
    max_tokens: impl FnOnce(&mut Reader<'_>) -> Option<u32>,
) -> Result<Request, Failure> {
    let mut faults = Faults::default();
    let mut losses = Losses::named_by(&NAMES);
    let fields = decode_body(body, &mut faults)?;
    let mut reader =
        Reader { fields: &fields, faults: &mut faults, losses: &mut losses, hints: false };
    let max_tokens = max_tokens(&mut reader);
    let chat = Chat {
        messages: messages::decode(&mut reader),
        sampling: Sampling { max_tokens, ..reader.sampling() },
        tools: tools::decode(&mut reader),
        tool_choice: tools::choice(&mut reader),
        parallel_tool_calls: tools::parallel(&mut reader),
        response_format: tools::output_format(&mut reader),
        reasoning: reader.reasoning(),
        user: reader.user(),
    };
    let model = reader.faults.model(reader.fields);
    let stream = reader.faults.optional_boolean("", reader.fields, "stream").unwrap_or_default();
    reader.leftovers();
    faults.into_result()?;
    Ok(Request { model, stream, task: Task::Chat(chat), losses, ..Request::default() })
}

/// A body being read.
pub(super) struct Reader<'a> {
    pub fields: &'a Object,
    pub faults: &'a mut Faults,
    pub losses: &'a mut Losses,
    /// Whether the client marked what to cache.
    pub hints: bool,
}

/// What not every upstream can be told, and has one place here.
const NAMES: [(Wish, &str); 5] = [
    (Wish::Tools, "tools"),
    (Wish::ForcedCall, "tool_choice.type"),
    (Wish::OneCallAtATime, "tool_choice.disable_parallel_tool_use"),
    (Wish::ReasoningBudget, "thinking.budget_tokens"),
    (Wish::User, "metadata.user_id"),
];

/// The fields that are understood.
const UNDERSTOOD: [&str; 15] = [
    "model",
    "messages",
    "system",
    "max_tokens",
    "stop_sequences",
    "temperature",
    "top_p",
    "top_k",
    "stream",
    "tools",
    "tool_choice",
    "thinking",
    "metadata",
    "output_config",
    "output_format",
];

/// What only Anthropic's own servers do, and why an answer without it would be another one.
const ESSENTIAL: [(&str, &str); 6] = [
    ("container", "there are no containers here: leave it out"),
    ("mcp_servers", "no MCP servers are asked from here: have the client ask them"),
    ("inference_geo", "the gateway cannot promise where an upstream works: leave it out"),
    ("compaction", "conversations are not summarised here: leave it out"),
    ("thread", "no conversations are kept here: send all messages"),
    ("fallbacks", "models are chosen by the gateway's configuration: leave it out"),
];

const THINKING: &str = "must be {\"type\": \"enabled\", \"budget_tokens\": N}, {\"type\": \"adaptive\"} or {\"type\": \"disabled\"}";

impl Reader<'_> {
    fn sampling(&mut self) -> Sampling {
        let Self { fields, faults, .. } = self;
        let mut number = |name: &str, range| {
            fields.get(name).and_then(|value| faults.number(name, value, range))
        };
        let temperature = number("temperature", 0.0..=1.0);
        let top_p = number("top_p", 0.0..=1.0);
        let top_k =
            fields.get("top_k").and_then(|value| faults.integer("top_k", value, 0..=u32::MAX));
        let stop = fields
            .get("stop_sequences")
            .and_then(|value| faults.read("stop_sequences", value, "a list of strings"));
        let stop = stop.unwrap_or_default();
        Sampling { temperature, top_p, top_k, stop, ..Sampling::default() }
    }

    /// What is said of an object within the body: unknown fields are noted, hints for a cache
    /// are passed over.
    pub fn note_unknown(&mut self, path: &str, object: &Object, known: &[&str]) {
        self.hints |= object.get("cache_control").is_some();
        let own = |name: &&str| !known.contains(name) && *name != "cache_control";
        for name in object.names().filter(own) {
            // `null`, `false` and an empty list ask for nothing.
            let asks = |value: &RawValue| !matches!(value.get(), "false" | "[]" | "{}");
            if object.get(name).is_some_and(asks) {
                self.losses.ignore(join(path, name));
            }
        }
    }

    /// An object by its name.
    pub fn object(&mut self, path: &str, parent: &Object, name: &str) -> Option<Object> {
        let value = parent.get(name)?;
        self.faults.read(&join(path, name), value, "an object")
    }

    fn reasoning(&mut self) -> Option<Reasoning> {
        let effort = self.effort();
        let wanted = self.thinking();
        if wanted.is_some() {
            self.losses.note(Wish::Reasoning, "thinking");
        }
        if effort.is_some() {
            self.losses.note(Wish::Reasoning, "output_config.effort");
        }
        match (wanted, effort) {
            (Some(wanted), Some(_)) if wanted == Reasoning::Off => {
                self.losses.ignore("output_config.effort");
                Some(wanted)
            }
            (wanted, Some(effort)) => {
                if wanted.is_some() {
                    self.losses.ignore("thinking.budget_tokens");
                }
                Some(Reasoning::Effort(effort))
            }
            (wanted, None) => wanted,
        }
    }

    /// None where the client leaves it to the model.
    fn thinking(&mut self) -> Option<Reasoning> {
        let thinking = self.object("", self.fields, "thinking")?;
        self.note_unknown("thinking", &thinking, &["type", "budget_tokens"]);
        match self.faults.required_string("thinking", &thinking, "type")?.as_str() {
            "disabled" => Some(Reasoning::Off),
            "adaptive" => None,
            "enabled" => {
                let allowed = "a whole number of tokens";
                let budget =
                    self.faults.required("thinking", &thinking, "budget_tokens", allowed)?;
                let budget = self.faults.integer("thinking.budget_tokens", budget, 1..=u32::MAX);
                budget.map(Reasoning::Budget)
            }
            _ => {
                self.losses.refuse("thinking.type", THINKING);
                None
            }
        }
    }

    /// The words are OpenAI's too.
    fn effort(&mut self) -> Option<String> {
        let config = self.object("", self.fields, "output_config")?;
        self.note_unknown("output_config", &config, &["effort", "format"]);
        self.faults.optional_string("output_config", &config, "effort")
    }

    fn user(&mut self) -> Option<String> {
        let metadata = self.object("", self.fields, "metadata")?;
        self.note_unknown("metadata", &metadata, &["user_id"]);
        self.faults.optional_string("metadata", &metadata, "user_id")
    }

    /// Notes what is left out.
    fn leftovers(&mut self) {
        let fields = self.fields;
        for (name, message) in ESSENTIAL {
            if fields.get(name).is_some_and(|value| !matches!(value.get(), "[]" | "{}")) {
                self.losses.refuse(name, message);
            }
        }
        let essential = ESSENTIAL.map(|(name, _)| name);
        let known: Vec<_> = UNDERSTOOD.into_iter().chain(essential).collect();
        self.note_unknown("", fields, &known);
        if self.hints {
            // It is about cost, not about the answer; once is enough.
            self.losses.ignore("cache_control");
        }
    }
}
