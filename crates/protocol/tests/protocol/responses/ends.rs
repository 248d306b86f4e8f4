//! How a response ends, and what is kept of it.

use serde_json::{Value, json};
use tidegate_protocol::responses::{Finished, ResponseEncoder, Standing, last_words};
use tidegate_protocol::{
    Encoder, End, ErrorKind, Event, Failure, FinishReason, StreamId, Usage, openai,
};

use super::reader::{Read, read};
use super::{call, decode, encoder, thought};
use crate::support::{completed, encode, failed, text, usage, wire};

/// Streams an answer; gives what its client reads, and what is kept.
fn ended(events: &[Event], end: &End<'_>) -> (Read, Finished) {
    let mut encoder = encoder(true);
    let out = encode(&mut encoder, events, end);
    let finished = encoder.take_finished().unwrap();
    assert!(encoder.take_finished().is_none());
    let read = read(&wire(&out));
    assert_eq!(serde_json::from_slice::<Value>(&finished.body).unwrap(), read.response);
    (read, finished)
}

#[test]
fn every_finish_reason_has_its_end() {
    for (reason, status, why) in [
        (None, "completed", Value::Null),
        (Some(FinishReason::Stop), "completed", Value::Null),
        (Some(FinishReason::StopSequence("x".to_owned())), "completed", Value::Null),
        (Some(FinishReason::ToolCalls), "completed", Value::Null),
        (Some(FinishReason::Length), "incomplete", json!({"reason": "max_output_tokens"})),
        (Some(FinishReason::ContentFilter), "incomplete", json!({"reason": "content_filter"})),
        (Some(FinishReason::Other("abort".to_owned())), "incomplete", json!({"reason": "abort"})),
    ] {
        let (read, finished) = ended(&[text("a")], &completed(reason, None));
        assert_eq!(read.response["status"], status);
        assert_eq!(read.response["incomplete_details"], why);
        assert_eq!(read.output()[0]["status"], status);
        assert_eq!(finished.standing.as_str(), status);
        assert!(finished.standing.has_ended_well() && finished.begun);
    }
}

#[test]
fn a_failure_is_told_twice_and_a_cancel_blames_nobody() {
    for (kind, status, code) in [
        (ErrorKind::Truncated, "failed", "server_error"),
        (ErrorKind::UpstreamRateLimited, "failed", "rate_limit_exceeded"),
        (ErrorKind::UpstreamRejected, "failed", "invalid_prompt"),
        (ErrorKind::Cancelled, "cancelled", ""),
    ] {
        let failure = Failure::new(kind, "it \"broke\"\n");
        let events = [text("half"), call(0, Some("c"), Some("f"), "{}")];
        let (read, finished) = ended(&events, &failed(&failure));
        assert_eq!(read.response["status"], status);
        let told = json!({"code": code, "message": "it \"broke\"\n"});
        let told = if code.is_empty() { Value::Null } else { told };
        assert_eq!(read.response["error"], told);
        assert_eq!(read.error.as_ref().unwrap()["code"], kind.code());
        assert_eq!(read.output().len(), 1, "a call that nobody knows to be whole is left out");
        assert_eq!((&read.output()[0]["status"], finished.output.len()), (&json!("completed"), 1));
        assert!(!finished.standing.has_ended_well());
    }
    let failure = Failure::new(ErrorKind::Truncated, "cut");
    let (read, _) = ended(&[text("half")], &failed(&failure));
    assert_eq!(read.output()[0]["status"], "incomplete");
}

#[test]
fn a_failure_before_the_first_word_is_a_stream_of_its_own() {
    let failure = Failure::new(ErrorKind::UpstreamTimeout, "late");
    let (read, finished) = ended(&[], &failed(&failure));
    assert_eq!((read.terminal.as_str(), read.output().len()), ("response.failed", 0));
    assert_eq!((finished.standing, finished.begun), (Standing::Failed, false));
}

#[test]
fn the_counts_are_the_upstreams() {
    let (read, _) = ended(&[text("a")], &completed(None, None));
    assert_eq!(read.response["usage"], Value::Null);
    let known = Usage { cached_tokens: Some(5), reasoning_tokens: Some(2), ..usage(7, 3) };
    for (counts, cached, reasoning) in [(known, 5, 2), (usage(7, 3), 0, 0)] {
        let (read, _) = ended(&[text("a")], &completed(None, Some(counts)));
        let expected = json!({
            "input_tokens": 7, "output_tokens": 3, "total_tokens": 10,
            "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": reasoning},
        });
        assert_eq!(read.response["usage"], expected);
    }
    let late = End { duration_ns: 2_500_000_000, ..completed(None, None) };
    let (read, _) = ended(&[], &late);
    assert_eq!(read.response["completed_at"], 1_700_000_002);
}

#[test]
fn a_call_is_told_once_its_name_is_known() {
    let events = [
        call(0, Some("c0"), None, "{\"a\""),
        text("meanwhile"),
        call(0, Some("c0"), Some("f"), ":1"),
        call(0, Some("again"), Some("again"), "}"),
        call(1, None, Some("g"), ""),
    ];
    let (read, _) = ended(&events, &completed(Some(FinishReason::ToolCalls), None));
    let expected = [("f", "{\"a\":1}"), ("g", "")]
        .map(|(name, arguments)| (name.to_owned(), arguments.to_owned()));
    assert_eq!(read.calls(), expected);
    assert_eq!(read.output()[1]["call_id"], "c0");
    assert_eq!(read.output()[2]["call_id"], format!("call_{}_2", super::id()), "an id of our own");

    let mut encoder = encoder(true);
    let _ = encode(&mut encoder, &[text("a")], &completed(None, None));
    assert_eq!(encoder.objection(None), None);
    let mut encoder = super::encoder(true);
    encoder.encode(batch(call(0, Some("c0"), None, "{}")), &mut Vec::new());
    let objection = encoder.objection(Some(&FinishReason::ToolCalls)).unwrap();
    assert_eq!(objection.kind, ErrorKind::UpstreamProtocol);
    assert_eq!(encoder.held_bytes(), 2);
}

fn batch(event: Event) -> tidegate_protocol::Batch {
    tidegate_protocol::Batch { events: vec![event], ..tidegate_protocol::Batch::default() }
}

#[test]
fn what_is_held_is_counted() {
    let mut encoder = encoder(true);
    encoder.encode(batch(text("twelve bytes")), &mut Vec::new());
    let first = encoder.held_bytes();
    assert!((12..400).contains(&first), "{first}");
    encoder.encode(batch(text("four")), &mut Vec::new());
    assert_eq!(encoder.held_bytes(), first + 4);
    encoder.encode(batch(thought("six...")), &mut Vec::new());
    assert!(encoder.held_bytes() >= first + 10);
}

#[test]
fn an_answer_is_kept_as_it_was_told_and_can_be_sent_back() {
    let events = [thought("hm"), text("a"), call(0, Some("c"), Some("f"), "{}")];
    let (read, finished) = ended(&events, &completed(Some(FinishReason::ToolCalls), None));
    let kept: Vec<Value> =
        finished.output.iter().map(|item| serde_json::to_value(item.json()).unwrap()).collect();
    assert_eq!(&kept, read.output());
    let mut input = kept;
    input.push(json!({"type": "function_call_output", "call_id": "c", "output": "1"}));
    let asked = decode(&json!({"input": input})).unwrap();
    let sent = openai::encode_request(&asked.request, "m", true).unwrap();
    assert_eq!(sent.ignored, Vec::<String>::new());
    let sent: Value = serde_json::from_slice(&sent.body).unwrap();
    let expected = json!([
        {"role": "assistant", "content": "a", "reasoning_content": "hm", "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        ]},
        {"role": "tool", "content": "1", "tool_call_id": "c"},
    ]);
    assert_eq!(sent["messages"], expected);
}

#[test]
fn what_is_not_to_be_kept_is_not() {
    let asked = decode(&json!({"input": "hi", "store": false})).unwrap();
    assert!(!asked.echo.store());
    let mut encoder =
        ResponseEncoder::new(StreamId::new(0, 1), "m".to_owned(), 1, asked.echo, false);
    let out = encode(&mut encoder, &[text("a")], &completed(None, None));
    let finished = encoder.take_finished().unwrap();
    assert!(finished.output.is_empty());
    assert_eq!(wire(&out).as_bytes(), finished.body);
}

#[test]
fn the_last_words_raise_in_every_sdk() {
    let failure = Failure::new(ErrorKind::Internal, "gone");
    let said = wire(&[last_words(&failure)]);
    let data = said.strip_prefix("event: error\ndata: ").unwrap().trim_end();
    let data: Value = serde_json::from_str(data).unwrap();
    assert_eq!((&data["type"], &data["code"]), (&json!("error"), &json!("INTERNAL_ERROR")));
    assert_eq!(data["error"]["message"], "gone");
}
