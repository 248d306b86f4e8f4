//! Answers written in OpenAI's dialect.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use tidegate_protocol::openai::{ChunkEncoder, EventDecoder, WholeDecoder, WholeEncoder};
use tidegate_protocol::{
    Batch, Encoder, ErrorKind, Event, Failure, FinishReason, Payload, ToolCallDelta, Usage,
};

use crate::support::{ROOM, completed, encode, failed, run_whole, text, usage, wire};

fn encoder(include_usage: bool) -> ChunkEncoder {
    ChunkEncoder::new(
        "chatcmpl-1".to_owned(),
        "model \"x\"".to_owned(),
        1_700_000_000,
        include_usage,
    )
}

fn call(index: u32, id: Option<&str>, arguments: &str) -> Event {
    let name = id.map(|id| format!("f{id}"));
    let id = id.map(str::to_owned);
    Event::ToolCall(ToolCallDelta { index, id, name, arguments: arguments.to_owned() })
}

fn frames(wire: &str) -> Vec<Value> {
    let data = wire.split("\n\n").filter_map(|frame| frame.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

#[test]
fn a_stream_has_openais_shape() {
    let said = [text("Hi"), Event::Finish(FinishReason::Stop), Event::Usage(usage(3, 1))];
    let end = completed(Some(FinishReason::Stop), Some(usage(3, 1)));
    let wire = wire(&encode(&mut encoder(true), &said, &end));
    assert!(wire.ends_with("\n\ndata: [DONE]\n\n"));
    let chunk = |choices: Value, usage: Value| {
        json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000,
               "model": "model \"x\"", "choices": choices, "usage": usage})
    };
    let choice = |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
    let counts = json!({"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4});
    assert_eq!(
        frames(&wire),
        [
            chunk(choice(json!({"role": "assistant", "content": ""}), Value::Null), Value::Null),
            chunk(choice(json!({"content": "Hi"}), Value::Null), Value::Null),
            chunk(choice(json!({}), json!("stop")), Value::Null),
            chunk(json!([]), counts),
        ]
    );
}

#[test]
fn usage_is_told_only_to_those_who_asked_and_never_guessed() {
    for (asked, known, told) in
        [(true, Some(usage(1, 1)), true), (false, Some(usage(1, 1)), false), (true, None, false)]
    {
        let end = completed(Some(FinishReason::Stop), known);
        let wire = wire(&encode(&mut encoder(asked), &[text("x")], &end));
        assert_eq!(wire.contains("total_tokens"), told, "{asked} {known:?}");
    }
}

#[test]
fn all_frames_of_a_batch_are_one_payload() {
    let mut out = Vec::new();
    let events = vec![text("a"), text("b"), Event::Reasoning("c".to_owned())];
    encoder(false).encode(Batch { events, chunks: 3, ..Batch::default() }, &mut out);
    assert_eq!((out.len(), frames(&wire(&out)).len()), (1, 4));
    out.clear();
    encoder(false).encode(Batch { events: vec![Event::Done], ..Batch::default() }, &mut out);
    assert_eq!(out, []);
}

#[test]
fn a_failed_stream_has_an_error_and_no_end_mark() {
    let failure = Failure::new(ErrorKind::UpstreamError, "went away");
    let wire = wire(&encode(&mut encoder(true), &[text("a")], &failed(&failure)));
    assert!(!wire.contains("[DONE]") && !wire.contains("finish_reason\":\""), "{wire}");
    let error = frames(&wire).pop().unwrap();
    let expected = json!({"error": {"message": "went away", "type": "server_error",
                                    "param": null, "code": "UPSTREAM_ERROR"}});
    assert_eq!(error, expected);
}

#[test]
fn a_whole_answer_has_openais_shape() {
    let said = [
        Event::Reasoning("think".to_owned()),
        call(0, Some("a"), "{\"x\""),
        call(1, Some("b"), "{}"),
        call(0, None, ":1}"),
    ];
    let mut encoder = WholeEncoder::new("chatcmpl-1".to_owned(), "m".to_owned(), 7);
    let end = completed(Some(FinishReason::ToolCalls), Some(usage(3, 4)));
    let body = wire(&encode(&mut encoder, &said, &end));
    let calls = json!([
        {"id": "a", "type": "function", "function": {"name": "fa", "arguments": "{\"x\":1}"}},
        {"id": "b", "type": "function", "function": {"name": "fb", "arguments": "{}"}},
    ]);
    let message = json!({"role": "assistant", "content": null, "refusal": null, "reasoning_content": "think",
                         "tool_calls": calls});
    assert_eq!(
        serde_json::from_str::<Value>(&body).unwrap(),
        json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "m",
               "choices": [{"index": 0, "message": message, "logprobs": null,
                            "finish_reason": "tool_calls"}],
               "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}})
    );
}

#[test]
fn a_whole_answer_counts_what_it_holds_and_says_nothing_when_it_failed() {
    let mut encoder = WholeEncoder::new(String::new(), String::new(), 0);
    let mut out = Vec::new();
    encoder.encode(Batch { events: vec![text("12345")], ..Batch::default() }, &mut out);
    assert_eq!(encoder.held_bytes(), 5);
    let frames = vec![Bytes::from_static(b"{\"body\":1}")];
    encoder.encode(Batch { frames, ..Batch::default() }, &mut out);
    assert_eq!(encoder.held_bytes(), 15);
    encoder.end(&failed(&Failure::new(ErrorKind::Cancelled, "")), &mut out);
    assert_eq!(out, []);
    encoder.end(&completed(None, None), &mut out);
    assert_eq!(out, [Payload::Wire(Bytes::from_static(b"{\"body\":1}"))]);
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let piece = prop_oneof![
        any::<String>().prop_map(Event::Text),
        any::<String>().prop_map(Event::Reasoning),
        (0u32..3, any::<String>()).prop_map(|(index, text)| call(index, None, &text)),
        (0u32..3, any::<String>()).prop_map(|(index, text)| call(index, Some("é\"\n"), &text)),
    ];
    let is_said =
        |event: &Event| !matches!(event, Event::Text(t) | Event::Reasoning(t) if t.is_empty());
    prop::collection::vec(piece.prop_filter("an empty piece is not told", is_said), 0..12)
}

fn reasons() -> impl Strategy<Value = FinishReason> {
    prop_oneof![
        Just(FinishReason::Stop),
        Just(FinishReason::Length),
        Just(FinishReason::ToolCalls),
        Just(FinishReason::ContentFilter),
        Just(FinishReason::Other("load\n\ndata: x".to_owned())),
    ]
}

proptest! {
    /// Whatever is said comes back from the wire as it was said: no content can forge a frame.
    #[test]
    fn a_stream_is_read_back_as_it_was_written(
        pieces in events(),
        reason in reasons(),
        prompt_tokens in any::<u32>(),
        completion_tokens in any::<u32>(),
        told_early in any::<bool>(),
    ) {
        let counts = Usage {
            prompt_tokens: prompt_tokens.into(),
            completion_tokens: completion_tokens.into(),
            ..Usage::default()
        };
        let mut said = pieces.clone();
        if told_early {
            said.push(Event::Finish(reason.clone()));
        }
        let end = completed(Some(reason.clone()), Some(counts));
        let wire = wire(&encode(&mut encoder(true), &said, &end));
        let mut expected = pieces;
        expected.extend([Event::Finish(reason), Event::Usage(counts), Event::Done]);
        let seen = run_whole(EventDecoder::new(1 << 20), wire.as_bytes());
        prop_assert_eq!(seen.events, expected);
    }

    #[test]
    fn a_whole_answer_is_read_back_as_it_was_written(pieces in events(), reason in reasons()) {
        let mut encoder = WholeEncoder::new("id".to_owned(), "m".to_owned(), 1);
        let end = completed(Some(reason.clone()), None);
        let body = wire(&encode(&mut encoder, &pieces, &end));
        let seen = run_whole(WholeDecoder::new(1 << 20, false), body.as_bytes());
        let said = run_whole_text(&pieces);
        prop_assert_eq!(seen.text(), said);
        prop_assert!(seen.events.ends_with(&[Event::Finish(reason), Event::Done]));
    }
}

fn run_whole_text(pieces: &[Event]) -> String {
    let text = |event: &Event| match event {
        Event::Text(text) => Some(text.clone()),
        _ => None,
    };
    pieces.iter().filter_map(text).collect()
}

#[test]
fn the_decoder_of_captures_fits_the_encoder() {
    // A frame of the encoder is an ordinary one to a relay behind it.
    let end = completed(Some(FinishReason::Stop), None);
    let wire = wire(&encode(&mut encoder(true), &[text("a"), text("b")], &end));
    let decoder = tidegate_protocol::openai::RelayDecoder::new(ROOM, true, "m");
    let seen = run_whole(decoder, wire.as_bytes());
    assert_eq!(format!("{}data: [DONE]\n\n", seen.frames), wire);
    assert_eq!(seen.events, [Event::Finish(FinishReason::Stop), Event::Done]);
}
