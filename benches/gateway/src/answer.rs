//! Reads an answer as it arrives and holds it to the script: every token, in order, once.

use memchr::memmem;

use crate::response::{Lines, Response};
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

/// A response that is being read.
#[derive(Debug)]
pub struct Answer {
    response: Response,
    lines: Lines,
    text: Text,
    /// The body of a refusal.
    refusal: Vec<u8>,
}

/// What the lines of the body have said.
#[derive(Debug)]
struct Text {
    dialect: Dialect,
    expected: u64,
    tokens: u64,
    marked: bool,
}

/// The number of the token in that line, if there is one.
pub fn token(dialect: Dialect, line: &[u8]) -> Option<u64> {
    let mark = dialect.token_mark();
    let at = memmem::find(line, mark)?;
    let digits = line[at + mark.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

impl Answer {
    pub const fn new(dialect: Dialect, expected: u64) -> Self {
        Self {
            response: Response::new(),
            lines: Lines::new(),
            text: Text { dialect, expected, tokens: 0, marked: false },
            refusal: Vec::new(),
        }
    }

    /// The tokens that have come so far.
    pub const fn tokens(&self) -> u64 {
        self.text.tokens
    }

    pub const fn is_done(&self) -> bool {
        self.response.is_done()
    }

    /// Takes the next bytes of the response.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let Self { response, lines, text, refusal } = self;
        let is_good = response.head().is_some_and(|head| head.status == 200);
        if is_good {
            response.feed(bytes, |body| lines.feed(body, |line| text.check(line)))?;
        } else {
            // The head, and what came along with it.
            response.feed(bytes, |body| {
                refusal.extend_from_slice(body);
                Ok(())
            })?;
            self.begin()?;
        }
        if self.is_done() { self.text.whole() } else { Ok(()) }
    }

    /// Reads what came along with the head, once that is there.
    fn begin(&mut self) -> Result<(), Fault> {
        let Some(head) = self.response.head() else { return Ok(()) };
        if head.status != 200 {
            let (status, text) = (head.status, String::from_utf8_lossy(&self.refusal).into_owned());
            return Err(Fault::Status { status, text });
        }
        if !head.is_chunked {
            return Err(Fault::NotChunked);
        }
        let first = std::mem::take(&mut self.refusal);
        self.lines.feed(&first, |line| self.text.check(line))
    }
}

impl Text {
    fn check(&mut self, line: &[u8]) -> Result<(), Fault> {
        if let Some(found) = token(self.dialect, line) {
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
