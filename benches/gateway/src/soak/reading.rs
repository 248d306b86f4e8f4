//! Reads whatever answer comes, and tells what a client would make of it.

use memchr::memmem;
use serde_json::Value;

use super::case::Case;
use crate::answer::{self, Fault};
use crate::response::{Lines, Response};
use crate::script::{Dialect, mark};

/// How an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Complete,
    /// With an error of this code, within the stream or instead of it.
    Error(String),
}

/// So much of an error is kept for the report.
const KEPT: usize = 300;

/// An answer that is being read.
pub struct Reading {
    response: Response,
    lines: Lines,
    said: Said,
    /// The body of an answer that is no stream.
    body: Vec<u8>,
}

/// What the lines of a stream have said.
struct Said {
    dialect: Dialect,
    /// How the stream's tokens name it.
    mark: String,
    tokens: u64,
    has_finished: bool,
    end: Option<End>,
    /// The error as it came.
    error: String,
}

impl Reading {
    pub fn new(case: &Case) -> Self {
        let (dialect, mark) = (case.dialect, format!("{} ", mark(case.script.id)));
        let said =
            Said { dialect, mark, tokens: 0, has_finished: false, end: None, error: String::new() };
        Self { response: Response::new(), lines: Lines::new(), said, body: Vec::new() }
    }

    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let Self { response, lines, said, body } = self;
        // Bytes that come along with the head wait in the body for what the head says.
        if response.head().is_some_and(|head| head.is_chunked) {
            return response.feed(bytes, |bytes| lines.feed(bytes, |line| said.line(line)));
        }
        response.feed(bytes, |bytes| {
            body.extend_from_slice(bytes);
            Ok(())
        })?;
        if response.head().is_some_and(|head| head.is_chunked) {
            return lines.feed(&std::mem::take(body), |line| said.line(line));
        }
        Ok(())
    }

    pub const fn tokens(&self) -> u64 {
        self.said.tokens
    }

    pub const fn is_done(&self) -> bool {
        self.response.is_done()
    }

    pub fn status(&self) -> Option<u16> {
        self.response.head().map(|head| head.status)
    }

    /// By which a `DELETE` names the stream.
    pub fn id(&self) -> Option<String> {
        self.response.head()?.id.clone()
    }

    /// How it ended, once its body has; a stream that says nothing about its end is a fault.
    pub fn end(&self) -> Result<End, String> {
        let head = self.response.head().ok_or("no head")?;
        if head.is_chunked {
            return self.said.end.clone().ok_or_else(|| "a body without a terminal".to_owned());
        }
        let json: Value =
            serde_json::from_slice(&self.body).map_err(|error| format!("no JSON: {error}"))?;
        if head.status == 200 {
            return Ok(End::Complete);
        }
        let code = json["error"]["code"].as_str().or(json["error"].as_str());
        let code = code.ok_or_else(|| format!("no code in {json}"))?;
        Ok(End::Error(code.to_owned()))
    }

    /// The error as it came, within the stream or instead of it.
    pub fn error(&self) -> String {
        if self.said.error.is_empty() {
            return String::from_utf8_lossy(&self.body).chars().take(KEPT).collect();
        }
        self.said.error.clone()
    }

    /// The content of an answer in one piece.
    pub fn content(&self) -> Option<String> {
        let json: Value = serde_json::from_slice(&self.body).ok()?;
        let content = match self.said.dialect {
            Dialect::OpenAi => &json["choices"][0]["message"]["content"],
            _ => &json["content"],
        };
        content.as_str().map(str::to_owned)
    }
}

impl Said {
    fn line(&mut self, line: &[u8]) -> Result<(), Fault> {
        let Some(data) = line.strip_prefix(b"data: ") else { return Ok(()) };
        if self.end.is_some() {
            return Err(Fault::Io(format!("behind the end: {}", String::from_utf8_lossy(data))));
        }
        if let Some(found) = answer::token(self.dialect, data) {
            let text = format!("\"t{found}{}", self.mark);
            if found != self.tokens {
                return Err(Fault::Order { expected: self.tokens, found });
            }
            if memmem::find(data, text.as_bytes()).is_none() {
                let data = String::from_utf8_lossy(data);
                return Err(Fault::Io(format!("a token of another stream: {data}")));
            }
            self.tokens += 1;
            return Ok(());
        }
        let has = |text: &str| memmem::find(data, text.as_bytes()).is_some();
        self.has_finished |= has(r#""finish_reason":"stop""#) || has(r#""finishReason":"stop""#);
        let is_end = match self.dialect {
            Dialect::OpenAi => data == b"[DONE]",
            _ => has(r#""done":true"#),
        };
        if is_end && !self.has_finished {
            return Err(Fault::Io("an end without a finish reason".to_owned()));
        }
        if is_end {
            self.end = Some(End::Complete);
        } else if has(r#""code":"#) {
            self.end = Some(End::Error(code(data).map_err(Fault::Io)?));
            self.error = String::from_utf8_lossy(data).chars().take(KEPT).collect();
        }
        Ok(())
    }
}

/// The code of an error inside a stream.
fn code(data: &[u8]) -> Result<String, String> {
    let json: Value = serde_json::from_slice(data).map_err(|error| error.to_string())?;
    let code = json["code"].as_str().or(json["error"]["code"].as_str());
    code.map(str::to_owned).ok_or_else(|| format!("no code in {json}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(dialect: Dialect) -> Case {
        let cases = (0..).map(|id| Case::of(1, id));
        let mut case = cases.into_iter().find(|case| case.dialect == dialect).unwrap();
        case.script.id = 5;
        case
    }

    fn read(dialect: Dialect, frames: &[&str]) -> Result<(u64, Result<End, String>), Fault> {
        let mut reading = Reading::new(&case(dialect));
        reading.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for frame in frames {
            let frame = format!("data: {frame}\n\n");
            reading.feed(format!("{:x}\r\n{frame}\r\n", frame.len()).as_bytes())?;
        }
        reading.feed(b"0\r\n\r\n")?;
        assert!(reading.is_done());
        Ok((reading.tokens(), reading.end()))
    }

    const T0: &str = r#"{"content":"t0i5 "}"#;
    const FINISH: &str = r#"{"finish_reason":"stop"}"#;
    const ERROR: &str = r#"{"error":{"code":"TRUNCATED"}}"#;

    #[test]
    fn a_stream_has_one_end_and_no_more() {
        let complete = read(Dialect::OpenAi, &[T0, FINISH, "[DONE]"]);
        assert_eq!(complete, Ok((1, Ok(End::Complete))));
        let told = read(Dialect::OpenAi, &[T0, ERROR]);
        assert_eq!(told, Ok((1, Ok(End::Error("TRUNCATED".to_owned())))));
        let (_, silent) = read(Dialect::OpenAi, &[T0, FINISH]).unwrap();
        assert!(silent.is_err());
        for twice in [[T0, ERROR, ERROR], [T0, ERROR, "[DONE]"], [T0, ERROR, T0]] {
            assert!(read(Dialect::OpenAi, &twice).is_err(), "{twice:?}");
        }
        assert!(read(Dialect::OpenAi, &[T0, "[DONE]"]).is_err(), "no finish reason");
        let done = r#"{"done":true,"finishReason":"stop"}"#;
        assert_eq!(read(Dialect::Native, &[T0, done]), Ok((1, Ok(End::Complete))));
    }

    #[test]
    fn a_token_must_be_the_next_and_of_this_stream() {
        let next = read(Dialect::OpenAi, &[T0, r#"{"content":"t2i5 "}"#]);
        assert_eq!(next, Err(Fault::Order { expected: 1, found: 2 }));
        assert!(read(Dialect::OpenAi, &[r#"{"content":"t0i6 "}"#]).is_err());
    }
}
