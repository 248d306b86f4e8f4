//! A small reader of Anthropic's streams, as strict as the grammar is.

use serde_json::Value;

/// A message put together from its events.
#[derive(Debug, Default, PartialEq)]
pub struct Read {
    pub blocks: Vec<Block>,
    pub stop_reason: Option<String>,
    pub stop_sequence: Option<String>,
    pub start_usage: Value,
    pub usage: Value,
    /// The error's type, where the stream ends with one.
    pub error: Option<String>,
}

#[derive(Debug, PartialEq)]
pub enum Block {
    Thinking(String),
    Text(String),
    Call { id: String, name: String, input: String },
}

/// Reads a whole stream; anything the grammar does not allow panics.
pub fn read(wire: &str) -> Read {
    let mut reader = Reader::default();
    assert!(wire.ends_with("\n\n"), "an event that is not ended: {wire:?}");
    for event in wire.split_terminator("\n\n") {
        let (name, data) = event.split_once('\n').expect("two lines");
        let name = name.strip_prefix("event: ").expect("its name first");
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data["type"], name, "the name is said twice");
        reader.event(name, &data);
    }
    assert!(reader.over, "a stream has a terminal");
    reader.read
}

#[derive(Default)]
struct Reader {
    read: Read,
    begun: bool,
    open: Option<u64>,
    told_end: bool,
    over: bool,
}

impl Reader {
    fn event(&mut self, name: &str, data: &Value) {
        assert!(!self.over, "{name} behind the terminal");
        assert!(self.begun || matches!(name, "message_start" | "ping" | "error"), "{name} first");
        match name {
            "ping" => {}
            "message_start" => {
                assert!(!self.begun, "one beginning");
                self.begun = true;
                let message = &data["message"];
                assert_eq!(message["type"], "message");
                assert_eq!(message["role"], "assistant");
                assert_eq!(message["content"], Value::Array(Vec::new()));
                assert!(message["id"].as_str().unwrap().starts_with("msg_"));
                assert!(message["stop_reason"].is_null());
                self.read.start_usage = message["usage"].clone();
            }
            "content_block_start" => self.start(data),
            "content_block_delta" => self.delta(data),
            "content_block_stop" => {
                assert_eq!(self.open.take(), data["index"].as_u64(), "the open block ends");
            }
            "message_delta" => {
                assert!(self.open.is_none() && !self.told_end);
                self.told_end = true;
                let text = |name: &str| data["delta"][name].as_str().map(str::to_owned);
                self.read.stop_reason = text("stop_reason");
                self.read.stop_sequence = text("stop_sequence");
                self.read.usage = data["usage"].clone();
                assert!(self.read.usage["output_tokens"].is_u64());
            }
            "message_stop" => {
                assert!(self.told_end);
                self.over = true;
            }
            "error" => {
                self.read.error = Some(data["error"]["type"].as_str().unwrap().to_owned());
                self.over = true;
            }
            _ => panic!("no such event: {name}"),
        }
    }

    fn start(&mut self, data: &Value) {
        assert!(self.open.is_none() && !self.told_end, "blocks do not overlap");
        let index = data["index"].as_u64().unwrap();
        assert_eq!(index, self.read.blocks.len() as u64, "indices count up");
        self.open = Some(index);
        let block = &data["content_block"];
        let text = |name: &str| block[name].as_str().unwrap().to_owned();
        self.read.blocks.push(match block["type"].as_str().unwrap() {
            "thinking" => {
                assert_eq!(text("signature"), "");
                Block::Thinking(text("thinking"))
            }
            "text" => Block::Text(text("text")),
            "tool_use" => {
                assert_eq!(block["input"], serde_json::json!({}));
                let (id, name) = (text("id"), text("name"));
                assert!(!id.is_empty() && !name.is_empty());
                Block::Call { id, name, input: String::new() }
            }
            other => panic!("no such block: {other}"),
        });
    }

    fn delta(&mut self, data: &Value) {
        assert_eq!(self.open, data["index"].as_u64(), "a delta of the open block");
        let delta = &data["delta"];
        let text = |name: &str| delta[name].as_str().unwrap();
        let kind = delta["type"].as_str().unwrap();
        match (self.read.blocks.last_mut().unwrap(), kind) {
            (Block::Thinking(said), "thinking_delta") => said.push_str(text("thinking")),
            (Block::Thinking(_), "signature_delta") => assert_eq!(text("signature"), ""),
            (Block::Text(said), "text_delta") => said.push_str(text("text")),
            (Block::Call { input, .. }, "input_json_delta") => input.push_str(text("partial_json")),
            (block, kind) => panic!("a {kind} for {block:?}"),
        }
    }
}
