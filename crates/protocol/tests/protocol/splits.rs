//! No decoder may tell how its bytes were cut into reads.

use proptest::prelude::*;
use tidegate_protocol::ollama;
use tidegate_protocol::openai::{self, RelayDecoder};

use crate::support::{
    OLLAMA_CHAT, OLLAMA_KILLED, ROOM, STREAMS, Seen, cut, run, stream, with_line_ends,
};

fn relay(bytes: &[u8], places: &[usize]) -> Seen {
    run(RelayDecoder::new(ROOM, false, "m"), &cut(bytes, places))
}

fn events(bytes: &[u8], places: &[usize]) -> Seen {
    run(openai::EventDecoder::new(ROOM), &cut(bytes, places))
}

fn from_ollama(bytes: &[u8], places: &[usize]) -> Seen {
    run(ollama::EventDecoder::new(ROOM), &cut(bytes, places))
}

type Decode = fn(&[u8], &[usize]) -> Seen;

#[test]
fn every_single_cut() {
    for (name, stream) in STREAMS {
        for line_end in ["\n", "\r", "\r\n"] {
            let bytes = with_line_ends(stream, line_end);
            for decode in [relay as Decode, events] {
                let whole = decode(&bytes, &[]);
                for place in 0..=bytes.len() {
                    assert_eq!(decode(&bytes, &[place]), whole, "{name} {line_end:?} {place}");
                }
            }
        }
    }
    for capture in [OLLAMA_CHAT, OLLAMA_KILLED] {
        let whole = from_ollama(capture, &[]);
        for place in 0..=capture.len() {
            assert_eq!(from_ollama(capture, &[place]), whole, "{place}");
        }
    }
}

/// All pairs of cuts on a stream that is short, but has every kind of frame.
#[test]
fn every_pair_of_cuts() {
    let token = r#"{"choices":[{"delta":{"content":"é"},"finish_reason":null}]}"#;
    let short = format!(
        ": k\ndata: {token}\n\ndata:{token}\r\n\r\ndata: hi\n\n\
         data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":1}}}}\n\ndata: [DONE]\n\n"
    );
    for decode in [relay as Decode, events] {
        let whole = decode(short.as_bytes(), &[]);
        assert_eq!(whole.chunks, 3);
        for first in 0..=short.len() {
            for second in first..=short.len() {
                assert_eq!(decode(short.as_bytes(), &[first, second]), whole, "{first} {second}");
            }
        }
    }
}

#[test]
fn a_failure_takes_nothing_away_from_what_came_before() {
    let good = stream("llama-killed");
    let bad = [good, b"data: {\"choices\":[}\n\n", b"data: [DONE]\n\n"].concat();
    for decode in [relay as Decode, events] {
        let before = decode(good, &[]);
        let whole = decode(&bad, &[]);
        assert_eq!((whole.chunks, &whole.frames), (before.chunks, &before.frames));
        assert_eq!(whole.events.len(), before.events.len() + 1);
        for place in 0..=bad.len() {
            assert_eq!(decode(&bad, &[place]), whole, "{place}");
        }
    }
}

proptest! {
    #[test]
    fn any_cuts(
        which in 0..STREAMS.len(),
        line_end in prop_oneof![Just("\n"), Just("\r"), Just("\r\n")],
        places in prop::collection::vec(any::<prop::sample::Index>(), 2..6),
    ) {
        let bytes = with_line_ends(STREAMS[which].1, line_end);
        let places: Vec<_> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
        prop_assert_eq!(relay(&bytes, &places), relay(&bytes, &[]));
        prop_assert_eq!(events(&bytes, &places), events(&bytes, &[]));
    }

    #[test]
    fn any_cuts_of_lines(
        places in prop::collection::vec(any::<prop::sample::Index>(), 2..6),
        crlf in any::<bool>(),
    ) {
        let bytes = with_line_ends(OLLAMA_KILLED, if crlf { "\r\n" } else { "\n" });
        let places: Vec<_> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
        prop_assert_eq!(from_ollama(&bytes, &places), from_ollama(&bytes, &[]));
    }

    #[test]
    fn bytes_of_any_kind_are_survived_alike(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        place in 0usize..200,
    ) {
        let framed = [b"data: {", bytes.as_slice(), b"}\n\n"].concat();
        prop_assert_eq!(relay(&framed, &[place]), relay(&framed, &[]));
        prop_assert_eq!(events(&framed, &[place]), events(&framed, &[]));
        prop_assert_eq!(from_ollama(&framed, &[place]), from_ollama(&framed, &[]));
    }
}
