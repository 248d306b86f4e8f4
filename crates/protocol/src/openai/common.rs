//! What the bodies of chats, completions and embeddings have in common.

use serde_json::value::RawValue;

use crate::chat::Sampling;
use crate::fields::{Faults, Object};
use crate::fit::Losses;

/// Why a field is refused for upstreams of another dialect.
pub(super) const ONLY_HERE: &str = "is only for upstreams of OpenAI's dialect";

/// How many answers are asked for.
pub(super) fn choices(fields: &Object, faults: &mut Faults) -> u32 {
    let n = fields.get("n").and_then(|value| faults.integer("n", value, 1..=128));
    n.unwrap_or(1)
}

/// Other dialects have one answer to a request.
pub(super) fn several(field: &str, count: u32, losses: &mut Losses) {
    if count > 1 {
        losses.refuse(field, "more than one choice is only for upstreams of OpenAI's dialect");
    }
}

/// The texts of a request, or what stands for them.
pub(super) enum Texts {
    Plain(Vec<String>),
    /// So many texts, each as the numbers of its tokens.
    Tokens(usize),
}

impl Texts {
    pub const ALLOWED: &str =
        "a string, a list of strings, a list of tokens, or a list of lists of tokens";
    /// Why tokens are refused for upstreams of another dialect.
    pub const TOKENS: &str = "tokens in place of text are only for upstreams of OpenAI's dialect";

    pub fn read(field: &str, value: &RawValue, faults: &mut Faults) -> Option<Self> {
        if value.get().starts_with('"') {
            return faults.string(field, value).map(|text| Self::Plain(vec![text]));
        }
        let json = value.get();
        let texts = serde_json::from_str(json).map(Self::Plain);
        let tokens = |_| serde_json::from_str::<Vec<u32>>(json).map(|_| Self::Tokens(1));
        let lists =
            |_| serde_json::from_str::<Vec<Vec<u32>>>(json).map(|lists| Self::Tokens(lists.len()));
        let read = texts.or_else(tokens).or_else(lists);
        // An empty list is one of texts.
        let read = read.ok().filter(|texts| texts.count() > 0);
        if read.is_none() {
            faults.add(field, format!("must be {}, with something in it", Self::ALLOWED));
        }
        read
    }

    pub fn count(&self) -> u32 {
        let count = match self {
            Self::Plain(texts) => texts.len(),
            Self::Tokens(count) => *count,
        };
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

pub(super) fn include_usage(fields: &Object, faults: &mut Faults) -> bool {
    let Some(value) = fields.get("stream_options") else { return false };
    let Some(options) = faults.read::<Object>("stream_options", value, "an object") else {
        return false;
    };
    let value = options.get("include_usage");
    value.and_then(|value| faults.boolean("stream_options.include_usage", value)).unwrap_or(false)
}

/// `least` is how many tokens must be asked for.
pub(super) fn sampling(least: u32, fields: &Object, faults: &mut Faults) -> Sampling {
    let mut number =
        |name: &str, range| fields.get(name).and_then(|value| faults.number(name, value, range));
    let temperature = number("temperature", 0.0..=2.0);
    let top_p = number("top_p", 0.0..=1.0);
    let min_p = number("min_p", 0.0..=1.0);
    let presence_penalty = number("presence_penalty", -2.0..=2.0);
    let frequency_penalty = number("frequency_penalty", -2.0..=2.0);
    // The newer name wins; both are checked.
    let older = max_tokens("max_tokens", least, fields, faults);
    let newer = max_tokens("max_completion_tokens", least, fields, faults);
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
fn max_tokens(name: &str, least: u32, fields: &Object, faults: &mut Faults) -> Option<u32> {
    let value = fields.get(name)?;
    if value.get() == "-1" {
        return None;
    }
    faults.integer(name, value, least..=u32::MAX)
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
