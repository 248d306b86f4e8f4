//! The items of a client's body: what was said so far, and what is new.

use serde::Serialize;
use serde_json::value::RawValue;

use super::conversation::Conversation;
use super::item::{Identified, Item};
use crate::chat::{Message, Role, ToolCall};
use crate::fields::{Faults, Object, join};
use crate::fit::Losses;
use crate::ids::StreamId;

const INPUT: &str = "a string or a list of items";
const KINDS: &str = "must be one of \"message\", \"function_call\", \"function_call_output\", \
                     \"reasoning\", \"item_reference\": others need tools that are not here";
const ROLES: &str = "one of \"user\", \"assistant\", \"system\", \"developer\"";

/// The conversation so far, and all of its items.
pub(super) struct Read {
    pub messages: Vec<Message>,
    pub items: Vec<Item>,
}

/// Reads `input` behind the items of an earlier conversation.
pub(super) fn read(
    id: StreamId,
    before: Vec<Item>,
    fields: &Object,
    faults: &mut Faults,
    losses: &mut Losses,
) -> Read {
    let mut conversation = Conversation::default();
    recall(&before, &mut conversation, losses);
    let mut reader = Reader { id, faults, losses, conversation, items: before };
    reader.input(fields);
    Read { messages: reader.conversation.into_messages(), items: reader.items }
}

/// Reads items that were read before: what there was to say of them has been said, but for what
/// their upstream was told and this one may not be.
fn recall(before: &[Item], conversation: &mut Conversation, asked: &mut Losses) {
    let (mut faults, mut losses) = (Faults::default(), Losses::default());
    let mut reader = Reader {
        id: StreamId::new(0, 0),
        faults: &mut faults,
        losses: &mut losses,
        conversation: std::mem::take(conversation),
        items: Vec::new(),
    };
    for item in before {
        if let Ok(object) = serde_json::from_str::<Object>(item.json().get()) {
            reader.item("", &object);
        }
    }
    reader.conversation.forget_thoughts();
    *conversation = reader.conversation;
    asked.note_within(&losses, "previous_response_id");
}

pub(super) struct Reader<'a> {
    id: StreamId,
    pub(super) faults: &'a mut Faults,
    pub(super) losses: &'a mut Losses,
    conversation: Conversation,
    /// All items, those of the earlier conversation first.
    items: Vec<Item>,
}

impl Reader<'_> {
    fn input(&mut self, fields: &Object) {
        let Some(value) = self.faults.required("", fields, "input", INPUT) else { return };
        if !value.get().starts_with('[') {
            if let Some(text) = self.faults.read::<String>("input", value, INPUT) {
                let message = Message::text(Role::User, text);
                self.keep_plain(None, &message);
                self.conversation.message(message);
            }
            return;
        }
        self.faults.not_empty("input", value, "item");
        for (path, item) in self.faults.objects("input", value) {
            self.item(&path, &item);
        }
        if self.conversation.is_empty() && !self.items.is_empty() {
            let message = "must hold a message, a call or a result: reasoning alone asks nothing";
            self.faults.add("input", message);
        } else if self.conversation.has_loose_thoughts() {
            self.losses.ignore("input[] (reasoning at the end)");
        }
    }

    fn item(&mut self, path: &str, item: &Object) {
        let kind = match item.get("type") {
            Some(value) => self.faults.string(&join(path, "type"), value),
            // The short form of a message.
            None => item.get("role").map(|_| "message".to_owned()),
        };
        match kind.as_deref() {
            Some("message") => self.message(path, item),
            Some("function_call") => self.call(path, item),
            Some("function_call_output") => self.call_output(path, item),
            Some("reasoning") => self.reasoning(path, item),
            Some("item_reference") => self.reference(path, item),
            Some(_) => self.losses.refuse(join(path, "type"), KINDS),
            None if item.get("type").is_none() => self.faults.add(join(path, "type"), KINDS),
            None => {}
        }
    }

    fn message(&mut self, path: &str, item: &Object) {
        self.losses.unknown(path, item, &["type", "id", "status", "role", "content"]);
        let role = self.faults.required(path, item, "role", ROLES);
        let field = join(path, "role");
        let role = role.and_then(|value| self.faults.read::<Role>(&field, value, ROLES));
        if role == Some(Role::Tool) {
            self.faults.add(field, format!("must be {ROLES}"));
        }
        let content = self.faults.required(path, item, "content", "a string or a list of parts");
        let (Some(role), Some(content)) = (role, content) else { return };
        let mut message = Message { role, ..Message::default() };
        if self.content(path, content, &mut message) {
            self.keep_plain(item.get("id"), &message);
        } else {
            self.keep("msg", "message", item);
        }
        self.drop_loose_thoughts(role, path);
        self.conversation.message(message);
    }

    fn drop_loose_thoughts(&mut self, role: Role, path: &str) {
        if role != Role::Assistant && self.conversation.has_loose_thoughts() {
            self.losses.ignore(format!("{path} (reasoning before it)"));
            self.conversation.forget_thoughts();
        }
    }

    fn call(&mut self, path: &str, item: &Object) {
        self.losses.unknown(path, item, &["type", "id", "status", "call_id", "name", "arguments"]);
        let id = self.faults.required_string(path, item, "call_id");
        let name = self.faults.required_string(path, item, "name");
        let arguments = self.faults.required_string(path, item, "arguments");
        if let (Some(id), Some(name), Some(arguments)) = (id, name, arguments) {
            self.keep("fc", "function_call", item);
            let call = ToolCall { id, name, arguments };
            self.losses.note_call(&call, &join(path, "arguments"));
            self.conversation.call(call);
        }
    }

    fn call_output(&mut self, path: &str, item: &Object) {
        self.losses.unknown(path, item, &["type", "id", "status", "call_id", "output"]);
        let id = self.faults.required_string(path, item, "call_id");
        let output = self.faults.required(path, item, "output", "a string or a list of parts");
        let (Some(id), Some(output)) = (id, output) else { return };
        let result = self.result(path, output);
        if !self.conversation.knows_call(&id) {
            let message = "no function_call before it has this call_id";
            self.faults.add(join(path, "call_id"), message);
        }
        self.keep("fco", "function_call_output", item);
        self.drop_loose_thoughts(Role::Tool, path);
        self.conversation.result(id, &result);
    }

    /// The model's own words go before a summary of them.
    fn reasoning(&mut self, path: &str, item: &Object) {
        self.losses.unknown(path, item, &["type", "id", "status", "summary", "content"]);
        let content = self.thoughts(path, item, "content");
        let summary = self.thoughts(path, item, "summary");
        self.keep("rs", "reasoning", item);
        self.conversation.thought(if content.is_empty() { summary } else { content });
    }

    fn thoughts(&mut self, path: &str, item: &Object, name: &str) -> String {
        let Some(value) = item.get(name) else { return String::new() };
        let parts = self.faults.objects(&join(path, name), value);
        let texts =
            parts.iter().filter_map(|(path, part)| self.faults.required_string(path, part, "text"));
        texts.collect::<Vec<_>>().join("\n\n")
    }

    /// What is referred to is part of the earlier conversation, or not known here.
    fn reference(&mut self, path: &str, item: &Object) {
        let Some(id) = self.faults.required_string(path, item, "id") else { return };
        if !self.items.iter().any(|known| known.id() == id) {
            let message = "no item of the conversation of previous_response_id has this id; \
                           send the item itself";
            self.faults.add(join(path, "id"), message);
        }
    }

    /// Keeps an item as it came, under its id or a new one.
    fn keep(&mut self, prefix: &str, kind: &str, item: &Object) {
        let id = self.id_of(prefix, item.get("id"));
        self.items.extend(Item::new(&id, &Identified { id: &id, kind, fields: item }));
    }

    /// Keeps a message of one text in the long form.
    fn keep_plain(&mut self, id: Option<&RawValue>, message: &Message) {
        let id = self.id_of("msg", id);
        let text = message.joined_text();
        let said = message.role == Role::Assistant;
        let part = PlainPart { r#type: if said { "output_text" } else { "input_text" }, text };
        let plain = PlainMessage {
            id: &id,
            r#type: "message",
            status: "completed",
            role: message.role,
            content: [part],
        };
        self.items.extend(Item::new(&id, &plain));
    }

    fn id_of(&self, prefix: &str, given: Option<&RawValue>) -> String {
        let given = given.and_then(|id| serde_json::from_str::<String>(id.get()).ok());
        let given = given.filter(|id| !id.is_empty());
        given.unwrap_or_else(|| format!("{prefix}_{}_in{}", self.id, self.items.len()))
    }
}

#[derive(Serialize)]
struct PlainMessage<'a> {
    id: &'a str,
    r#type: &'static str,
    status: &'static str,
    role: Role,
    content: [PlainPart; 1],
}

#[derive(Serialize)]
struct PlainPart {
    r#type: &'static str,
    text: String,
}
