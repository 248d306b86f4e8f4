//! Answers in one piece.

use serde_json::{Value, json};
use tidegate_protocol::anthropic::WholeEncoder;
use tidegate_protocol::{Batch, Encoder, ErrorKind, Event, Failure, FinishReason, Usage};

use super::{call, thought};
use crate::support::{completed, encode, failed, text, usage, wire};

fn encoder() -> WholeEncoder {
    WholeEncoder::new("1", "m".to_owned())
}

fn message(said: &[Event], finish: FinishReason, usage: Option<Usage>) -> Value {
    let body = wire(&encode(&mut encoder(), said, &completed(Some(finish), usage)));
    serde_json::from_str(&body).unwrap()
}

#[test]
fn all_that_was_said() {
    let said = [
        thought("h"),
        thought("m"),
        text("Hi "),
        call(0, Some("a"), Some("f"), "{\"x\""),
        call(1, None, Some("g"), ""),
        text("there"),
        call(0, None, None, ": 1.0}"),
    ];
    let cached = Usage { cached_tokens: Some(2), ..usage(5, 3) };
    assert_eq!(
        message(&said, FinishReason::Stop, Some(cached)),
        json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": ""},
                {"type": "text", "text": "Hi there"},
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1.0}},
                {"type": "tool_use", "id": "toolu_1_1", "name": "g", "input": {}},
            ],
            "stop_reason": "tool_use", "stop_sequence": null,
            "usage": {"input_tokens": 3, "cache_read_input_tokens": 2, "output_tokens": 3},
        })
    );
}

#[test]
fn counts_that_nobody_told_are_nought() {
    let message = message(&[], FinishReason::StopSequence("END".to_owned()), None);
    assert_eq!(message["usage"], json!({"input_tokens": 0, "output_tokens": 0}));
    assert_eq!(message["content"], json!([]));
    assert_eq!(
        (&message["stop_reason"], &message["stop_sequence"]),
        (&json!("stop_sequence"), &json!("END"))
    );
}

#[test]
fn half_a_call_is_objected_to_or_left_out() {
    let half = call(0, Some("a"), Some("f"), "{\"x\":");
    let mut encoder = encoder();
    encoder
        .encode(Batch { events: vec![text("x"), half.clone()], ..Batch::default() }, &mut vec![]);
    assert!(encoder.held_bytes() > 5);
    let failure = encoder.objection(Some(&FinishReason::Stop)).unwrap();
    assert_eq!(failure.kind, ErrorKind::UpstreamProtocol);
    assert_eq!(encoder.objection(Some(&FinishReason::Length)), None);
    let message = message(&[text("x"), half], FinishReason::Length, None);
    assert_eq!(message["content"], json!([{"type": "text", "text": "x"}]));
    assert_eq!(message["stop_reason"], "max_tokens");
}

#[test]
fn an_answer_that_failed_is_not_written() {
    let failure = Failure::new(ErrorKind::Truncated, "cut");
    assert_eq!(encode(&mut encoder(), &[text("x")], &failed(&failure)), []);
}
