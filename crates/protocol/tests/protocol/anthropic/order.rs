//! Blocks one after another: what is told at once, and what must wait.

use serde_json::json;
use tidegate_protocol::anthropic::StreamEncoder;
use tidegate_protocol::{
    Batch, Encoder, ErrorKind, Event, Failure, FinishReason, Payload, QueuePlace, Usage,
};

use super::reader::{Block, read};
use super::{call, thought};
use crate::support::{completed, encode, failed, text, usage, wire};

fn encoder() -> StreamEncoder {
    StreamEncoder::new("1", "m".to_owned())
}

/// What one more event adds.
fn added(encoder: &mut StreamEncoder, event: Event) -> String {
    let mut out = Vec::new();
    encoder.encode(Batch { events: vec![event], ..Batch::default() }, &mut out);
    wire(&out)
}

#[test]
fn a_call_is_told_as_it_comes_and_the_next_one_once_it_is_whole() {
    let mut encoder = encoder();
    added(&mut encoder, call(0, Some("a"), Some("f"), "{\"x\":"));
    assert!(added(&mut encoder, call(0, None, None, "1")).contains(r#""partial_json":"1""#));
    assert_eq!(added(&mut encoder, call(1, Some("b"), Some("g"), "{\"y\":")), "");
    assert_eq!(added(&mut encoder, text("between")), "");
    assert_eq!(added(&mut encoder, thought("hm")), "");
    let held = encoder.held_bytes();
    assert!(held > "{\"x\":1{\"y\":betweenhm".len(), "what waits is counted");
    assert_eq!(added(&mut encoder, thought("hm")), "");
    assert_eq!(encoder.held_bytes(), held + 2);
    let told = added(&mut encoder, call(0, None, None, "}"));
    assert!(told.contains(r#""partial_json":"}""#) && told.contains(r#""name":"g""#), "{told}");
    assert!(!told.contains("between"), "the second call is not whole yet: {told}");
    let told = added(&mut encoder, call(1, None, None, "2}"));
    assert!(told.contains("between") && told.contains("hm"), "{told}");
    assert!(added(&mut encoder, call(0, None, None, " \n")).is_empty(), "blanks say nothing");
    assert_eq!(encoder.objection(None), None);
    added(&mut encoder, call(0, None, None, "{}"));
    let failure = encoder.objection(Some(&FinishReason::Length)).expect("two in one are none");
    assert_eq!(failure.kind, ErrorKind::UpstreamProtocol);
}

#[test]
fn what_is_no_call_is_objected_to() {
    for (id, name, arguments) in [
        (Some("a"), Some("f"), "null"),
        (Some("a"), Some("f"), "[1]"),
        (Some("a"), Some("f"), "\"x\""),
        (Some("a"), Some("f"), "{\"x\":1"),
        (Some("a"), Some("f"), "{x}"),
        (Some("a"), Some("f"), "{]"),
        (Some("a"), Some("f"), "{}{}"),
        (Some("a"), None, "{}"),
    ] {
        let mut encoder = encoder();
        added(&mut encoder, call(0, id, name, arguments));
        let failure = encoder.objection(Some(&FinishReason::ToolCalls)).expect(arguments);
        let mut out = Vec::new();
        encoder.end(&failed(&failure), &mut out);
        assert!(wire(&out).starts_with("event: error\n"), "{arguments}");
    }
}

#[test]
fn what_lacks_an_id_or_arguments_is_a_call_all_the_same() {
    let said = [call(3, None, Some("f"), ""), call(7, None, Some("g"), "{}")];
    let end = completed(Some(FinishReason::Stop), None);
    let mut encoder = encoder();
    let read = read(&wire(&encode(&mut encoder, &said, &end)));
    let made = |id: &str, name: &str, input: &str| {
        let (id, name, input) = (id.to_owned(), name.to_owned(), input.to_owned());
        Block::Call { id, name, input }
    };
    assert_eq!(read.blocks, [made("toolu_1_3", "f", ""), made("toolu_1_7", "g", "{}")]);
    assert_eq!(read.stop_reason.as_deref(), Some("tool_use"));
}

#[test]
fn a_name_may_come_late_and_often() {
    let mut encoder = encoder();
    let first = added(&mut encoder, call(0, Some("a"), None, "{"));
    assert!(!first.contains("content_block_start"), "a block begins with the name: {first}");
    assert_eq!(added(&mut encoder, text("later")), "", "what comes behind it waits");
    added(&mut encoder, call(0, Some("a"), Some("f"), "\"x\""));
    let mut out = vec![];
    for piece in [":", "1", "}"] {
        let event = call(0, Some("a"), Some("f"), piece);
        encoder.encode(Batch { events: vec![event], ..Batch::default() }, &mut out);
    }
    assert_eq!(encoder.objection(Some(&FinishReason::ToolCalls)), None);
    let told = wire(&out);
    assert!(!told.contains("tool_use"), "begun once: {told}");
    assert!(told.contains("later"), "{told}");
}

#[test]
fn what_is_repeated_while_it_waits_is_said_once() {
    let said = [
        call(0, Some("a"), Some("f"), "{"),
        call(1, Some("b"), Some("g"), "{"),
        call(1, Some("b"), Some("g"), "}"),
        call(0, Some("a"), Some("f"), "}"),
    ];
    let end = completed(Some(FinishReason::ToolCalls), None);
    let read = read(&wire(&encode(&mut encoder(), &said, &end)));
    let whole = |id: &str, name: &str| Block::Call {
        id: id.to_owned(),
        name: name.to_owned(),
        input: "{}".to_owned(),
    };
    assert_eq!(read.blocks, [whole("a", "f"), whole("b", "g")]);
}

#[test]
fn a_call_that_is_none_is_objected_to_after_it_was_told() {
    let mut encoder = encoder();
    added(&mut encoder, call(0, Some("a"), Some("f"), "{x}"));
    let told = added(&mut encoder, call(1, Some("b"), Some("g"), "{}"));
    assert!(told.contains(r#""name":"g""#), "its braces are closed: {told}");
    for finish in [FinishReason::ToolCalls, FinishReason::Length] {
        assert!(encoder.objection(Some(&finish)).is_some(), "{finish:?}");
    }
}

#[test]
fn a_cut_call_that_was_not_begun_is_left_out() {
    let said = [
        call(0, Some("a"), Some("f"), "{\"x\":"),
        call(1, Some("b"), Some("g"), "{\"y\":"),
        call(2, Some("c"), Some("h"), "{}"),
    ];
    let end = completed(Some(FinishReason::Length), Some(usage(1, 2)));
    let read = read(&wire(&encode(&mut encoder(), &said, &end)));
    let names = read.blocks.iter().filter_map(|block| match block {
        Block::Call { name, .. } => Some(name.as_str()),
        _ => None,
    });
    let names: Vec<_> = names.collect();
    assert_eq!(names, ["f", "h"]);
    assert_eq!(read.stop_reason.as_deref(), Some("max_tokens"));
}

#[test]
fn stop_reasons() {
    let stop = |word: &str| FinishReason::StopSequence(word.to_owned());
    for (finish, calls, reason, sequence) in [
        (None, false, "end_turn", None),
        (Some(FinishReason::Stop), false, "end_turn", None),
        (Some(FinishReason::Stop), true, "tool_use", None),
        (Some(FinishReason::ToolCalls), true, "tool_use", None),
        (Some(FinishReason::ToolCalls), false, "end_turn", None),
        (Some(stop("END")), false, "stop_sequence", Some("END")),
        (Some(stop("END")), true, "tool_use", None),
        (Some(FinishReason::Length), true, "max_tokens", None),
        (Some(FinishReason::ContentFilter), false, "refusal", None),
        (Some(FinishReason::Other("abort".to_owned())), false, "abort", None),
    ] {
        let said = if calls { vec![call(0, Some("a"), Some("f"), "{}")] } else { vec![text("x")] };
        let end = completed(finish.clone(), None);
        let read = read(&wire(&encode(&mut encoder(), &said, &end)));
        assert_eq!(read.stop_reason.as_deref(), Some(reason), "{finish:?} {calls}");
        assert_eq!(read.stop_sequence.as_deref(), sequence, "{finish:?} {calls}");
    }
}

#[test]
fn counts_are_told_where_they_are_known() {
    let early = Event::Usage(usage(5, 0));
    let cached = Usage { cached_tokens: Some(4), reasoning_tokens: Some(1), ..usage(5, 2) };
    let told = wire(&encode(
        &mut encoder(),
        &[early, text("x"), Event::Usage(cached)],
        &completed(None, Some(cached)),
    ));
    let read_early = read(&told);
    assert_eq!(read_early.start_usage, json!({"input_tokens": 5, "output_tokens": 0}));
    let expected = json!({
        "input_tokens": 1, "cache_read_input_tokens": 4, "output_tokens": 2,
        "output_tokens_details": {"thinking_tokens": 1},
    });
    assert_eq!(read_early.usage, expected);
    let silent = read(&wire(&encode(&mut encoder(), &[text("x")], &completed(None, None))));
    assert_eq!(silent.start_usage, json!({"input_tokens": 0, "output_tokens": 0}));
    assert_eq!(silent.usage, json!({"output_tokens": 0}), "an input nobody counted is not told");
}

#[test]
fn nothing_is_said_before_the_answer_begins() {
    let mut encoder = encoder();
    let mut out: Vec<Payload> = Vec::new();
    encoder.queued(QueuePlace { position: 3, wait: None }, &mut out);
    assert_eq!(out, [], "so that a failure can have its own status");
    assert_eq!(added(&mut encoder, Event::Usage(usage(1, 0))), "");
    let failure = Failure::new(ErrorKind::UpstreamOverloaded, "busy\n\nevent: message_stop");
    encoder.end(&failed(&failure), &mut out);
    let read = read(&wire(&out));
    assert_eq!((read.error.as_deref(), read.blocks.len()), (Some("overloaded_error"), 0));
}

#[test]
fn an_empty_answer_is_a_message_all_the_same() {
    let read = read(&wire(&encode(&mut encoder(), &[], &completed(None, None))));
    assert_eq!((read.blocks.len(), read.stop_reason.as_deref()), (0, Some("end_turn")));
}
