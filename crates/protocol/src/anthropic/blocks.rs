//! The blocks of a message.

use serde_json::value::RawValue;

use super::messages::CONTENT;
use super::request::Reader;
use crate::chat::{Message, Part, Role, ToolCall};
use crate::fields::{Object, join};

/// What a block is in the vocabulary all dialects share.
pub(super) enum Block {
    Part(Part),
    Call(ToolCall),
    /// A message of its own.
    Result(Message),
}

/// Reads blocks of one role.
pub(super) struct BlockReader<'r, 'a> {
    pub reader: &'r mut Reader<'a>,
    pub role: Role,
}

impl BlockReader<'_, '_> {
    /// Reads a string, or a list of blocks.
    pub fn read(&mut self, path: &str, content: &RawValue) -> Vec<Block> {
        if content.get().starts_with('[') {
            let blocks = self.reader.faults.objects(path, content);
            return blocks.iter().filter_map(|(path, block)| self.block(path, block)).collect();
        }
        let text = self.reader.faults.read::<String>(path, content, CONTENT);
        text.map(|text| Block::Part(Part::Text(text))).into_iter().collect()
    }

    fn block(&mut self, path: &str, block: &Object) -> Option<Block> {
        let kind = self.reader.faults.required_string(path, block, "type")?;
        if !self.belongs(&kind) {
            let role = match self.role {
                Role::Assistant => "an assistant's message",
                Role::Tool => "a tool's result",
                Role::System | Role::Developer => "a system prompt",
                Role::User => "a user's message",
            };
            self.reader.faults.add(join(path, "type"), format!("{kind} has no place in {role}"));
            return None;
        }
        match kind.as_str() {
            "text" => self.text(path, block),
            "thinking" => self.thinking(path, block),
            "redacted_thinking" => {
                // Encrypted for another server: nobody here can read it.
                self.reader.losses.ignore(path);
                None
            }
            "image" => self.image(path, block),
            "document" => self.document(path, block),
            "tool_use" => self.call(path, block),
            "tool_result" => self.result(path, block),
            _ => {
                self.reader.losses.refuse(
                    join(path, "type"),
                    "must be one of text, image, document (of plain text), thinking, tool_use, \
                     tool_result: the upstream understands no other",
                );
                None
            }
        }
    }

    /// Blocks that belong to one role only; the others are nobody's business here.
    fn belongs(&self, kind: &str) -> bool {
        match kind {
            "thinking" | "redacted_thinking" | "tool_use" => self.role == Role::Assistant,
            "tool_result" => self.role == Role::User,
            "image" | "document" => matches!(self.role, Role::User | Role::Tool),
            _ => true,
        }
    }

    fn text(&mut self, path: &str, block: &Object) -> Option<Block> {
        self.reader.note_unknown(path, block, &["type", "text"]);
        let text = self.reader.faults.required_string(path, block, "text")?;
        Some(Block::Part(Part::Text(text)))
    }

    /// The signature is another server's; an empty one is the gateway's own.
    fn thinking(&mut self, path: &str, block: &Object) -> Option<Block> {
        let signed = block.get("signature").is_some_and(|value| value.get() != "\"\"");
        let known =
            if signed { &["type", "thinking"][..] } else { &["type", "thinking", "signature"] };
        self.reader.note_unknown(path, block, known);
        let text = self.reader.faults.required_string(path, block, "thinking")?;
        Some(Block::Part(Part::Reasoning(text)))
    }

    fn image(&mut self, path: &str, block: &Object) -> Option<Block> {
        self.reader.note_unknown(path, block, &["type", "source"]);
        let (path, source) = self.source(path, block)?;
        let faults = &mut *self.reader.faults;
        let url = match faults.required_string(&path, &source, "type")?.as_str() {
            "base64" => {
                let kind = faults.required_string(&path, &source, "media_type");
                let data = faults.required_string(&path, &source, "data");
                format!("data:{};base64,{}", kind?, data?)
            }
            "url" => faults.required_string(&path, &source, "url")?,
            _ => {
                let message = "must be \"base64\" or \"url\": no files are kept here";
                self.reader.losses.refuse(join(&path, "type"), message);
                return None;
            }
        };
        let image = Part::Image(url);
        self.reader.losses.note_part(&image, &join(&path, "url"));
        Some(Block::Part(image))
    }

    /// A document of plain text is said as text, what it is called before it.
    fn document(&mut self, path: &str, block: &Object) -> Option<Block> {
        self.reader.note_unknown(path, block, &["type", "source", "title", "context", "citations"]);
        let cited = self.reader.object(path, block, "citations");
        if cited.is_some_and(|cited| cited.get("enabled").is_some_and(|on| on.get() == "true")) {
            let message = "must be off: the upstream cites nothing";
            self.reader.losses.refuse(join(path, "citations.enabled"), message);
        }
        let mut said = Vec::new();
        for name in ["title", "context"] {
            let value = block.get(name);
            let place = join(path, name);
            said.extend(value.and_then(|value| self.reader.faults.string(&place, value)));
        }
        let (path, source) = self.source(path, block)?;
        if self.reader.faults.required_string(&path, &source, "type")? != "text" {
            let message = "must be \"text\": the upstream reads no other documents";
            self.reader.losses.refuse(join(&path, "type"), message);
            return None;
        }
        said.push(self.reader.faults.required_string(&path, &source, "data")?);
        Some(Block::Part(Part::Text(said.join("\n\n"))))
    }

    fn source(&mut self, path: &str, block: &Object) -> Option<(String, Object)> {
        self.reader.faults.required(path, block, "source", "an object")?;
        let source = self.reader.object(path, block, "source")?;
        Some((join(path, "source"), source))
    }

    fn call(&mut self, path: &str, block: &Object) -> Option<Block> {
        self.reader.note_unknown(path, block, &["type", "id", "name", "input"]);
        let faults = &mut *self.reader.faults;
        let id = faults.required_string(path, block, "id");
        let name = faults.required_string(path, block, "name");
        let input = faults.required(path, block, "input", "an object");
        let input = input.filter(|input| {
            faults.read::<Object>(&join(path, "input"), input, "an object").is_some()
        });
        let arguments = input?.get().to_owned();
        Some(Block::Call(ToolCall { id: id?, name: name?, arguments }))
    }

    fn result(&mut self, path: &str, block: &Object) -> Option<Block> {
        self.reader.note_unknown(path, block, &["type", "tool_use_id", "content"]);
        let id = self.reader.faults.required_string(path, block, "tool_use_id");
        let mut result = Message { role: Role::Tool, ..Message::default() };
        if let Some(content) = block.get("content") {
            let mut inner = BlockReader { reader: self.reader, role: Role::Tool };
            for block in inner.read(&join(path, "content"), content) {
                match block {
                    Block::Part(Part::Text(text)) => result.push_text(&text),
                    Block::Part(part) => result.content.push(part),
                    // None of these belongs into a result.
                    Block::Call(_) | Block::Result(_) => {}
                }
            }
        }
        Some(Block::Result(Message { tool_call_id: Some(id?), ..result }))
    }
}
