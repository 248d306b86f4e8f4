//! Cancel by id, in every phase: the upstream sees the close, slot and permit come back, the
//! outcome counts once. Clients that leave have a file of their own, `disconnects`.

use crate::client::{Live, anthropic, native, native_whole, openai};
use crate::gateway::{TestGateway, openai_model};
use crate::phase::Phase;
use crate::upstream::Upstream;
use crate::wire::openai_answer;

async fn cancel_in(phase: Phase, dialect: &str) {
    let upstream = Upstream::start(move |_| phase.script()).await;
    let gateway = TestGateway::start(&openai_model(&upstream, "max_concurrency = 1")).await;
    let (path, body) = match dialect {
        "native" => ("/api/chat", native("hi")),
        "native, whole" => ("/api/chat", native_whole("hi")),
        "anthropic" => ("/v1/messages", anthropic("hi", true)),
        "anthropic, whole" => ("/v1/messages", anthropic("hi", false)),
        _ => ("/v1/chat/completions", openai("hi", true)),
    };

    let holder = if phase == Phase::Queued {
        let holder = gateway.client.send("POST", path, Some(&body.to_string())).await;
        upstream.wait_for_chats(1).await;
        Some(holder)
    } else {
        None
    };
    let live = gateway.client.send("POST", path, Some(&body.to_string())).await;
    let id = phase.reached(&gateway).await;
    if phase != Phase::Queued {
        upstream.wait_for_chats(1).await;
    }

    delete(&gateway, live, &id).await;
    if phase == Phase::Queued {
        gateway.wait_for_metric("ai_gateway_queued_requests{model=\"test\"}", "0").await;
        assert_eq!(upstream.aborted(), 0, "the one that holds the permit goes on");
        assert_eq!(upstream.chats().len(), 1, "a request that left the queue is never sent");
        drop(holder);
    }
    upstream.wait_for_aborts(1).await;
    gateway.wait_until_idle().await;
    let expected = if phase == Phase::Queued { 2 } else { 1 };
    assert_eq!(gateway.outcomes("cancelled").await, expected, "{phase:?}");
    gateway.inner.shutdown().await;
}

async fn delete(gateway: &TestGateway, live: Live, id: &str) {
    let answer = gateway.client.delete(&format!("/api/chat/{id}")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), serde_json::json!({"success": true, "requestId": id}));
    let told = live.whole().await;
    let text = told.text();
    assert!(told.proper_end, "{text}");
    let word = text.to_ascii_lowercase();
    assert!(word.contains("cancelled"), "the client is told: {text}");
    let ended = text.contains("[DONE]") || text.contains("message_stop");
    assert!(!ended, "a cancelled answer is not complete: {text}");
}

#[actix_web::test]
async fn by_delete_in_every_phase() {
    for phase in Phase::ALL {
        for dialect in ["native", "native, whole", "openai", "anthropic", "anthropic, whole"] {
            cancel_in(phase, dialect).await;
        }
    }
}

#[actix_web::test]
async fn an_id_that_is_not_alive_is_not_found() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let done = gateway.client.post("/api/chat", &native("hi")).await;
    let id = done.header("x-request-id").unwrap().to_owned();
    gateway.wait_until_idle().await;
    let unknown = "00".repeat(16);
    let foreign_worker = format!("ff{}", "0".repeat(30));
    let mut bodies = Vec::new();
    for id in [id.as_str(), &unknown, &foreign_worker, "streams-of-others", "..%2f..%2fetc"] {
        let answer = gateway.client.delete(&format!("/api/chat/{id}")).await;
        assert_eq!(answer.status, 404, "{id}");
        bodies.push(answer.json());
    }
    assert!(bodies.iter().all(|body| body == &bodies[0]), "all alike: {bodies:?}");
    assert_eq!(bodies[0]["error"], "NOT_FOUND");
    gateway.inner.shutdown().await;
}
