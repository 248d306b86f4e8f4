//! The rest of Ollama's API: refusals, loading, the list of models, vectors, and a listener of its own.

use serde_json::{Value, json};

use crate::client::{Client, Response};
use crate::gateway::{TestGateway, ollama_model, openai_model};
use crate::ollama::{CHAT, TOKENS, asks, lines, said, terminal, upstream_saying};
use crate::upstream::{Gate, Step, Upstream, openai_answer, openai_token, sse_head, whole};

#[actix_web::test]
async fn refusals_are_in_ollamas_words() {
    let upstream = Upstream::start(|seen| {
        let missing = br#"{"error":"model 'test' not found"}"#;
        let missing = std::str::from_utf8(missing).unwrap();
        assert_eq!(seen.path, "/api/chat");
        vec![Step::Raw(whole(404, "application/json", missing))]
    })
    .await;
    let key = "[[auth.keys]]\nname = \"k\"\nkey = \"0123456789abcdef0123456789abcdef\"\n";
    let gateway = TestGateway::start(&format!("{}{key}", ollama_model(&upstream, ""))).await;
    let open = gateway.client.clone();
    let client = open.with_header("Authorization", "Bearer 0123456789abcdef0123456789abcdef");
    let error = |answer: &Response| answer.json()["error"].as_str().map(str::to_owned);
    for path in [CHAT, "/ollama/api/show", "/ollama/api/embed"] {
        let refused = open.post(path, &asks("hi")).await;
        assert_eq!(refused.status, 401, "{path}");
        assert!(error(&refused).is_some());
    }
    assert_eq!(open.get("/ollama/api/tags").await.status, 401);
    assert_eq!(open.get("/ollama/api/ps").await.status, 401);
    assert_eq!(open.get("/ollama/api/version").await.status, 200);

    let upstreams = client.post(CHAT, &asks("hi")).await;
    assert_eq!(upstreams.status, 502);
    assert_eq!(error(&upstreams).as_deref(), Some("model 'test' not found"));
    let mut unknown = asks("hi");
    unknown["model"] = json!("none");
    assert_eq!(client.post(CHAT, &unknown).await.status, 404);
    let invalid = client.post(CHAT, &json!({"messages": 1, "think": "deep"})).await;
    assert_eq!(invalid.status, 400);
    assert!(error(&invalid).unwrap().contains("think: must be"), "{}", invalid.text());
    let elsewhere = client.get("/ollama/api/nothing").await;
    assert_eq!((elsewhere.status, error(&elsewhere).is_some()), (404, true));
    let wrong = client.get(CHAT).await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")));
    for path in ["pull", "push", "create", "copy", "blobs/sha256:00"] {
        let managed = client.post(&format!("/ollama/api/{path}"), &json!({"model": "x"})).await;
        assert_eq!(managed.status, 400, "{path}");
        assert!(error(&managed).unwrap().contains("not managed here"));
    }
    assert_eq!(client.delete("/ollama/api/delete").await.status, 400);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_model_is_loaded_by_who_can_and_never_made_up() {
    let upstream = upstream_saying(r#"{"model":"up","done":true,"done_reason":"load"}"#).await;
    let gateway = TestGateway::start(&ollama_model(&upstream, "")).await;
    for path in [CHAT, "/ollama/api/generate"] {
        let answer = gateway.client.post(path, &json!({"model": "test"})).await;
        assert_eq!((answer.status, lines(&answer)[0]["done_reason"].as_str()), (200, Some("load")));
    }
    assert_eq!(upstream.chats().len(), 2);
    gateway.inner.shutdown().await;

    let upstream = Upstream::start(|_| openai_answer(&["never"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let answer = gateway.client.post(CHAT, &json!({"model": "test"})).await.json();
    assert_eq!((&answer["done"], &answer["done_reason"]), (&json!(true), &json!("load")));
    let answer = gateway.client.post("/ollama/api/generate", &json!({"prompt": ""})).await.json();
    assert_eq!((&answer["response"], &answer["done_reason"]), (&json!(""), &json!("load")));
    let unload = gateway.client.post(CHAT, &json!({"model": "test", "keep_alive": 0})).await;
    assert_eq!(unload.status, 400);
    assert_eq!(upstream.chats().len(), 0);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_body_need_not_be_called_json_unless_a_page_sent_it() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let curl = gateway.client.with_header("Content-Type", "application/x-www-form-urlencoded");
    assert_eq!(curl.post(CHAT, &asks("hi")).await.status, 200);
    assert_eq!(curl.post("/ollama/api/show", &json!({"model": "test"})).await.status, 200);
    for (name, value) in
        [("Origin", "https://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site")]
    {
        let page = curl.with_header(name, value);
        assert_eq!(page.post(CHAT, &asks("hi")).await.status, 415, "{name}: {value}");
        assert_eq!(page.post("/ollama/api/show", &json!({"model": "test"})).await.status, 415);
        let told = gateway.client.with_header(name, value);
        assert_eq!(told.post(CHAT, &asks("hi")).await.status, 200, "{name}: {value}");
    }
    // The other dialects ask for it as ever.
    let openai = crate::client::openai("hi", true);
    assert_eq!(curl.post("/v1/chat/completions", &openai).await.status, 415);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn models_are_listed_and_shown() {
    let gate = Gate::new();
    let upstream = Upstream::gated(&gate).await;
    let gateway = TestGateway::before(&upstream).await;
    let client = &gateway.client;
    let tags = client.get("/ollama/api/tags").await.json();
    assert_eq!(
        (&tags["models"][0]["name"], tags["models"].as_array().unwrap().len()),
        (&json!("test"), 1)
    );
    assert_eq!(client.get("/ollama/api/ps").await.json(), json!({"models": []}));
    let mut live = client.open(CHAT, &asks("hi")).await;
    live.read_until("one").await;
    assert_eq!(client.get("/ollama/api/ps").await.json()["models"][0]["model"], "test");
    gate.open();
    assert_eq!(said(&lines(&live.whole().await)), "one two");
    let version = client.get("/ollama/api/version").await.json();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    for path in ["/ollama", "/ollama/"] {
        assert_eq!(client.get(path).await.text(), "Ollama is running", "{path}");
        let mut head = client.send("HEAD", path, None).await;
        head.read_head().await;
        assert_eq!(head.status(), 200);
    }
    let show = |name: &str| json!({"model": name});
    let shown = client.post("/ollama/api/show", &show("test:latest")).await.json();
    assert_eq!(
        (&shown["capabilities"], &shown["model_info"]),
        (&json!(["completion"]), &Value::Null)
    );
    assert_eq!(client.post("/ollama/api/show", &show("none")).await.status, 404);
    gateway.inner.shutdown().await;

    let known = upstream_saying(
        r#"{"modelfile":"FROM /secret","capabilities":["completion","tools"],"model_info":{"general.architecture":"llama"}}"#,
    )
    .await;
    let gateway = TestGateway::start(&ollama_model(&known, "upstream_model = \"up\"")).await;
    let shown = gateway.client.post("/ollama/api/show", &show("test")).await.json();
    assert_eq!(shown["capabilities"], json!(["completion", "tools"]));
    assert_eq!(shown["model_info"]["general.architecture"], "llama");
    assert!(!shown.to_string().contains("secret"));
    assert_eq!(
        (known.chats()[0].path.as_str(), known.chats()[0].json()),
        ("/api/show", show("up"))
    );
    gateway.inner.shutdown().await;
}

const OWN: &str = "[ollama]\nlisten = \"127.0.0.1:0\"\n";

#[actix_web::test]
async fn a_listener_of_its_own_has_it_at_the_root() {
    let upstream = Upstream::start(|_| openai_answer(&TOKENS)).await;
    let gateway = TestGateway::start(&format!("{}{OWN}", openai_model(&upstream, ""))).await;
    let client = Client::new(gateway.inner.ollama_address().unwrap());
    let streamed = lines(&client.post("/api/chat", &asks("hi")).await);
    assert_eq!(
        (said(&streamed), terminal(&streamed)["done"].clone()),
        (TOKENS.concat(), json!(true))
    );
    assert_eq!(client.get("/").await.text(), "Ollama is running");
    assert_eq!(client.get("/api/tags?x=1").await.json()["models"][0]["name"], "test");
    assert_eq!(client.post("/api/show", &json!({"model": "test"})).await.status, 200);
    // Nothing else is to be had here, and errors are Ollama's.
    for path in ["/metrics", "/health", "/v1/models", "/api/models", "/ollama/api/tags"] {
        let answer = client.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.json()["error"].is_string());
    }
    let odd =
        client.send_raw(b"GET /api/tags HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n").await;
    let odd = odd.whole().await;
    assert_eq!(odd.status, 400);
    assert_eq!(odd.json().as_object().unwrap().keys().collect::<Vec<_>>(), ["error"]);
    // Its streams are the gateway's: counted, listed, and shown by the same names.
    let counted =
        "http_requests_total{method=\"POST\",path=\"/ollama/api/chat\",status_code=\"200\"}";
    gateway.wait_for_metric(counted, "1").await;
    assert_eq!(gateway.outcomes("completed").await, 1);
    gateway.wait_until_idle().await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn its_streams_are_listed_cancelled_and_drained_with_the_others() {
    let upstream = Upstream::start(|_| vec![sse_head(), openai_token("one"), Step::Silence]).await;
    let toml = format!("{}{OWN}", openai_model(&upstream, ""));
    let gateway = TestGateway::start_with_server("drain_grace_seconds = 0.1", &toml).await;
    let client = Client::new(gateway.inner.ollama_address().unwrap());
    let mut first = client.open("/api/chat", &asks("hi")).await;
    first.read_until("one").await;
    let mut second = client.open("/api/chat", &asks("hi")).await;
    second.read_until("one").await;
    // Both listeners share the two workers, whose numbers ids begin with.
    for id in [first.id(), second.id()] {
        assert!(id.starts_with("00") || id.starts_with("01"), "{id}");
    }
    let list = gateway.client.get("/api/chat/streams").await.json();
    assert_eq!(
        (&list["activeCount"], &list["streams"][0]["dialect"]),
        (&json!(2), &json!("ollama"))
    );
    assert_eq!(gateway.client.delete(&format!("/api/chat/{}", first.id())).await.status, 200);
    let cancelled = lines(&first.whole().await);
    assert!(terminal(&cancelled)["error"].as_str().unwrap().contains("cancelled"));

    let shutdown = actix_rt::spawn(gateway.inner.shutdown());
    let drained = second.whole().await;
    assert!(drained.proper_end, "an end that is said, not a cut");
    let drained = lines(&drained);
    assert!(terminal(&drained)["error"].as_str().unwrap().contains("shutting down"));
    shutdown.await.unwrap();
    assert!(tokio::net::TcpStream::connect(client.address()).await.is_err());
}

const VECTORS: &str = "type = \"embedding\"";

#[actix_web::test]
async fn vectors_come_from_every_upstream_in_either_shape() {
    const BODY: &str = r#"{"model":"up", "embeddings":[[0.5,-1]],"prompt_eval_count":2,"odd":1}"#;
    let upstream = upstream_saying(BODY).await;
    let gateway = TestGateway::start(&ollama_model(&upstream, VECTORS)).await;
    let asked = json!({"model": "test", "input": "a", "options": {"num_ctx": 64}});
    let answer = gateway.client.post("/ollama/api/embed", &asked).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, BODY));
    let older = json!({"model": "test", "prompt": "a"});
    let answer = gateway.client.post("/ollama/api/embeddings", &older).await;
    assert_eq!(answer.json(), json!({"embedding": [0.5, -1.0]}));
    let seen = upstream.chats();
    assert_eq!((seen[0].path.as_str(), seen[0].json()), ("/api/embed", asked));
    assert_eq!((seen[1].path.as_str(), &seen[1].json()["input"]), ("/api/embed", &json!(["a"])));
    gateway.inner.shutdown().await;

    let upstream = upstream_saying(
        r#"{"data":[{"index":0,"embedding":[0.5]},{"index":1,"embedding":[2]}],"usage":{"prompt_tokens":3,"total_tokens":3}}"#,
    )
    .await;
    let gateway = TestGateway::start(&openai_model(&upstream, VECTORS)).await;
    let asked = json!({"model": "test", "input": ["a", "b"], "keep_alive": 1});
    let answer = gateway.client.post("/ollama/api/embed", &asked).await;
    assert_eq!(answer.header("x-ignored-fields"), Some("keep_alive"));
    let answer = answer.json();
    assert_eq!(answer["embeddings"], json!([[0.5], [2.0]]));
    assert_eq!((&answer["model"], &answer["prompt_eval_count"]), (&json!("test"), &json!(3)));
    gateway.inner.shutdown().await;
}
