//! Shutting down: no new streams, running ones finish or are told, nothing is cut in silence.

use futures::future::join_all;

use crate::client::{Live, anthropic, native, native_whole, openai};
use crate::gateway::{TestGateway, openai_model};
use crate::upstream::{Gate, Step, Upstream, openai_token, sse_head};

async fn running(gateway: &TestGateway, count: usize) -> Vec<Live> {
    let opening = (0..count).map(|number| async move {
        let mut live = match number % 2 {
            0 => gateway.client.open("/api/chat", &native("hi")).await,
            _ => gateway.client.open("/v1/chat/completions", &openai("hi", true)).await,
        };
        live.read_until("one").await;
        live
    });
    join_all(opening).await
}

#[actix_web::test]
async fn streams_that_finish_within_the_grace_are_whole() {
    let gate = Gate::new();
    let upstream = Upstream::gated(&gate).await;
    let gateway = TestGateway::start(&openai_model(&upstream, "max_concurrency = 100")).await;
    let streams = running(&gateway, 100).await;
    let client = gateway.client.clone();
    let shutdown = actix_rt::spawn(gateway.inner.shutdown());

    // Not ready, no new streams, while those that run go on.
    loop {
        let ready = client.get("/ready").await;
        if ready.status == 503 {
            assert_eq!(ready.json()["draining"], true);
            break;
        }
    }
    let refused = loop {
        let refused = client.post("/api/chat", &native("too late")).await;
        if refused.status != 200 {
            break refused;
        }
    };
    assert_eq!((refused.status, &refused.json()["error"]), (503, &"DRAINING".into()));
    assert_eq!(client.get("/health").await.status, 200, "it still lives");

    gate.open();
    for (number, answer) in join_all(streams.into_iter().map(Live::whole)).await.iter().enumerate()
    {
        assert!(answer.proper_end);
        if number % 2 == 0 {
            assert_eq!(answer.native_text(), "one two");
        } else {
            assert_eq!(answer.openai_text(), "one two");
            assert_eq!(answer.events().last().unwrap().data, "[DONE]");
        }
    }
    shutdown.await.unwrap();
}

#[actix_web::test]
async fn streams_that_outlast_the_grace_are_told() {
    let upstream = Upstream::start(|_| vec![sse_head(), openai_token("one"), Step::Silence]).await;
    let gateway = TestGateway::start_with_server(
        "drain_grace_seconds = 0.1",
        &openai_model(&upstream, "max_concurrency = 100"),
    )
    .await;
    let streams = running(&gateway, 100).await;
    let shutdown = actix_rt::spawn(gateway.inner.shutdown());
    for (number, answer) in join_all(streams.into_iter().map(Live::whole)).await.iter().enumerate()
    {
        assert!(answer.proper_end, "an end that is said, not a cut");
        let last = answer.events().last().unwrap().clone();
        if number % 2 == 0 {
            assert_eq!(last.name.as_deref(), Some("error"));
            assert_eq!(last.json()["code"], "DRAINED");
        } else {
            assert_eq!(last.json()["error"]["code"], "DRAINED");
        }
    }
    upstream.wait_for_aborts(100).await;
    shutdown.await.unwrap();
}

#[actix_web::test]
async fn streams_in_the_queue_are_told_when_the_grace_is_over() {
    let upstream = Upstream::start(|_| vec![sse_head(), openai_token("one"), Step::Silence]).await;
    let gateway = TestGateway::start_with_server(
        "drain_grace_seconds = 0.1",
        &openai_model(&upstream, "max_concurrency = 1"),
    )
    .await;
    let first = running(&gateway, 1).await;
    let asked = [
        ("/api/chat", native("hi"), 200),
        ("/api/chat", native_whole("hi"), 503),
        ("/v1/chat/completions", openai("hi", true), 503),
        ("/v1/chat/completions", openai("hi", false), 503),
        ("/v1/messages", anthropic("hi", true), 503),
        ("/v1/messages", anthropic("hi", false), 503),
    ];
    let mut waiting = Vec::new();
    for (path, body, _) in &asked {
        waiting.push(gateway.client.send("POST", path, Some(&body.to_string())).await);
    }
    gateway.wait_for_metric("ai_gateway_queued_requests{model=\"test\"}", "6").await;
    let shutdown = actix_rt::spawn(gateway.inner.shutdown());
    let answers = join_all(waiting.into_iter().map(Live::whole)).await;
    for ((_, _, status), answer) in asked.iter().zip(&answers) {
        assert!(answer.proper_end && answer.text().contains("\"DRAINED\""), "{}", answer.text());
        assert_eq!((answer.status, answer.text().matches("DRAINED").count()), (*status, 1));
        assert_eq!(answer.header("retry-after").is_some(), *status == 503);
    }
    drop(first);
    shutdown.await.unwrap();
    assert_eq!(upstream.chats().len(), 1, "no upstream was asked for what waited");
}
