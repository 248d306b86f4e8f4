//! The event stream decoder against the standard's own algorithm.

use bytes::Bytes;
use proptest::prelude::*;
use tidegate_protocol::ErrorKind;
use tidegate_protocol::sse::{KEEP_ALIVE, SseDecoder, encode_data};

use crate::properties::sse::{Decoded, by_the_standard};
use crate::support::{ROOM, STREAMS, cut, with_line_ends};

fn decode(max: usize, reads: &[Bytes]) -> Result<Vec<Decoded>, ErrorKind> {
    let mut decoder = SseDecoder::new(max);
    let mut frames = Vec::new();
    for read in reads {
        decoder.feed(read.clone());
        while let Some(frame) = decoder.next_frame().map_err(|failure| failure.kind)? {
            if let Some(plain) = &frame.plain {
                let bytes = &plain.source[plain.range.clone()];
                assert_eq!(bytes, format!("data: {}\n\n", frame.data).as_bytes());
                assert!(!frame.data.contains(['\n', '\r']));
            }
            frames.push((frame.event.map(str::to_owned), frame.data.into_owned()));
        }
    }
    Ok(frames)
}

fn decode_text(text: &str) -> Vec<Decoded> {
    decode(ROOM, &[Bytes::copy_from_slice(text.as_bytes())]).unwrap()
}

#[test]
fn the_standards_examples() {
    let data = |text: &str| (None, text.to_owned());
    assert_eq!(
        decode_text(
            "data: YHOO\ndata: +2\ndata: 10\n\n: test stream\n\ndata: first event\nid: 1\n\n\
             data:second event\nid\n\ndata:  third event\n\ndata: cut"
        ),
        [data("YHOO\n+2\n10"), data("first event"), data("second event"), data(" third event")]
    );
    assert_eq!(decode_text("data\n\ndata\ndata\n\ndata:"), [data(""), data("\n")]);
    let named = (Some("add".to_owned()), "7".to_owned());
    assert_eq!(decode_text("event: add\ndata: 7\n\nevent: remove\n\n"), [named]);
}

#[test]
fn an_id_is_of_its_own_frame_and_cannot_spoil_it() {
    let read = b"id: a:1\nevent: e\ndata: x\n\ndata: y\n\nid:2\ndata: z\n\nid: \xff\ndata: u\n\n";
    let mut decoder = SseDecoder::new(1024);
    decoder.feed(Bytes::from_static(read));
    let mut ids = Vec::new();
    while let Some(frame) = decoder.next_frame().unwrap() {
        ids.push((frame.id.map(str::to_owned), frame.data.into_owned()));
    }
    let with = |id: &str, data: &str| (Some(id.to_owned()), data.to_owned());
    let without = |data: &str| (None, data.to_owned());
    assert_eq!(ids, [with("a:1", "x"), without("y"), with("2", "z"), without("u")]);
}

#[test]
fn every_line_end_gives_the_same_frames() {
    for (name, stream) in STREAMS {
        let expected = decode(ROOM, &cut(stream, &[])).unwrap();
        assert!(expected.len() > 3, "{name}");
        for line_end in ["\r", "\r\n"] {
            let bytes = with_line_ends(stream, line_end);
            for place in 0..=bytes.len() {
                assert_eq!(
                    decode(ROOM, &cut(&bytes, &[place])).unwrap(),
                    expected,
                    "{name} {place}"
                );
            }
        }
    }
}

#[test]
fn one_byte_at_a_time() {
    for (name, stream) in STREAMS {
        let bytes: Vec<usize> = (0..stream.len()).collect();
        assert_eq!(decode(ROOM, &cut(stream, &bytes)), decode(ROOM, &cut(stream, &[])), "{name}");
    }
}

#[test]
fn a_frame_over_the_limit_fails_at_every_split() {
    let stream = b"data: 1\n\ndata: 234\n\ndata: 5\n\n";
    for (limit, expected) in [(11, Ok(3)), (10, Err(ErrorKind::UpstreamProtocol))] {
        for place in 0..=stream.len() {
            let decoded = decode(limit, &cut(stream, &[place]));
            assert_eq!(decoded.map(|frames| frames.len()), expected, "{limit} {place}");
        }
    }
    let endless = [Bytes::from(vec![b'x'; 12])];
    assert_eq!(decode(11, &endless), Err(ErrorKind::UpstreamProtocol));
}

#[test]
fn endless_keep_alives_are_not_a_large_frame() {
    let comments = Bytes::from(KEEP_ALIVE.repeat(1000));
    let reads = [comments.clone(), comments, Bytes::from_static(b"data: x\n\n")];
    assert_eq!(decode(16, &reads), Ok(vec![(None, "x".to_owned())]));
}

#[test]
fn invalid_utf8_is_a_failure_at_every_split() {
    for bad in
        [b"data: \xff\n\n".as_slice(), b"data: a\ndata: \xc3\n\n", b"event: \xc3\ndata: x\n\n"]
    {
        for place in 0..=bad.len() {
            let decoded = decode(ROOM, &cut(bad, &[place]));
            assert_eq!(decoded, Err(ErrorKind::UpstreamProtocol), "{bad:?} {place}");
        }
    }
}

#[test]
fn only_plain_frames_may_be_relayed_as_they_are() {
    for (frame, is_plain) in [
        ("data: {}\n\n", true),
        ("data:{}\n\n", false),
        ("data: {}\r\n\r\n", false),
        ("data: {}\n\r\n", false),
        ("data: {\ndata: }\n\n", false),
        ("data: {}\nid: 1\n\n", false),
        ("id: 1\ndata: {}\n\n", false),
        ("\u{feff}data: {}\n\n", false),
    ] {
        for place in 0..=frame.len() {
            let mut decoder = SseDecoder::new(ROOM);
            let mut found = Vec::new();
            for read in cut(frame.as_bytes(), &[place]) {
                decoder.feed(read);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    found.push(frame.plain.is_some());
                }
            }
            assert_eq!(found, [is_plain], "{frame:?} {place}");
        }
    }
}

#[test]
fn an_end_without_a_blank_line_is_handed_out_once() {
    for (tail, expected) in [
        ("data: [DONE]", Some("[DONE]")),
        ("data: [DONE]\n", Some("[DONE]")),
        ("data: [DONE]\r", Some("[DONE]")),
        (": comment", None),
        ("", None),
    ] {
        let mut decoder = SseDecoder::new(ROOM);
        decoder.feed(Bytes::from(format!("data: x\n\n{tail}")));
        while decoder.next_frame().unwrap().is_some() {}
        let data = decoder.finish().map(|frame| frame.data.into_owned());
        assert_eq!(data.as_deref(), expected, "{tail:?}");
        assert!(decoder.finish().is_none());
    }
    let mut decoder = SseDecoder::new(ROOM);
    decoder.feed(Bytes::from_static(b"data: caf\xc3"));
    assert!(decoder.next_frame().unwrap().is_none());
    assert!(decoder.finish().is_none(), "a character that was cut is not handed out");
}

#[test]
fn line_ends_in_json_cannot_forge_a_frame() {
    let forged = "{\"a\":\r\n\n1,\r\"b\":2}\n\ndata: [DONE]";
    let frame = encode_data(forged);
    let frames = decode(ROOM, &[frame]).unwrap();
    assert_eq!(frames, [(None, forged.replace(['\r', '\n'], " "))]);
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("data"),
        Just("event"),
        Just("id"),
        Just(":"),
        Just(": "),
        Just(" "),
        Just("\n"),
        Just("\r"),
        Just("\r\n"),
        Just("\n\n"),
        Just("{}"),
        Just("é"),
        Just("\u{feff}"),
        Just("\u{2028}"),
        Just("data: x\n\n"),
        Just("data: x"),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_stream_is_decoded_as_the_standard_says(
        stream in pieces(),
        places in prop::collection::vec(0usize..200, 0..4),
    ) {
        let decoded = decode(ROOM, &cut(stream.as_bytes(), &places)).unwrap();
        prop_assert_eq!(decoded, by_the_standard(&stream));
    }

    #[test]
    fn any_bytes_are_survived(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        places in prop::collection::vec(0usize..300, 0..4),
        max in 1usize..64,
    ) {
        prop_assert_eq!(decode(max, &cut(&bytes, &places)), decode(max, &cut(&bytes, &[])));
    }

    #[test]
    fn what_is_encoded_is_decoded(value in any::<String>()) {
        let json = serde_json::to_string(&value).unwrap();
        let frames = decode(ROOM * 4, &[encode_data(&json)]).unwrap();
        prop_assert_eq!(frames, vec![(None, json)]);
    }
}
