//! What one answer is to be: told to the upstream in the prompt, which passes every dialect.

use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use memchr::memmem;

use crate::mishap::Mishap;

/// How a request and its answer are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    /// `POST /v1/chat/completions`, server-sent events.
    OpenAi,
    /// `POST /v1/responses` of OpenAI, server-sent events.
    Responses,
    /// `POST /v1/messages` of Anthropic, server-sent events.
    Anthropic,
    /// `POST /api/chat` of Ollama, a JSON document a line.
    Ollama,
    /// `POST /api/chat` of Tidegate, server-sent events.
    Native,
}

impl Dialect {
    /// Where its requests go.
    pub const fn path(self) -> &'static str {
        match self {
            Self::OpenAi => "/v1/chat/completions",
            Self::Responses => "/v1/responses",
            Self::Anthropic => "/v1/messages",
            // Where the gateway has Ollama's. The upstream takes any path that is not OpenAI's.
            Self::Ollama => "/ollama/api/chat",
            Self::Native => "/api/chat",
        }
    }

    /// What stands before the number of a token.
    pub const fn token_mark(self) -> &'static [u8] {
        match self {
            Self::Responses => br#""delta":"t"#,
            Self::Anthropic => br#""text":"t"#,
            _ => br#""content":"t"#,
        }
    }

    /// What stands in the last line of a whole answer, and in no other.
    pub const fn end_mark(self) -> &'static [u8] {
        match self {
            Self::OpenAi => b"data: [DONE]",
            Self::Responses => br#""type":"response.completed""#,
            Self::Anthropic => br#""type":"message_stop""#,
            Self::Ollama => br#""done":true"#,
            Self::Native => br#""finishReason":"stop""#,
        }
    }
}

const PROMPT: &str = "bench ";

/// One answer: so many tokens, one every so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// Names the request, so that what the upstream sees of it can be told apart.
    pub id: u64,
    pub tokens: u64,
    /// Zero: as fast as they can be written.
    pub interval: Duration,
    /// So many tokens are written at a time; engines write each by itself.
    pub burst: u64,
    /// What happens to it,
    pub mishap: Mishap,
    /// after so many tokens.
    pub at: u64,
}

impl Script {
    /// The whole HTTP request, for the model of that name.
    pub fn request(&self, dialect: Dialect, model: &str, host: &str) -> Vec<u8> {
        let stream = if dialect == Dialect::Native { "" } else { r#""stream":true,"# };
        self.post(dialect, model, host, stream)
    }

    /// The same, from a client that may come back.
    pub fn request_kept(&self, dialect: Dialect, model: &str, host: &str) -> Vec<u8> {
        self.request(dialect, model, &format!("{host}\r\nX-Resumable: true"))
    }

    /// The same, for an answer in one piece.
    pub fn request_whole(&self, dialect: Dialect, model: &str, host: &str) -> Vec<u8> {
        self.post(dialect, model, host, r#""stream":false,"#)
    }

    fn post(&self, dialect: Dialect, model: &str, host: &str, stream: &str) -> Vec<u8> {
        let Self { id, tokens, interval, burst, mishap, at } = self;
        let (interval, mishap) = (interval.as_micros(), mishap.number());
        let prompt = format!("{PROMPT}{id} {tokens} {interval} {burst} {mishap} {at} .");
        let asked = match dialect {
            Dialect::Responses => format!(r#""input":"{prompt}""#),
            Dialect::Anthropic => format!(
                r#""max_tokens":1000000000,"messages":[{{"role":"user","content":"{prompt}"}}]"#
            ),
            _ => format!(r#""messages":[{{"role":"user","content":"{prompt}"}}]"#),
        };
        let body = format!(r#"{{"model":"{model}",{stream}{asked}}}"#);
        post(dialect.path(), host, &body)
    }

    /// Reads the script from a request body of any dialect.
    pub fn find(body: &[u8]) -> Option<Self> {
        let start = memmem::find(body, PROMPT.as_bytes())? + PROMPT.len();
        let text = std::str::from_utf8(body.get(start..)?).ok()?;
        let mut numbers = text.split(' ').map_while(|word| word.parse::<u64>().ok());
        Some(Self {
            id: numbers.next()?,
            tokens: numbers.next()?,
            interval: Duration::from_micros(numbers.next()?),
            burst: numbers.next()?,
            mishap: *Mishap::ALL.get(usize::try_from(numbers.next()?).ok()?)?,
            at: numbers.next()?,
        })
    }
}

/// A whole HTTP request that posts a JSON document.
pub fn post(path: &str, host: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Writes the frames of one answer, each ready to be sent as one HTTP chunk.
///
/// The shapes are those of llama.cpp's server and of Ollama.
pub struct Frames {
    dialect: Dialect,
    /// Stands in every token behind its number.
    mark: String,
    frame: String,
    chunk: String,
}

impl Frames {
    pub fn new(dialect: Dialect) -> Self {
        let (frame, chunk) = (String::with_capacity(512), String::with_capacity(512));
        Self { dialect, mark: String::new(), frame, chunk }
    }

    /// Frames whose tokens name their stream, so that one that strays is known.
    pub fn marked(dialect: Dialect, id: u64) -> Self {
        Self { mark: mark(id), ..Self::new(dialect) }
    }

    pub const fn head(&self) -> &'static str {
        match self.dialect {
            Dialect::Ollama => {
                "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\
                 Transfer-Encoding: chunked\r\n\r\n"
            }
            _ => {
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                 Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
            }
        }
    }

    /// The tokens of these numbers, in one HTTP chunk.
    pub fn tokens(&mut self, indices: Range<u64>) -> &[u8] {
        self.frame.clear();
        for index in indices {
            self.token(index);
        }
        self.as_chunk(false)
    }

    fn token(&mut self, index: u64) {
        let Self { mark, .. } = self;
        // Writing to a string cannot fail.
        let _ = match self.dialect {
            Dialect::Ollama => writeln!(
                self.frame,
                r#"{{"model":"bench","created_at":"2026-11-23T03:17:09.262632805Z","message":{{"role":"assistant","content":"t{index}{mark} "}},"done":false}}"#
            ),
            _ => write!(
                self.frame,
                "data: {{\"choices\":[{{\"finish_reason\":null,\"index\":0,\"delta\":{{\"content\":\"t{index}{mark} \"}}}}],\"created\":1795403305,\"id\":\"chatcmpl-zw8nCAMRDMJkghWCCIkXasiPQaW8HpUF\",\"model\":\"bench\",\"system_fingerprint\":\"b0-unknown\",\"object\":\"chat.completion.chunk\"}}\n\n"
            ),
        };
    }

    /// The finish reason, the end mark and the last chunk of the body.
    pub fn end(&mut self, tokens: u64) -> &[u8] {
        self.frame.clear();
        let _ = match self.dialect {
            Dialect::Ollama => writeln!(
                self.frame,
                r#"{{"model":"bench","created_at":"2026-11-23T03:17:09.262632805Z","message":{{"role":"assistant","content":""}},"done":true,"done_reason":"stop","total_duration":1,"load_duration":1,"prompt_eval_count":5,"prompt_eval_duration":1,"eval_count":{tokens},"eval_duration":1}}"#
            ),
            _ => write!(
                self.frame,
                "data: {{\"choices\":[{{\"finish_reason\":\"stop\",\"index\":0,\"delta\":{{}}}}],\"created\":1795403305,\"id\":\"chatcmpl-zw8nCAMRDMJkghWCCIkXasiPQaW8HpUF\",\"model\":\"bench\",\"system_fingerprint\":\"b0-unknown\",\"object\":\"chat.completion.chunk\"}}\n\ndata: [DONE]\n\n"
            ),
        };
        self.as_chunk(true)
    }

    fn as_chunk(&mut self, is_last: bool) -> &[u8] {
        let end = if is_last { "0\r\n\r\n" } else { "" };
        self.chunk.clear();
        let _ = write!(self.chunk, "{:x}\r\n{}\r\n{end}", self.frame.len(), self.frame);
        self.chunk.as_bytes()
    }
}

/// How the tokens of a stream name it.
pub fn mark(id: u64) -> String {
    format!("i{id}")
}

#[cfg(test)]
mod tests {
    use super::Dialect::{Anthropic, Native, Ollama, OpenAi, Responses};
    use super::*;

    #[test]
    fn the_upstream_reads_the_script_that_the_request_tells() {
        let (mishap, at) = (Mishap::Stall, 5);
        let interval = Duration::from_micros(2500);
        let script = Script { id: 7, tokens: 12, interval, burst: 3, mishap, at };
        for dialect in [OpenAi, Responses, Anthropic, Ollama, Native] {
            assert_eq!(Script::find(&script.request(dialect, "m", "h")), Some(script));
        }
        assert_eq!(Script::find(b"{\"messages\":[]}"), None);
    }
}
