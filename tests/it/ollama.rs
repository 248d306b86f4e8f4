//! Answers to Ollama's clients: relayed from an Ollama, translated from others.

use serde_json::{Value, json};

use crate::client::Response;
use crate::gateway::{TestGateway, ollama_model, openai_model};
use crate::upstream::{
    Gate, Seen, Step, Upstream, ndjson_head, ollama_answer, ollama_token, openai_answer,
    openai_token, sse_head, whole,
};

pub const TOKENS: [&str; 3] = ["a", " b", "\n\nc ü"];
pub const CHAT: &str = "/ollama/api/chat";
const NDJSON: &str = "application/x-ndjson";

pub fn asks(prompt: &str) -> Value {
    json!({"model": "test", "messages": [{"role": "user", "content": prompt}]})
}

pub fn lines(answer: &Response) -> Vec<Value> {
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn said(lines: &[Value]) -> String {
    let texts = lines.iter().filter_map(|line| line["message"]["content"].as_str());
    texts.collect()
}

/// Exactly one line ends the answer, and it is the last.
pub fn terminal(lines: &[Value]) -> &Value {
    let ends = |line: &&Value| line["done"] == true || line.get("error").is_some();
    assert_eq!(lines.iter().filter(ends).count(), 1, "{lines:?}");
    lines.last().filter(ends).expect("the terminal is the last line")
}

pub async fn upstream_saying(body: &'static str) -> Upstream {
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
