//! Upstreams that fail: the client gets the right status before the first byte, an error event
//! after it, and never a clean end without evidence.

use serde_json::json;

use crate::client::{native, native_whole, openai};
use crate::gateway::{TestGateway, ollama_model, openai_model};
use crate::upstream::{Step, Upstream, ndjson_head, ollama_token, openai_token, refusal, sse_head};

async fn first_byte_case(steps: Vec<Step>, status: u16, code: &str, outcome: &str) {
    let upstream = Upstream::start(move |_| steps.clone()).await;
    let gateway = TestGateway::before(&upstream).await;
    let failures = format!("ai_gateway_upstream_failures_total{{kind=\"{code}\",model=\"test\"}}");
    // A rate misses the first count of a series that begins with it.
    gateway.wait_for_metric(&failures, "0").await;
    for body in [native("hi"), native_whole("hi")] {
        let answer = gateway.client.post("/api/chat", &body).await;
        assert_eq!((answer.status, &answer.json()["error"]), (status, &json!(code)));
    }
    let answer = gateway.client.post("/v1/chat/completions", &openai("hi", true)).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (status, &json!(code)));
    gateway.wait_until_idle().await;
    assert_eq!(gateway.outcomes(outcome).await, 3, "{code}");
    gateway.wait_for_metric(&failures, "3").await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn refusals_before_the_first_byte_keep_their_meaning() {
    let body = r#"{"error":{"message":"says why","code":1}}"#;
    let failed = "upstream_error";
    for (upstream, status, code, outcome) in [
        (400, 400, "UPSTREAM_REJECTED", "rejected"),
        (401, 502, "UPSTREAM_UNAUTHORIZED", failed),
        (404, 502, "UPSTREAM_NOT_FOUND", failed),
        (429, 429, "UPSTREAM_RATE_LIMITED", failed),
        (500, 502, "UPSTREAM_ERROR", failed),
        (503, 503, "UPSTREAM_OVERLOADED", failed),
    ] {
        first_byte_case(refusal(upstream, "", body), status, code, outcome).await;
    }
}

#[actix_web::test]
async fn broken_answers_before_the_first_byte_are_bad_gateways() {
    let close = vec![Step::Close];
    first_byte_case(close, 502, "UPSTREAM_ERROR", "upstream_error").await;
    let rubbish = vec![Step::Raw(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()), Step::Close];
    first_byte_case(rubbish, 502, "UPSTREAM_PROTOCOL", "upstream_error").await;
    let empty = vec![sse_head(), Step::EndOfBody];
    first_byte_case(empty, 502, "TRUNCATED", "truncated").await;
}

#[actix_web::test]
async fn a_refusals_message_and_retry_after_reach_the_client() {
    let body = r#"{"error":{"message":"context is 4096 tokens","code":400}}"#;
    let upstream = Upstream::start(move |_| refusal(429, "Retry-After: 7\r\n", body)).await;
    let gateway = TestGateway::before(&upstream).await;
    let answer = gateway.client.post("/api/chat", &native("hi")).await;
    assert_eq!(answer.header("retry-after"), Some("7"));
    assert!(answer.json()["message"].as_str().unwrap().contains("context is 4096 tokens"));
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn nobody_listening_is_unreachable() {
    let upstream = Upstream::start(|_| vec![]).await;
    let toml = openai_model(&upstream, "").replace(&upstream.openai_url(), "http://127.0.0.1:9/v1");
    let gateway = TestGateway::start(&toml).await;
    let answer = gateway.client.post("/api/chat", &native("hi")).await;
    assert_eq!((answer.status, &answer.json()["error"]), (502, &json!("UPSTREAM_UNREACHABLE")));
    assert!(
        !answer.text().contains("127.0.0.1"),
        "an upstream's address is not the client's affair"
    );
    assert_eq!(gateway.client.get("/ready").await.status, 503);
    gateway.inner.shutdown().await;
}

async fn mid_stream_case(ends: Vec<Step>, code: &str, outcome: &str, more: &str) {
    let upstream = Upstream::start(move |_| {
        let mut steps = vec![sse_head(), openai_token("one")];
        steps.extend(ends.clone());
        steps
    })
    .await;
    let gateway = TestGateway::start(&openai_model(&upstream, more)).await;

    let answer = gateway.client.post("/api/chat", &native("hi")).await;
    assert_eq!((answer.status, answer.native_text().as_str()), (200, "one"));
    let names: Vec<_> = answer.events().into_iter().map(|event| event.name.unwrap()).collect();
    assert_eq!(names, ["chat.completion.chunk", "error"], "exactly one terminal");
    assert_eq!(answer.events()[1].json()["code"], code);
    assert!(answer.proper_end);

    let answer = gateway.client.post("/v1/chat/completions", &openai("hi", true)).await;
    assert_eq!(answer.events().last().unwrap().json()["error"]["code"], code);
    assert!(!answer.text().contains("[DONE]"));

    let answer = gateway.client.post("/api/chat", &native_whole("hi")).await;
    assert!(answer.status >= 500, "half an answer is no answer: {}", answer.status);
    assert_eq!(answer.json()["error"], code);

    gateway.wait_until_idle().await;
    assert_eq!(gateway.outcomes(outcome).await, 3);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_answer_that_is_cut_is_truncated() {
    mid_stream_case(vec![Step::Close], "TRUNCATED", "truncated", "").await;
    mid_stream_case(vec![Step::Reset], "TRUNCATED", "truncated", "").await;
}

#[actix_web::test]
async fn a_clean_end_without_evidence_is_truncated() {
    mid_stream_case(vec![Step::EndOfBody], "TRUNCATED", "truncated", "").await;
}

#[actix_web::test]
async fn a_stall_ends_at_the_idle_limit() {
    let more = "idle_timeout_seconds = 0.2";
    mid_stream_case(vec![Step::Silence], "UPSTREAM_TIMEOUT", "timed_out", more).await;
}

#[actix_web::test]
async fn an_endless_answer_ends_at_the_total_limit() {
    let gate = crate::upstream::Gate::new();
    let more = "total_timeout_seconds = 0.3\nidle_timeout_seconds = 30";
    mid_stream_case(vec![Step::Gate(gate)], "UPSTREAM_TIMEOUT", "timed_out", more).await;
}

#[actix_web::test]
async fn an_error_object_inside_the_stream_is_passed_on_once() {
    let error = Step::Chunk(b"data: {\"error\":{\"message\":\"out of memory\"}}\n\n".to_vec());
    mid_stream_case(vec![error, Step::EndOfBody], "UPSTREAM_ERROR", "upstream_error", "").await;
}

#[actix_web::test]
async fn a_garbage_frame_is_one_clear_error() {
    let garbage = Step::Chunk(b"data: {\"choices\":[{\n\n".to_vec());
    mid_stream_case(vec![garbage, Step::Silence], "UPSTREAM_PROTOCOL", "upstream_error", "").await;
}

#[actix_web::test]
async fn a_frame_beyond_the_bound_is_refused() {
    let long = Step::Chunk(format!("data: {{\"x\":\"{}\"}}\n\n", "y".repeat(70_000)).into_bytes());
    let more = "max_line_bytes = 65536";
    mid_stream_case(vec![long, Step::Silence], "UPSTREAM_PROTOCOL", "upstream_error", more).await;
}

#[actix_web::test]
async fn a_late_first_token_is_a_gateway_timeout_even_after_the_head() {
    for steps in [vec![Step::Silence], vec![sse_head(), Step::Silence]] {
        let upstream = Upstream::start(move |_| steps.clone()).await;
        let more = "first_token_timeout_seconds = 0.2";
        let gateway = TestGateway::start(&openai_model(&upstream, more)).await;
        let answer = gateway.client.post("/api/chat", &native("hi")).await;
        assert_eq!((answer.status, &answer.json()["error"]), (504, &json!("UPSTREAM_TIMEOUT")));
        upstream.wait_for_aborts(1).await;
        gateway.wait_until_idle().await;
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn ollamas_error_line_ends_the_answer_honestly() {
    let upstream = Upstream::start(|_| {
        let error = b"{\"error\":\"an error was encountered: unexpected EOF\"}\n".to_vec();
        vec![ndjson_head(), ollama_token("one"), Step::Chunk(error), Step::EndOfBody]
    })
    .await;
    let gateway = TestGateway::start(&ollama_model(&upstream, "")).await;
    let answer = gateway.client.post("/api/chat", &native("hi")).await;
    assert_eq!(answer.native_text(), "one");
    let last = answer.events().pop().unwrap();
    assert_eq!(
        (last.name.as_deref(), &last.json()["code"]),
        (Some("error"), &json!("UPSTREAM_ERROR"))
    );
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_pooled_connection_that_the_upstream_has_closed_is_no_error() {
    // Every answer is whole, and the connection behind it is closed without a word.
    let upstream = Upstream::start(|_| {
        let mut steps = crate::upstream::openai_answer(&["a"]);
        steps.push(Step::Close);
        steps
    })
    .await;
    let gateway = TestGateway::before(&upstream).await;
    for _ in 0..20 {
        let answer = gateway.client.post("/api/chat", &native("hi")).await;
        assert_eq!(answer.native_text(), "a");
    }
    assert_eq!(upstream.chats().len(), 20, "and nothing was asked twice");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn connections_that_nobody_needs_are_closed_without_a_further_request() {
    let upstream = Upstream::start(|_| crate::upstream::openai_answer(&["a"])).await;
    // No probe keeps one open.
    let quiet = "[health]\ninterval_seconds = 3600";
    let gateway = TestGateway::start(&openai_model(&upstream, quiet)).await;
    assert_eq!(gateway.client.post("/api/chat", &native("hi")).await.native_text(), "a");
    upstream.wait_for_rest().await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_pooled_connection_that_dies_under_the_request_is_replaced_once() {
    // Only the first request on a connection is answered.
    let upstream = Upstream::start(|seen| match seen.earlier {
        0 => crate::upstream::openai_answer(&["a"]),
        _ => vec![Step::Close],
    })
    .await;
    let gateway = TestGateway::before(&upstream).await;
    for _ in 0..6 {
        assert_eq!(gateway.client.post("/api/chat", &native("hi")).await.native_text(), "a");
    }
    let stale = upstream.chats().iter().filter(|chat| chat.earlier > 0).count();
    assert!(stale >= 2, "two workers cannot have had six new connections: {stale}");
    let series = "ai_gateway_upstream_retries_total{model=\"test\",reason=\"stale_connection\"}";
    gateway.wait_for_metric(series, &stale.to_string()).await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_upstream_that_hangs_up_on_a_new_connection_is_not_asked_again() {
    let upstream = Upstream::start(|_| vec![Step::Close]).await;
    let gateway = TestGateway::before(&upstream).await;
    let answer = gateway.client.post("/api/chat", &native("hi")).await;
    assert_eq!((answer.status, &answer.json()["error"]), (502, &json!("UPSTREAM_ERROR")));
    assert_eq!(upstream.chats().len(), 1, "it may have begun to answer");
    gateway.inner.shutdown().await;
}
