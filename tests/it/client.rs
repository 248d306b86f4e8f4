//! A client that reads what really is on the wire: one connection per request, no pool.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::upstream::PATIENCE;

/// Speaks to one gateway.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    headers: String,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, headers: String::new() }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same client with one more header on every request.
    pub fn with_header(&self, name: &str, value: &str) -> Self {
        Self { headers: format!("{}{name}: {value}\r\n", self.headers), ..self.clone() }
    }

    pub async fn get(&self, path: &str) -> Response {
        self.send("GET", path, None).await.whole().await
    }

    pub async fn delete(&self, path: &str) -> Response {
        self.send("DELETE", path, None).await.whole().await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.send("POST", path, Some(&body.to_string())).await.whole().await
    }

    /// Sends a request and reads the response's head only.
    pub async fn open(&self, path: &str, body: &Value) -> Live {
        let mut live = self.send("POST", path, Some(&body.to_string())).await;
        live.read_head().await;
        live
    }

    /// Sends a request and reads nothing.
    pub async fn send(&self, method: &str, path: &str, body: Option<&str>) -> Live {
        let typed = self.headers.to_ascii_lowercase().contains("content-type:");
        let content_type = if typed { "" } else { "Content-Type: application/json\r\n" };
        let content =
            body.map(|body| format!("{content_type}Content-Length: {}\r\n\r\n{body}", body.len()));
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{}Connection: close\r\n{}",
            self.headers,
            content.as_deref().unwrap_or("\r\n"),
        );
        self.send_raw(request.as_bytes()).await
    }

    /// Sends bytes as they are.
    pub async fn send_raw(&self, bytes: &[u8]) -> Live {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        socket.write_all(bytes).await.unwrap();
        Live { socket, raw: Vec::new(), head: None, body: Vec::new(), ended: None }
    }
}

/// A request for a native answer.
pub fn native(prompt: &str) -> Value {
    json!({"messages": [{"role": "user", "content": prompt}]})
}

/// A request for a native answer in one piece.
pub fn native_whole(prompt: &str) -> Value {
    json!({"messages": [{"role": "user", "content": prompt}], "stream": false})
}

/// A request in OpenAI's dialect.
pub fn openai(prompt: &str, stream: bool) -> Value {
    json!({
        "model": "test", "stream": stream, "messages": [{"role": "user", "content": prompt}],
    })
}

/// A request in Anthropic's dialect.
pub fn anthropic(prompt: &str, stream: bool) -> Value {
    json!({
        "model": "test", "max_tokens": 64, "stream": stream,
        "messages": [{"role": "user", "content": prompt}],
    })
}

/// A response under way. Dropping it closes the connection.
pub struct Live {
    pub socket: TcpStream,
    raw: Vec<u8>,
    head: Option<String>,
    body: Vec<u8>,
    /// Whether the body ended properly, once it ended.
    ended: Option<bool>,
}

impl Live {
    /// Reads the head.
    pub async fn read_head(&mut self) {
        while self.head.is_none() {
            let end = self.raw.windows(4).position(|four| four == b"\r\n\r\n");
            match end {
                Some(end) => {
                    let rest = self.raw.split_off(end + 4);
                    let head = std::mem::replace(&mut self.raw, rest);
                    self.head = Some(String::from_utf8(head).unwrap());
                }
                None => assert!(self.read_more().await, "the connection ended before the head"),
            }
        }
    }

    async fn read_more(&mut self) -> bool {
        let read = timeout(PATIENCE, self.socket.read_buf(&mut self.raw)).await;
        read.expect("the gateway sent nothing for too long").unwrap_or(0) > 0
    }

    pub fn status(&self) -> u16 {
        let head = self.head.as_ref().expect("the head was read");
        head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let head = self.head.as_ref().expect("the head was read");
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value)
    }

    /// The id to cancel this request by.
    pub fn id(&self) -> String {
        self.header("x-request-id").expect("every response has an id").to_owned()
    }

    /// Reads until the body holds `text`; gives the body so far.
    pub async fn read_until(&mut self, text: &str) -> String {
        self.read_head().await;
        loop {
            self.take_chunks();
            let body = String::from_utf8_lossy(&self.body).into_owned();
            if body.contains(text) {
                return body;
            }
            assert!(self.ended.is_none(), "the body ended without `{text}`:\n{body}");
            assert!(self.read_more().await, "the connection broke before `{text}`:\n{body}");
        }
    }

    /// Reads until the body holds so many whole events, or is over; gives the body so far, and
    /// whether it is over.
    pub async fn read_events(&mut self, count: usize) -> (String, bool) {
        self.read_head().await;
        loop {
            self.take_chunks();
            let body = String::from_utf8_lossy(&self.body);
            if self.ended.is_some() || body.matches("\n\n").count() >= count {
                return (body.into_owned(), self.ended.is_some());
            }
            assert!(self.read_more().await, "the connection broke");
        }
    }

    /// Reads to the end.
    pub async fn whole(mut self) -> Response {
        self.read_head().await;
        let length = self.header("content-length").map(|value| value.parse::<usize>().unwrap());
        loop {
            match length {
                Some(length) if self.raw.len() >= length => {
                    self.body = std::mem::take(&mut self.raw);
                    self.ended = Some(true);
                }
                None => self.take_chunks(),
                Some(_) => {}
            }
            if self.ended.is_some() || !self.read_more().await {
                break;
            }
        }
        Response {
            status: self.status(),
            head: self.head.unwrap_or_default(),
            body: self.body,
            proper_end: self.ended == Some(true),
        }
    }

    /// Moves complete chunks from the raw bytes to the body.
    fn take_chunks(&mut self) {
        while self.ended.is_none() {
            let Some(line_end) = self.raw.windows(2).position(|two| two == b"\r\n") else { return };
            let size = std::str::from_utf8(&self.raw[..line_end]).unwrap();
            let size = usize::from_str_radix(size, 16).expect("a chunk begins with its size");
            if self.raw.len() < line_end + 2 + size + 2 {
                return;
            }
            let chunk = self.raw.drain(..line_end + 2 + size + 2).skip(line_end + 2).take(size);
            self.body.extend(chunk);
            if size == 0 {
                self.ended = Some(true);
            }
        }
    }
}

/// A response that is over.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    body: Vec<u8>,
    /// Whether the body ended as HTTP says it must.
    pub proper_end: bool,
}

/// One server-sent event.
#[derive(Debug, Clone, PartialEq)]
pub struct SseEvent {
    pub id: Option<String>,
    pub name: Option<String>,
    pub data: String,
}

impl SseEvent {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {}", self.data))
    }
}

impl Response {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("bodies are UTF-8")
    }

    pub fn json(&self) -> Value {
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value)
    }

    /// The body's events, comments left out.
    pub fn events(&self) -> Vec<SseEvent> {
        let text = self.text();
        let blocks = text.split("\n\n").filter_map(parse_event);
        blocks.collect()
    }

    /// The text of a native answer.
    pub fn native_text(&self) -> String {
        let chunks = self
            .events()
            .into_iter()
            .filter(|event| event.name.as_deref() == Some("chat.completion.chunk"));
        chunks
            .map(|event| event.json()["content"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// The text of an OpenAI answer.
    pub fn openai_text(&self) -> String {
        let frames = self.events().into_iter().filter(|event| event.data != "[DONE]");
        frames
            .map(|frame| {
                frame.json()["choices"][0]["delta"]["content"].as_str().unwrap_or("").to_owned()
            })
            .collect()
    }
}

fn parse_event(block: &str) -> Option<SseEvent> {
    let field = |name: &str| {
        let mut lines = block.lines().filter_map(|line| line.strip_prefix(name));
        lines.next().map(|value| value.strip_prefix(' ').unwrap_or(value).to_owned())
    };
    let data = field("data:")?;
    Some(SseEvent { id: field("id:"), name: field("event:"), data })
}
