//! OpenAI's dialect: relayed from an upstream that speaks it, translated from one that does not.

use serde_json::{Value, json};

use crate::client::{Response, openai};
use crate::gateway::{TestGateway, ollama_model};
use crate::upstream::{
    Step, Upstream, ollama_answer, openai_answer, openai_end, openai_token, sse_head, whole,
};

const TOKENS: [&str; 3] = ["a", " b", "\n\nc ü"];

fn with_usage(mut body: Value) -> Value {
    body["stream_options"] = json!({"include_usage": true});
    body
}

fn usage_frames(answer: &Response) -> Vec<Value> {
    let frames = answer.events().into_iter().filter(|event| event.data != "[DONE]");
    frames.map(|event| event.json()["usage"].clone()).filter(|usage| !usage.is_null()).collect()
}

#[actix_web::test]
async fn a_relayed_stream_is_the_upstreams_own() {
    let upstream = Upstream::start(|_| openai_answer(&TOKENS)).await;
    let gateway = TestGateway::before(&upstream).await;
    let mut body = openai("hi", true);
    body["some_new_field"] = json!({"kept": [1, 2]});
    body["seed"] = json!(12_345_678_901_234_567_u64);
    let answer = gateway.client.post("/v1/chat/completions", &body).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.openai_text(), TOKENS.concat());
    let events = answer.events();
    assert_eq!(events.last().unwrap().data, "[DONE]");
    assert_eq!(events.iter().filter(|event| event.data == "[DONE]").count(), 1);
    assert_eq!(events[0].json()["id"], "chatcmpl-up");
    assert_eq!(usage_frames(&answer), Vec::<Value>::new(), "usage only if asked for");

    let asked = upstream.chats()[0].json();
    assert_eq!(asked["some_new_field"], json!({"kept": [1, 2]}));
    assert_eq!(asked["seed"], json!(12_345_678_901_234_567_u64));
    assert_eq!(asked["stream_options"]["include_usage"], true);
    let tokens = "ai_tokens_processed_total{model=\"test\"}";
    gateway.wait_for_metric(tokens, "3").await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn usage_comes_to_those_who_ask() {
    let upstream = Upstream::start(|_| openai_answer(&TOKENS)).await;
    let gateway = TestGateway::before(&upstream).await;
    let body = with_usage(openai("hi", true));
    let answer = gateway.client.post("/v1/chat/completions", &body).await;
    let usage = json!({"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10});
    assert_eq!(usage_frames(&answer), [usage]);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_unstreamed_answer_is_relayed_byte_for_byte() {
    const BODY: &str = r#"{"id":"x", "object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":1,"total_tokens":3},"timings":{"odd":1}}"#;
    let upstream = Upstream::start(|_| vec![Step::Raw(whole(200, "application/json", BODY))]).await;
    let gateway = TestGateway::before(&upstream).await;
    let answer = gateway.client.post("/v1/chat/completions", &openai("hi", false)).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, BODY));
    assert_eq!(upstream.chats()[0].json()["stream"], false);
    gateway.wait_for_metric("ai_gateway_prompt_tokens_total{model=\"test\"}", "2").await;
    assert_eq!(gateway.outcomes("completed").await, 1);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_answer_in_one_piece_is_not_held_to_the_first_tokens_limit() {
    let gate = crate::upstream::Gate::new();
    let upstream = {
        let gate = gate.clone();
        Upstream::start(move |_| {
            let body =
                r#"{"choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}]}"#;
            vec![Step::Gate(gate.clone()), Step::Raw(whole(200, "application/json", body))]
        })
        .await
    };
    let limits = "first_token_timeout_seconds = 0.05\nidle_timeout_seconds = 0.05";
    let gateway = TestGateway::start(&crate::gateway::openai_model(&upstream, limits)).await;
    let unstreamed = openai("hi", false).to_string();
    let waits = gateway.client.send("POST", "/v1/chat/completions", Some(&unstreamed)).await;
    upstream.wait_for_chats(1).await;
    // A streamed one that comes later is given up before the gate opens.
    let late = gateway.client.post("/v1/chat/completions", &openai("hi", true)).await;
    assert_eq!(late.status, 504);
    gate.open();
    assert_eq!(waits.whole().await.status, 200);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_second_choice_that_is_cut_makes_the_answer_truncated() {
    let upstream = Upstream::start(|_| {
        let finish =
            b"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
        vec![sse_head(), openai_token("a"), Step::Chunk(finish.to_vec()), Step::EndOfBody]
    })
    .await;
    let gateway = TestGateway::before(&upstream).await;
    let mut body = openai("hi", true);
    let one = gateway.client.post("/v1/chat/completions", &body).await;
    assert_eq!(one.events().last().unwrap().data, "[DONE]");
    body["n"] = json!(2);
    let two = gateway.client.post("/v1/chat/completions", &body).await;
    assert_eq!(two.events().last().unwrap().json()["error"]["code"], "TRUNCATED");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_ollama_upstream_is_translated() {
    let upstream = Upstream::start(|_| ollama_answer(&TOKENS)).await;
    let gateway = TestGateway::start(&ollama_model(&upstream, "")).await;
    let body = with_usage(openai("hi", true));
    let answer = gateway.client.post("/v1/chat/completions", &body).await;
    assert_eq!(answer.openai_text(), TOKENS.concat());
    let events = answer.events();
    assert_eq!(events.last().unwrap().data, "[DONE]");
    let first = events[0].json();
    assert_eq!(first["object"], "chat.completion.chunk");
    assert_eq!(
        (&first["model"], &first["choices"][0]["delta"]["role"]),
        (&json!("test"), &json!("assistant"))
    );
    let finishes: Vec<_> = events
        .iter()
        .filter(|event| event.data != "[DONE]")
        .map(|event| event.json()["choices"][0]["finish_reason"].clone())
        .filter(|reason| !reason.is_null())
        .collect();
    assert_eq!(finishes, ["stop"]);
    let usage = json!({"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10});
    assert_eq!(usage_frames(&answer), std::slice::from_ref(&usage));

    let answer = gateway.client.post("/v1/chat/completions", &openai("hi", false)).await.json();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["choices"][0]["message"]["content"], TOKENS.concat());
    assert_eq!(
        (&answer["choices"][0]["finish_reason"], &answer["usage"]),
        (&json!("stop"), &usage)
    );
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_idle_stream_is_kept_alive_without_harming_strict_parsers() {
    let gate = crate::upstream::Gate::new();
    let upstream = {
        let gate = gate.clone();
        Upstream::start(move |_| {
            let mut steps = vec![Step::Gate(gate.clone()), sse_head(), openai_token("late")];
            steps.extend(openai_end(1, 1));
            steps
        })
        .await
    };
    let gateway = TestGateway::start_with_server(
        "heartbeat_seconds = 0.1",
        &crate::gateway::openai_model(&upstream, ""),
    )
    .await;
    let mut live = gateway.client.open("/v1/chat/completions", &openai("hi", true)).await;
    let body = live.read_until(": k\n: k\n").await;
    assert!(!body.contains("\n\n"), "a comment block of its own crashes openai-python: {body:?}");
    gate.open();
    let answer = live.whole().await;
    assert_eq!(answer.openai_text(), "late");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn models_and_errors_have_openais_shape() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let list = gateway.client.get("/v1/models").await.json();
    assert_eq!(list["object"], "list");
    assert_eq!(
        (&list["data"][0]["id"], &list["data"][0]["object"]),
        (&json!("test"), &json!("model"))
    );

    let mut body = openai("hi", true);
    body["model"] = json!("gpt-none");
    let unknown = gateway.client.post("/v1/chat/completions", &body).await;
    assert_eq!(unknown.status, 404);
    let error = unknown.json()["error"].clone();
    assert_eq!(error["code"], "model_not_found");
    assert!(error["message"].as_str().unwrap().contains("test"), "lists what there is: {error}");
    assert!(error["type"].is_string());
    let nowhere = gateway.client.get("/v1/nowhere").await;
    assert_eq!(
        (nowhere.status, nowhere.json()["error"]["code"].clone()),
        (404, json!("NOT_FOUND"))
    );
    assert!(upstream.chats().is_empty());
    gateway.inner.shutdown().await;
}
