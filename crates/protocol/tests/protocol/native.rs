//! The gateway's own dialect.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_protocol::native::{EventEncoder, Limits, WholeEncoder, decode_request, error_body};
use tidegate_protocol::{
    Encoder, ErrorKind, Event, Failure, FinishReason, Payload, QueuePlace, Request, Role,
    ToolCallDelta,
};

use crate::support::{completed, encode, failed, text, usage, wire};

const LIMITS: Limits = Limits {
    max_content_chars: 10,
    max_messages: 3,
    default_temperature: 0.7,
    default_max_tokens: 2048,
    max_tokens: 4096,
};

fn decode(body: &str) -> Result<Request, Failure> {
    decode_request(body.as_bytes(), &LIMITS)
}

fn faults(body: &str) -> Vec<(String, String)> {
    let failure = decode(body).expect_err(body);
    assert_eq!(failure.kind, ErrorKind::InvalidRequest, "{body}");
    failure.details.into_iter().map(|fault| (fault.field, fault.message)).collect()
}

#[test]
fn a_request_has_its_defaults() {
    let request = decode(r#"{"messages":[{"role":"user","content":"hi"}]}"#).unwrap();
    assert!(request.stream && request.model.is_none() && request.original.is_none());
    assert_eq!(request.chat().unwrap().sampling.temperature, Some(0.7));
    assert_eq!(request.chat().unwrap().sampling.max_tokens, Some(2048));
    let request = decode(
        r#"{"messages":[{"role":"system","content":"0123456789"},{"role":"assistant","content":"éééééééééé"}],
            "model":"m","temperature":0,"maxTokens":4096,"stream":false}"#,
    )
    .unwrap();
    assert_eq!((request.model.as_deref(), request.stream), (Some("m"), false));
    assert_eq!(request.chat().unwrap().sampling.temperature, Some(0.0));
    assert_eq!(request.chat().unwrap().sampling.max_tokens, Some(4096));
    assert_eq!(request.chat().unwrap().messages[1].role, Role::Assistant);
}

#[test]
fn every_fault_is_listed_with_its_place_and_what_is_allowed() {
    let found = faults(
        r#"{"messages":[{"role":"tool","content":""},{"role":"robot"},7],"temperature":2.1,
            "max_tokens":5,"maxTokens":0,"stream":"yes","model":"","zzz":1,"zzz":2}"#,
    );
    let roles = r#"must be one of "user", "assistant", "system""#;
    let known = "is not a known field; known are messages, model, temperature, maxTokens, stream";
    let expected = [
        ("zzz", "appears more than once"),
        ("max_tokens", "is not a known field; did you mean \"maxTokens\"?"),
        ("zzz", known),
        ("zzz", known),
        ("messages[2]", "must be an object"),
        ("messages[0].role", roles),
        ("messages[0].content", "must be a string of 1 to 10 characters, not 0"),
        ("messages[1].role", roles),
        ("messages[1].content", "is required: a string of 1 to 10 characters"),
        ("model", "must not be empty: leave it out for the active model"),
        ("temperature", "must be a number from 0 to 2"),
        ("maxTokens", "must be a whole number from 1 to 4096"),
        ("stream", "must be true or false"),
    ];
    let expected: Vec<_> =
        expected.map(|(field, message)| (field.to_owned(), message.to_owned())).into();
    assert_eq!(found, expected);
}

#[test]
fn one_fault_each() {
    for (body, field) in [
        ("{}", "messages"),
        (r#"{"messages":[]}"#, "messages"),
        (r#"{"messages":"hi"}"#, "messages"),
        (r#"{"messages":[{"role":"user","content":"01234567890"}]}"#, "messages[0].content"),
        (r#"{"messages":[{"role":"user","content":["a"]}]}"#, "messages[0].content"),
        (r#"{"messages":[{"role":"user","content":"a","name":"b"}]}"#, "messages[0].name"),
        (r#"{"messages":[{"role":"user","content":"a"}],"temperature":"1"}"#, "temperature"),
        (r#"{"messages":[{"role":"user","content":"a"}],"maxTokens":4097}"#, "maxTokens"),
        (r#"{"messages":[{"role":"user","content":"a"}],"maxTokens":1.5}"#, "maxTokens"),
        (r#"{"messages":[{"role":"user","content":"a"}],"maxTokens":-1}"#, "maxTokens"),
        (r#"{"messages":[{"role":"user","content":"a"}],"stream":1}"#, "stream"),
        (&format!(r#"{{"messages":[{}]}}"#, ["{}"; 4].join(",")), "messages"),
    ] {
        let found = faults(body);
        assert_eq!(found.len(), 1, "{body}: {found:?}");
        assert_eq!(found[0].0, field, "{body}");
    }
}

#[test]
fn what_is_no_json_object_is_refused_with_its_place() {
    for (body, part) in [
        ("{\"messages\":\n [}", "line 2 column 3"),
        ("", "the body is empty"),
        ("[]", "must be a JSON object"),
        ("{\"temperature\":NaN}", "line 1 column 16, in temperature"),
        ("{\"temperature\":1e999}", "number out of range at line 1 column 20, in temperature"),
        ("{\"messages\":[]} x", "line 1"),
    ] {
        let failure = decode(body).expect_err(body);
        assert!(failure.message.contains(part), "{body}: {}", failure.message);
        assert_eq!((failure.kind, failure.details.len()), (ErrorKind::InvalidRequest, 0));
    }
    let secret = decode("\"my secret prompt\"").unwrap_err();
    assert!(!secret.message.contains("secret"), "{}", secret.message);
    let failure = decode_request(b"{\"model\":\"\xff\"}", &LIMITS).unwrap_err();
    assert_eq!(failure.message, "the body is not UTF-8 from byte 10 on");
}

#[test]
fn a_million_faults_are_not_all_listed() {
    let body = format!("{{\"messages\":[{}0]}}", "0,".repeat(100_000));
    let found = faults(&body);
    assert_eq!(found.len(), 65);
    assert!(found[64].1.starts_with("99937 more faults"), "{:?}", found[64]);
    let keys: Vec<_> = (0..50_000).map(|n| format!("\"k{n}\":0")).collect();
    assert_eq!(faults(&format!("{{{}}}", keys.join(","))).len(), 65);
}

fn named(payloads: &[Payload]) -> Vec<(&'static str, Value)> {
    let event = |payload: &Payload| match payload {
        Payload::Event { name, data } => {
            assert!(!data.contains(['\n', '\r']), "{data:?}");
            (name.as_str(), serde_json::from_str(data).unwrap())
        }
        Payload::Wire(_) => panic!("bytes where an event was expected"),
    };
    payloads.iter().map(event).collect()
}

#[test]
fn a_stream_of_events() {
    let call = ToolCallDelta {
        index: 0,
        id: Some("c".to_owned()),
        name: Some("f".to_owned()),
        arguments: "{}".to_owned(),
    };
    let said = [
        text("a\r\n\ndata: x"),
        Event::Reasoning("r".to_owned()),
        Event::ToolCall(call),
        Event::Finish(FinishReason::Stop),
        Event::Usage(usage(2, 5)),
        Event::Done,
    ];
    let mut encoder = EventEncoder::new("m".to_owned());
    let mut out = Vec::new();
    encoder.queued(QueuePlace { position: 4, wait: None }, &mut out);
    let wait = Some(Duration::from_micros(1_234_567));
    encoder.queued(QueuePlace { position: 3, wait }, &mut out);
    let end = completed(Some(FinishReason::Stop), Some(usage(2, 5)));
    out.extend(encode(&mut encoder, &said, &end));
    let calls = json!([{"index": 0, "id": "c", "name": "f", "arguments": "{}"}]);
    let chunk = "chat.completion.chunk";
    let counts = json!({"promptTokens": 2, "completionTokens": 5, "totalTokens": 7});
    assert_eq!(
        named(&out),
        [
            ("chat.queued", json!({"position": 4})),
            ("chat.queued", json!({"position": 3, "estimatedWaitMs": 1234})),
            (chunk, json!({"model": "m", "content": "a\r\n\ndata: x", "done": false})),
            (chunk, json!({"model": "m", "content": "", "reasoning": "r", "done": false})),
            (chunk, json!({"model": "m", "content": "", "toolCalls": calls, "done": false})),
            (
                "chat.completion.done",
                json!({"model": "m", "totalDuration": 1_500_000, "evalCount": 5, "done": true,
                       "finishReason": "stop", "usage": counts})
            ),
        ]
    );
}

#[test]
fn terminals() {
    let end = |end| {
        let mut out = Vec::new();
        EventEncoder::new("m".to_owned()).end(&end, &mut out);
        named(&out).pop().unwrap()
    };
    let unknown = json!({"model": "m", "totalDuration": 1_500_000, "evalCount": 3, "done": true,
                         "finishReason": null, "usage": null});
    assert_eq!(end(completed(None, None)), ("chat.completion.done", unknown));
    let cancelled = Failure::new(ErrorKind::Cancelled, "the stream was cancelled");
    let said = json!({"code": "CANCELLED", "message": "the stream was cancelled"});
    assert_eq!(end(failed(&cancelled)), ("chat.cancelled", said));
    let full = Failure::new(ErrorKind::QueueFull, "full").retry_after(Some(2));
    let said = json!({"code": "QUEUE_FULL", "message": "full", "retryAfter": 2});
    assert_eq!(end(failed(&full)), ("error", said));
}

#[test]
fn a_whole_answer() {
    let mut encoder = WholeEncoder::new("r1".to_owned(), "m".to_owned());
    let end = completed(Some(FinishReason::Length), None);
    let body = wire(&encode(&mut encoder, &[text("a"), text("b"), Event::Done], &end));
    assert_eq!(encoder.held_bytes(), 2);
    let expected = json!({"requestId": "r1", "model": "m", "content": "ab",
                          "finishReason": "length", "usage": null});
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected);
    let failure = Failure::new(ErrorKind::Truncated, "cut");
    assert_eq!(encode(&mut encoder, &[], &failed(&failure)), []);
}

#[test]
fn error_bodies() {
    let body = |failure: &Failure| serde_json::from_slice::<Value>(&error_body(failure)).unwrap();
    let plain = Failure::new(ErrorKind::NotFound, "no such stream");
    assert_eq!(body(&plain), json!({"error": "NOT_FOUND", "message": "no such stream"}));
    let invalid = decode("{}").unwrap_err();
    let message = "is required: a list of at least one message";
    assert_eq!(
        body(&invalid),
        json!({"error": "INVALID_REQUEST", "message": format!("messages: {message}"),
               "details": [{"field": "messages", "message": message}]})
    );
}
