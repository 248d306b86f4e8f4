//! What is held for a client is counted to the byte: bounds on memory are built on it.

use bytes::Bytes;
use tidegate_protocol::openai::{ChunkEncoder, RelayEncoder};
use tidegate_protocol::{Batch, Encoder, Event, EventName, Payload, ToolCallDelta, native, openai};

use crate::support::text;

/// What the encoders of whole answers hold after `events`.
fn held(events: &[Event]) -> [usize; 2] {
    let native = native::WholeEncoder::new("r".to_owned(), "m".to_owned());
    let openai = openai::WholeEncoder::new("id".to_owned(), "m".to_owned(), 0);
    let encoders: [Box<dyn Encoder>; 2] = [Box::new(native), Box::new(openai)];
    encoders.map(|mut encoder| {
        let batch = Batch { events: events.to_vec(), ..Batch::default() };
        encoder.encode(batch, &mut Vec::new());
        encoder.held_bytes()
    })
}

fn call(id: usize, name: usize, arguments: usize) -> Event {
    let of = |length: usize| "x".repeat(length);
    let (id, name) = (Some(of(id)), Some(of(name)));
    Event::ToolCall(ToolCallDelta { index: 0, id, name, arguments: of(arguments) })
}

#[test]
fn every_byte_of_a_whole_answer_counts() {
    assert_eq!(held(&[]), [0, 0]);
    assert_eq!(held(&[text("four"), text("four"), Event::Reasoning("é".to_owned())]), [10, 10]);
    let [least, _] = held(&[call(2, 3, 5)]);
    for grown in [call(1002, 3, 5), call(2, 1003, 5), call(2, 3, 1005)] {
        assert_eq!(held(&[grown]), [least + 1000; 2]);
    }
    let next = ToolCallDelta { arguments: "x".repeat(1000), ..ToolCallDelta::default() };
    assert_eq!(held(&[call(2, 3, 5), Event::ToolCall(next)]), [least + 1000; 2]);
}

#[test]
fn a_call_costs_more_than_its_text() {
    // Else a million calls without a word would cost nothing.
    let empty = |index| Event::ToolCall(ToolCallDelta { index, ..ToolCallDelta::default() });
    let calls: Vec<_> = (0..1000).map(empty).collect();
    for held in held(&calls) {
        assert!((16_000..1_000_000).contains(&held), "{held}");
    }
}

#[test]
fn an_encoder_of_a_stream_holds_nothing_back() {
    let chunks = || ChunkEncoder::new("id".to_owned(), "m".to_owned(), 0, false);
    let encoders: [Box<dyn Encoder>; 3] = [
        Box::new(chunks()),
        Box::new(RelayEncoder::with_fallback(chunks())),
        Box::new(native::EventEncoder::new("m".to_owned())),
    ];
    for mut encoder in encoders {
        let mut out = Vec::new();
        encoder.encode(Batch { events: vec![text("x")], ..Batch::default() }, &mut out);
        assert_eq!((encoder.held_bytes(), out.is_empty()), (0, false));
    }
}

#[test]
fn a_payload_is_as_long_as_its_bytes() {
    let event = |data: &str| Payload::Event { name: EventName::Queued, data: data.into() };
    for (payload, length) in [
        (Payload::Wire(Bytes::from_static(b"data: x\n\n")), 9),
        (Payload::Wire(Bytes::new()), 0),
        (event("{}"), 2),
        (event(""), 0),
    ] {
        assert_eq!((payload.len(), payload.is_empty()), (length, length == 0), "{payload:?}");
    }
}

#[test]
fn a_batch_is_empty_only_if_it_says_nothing() {
    let nothing = Batch::default;
    assert!(nothing().is_empty());
    for something in [
        Batch { frames: vec![Bytes::from_static(b"data: x\n\n")], ..nothing() },
        Batch { events: vec![Event::Done], ..nothing() },
        Batch { chunks: 1, ..nothing() },
    ] {
        assert!(!something.is_empty(), "{something:?}");
    }
}
