//! What the person on call sees.

use serde_json::json;

use crate::client::{native, openai};
use crate::gateway::{TestGateway, openai_model};
use crate::upstream::{Step, Upstream, openai_answer, openai_token, sse_head};

#[actix_web::test]
async fn the_list_shows_each_live_stream() {
    let upstream = Upstream::start(|_| {
        vec![sse_head(), openai_token("one"), openai_token("two"), Step::Silence]
    })
    .await;
    let gateway = TestGateway::before(&upstream).await;
    let mut first = gateway.client.open("/api/chat", &native("hi")).await;
    first.read_until("two").await;
    let mut second = gateway.client.open("/v1/chat/completions", &openai("hi", true)).await;
    second.read_until("two").await;

    let list = gateway.client.get("/api/chat/streams").await.json();
    assert_eq!(list["activeCount"], 2);
    assert_eq!(
        (&list["stats"]["streaming"], &list["stats"]["maxStreams"]),
        (&json!(2), &json!(1000))
    );
    let streams = list["streams"].as_array().unwrap();
    let ids: Vec<_> = streams.iter().map(|stream| stream["requestId"].clone()).collect();
    assert_eq!(ids, [first.id(), second.id()], "oldest first");
    for (stream, dialect) in streams.iter().zip(["native", "openai"]) {
        assert_eq!((&stream["model"], &stream["provider"]), (&json!("test"), &json!("openai")));
        assert_eq!((&stream["state"], &stream["dialect"]), (&json!("streaming"), &json!(dialect)));
        assert_eq!((&stream["tokens"], &stream["client"]), (&json!(2), &json!("127.0.0.1")));
        assert!(stream["ageMs"].is_u64());
        assert!(stream["timeToFirstTokenMs"].is_u64());
        assert!(stream["bytesBuffered"].is_u64());
        assert!(stream.get("tokensPerSecond").is_some());
    }
    drop((first, second));
    gateway.wait_until_idle().await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn readiness_names_the_models() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let toml = format!(
        "{}[[models]]\nname = \"gone\"\nprovider = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\n",
        openai_model(&upstream, "")
    );
    let gateway = TestGateway::start(&toml).await;
    let ready = gateway.client.get("/ready").await;
    assert_eq!(ready.status, 200);
    let body = ready.json();
    assert_eq!(body["ready"], true);
    assert_eq!(body["models"][0]["status"], "reachable");
    assert_eq!(body["models"][0]["active"], true);
    assert_eq!(body["models"][1]["status"], "unreachable");
    assert!(body["models"][1]["reason"].is_string());
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_upstream_without_the_model_is_not_ready() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    for provider in ["ollama", "vllm"] {
        let base = match provider {
            "ollama" => upstream.ollama_url(),
            _ => upstream.openai_url(),
        };
        let toml = |name: &str| {
            format!(
                "[[models]]\nname = \"{name}\"\nprovider = \"{provider}\"\nbase_url = \"{base}\"\n"
            )
        };
        let gateway = TestGateway::start(&toml("test")).await;
        assert_eq!(gateway.client.get("/ready").await.status, 200, "{provider} lists it");
        gateway.inner.shutdown().await;
        let gateway = TestGateway::start(&toml("missing")).await;
        let ready = gateway.client.get("/ready").await;
        assert_eq!(ready.status, 503);
        let reason = ready.json()["models"][0]["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains("missing") && reason.contains("test"), "{reason}");
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn metrics_can_have_a_listener_of_their_own() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let toml = format!("{}[metrics]\nlisten = \"127.0.0.1:0\"\n", openai_model(&upstream, ""));
    let gateway = TestGateway::start(&toml).await;
    assert_eq!(gateway.client.get("/metrics").await.status, 404);
    let apart = crate::client::Client::new(gateway.inner.metrics_address().unwrap());
    let answer = apart.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("ai_gateway_stream_limit 1000"));
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn labels_never_come_from_a_client() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let gateway = TestGateway::before(&upstream).await;
    for number in 0..50 {
        let mut body = native("hi");
        body["model"] = json!(format!("canary-model-{number}"));
        gateway.client.post("/api/chat", &body).await;
        gateway.client.get(&format!("/canary-path/{number}")).await;
        gateway.client.delete(&format!("/api/chat/canary-id-{number}")).await;
        gateway.client.send("CANARY", "/api/chat", None).await.whole().await;
    }
    let text = gateway.client.get("/metrics").await.text();
    assert!(!text.to_lowercase().contains("canary"), "{text}");
    assert!(
        text.contains(
            "http_requests_total{method=\"DELETE\",path=\"/api/chat/{id}\",status_code=\"404\"} 50"
        ),
        "{text}"
    );
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn the_api_describes_itself() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let document = gateway.client.get("/openapi.json").await.json();
    for (method, path) in tidegate::http::routes::ROUTES {
        assert!(document["paths"][path][method].is_object(), "{method} {path}");
        let live = path.replace("{id}", &"00".repeat(16));
        let body = (method == "post").then_some("{}");
        let mut answer = gateway.client.send(&method.to_uppercase(), &live, body).await;
        // The head alone: not every answer has an end.
        answer.read_head().await;
        let status = answer.status();
        let described = &document["paths"][path][method]["responses"][status.to_string()];
        assert!(described.is_object(), "{method} {path} answers {status}, which is not described");
        assert_ne!(status, 405, "{method} {path}");
    }
    gateway.inner.shutdown().await;
}
