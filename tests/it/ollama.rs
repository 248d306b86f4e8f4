//! Ollama's API for clients: relayed from an Ollama, translated from others, below a prefix and on
//! a listener of its own.

use serde_json::{Value, json};

use crate::client::{Client, Response};
use crate::gateway::{TestGateway, ollama_model, openai_model};
use crate::upstream::{
    Gate, Seen, Step, Upstream, ndjson_head, ollama_answer, ollama_token, openai_answer,
    openai_token, sse_head, whole,
};

const TOKENS: [&str; 3] = ["a", " b", "\n\nc ü"];
const CHAT: &str = "/ollama/api/chat";
const NDJSON: &str = "application/x-ndjson";

fn asks(prompt: &str) -> Value {
    json!({"model": "test", "messages": [{"role": "user", "content": prompt}]})
}

fn lines(answer: &Response) -> Vec<Value> {
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn said(lines: &[Value]) -> String {
    let texts = lines.iter().filter_map(|line| line["message"]["content"].as_str());
    texts.collect()
}

/// Exactly one line ends the answer, and it is the last.
fn terminal(lines: &[Value]) -> &Value {
    let ends = |line: &&Value| line["done"] == true || line.get("error").is_some();
    assert_eq!(lines.iter().filter(ends).count(), 1, "{lines:?}");
    lines.last().filter(ends).expect("the terminal is the last line")
}

async fn upstream_saying(body: &'static str) -> Upstream {
    Upstream::start(move |_| vec![Step::Raw(whole(200, "application/json; charset=utf-8", body))])
        .await
}

#[actix_web::test]
async fn an_ollamas_lines_are_passed_on_as_they_came() {
    let upstream = Upstream::start(|_| ollama_answer(&TOKENS)).await;
    let gateway = TestGateway::start(&ollama_model(&upstream, "upstream_model = \"up:1b\"")).await;
    let mut body = asks("hi");
    body["keep_alive"] = json!("5m");
    body["some_new_field"] = json!({"kept": [1, 2]});
    body["options"] = json!({"num_ctx": 4096, "seed": 12_345_678_901_234_567_u64});
    let answer = gateway.client.post(CHAT, &body).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some(NDJSON)));
    let raw: Vec<u8> = ollama_answer(&TOKENS)
        .into_iter()
        .flat_map(|step| if let Step::Chunk(bytes) = step { bytes } else { Vec::new() })
        .collect();
    assert_eq!(answer.text().as_bytes(), raw);
    assert_eq!(answer.header("x-ignored-fields"), None);

    let Seen { path, .. } = &upstream.chats()[0];
    assert_eq!(path, "/api/chat");
    let mut expected = body.clone();
    expected["model"] = json!("up:1b");
    expected["stream"] = json!(true);
    assert_eq!(upstream.chats()[0].json(), expected);
    gateway.wait_for_metric("ai_tokens_processed_total{model=\"test\"}", "3").await;
    gateway.wait_until_idle().await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_ollamas_answer_in_one_piece_is_passed_on_as_it_came() {
    const BODY: &str = r#"{"model":"up", "message":{"role":"assistant","content":"hi"},"done":true,"done_reason":"stop","eval_count":1,"prompt_eval_count":2,"odd":[1]}"#;
    let upstream = upstream_saying(BODY).await;
    let gateway = TestGateway::start(&ollama_model(&upstream, "")).await;
    let mut body = asks("hi");
    body["stream"] = json!(false);
    let answer = gateway.client.post(CHAT, &body).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, BODY));
    assert_eq!(upstream.chats()[0].json()["stream"], false);
    gateway.wait_for_metric("ai_gateway_prompt_tokens_total{model=\"test\"}", "2").await;
    let generate = json!({"model": "test", "prompt": "x", "suffix": "y", "stream": false});
    let answer = gateway.client.post("/ollama/api/generate", &generate).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, BODY));
    assert_eq!(upstream.chats()[1].path, "/api/generate");
    assert_eq!(upstream.chats()[1].json(), generate);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_answer_in_one_piece_is_not_held_to_the_first_tokens_limit() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |_| {
        let body = r#"{"message":{"content":"hi"},"done":true,"done_reason":"stop"}"#;
        vec![Step::Gate(held.clone()), Step::Raw(whole(200, "application/json", body))]
    })
    .await;
    let limits = "first_token_timeout_seconds = 0.05\nidle_timeout_seconds = 0.05";
    let gateway = TestGateway::start(&ollama_model(&upstream, limits)).await;
    let mut body = asks("hi");
    body["stream"] = json!(false);
    let waits = gateway.client.send("POST", CHAT, Some(&body.to_string())).await;
    upstream.wait_for_chats(1).await;
    // A streamed one that comes later is given up before the gate opens.
    assert_eq!(gateway.client.post(CHAT, &asks("hi")).await.status, 504);
    gate.open();
    assert_eq!(waits.whole().await.status, 200);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn others_answers_are_written_in_lines() {
    let upstream = Upstream::start(|_| openai_answer(&TOKENS)).await;
    let gateway = TestGateway::before(&upstream).await;
    let mut body = asks("hi");
    body["options"] = json!({"num_predict": 9, "num_ctx": 4096});
    body["keep_alive"] = json!(-1);
    let answer = gateway.client.post(CHAT, &body).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some(NDJSON)));
    assert_eq!(answer.header("x-ignored-fields"), Some("options.num_ctx, keep_alive"));
    let streamed = lines(&answer);
    assert_eq!(said(&streamed), TOKENS.concat());
    assert_eq!(
        (streamed[0]["model"].as_str(), &streamed[0]["done"]),
        (Some("test"), &json!(false))
    );
    let last = terminal(&streamed);
    assert_eq!((&last["done_reason"], &last["eval_count"]), (&json!("stop"), &json!(3)));
    assert_eq!(last["prompt_eval_count"], 7);
    assert!(last["total_duration"].as_u64().is_some_and(|time| time > 0), "{last}");
    assert_eq!(last.get("load_duration"), None, "nobody measured it");
    assert_eq!(upstream.chats()[0].json()["max_tokens"], 9);

    body["stream"] = json!(false);
    let whole = gateway.client.post(CHAT, &body).await;
    assert_eq!(whole.header("content-type"), Some("application/json"));
    let whole = whole.json();
    assert_eq!(whole["message"], json!({"role": "assistant", "content": TOKENS.concat()}));
    assert_eq!((&whole["done"], &whole["eval_count"]), (&json!(true), &json!(3)));

    let prompt = json!({"model": "test:latest", "prompt": "hi", "system": "s"});
    let generated = gateway.client.post("/ollama/api/generate", &prompt).await;
    let texts = lines(&generated);
    let text: String = texts.iter().filter_map(|line| line["response"].as_str()).collect();
    assert_eq!(text, TOKENS.concat());
    assert_eq!(terminal(&texts)["done_reason"], "stop");
    let asked = upstream.chats()[2].json();
    let messages = json!([{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}]);
    assert_eq!(asked["messages"], messages);
    gateway.wait_until_idle().await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn the_builtin_model_answers_too() {
    let gateway = TestGateway::start("[[models]]\nname = \"test\"\nprovider = \"builtin\"\n").await;
    let answer = gateway.client.post(CHAT, &asks("count to 3")).await;
    let streamed = lines(&answer);
    assert_eq!(said(&streamed), "1 2 3 ");
    assert_eq!(terminal(&streamed)["eval_count"], 3);
    gateway.inner.shutdown().await;
}

fn tool_call(arguments: &[&str], finish: &str) -> Vec<Step> {
    let frame = |delta: Value, finish: Option<&str>| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        Step::Chunk(format!("data: {}\n\n", json!({"choices": [choice]})).into_bytes())
    };
    let begin = json!({"index": 0, "id": "c", "function": {"name": "get", "arguments": ""}});
    let mut steps = vec![sse_head(), frame(json!({"tool_calls": [begin]}), None)];
    for piece in arguments {
        let call = json!({"index": 0, "function": {"arguments": piece}});
        steps.push(frame(json!({"tool_calls": [call]}), None));
    }
    steps.extend([frame(json!({}), Some(finish)), Step::Chunk(b"data: [DONE]\n\n".to_vec())]);
    steps.push(Step::EndOfBody);
    steps
}

#[actix_web::test]
async fn a_call_comes_whole_or_not_at_all() {
    let upstream = Upstream::start(|seen| {
        let half = seen.body.contains("half");
        let finish = if seen.body.contains("limit") { "length" } else { "tool_calls" };
        if half { tool_call(&["{\"x\""], finish) } else { tool_call(&["{\"x\"", ":1}"], finish) }
    })
    .await;
    let gateway = TestGateway::before(&upstream).await;
    let whole = lines(&gateway.client.post(CHAT, &asks("hi")).await);
    let call = json!([{"id": "c", "function": {"index": 0, "name": "get", "arguments": {"x": 1}}}]);
    assert_eq!((&whole[0]["message"]["tool_calls"], whole.len()), (&call, 2));
    assert_eq!(terminal(&whole)["done_reason"], "stop");

    let half = gateway.client.post(CHAT, &asks("half")).await;
    let error = if half.status == 200 { terminal(&lines(&half)).clone() } else { half.json() };
    assert!(error["error"].as_str().unwrap().contains("no JSON object"), "{error}");
    let mut body = asks("half");
    body["stream"] = json!(false);
    assert_eq!(gateway.client.post(CHAT, &body).await.status, 502);

    let limit = lines(&gateway.client.post(CHAT, &asks("half, limit")).await);
    assert_eq!((terminal(&limit)["done_reason"].as_str(), limit.len()), (Some("length"), 1));
    gateway.wait_until_idle().await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_answer_that_fails_ends_in_one_error_line() {
    let cut = |head: fn() -> Step, token: fn(&str) -> Step| {
        move |_: &Seen| vec![head(), token("one"), Step::EndOfBody]
    };
    let broken = |_: &Seen| {
        let error = Step::Chunk(b"{\"error\":\"the runner died\"}\n".to_vec());
        vec![ndjson_head(), ollama_token("one"), error, Step::EndOfBody]
    };
    let relayed = Upstream::start(cut(ndjson_head, ollama_token)).await;
    let translated = Upstream::start(cut(sse_head, openai_token)).await;
    let told = Upstream::start(broken).await;
    for (model, message) in [
        (ollama_model(&relayed, ""), "without saying that the answer is complete"),
        (openai_model(&translated, ""), "without saying that the answer is complete"),
        (ollama_model(&told, ""), "the runner died"),
    ] {
        let gateway = TestGateway::start(&model).await;
        let answer = gateway.client.post(CHAT, &asks("hi")).await;
        let streamed = lines(&answer);
        assert_eq!((answer.status, said(&streamed).as_str()), (200, "one"));
        assert!(answer.proper_end);
        let error = terminal(&streamed)["error"].as_str().unwrap().to_owned();
        assert!(error.contains(message), "{error}");
        // One that wants it whole gets no half of it.
        let mut body = asks("hi");
        body["stream"] = json!(false);
        let whole = gateway.client.post(CHAT, &body).await;
        assert_eq!(whole.status, 502);
        assert!(whole.json()["error"].as_str().unwrap().contains(message));
        gateway.wait_until_idle().await;
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn a_whole_document_that_does_not_say_it_is_done_is_no_answer() {
    let upstream = upstream_saying(r#"{"message":{"content":"x"},"done":false}"#).await;
    let gateway = TestGateway::start(&ollama_model(&upstream, "")).await;
    let mut body = asks("hi");
    body["stream"] = json!(false);
    assert_eq!(gateway.client.post(CHAT, &body).await.status, 502);
    gateway.inner.shutdown().await;
}

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

#[actix_web::test]
async fn a_client_that_leaves_frees_its_upstream() {
    for (ollama, head, token) in [
        (true, ndjson_head as fn() -> Step, ollama_token as fn(&str) -> Step),
        (false, sse_head, openai_token),
    ] {
        let upstream = Upstream::start(move |_| vec![head(), token("one"), Step::Silence]).await;
        let model = if ollama { ollama_model(&upstream, "") } else { openai_model(&upstream, "") };
        let gateway = TestGateway::start(&model).await;
        let mut live = gateway.client.open(CHAT, &asks("hi")).await;
        live.read_until("one").await;
        drop(live);
        upstream.wait_for_aborts(1).await;
        // And one that is cancelled by its id is told.
        let mut live = gateway.client.open(CHAT, &asks("hi")).await;
        live.read_until("one").await;
        assert_eq!(gateway.client.delete(&format!("/api/chat/{}", live.id())).await.status, 200);
        let streamed = lines(&live.whole().await);
        assert!(terminal(&streamed)["error"].as_str().unwrap().contains("cancelled"));
        gateway.wait_until_idle().await;
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn an_idle_stream_says_nothing_between_lines() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |_| {
        let mut steps = ollama_answer(&["one", " two"]);
        steps.insert(2, Step::Gate(held.clone()));
        steps
    })
    .await;
    let model = ollama_model(&upstream, "");
    let gateway = TestGateway::start_with_server("heartbeat_seconds = 0.01", &model).await;
    // A stream whose dialect has signs of life tells when some of them are due here as well.
    let mut beating =
        gateway.client.open("/v1/chat/completions", &crate::client::openai("hi", true)).await;
    let mut idle = gateway.client.open(CHAT, &asks("hi")).await;
    idle.read_until("one").await;
    beating.read_until(": k\n: k\n: k\n").await;
    gate.open();
    assert_eq!(said(&lines(&idle.whole().await)), "one two");
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
