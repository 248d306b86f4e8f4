//! The line decoder: the same lines at every split, within the limit.

use bytes::Bytes;
use tidegate_protocol::ErrorKind;
use tidegate_protocol::ndjson::NdjsonDecoder;

use super::input::Input;

/// The lines that were lent, and how it ended if not well.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Body {
    pub lines: Vec<String>,
    pub failure: Option<ErrorKind>,
}

/// # Panics
/// Where a promise is broken.
pub fn check(data: &[u8]) {
    let Some(input) = Input::parse(data) else { return };
    let whole = decode(input.limit, &input.whole());
    assert_eq!(decode(input.limit, &input.reads()), whole, "split");
    assert_eq!(whole, by_lines(input.limit, input.stream), "by lines");
}

/// Runs a decoder over `reads` and the end of the body.
///
/// # Panics
/// When it keeps more than the limit.
#[must_use]
pub fn decode(limit: usize, reads: &[Bytes]) -> Body {
    let mut decoder = NdjsonDecoder::new(limit);
    let mut body = Body::default();
    for read in reads {
        decoder.feed(read.clone());
        while let Some(next) = decoder.next_line().transpose() {
            match next {
                Ok(line) => body.lines.push(line.to_owned()),
                Err(failure) => return Body { failure: Some(failure.kind), ..body },
            }
        }
        assert!(decoder.held_bytes() <= limit, "{} bytes are held", decoder.held_bytes());
    }
    match decoder.finish() {
        Ok(tail) => body.lines.extend(tail.map(str::to_owned)),
        Err(failure) => body.failure = Some(failure.kind),
    }
    body
}

/// The same on a whole stream at once.
fn by_lines(limit: usize, stream: &[u8]) -> Body {
    let mut body = Body::default();
    for line in stream.split(|byte| *byte == b'\n') {
        if line.len() <= limit && line.trim_ascii().is_empty() {
            continue;
        }
        let text = std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line));
        match text {
            Ok(text) if line.len() <= limit => body.lines.push(text.to_owned()),
            _ => return Body { failure: Some(ErrorKind::UpstreamProtocol), ..body },
        }
    }
    body
}
