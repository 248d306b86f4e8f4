//! The native dialect, streamed and whole, from each kind of upstream.

use serde_json::json;

use crate::client::{native, native_whole};
use crate::gateway::{TestGateway, ollama_model, openai_model};
use crate::upstream::{Gate, Step, Upstream, ollama_answer, openai_answer, openai_end, sse_head};

const TOKENS: [&str; 4] = ["Hel", "lo ", "wörld", "\n\"quoted\""];

async fn streams_every_token(gateway: &TestGateway, upstream: &Upstream) {
    let answer = gateway.client.post("/api/chat", &native("hi")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    assert_eq!(answer.header("x-accel-buffering"), Some("no"));
    assert!(answer.proper_end);
    let id = answer.header("x-request-id").unwrap().to_owned();
    let events = answer.events();
    for (place, event) in events.iter().enumerate() {
        assert_eq!(event.id, Some(format!("{id}:{}", place + 1)), "numbered without a gap");
    }
    let (done, chunks) = events.split_last().unwrap();
    let contents: Vec<_> = chunks.iter().map(|chunk| chunk.json()["content"].clone()).collect();
    assert_eq!(contents, TOKENS);
    for chunk in chunks {
        assert_eq!(chunk.name.as_deref(), Some("chat.completion.chunk"));
        assert_eq!(
            (&chunk.json()["model"], &chunk.json()["done"]),
            (&json!("test"), &json!(false))
        );
    }
    assert_eq!(done.name.as_deref(), Some("chat.completion.done"));
    let done = done.json();
    let usage = json!({"promptTokens": 7, "completionTokens": 4, "totalTokens": 11});
    assert_eq!((&done["usage"], &done["evalCount"]), (&usage, &json!(4)));
    assert_eq!((&done["finishReason"], &done["done"]), (&json!("stop"), &json!(true)));
    assert!(done["totalDuration"].as_u64().unwrap() > 0);
    assert_eq!(upstream.chats()[0].header("x-request-id"), Some(id));
}

async fn gives_the_whole(gateway: &TestGateway) {
    let answer = gateway.client.post("/api/chat", &native_whole("hi")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    assert_eq!(body["requestId"], answer.header("x-request-id").unwrap());
    assert_eq!((&body["model"], &body["content"]), (&json!("test"), &json!(TOKENS.concat())));
    let usage = json!({"promptTokens": 7, "completionTokens": 4, "totalTokens": 11});
    assert_eq!(body["usage"], usage);
}

#[actix_web::test]
async fn from_an_openai_upstream() {
    let upstream = Upstream::start(|_| openai_answer(&TOKENS)).await;
    let gateway = TestGateway::before(&upstream).await;
    streams_every_token(&gateway, &upstream).await;
    gives_the_whole(&gateway).await;
    let asked = upstream.chats()[0].json();
    assert_eq!((&asked["model"], &asked["stream"]), (&json!("test"), &json!(true)));
    assert_eq!(asked["stream_options"]["include_usage"], true);
    assert_eq!((&asked["temperature"], &asked["max_tokens"]), (&json!(0.7), &json!(2048)));
    gateway.wait_until_idle().await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn from_an_ollama_upstream() {
    let upstream = Upstream::start(|_| ollama_answer(&TOKENS)).await;
    let gateway = TestGateway::start(&ollama_model(&upstream, "")).await;
    streams_every_token(&gateway, &upstream).await;
    gives_the_whole(&gateway).await;
    let asked = &upstream.chats()[0];
    assert_eq!(asked.path, "/api/chat");
    assert_eq!(asked.json()["options"]["num_predict"], 2048);
    gateway.wait_until_idle().await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_connection_to_the_upstream_is_used_again() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let gateway = TestGateway::start_with_server("", &openai_model(&upstream, "")).await;
    let before = upstream.connections();
    for _ in 0..10 {
        gateway.client.post("/api/chat", &native("hi")).await;
        gateway.wait_until_idle().await;
    }
    let opened = upstream.connections() - before;
    assert!(opened <= 2, "one for each worker at the most, not {opened}");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn reasoning_and_tool_calls_are_carried_through() {
    let frames = [
        json!({"delta": {"reasoning_content": "hm"}}),
        json!({"delta": {"tool_calls": [{"index": 0, "id": "c1", "type": "function",
            "function": {"name": "look", "arguments": "{\"a\""}}]}}),
        json!({"delta": {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}}),
        json!({"delta": {}, "finish_reason": "tool_calls"}),
    ];
    let upstream = Upstream::start(move |_| {
        let mut steps = vec![sse_head()];
        steps.extend(frames.iter().map(|choice| {
            let mut choice = choice.clone();
            choice["index"] = json!(0);
            choice["finish_reason"] = choice.get("finish_reason").cloned().unwrap_or_default();
            let frame = json!({"id": "x", "model": "test", "choices": [choice]});
            Step::Chunk(format!("data: {frame}\n\n").into_bytes())
        }));
        steps.extend(openai_end(3, 3).into_iter().skip(1));
        steps
    })
    .await;
    let gateway = TestGateway::before(&upstream).await;
    let answer = gateway.client.post("/api/chat", &native("hi")).await;
    let events: Vec<_> = answer.events().iter().map(crate::client::SseEvent::json).collect();
    assert_eq!(events[0]["reasoning"], "hm");
    assert_eq!(events[1]["toolCalls"][0]["name"], "look");
    let arguments: String = events[1..3]
        .iter()
        .map(|event| event["toolCalls"][0]["arguments"].as_str().unwrap())
        .collect();
    assert_eq!(arguments, "{\"a\":1}");
    assert_eq!(events[3]["finishReason"], "tool_calls");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn plain_text_lines_are_passed_on_as_text() {
    let upstream = Upstream::start(|_| {
        let mut steps = vec![sse_head(), Step::Chunk(b"data: just words\n\n".to_vec())];
        steps.extend(openai_end(1, 1));
        steps
    })
    .await;
    let gateway = TestGateway::before(&upstream).await;
    let answer = gateway.client.post("/api/chat", &native("hi")).await;
    assert_eq!(answer.native_text(), "just words");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_clients_own_request_id_is_echoed_and_not_used_as_the_streams() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let client = gateway.client.with_header("X-Request-Id", "my-id-1");
    let answer = client.post("/api/chat", &native("hi")).await;
    assert_eq!(answer.header("x-client-request-id"), Some("my-id-1"));
    assert_ne!(answer.header("x-request-id"), Some("my-id-1"));
    let client = gateway.client.with_header("X-Request-Id", &"x".repeat(200));
    let answer = client.post("/api/chat", &native("hi")).await;
    assert_eq!(answer.header("x-client-request-id"), None);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn the_builtin_model_serves_and_says_what_it_is() {
    let gateway =
        TestGateway::start("[[models]]\nname = \"builtin\"\nprovider = \"builtin\"").await;
    let answer = gateway.client.post("/api/chat", &native("count to 3")).await;
    assert_eq!(answer.native_text(), "1 2 3 ");
    let answer = gateway.client.post("/api/chat", &native_whole("hello")).await;
    assert!(answer.json()["content"].as_str().unwrap().starts_with("[builtin demo model"));
    let models = gateway.client.get("/api/models").await.json();
    assert_eq!(models["models"][0]["provider"], "builtin");
    assert!(models["models"][0]["note"].as_str().unwrap().contains("not an LLM"));
    let failed = gateway.client.post("/api/chat", &native("/fail now")).await;
    assert_eq!(failed.events().last().unwrap().name.as_deref(), Some("error"));
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_idle_stream_is_kept_alive_by_what_no_parser_takes_for_an_event() {
    let gate = Gate::new();
    let upstream = Upstream::gated(&gate).await;
    let gateway =
        TestGateway::start_with_server("heartbeat_seconds = 0.1", &openai_model(&upstream, ""))
            .await;
    let mut live = gateway.client.open("/api/chat", &native("hi")).await;
    live.read_until(": k").await;
    gate.open();
    let answer = live.whole().await;
    let body = answer.text();
    assert!(
        !body.contains(": k\n\n"),
        "fetch-event-source takes a blank line for an event: {body}"
    );
    assert_eq!(answer.native_text(), "one two");
    gateway.inner.shutdown().await;
}
