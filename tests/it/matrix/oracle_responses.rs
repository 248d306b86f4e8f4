//! Reads what a client of OpenAI's Responses got, by the rules of that dialect alone.

use serde_json::Value;

use super::answer::Said;
use super::oracle::{Seen, Terminal, text};
use crate::client::Response;

impl Seen {
    /// A failure is told twice, by an error and by the response that has failed: together they are
    /// the one terminal.
    pub(super) fn read_responses_stream(&mut self, response: &Response) {
        let mut error = None;
        for (number, event) in response.events().into_iter().enumerate() {
            self.fault(self.terminals.is_empty(), "an event behind the terminal");
            let data = event.json();
            self.fault(data["type"].as_str() == event.name.as_deref(), "two names for an event");
            self.fault(data["sequence_number"] == number, "a gap in the sequence");
            match event.name.as_deref().unwrap_or_default() {
                "error" => {
                    self.fault(error.is_none(), "two errors");
                    self.fault(data["message"].is_string(), "an error without a message");
                    error = Some(data["code"].clone());
                }
                "response.failed" => {
                    self.fault(data["response"]["status"] == "failed", "another standing");
                    let code = error.take();
                    self.fault(code.is_some(), "a failure without an error");
                    self.fail(&code.unwrap_or_default());
                }
                "response.completed" => {
                    let told = std::mem::take(&mut self.said);
                    self.read_response(&data["response"]);
                    self.fault(told == self.said, "the response is not what its events told");
                }
                name => self.read_piece(name, &data),
            }
        }
        self.fault(error.is_none(), "an error without the response that has failed");
    }

    fn read_piece(&mut self, name: &str, data: &Value) {
        let delta = || text(&data["delta"]);
        match name {
            "response.created" | "response.in_progress" => {
                self.fault(self.said == Said::default(), "it begins in the middle");
            }
            "response.output_text.delta" => self.said.text.push_str(&delta()),
            "response.reasoning_text.delta" => self.said.reasoning.push_str(&delta()),
            "response.function_call_arguments.delta" => self.said.calls.push_str(&delta()),
            "response.output_item.added" => {
                if let Some(called) = data["item"]["name"].as_str() {
                    self.said.calls.extend(["|", called, ":"]);
                }
            }
            "response.content_part.added"
            | "response.content_part.done"
            | "response.output_text.done"
            | "response.reasoning_text.done"
            | "response.function_call_arguments.done"
            | "response.output_item.done" => {}
            other => self.faults.push(format!("an event called {other:?}")),
        }
    }

    /// A response that is whole.
    pub(super) fn read_response(&mut self, body: &Value) {
        self.fault(body["status"] == "completed", "an answer that is not complete");
        self.fault(body["error"].is_null(), "an error in a whole answer");
        for item in body["output"].as_array().into_iter().flatten() {
            let parts = item["content"].as_array().into_iter().flatten();
            let said: String = parts.map(|part| text(&part["text"])).collect();
            match item["type"].as_str() {
                Some("message") => self.said.text.push_str(&said),
                Some("reasoning") => self.said.reasoning.push_str(&said),
                Some("function_call") => {
                    let call = format!("|{}:{}", text(&item["name"]), text(&item["arguments"]));
                    self.said.calls.push_str(&call);
                }
                other => self.faults.push(format!("an item of type {other:?}")),
            }
        }
        self.terminals.push(Terminal::Clean);
    }
}
