//! Server-sent events: an incremental decoder that holds at every split, and one encoder.
//!
//! The decoder lends frames one by one. A *plain* frame (exactly one `data: ` line, ended by
//! LF LF) also says where its bytes stand in the read, so that a relay can pass on whole runs of
//! them without copying. Everything else the format allows is decoded as well: CR, LF and CRLF
//! line ends split anywhere, a byte order mark, comments, several data lines, `data:` without a
//! space. `id` is of no use to the gateway itself, only to clients that come back; `retry` is dropped.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

use crate::error::{ErrorKind, Failure};
pub use crate::runs::Plain;

/// Written on an idle stream. One newline: a comment followed by a blank line makes openai-python
/// dispatch an event without data, on which it fails.
pub const KEEP_ALIVE: &[u8] = b": k\n";
/// A comment in front of the first event that another model wrote; part of that event, as parsers
/// stumble over comments of their own.
pub const CONTINUED: &[u8] = b": continued\n";

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Frames one line of JSON. A line end in `data` can only be white space between two tokens, and
/// becomes a blank: no content can forge a frame.
#[must_use]
pub fn encode_data(data: &str) -> Bytes {
    let mut frame = BytesMut::with_capacity(data.len() + 8);
    frame.extend_from_slice(b"data: ");
    let mut rest = data.as_bytes();
    while let Some((line, after)) = split_at_line_end(rest) {
        frame.extend_from_slice(line);
        frame.extend_from_slice(b" ");
        rest = after;
    }
    frame.extend_from_slice(rest);
    frame.extend_from_slice(b"\n\n");
    frame.freeze()
}

/// One event as it was sent.
#[derive(Debug)]
pub struct Frame<'a> {
    pub event: Option<&'a str>,
    /// What a client that comes back says as `Last-Event-ID`.
    pub id: Option<&'a str>,
    /// Several data lines are joined by LF.
    pub data: Cow<'a, str>,
    /// Where the frame stands, if it is safe to be relayed as it came.
    pub plain: Option<Plain<'a>>,
}

/// Cuts an event stream into frames. Takes reads by [`feed`](Self::feed).
///
/// It works in *units*: a frame up to its blank line, or a comment or blank line that stands
/// between frames (the LF of a CRLF that ends a frame is such a blank line). Only the unit whose
/// end has not been read yet is kept, so memory is bounded by the frame limit, and an endless run
/// of keep-alive comments costs nothing.
#[derive(Debug)]
pub struct SseDecoder {
    max_frame_bytes: usize,
    read: Bytes,
    /// Where in the read the next unit begins.
    at: usize,
    /// The beginning of a unit whose end has not been read.
    carry: Vec<u8>,
    /// A unit that straddled reads, put together; frames are lent from it.
    joined: Bytes,
    scan: Scan,
    /// No unit has been taken: a byte order mark may come.
    at_start: bool,
}

/// Where in a unit the scan for its end stands.
#[derive(Debug, Clone, Copy)]
enum Scan {
    Start,
    /// In a comment line at the start of a unit: the line is the unit.
    Comment,
    InLine,
    LineStart {
        after_cr: bool,
    },
}

/// A whole unit: its bytes, and whether they are known to be a plain frame.
struct Unit {
    straddled: bool,
    range: Range<usize>,
    plain: bool,
}

/// Where the fields of a frame stand in its source.
#[derive(Default)]
struct Fields {
    event: Option<Range<usize>>,
    id: Option<Range<usize>>,
    data: Vec<Range<usize>>,
}

impl SseDecoder {
    /// A frame larger than `max_frame_bytes`, its line ends included, is a failure.
    #[must_use]
    pub fn new(max_frame_bytes: usize) -> Self {
        Self {
            max_frame_bytes,
            read: Bytes::new(),
            at: 0,
            carry: Vec::new(),
            joined: Bytes::new(),
            scan: Scan::Start,
            at_start: true,
        }
    }

    /// Takes the next read. All frames of the one before must have been taken.
    pub fn feed(&mut self, read: Bytes) {
        debug_assert!(self.at >= self.read.len(), "frames of the last read were left behind");
        self.read = read;
        self.at = 0;
    }

    /// Lends the next whole frame; none when the read is used up.
    ///
    /// # Errors
    /// [`ErrorKind::UpstreamProtocol`] for a frame over the limit or invalid UTF-8.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, Failure> {
        loop {
            let Some(unit) = self.next_unit()? else { return Ok(None) };
            let first = std::mem::replace(&mut self.at_start, false);
            if unit.plain {
                return lend_plain(self.source_of(&unit), unit.range).map(Some);
            }
            let fields = parse(self.source_of(&unit), unit.range.clone(), first);
            if !fields.data.is_empty() {
                return lend(self.source_of(&unit), &fields).map(Some);
            }
        }
    }

    /// The stream has ended: lends what its last frame would have held, had it been whole. It is
    /// the caller's to tell whether that frame was cut.
    pub fn finish(&mut self) -> Option<Frame<'_>> {
        self.joined = Bytes::from(std::mem::take(&mut self.carry));
        self.scan = Scan::Start;
        let first = std::mem::replace(&mut self.at_start, false);
        let fields = parse(&self.joined, 0..self.joined.len(), first);
        if fields.data.is_empty() {
            return None;
        }
        // Invalid UTF-8 here is a character that was cut.
        lend(&self.joined, &fields).ok()
    }

    /// Bytes kept from reads that are used up: at most one frame, so never more than the limit.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.carry.len() + self.joined.len()
    }

    fn next_unit(&mut self) -> Result<Option<Unit>, Failure> {
        let rest = self.read.get(self.at..).unwrap_or_default();
        let plain = if matches!(self.scan, Scan::Start) { plain_end(rest) } else { None };
        let Some(end) = plain.or_else(|| unit_end(&mut self.scan, rest)) else {
            return self.carry_over();
        };
        let range = self.at..self.at + end;
        self.at = range.end;
        self.check_bound(self.carry.len() + end)?;
        if self.carry.is_empty() {
            return Ok(Some(Unit { straddled: false, range, plain: plain.is_some() }));
        }
        let mut joined = std::mem::take(&mut self.carry);
        joined.extend_from_slice(self.read.get(range).unwrap_or_default());
        let plain = plain_end(&joined) == Some(joined.len());
        let range = 0..joined.len();
        self.joined = Bytes::from(joined);
        Ok(Some(Unit { straddled: true, range, plain }))
    }

    /// The read is used up but for the beginning of a unit. It may be long until the next one, and
    /// the client may hold nothing of what was lent: of both only that beginning is kept.
    fn carry_over(&mut self) -> Result<Option<Unit>, Failure> {
        let read = std::mem::take(&mut self.read);
        let begun = read.get(std::mem::take(&mut self.at)..).unwrap_or_default();
        self.joined = Bytes::new();
        self.check_bound(self.carry.len() + begun.len())?;
        self.carry.extend_from_slice(begun);
        Ok(None)
    }

    fn source_of(&self, unit: &Unit) -> &Bytes {
        if unit.straddled { &self.joined } else { &self.read }
    }

    fn check_bound(&self, size: usize) -> Result<(), Failure> {
        if size <= self.max_frame_bytes {
            return Ok(());
        }
        let message =
            format!("the upstream sent an event larger than {} bytes", self.max_frame_bytes);
        Err(Failure::new(ErrorKind::UpstreamProtocol, message))
    }
}

/// The end of the plain frame that `bytes` begin with, if they do.
fn plain_end(bytes: &[u8]) -> Option<usize> {
    if !bytes.starts_with(b"data: ") {
        return None;
    }
    let line_end = memchr2(b'\n', b'\r', bytes)?;
    bytes.get(line_end..)?.starts_with(b"\n\n").then_some(line_end + 2)
}

/// Scans on for the end of a unit; gives the index behind it and is then ready for the next.
fn unit_end(scan: &mut Scan, bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = bytes.get(at..)?;
        let is_line_end = matches!(rest.first()?, b'\n' | b'\r');
        match *scan {
            Scan::LineStart { after_cr: true } if rest.starts_with(b"\n") => {
                *scan = Scan::LineStart { after_cr: false };
                at += 1;
            }
            Scan::Start | Scan::LineStart { .. } if is_line_end => {
                *scan = Scan::Start;
                return Some(at + 1);
            }
            Scan::Start if rest.starts_with(b":") => *scan = Scan::Comment,
            Scan::Start | Scan::LineStart { .. } => *scan = Scan::InLine,
            Scan::Comment => {
                let end = memchr2(b'\n', b'\r', rest)?;
                *scan = Scan::Start;
                return Some(at + end + 1);
            }
            Scan::InLine => {
                let end = memchr2(b'\n', b'\r', rest)?;
                *scan = Scan::LineStart { after_cr: rest.get(end) == Some(&b'\r') };
                at += end + 1;
            }
        }
    }
}

/// Finds the fields of a unit. The empty line inside a CRLF is no line of its own, and blank lines
/// end a unit, so empty lines are passed over.
fn parse(source: &[u8], unit: Range<usize>, first: bool) -> Fields {
    let mut fields = Fields::default();
    let mut rest = source.get(unit.clone()).unwrap_or_default();
    if first {
        rest = rest.strip_prefix(BYTE_ORDER_MARK).unwrap_or(rest);
    }
    while !rest.is_empty() {
        let begin = unit.end - rest.len();
        let (line, after) = split_at_line_end(rest).unwrap_or((rest, &[]));
        rest = after;
        let value = |name: &[u8]| {
            let value = line.strip_prefix(name)?;
            let value = match value.strip_prefix(b":") {
                Some(value) => value.strip_prefix(b" ").unwrap_or(value),
                None if value.is_empty() => value,
                None => return None,
            };
            Some(begin + line.len() - value.len()..begin + line.len())
        };
        if let Some(data) = value(b"data") {
            fields.data.push(data);
        } else if let Some(event) = value(b"event") {
            fields.event = Some(event);
        } else if let Some(id) = value(b"id") {
            fields.id = Some(id);
        }
    }
    fields
}

fn split_at_line_end(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr2(b'\n', b'\r', bytes)?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

fn lend_plain(source: &Bytes, range: Range<usize>) -> Result<Frame<'_>, Failure> {
    let data = range.start + b"data: ".len()..range.end.saturating_sub(b"\n\n".len());
    let data = Cow::Borrowed(text(source, data)?);
    Ok(Frame { event: None, id: None, data, plain: Some(Plain { source, range }) })
}

fn lend<'a>(source: &'a Bytes, fields: &Fields) -> Result<Frame<'a>, Failure> {
    let event = fields.event.clone().map(|event| text(source, event)).transpose()?;
    // An upstream's id is of no use, so it cannot spoil a frame either.
    let id = fields.id.clone().and_then(|id| text(source, id).ok());
    let data = match fields.data.as_slice() {
        [one] => Cow::Borrowed(text(source, one.clone())?),
        many => {
            let lines: Result<Vec<_>, _> =
                many.iter().map(|line| text(source, line.clone())).collect();
            Cow::Owned(lines?.join("\n"))
        }
    };
    Ok(Frame { event, id, data, plain: None })
}

fn text(source: &Bytes, range: Range<usize>) -> Result<&str, Failure> {
    let bytes = source.get(range).unwrap_or_default();
    std::str::from_utf8(bytes).map_err(|_| {
        Failure::new(ErrorKind::UpstreamProtocol, "the upstream sent bytes that are not UTF-8")
    })
}
