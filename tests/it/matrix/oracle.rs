//! Reads what a client got, by the rules of its dialect alone, and holds it against what it must
//! have got.

use serde_json::Value;
use tidegate_protocol::ErrorKind;

use super::answer::{Dialect, Provider, Said};
use super::plan::{Trial, Wait};
use super::reply::Case;
use crate::client::Response;

/// A `Retry-After` is cut to this.
const RETRY_AFTER_CAP: u32 = 3600;

/// In place of a code where the dialect has none.
const NO_CODE: &str = "no code";

/// How an answer ended, as its dialect says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Terminal {
    Clean,
    /// With the code.
    Error(String),
}

/// What a client got.
#[derive(Debug)]
pub struct Seen {
    pub status: u16,
    pub said: Said,
    pub terminals: Vec<Terminal>,
    /// What breaks the dialect's or HTTP's rules.
    pub faults: Vec<String>,
    retry_after: Option<String>,
}

impl Seen {
    pub fn read(dialect: Dialect, response: &Response) -> Self {
        let mut seen = Self {
            status: response.status,
            said: Said::default(),
            terminals: Vec::new(),
            faults: Vec::new(),
            retry_after: response.header("retry-after").map(str::to_owned),
        };
        if !response.proper_end {
            seen.faults.push("the body did not end as HTTP says it must".to_owned());
        }
        let streamed =
            if dialect.is_ollama() { "application/x-ndjson" } else { "text/event-stream" };
        let is_stream = response.header("content-type") == Some(streamed);
        if is_stream != (dialect.streams() && response.status == 200) {
            seen.faults.push(format!("an event stream: {is_stream}"));
        }
        match dialect {
            _ if response.status != 200 => seen.read_refusal(dialect, &response.json()),
            Dialect::NativeStream => seen.read_native_stream(response),
            Dialect::OpenAiStream => seen.read_openai_stream(response),
            Dialect::NativeWhole => seen.read_native_whole(&response.json()),
            Dialect::OpenAiWhole => seen.read_openai_whole(&response.json()),
            Dialect::AnthropicStream => seen.read_anthropic_stream(response),
            Dialect::AnthropicWhole => seen.read_anthropic_whole(&response.json()),
            Dialect::ResponsesStream => seen.read_responses_stream(response),
            Dialect::ResponsesWhole => seen.read_response(&response.json()),
            Dialect::OllamaStream | Dialect::OllamaWhole => seen.read_ollama(response),
        }
        seen
    }

    pub(super) fn fault(&mut self, holds: bool, what: &str) {
        if !holds {
            self.faults.push(what.to_owned());
        }
    }

    pub(super) fn fail(&mut self, code: &Value) {
        self.terminals.push(Terminal::Error(code.as_str().unwrap_or(NO_CODE).to_owned()));
    }

    fn read_refusal(&mut self, dialect: Dialect, body: &Value) {
        self.fault(self.status >= 400, "no 200, and no error either");
        let (code, message) = if dialect.is_ollama() {
            (&Value::Null, &body["error"])
        } else if dialect.is_native() {
            (&body["error"], &body["message"])
        } else {
            self.fault(body["error"]["type"].is_string(), "an error without a type");
            (&body["error"]["code"], &body["error"]["message"])
        };
        self.fault(message.is_string(), "an error without a message");
        self.fail(code);
    }

    fn read_native_stream(&mut self, response: &Response) {
        for event in response.events() {
            self.fault(self.terminals.is_empty(), "an event behind the terminal");
            let data = event.json();
            match event.name.as_deref() {
                Some("chat.completion.chunk") => self.said.add(&native_piece(&data)),
                Some("chat.completion.done") => {
                    self.fault(data["finishReason"].is_string(), "an end without a reason");
                    self.terminals.push(Terminal::Clean);
                }
                Some("error") => {
                    self.fault(data["message"].is_string(), "an error without a message");
                    self.fail(&data["code"]);
                }
                other => self.faults.push(format!("an event called {other:?}")),
            }
        }
    }

    fn read_openai_stream(&mut self, response: &Response) {
        let mut finished = false;
        for event in response.events() {
            self.fault(self.terminals.is_empty(), "a frame behind the terminal");
            if event.data == "[DONE]" {
                self.fault(finished, "[DONE] without a finish reason");
                self.terminals.push(Terminal::Clean);
                continue;
            }
            let data = event.json();
            if let Some(error) = data.get("error") {
                self.fault(error["message"].is_string(), "an error without a message");
                self.fail(&error["code"]);
                continue;
            }
            let choice = &data["choices"][0];
            finished |= choice["finish_reason"].is_string();
            self.said.add(&openai_piece(&choice["delta"]));
        }
    }

    fn read_anthropic_stream(&mut self, response: &Response) {
        let mut reason = false;
        let mut open = None;
        for event in response.events() {
            self.fault(self.terminals.is_empty(), "an event behind the terminal");
            let data = event.json();
            self.fault(data["type"].as_str() == event.name.as_deref(), "two names for an event");
            match event.name.as_deref() {
                Some("message_start" | "ping") => {}
                Some("content_block_start") => {
                    self.fault(open.is_none(), "a block within another");
                    open = data["index"].as_u64();
                    let name = data["content_block"]["name"].as_str();
                    let calls = name.map(|name| format!("|{name}:")).unwrap_or_default();
                    self.said.add(&Said { calls, ..Said::default() });
                }
                Some("content_block_delta") => {
                    self.fault(open == data["index"].as_u64(), "a piece of another block");
                    let delta = &data["delta"];
                    self.said.add(&Said {
                        text: text(&delta["text"]),
                        reasoning: text(&delta["thinking"]),
                        calls: text(&delta["partial_json"]),
                    });
                }
                Some("content_block_stop") => {
                    self.fault(open.take() == data["index"].as_u64(), "another block ends");
                }
                Some("message_delta") => reason = data["delta"]["stop_reason"].is_string(),
                Some("message_stop") => {
                    self.fault(reason && open.is_none(), "an end without a reason");
                    self.terminals.push(Terminal::Clean);
                }
                Some("error") => {
                    self.fault(data["error"]["type"].is_string(), "an error without a type");
                    self.fail(&data["error"]["code"]);
                }
                other => self.faults.push(format!("an event called {other:?}")),
            }
        }
    }

    /// A whole answer is one line.
    fn read_ollama(&mut self, response: &Response) {
        for line in response.text().lines() {
            self.fault(self.terminals.is_empty(), "a line behind the terminal");
            let data: Value = serde_json::from_str(line).expect("each line is JSON");
            if let Some(error) = data.get("error") {
                self.fault(error.is_string(), "an error without a message");
                self.fail(&Value::Null);
                continue;
            }
            let message = &data["message"];
            let calls = message["tool_calls"].as_array().into_iter().flatten();
            let call = |call: &Value| {
                let function = &call["function"];
                format!("|{}:{}", text(&function["name"]), function["arguments"])
            };
            self.said.add(&Said {
                text: text(&message["content"]),
                reasoning: text(&message["thinking"]),
                calls: calls.map(call).collect(),
            });
            if data["done"] == true {
                self.terminals.push(Terminal::Clean);
            }
        }
    }

    fn read_anthropic_whole(&mut self, body: &Value) {
        self.fault(body["stop_reason"].is_string(), "an end without a reason");
        for block in body["content"].as_array().into_iter().flatten() {
            let call = block["name"].as_str().map(|name| format!("|{name}:{}", block["input"]));
            self.said.add(&Said {
                text: text(&block["text"]),
                reasoning: text(&block["thinking"]),
                calls: call.unwrap_or_default(),
            });
        }
        self.terminals.push(Terminal::Clean);
    }

    fn read_native_whole(&mut self, body: &Value) {
        self.fault(body["finishReason"].is_string(), "an end without a reason");
        self.said.add(&native_piece(body));
        self.terminals.push(Terminal::Clean);
    }

    fn read_openai_whole(&mut self, body: &Value) {
        let choice = &body["choices"][0];
        self.fault(choice["finish_reason"].is_string(), "an end without a reason");
        self.fault(body.get("error").is_none(), "an error in a 200");
        self.said.add(&openai_piece(&choice["message"]));
        self.terminals.push(Terminal::Clean);
    }

    pub fn is_clean(&self) -> bool {
        self.terminals.contains(&Terminal::Clean)
    }

    /// For the report.
    pub fn in_words(&self) -> String {
        match self.terminals.as_slice() {
            [Terminal::Clean] => "whole answer".to_owned(),
            [Terminal::Error(code)] if self.status == 200 => {
                format!("error `{code}` in the stream")
            }
            [Terminal::Error(code)] => format!("{} `{code}`", self.status),
            other => format!("{other:?}"),
        }
    }

    /// Whatever is not as the trial says it must be.
    pub fn deviations(&self, trial: &Trial) -> Vec<String> {
        let mut found = self.faults.clone();
        let mut check = |holds: bool, what: String| {
            if !holds {
                found.push(what);
            }
        };
        let expect = &trial.expect;
        check(self.terminals.len() == 1, format!("{} terminals", self.terminals.len()));
        let terminal = match expect.failure {
            None => Terminal::Clean,
            Some(_) if trial.case.dialect.is_ollama() => Terminal::Error(NO_CODE.to_owned()),
            Some(kind) => Terminal::Error(kind.code().to_owned()),
        };
        check(self.terminals == [terminal], format!("ended as {:?}", self.terminals));
        let in_stream = expect.failure.is_none() || (trial.case.dialect.streams() && expect.shows);
        let status = expect.failure.filter(|_| !in_stream).map_or(200, status_of);
        check(self.status == status, format!("status {} where {status} is due", self.status));
        let truth = trial.case.script.whole();
        check(self.said.begins(&truth), format!("{:?} does not begin {truth:?}", self.said));
        let mut said = if in_stream { expect.said.clone() } else { Said::default() };
        let Case { provider, dialect, .. } = trial.case;
        if expect.failure.is_some() && dialect.is_ollama() && provider != Provider::Ollama {
            // Calls come as whole objects, once the answer is whole.
            said.calls.clear();
        }
        check(self.said == said, format!("said {:?} where {said:?} is due", self.said));
        let seconds = self.retry_after.as_ref().map(|text| text.parse::<u32>());
        let waits = match (expect.retry_after, seconds) {
            (Wait::Any, None) => true,
            (Wait::Any, Some(Ok(seconds))) => seconds <= RETRY_AFTER_CAP,
            (Wait::Exactly(due), Some(Ok(seconds))) => seconds == due,
            _ => false,
        };
        check(waits, format!("Retry-After: {:?}", self.retry_after));
        found
    }
}

fn native_piece(data: &Value) -> Said {
    let calls = data["toolCalls"].as_array().into_iter().flatten();
    Said {
        text: text(&data["content"]),
        reasoning: text(&data["reasoning"]),
        calls: calls.map(call).collect(),
    }
}

fn openai_piece(data: &Value) -> Said {
    let calls = data["tool_calls"].as_array().into_iter().flatten();
    Said {
        text: text(&data["content"]),
        reasoning: text(&data["reasoning_content"]),
        calls: calls.map(|piece| call(&piece["function"])).collect(),
    }
}

fn call(piece: &Value) -> String {
    let begun = piece["name"].as_str().map(|name| format!("|{name}:")).unwrap_or_default();
    begun + &text(&piece["arguments"])
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The documented status of each kind that the matrix can meet.
fn status_of(kind: ErrorKind) -> u16 {
    match kind {
        ErrorKind::UpstreamRejected => 400,
        ErrorKind::UpstreamRateLimited => 429,
        ErrorKind::UpstreamOverloaded => 503,
        ErrorKind::UpstreamTimeout => 504,
        _ => 502,
    }
}
