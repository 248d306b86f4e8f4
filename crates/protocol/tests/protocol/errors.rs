//! Error bodies, read and written; lists of models.

use serde_json::{Value, json};
use tidegate_protocol::openai::{decode_error, decode_models, error_body, models_body};
use tidegate_protocol::{ErrorKind, Failure, FieldFault, ollama};

use crate::support::{VLLM_BAD_TYPE, VLLM_TOO_LONG};

#[test]
fn upstream_errors_of_every_shape_are_worded_as_they_were() {
    for (status, body, kind, message) in [
        (
            400,
            VLLM_TOO_LONG,
            ErrorKind::UpstreamRejected,
            "max_tokens=99999 cannot be greater than",
        ),
        (400, VLLM_BAD_TYPE, ErrorKind::UpstreamRejected, "1 validation error:   {'type': 'float_"),
        (401, br#"{"error":{"message":"bad key"}}"#, ErrorKind::UpstreamUnauthorized, "bad key"),
        (404, br#"{"error":"model 'x' not found"}"#, ErrorKind::UpstreamNotFound, "model 'x' not"),
        (429, br#"{"message":"later"}"#, ErrorKind::UpstreamRateLimited, "later"),
        (
            503,
            br#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#,
            ErrorKind::UpstreamOverloaded,
            "Loading model",
        ),
        (422, br#"{"detail":"no"}"#, ErrorKind::UpstreamRejected, "no"),
        (500, b"<html>oh no</html>", ErrorKind::UpstreamError, "the upstream answered 500"),
        (502, b"\xff", ErrorKind::UpstreamError, "the upstream answered 502"),
        (403, b"{\"error\":{\"message\":7}}", ErrorKind::UpstreamUnauthorized, "the upstream answ"),
        (413, b"", ErrorKind::UpstreamRejected, "the upstream answered 413"),
    ] {
        let failure = decode_error(status, body);
        assert_eq!(failure.kind, kind, "{status}");
        assert!(failure.message.starts_with(message), "{status}: {}", failure.message);
    }
}

#[test]
fn an_upstreams_message_is_bounded_and_one_line() {
    let message = format!("\n a\r\nb\u{7}\u{1b}[31m{}", "é".repeat(10_000));
    let body = json!({"error": {"message": message}}).to_string();
    let failure = decode_error(500, body.as_bytes());
    assert_eq!(failure.message.chars().count(), 500);
    assert!(failure.message.starts_with("a  b[31mé"), "{}", failure.message);
    assert!(!failure.message.contains(char::is_control));
}

#[test]
fn an_error_body_has_openais_shape() {
    let body = |failure: &Failure, status| -> Value {
        serde_json::from_slice(&error_body(failure, status)).unwrap()
    };
    for (kind, status, expected, code) in [
        (ErrorKind::Unauthorized, 401, "invalid_request_error", "invalid_api_key"),
        (ErrorKind::RateLimited, 429, "rate_limit_error", "rate_limit_exceeded"),
        (ErrorKind::ModelNotFound, 404, "invalid_request_error", "model_not_found"),
    ] {
        let told = body(&Failure::new(kind, "why"), status);
        let error = json!({"message": "why", "type": expected, "param": null, "code": code});
        assert_eq!(told, json!({"error": error}));
    }
    for (kind, status, expected) in [
        (ErrorKind::QueueFull, 429, "rate_limit_error"),
        (ErrorKind::PayloadTooLarge, 413, "invalid_request_error"),
        (ErrorKind::UpstreamTimeout, 504, "server_error"),
        (ErrorKind::Cancelled, 499, "server_error"),
        (ErrorKind::Internal, 500, "server_error"),
    ] {
        let told = body(&Failure::new(kind, "why"), status);
        let error = json!({"message": "why", "type": expected, "param": null, "code": kind.code()});
        assert_eq!(told, json!({"error": error}));
    }
    let fault = |field: &str| FieldFault { field: field.to_owned(), message: "bad".to_owned() };
    let one = body(&Failure::invalid(vec![fault("a")]), 400);
    assert_eq!(one["error"]["param"], "a");
    assert_eq!(one["error"]["message"], "a: bad");
    let two = body(&Failure::invalid(vec![fault("a"), fault("b[0].c")]), 400);
    assert_eq!(two["error"]["param"], Value::Null);
    assert_eq!(
        two["error"]["message"],
        "2 fields of the request are not valid: a: bad; b[0].c: bad"
    );
}

/// What SDKs and those who use them look for is told whatever the upstream's own word is.
#[test]
fn an_upstreams_own_code_is_told_where_openai_has_it() {
    let code = |failure: &Failure| {
        let body: Value = serde_json::from_slice(&error_body(failure, 400)).unwrap();
        body["error"]["code"].as_str().unwrap().to_owned()
    };
    for (status, body, expected) in [
        (
            400,
            r#"{"error":{"message":"m","code":"context_length_exceeded"}}"#,
            "context_length_exceeded",
        ),
        (
            400,
            r#"{"error":{"message":"m","code":400,"type":"exceed_context_size_error"}}"#,
            "context_length_exceeded",
        ),
        (
            400,
            r#"{"error":{"message":"This model's maximum context length is 5 tokens"}}"#,
            "context_length_exceeded",
        ),
        (
            400,
            r#"{"object":"error","message":"maximum context length is 5","code":400}"#,
            "context_length_exceeded",
        ),
        (
            400,
            r#"{"error":"the input length exceeds the context length"}"#,
            "context_length_exceeded",
        ),
        (429, r#"{"error":{"message":"m","code":"insufficient_quota"}}"#, "insufficient_quota"),
        (429, r#"{"error":{"message":"m","code":"rate_limit_exceeded"}}"#, "UPSTREAM_RATE_LIMITED"),
        (400, r#"{"error":{"message":"m","code":"anything"}}"#, "UPSTREAM_REJECTED"),
        (500, "no JSON", "UPSTREAM_ERROR"),
    ] {
        assert_eq!(code(&decode_error(status, body.as_bytes())), expected, "{body}");
    }
}

#[test]
fn lists_of_models() {
    let names = [("a".to_owned(), "ollama".to_owned()), ("b\"".to_owned(), "vllm".to_owned())];
    let body = models_body(&names, 5);
    let first = json!({"id": "a", "object": "model", "created": 5, "owned_by": "ollama"});
    let list: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&list["object"], &list["data"][0]), (&json!("list"), &first));
    assert_eq!(decode_models(&body).unwrap(), ["a", "b\""]);
    for bad in [b"".as_slice(), b"{}", b"{\"data\":[{}]}", b"<html>"] {
        assert_eq!(decode_models(bad).unwrap_err().kind, ErrorKind::UpstreamProtocol);
        assert_eq!(ollama::decode_tags(bad).unwrap_err().kind, ErrorKind::UpstreamProtocol);
    }
}

#[test]
fn ollamas_lists() {
    let tags = br#"{"models":[{"name":"a:1b","model":"a:1b","size":1},{"name":"b"}]}"#;
    assert_eq!(ollama::decode_tags(tags).unwrap(), ["a:1b", "b"]);
    assert_eq!(ollama::encode_show("a\"b"), br#"{"model":"a\"b"}"#);
    let shown = br#"{"license":"x","capabilities":["completion","tools"]}"#;
    assert_eq!(ollama::decode_capabilities(shown).unwrap(), ["completion", "tools"]);
    assert!(ollama::decode_capabilities(b"{\"license\":\"old\"}").unwrap().is_empty());
    assert!(ollama::decode_capabilities(b"no").is_err());
}
