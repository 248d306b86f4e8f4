//! What an upstream of another dialect cannot be told: refused before it is asked, or named.

use serde_json::json;

use crate::client::{anthropic, native, openai};
use crate::gateway::{TestGateway, ollama_model};
use crate::upstream::{Upstream, ollama_answer, openai_answer};

#[actix_web::test]
async fn what_is_left_out_is_named() {
    let upstream = Upstream::start(|_| ollama_answer(&["a"])).await;
    let gateway = TestGateway::start(&ollama_model(&upstream, "")).await;
    for stream in [true, false] {
        let mut body = openai("hi", stream);
        body["store"] = json!(true);
        body["messages"][0]["name"] = json!("ann");
        body["clé"] = json!(1);
        body["service_tier"] = json!(null);
        let answer = gateway.client.post("/v1/chat/completions", &body).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ignored-fields"), Some("messages[0].name, cl?, store"));
    }
    let plain = gateway.client.post("/v1/chat/completions", &openai("hi", true)).await;
    assert_eq!(plain.header("x-ignored-fields"), None, "nothing is left out, nothing is named");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn the_names_of_what_is_left_out_are_bounded() {
    let upstream = Upstream::start(|_| ollama_answer(&["a"])).await;
    let gateway = TestGateway::start(&ollama_model(&upstream, "")).await;
    let mut body = openai("hi", true);
    for index in 0..10_000 {
        body[format!("{index:060}")] = json!(1);
    }
    let answer = gateway.client.post("/v1/chat/completions", &body).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-ignored-fields").map(str::len), Some(1024));
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn what_would_change_the_answer_is_refused_before_the_upstream_is_asked() {
    let upstream = Upstream::start(|_| ollama_answer(&["a"])).await;
    let gateway = TestGateway::start(&ollama_model(&upstream, "")).await;
    let mut body = openai("hi", true);
    body["n"] = json!(2);
    body["logit_bias"] = json!({"1": 5});
    let answer = gateway.client.post("/v1/chat/completions", &body).await;
    assert_eq!(answer.status, 400);
    let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("n: ") && message.contains("logit_bias: "), "{message}");
    assert_eq!(upstream.chats().len(), 0);
    assert_eq!(gateway.outcomes("rejected").await, 0, "no stream was opened");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_refusal_names_the_clients_own_fields() {
    let upstream = Upstream::start(|_| ollama_answer(&["a"])).await;
    let gateway = TestGateway::start(&ollama_model(&upstream, "")).await;
    let mut messages = anthropic("hi", true);
    messages["tools"] = json!([{"name": "f", "input_schema": {"type": "object"}}]);
    messages["tool_choice"] = json!({"type": "auto", "disable_parallel_tool_use": true});
    let image = json!({"type": "input_image", "image_url": "https://host/cat.png"});
    let response = json!({"model": "test", "input": [{"role": "user", "content": [image]}]});
    for (path, body, field) in [
        ("/v1/messages", messages, "tool_choice.disable_parallel_tool_use: "),
        ("/v1/responses", response, "input[0].content[0].image_url: "),
    ] {
        let answer = gateway.client.post(path, &body).await;
        assert_eq!(answer.status, 400);
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(field), "{message}");
    }
    assert_eq!(upstream.chats().len(), 0);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_upstream_of_the_clients_dialect_is_told_everything() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let mut body = openai("hi", true);
    body["n"] = json!(1);
    body["logit_bias"] = json!({"1": 5});
    body["store"] = json!(true);
    let answer = gateway.client.post("/v1/chat/completions", &body).await;
    assert_eq!((answer.status, answer.header("x-ignored-fields")), (200, None));
    let told = upstream.chats()[0].json();
    assert_eq!((&told["logit_bias"], &told["store"]), (&json!({"1": 5}), &json!(true)));
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn the_builtin_model_names_what_it_passes_over() {
    let gateway = TestGateway::start("[[models]]\nname = \"demo\"\nprovider = \"builtin\"").await;
    let mut body = openai("count to 2", true);
    body["model"] = json!("demo");
    body["tools"] = json!([{"type": "function", "function": {"name": "f"}}]);
    body["n"] = json!(2);
    let answer = gateway.client.post("/v1/chat/completions", &body).await;
    assert_eq!((answer.status, answer.openai_text().as_str()), (200, "1 2 "));
    assert_eq!(answer.header("x-ignored-fields"), Some("n, tools"));
    // Every client reads its own names.
    let mut body = anthropic("count to 2", false);
    body["model"] = json!("demo");
    body["thinking"] = json!({"type": "enabled", "budget_tokens": 1024});
    body["output_config"] = json!({"format": {"type": "json_schema", "schema": {}}});
    let answer = gateway.client.post("/v1/messages", &body).await;
    assert_eq!(answer.header("x-ignored-fields"), Some("output_config.format, thinking"));
    let own = gateway.client.post("/api/chat", &native("count to 2")).await;
    assert_eq!((own.status, own.header("x-ignored-fields")), (200, None));
    gateway.inner.shutdown().await;
}
