//! What clients send: refused with reasons, or said to every upstream as it was meant.

use serde_json::Value;
use tidegate_protocol::openai::{Original, error_body};
use tidegate_protocol::{ChatRequest, ErrorKind, Failure, Role, native, ollama, openai};

const MODEL: &str = "up \"stream\"\n";
/// More than a failure of a body may take when it is told.
const TOLD: usize = 32 * 1024;

/// # Panics
/// Where a promise is broken.
pub fn check(body: &[u8]) {
    match openai::decode_request(body) {
        Ok(request) => of_openai(&request),
        Err(failure) => refused(&failure),
    }
    let limits = native::Limits {
        max_content_chars: 100,
        max_messages: 4,
        default_temperature: 0.5,
        default_max_tokens: 7,
        max_tokens: 1000,
    };
    match native::decode_request(body, &limits) {
        Ok(request) => of_native(&request, &limits),
        Err(failure) => refused(&failure),
    }
    // The same bytes as what an upstream answers: nothing of it may go astray.
    for status in [200, 400, 429, 500, 503] {
        let failure = openai::decode_error(status, body);
        assert!(failure.message.chars().count() <= 500, "{}", failure.message);
        assert!(!failure.message.contains(char::is_control), "{:?}", failure.message);
    }
    let _ = (openai::decode_models(body), ollama::decode_tags(body));
    let _ = ollama::decode_capabilities(body);
}

fn refused(failure: &Failure) {
    assert_eq!(failure.kind, ErrorKind::InvalidRequest);
    for body in [error_body(failure, 400), native::error_body(failure)] {
        assert!(body.len() < TOLD, "{} bytes to tell a fault", body.len());
        assert!(serde_json::from_slice::<Value>(&body).is_ok_and(|body| body.is_object()));
    }
}

fn of_openai(request: &ChatRequest) {
    for stream in [false, true] {
        // The client's own body goes on, but for the gateway's three fields.
        let relayed = openai::encode_request(request, MODEL, stream);
        let again = openai::decode_request(&relayed).expect("a relayed body");
        same(&again, request, stream);
        assert_eq!(openai::encode_request(&again, MODEL, stream), relayed, "relayed twice");
        let choices = |request: &ChatRequest| request.original.as_ref().map(Original::choices);
        assert_eq!(choices(&again), choices(request));
        built(request, stream);
    }
    let_ollama_have(request);
}

/// A body made of what all dialects share says the same.
fn built(request: &ChatRequest, stream: bool) {
    let shared = ChatRequest { original: None, ..request.clone() };
    let body = openai::encode_request(&shared, MODEL, stream);
    let again = openai::decode_request(&body)
        .unwrap_or_else(|failure| panic!("{failure}: {}", String::from_utf8_lossy(&body)));
    same(&again, request, stream);
    let original = again.original.as_ref().expect("a body");
    assert_eq!((original.untranslatable(), original.choices()), ([].as_slice(), 1));
}

fn same(again: &ChatRequest, request: &ChatRequest, stream: bool) {
    assert_eq!(again.model.as_deref(), Some(MODEL));
    assert_eq!((again.stream, again.include_usage), (stream, stream));
    assert_eq!(again.messages, request.messages);
    assert_eq!(again.sampling, request.sampling);
    let raw = |request: &ChatRequest| {
        [&request.tools, &request.tool_choice, &request.response_format]
            .map(|value| value.as_ref().map(ToString::to_string))
    };
    assert_eq!(raw(again), raw(request));
}

/// Ollama is told all of it, or the client is told what cannot be said.
fn let_ollama_have(request: &ChatRequest) {
    let body = match ollama::encode_request(request, MODEL) {
        Ok(body) => body,
        Err(failure) => return refused(&failure),
    };
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!((&body["model"], &body["stream"]), (&MODEL.into(), &true.into()));
    let messages = body["messages"].as_array().expect("a list");
    assert_eq!(messages.len(), request.messages.len());
    for (said, meant) in messages.iter().zip(&request.messages) {
        assert_eq!(said["content"], meant.content.as_str());
        assert_ne!(said["role"], "developer");
        let count = |name: &str| said[name].as_array().map_or(0, Vec::len);
        assert_eq!(count("images"), meant.images.len());
        assert_eq!(count("tool_calls"), meant.tool_calls.len());
    }
    assert_eq!(body["options"]["num_predict"].as_u64(), request.sampling.max_tokens.map(u64::from));
}

fn of_native(request: &ChatRequest, limits: &native::Limits) {
    assert!((1..=limits.max_messages).contains(&request.messages.len()));
    for message in &request.messages {
        assert!((1..=limits.max_content_chars).contains(&message.content.chars().count()));
        assert!(matches!(message.role, Role::User | Role::Assistant | Role::System));
    }
    assert!(
        request.sampling.max_tokens.is_some_and(|most| (1..=limits.max_tokens).contains(&most))
    );
    built(request, request.stream);
    let_ollama_have(request);
}
