//! Bodies that are refused, and errors as this dialect tells them.

use serde_json::{Value, json};
use tidegate_protocol::{ErrorKind, Failure, FieldFault, anthropic};

/// The fields that are at fault.
fn faults(body: &Value) -> Vec<String> {
    let failure = anthropic::decode_request(body.to_string().as_bytes()).unwrap_err();
    assert_eq!(failure.kind, ErrorKind::InvalidRequest);
    failure.details.into_iter().map(|fault| fault.field).collect()
}

fn with(name: &str, value: impl Into<Value>) -> Value {
    let mut body = json!({"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]});
    body[name] = value.into();
    body
}

fn saying(role: &str, content: impl Into<Value>) -> Value {
    with("messages", json!([{"role": role, "content": content.into()}]))
}

#[test]
fn every_fault_is_told_at_once_and_by_name() {
    let all = json!({"messages": [], "temperature": 1.5, "top_p": "x", "stream": 1});
    assert_eq!(faults(&all), ["max_tokens", "messages", "temperature", "top_p", "stream"]);
    let source = |source: Value| json!([{"type": "image", "source": source}]);
    for (body, field) in [
        (with("max_tokens", json!(0)), "max_tokens"),
        (with("max_tokens", json!("5")), "max_tokens"),
        (with("model", json!("")), "model"),
        (with("temperature", json!(1.01)), "temperature"),
        (with("top_k", json!(-1)), "top_k"),
        (with("stop_sequences", json!("END")), "stop_sequences"),
        (with("system", json!(5)), "system"),
        (with("system", json!([{"type": "image"}])), "system[0].type"),
        (with("tools", json!([{"name": "f"}])), "tools[0].input_schema"),
        (with("tools", json!([{"input_schema": {}}])), "tools[0].name"),
        (with("tools", json!([{"name": "f", "input_schema": "x"}])), "tools[0].input_schema"),
        (with("tool_choice", json!("auto")), "tool_choice"),
        (with("tool_choice", json!({"type": "some"})), "tool_choice.type"),
        (with("tool_choice", json!({"type": "tool"})), "tool_choice.name"),
        (with("thinking", json!({"type": "enabled"})), "thinking.budget_tokens"),
        (with("metadata", json!({"user_id": 5})), "metadata.user_id"),
        (with("output_config", json!({"effort": 5})), "output_config.effort"),
        (
            with("output_config", json!({"format": {"type": "json_schema"}})),
            "output_config.format.schema",
        ),
        (saying("robot", json!("hi")), "messages[0].role"),
        (saying("user", json!(5)), "messages[0].content"),
        (saying("user", json!(null)), "messages[0].content"),
        (saying("user", json!([{"text": "hi"}])), "messages[0].content[0].type"),
        (saying("user", json!([{"type": "text"}])), "messages[0].content[0].text"),
        (saying("user", json!([{"type": "tool_use"}])), "messages[0].content[0].type"),
        (saying("user", json!([{"type": "thinking"}])), "messages[0].content[0].type"),
        (saying("assistant", json!([{"type": "tool_result"}])), "messages[0].content[0].type"),
        (saying("assistant", source(json!({}))), "messages[0].content[0].type"),
        (saying("user", json!([{"type": "image"}])), "messages[0].content[0].source"),
        (saying("user", source(json!({"type": "url"}))), "messages[0].content[0].source.url"),
        (
            saying("user", source(json!({"type": "base64", "data": "AA=="}))),
            "messages[0].content[0].source.media_type",
        ),
        (saying("user", json!([{"type": "tool_result"}])), "messages[0].content[0].tool_use_id"),
        (
            saying("assistant", json!([{"type": "tool_use", "id": "a", "name": "f", "input": []}])),
            "messages[0].content[0].input",
        ),
        (
            saying(
                "user",
                json!([{"type": "tool_result", "tool_use_id": "a", "content": [
                {"type": "tool_result", "tool_use_id": "b"}]}]),
            ),
            "messages[0].content[0].content[0].type",
        ),
    ] {
        assert_eq!(faults(&body), [field], "{body}");
    }
}

#[test]
fn to_count_no_limit_is_needed() {
    let body = json!({"messages": [{"role": "user", "content": "hi"}]}).to_string();
    assert!(anthropic::decode_request(body.as_bytes()).is_err());
    let request = anthropic::decode_count_request(body.as_bytes()).unwrap();
    assert_eq!(request.chat().unwrap().messages.len(), 1);
    assert_eq!(anthropic::count_body(7), br#"{"input_tokens":7}"#);
}

#[test]
fn errors_have_anthropics_types() {
    for (kind, told) in [
        (ErrorKind::InvalidRequest, "invalid_request_error"),
        (ErrorKind::UpstreamRejected, "invalid_request_error"),
        (ErrorKind::MethodNotAllowed, "invalid_request_error"),
        (ErrorKind::UnsupportedMediaType, "invalid_request_error"),
        (ErrorKind::Unauthorized, "authentication_error"),
        (ErrorKind::NotFound, "not_found_error"),
        (ErrorKind::ModelNotFound, "not_found_error"),
        (ErrorKind::PayloadTooLarge, "request_too_large"),
        (ErrorKind::RateLimited, "rate_limit_error"),
        (ErrorKind::Capacity, "rate_limit_error"),
        (ErrorKind::ConnectionLimit, "rate_limit_error"),
        (ErrorKind::QueueFull, "rate_limit_error"),
        (ErrorKind::UpstreamRateLimited, "rate_limit_error"),
        (ErrorKind::QueueTimeout, "overloaded_error"),
        (ErrorKind::Draining, "overloaded_error"),
        (ErrorKind::Drained, "overloaded_error"),
        (ErrorKind::UpstreamOverloaded, "overloaded_error"),
        (ErrorKind::RequestTimeout, "timeout_error"),
        (ErrorKind::UpstreamTimeout, "timeout_error"),
        (ErrorKind::UpstreamUnreachable, "api_error"),
        (ErrorKind::Truncated, "api_error"),
        (ErrorKind::Cancelled, "api_error"),
        (ErrorKind::Internal, "api_error"),
    ] {
        let body = anthropic::error_body(&Failure::new(kind, "why"));
        let body: Value = serde_json::from_slice(&body).unwrap();
        let error = json!({"type": told, "message": "why", "code": kind.code()});
        assert_eq!(body, json!({"type": "error", "error": error}));
    }
    let fault = |field: &str| FieldFault { field: field.to_owned(), message: "bad".to_owned() };
    let both = Failure::invalid(vec![fault("a"), fault("b")]);
    let body: Value = serde_json::from_slice(&anthropic::error_body(&both)).unwrap();
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("a: bad") && message.contains("b: bad"), "{message}");
}
