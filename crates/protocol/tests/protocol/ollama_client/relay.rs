//! Lines passed on: as they came, not copied, and the last when the end is decided.

use bytes::Bytes;
use tidegate_protocol::ollama::client::LineEncoder;
use tidegate_protocol::ollama::{RelayDecoder, RelayEncoder, RelayWhole};
use tidegate_protocol::{
    Batch, Decoder, Encoder, ErrorKind, Event, Failure, FinishReason, Form, Payload, Timings,
};

use super::chat;
use crate::support::{
    OLLAMA_CHAT, OLLAMA_KILLED, ROOM, Seen, completed, cut, failed, run_whole, text, usage, wire,
};

const TOKEN: &str = "{\"message\":{\"content\":\"x\"},\"new\":1,\"done\":false}\n";
const LAST: &str = "{\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\"}\n";

fn decoder() -> RelayDecoder {
    RelayDecoder::new(ROOM, chat())
}

fn relayed(lines: &[u8]) -> Seen {
    run_whole(decoder(), lines)
}

fn lies_in(slice: &Bytes, read: &Bytes) -> bool {
    let range = read.as_ptr_range();
    range.contains(&slice.as_ptr()) && slice.as_ptr_range().end <= range.end
}

/// What a client is written of `reads`, up to an end of this kind.
fn written(reads: &[Bytes], failure: Option<&Failure>) -> String {
    let mut decoder = decoder();
    let mut encoder = RelayEncoder::new(LineEncoder::new(chat()));
    let mut out = Vec::new();
    for read in reads {
        encoder.encode(decoder.decode(read.clone()).unwrap(), &mut out);
    }
    encoder.encode(decoder.finish().unwrap(), &mut out);
    let end = failure.map_or_else(|| completed(None, None), failed);
    encoder.end(&end, &mut out);
    wire(&out)
}

#[test]
fn a_capture_is_passed_on_byte_for_byte() {
    let seen = relayed(OLLAMA_CHAT);
    assert_eq!(seen.frames.as_bytes(), OLLAMA_CHAT);
    let timings = Timings {
        total_ns: Some(2_260_177_709),
        load_ns: Some(1_171_012_266),
        prompt_ns: Some(721_003_430),
        generation_ns: Some(366_394_022),
    };
    let expected = [
        Event::Finish(FinishReason::Length),
        Event::Usage(usage(13, 6)),
        Event::Timings(timings),
        Event::Done,
    ];
    assert_eq!((seen.events, seen.chunks), (expected.to_vec(), 6));
    for place in 0..=OLLAMA_CHAT.len() {
        let reads = cut(OLLAMA_CHAT, &[place]);
        assert_eq!(written(&reads, None).as_bytes(), OLLAMA_CHAT, "{place}");
    }
}

#[test]
fn a_read_of_whole_lines_leaves_as_one_slice_of_itself() {
    let read = Bytes::from(TOKEN.repeat(50));
    let batch = decoder().decode(read.clone()).unwrap();
    assert_eq!((batch.frames.as_slice(), batch.chunks), ([read.clone()].as_slice(), 50));
    assert!(lies_in(&batch.frames[0], &read) && batch.events.is_empty());
    let with_end = Bytes::from([TOKEN, TOKEN, LAST].concat());
    let batch = decoder().decode(with_end.clone()).unwrap();
    assert_eq!(batch.frames, [Bytes::from(TOKEN.repeat(2)), Bytes::from(LAST)]);
    assert!(batch.frames.iter().all(|frame| lies_in(frame, &with_end)));
}

#[test]
fn only_a_line_that_straddles_reads_is_copied() {
    let reads = cut(TOKEN.repeat(3).as_bytes(), &[TOKEN.len() + 5]);
    let mut decoder = decoder();
    let first = decoder.decode(reads[0].clone()).unwrap();
    assert!(first.frames.len() == 1 && lies_in(&first.frames[0], &reads[0]));
    let second = decoder.decode(reads[1].clone()).unwrap();
    let [straddled, last] = second.frames.as_slice() else { panic!("{:?}", second.frames) };
    assert_eq!((straddled, last), (&Bytes::from(TOKEN), &Bytes::from(TOKEN)));
    assert!(!lies_in(straddled, &reads[1]) && lies_in(last, &reads[1]));
}

#[test]
fn the_last_line_waits_until_the_end_is_decided() {
    let read = Bytes::from([TOKEN, LAST].concat());
    let mut encoder = RelayEncoder::new(LineEncoder::new(chat()));
    let mut out = Vec::new();
    encoder.encode(decoder().decode(read.clone()).unwrap(), &mut out);
    assert_eq!(wire(&out), TOKEN);
    assert_eq!(encoder.held_bytes(), LAST.len());
    let failure = Failure::new(ErrorKind::Drained, "too late");
    let reads = [read];
    assert_eq!(written(&reads, None), [TOKEN, LAST].concat());
    assert_eq!(written(&reads, Some(&failure)), format!("{TOKEN}{{\"error\":\"too late\"}}\n"));
}

#[test]
fn a_killed_runner_is_an_error_and_no_frame() {
    let seen = relayed(OLLAMA_KILLED);
    let [Event::Error(failure)] = seen.events.as_slice() else { panic!("{seen:?}") };
    assert_eq!(failure.kind, ErrorKind::UpstreamError);
    assert!(OLLAMA_KILLED.starts_with(seen.frames.as_bytes()));
    assert!(!seen.frames.contains("error"), "{}", seen.frames);
}

#[test]
fn lines_that_are_cut_or_odd() {
    let cut = relayed(format!("{TOKEN}{{\"mess").as_bytes());
    assert_eq!((cut.frames.as_str(), cut.events.as_slice()), (TOKEN, [].as_slice()));
    let malformed = relayed(format!("{TOKEN}{{\"message\":\n{LAST}").as_bytes());
    assert_eq!(malformed.frames, TOKEN);
    let [Event::Error(failure)] = malformed.events.as_slice() else { panic!("{malformed:?}") };
    assert_eq!(failure.kind, ErrorKind::UpstreamProtocol);
    // No line end behind the last: it is there in full all the same.
    let unended = relayed(LAST.trim_end().as_bytes());
    assert_eq!((unended.frames.as_str(), unended.events.last()), (LAST, Some(&Event::Done)));
    let late = relayed(format!("{LAST}{TOKEN}{{\"error\":\"late\"}}\n").as_bytes());
    assert_eq!(late.frames, LAST);
    assert_eq!(late.events, [Event::Finish(FinishReason::Stop), Event::Done]);
    let plain = relayed(b"Internal Server Error\n");
    let line: serde_json::Value = serde_json::from_str(&plain.frames).unwrap();
    assert_eq!(line["message"]["content"], "Internal Server Error");
    assert_eq!((plain.chunks, plain.events.len()), (1, 0));
}

#[test]
fn what_a_line_tells_the_gateway() {
    let called =
        "{\"message\":{\"content\":\"\",\"tool_calls\":[{\"function\":{\"name\":\"f\"}}]}}\n";
    let seen = relayed(format!("{called}{LAST}").as_bytes());
    assert_eq!((seen.chunks, &seen.events[0]), (1, &Event::Finish(FinishReason::ToolCalls)));
    for (line, chunks) in [
        ("{\"response\":\"x\"}\n", 1),
        ("{\"response\":\"\",\"thinking\":\"x\"}\n", 1),
        ("{\"message\":{\"thinking\":\"x\"}}\n", 1),
        ("{\"message\":{\"content\":\"\",\"tool_calls\":[]}}\n", 0),
        ("{\"response\":\"\"}\n", 0),
        ("{\"message\":null,\"error\":null,\"done\":null}\n", 0),
    ] {
        let seen = relayed(line.as_bytes());
        assert_eq!((seen.chunks, seen.frames.as_str(), seen.events.len()), (chunks, line, 0));
    }
    assert_eq!(relayed(b"{\"done\":true}\n").events, [Event::Done]);
}

#[test]
fn an_answer_in_events_is_written_all_the_same() {
    let mut encoder = RelayEncoder::new(LineEncoder::new(chat()));
    let mut out = Vec::new();
    encoder.encode(Batch { events: vec![text("a")], ..Batch::default() }, &mut out);
    encoder.end(&completed(None, None), &mut out);
    let mut own = Vec::new();
    let mut fallback = LineEncoder::new(chat());
    fallback.encode(Batch { events: vec![text("a")], ..Batch::default() }, &mut own);
    fallback.end(&completed(None, None), &mut own);
    assert_eq!(out, own);
    assert!(matches!(out.as_slice(), [Payload::Wire(_), Payload::Wire(_)]));
}

#[test]
fn a_whole_answer_is_passed_on_with_its_evidence() {
    let whole = |form: Form, body: &str| run_whole(RelayWhole::new(ROOM, form), body.as_bytes());
    let body = " {\"message\": {\"content\":\"a\"},\"done\":true,\"eval_count\":4}";
    let seen = whole(Form::OllamaChat, body);
    assert_eq!((seen.frames.as_str(), seen.chunks), (body, 1));
    assert_eq!(seen.events, [Event::Usage(usage(0, 4)), Event::Done]);
    let unfinished = whole(Form::OllamaGenerate, "{\"response\":\"a\",\"done\":false}");
    assert_eq!(unfinished.events, []);
    let vectors = whole(Form::OllamaEmbed, "{\"embeddings\":[[1]]}");
    assert_eq!(vectors.events, [Event::Done]);
    assert_eq!(whole(Form::OllamaEmbed, "{}").events, []);
    let error = whole(Form::OllamaChat, "{\"error\":\"no\"}");
    assert!(matches!(error.events.as_slice(), [Event::Error(_)]) && error.frames.is_empty());
    let cut = whole(Form::OllamaChat, "{\"message\":{\"content\":\"a");
    assert!(
        matches!(&cut.events[0], Event::Error(failure) if failure.kind == ErrorKind::Truncated)
    );
}
