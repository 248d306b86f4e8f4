//! Every one and every two cuts of short streams that hold all a stream can hold.
//!
//! What decoders give must be what they give for the whole stream, byte for byte, failures and
//! the place where they come included.

use std::fmt::Debug;

use bytes::Bytes;
use proptest::prelude::*;
use tidegate_protocol::openai::{self, RelayDecoder};
use tidegate_protocol::{Event, ollama};

use crate::properties::{self, ndjson, sse};
use crate::support::{ROOM, Seen, cut, run};

/// Event streams by what is odd about them.
const STREAMS: [(&str, &str); 14] = [
    ("LF", "event: a\ndata: 1\n\ndata: 2\n\n: k\ndata: 3\n\n"),
    ("CR", "event: a\rdata: 1\r\rdata: 2\r\r: k\rdata: 3\r\r"),
    ("CRLF", "event: a\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n: k\r\ndata: 3\r\n\r\n"),
    ("mixed ends", "data: 1\r\ndata: 2\r\n\ndata: 3\r\r\ndata: 4\n\rdata: 5\n\r\n\r\r\n"),
    ("byte order mark", "\u{feff}data: 1\n\n\u{feff}data: 2\n\ndata: 3\n\n"),
    ("mark before a comment", "\u{feff}: k\ndata: 1\n\n"),
    ("comments", ":\n: k\n:k\r\n\r\n:\r: k\rdata: 1\n: inside\ndata: 2\n\n: last"),
    ("several data lines", "data: [\ndata\ndata:\ndata: ]\n\ndata\n\ndata\ndata\n\n"),
    ("spaces", "data:1\n\ndata:  2\n\ndata :3\n\n data: 4\n\nevent:a\ndata:\t5\n\n"),
    ("characters", "data: é\u{2028}\u{2029}\u{85}🌊\n\nevent: 日本\ndata: ü\r\n\r\n"),
    ("fields without use", "id: 1\nretry: 5\n\nid\ndata: 1\nretry\n\nfoo\nfoo: bar\nevent\n\n"),
    ("empty events", "\n\n\r\n\r\r\n\ndata:\n\nevent: a\n\ndata: 1\n\n\n\n"),
    ("lone CR at the end", "data: 1\n\ndata: 2\r\rdata: 3\r"),
    ("no blank line at the end", "data: 1\n\nevent: a\ndata: [DONE]"),
];

const LINES: [&str; 6] = [
    "{\"a\":1}\n{\"b\":2}\n{\"c\":3}",
    "{\"a\":1}\r\n\r\n\n  \n\t\r\n{\"b\":2}\r\n\r",
    "{\"é\":\"\u{2028}🌊\"}\nplain\r{\"no\":\"end\"}\n\n{\"cut",
    "\u{feff}{\"a\":1}\n\u{a0}\n",
    "",
    "\n",
];

const TOKEN: &str = r#"{"choices":[{"delta":{"content":"é\n"},"finish_reason":null}]}"#;
const LAST: &str =
    r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}"#;

/// `decode` gives the same at every one and every two cuts.
fn holds<T: PartialEq + Debug>(name: &str, stream: &[u8], decode: impl Fn(&[Bytes]) -> T) -> T {
    let whole = decode(&cut(stream, &[]));
    for first in 0..=stream.len() {
        for second in first..=stream.len() {
            let cuts = decode(&cut(stream, &[first, second]));
            assert_eq!(cuts, whole, "{name}, cut at {first} and {second}");
        }
    }
    whole
}

#[test]
fn event_streams() {
    for (name, stream) in STREAMS {
        let whole = holds(name, stream.as_bytes(), |reads| sse::decode(ROOM, reads));
        assert_eq!(whole.frames, sse::by_the_standard(stream), "{name}");
    }
}

/// A frame over the limit fails at the same place, and no more than the limit is ever kept.
#[test]
fn event_streams_over_every_limit() {
    for (name, stream) in STREAMS {
        for limit in [1, 2, 3, 7, 8, 9, 10, 11, 15] {
            holds(name, stream.as_bytes(), |reads| sse::decode(limit, reads));
        }
    }
}

#[test]
fn event_streams_that_are_not_utf8() {
    for stream in [
        b"data: 1\n\ndata: \xff\n\ndata: 2\n\n".as_slice(),
        b"data: \xc3\ndata: \xa9\n\n",
        b"data: 1\n\nid: \xff\nevent: \xff\nevent: a\ndata: 2\n\n",
        b"data: 1\n\ndata: caf\xc3",
        b"\xef\xbbdata: 1\n\n",
    ] {
        holds("bytes", stream, |reads| sse::decode(ROOM, reads));
    }
}

#[test]
fn lines() {
    for stream in LINES {
        holds(stream, stream.as_bytes(), |reads| ndjson::decode(ROOM, reads));
        for limit in [1, 2, 6, 7, 8] {
            holds(stream, stream.as_bytes(), |reads| ndjson::decode(limit, reads));
        }
    }
    let broken = b"{\"a\":1}\n{\"\xff\":2}\n{\"c\":3}\n";
    assert_eq!(holds("bytes", broken, |reads| ndjson::decode(ROOM, reads)).lines.len(), 1);
}

fn from_openai(reads: &[Bytes], limit: usize) -> [Seen; 2] {
    let relay = RelayDecoder::new(limit, false, "m");
    [run(openai::EventDecoder::new(limit), reads), run(relay, reads)]
}

/// An answer in frames of every spelling: after its end mark, without it, and cut.
#[test]
fn openai_answers() {
    let two_lines = TOKEN.replacen(',', ",\ndata: ", 1);
    for (stream, ends_with) in [
        (
            format!(
                "\u{feff}: k\ndata:{TOKEN}\r\n\r\ndata: {LAST}\r\rdata: [DONE]\n\ndata: late\n\n"
            ),
            Event::Done,
        ),
        (
            format!("id: 1\ndata: {two_lines}\n\ndata: hi\u{2028}\n\ndata: {LAST}\n\ndata: [DONE]"),
            Event::Done,
        ),
    ] {
        let [events, relayed] =
            holds("stream", stream.as_bytes(), |reads| from_openai(reads, ROOM));
        for seen in [&events, &relayed] {
            assert_eq!((seen.events.last(), seen.chunks > 0), (Some(&ends_with), true), "{stream}");
        }
    }
    for tail in ["", "data: {\"choices\"", "data: {\"choices\":[}\n\n", "data: \u{fffd}x"] {
        let stream = format!("data: {TOKEN}\n\n{tail}");
        let [events, relayed] = holds("cut", stream.as_bytes(), |reads| from_openai(reads, ROOM));
        for seen in [events, relayed] {
            assert!(!seen.events.contains(&Event::Done), "{tail}: no clean end");
            assert_eq!(seen.chunks, 1, "{tail}");
        }
    }
    let stream = format!("data: x\n\ndata: {TOKEN}\n\ndata: y\n\n");
    let [events, relayed] = holds("limit", stream.as_bytes(), |reads| from_openai(reads, 60));
    assert_eq!((events.chunks, relayed.chunks), (1, 1), "the limit is in the second frame");
}

#[test]
fn ollama_answers() {
    let said = "{\"message\":{\"thinking\":\"é\",\"content\":\"\\n\u{2028}\"}}\r\n\n";
    let calls = "{\"message\":{\"tool_calls\":[{\"function\":{\"name\":\"f\"}}]}}\n";
    let done = "{\"done\":true,\"done_reason\":\"stop\",\"eval_count\":4}";
    for (stream, last) in [
        (format!("{said}{calls}{done}\n{said}"), Some(Event::Done)),
        (format!("{said}{done}"), Some(Event::Done)),
        (format!("{said}{{\"done\":tr"), None),
        (format!("{said}words\n{{\"error\":\"no\"}}\n{done}\n"), None),
    ] {
        for limit in [ROOM, 60] {
            let decoder = || ollama::EventDecoder::new(limit);
            let seen = holds("lines", stream.as_bytes(), |reads| run(decoder(), reads));
            if limit == ROOM {
                let end = seen.events.last().filter(|event| **event == Event::Done);
                assert_eq!(end, last.as_ref(), "{stream}");
            }
        }
    }
}

fn soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "data: ",
            "data:",
            "data",
            "event: error",
            "id: 1",
            "retry: 1",
            ": k",
            ":",
            " ",
            "\n",
            "\r",
            "\r\n",
            "\n\n",
            "\u{feff}",
            "é",
            "\u{2028}",
            "🌊",
            "[DONE]",
            "{}",
            "\"",
            "\\",
            TOKEN,
            LAST,
            "{\"done\":true}",
            "{\"error\":\"no\"}",
            "{\"message\":{\"content\":\"a\"}}",
        ])
        .prop_map(|piece| piece.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 1..3),
    ];
    prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// Bytes of all of these pieces, held to all that the fuzz targets ask.
    #[test]
    fn soup_of_all_pieces(head in any::<[u8; 8]>(), limited in any::<bool>(), soup in soup()) {
        let mut input = [&head[..], &soup].concat();
        if !limited {
            input[1] = 0;
        }
        sse::check(&input);
        ndjson::check(&input);
        properties::openai_frames::check(&input);
        properties::ollama_frames::check(&input);
    }
}
