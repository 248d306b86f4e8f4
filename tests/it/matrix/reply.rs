//! An answer in HTTP's framing, and what has been told when it stops at any of its bytes.

use super::answer::{Dialect, Frame, Provider, Said, Script, Wire};

/// How HTTP marks the end of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Chunked,
    /// By `Content-Length`.
    Sized,
    /// By the end of the connection.
    UntilClose,
}

/// How the upstream stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The connection, or the body, ends in good order: a last frame that lacks nothing but its
    /// line end counts.
    Orderly,
    /// Reset, or HTTP's framing breaks: what is not whole is lost.
    Broken,
}

/// Who asks, and what is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    pub provider: Provider,
    pub dialect: Dialect,
    pub script: Script,
}

impl Case {
    pub fn all() -> impl Iterator<Item = Self> {
        let pairs = Provider::ALL
            .into_iter()
            .flat_map(|provider| Dialect::ALL.into_iter().map(move |dialect| (provider, dialect)));
        pairs.flat_map(|(provider, dialect)| {
            Script::ALL.into_iter().map(move |script| Self { provider, dialect, script })
        })
    }

    pub fn wire(self) -> Wire {
        Wire::of(self.provider, self.dialect)
    }

    pub fn frames(self) -> Vec<Frame> {
        self.script.frames(self.provider, self.wire())
    }

    pub fn head(self, framing: Framing, length: usize) -> String {
        head(self.wire().content_type(), framing, length)
    }

    /// Whether a streaming client sees the frame.
    fn shows(self, frame: &Frame) -> bool {
        match self.dialect {
            Dialect::NativeStream | Dialect::AnthropicStream | Dialect::ResponsesStream => {
                !frame.said.is_empty()
            }
            // Relayed, but for the end mark.
            Dialect::OpenAiStream => !frame.is_last,
            Dialect::OllamaStream if self.provider == Provider::Ollama => !frame.is_last,
            // Calls wait until the answer is whole.
            Dialect::OllamaStream => !frame.said.is_empty() && frame.said.calls.is_empty(),
            Dialect::NativeWhole
            | Dialect::OpenAiWhole
            | Dialect::AnthropicWhole
            | Dialect::ResponsesWhole
            | Dialect::OllamaWhole => false,
        }
    }
}

/// The head of a 200.
pub fn head(content_type: &str, framing: Framing, length: usize) -> String {
    let body = match framing {
        Framing::Chunked => "Transfer-Encoding: chunked\r\n".to_owned(),
        Framing::Sized => format!("Content-Length: {length}\r\n"),
        Framing::UntilClose => "Connection: close\r\n".to_owned(),
    };
    format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n{body}\r\n")
}

/// What an upstream has told by the point where it stops.
#[derive(Debug, Clone, Default)]
pub struct Told {
    pub said: Said,
    /// A streaming client has been given something.
    pub shows: bool,
    /// There is evidence that the answer is whole.
    pub finished: bool,
    /// The end mark was there: what follows does not count.
    pub closed: bool,
}

impl Told {
    /// What the first `bytes` of a body made of `frames` tell.
    pub fn by(case: Case, frames: &[Frame], bytes: usize, stop: Stop) -> Self {
        let mut told = Self::default();
        // A document is read at the end of its body; here there is none.
        if case.wire() == Wire::Json && stop == Stop::Broken {
            return told;
        }
        let mut begin = 0;
        for frame in frames {
            let needed = match stop {
                Stop::Orderly => frame.enough,
                Stop::Broken => frame.bytes.len(),
            };
            if bytes < begin + needed || told.closed {
                break;
            }
            begin += frame.bytes.len();
            told.said.add(&frame.said);
            told.shows |= case.shows(frame);
            told.finished |= frame.finishes;
            told.closed |= frame.is_last;
        }
        told
    }

    /// Where in the answer that is.
    pub fn place(&self) -> &'static str {
        match self {
            Self { closed: true, .. } => "behind the end mark",
            Self { finished: true, .. } => "behind the finish reason",
            Self { said, .. } if said.is_empty() => "before the first piece",
            _ => "in the answer",
        }
    }
}

/// A whole response as it goes over the wire.
pub struct Reply {
    pub raw: Vec<u8>,
    pub head: usize,
    /// For each count of raw bytes, how many bytes of the body are among them.
    body: Vec<usize>,
    /// For each count of raw bytes, whether the next one is HTTP's own.
    framing: Vec<bool>,
    /// Whether HTTP's framing tells the end of the body.
    marked: bool,
}

impl Reply {
    pub fn new(case: Case, framing: Framing, frames: &[Frame]) -> Self {
        let length = frames.iter().map(|frame| frame.bytes.len()).sum();
        let head = case.head(framing, length);
        let mut reply = Self {
            raw: Vec::new(),
            head: head.len(),
            body: vec![0],
            framing: Vec::new(),
            marked: framing != Framing::UntilClose,
        };
        reply.push(head.as_bytes(), true);
        for frame in frames {
            let data = &frame.bytes;
            if framing == Framing::Chunked {
                reply.push(format!("{:x}\r\n", data.len()).as_bytes(), true);
                reply.push(data, false);
                reply.push(b"\r\n", true);
            } else {
                reply.push(data, false);
            }
        }
        if framing == Framing::Chunked {
            reply.push(b"0\r\n\r\n", true);
        }
        reply
    }

    fn push(&mut self, bytes: &[u8], framing: bool) {
        for byte in bytes {
            let before = self.body[self.raw.len()];
            self.raw.push(*byte);
            self.framing.push(framing);
            self.body.push(before + usize::from(!framing));
        }
    }

    pub fn body_at(&self, at: usize) -> usize {
        self.body[at]
    }

    /// Whether a cut at `at` leaves a piece of HTTP's framing behind that is not whole.
    pub fn within_framing(&self, at: usize) -> bool {
        at > self.head && at < self.raw.len() && self.framing[at] && self.framing[at - 1]
    }

    /// Whether a cut at `at` is right before, right behind or shortly within a frame.
    pub fn is_edge(&self, at: usize) -> bool {
        let within = at.saturating_sub(9);
        let begins = |at: usize| {
            at >= self.head && self.framing.get(at) != self.framing.get(at.wrapping_sub(1))
        };
        begins(at) || begins(within)
    }

    /// How the body stops when the connection is closed, or reset, at `at`.
    pub fn stop(&self, at: usize, reset: bool) -> Stop {
        let ended = self.marked && at == self.raw.len();
        if reset && !ended { Stop::Broken } else { Stop::Orderly }
    }
}
