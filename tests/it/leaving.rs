//! What becomes of an answer whose client leaves: by the model's policy, or by the request's own.

use serde_json::Value;

use crate::client::{Client, native};
use crate::gateway::{TestGateway, openai_model};
use crate::upstream::{Gate, Step, Upstream, openai_token, sse_head};

const HEADER: &str = "X-On-Disconnect";

/// Opens a stream, reads its first token and leaves.
async fn come_and_go(client: &Client) {
    let mut live = client.open("/api/chat", &native("hi")).await;
    live.read_until("one").await;
}

/// Waits until the one stream in the list is without its client.
async fn wait_until_left(gateway: &TestGateway) -> Value {
    loop {
        let list = gateway.client.get("/api/chat/streams").await.json();
        let stream = &list["streams"][0];
        assert!(stream.is_object(), "the stream goes on: {list}");
        if stream["clientLeft"] == true {
            return stream.clone();
        }
        tokio::task::yield_now().await;
    }
}

async fn tokens(gateway: &TestGateway) -> u64 {
    let text = gateway.client.get("/metrics").await.text();
    let series = "ai_tokens_processed_total{model=\"test\"} ";
    text.lines().find_map(|line| line.strip_prefix(series)).unwrap().parse().unwrap()
}

#[actix_web::test]
async fn an_answer_that_goes_on_is_whole_and_its_usage_known() {
    for (more, wish) in [
        ("on_disconnect = \"run-on\"", None),
        ("", Some("run-on")),
        ("on_disconnect = \"detach\"", None),
        ("on_disconnect = \"run-on\"\nrun_on_seconds = 0.001", Some("detach")),
    ] {
        let gate = Gate::new();
        let upstream = Upstream::gated(&gate).await;
        let gateway = TestGateway::start(&openai_model(&upstream, more)).await;
        let client = wish.map(|wish| gateway.client.with_header(HEADER, wish));
        come_and_go(client.as_ref().unwrap_or(&gateway.client)).await;
        let stream = wait_until_left(&gateway).await;
        assert_eq!(stream["bytesBuffered"], 0, "nothing is kept for nobody");
        gate.open();
        gateway.wait_until_idle().await;
        assert_eq!(gateway.outcomes("completed").await, 1, "{more} {wish:?}");
        assert_eq!((tokens(&gateway).await, upstream.aborted()), (2, 0));
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn an_answer_runs_on_no_longer_than_it_may() {
    for (more, wish) in [
        ("run_on_seconds = 0.1", "run-on"),
        ("run_on_seconds = 0.1", "run-on=60"),
        ("on_disconnect = \"detach\"", "run-on=0.1"),
        ("on_disconnect = \"detach\"", "cancel"),
    ] {
        let upstream =
            Upstream::start(|_| vec![sse_head(), openai_token("one"), Step::Silence]).await;
        let gateway = TestGateway::start(&openai_model(&upstream, more)).await;
        come_and_go(&gateway.client.with_header(HEADER, wish)).await;
        upstream.wait_for_aborts(1).await;
        gateway.wait_until_idle().await;
        assert_eq!(gateway.outcomes("cancelled").await, 1, "{more} {wish}");
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn a_detached_stream_can_be_cancelled() {
    let upstream = Upstream::start(|_| vec![sse_head(), openai_token("one"), Step::Silence]).await;
    let gateway = TestGateway::before(&upstream).await;
    come_and_go(&gateway.client.with_header(HEADER, "detach")).await;
    let id = wait_until_left(&gateway).await["requestId"].as_str().unwrap().to_owned();
    assert_eq!(gateway.client.delete(&format!("/api/chat/{id}")).await.status, 200);
    upstream.wait_for_aborts(1).await;
    gateway.wait_until_idle().await;
    assert_eq!(gateway.outcomes("cancelled").await, 1);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_detached_stream_does_not_outlive_the_drain() {
    let upstream = Upstream::start(|_| vec![sse_head(), openai_token("one"), Step::Silence]).await;
    let toml = openai_model(&upstream, "");
    let gateway = TestGateway::start_with_server("drain_grace_seconds = 0.1", &toml).await;
    come_and_go(&gateway.client.with_header(HEADER, "detach")).await;
    wait_until_left(&gateway).await;
    gateway.inner.shutdown().await;
    upstream.wait_for_aborts(1).await;
}

/// Nothing was used, so there is nothing to learn.
#[actix_web::test]
async fn what_waits_for_its_turn_does_not_run_on_but_is_detached() {
    for (wish, sent) in [("run-on", 1), ("detach", 2)] {
        let gate = Gate::new();
        let upstream = Upstream::gated(&gate).await;
        let gateway = TestGateway::start(&openai_model(&upstream, "max_concurrency = 1")).await;
        let holder = gateway.client.open("/api/chat", &native("hi")).await;
        let body = native("hi").to_string();
        let client = gateway.client.with_header(HEADER, wish);
        let waiting = client.send("POST", "/api/chat", Some(&body)).await;
        let queued = "ai_gateway_queued_requests{model=\"test\"}";
        gateway.wait_for_metric(queued, "1").await;
        drop(waiting);
        if wish == "run-on" {
            gateway.wait_for_metric(queued, "0").await;
        }
        gate.open();
        assert_eq!(holder.whole().await.native_text(), "one two");
        gateway.wait_until_idle().await;
        assert_eq!(upstream.chats().len(), sent, "{wish}");
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn what_is_no_policy_is_refused_before_anything_is_asked() {
    let upstream = Upstream::start(|_| vec![]).await;
    let gateway = TestGateway::before(&upstream).await;
    let client = gateway.client.with_header(HEADER, "stay");
    let answer = client.post("/api/chat", &native("hi")).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["details"][0]["field"], HEADER);
    assert_eq!(upstream.chats().len(), 0);
    gateway.inner.shutdown().await;
}
