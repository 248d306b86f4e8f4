//! Items put together to messages: what an assistant thought, said and called in one turn are
//! several items here, and one message of a chat.

use std::collections::BTreeSet;

use crate::chat::{Message, Part, Role, ToolCall};

/// Between two thoughts that become one.
const THOUGHT_BREAK: &str = "\n\n";

/// The messages so far.
#[derive(Default)]
pub(super) struct Conversation {
    messages: Vec<Message>,
    /// What was thought before the next thing the assistant says or calls.
    thoughts: Vec<String>,
    /// The ids of the calls made so far.
    calls: BTreeSet<String>,
}

impl Conversation {
    pub fn message(&mut self, message: Message) {
        if message.role != Role::Assistant {
            self.messages.push(message);
            return;
        }
        // What is said between calls and their results stands beside the calls: a message between
        // the two would part them.
        if let Some(open) = self.open_calls() {
            for part in message.content {
                match part {
                    Part::Text(text) => open.push_text(&text),
                    part => open.content.push(part),
                }
            }
            return self.settle_thoughts();
        }
        self.messages.push(message);
        self.settle_thoughts();
    }

    pub fn thought(&mut self, text: String) {
        if !text.is_empty() {
            self.thoughts.push(text);
        }
    }

    pub fn call(&mut self, call: ToolCall) {
        self.calls.insert(call.id.clone());
        match self.messages.last_mut() {
            Some(last) if last.role == Role::Assistant => last.tool_calls.push(call),
            _ => {
                let calls = vec![call];
                let role = Role::Assistant;
                self.messages.push(Message { role, tool_calls: calls, ..Message::default() });
            }
        }
        self.settle_thoughts();
    }

    pub fn result(&mut self, call_id: String, text: &str) {
        let message = Message::text(Role::Tool, text);
        self.messages.push(Message { tool_call_id: Some(call_id), ..message });
    }

    pub fn knows_call(&self, id: &str) -> bool {
        self.calls.contains(id)
    }

    /// Whether there is nothing that an answer could come of.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether thoughts stand at the end, with nothing that came of them.
    pub fn has_loose_thoughts(&self) -> bool {
        !self.thoughts.is_empty()
    }

    /// Thoughts that nothing came of are left out.
    pub fn forget_thoughts(&mut self) {
        self.thoughts.clear();
    }

    pub fn into_messages(mut self) -> Vec<Message> {
        // They are held as long as the answer comes.
        self.messages.shrink_to_fit();
        self.messages
    }

    fn open_calls(&mut self) -> Option<&mut Message> {
        let last = self.messages.last_mut()?;
        (last.role == Role::Assistant && !last.tool_calls.is_empty()).then_some(last)
    }

    /// Gives what was thought to the message that came of it.
    fn settle_thoughts(&mut self) {
        if self.thoughts.is_empty() {
            return;
        }
        let thoughts = std::mem::take(&mut self.thoughts).join(THOUGHT_BREAK);
        let Some(message) = self.messages.last_mut() else { return };
        match message.content.first_mut() {
            Some(Part::Reasoning(before)) => {
                before.push_str(THOUGHT_BREAK);
                before.push_str(&thoughts);
            }
            _ => message.content.insert(0, Part::Reasoning(thoughts)),
        }
    }
}
