//! What clients send: refused with reasons, or said to every upstream as it was meant.

use serde_json::Value;
use tidegate_protocol::openai::error_body;
use tidegate_protocol::{
    Chat, ErrorKind, Failure, Original, Part, Reasoning, Request, Role, native, ollama, openai,
};

const MODEL: &str = "up \"stream\"\n";
/// More than a failure of a body may take when it is told.
const TOLD: usize = 32 * 1024;

/// # Panics
/// Where a promise is broken.
pub fn check(body: &[u8]) {
    match openai::decode_request(body) {
        Ok(request) => of_openai(&request),
        Err(failure) => refused_here(&failure),
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
        Err(failure) => refused_here(&failure),
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

fn refused_here(failure: &Failure) {
    refused(failure, |failure| error_body(failure, 400));
    refused(failure, native::error_body);
}

/// A refusal tells what is wrong with the request, in JSON and no more than is needed.
pub(super) fn refused(failure: &Failure, told: impl Fn(&Failure) -> Vec<u8>) {
    assert_eq!(failure.kind, ErrorKind::InvalidRequest);
    let body = told(failure);
    assert!(body.len() < TOLD, "{} bytes to tell a fault", body.len());
    assert!(serde_json::from_slice::<Value>(&body).is_ok_and(|body| body.is_object()));
}

/// A request of a dialect that no upstream speaks.
pub(super) fn translated(request: &Request) {
    assert!(request.original.is_none());
    for stream in [false, true] {
        built(request, stream);
    }
    let_ollama_have(request);
}

fn of_openai(request: &Request) {
    for stream in [false, true] {
        // The client's own body goes on, but for the gateway's three fields.
        let relayed = openai_body(request, stream).expect("a relayed body");
        let again = openai::decode_request(&relayed).expect("a relayed body");
        same(&again, request, stream);
        assert_eq!(openai_body(&again, stream).as_ref(), Ok(&relayed), "relayed twice");
        let choices = |request: &Request| request.original.as_ref().map(Original::choices);
        assert_eq!(choices(&again), choices(request));
        built(request, stream);
    }
    let_ollama_have(request);
}

fn openai_body(request: &Request, stream: bool) -> Result<Vec<u8>, Failure> {
    openai::encode_request(request, MODEL, stream).map(|encoded| encoded.body)
}

/// A body made of what all dialects share says the same, or the client is told what it cannot say.
fn built(request: &Request, stream: bool) {
    let shared = Request { original: None, ..request.clone() };
    let body = match openai_body(&shared, stream) {
        Ok(body) => body,
        Err(failure) => {
            assert!(!request.losses.refused().is_empty(), "{failure}");
            return refused_here(&failure);
        }
    };
    let again = openai::decode_request(&body)
        .unwrap_or_else(|failure| panic!("{failure}: {}", String::from_utf8_lossy(&body)));
    same(&again, request, stream);
    assert_eq!(again.original.as_ref().map(Original::choices), Some(1));
    assert!(again.losses.refused().is_empty() && again.losses.ignored().is_empty());
}

fn same(again: &Request, request: &Request, stream: bool) {
    assert_eq!(again.model.as_deref(), Some(MODEL));
    assert_eq!((again.stream, again.include_usage), (stream, stream));
    let (again, request) = (chat(again), chat(request));
    assert_eq!(again.messages, request.messages);
    assert_eq!(again.sampling, request.sampling);
    // JSON that was passed on untouched has no equality of its own.
    assert_eq!(format!("{:?}", again.tools), format!("{:?}", request.tools));
    assert_eq!(format!("{:?}", again.response_format), format!("{:?}", request.response_format));
    assert_eq!(
        (&again.tool_choice, &again.parallel_tool_calls, &again.user),
        (&request.tool_choice, &request.parallel_tool_calls, &request.user)
    );
    // OpenAI's dialect has no number of tokens to think with; the client is told so.
    if !matches!(request.reasoning, Some(Reasoning::Budget(_))) {
        assert_eq!(again.reasoning, request.reasoning);
    }
}

fn chat(request: &Request) -> &Chat {
    request.chat().expect("a chat")
}

/// Ollama is told all of it, or the client is told what cannot be said.
fn let_ollama_have(request: &Request) {
    let body = match ollama::encode_request(request, MODEL) {
        Ok(encoded) => encoded.body,
        Err(failure) => return refused_here(&failure),
    };
    let chat = chat(request);
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!((&body["model"], &body["stream"]), (&MODEL.into(), &true.into()));
    let messages = body["messages"].as_array().expect("a list");
    assert_eq!(messages.len(), chat.messages.len());
    for (said, meant) in messages.iter().zip(&chat.messages) {
        assert_eq!(said["content"], meant.joined_text());
        assert_ne!(said["role"], "developer");
        let count = |name: &str| said[name].as_array().map_or(0, Vec::len);
        let images = meant.content.iter().filter(|part| matches!(part, Part::Image(_)));
        assert_eq!(count("images"), images.count());
        assert_eq!(count("tool_calls"), meant.tool_calls.len());
    }
    assert_eq!(body["options"]["num_predict"].as_u64(), chat.sampling.max_tokens.map(u64::from));
}

fn of_native(request: &Request, limits: &native::Limits) {
    let chat = chat(request);
    assert!((1..=limits.max_messages).contains(&chat.messages.len()));
    for message in &chat.messages {
        assert!((1..=limits.max_content_chars).contains(&message.joined_text().chars().count()));
        assert!(matches!(message.role, Role::User | Role::Assistant | Role::System));
    }
    assert!(chat.sampling.max_tokens.is_some_and(|most| (1..=limits.max_tokens).contains(&most)));
    built(request, request.stream);
    let_ollama_have(request);
}
