//! What a relayed frame of a chat says to its client, for a gateway that may have to repeat it.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::{Event, ToolCallDelta};
use crate::fields::Object;

#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u32,
    delta: Option<Object>,
}

/// Appends the pieces of the answer in a frame; `false` where it says more than there are words for.
pub(super) fn pieces(json: &str, events: &mut Vec<Event>) -> bool {
    let Ok(chunk) = serde_json::from_str::<Chunk>(json) else { return false };
    chunk
        .choices
        .into_iter()
        .flatten()
        .all(|choice| choice.index == 0 && choice.delta.is_none_or(|delta| told(&delta, events)))
}

fn told(delta: &Object, events: &mut Vec<Event>) -> bool {
    let mut all = true;
    for (name, value) in &delta.0 {
        if name == "role" || says_nothing(value) {
            continue;
        }
        let piece = match name.as_str() {
            "content" => serde_json::from_str(value.get()).ok().map(Event::Text),
            "reasoning_content" | "reasoning" => Some(Event::Reasoning(String::new())),
            "tool_calls" => Some(Event::ToolCall(ToolCallDelta::default())),
            _ => None,
        };
        all &= piece.is_some();
        events.extend(piece);
    }
    all
}

/// Also of Ollama's fields.
pub(crate) fn says_nothing(value: &RawValue) -> bool {
    matches!(value.get(), "null" | "\"\"" | "[]" | "{}" | "false")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(delta: &str) -> (bool, Vec<Event>) {
        let mut events = Vec::new();
        let json = format!(r#"{{"choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#);
        (pieces(&json, &mut events), events)
    }

    #[test]
    fn a_frame_says_its_pieces_or_is_not_understood() {
        let text = |text: &str| vec![Event::Text(text.to_owned())];
        let quiet = r#"{"role":"assistant","content":"","refusal":null,"tool_calls":[]}"#;
        assert_eq!(heard(quiet), (true, vec![]));
        assert_eq!(heard(r#"{"content":"a\"\u00e9"}"#), (true, text("a\"é")));
        assert_eq!(heard(r#"{"content":"a","refusal":"no"}"#), (false, text("a")));
        assert_eq!(heard(r#"{"content":["a"]}"#), (false, vec![]));
        assert!(matches!(heard(r#"{"reasoning":"a"}"#).1[..], [Event::Reasoning(_)]));
        assert!(matches!(heard(r#"{"tool_calls":[{"index":0}]}"#).1[..], [Event::ToolCall(_)]));
        let mut events = Vec::new();
        assert!(pieces(r#"{"choices":[],"usage":{}}"#, &mut events));
        assert!(!pieces(r#"{"choices":[{"index":1,"delta":{"content":"b"}}]}"#, &mut events));
        assert!(!pieces("[", &mut events));
        assert!(events.is_empty());
    }
}
