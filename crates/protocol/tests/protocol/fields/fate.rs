//! What becomes of one field.

use serde_json::Value;
use tidegate_protocol::{Encoded, Failure, Request, Wire, fit, ollama, openai};

use super::{Decode, json};

#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// The client's own body goes on.
    Relayed,
    /// Found in the upstream's body, at these places.
    Carried(Vec<String>),
    Refused,
    Ignored,
    Lost,
}

/// What becomes of that by which `with` differs from `base`.
pub fn fate(decode: Decode, base: &Value, with: &Value, wire: Wire) -> Fate {
    let read = |body: &Value| {
        decode(body.to_string().as_bytes()).unwrap_or_else(|failure| panic!("{failure}: {body}"))
    };
    let bodies = (base, with);
    let (base, with) = (read(base), read(with));
    let before = encode(&base, wire).unwrap_or_else(|failure| panic!("{failure}"));
    let after = match encode(&with, wire) {
        Err(failure) => {
            let named = failure.details.iter().map(|fault| fault.field.as_str());
            hold_to_own_names(bodies, named);
            return Fate::Refused;
        }
        Ok(after) => after,
    };
    let known = &before.ignored;
    let named = after.ignored.iter().filter(|name| !known.contains(name));
    hold_to_own_names(bodies, named.map(String::as_str));
    let places = json::differences(&parsed(&before), &parsed(&after));
    if places.is_empty() {
        let ignored = after.ignored.len() > before.ignored.len();
        return if ignored { Fate::Ignored } else { Fate::Lost };
    }
    if fit::relays(&with, wire) { Fate::Relayed } else { Fate::Carried(places) }
}

/// A client is told of its own fields: each name is a place in its body, and part of what was added.
fn hold_to_own_names<'a>((base, with): (&Value, &Value), names: impl Iterator<Item = &'a str>) {
    for name in names {
        // Hints for a cache are named once for all.
        if name == "cache_control" {
            continue;
        }
        let place = name.split(" (").next().unwrap_or_default();
        let found = json::at(with, place);
        assert!(found.is_some(), "{name} is no place in {with}");
        assert_ne!(found, json::at(base, place), "{name} was there before in {with}");
    }
}

fn encode(request: &Request, wire: Wire) -> Result<Encoded, Failure> {
    match wire {
        Wire::OpenAi => openai::encode_request(request, "upstream", true),
        Wire::Ollama => ollama::encode_request(request, "upstream"),
    }
}

fn parsed(encoded: &Encoded) -> Value {
    serde_json::from_slice(&encoded.body).unwrap()
}

impl Fate {
    /// As the table tells it.
    pub fn told(&self, field: &str) -> String {
        match self {
            Self::Relayed => "as it is".to_owned(),
            Self::Carried(places) if places.iter().any(|place| is_part_of(place, field)) => {
                "carried".to_owned()
            }
            Self::Carried(places) => {
                let places: Vec<_> = places.iter().map(|place| format!("`{place}`")).collect();
                format!("carried as {}", places.join(", "))
            }
            Self::Refused => "**400**".to_owned(),
            Self::Ignored => "ignored".to_owned(),
            Self::Lost => "the gateway's".to_owned(),
        }
    }
}

/// Whether a place in the upstream's body is the field's own, or within it, or around it.
fn is_part_of(place: &str, field: &str) -> bool {
    let names = field.split([',', ' ', ':']).filter(|name| !name.is_empty());
    let within = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    names.into_iter().any(|name| within(place, name) || within(name, place))
}
