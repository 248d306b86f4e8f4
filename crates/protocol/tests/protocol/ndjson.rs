//! The line decoder under every cut.

use bytes::Bytes;
use proptest::prelude::*;
use tidegate_protocol::ErrorKind;
use tidegate_protocol::ndjson::NdjsonDecoder;

use crate::support::{OLLAMA_CHAT, OLLAMA_KILLED, ROOM, cut};

fn decode(max: usize, reads: &[Bytes]) -> Result<Vec<String>, ErrorKind> {
    let mut decoder = NdjsonDecoder::new(max);
    let mut lines = Vec::new();
    for read in reads {
        decoder.feed(read.clone());
        while let Some(line) = decoder.next_line().map_err(|failure| failure.kind)? {
            lines.push(line.to_owned());
        }
    }
    let tail = decoder.finish().map_err(|failure| failure.kind)?;
    lines.extend(tail.map(str::to_owned));
    Ok(lines)
}

#[test]
fn lines_come_without_their_ends_and_blank_ones_not_at_all() {
    let body = "{\"a\":1}\r\n\n  \r\n{\"b\":\"\u{2028}é\"}\n{\"tail\":true}".as_bytes();
    for first in 0..=body.len() {
        for second in first..=body.len() {
            let lines = decode(ROOM, &cut(body, &[first, second])).unwrap();
            assert_eq!(lines, ["{\"a\":1}", "{\"b\":\"\u{2028}é\"}", "{\"tail\":true}"]);
        }
    }
}

#[test]
fn captures_hold_at_every_cut() {
    for capture in [OLLAMA_CHAT, OLLAMA_KILLED] {
        let whole = decode(ROOM, &cut(capture, &[])).unwrap();
        assert!(whole.len() > 5);
        for place in 0..=capture.len() {
            assert_eq!(decode(ROOM, &cut(capture, &[place])).unwrap(), whole, "{place}");
        }
    }
}

#[test]
fn the_limit_holds_at_every_cut() {
    let body = b"1\n2345\n6\n";
    for (limit, expected) in [(4, Ok(3)), (3, Err(ErrorKind::UpstreamProtocol))] {
        for place in 0..=body.len() {
            let lines = decode(limit, &cut(body, &[place])).map(|lines| lines.len());
            assert_eq!(lines, expected, "{limit} {place}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(
        bytes in prop::collection::vec(
            prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'{'), Just(b' '), any::<u8>()], 0..120),
        places in prop::collection::vec(0usize..120, 0..4),
        max in 1usize..24,
    ) {
        prop_assert_eq!(decode(max, &cut(&bytes, &places)), decode(max, &cut(&bytes, &[])));
    }
}
