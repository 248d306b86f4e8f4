//! What becomes of an answer that was read: written in each dialect it can be read back as it was
//! said, and its end is the only one.

use serde_json::Value;
use serde_json::value::RawValue;
use tidegate_protocol::openai::{ChunkEncoder, EventDecoder, WholeDecoder, WholeEncoder};
use tidegate_protocol::sse::encode_data;
use tidegate_protocol::{
    Batch, Encoder, End, Event, Failure, FinishReason, Outcome, Payload, Usage, native,
};

use super::seen::{Seen, run};
use super::sse;

const MODEL: &str = "a \"model\"\n\ndata: [DONE]";
const ROOM: usize = 1 << 24;

/// # Panics
/// Where a promise is broken.
pub fn check(seen: &Seen) {
    let failure = match seen.terminal() {
        Some(Event::Error(failure)) => Some(failure),
        _ => None,
    };
    let finish = seen.events.iter().rev().find_map(|event| match event {
        Event::Finish(reason) => Some(reason.clone()),
        _ => None,
    });
    let usage = seen.events.iter().rev().find_map(|event| match event {
        Event::Usage(usage) => Some(*usage),
        _ => None,
    });
    let end = End {
        outcome: failure.map_or(Outcome::Completed, |failure| failure.kind.outcome()),
        failure,
        finish,
        usage,
        chunks: seen.chunks.into(),
        duration_ns: 1,
        timings: None,
        first_piece_ns: None,
    };
    as_chunks(seen, &end);
    as_whole(seen, &end);
    as_events(seen, &end);
}

fn as_chunks(seen: &Seen, end: &End<'_>) {
    let mut encoder = ChunkEncoder::new("id\n".to_owned(), MODEL.to_owned(), 1, true);
    let wire = wire(&encode(&mut encoder, seen, end));
    let again = run(EventDecoder::new(ROOM), &[wire.into()]);
    let mut expected: Vec<_> = seen.pieces().cloned().collect();
    // The first reason is the one that is written; at the latest the end brings one.
    let said = seen.events.iter().find_map(|event| match event {
        Event::Finish(reason) => Some(reason.clone()),
        _ => None,
    });
    if end.failure.is_none() {
        let pieces_before = seen.events.iter().position(|event| matches!(event, Event::Finish(_)));
        let place = pieces_before.map_or(expected.len(), |place| pieces(&seen.events[..place]));
        expected.insert(place, Event::Finish(said.unwrap_or(FinishReason::Stop)));
        expected.extend(end.usage.map(Event::Usage));
        expected.push(Event::Done);
        assert_eq!(again.events, expected, "chunks");
        return;
    }
    assert!(again.pieces().eq(&expected), "{again:?} {expected:?}");
    same_message(again.terminal(), end.failure);
}

fn pieces(events: &[Event]) -> usize {
    let is_piece =
        |event: &&Event| !matches!(event, Event::Finish(_) | Event::Usage(_) | Event::Done);
    events.iter().filter(is_piece).count()
}

fn same_message(terminal: Option<&Event>, failure: Option<&Failure>) {
    let Some(Event::Error(read)) = terminal else { panic!("no error: {terminal:?}") };
    assert_eq!(Some(&read.message), failure.map(|failure| &failure.message));
}

fn as_whole(seen: &Seen, end: &End<'_>) {
    let mut encoder = WholeEncoder::new("id\n".to_owned(), MODEL.to_owned(), 1);
    let body = wire(&encode(&mut encoder, seen, end));
    if end.failure.is_some() {
        assert_eq!(body, "", "an answer that failed is not told");
        return;
    }
    let again = run(WholeDecoder::new(ROOM, false), &[body.into()]);
    assert_eq!(again.text(), seen.text(), "whole");
    let mut expected = vec![Event::Finish(end.finish.clone().unwrap_or(FinishReason::Stop))];
    expected.extend(end.usage.map(Event::Usage));
    expected.push(Event::Done);
    assert!(again.events.ends_with(&expected), "{again:?} {expected:?}");
}

/// The gateway's own dialect: one event for each piece and one end, each one frame of valid JSON.
fn as_events(seen: &Seen, end: &End<'_>) {
    let payloads = encode(&mut native::EventEncoder::new(MODEL.to_owned()), seen, end);
    let data = payloads.iter().map(|payload| match payload {
        Payload::Event { data, .. } => data,
        Payload::Wire(_) => panic!("bytes where an event was expected"),
    });
    assert_eq!(payloads.len(), pieces_of(seen) + 1, "events");
    for data in data {
        assert!(!data.contains(['\n', '\r']), "{data:?}");
        serde_json::from_str::<Value>(data).unwrap_or_else(|error| panic!("{data}: {error}"));
    }
    let mut encoder = native::WholeEncoder::new("id".to_owned(), MODEL.to_owned());
    let body = wire(&encode(&mut encoder, seen, end));
    if end.failure.is_none() {
        let body: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(body["content"].as_str(), Some(seen.text().as_str()), "{body}");
        let counted = |usage: Usage| usage.completion_tokens;
        let told = body["usage"]["completionTokens"].as_u64();
        assert_eq!(told, end.usage.map(counted), "{body}");
    } else {
        assert_eq!(body, "", "an answer that failed is not told");
    }
}

fn pieces_of(seen: &Seen) -> usize {
    seen.pieces().count()
}

fn encode(encoder: &mut impl Encoder, seen: &Seen, end: &End<'_>) -> Vec<Payload> {
    let mut out = Vec::new();
    let events = seen.events.clone();
    encoder.encode(Batch { events, chunks: seen.chunks, ..Batch::default() }, &mut out);
    encoder.end(end, &mut out);
    out
}

/// The bytes of payloads that are all of the wire kind.
fn wire(payloads: &[Payload]) -> String {
    let bytes = payloads.iter().map(|payload| match payload {
        Payload::Wire(bytes) => std::str::from_utf8(bytes).expect("UTF-8"),
        Payload::Event { .. } => panic!("an event where bytes were expected"),
    });
    bytes.collect()
}

/// Frames that go to a client of OpenAI's dialect: each is one line of a JSON object.
///
/// # Panics
/// When one is not.
pub fn check_frames(frames: &str) {
    let read = sse::decode(ROOM, &[frames.to_owned().into()]);
    let again: Vec<_> = read.frames.iter().map(|(_, data)| encode_data(data)).collect();
    assert_eq!(again.concat(), frames.as_bytes(), "plain frames");
    for (_, data) in &read.frames {
        // Half a surrogate pair is JSON that SDKs read, and no string of Rust's.
        let value = serde_json::from_str::<&RawValue>(data);
        assert!(value.is_ok() && data.trim_ascii_start().starts_with('{'), "{data}");
    }
}
