//! Reads an HTTP response as it arrives: its head, then its body, in chunks or of a known length.

use memchr::memchr;

use crate::answer::Fault;

/// The header by which the gateway names a request, and the stream it opened.
const REQUEST_ID: &str = "x-request-id";

/// What matters of a response's head.
#[derive(Debug, Default)]
pub struct Head {
    pub status: u16,
    pub is_chunked: bool,
    pub id: Option<String>,
    length: usize,
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
    /// So many bytes are left of a body of known length.
    Sized(usize),
    Done,
}

/// A response that is being read.
#[derive(Debug)]
pub struct Response {
    head: Option<Head>,
    position: Position,
    /// What has come of an element that is not complete: the head, or a chunk's length.
    partial: Vec<u8>,
}

impl Response {
    pub const fn new() -> Self {
        Self { head: None, position: Position::Head, partial: Vec::new() }
    }

    /// The head, once it is complete.
    pub const fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Whether the body came to its proper end.
    pub const fn is_done(&self) -> bool {
        matches!(self.position, Position::Done)
    }

    /// Takes the next bytes of the response; gives those of the body to `body`.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        mut body: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        while !bytes.is_empty() {
            bytes = match self.position {
                Position::Head => self.take_head(bytes)?,
                Position::ChunkLength => self.chunk_length(bytes)?,
                Position::Chunk(left) => {
                    let (now, later) = bytes.split_at(left.min(bytes.len()));
                    body(now)?;
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
                    self.position =
                        if now == left { Position::Done } else { Position::BodyEnd(left - now) };
                    &bytes[now..]
                }
                Position::Sized(left) => {
                    let (now, later) = bytes.split_at(left.min(bytes.len()));
                    body(now)?;
                    self.position = Self::sized(left - now.len());
                    later
                }
                Position::Done => return Err(Fault::Trailing),
            };
        }
        Ok(())
    }

    const fn sized(left: usize) -> Position {
        if left == 0 { Position::Done } else { Position::Sized(left) }
    }

    fn take_head<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        let before = self.partial.len();
        self.partial.extend_from_slice(bytes);
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(end) = response.parse(&self.partial)? else {
            return Ok(&[]);
        };
        let mut head = Head { status: response.code.unwrap_or_default(), ..Head::default() };
        for header in response.headers.iter() {
            let value = std::str::from_utf8(header.value).unwrap_or_default();
            if header.name.eq_ignore_ascii_case("transfer-encoding") {
                head.is_chunked = value == "chunked";
            } else if header.name.eq_ignore_ascii_case("content-length") {
                head.length = value.parse().unwrap_or_default();
            } else if header.name.eq_ignore_ascii_case(REQUEST_ID) {
                head.id = Some(value.to_owned());
            }
        }
        self.position =
            if head.is_chunked { Position::ChunkLength } else { Self::sized(head.length) };
        self.head = Some(head);
        self.partial.clear();
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
}

/// Cuts a body into lines.
#[derive(Debug, Default)]
pub struct Lines {
    /// What has come of a line that is not complete.
    partial: Vec<u8>,
}

impl Lines {
    pub const fn new() -> Self {
        Self { partial: Vec::new() }
    }

    /// Takes the next bytes; gives each complete line to `line`, without its end.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        mut line: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        while let Some(end) = memchr(b'\n', bytes) {
            if self.partial.is_empty() {
                line(&bytes[..end])?;
            } else {
                self.partial.extend_from_slice(&bytes[..end]);
                let whole = std::mem::take(&mut self.partial);
                line(&whole)?;
            }
            bytes = &bytes[end + 1..];
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }
}
