//! What the test's own side did and saw, counted where it did and saw it.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};

use super::counts::Counts;
use super::play::Play;
use crate::client::{Client, Live, Response};

/// Everything that the clients have counted.
#[derive(Debug, Default, Clone)]
pub struct Own {
    /// By method, route and status, as metrics name them.
    pub answered: Counts,
    /// Messages over sockets that have a record, by their kind.
    pub messages: Counts,
    /// Streams that were begun, by how they ended.
    pub outcomes: Counts,
    /// Requests that the gateway itself refused, by reason.
    pub refused: Counts,
    /// Requests that were given another's stream, by how that ended for them.
    pub reads: Counts,
    /// Requests that have a record, by whose key they came with.
    pub owners: Counts,
    pub retries: u64,
}

/// A client with its key, or without one.
#[derive(Clone)]
pub struct Caller {
    pub client: Client,
    pub owner: &'static str,
    pub key: &'static str,
    pub own: Rc<RefCell<Own>>,
}

/// The route of a path, as metrics name it.
pub fn route_of(path: &str) -> &str {
    match path {
        "/api/chat/streams" => path,
        _ if path.starts_with("/api/chat/") => "/api/chat/{id}",
        _ if path.starts_with("/v1/models/") => "/v1/models/{model}",
        _ if path.starts_with("/nowhere") => "other",
        _ => path,
    }
}

/// Probes of a gateway that is well have no record.
pub fn is_quiet(answered: &str) -> bool {
    ["GET /health 200", "GET /ready 200", "GET /metrics 200"].contains(&answered)
}

/// Where a request goes that is put in a dialect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Dialect {
    Native,
    OpenAi,
    Anthropic,
    Ollama,
}

impl Dialect {
    pub const ALL: [Self; 4] = [Self::Native, Self::OpenAi, Self::Anthropic, Self::Ollama];

    pub fn path(self) -> &'static str {
        match self {
            Self::Native => "/api/chat",
            Self::OpenAi => "/v1/chat/completions",
            Self::Anthropic => "/v1/messages",
            Self::Ollama => "/ollama/api/chat",
        }
    }

    pub fn asks(self, model: &str, play: &Play, stream: bool) -> Value {
        let mut body = json!({
            "model": model, "stream": stream,
            "messages": [{"role": "user", "content": play.prompt()}],
        });
        if self == Self::Anthropic {
            body["max_tokens"] = json!(64);
        }
        body
    }
}

/// A native request.
pub fn native(model: &str, play: &Play, stream: bool) -> Value {
    Dialect::Native.asks(model, play, stream)
}

impl Caller {
    /// With one more header on every request.
    pub fn with(&self, name: &str, value: &str) -> Self {
        Self { client: self.client.with_header(name, value), ..self.clone() }
    }

    /// It was answered.
    pub fn answered(&self, method: &str, path: &str, status: u16) {
        let mut own = self.own.borrow_mut();
        let path = path.split('?').next().unwrap();
        let answered = format!("{method} {} {status}", route_of(path));
        own.answered.add(&answered, 1);
        // What is answered to everybody has nobody's name on it.
        let is_open = ["/health", "/ready", "/metrics", "/openapi.json"].contains(&path)
            || route_of(path) == "other"
            || matches!(status, 401 | 405);
        if !is_quiet(&answered) {
            own.owners.add(if is_open { "nobody" } else { self.owner }, 1);
        }
    }

    /// A message over its socket has a record.
    pub fn said(&self, message: &str) {
        let mut own = self.own.borrow_mut();
        own.messages.add(message, 1);
        own.owners.add(self.owner, 1);
    }

    /// A stream that it began has ended so.
    pub fn ended(&self, outcome: &str) {
        self.own.borrow_mut().outcomes.add(outcome, 1);
    }

    pub fn refused(&self, reason: &str) {
        self.own.borrow_mut().refused.add(reason, 1);
    }

    pub fn has_read(&self, outcome: &str) {
        self.own.borrow_mut().reads.add(outcome, 1);
    }

    pub async fn get(&self, path: &str) -> Response {
        let response = self.client.get(path).await;
        self.answered("GET", path, response.status);
        response
    }

    pub async fn delete(&self, path: &str) -> Response {
        let response = self.client.delete(path).await;
        self.answered("DELETE", path, response.status);
        response
    }

    pub async fn post(&self, path: &str, body: &Value) -> Response {
        let response = self.client.post(path, body).await;
        self.answered("POST", path, response.status);
        response
    }

    /// Sends a chat and reads the head of its answer.
    pub async fn open(&self, body: &Value) -> Live {
        let live = self.client.open("/api/chat", body).await;
        self.answered("POST", "/api/chat", live.status());
        live
    }

    /// Sends a chat, and reads up to a piece of the answer.
    pub async fn open_until(&self, body: &Value, piece: &str) -> Live {
        let mut live = self.open(body).await;
        live.read_until(piece).await;
        live
    }
}
