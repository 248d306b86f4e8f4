//! What becomes of an answer that was read: written in each dialect it can be read back as it was
//! said, and its end is the only one.

use serde_json::Value;
use serde_json::value::RawValue;
use tidegate_protocol::openai::{ChunkEncoder, EventDecoder, WholeDecoder, WholeEncoder};
use tidegate_protocol::sse::encode_data;
use tidegate_protocol::{
    Batch, Encoder, End, Event, Failure, FinishReason, Outcome, Payload, StreamId, Usage,
    anthropic, native, responses,
};

use super::anthropic_reader::{self, Block};
use super::responses_reader;
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
    as_messages(seen, &end);
    as_response(seen, &end);
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

/// Anthropic's events, as a strict reader has them.
fn as_messages(seen: &Seen, end: &End<'_>) {
    let mut encoder = anthropic::StreamEncoder::new("1", MODEL.to_owned());
    let (wire, failed) = told(&mut encoder, seen, end);
    let read = anthropic_reader::read(&wire);
    assert_eq!(read.error.is_some(), failed, "{wire}");
    let text: String = read.blocks.iter().filter_map(text_of).collect();
    if failed {
        // What waits for a call that is never whole is not told.
        assert!(seen.text().starts_with(&text), "{wire}");
        return;
    }
    assert_eq!(text, seen.text(), "{wire}");
    assert!(read.stop_reason.is_some());
    for block in &read.blocks {
        // What the length limit cut is told as it came.
        if let Block::Call { input, .. } = block
            && end.finish != Some(FinishReason::Length)
        {
            // A call without arguments has no deltas.
            let object = serde_json::from_str::<Value>(input).is_ok_and(|input| input.is_object());
            assert!(input.is_empty() || object, "{input}");
        }
    }
}

fn text_of(block: &Block) -> Option<&str> {
    match block {
        Block::Text(text) => Some(text),
        Block::Thinking(_) | Block::Call { .. } => None,
    }
}

/// The events of Responses, as a strict reader has them.
fn as_response(seen: &Seen, end: &End<'_>) {
    let id = StreamId::new(1, 2);
    let asked = responses::decode_request(br#"{"input":"hi"}"#, id, |why| Err(why.to_owned()));
    let echo = asked.expect("a request").echo;
    let mut encoder = responses::ResponseEncoder::new(id, MODEL.to_owned(), 1, echo, true);
    let (wire, failed) = told(&mut encoder, seen, end);
    let read = responses_reader::read(&wire);
    assert_eq!(read.terminal == "response.failed", failed, "{wire}");
    if !failed {
        assert_eq!(read.joined("message"), seen.text(), "{wire}");
    }
}

/// What is told of an answer, as the gateway has it told: an encoder that objects to it has it fail.
fn told(encoder: &mut impl Encoder, seen: &Seen, end: &End<'_>) -> (String, bool) {
    let mut out = Vec::new();
    let events = seen.events.clone();
    encoder.encode(Batch { events, chunks: seen.chunks, ..Batch::default() }, &mut out);
    let objection = match end.failure {
        None => encoder.objection(end.finish.as_ref()),
        Some(_) => None,
    };
    let failure = end.failure.or(objection.as_ref());
    let outcome = failure.map_or(end.outcome, |failure| failure.kind.outcome());
    encoder.end(&End { failure, outcome, finish: end.finish.clone(), ..*end }, &mut out);
    (wire(&out), failure.is_some())
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
