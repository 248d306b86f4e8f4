//! An answer put together from its pieces, for clients that want it whole.

use crate::chat::ToolCall;
use crate::event::{Event, ToolCallDelta};

/// The pieces of one answer, joined.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub content: String,
    pub reasoning: String,
    /// In the order in which the calls began.
    calls: Vec<(u32, ToolCall)>,
}

impl Collected {
    /// Takes a piece; what is no piece of the answer is passed over.
    pub fn add(&mut self, event: Event) {
        match event {
            Event::Text(text) => join(&mut self.content, text),
            Event::Reasoning(text) => join(&mut self.reasoning, text),
            Event::ToolCall(delta) => self.add_call(delta),
            Event::Finish(_)
            | Event::Usage(_)
            | Event::Timings(_)
            | Event::Embeddings(_)
            | Event::Error(_)
            | Event::Done => {}
        }
    }

    fn add_call(&mut self, delta: ToolCallDelta) {
        let ToolCallDelta { index, id, name, arguments } = delta;
        // Fragments of one call follow each other, so the search is short.
        match self.calls.iter_mut().rfind(|(known, _)| *known == index) {
            None => {
                let (id, name) = (id.unwrap_or_default(), name.unwrap_or_default());
                self.calls.push((index, ToolCall { id, name, arguments }));
            }
            Some((_, call)) => {
                // Some servers repeat these on every fragment.
                keep_first(&mut call.id, id);
                keep_first(&mut call.name, name);
                join(&mut call.arguments, arguments);
            }
        }
    }

    pub fn calls(&self) -> impl ExactSizeIterator<Item = &ToolCall> {
        self.calls.iter().map(|(_, call)| call)
    }

    /// Bytes of memory the pieces hold.
    pub fn bytes(&self) -> usize {
        let of_call = |call: &ToolCall| {
            size_of::<(u32, ToolCall)>() + call.id.len() + call.name.len() + call.arguments.len()
        };
        self.content.len() + self.reasoning.len() + self.calls().map(of_call).sum::<usize>()
    }
}

fn keep_first(known: &mut String, repeated: Option<String>) {
    if known.is_empty() {
        *known = repeated.unwrap_or_default();
    }
}

/// Appends; the first piece is moved, not copied.
fn join(whole: &mut String, piece: String) {
    if whole.is_empty() {
        *whole = piece;
    } else {
        whole.push_str(&piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(index: u32, id: Option<&str>, name: Option<&str>, arguments: &str) -> Event {
        let (id, name) = (id.map(str::to_owned), name.map(str::to_owned));
        Event::ToolCall(ToolCallDelta { index, id, name, arguments: arguments.to_owned() })
    }

    #[test]
    fn fragments_of_interleaved_calls_find_their_own() {
        let mut collected = Collected::default();
        collected.add(call(0, Some("a"), Some("f"), "{\"x\""));
        collected.add(call(1, Some("b"), Some("g"), "{"));
        collected.add(call(0, None, None, ":1}"));
        collected.add(call(1, Some("b"), Some("g"), "}"));
        let calls: Vec<_> = collected
            .calls()
            .map(|call| (call.id.as_str(), call.name.as_str(), call.arguments.as_str()))
            .collect();
        assert_eq!(calls, [("a", "f", "{\"x\":1}"), ("b", "g", "{}")]);
    }

    #[test]
    fn what_is_held_is_counted() {
        let mut collected = Collected::default();
        collected.add(Event::Text("four".to_owned()));
        collected.add(Event::Reasoning("two".to_owned()));
        assert_eq!(collected.bytes(), 7);
        collected.add(call(0, Some("a"), None, "{}"));
        assert!(collected.bytes() >= 10);
    }
}
