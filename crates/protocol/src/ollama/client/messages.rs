//! The messages of `/api/chat`, and images.

use serde_json::value::RawValue;

use crate::chat::{Message, Part, Role, ToolCall};
use crate::fields::{Faults, Object, join};
use crate::fit::Losses;

const ROLES: &str = "one of \"system\", \"user\", \"assistant\", \"tool\"";
const FUNCTION: &str = "an object: {\"name\": a string, \"arguments\": an object}";

/// What is understood of a message, whoever says it.
const OF_ASSISTANTS: [&str; 5] = ["role", "content", "images", "thinking", "tool_calls"];
const OF_TOOLS: [&str; 5] = ["role", "content", "images", "tool_name", "tool_call_id"];
const OF_OTHERS: [&str; 3] = ["role", "content", "images"];

pub(super) fn decode(fields: &Object, faults: &mut Faults, losses: &mut Losses) -> Vec<Message> {
    let Some(value) = fields.get("messages") else { return Vec::new() };
    let list = faults.objects("messages", value);
    let mut messages = Vec::with_capacity(list.len());
    let mut open = OpenCalls::default();
    for (path, object) in &list {
        messages.push(Reader { path, object, faults, losses, open: &mut open }.read());
    }
    messages
}

/// Calls that no message has answered yet, the oldest first: their names and ids.
#[derive(Default)]
struct OpenCalls {
    calls: Vec<(String, String)>,
    /// How many ids were made up.
    made_up: usize,
}

impl OpenCalls {
    fn add(&mut self, given: Option<String>, name: &str) -> String {
        let id = given.filter(|id| !id.is_empty()).unwrap_or_else(|| {
            self.made_up += 1;
            format!("call_made_up_{}", self.made_up)
        });
        self.calls.push((name.to_owned(), id.clone()));
        id
    }

    /// The call that a tool's message answers: by its id, by the tool's name, else the oldest.
    fn answer(&mut self, id: Option<String>, name: Option<&str>) -> Option<String> {
        let place = match (&id, name) {
            (Some(id), _) => self.calls.iter().position(|(_, known)| known == id),
            (None, Some(name)) => self.calls.iter().position(|(known, _)| known == name),
            (None, None) => (!self.calls.is_empty()).then_some(0),
        };
        let found = place.map(|place| self.calls.remove(place).1);
        id.or(found)
    }
}

struct Reader<'a> {
    path: &'a str,
    object: &'a Object,
    faults: &'a mut Faults,
    losses: &'a mut Losses,
    open: &'a mut OpenCalls,
}

impl Reader<'_> {
    fn read(mut self) -> Message {
        let role = self.role().unwrap_or_default();
        let mut message = Message { role, ..Message::default() };
        // Only an assistant calls tools, only a tool answers a call: of anybody else's message
        // such a field is one that means nothing.
        let known = match role {
            Role::Assistant => {
                let thinking = self.string("thinking").filter(|text| !text.is_empty());
                message.content.extend(thinking.map(Part::Reasoning));
                message.tool_calls = self.tool_calls();
                &OF_ASSISTANTS[..]
            }
            Role::Tool => {
                message.tool_call_id = self.answered();
                &OF_TOOLS
            }
            _ => &OF_OTHERS,
        };
        self.losses.unknown(self.path, self.object, known);
        message.push_text(&self.string("content").unwrap_or_default());
        message.content.extend(images(self.path, self.object, self.faults, self.losses));
        message
    }

    fn role(&mut self) -> Option<Role> {
        let value = self.faults.required(self.path, self.object, "role", ROLES)?;
        if value.get() == "\"developer\"" {
            self.faults.add(self.field("role"), format!("must be {ROLES}"));
            return None;
        }
        self.faults.read(&self.field("role"), value, ROLES)
    }

    fn answered(&mut self) -> Option<String> {
        let id = self.string("tool_call_id").filter(|id| !id.is_empty());
        let name = self.string("tool_name");
        let answered = self.open.answer(id, name.as_deref());
        if answered.is_none() {
            let message = "names no tool that an earlier message calls";
            self.losses.refuse(self.field("tool_name"), message);
        }
        answered
    }

    fn tool_calls(&mut self) -> Vec<ToolCall> {
        let Some(value) = self.object.get("tool_calls") else { return Vec::new() };
        let calls = self.faults.objects(&self.field("tool_calls"), value);
        calls.iter().filter_map(|(path, call)| self.tool_call(path, call)).collect()
    }

    fn tool_call(&mut self, path: &str, call: &Object) -> Option<ToolCall> {
        let id = call.get("id").and_then(|id| self.faults.string(&join(path, "id"), id));
        let function = self.faults.required(path, call, "function", FUNCTION)?;
        let path = join(path, "function");
        let function: Object = self.faults.read(&path, function, FUNCTION)?;
        let name = self.faults.required_string(&path, &function, "name")?;
        let arguments = function.get("arguments").map_or("{}", RawValue::get);
        if !arguments.starts_with('{') {
            self.faults.add(join(&path, "arguments"), "must be an object");
        }
        let id = self.open.add(id, &name);
        Some(ToolCall { id, name, arguments: arguments.to_owned() })
    }

    fn string(&mut self, name: &str) -> Option<String> {
        let field = self.field(name);
        self.object.get(name).and_then(|value| self.faults.string(&field, value))
    }

    fn field(&self, name: &str) -> String {
        join(self.path, name)
    }
}

/// Images stand as bare base64 here; elsewhere their type is told.
pub(super) fn images(
    path: &str,
    object: &Object,
    faults: &mut Faults,
    losses: &mut Losses,
) -> Vec<Part> {
    let field = join(path, "images");
    let Some(value) = object.get("images") else { return Vec::new() };
    let list: Vec<String> = faults.read(&field, value, "a list of strings").unwrap_or_default();
    let mut images = Vec::with_capacity(list.len());
    for (index, data) in list.iter().enumerate() {
        match media_type(data) {
            Some(kind) => images.push(Part::Image(format!("data:{kind};base64,{data}"))),
            None => losses.refuse(
                format!("{field}[{index}]"),
                "must be a PNG, JPEG, GIF or WebP image in base64 for this model's upstream",
            ),
        }
    }
    images
}

/// By the first bytes, as base64 writes them.
fn media_type(base64: &str) -> Option<&'static str> {
    let begins = [
        ("iVBORw0KGgo", "image/png"),
        ("/9j/", "image/jpeg"),
        ("R0lGOD", "image/gif"),
        ("UklGR", "image/webp"),
    ];
    begins.iter().find(|(head, _)| base64.starts_with(head)).map(|(_, kind)| *kind)
}
