//! The event stream decoder: the same frames at every split, as the standard says, within the
//! limit.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use tidegate_protocol::ErrorKind;
use tidegate_protocol::sse::{Frame, SseDecoder, encode_data};

use super::input::Input;

/// An event: its name and its data.
pub type Decoded = (Option<String>, String);

/// All that a decoder gave, from the first read to the end.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stream {
    pub frames: Vec<Decoded>,
    /// What the last frame holds, if it lacks its blank line.
    pub tail: Option<Decoded>,
    pub failure: Option<ErrorKind>,
}

/// # Panics
/// Where a promise is broken.
pub fn check(data: &[u8]) {
    let Some(input) = Input::parse(data) else { return };
    let whole = decode(input.limit, &input.whole());
    assert_eq!(decode(input.limit, &input.reads()), whole, "split");
    assert_eq!(whole, by_units(input.limit, input.stream), "by units");
    if let Ok(text) = std::str::from_utf8(input.stream) {
        let standard = by_the_standard(text);
        let (given, left) = standard.split_at(whole.frames.len().min(standard.len()));
        assert_eq!(whole.frames, given, "the standard");
        assert!(left.is_empty() || whole.failure.is_some(), "left out: {left:?}");
        let frame = decode(usize::MAX, &[encode_data(text)]);
        assert_eq!(frame.frames, [(None, text.replace(['\r', '\n'], " "))], "encoded");
    }
}

/// Runs a decoder over `reads` and the end of the body.
///
/// # Panics
/// When it keeps more than the limit, or lends a plain frame that is none.
#[must_use]
pub fn decode(limit: usize, reads: &[Bytes]) -> Stream {
    let mut decoder = SseDecoder::new(limit);
    let mut stream = Stream::default();
    for read in reads {
        decoder.feed(read.clone());
        while let Some(next) = decoder.next_frame().transpose() {
            match next {
                Ok(frame) => stream.frames.push(owned(&frame, limit)),
                Err(failure) => {
                    stream.failure = Some(failure.kind);
                    return stream;
                }
            }
        }
        assert!(decoder.held_bytes() <= limit, "{} bytes are held", decoder.held_bytes());
    }
    stream.tail = decoder.finish().map(|frame| owned(&frame, limit));
    stream
}

fn owned(frame: &Frame<'_>, limit: usize) -> Decoded {
    if let Some(plain) = &frame.plain {
        let bytes = &plain.source[plain.range.clone()];
        assert_eq!(bytes, format!("data: {}\n\n", frame.data).as_bytes(), "plain");
        assert!(!frame.data.contains(['\n', '\r']) && frame.event.is_none(), "plain");
        assert!(bytes.len() <= limit, "plain");
    }
    (frame.event.map(str::to_owned), frame.data.clone().into_owned())
}

/// The algorithm of the HTML standard, word for word, on a whole stream at once.
#[must_use]
pub fn by_the_standard(stream: &str) -> Vec<Decoded> {
    let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream);
    let stream = stream.replace("\r\n", "\n").replace('\r', "\n");
    let Some((whole_lines, _cut)) = stream.rsplit_once('\n') else { return Vec::new() };
    let (mut data, mut event) = (String::new(), None);
    let mut decoded = Vec::new();
    for line in whole_lines.split('\n') {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        if line.is_empty() {
            let (data, event) = (std::mem::take(&mut data), event.take());
            if let Some(data) = data.strip_suffix('\n') {
                decoded.push((event, data.to_owned()));
            }
        } else if field == "data" {
            data.push_str(value);
            data.push('\n');
        } else if field == "event" {
            event = Some(value.to_owned());
        }
    }
    decoded
}

/// What the decoder promises beyond the standard: limits, bytes that are not UTF-8, a last frame
/// without its blank line. Units are as in [`SseDecoder`].
fn by_units(limit: usize, stream: &[u8]) -> Stream {
    let mut found = Stream::default();
    let mut at = 0;
    loop {
        let unit = unit_at(stream, at);
        let (range, is_last) = unit.map_or((at..stream.len(), true), |range| (range, false));
        if range.len() > limit {
            found.failure = Some(ErrorKind::UpstreamProtocol);
            return found;
        }
        match fields(&stream[range.clone()], at == 0) {
            Ok(frame) if is_last => found.tail = frame,
            Ok(frame) => found.frames.extend(frame),
            // A character that was cut.
            Err(()) if is_last => {}
            Err(()) => {
                found.failure = Some(ErrorKind::UpstreamProtocol);
                return found;
            }
        }
        if is_last {
            return found;
        }
        at = range.end;
    }
}

/// The unit that begins at a place, if its end is there.
fn unit_at(stream: &[u8], begin: usize) -> Option<Range<usize>> {
    let mut at = begin;
    loop {
        let (line, end) = line_at(stream, at)?;
        if line.is_empty() || at == begin && line.starts_with(b":") {
            // The LF of a CRLF at the end of a unit is a unit of its own.
            return Some(begin..at + line.len() + 1);
        }
        at = end;
    }
}

/// The line that begins at a place, and where the next one does.
fn line_at(stream: &[u8], begin: usize) -> Option<(&[u8], usize)> {
    let rest = &stream[begin..];
    let length = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
    let line_end = if rest[length..].starts_with(b"\r\n") { 2 } else { 1 };
    Some((&rest[..length], begin + length + line_end))
}

fn fields(unit: &[u8], first: bool) -> Result<Option<Decoded>, ()> {
    let unit = if first { unit.strip_prefix("\u{feff}".as_bytes()).unwrap_or(unit) } else { unit };
    let (mut event, mut data) = (None, Vec::new());
    let mut at = 0;
    while at < unit.len() {
        let (line, end) = line_at(unit, at).unwrap_or((&unit[at..], unit.len()));
        at = end;
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..colon] {
            b"data" => data.push(value),
            b"event" => event = Some(value),
            _ => {}
        }
    }
    if data.is_empty() {
        return Ok(None);
    }
    let text = |bytes| std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| ());
    let data = data.into_iter().map(text).collect::<Result<Vec<_>, ()>>()?.join("\n");
    Ok(Some((event.map(text).transpose()?.map(Cow::into_owned), data)))
}
