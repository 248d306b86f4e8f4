//! An upstream is asked again only where it has certainly not begun to answer, and not too often.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::client::{native, openai};
use crate::gateway::{TestGateway, openai_model};
use crate::upstream::{Step, Upstream, openai_answer, openai_token, refusal, sse_head};

const BUSY: &str = r#"{"error":{"message":"busy"}}"#;

/// An upstream that does `first` to the first request and answers all others.
async fn first_then_answers(first: Vec<Step>) -> Upstream {
    let asked = AtomicUsize::new(0);
    Upstream::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => first.clone(),
        _ => openai_answer(&["a"]),
    })
    .await
}

async fn retries(gateway: &TestGateway, reason: &str) -> String {
    let text = gateway.client.get("/metrics").await.text();
    let series =
        format!("ai_gateway_upstream_retries_total{{model=\"test\",reason=\"{reason}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&series));
    line.expect("every reason has a series").to_owned()
}

#[actix_web::test]
async fn a_refusal_that_may_pass_is_followed_by_one_more_try() {
    for (status, header, reason) in [
        (503, "", "overloaded"),
        (503, "Retry-After: 0\r\n", "overloaded"),
        (503, "Retry-After: soon\r\n", "overloaded"),
        (429, "Retry-After: 0\r\n", "rate_limited"),
        (429, "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "rate_limited"),
    ] {
        let upstream = first_then_answers(refusal(status, header, BUSY)).await;
        let gateway = TestGateway::before(&upstream).await;
        let answer = gateway.client.post("/api/chat", &native("hi")).await;
        assert_eq!((answer.status, answer.native_text().as_str()), (200, "a"), "{status} {header}");
        assert_eq!(upstream.chats().len(), 2);
        assert_eq!(retries(&gateway, reason).await, "1");
        let ids: Vec<_> = upstream.chats().iter().map(|chat| chat.header("x-request-id")).collect();
        assert_eq!(ids[0], ids[1], "both are one request");
        gateway.wait_until_idle().await;
        assert_eq!(gateway.outcomes("completed").await, 1);
        assert_eq!(gateway.outcomes("upstream_error").await, 0);
        gateway.inner.shutdown().await;
    }
}

/// The client is told, and the upstream was asked once.
/// A pooled connection may be closed just when it is used: the one further attempt is not for that.
#[actix_web::test]
async fn a_further_try_goes_over_a_connection_of_its_own() {
    let upstream = Upstream::start(|seen| match seen.earlier {
        1 => refusal(503, "", "{}"),
        2 => vec![Step::Close],
        _ => openai_answer(&["a"]),
    })
    .await;
    let toml = format!("{}\n[health]\ninterval_seconds = 3600", openai_model(&upstream, ""));
    let gateway = TestGateway::start(&toml).await;
    // Of two workers each has its own connections.
    for _ in 0..8 {
        let answer = gateway.client.post("/api/chat", &native("hi")).await;
        assert_eq!((answer.status, answer.native_text()), (200, "a".to_owned()), "{}", answer.head);
    }
    assert!(upstream.chats().iter().any(|seen| seen.earlier == 1), "none was refused");
    assert_eq!(retries(&gateway, "stale_connection").await, "0");
    gateway.inner.shutdown().await;
}

async fn asked_once(first: Vec<Step>, status: u16, retry_after: Option<&str>) {
    let upstream = first_then_answers(first).await;
    let gateway = TestGateway::before(&upstream).await;
    let answer = gateway.client.post("/v1/chat/completions", &openai("hi", true)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (status, retry_after));
    if status >= 400 {
        assert_eq!(answer.header("x-should-retry"), Some("false"), "{status}");
    }
    assert_eq!(upstream.chats().len(), 1, "{status}");
    gateway.wait_until_idle().await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn what_would_be_refused_again_is_not_asked_again() {
    asked_once(refusal(429, "", BUSY), 429, None).await;
    asked_once(refusal(429, "Retry-After: 7\r\n", BUSY), 429, Some("7")).await;
    asked_once(refusal(503, "Retry-After: 1000000000\r\n", BUSY), 503, Some("3600")).await;
    let forbidden = "Retry-After: 0\r\nx-should-retry: false\r\n";
    asked_once(refusal(503, forbidden, BUSY), 503, Some("0")).await;
    for (status, told) in [(400, 400), (401, 502), (404, 502), (302, 502)] {
        asked_once(refusal(status, "Location: http://127.0.0.1:9/\r\n", BUSY), told, None).await;
    }
}

#[actix_web::test]
async fn what_may_have_begun_is_not_asked_again() {
    asked_once(refusal(500, "Retry-After: 0\r\n", BUSY), 502, Some("0")).await;
    asked_once(vec![Step::Close], 502, None).await;
    asked_once(vec![Step::Reset], 502, None).await;
    asked_once(vec![sse_head(), Step::Close], 502, None).await;
    asked_once(vec![sse_head(), openai_token("a"), Step::Close], 200, None).await;
}

#[actix_web::test]
async fn what_cannot_be_reached_is_tried_twice() {
    let upstream = Upstream::start(|_| vec![]).await;
    let toml = openai_model(&upstream, "").replace(&upstream.openai_url(), "http://127.0.0.1:9/v1");
    let gateway = TestGateway::start(&toml).await;
    let answer = gateway.client.post("/api/chat", &native("hi")).await;
    assert_eq!((answer.status, &answer.json()["error"]), (502, &json!("UPSTREAM_UNREACHABLE")));
    assert_eq!(retries(&gateway, "unreachable").await, "1");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn one_attempt_is_one_attempt() {
    let upstream = first_then_answers(refusal(503, "", BUSY)).await;
    let gateway = TestGateway::start(&openai_model(&upstream, "max_attempts = 1")).await;
    assert_eq!(gateway.client.post("/api/chat", &native("hi")).await.status, 503);
    assert_eq!(upstream.chats().len(), 1);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_upstream_in_trouble_is_not_asked_twice_as_much() {
    const REQUESTS: usize = 200;
    let upstream = Upstream::start(|_| refusal(503, "", BUSY)).await;
    let more = "max_retry_pause_seconds = 0.001\nmax_concurrency = 200\nqueue_length = 200";
    let gateway = TestGateway::start(&openai_model(&upstream, more)).await;
    let (path, body) = ("/api/chat", native("hi"));
    let asked = (0..REQUESTS).map(|_| gateway.client.post(path, &body));
    let answers = futures::future::join_all(asked).await;
    assert!(answers.iter().all(|answer| answer.status == 503));
    let extra = upstream.chats().len() - REQUESTS;
    let (share, saved) = (REQUESTS / 5, 10);
    assert!((saved..=saved + share).contains(&extra), "{extra} further attempts");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_client_that_leaves_during_the_pause_ends_it() {
    let upstream = Upstream::start(|_| refusal(503, "Retry-After: 60\r\n", BUSY)).await;
    let model = openai_model(&upstream, "max_retry_pause_seconds = 60");
    // Probes keep a connection open.
    let gateway = TestGateway::start(&(model + "[health]\ninterval_seconds = 60\n")).await;
    let body = native("hi").to_string();
    let live = gateway.client.send("POST", "/api/chat", Some(&body)).await;
    upstream.wait_for_chats(1).await;
    upstream.wait_for_rest().await;
    drop(live);
    gateway.wait_until_idle().await;
    assert_eq!(gateway.outcomes("cancelled").await, 1);
    assert_eq!(upstream.chats().len(), 1);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn what_the_gateway_itself_refuses_may_be_asked_again() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let toml = openai_model(&upstream, "") + "[rate_limits]\nrequests_per_minute = 1\nburst = 1\n";
    let gateway = TestGateway::start(&toml).await;
    assert_eq!(gateway.client.post("/api/chat", &native("hi")).await.status, 200);
    let answer = gateway.client.post("/api/chat", &native("hi")).await;
    assert_eq!((answer.status, answer.header("x-should-retry")), (429, None));
    gateway.inner.shutdown().await;
}
