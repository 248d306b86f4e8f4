//! Reads an answer as it arrives and holds it to the script: every token, in order, once.

use memchr::{memchr, memmem};

use crate::script::Dialect;

/// What is wrong with an answer.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Fault {
    #[error("the response is no HTTP/1.1: {0}")]
    Head(#[from] httparse::Error),
    #[error("status {status}: {text}")]
    Status { status: u16, text: String },
    #[error("the body does not come in chunks")]
    NotChunked,
    #[error("a chunk's length is no number: {0:?}")]
    ChunkLength(String),
    #[error("token {found} came where token {expected} was due")]
    Order { expected: u64, found: u64 },
    #[error("the body ended after {tokens} of {expected} tokens, end mark seen: {marked}")]
    Incomplete { tokens: u64, expected: u64, marked: bool },
    #[error("bytes follow the end of the body")]
    Trailing,
    #[error("the connection closed after {0} tokens")]
    Closed(u64),
    #[error("{0}")]
    Io(String),
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

/// Where in the response the reader is.
#[derive(Debug)]
enum Position {
    Head,
    ChunkLength,
    /// So many bytes are left of a chunk.
    Chunk(usize),
    /// So many bytes are left of the line end behind a chunk.
    ChunkEnd(usize),
    /// So many bytes are left of the line end behind the last chunk.
    BodyEnd(usize),
    Done,
}

/// A response that is being read.
#[derive(Debug)]
pub struct Answer {
    dialect: Dialect,
    expected: u64,
    tokens: u64,
    marked: bool,
    position: Position,
    /// What has come of an element that is not complete: the head, or a chunk's length.
    partial: Vec<u8>,
    /// What has come of a line of the body.
    line: Vec<u8>,
}

const CONTENT: &[u8] = br#""content":"t"#;

impl Answer {
    pub const fn new(dialect: Dialect, expected: u64) -> Self {
        Self {
            dialect,
            expected,
            tokens: 0,
            marked: false,
            position: Position::Head,
            partial: Vec::new(),
            line: Vec::new(),
        }
    }

    /// The tokens that have come so far.
    pub const fn tokens(&self) -> u64 {
        self.tokens
    }

    pub const fn is_done(&self) -> bool {
        matches!(self.position, Position::Done)
    }

    /// Takes the next bytes of the response.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        while !bytes.is_empty() {
            bytes = match self.position {
                Position::Head => self.head(bytes)?,
                Position::ChunkLength => self.chunk_length(bytes)?,
                Position::Chunk(left) => {
                    let (now, later) = bytes.split_at(left.min(bytes.len()));
                    self.lines(now)?;
                    let left = left - now.len();
                    self.position =
                        if left == 0 { Position::ChunkEnd(2) } else { Position::Chunk(left) };
                    later
                }
                Position::ChunkEnd(left) => {
                    let now = left.min(bytes.len());
                    self.position = if now == left {
                        Position::ChunkLength
                    } else {
                        Position::ChunkEnd(left - now)
                    };
                    &bytes[now..]
                }
                Position::BodyEnd(left) => {
                    let now = left.min(bytes.len());
                    if now == left {
                        self.whole()?;
                        self.position = Position::Done;
                    } else {
                        self.position = Position::BodyEnd(left - now);
                    }
                    &bytes[now..]
                }
                Position::Done => return Err(Fault::Trailing),
            };
        }
        Ok(())
    }

    fn head<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        let before = self.partial.len();
        self.partial.extend_from_slice(bytes);
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(end) = response.parse(&self.partial)? else {
            return Ok(&[]);
        };
        let status = response.code.unwrap_or_default();
        if status != 200 {
            let text = String::from_utf8_lossy(&self.partial[end..]).into_owned();
            return Err(Fault::Status { status, text });
        }
        let is_chunked = response.headers.iter().any(|header| {
            header.name.eq_ignore_ascii_case("transfer-encoding") && header.value == b"chunked"
        });
        if !is_chunked {
            return Err(Fault::NotChunked);
        }
        self.partial.clear();
        self.position = Position::ChunkLength;
        Ok(&bytes[end - before..])
    }

    fn chunk_length<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        let Some(end) = memchr(b'\n', bytes) else {
            self.partial.extend_from_slice(bytes);
            return Ok(&[]);
        };
        self.partial.extend_from_slice(&bytes[..end]);
        let text = std::str::from_utf8(&self.partial).unwrap_or_default().trim();
        let length = usize::from_str_radix(text, 16)
            .map_err(|_| Fault::ChunkLength(String::from_utf8_lossy(&self.partial).into()))?;
        self.partial.clear();
        self.position = if length == 0 { Position::BodyEnd(2) } else { Position::Chunk(length) };
        Ok(&bytes[end + 1..])
    }

    fn lines(&mut self, mut body: &[u8]) -> Result<(), Fault> {
        while let Some(end) = memchr(b'\n', body) {
            if self.line.is_empty() {
                self.check(&body[..end])?;
            } else {
                self.line.extend_from_slice(&body[..end]);
                let line = std::mem::take(&mut self.line);
                self.check(&line)?;
            }
            body = &body[end + 1..];
        }
        self.line.extend_from_slice(body);
        Ok(())
    }

    fn check(&mut self, line: &[u8]) -> Result<(), Fault> {
        if let Some(at) = memmem::find(line, CONTENT) {
            let digits = line[at + CONTENT.len()..].iter().take_while(|byte| byte.is_ascii_digit());
            let found = digits.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
            if found != self.tokens || self.marked {
                return Err(Fault::Order { expected: self.tokens, found });
            }
            self.tokens += 1;
        } else if memmem::find(line, self.dialect.end_mark()).is_some() {
            self.marked = true;
        }
        Ok(())
    }

    fn whole(&self) -> Result<(), Fault> {
        let Self { tokens, expected, marked, .. } = *self;
        if tokens == expected && marked {
            return Ok(());
        }
        Err(Fault::Incomplete { tokens, expected, marked })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Frames;

    fn response(dialect: Dialect, indices: &[u64]) -> Vec<u8> {
        let mut frames = Frames::new(dialect);
        let mut bytes = frames.head().as_bytes().to_vec();
        for index in indices {
            bytes.extend_from_slice(frames.tokens(*index..*index + 1));
        }
        bytes.extend_from_slice(frames.end(indices.len() as u64));
        bytes
    }

    fn read(dialect: Dialect, expected: u64, parts: &[&[u8]]) -> Result<Answer, Fault> {
        let mut answer = Answer::new(dialect, expected);
        for part in parts {
            answer.feed(part)?;
        }
        Ok(answer)
    }

    #[test]
    fn a_whole_answer_is_read_alike_at_every_split() {
        for dialect in [Dialect::OpenAi, Dialect::Ollama] {
            let bytes = response(dialect, &[0, 1, 2]);
            for split in 0..=bytes.len() {
                let (first, second) = bytes.split_at(split);
                let answer = read(dialect, 3, &[first, second]).unwrap();
                assert!(answer.is_done() && answer.tokens() == 3, "split at {split}");
            }
        }
    }

    #[test]
    fn lost_doubled_and_swapped_tokens_are_found() {
        let fault = |indices: &[u64]| {
            read(Dialect::OpenAi, 3, &[&response(Dialect::OpenAi, indices)]).unwrap_err()
        };
        assert_eq!(fault(&[0, 2]), Fault::Order { expected: 1, found: 2 });
        assert_eq!(fault(&[0, 1, 1]), Fault::Order { expected: 2, found: 1 });
        assert_eq!(fault(&[1, 0, 2]), Fault::Order { expected: 0, found: 1 });
        assert_eq!(fault(&[0, 1]), Fault::Incomplete { tokens: 2, expected: 3, marked: true });
    }

    #[test]
    fn an_answer_without_its_end_mark_is_not_whole() {
        let bytes = response(Dialect::OpenAi, &[0]);
        let text = String::from_utf8(bytes).unwrap().replace("[DONE]", "[GONE]");
        let fault = read(Dialect::OpenAi, 1, &[text.as_bytes()]).unwrap_err();
        assert_eq!(fault, Fault::Incomplete { tokens: 1, expected: 1, marked: false });
    }

    #[test]
    fn what_is_no_answer_is_a_fault() {
        let refused = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno";
        let fault = read(Dialect::Native, 1, &[refused]).unwrap_err();
        assert_eq!(fault, Fault::Status { status: 503, text: "no".to_owned() });
        let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno";
        assert_eq!(read(Dialect::Native, 1, &[plain]).unwrap_err(), Fault::NotChunked);
        let mut twice = response(Dialect::OpenAi, &[0]);
        twice.push(b'x');
        assert_eq!(read(Dialect::OpenAi, 1, &[&twice]).unwrap_err(), Fault::Trailing);
    }
}
