//! Keys, ownership, rate limits, CORS.

use serde_json::json;

use crate::client::{Client, native};
use crate::gateway::{TestGateway, openai_model};
use crate::upstream::{Step, Upstream, openai_answer, openai_token, sse_head};

const ALICE: &str = "alice-0123456789-0123456789-0123456789";
const BOB: &str = "bob-0123456789-0123456789-0123456789-01";
const ADMIN: &str = "admin-0123456789-0123456789-0123456789";

fn keys() -> String {
    format!(
        "[auth]\nkey = \"{ADMIN}\"\n[[auth.keys]]\nname = \"alice\"\nkey = \"{ALICE}\"\n\
         [[auth.keys]]\nname = \"bob\"\nkey = \"{BOB}\"\n"
    )
}

fn bearer(gateway: &TestGateway, key: &str) -> Client {
    gateway.client.with_header("Authorization", &format!("Bearer {key}"))
}

#[actix_web::test]
async fn without_a_known_key_nothing_but_probes_is_served() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let gateway = TestGateway::start(&format!("{}{}", openai_model(&upstream, ""), keys())).await;
    let strangers = [
        gateway.client.clone(),
        bearer(&gateway, "wrong"),
        bearer(&gateway, ""),
        gateway.client.with_header("x-api-key", "wrong"),
        bearer(&gateway, ALICE).with_header("x-api-key", BOB),
        gateway.client.with_header("Authorization", &format!("Basic {ALICE}")),
    ];
    for stranger in &strangers {
        for response in [
            stranger.post("/api/chat", &native("hi")).await,
            stranger.get("/api/chat/streams").await,
            stranger.get("/api/models").await,
            stranger.delete("/api/chat/x").await,
        ] {
            assert_eq!((response.status, &response.json()["error"]), (401, &json!("UNAUTHORIZED")));
            assert_eq!(response.header("www-authenticate"), Some("Bearer"));
        }
        let response = stranger.get("/v1/models").await;
        assert_eq!(response.status, 401);
        assert_eq!(response.json()["error"]["code"], "invalid_api_key");
    }
    assert_eq!(gateway.client.get("/health").await.status, 200);
    assert_eq!(gateway.client.get("/ready").await.status, 200);
    assert!(upstream.chats().is_empty());

    let answer = bearer(&gateway, ALICE).post("/api/chat", &native("hi")).await;
    assert_eq!(answer.native_text(), "a");
    let answer =
        gateway.client.with_header("x-api-key", BOB).post("/api/chat", &native("hi")).await;
    assert_eq!(answer.native_text(), "a");
    let upstream_saw = upstream.chats().iter().map(|seen| seen.head.clone()).collect::<String>();
    assert!(!upstream_saw.contains("0123456789"), "a client's key stays here");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn streams_belong_to_their_key() {
    let upstream = Upstream::start(|_| vec![sse_head(), openai_token("one"), Step::Silence]).await;
    let gateway = TestGateway::start(&format!("{}{}", openai_model(&upstream, ""), keys())).await;
    let (alice, bob, admin) =
        (bearer(&gateway, ALICE), bearer(&gateway, BOB), bearer(&gateway, ADMIN));
    let mut live = alice.open("/api/chat", &native("hi")).await;
    live.read_until("one").await;
    let path = format!("/api/chat/{}", live.id());

    assert_eq!(bob.get("/api/chat/streams").await.json()["streams"], json!([]));
    assert_eq!(admin.get("/api/chat/streams").await.json()["streams"][0]["owner"], "alice");
    let foreign = bob.delete(&path).await;
    let unknown = bob.delete(&format!("/api/chat/{}", "00".repeat(16))).await;
    assert_eq!(foreign.status, 404);
    assert_eq!(foreign.json(), unknown.json(), "another's stream looks like none");
    assert_eq!(alice.delete(&path).await.status, 200);
    assert_eq!(live.whole().await.events().last().unwrap().name.as_deref(), Some("chat.cancelled"));
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_caller_over_its_rate_is_told_when_to_come_back() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let limits = "[rate_limits]\nrequests_per_minute = 2\nburst = 2\n";
    let gateway =
        TestGateway::start(&format!("{}{}{limits}", openai_model(&upstream, ""), keys())).await;
    let alice = bearer(&gateway, ALICE);
    for _ in 0..2 {
        assert_eq!(alice.post("/api/chat", &native("hi")).await.status, 200);
    }
    let limited = alice.post("/api/chat", &native("hi")).await;
    assert_eq!((limited.status, &limited.json()["error"]), (429, &json!("RATE_LIMITED")));
    let wait: u32 = limited.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    assert_eq!(bearer(&gateway, BOB).post("/api/chat", &native("hi")).await.status, 200);
    assert_eq!(upstream.chats().len(), 3);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn browsers_of_allowed_origins_may_call() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let toml = format!(
        "[server.cors]\nallowed_origins = [\"https://chat.example\"]\n{}",
        openai_model(&upstream, "")
    );
    let gateway = TestGateway::start(&toml).await;
    let page = gateway.client.with_header("Origin", "https://chat.example");
    let preflight = page
        .with_header("Access-Control-Request-Method", "POST")
        .with_header(
            "Access-Control-Request-Headers",
            "content-type,authorization,x-stainless-lang",
        )
        .send("OPTIONS", "/api/chat", None)
        .await
        .whole()
        .await;
    assert_eq!(preflight.status, 200);
    assert_eq!(preflight.header("access-control-allow-origin"), Some("https://chat.example"));
    assert!(preflight.header("x-request-id").is_some());
    let counted = "http_requests_total{method=\"OPTIONS\",path=\"/api/chat\",status_code=\"200\"}";
    gateway.wait_for_metric(counted, "1").await;
    let answer = page.post("/api/chat", &native("hi")).await;
    assert_eq!(answer.native_text(), "a");
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://chat.example"));
    let exposed = answer.header("access-control-expose-headers").unwrap();
    for name in ["x-request-id", "x-ignored-fields", "x-ratelimit-reset-requests"] {
        assert!(exposed.contains(name), "{name} in {exposed}");
    }
    let bad = page.post("/api/chat", &json!({})).await;
    assert_eq!(bad.header("access-control-allow-origin"), Some("https://chat.example"));
    let other = gateway.client.with_header("Origin", "https://evil.example");
    let refused = other.post("/api/chat", &native("hi")).await;
    assert_eq!(refused.header("access-control-allow-origin"), None);
    gateway.inner.shutdown().await;
}
