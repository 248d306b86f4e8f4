//! The messages of a client's body.

use serde_json::value::RawValue;

use crate::chat::{Message, Part, Role, ToolCall};
use crate::fields::{Faults, Object, join};
use crate::fit::Losses;

const ROLES: &str = "one of \"system\", \"developer\", \"user\", \"assistant\", \"tool\"";
const CONTENT: &str = "a string or a list of parts";
const IMAGE: &str = "an object: {\"url\": a string}";
const AUDIO: &str = "an object: {\"data\": a string, \"format\": a string}";
const GIVEN_UP: &str = "OpenAI has given it up for tools, and no other dialect has a word for it";
const FUNCTION: &str = "an object: {\"name\": a string, \"arguments\": a string}";

pub(super) fn decode(fields: &Object, faults: &mut Faults, losses: &mut Losses) -> Vec<Message> {
    let required = faults.required("", fields, "messages", "a list of at least one message");
    let Some(value) = required else { return Vec::new() };
    faults.not_empty("messages", value, "message");
    let list = faults.objects("messages", value);
    let mut messages = Vec::with_capacity(list.len());
    for (path, object) in &list {
        messages.push(MessageReader { path, object, faults, losses }.read());
    }
    messages
}

struct MessageReader<'a> {
    path: &'a str,
    object: &'a Object,
    faults: &'a mut Faults,
    losses: &'a mut Losses,
}

/// What is understood of an assistant's message. `refusal` is said instead of an answer.
const OF_ASSISTANTS: [&str; 8] = [
    "role",
    "content",
    "refusal",
    "reasoning",
    "reasoning_content",
    "tool_calls",
    "function_call",
    "audio",
];
const OF_TOOLS: [&str; 3] = ["role", "content", "tool_call_id"];
const OF_OTHERS: [&str; 2] = ["role", "content"];

impl MessageReader<'_> {
    fn read(mut self) -> Message {
        let role = self.role();
        let mut message = Message { role: role.unwrap_or_default(), ..Message::default() };
        // Only an assistant calls tools, only a tool answers a call: of anybody else's message
        // such a field is one that means nothing.
        let known = match role {
            Some(Role::Assistant) => {
                self.assistant(&mut message);
                &OF_ASSISTANTS[..]
            }
            Some(Role::Tool) => {
                message.tool_call_id = self.string("tool_call_id");
                &OF_TOOLS
            }
            _ => &OF_OTHERS,
        };
        self.losses.unknown(self.path, self.object, known);
        self.content(&mut message, role);
        message
    }

    /// What an assistant's message has besides its content.
    fn assistant(&mut self, message: &mut Message) {
        if self.object.get("function_call").is_some() {
            self.losses.refuse(self.field("function_call"), GIVEN_UP);
        }
        if self.object.get("audio").is_some() {
            let message = "an earlier answer in sound is known to its own upstream only";
            self.losses.refuse(self.field("audio"), message);
        }
        // Servers that show a model's reasoning want it back in the conversation.
        let reasoning = self.string("reasoning_content").or_else(|| self.string("reasoning"));
        let reasoning = reasoning.filter(|text| !text.is_empty());
        message.content.extend(reasoning.map(Part::Reasoning));
        message.push_text(&self.string("refusal").unwrap_or_default());
        message.tool_calls = self.tool_calls();
    }

    fn role(&mut self) -> Option<Role> {
        let value = self.faults.required(self.path, self.object, "role", ROLES)?;
        if self.is_function() {
            self.losses.refuse(self.field("role"), GIVEN_UP);
            return Some(Role::Tool);
        }
        self.faults.read(&self.field("role"), value, ROLES)
    }

    /// What answered a call before there were tools.
    fn is_function(&self) -> bool {
        self.object.get("role").is_some_and(|role| role.get() == "\"function\"")
    }

    fn content(&mut self, message: &mut Message, role: Option<Role>) {
        let field = self.field("content");
        // An assistant that called tools, or refused, need not have said anything; nor a function.
        let may_be_silent = role == Some(Role::Assistant) || self.is_function();
        let value = if may_be_silent {
            self.object.get("content")
        } else {
            self.faults.required(self.path, self.object, "content", CONTENT)
        };
        let Some(value) = value else { return };
        if value.get().starts_with('[') {
            for (path, part) in self.faults.objects(&field, value) {
                self.part(&path, &part, message);
            }
        } else if let Some(text) = self.faults.read::<String>(&field, value, CONTENT) {
            message.push_text(&text);
        }
    }

    fn part(&mut self, path: &str, part: &Object, message: &mut Message) {
        match self.faults.required_string(path, part, "type").as_deref() {
            Some("text") => {
                self.losses.unknown(path, part, &["type", "text"]);
                let text = self.faults.required_string(path, part, "text");
                message.push_text(&text.unwrap_or_default());
            }
            Some("refusal") => {
                let text = self.faults.required_string(path, part, "refusal");
                message.push_text(&text.unwrap_or_default());
            }
            Some("image_url") => message.content.extend(self.image(path, part)),
            Some("input_audio") => {
                message.content.extend(audio(path, part, self.faults, self.losses));
            }
            Some(_) => self.losses.refuse(
                join(path, "type"),
                "only text, image_url and input_audio are understood by this model's upstream",
            ),
            None => {}
        }
    }

    fn image(&mut self, path: &str, part: &Object) -> Option<Part> {
        let value = self.faults.required(path, part, "image_url", IMAGE)?;
        let path = join(path, "image_url");
        let image: Object = self.faults.read(&path, value, IMAGE)?;
        self.losses.unknown(&path, &image, &["url"]);
        let image = self.faults.required_string(&path, &image, "url").map(Part::Image)?;
        self.losses.note_part(&image, &join(&path, "url"));
        Some(image)
    }

    fn tool_calls(&mut self) -> Vec<ToolCall> {
        let Some(value) = self.object.get("tool_calls") else { return Vec::new() };
        let path = self.field("tool_calls");
        let calls = self.faults.objects(&path, value);
        calls.iter().filter_map(|(path, call)| self.tool_call(path, call)).collect()
    }

    fn tool_call(&mut self, path: &str, call: &Object) -> Option<ToolCall> {
        let kind = call.get("type").map_or("\"function\"", RawValue::get);
        if kind != "\"function\"" {
            let message = "only function calls are understood by this model's upstream";
            self.losses.refuse(join(path, "type"), message);
            return None;
        }
        let id = call.get("id").and_then(|id| self.faults.string(&join(path, "id"), id));
        let function = self.faults.required(path, call, "function", FUNCTION)?;
        let path = join(path, "function");
        let function: Object = self.faults.read(&path, function, FUNCTION)?;
        let name = self.faults.required_string(&path, &function, "name");
        let arguments = self.faults.required_string(&path, &function, "arguments");
        let call = ToolCall { id: id.unwrap_or_default(), name: name?, arguments: arguments? };
        self.losses.note_call(&call, &join(&path, "arguments"));
        Some(call)
    }

    fn string(&mut self, name: &str) -> Option<String> {
        let field = self.field(name);
        self.object.get(name).and_then(|value| self.faults.string(&field, value))
    }

    fn field(&self, name: &str) -> String {
        join(self.path, name)
    }
}

/// Sound, as Responses have it too.
pub(crate) fn audio(
    path: &str,
    part: &Object,
    faults: &mut Faults,
    losses: &mut Losses,
) -> Option<Part> {
    let value = faults.required(path, part, "input_audio", AUDIO)?;
    let path = join(path, "input_audio");
    let audio: Object = faults.read(&path, value, AUDIO)?;
    let data = faults.required_string(&path, &audio, "data");
    let format = faults.required_string(&path, &audio, "format");
    let audio = Part::Audio { data: data?, format: format? };
    losses.note_part(&audio, &path);
    Some(audio)
}
