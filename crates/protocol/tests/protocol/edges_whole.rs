//! Answers in one piece that hold more than text.

use serde_json::{Value, json};
use tidegate_protocol::native::WholeEncoder;
use tidegate_protocol::{ErrorKind, Event, Failure, FinishReason, ToolCallDelta, openai};

use crate::support::{ROOM, completed, encode, run_whole, text, usage, wire};

fn call(index: u32, id: Option<&str>, name: Option<&str>, arguments: &str) -> Event {
    let (id, name) = (id.map(str::to_owned), name.map(str::to_owned));
    Event::ToolCall(ToolCallDelta { index, id, name, arguments: arguments.to_owned() })
}

#[test]
fn the_gateways_own_dialect_tells_reasoning_and_calls() {
    let said = [
        Event::Reasoning("let me ".to_owned()),
        Event::Reasoning("see".to_owned()),
        text("Asking."),
        call(0, Some("a"), Some("get"), "{\"x\""),
        // Some servers repeat the id and the name on every fragment.
        call(0, Some("a"), Some("get"), ":1}"),
        // Others send an empty fragment ahead.
        call(1, Some(""), None, ""),
        call(1, Some("b"), Some("put"), "{}"),
    ];
    let end = completed(Some(FinishReason::ToolCalls), Some(usage(3, 4)));
    let mut encoder = WholeEncoder::new("r1".to_owned(), "m".to_owned());
    let body = wire(&encode(&mut encoder, &said, &end));
    assert_eq!(
        serde_json::from_str::<Value>(&body).unwrap(),
        json!({"requestId": "r1", "model": "m", "content": "Asking.", "reasoning": "let me see",
               "toolCalls": [{"id": "a", "name": "get", "arguments": "{\"x\":1}"},
                             {"id": "b", "name": "put", "arguments": "{}"}],
               "finishReason": "tool_calls",
               "usage": {"promptTokens": 3, "completionTokens": 4, "totalTokens": 7}})
    );
}

#[test]
fn openais_dialect_tells_text_beside_calls_and_an_answer_without_words() {
    let message = |said: &[Event]| {
        let mut encoder = openai::WholeEncoder::new("id".to_owned(), "m".to_owned(), 1);
        let body = wire(&encode(&mut encoder, said, &completed(None, None)));
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
        answer["choices"][0]["message"].clone()
    };
    let asked = message(&[text("Asking."), call(0, Some("a"), Some("get"), "{}")]);
    assert_eq!(
        (&asked["content"], &asked["tool_calls"][0]["id"]),
        (&json!("Asking."), &json!("a"))
    );
    assert_eq!(message(&[]), json!({"role": "assistant", "content": "", "refusal": null}));
}

#[test]
fn an_upstreams_answer_in_one_piece_is_one_piece_and_its_error_none() {
    let answer = r#"{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}"#;
    for relay in [false, true] {
        for (body, pieces) in [(answer, 1), (r#"{"error":{"message":"no"}}"#, 0)] {
            let decoder = openai::WholeDecoder::new(ROOM, relay);
            assert_eq!(run_whole(decoder, body.as_bytes()).chunks, pieces, "{body}");
        }
    }
}

#[test]
fn an_error_is_typed_as_openais_clients_expect() {
    let error = |kind, status| -> Value {
        serde_json::from_slice(&openai::error_body(&Failure::new(kind, "why"), status)).unwrap()
    };
    for (kind, status, expected) in [
        (ErrorKind::Capacity, 429, "rate_limit_error"),
        (ErrorKind::UpstreamRateLimited, 429, "rate_limit_error"),
        // Inside a stream no status says whose fault it is.
        (ErrorKind::RateLimited, 500, "rate_limit_error"),
        (ErrorKind::InvalidRequest, 500, "invalid_request_error"),
        (ErrorKind::UpstreamRejected, 500, "invalid_request_error"),
        (ErrorKind::NotFound, 404, "invalid_request_error"),
        (ErrorKind::UpstreamError, 502, "server_error"),
        (ErrorKind::Draining, 503, "server_error"),
    ] {
        assert_eq!(error(kind, status)["error"]["type"], expected, "{kind:?} {status}");
    }
}
