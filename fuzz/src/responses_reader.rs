//! A client that trusts nothing: it holds every event to the grammar, and puts the answer together
//! from the pieces alone.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// An answer as its events tell it.
#[derive(Debug, Default)]
pub struct Read {
    /// The response of the last event.
    pub response: Value,
    /// The last event.
    pub terminal: String,
    /// What the `error` event says.
    pub error: Option<Value>,
    items: BTreeMap<u64, Told>,
}

/// An item as its events tell it.
#[derive(Debug)]
struct Told {
    added: Value,
    text: String,
    text_done: bool,
    /// Whether its one part was begun, and done.
    part: (bool, bool),
    done: Option<Value>,
}

const TERMINALS: [&str; 3] = ["response.completed", "response.incomplete", "response.failed"];

/// Reads a stream to its end.
///
/// # Panics
/// Where it breaks the grammar.
pub fn read(wire: &str) -> Read {
    let mut read = Read::default();
    let blocks: Vec<_> = wire.split_terminator("\n\n").collect();
    assert!(wire.is_empty() || wire.ends_with("\n\n"));
    for (number, block) in blocks.iter().enumerate() {
        let (name, data) = block.split_once('\n').expect("two lines");
        let name = name.strip_prefix("event: ").expect("a named event");
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data["type"], name);
        assert_eq!(data["sequence_number"], number, "{data}");
        assert_eq!(read.terminal, "", "nothing follows the terminal: {data}");
        read.take(name, &data, number);
    }
    assert_ne!(read.terminal, "", "a stream has an end");
    read.check_end();
    read
}

impl Read {
    fn take(&mut self, name: &str, data: &Value, number: usize) {
        match name {
            "response.created" | "response.in_progress" => {
                assert_eq!(number, usize::from(name != "response.created"));
                assert_eq!(data["response"]["status"], "in_progress");
                assert_eq!(data["response"]["output"], json!([]));
            }
            "error" => {
                assert!(data["error"]["message"].is_string() && data["message"].is_string());
                assert!(self.error.replace(data["error"].clone()).is_none());
            }
            name if TERMINALS.contains(&name) => {
                name.clone_into(&mut self.terminal);
                self.response = data["response"].clone();
            }
            "response.output_item.added" => self.add(data),
            _ => self.of_item(name, data),
        }
        let failed = name == "error" || name == "response.failed";
        assert!(self.error.is_none() || failed, "{name} behind an error");
    }

    fn add(&mut self, data: &Value) {
        let index = data["output_index"].as_u64().unwrap();
        assert_eq!(index, self.items.len() as u64, "no gap in output indexes");
        let item = &data["item"];
        assert_eq!(item["status"], "in_progress");
        let ids: Vec<_> = self.items.values().map(|told| &told.added["id"]).collect();
        assert!(!ids.contains(&&item["id"]), "an id of its own");
        let (text, text_done, part) = (String::new(), false, (false, false));
        self.items.insert(index, Told { added: item.clone(), text, text_done, part, done: None });
    }

    fn of_item(&mut self, name: &str, data: &Value) {
        let index = data["output_index"].as_u64().unwrap();
        let told = self.items.get_mut(&index).expect("an item that was added");
        assert!(told.done.is_none(), "{name} of an item that is done");
        let kind = told.added["type"].as_str().unwrap().to_owned();
        if name != "response.output_item.done" {
            assert_eq!(data["item_id"], told.added["id"]);
        }
        let has_part = kind != "function_call";
        if has_part && name != "response.output_item.done" {
            assert_eq!(data["content_index"], 0);
        }
        match (name, kind.as_str()) {
            ("response.output_text.delta", "message")
            | ("response.reasoning_text.delta", "reasoning")
            | ("response.function_call_arguments.delta", "function_call") => {
                assert!(!told.text_done && (told.part.0 || !has_part));
                let delta = data["delta"].as_str().unwrap();
                assert_ne!(delta, "");
                told.text.push_str(delta);
            }
            ("response.output_text.done", "message")
            | ("response.reasoning_text.done", "reasoning") => {
                assert_eq!(data["text"], told.text);
                told.text_done = true;
            }
            ("response.function_call_arguments.done", "function_call") => {
                assert_eq!(data["arguments"], told.text);
                told.text_done = true;
            }
            ("response.content_part.added", "message" | "reasoning") => {
                assert!(!told.part.0);
                assert_eq!(data["part"]["text"], "");
                told.part.0 = true;
            }
            ("response.content_part.done", "message" | "reasoning") => {
                assert!(told.text_done && !told.part.1);
                assert_eq!(data["part"]["text"], told.text);
                told.part.1 = true;
            }
            ("response.output_item.done", _) => {
                assert!(told.text_done && (told.part.1 || !has_part));
                assert_eq!(data["item"]["id"], told.added["id"]);
                told.done = Some(data["item"].clone());
            }
            _ => panic!("{name} of a {kind}"),
        }
    }

    /// What the pieces come to is what the last response says.
    fn check_end(&self) {
        let (status, output) = (self.response["status"].as_str().unwrap(), self.output());
        match self.terminal.as_str() {
            "response.failed" => {
                assert!(status == "failed" || status == "cancelled", "{status}");
                assert!(self.error.is_some(), "SDKs raise on the error, and on nothing else");
                assert!(output.iter().all(|item| item["type"] != "function_call"), "a half call");
                let open: Vec<_> = self.items.values().filter(|told| told.done.is_none()).collect();
                assert!(open.iter().all(|told| !told.text_done));
            }
            terminal => {
                assert_eq!(terminal, format!("response.{status}"));
                assert_eq!(self.response["error"], Value::Null);
                let done: Vec<_> =
                    self.items.values().filter_map(|told| told.done.clone()).collect();
                assert_eq!(output, &done);
                let incomplete = status == "incomplete";
                assert_eq!(self.response["incomplete_details"].is_object(), incomplete);
                assert!(incomplete || done.len() == self.items.len(), "an item is missing");
            }
        }
    }

    pub fn output(&self) -> &Vec<Value> {
        self.response["output"].as_array().unwrap()
    }

    /// All texts of one kind of item, joined.
    pub fn joined(&self, kind: &str) -> String {
        let told = self.items.values().filter(|told| told.added["type"] == kind);
        told.map(|told| told.text.as_str()).collect()
    }

    /// The calls of the response: name and arguments.
    pub fn calls(&self) -> Vec<(String, String)> {
        let calls = self.output().iter().filter(|item| item["type"] == "function_call");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        calls.map(|call| (text(&call["name"]), text(&call["arguments"]))).collect()
    }
}
