//! Counting tokens: the upstream's own count, or an error in Anthropic's shape.

use serde_json::{Value, json};

use crate::client::anthropic;
use crate::gateway::{TestGateway, ollama_model, openai_model};
use crate::upstream::{Seen, Step, Upstream, refusal, whole};

const PATH: &str = "/v1/messages/count_tokens";

fn answer(body: &str) -> Vec<Step> {
    vec![Step::Raw(whole(200, "application/json", body))]
}

/// A llama.cpp: the template puts the words between marks, a word is a token.
fn llama(seen: &Seen) -> Vec<Step> {
    match seen.path.as_str() {
        "/apply-template" => answer(r#"{"prompt":"<|user|> hi there <|assistant|>"}"#),
        "/tokenize" => {
            assert_eq!(
                seen.json(),
                json!({"content": "<|user|> hi there <|assistant|>", "add_special": true, "parse_special": true})
            );
            answer(r#"{"tokens":[1,31,32,2]}"#)
        }
        _ => refusal(404, "", "{}"),
    }
}

fn question() -> Value {
    let mut body = anthropic("hi there", false);
    body.as_object_mut().unwrap().remove("max_tokens");
    body["system"] =
        json!([{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]);
    body["tools"] = json!([{"name": "f", "input_schema": {"type": "object"}}]);
    body
}

fn refused(answer: &crate::client::Response, status: u16, kind: &str, word: &str) {
    let told = answer.json();
    assert_eq!((answer.status, &told["error"]["type"]), (status, &json!(kind)), "{told}");
    assert!(told["error"]["message"].as_str().unwrap().contains(word), "{told}");
}

#[actix_web::test]
async fn llama_cpp_counts_what_its_template_makes() {
    let upstream = Upstream::start(llama).await;
    let gateway = TestGateway::before(&upstream).await;
    let counted = gateway.client.post(PATH, &question()).await;
    assert_eq!((counted.status, counted.json()), (200, json!({"input_tokens": 4})));
    assert_eq!(counted.header("x-ignored-fields"), Some("cache_control"));
    assert_eq!(counted.header("request-id"), counted.header("x-request-id"));
    let asked = upstream.chats();
    let told = asked[0].json();
    assert_eq!(told["messages"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&told["model"], &told["tools"][0]["function"]["name"]),
        (&json!("test"), &json!("f"))
    );
    assert_eq!(asked.len(), 2);
    assert_eq!(gateway.outcomes("completed").await, 0, "no stream was opened");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn vllm_counts_messages() {
    let upstream = Upstream::start(|seen| match seen.path.as_str() {
        "/tokenize" => {
            answer(r#"{"count":2,"max_model_len":2048,"tokens":[259,278],"token_strs":null}"#)
        }
        _ => refusal(404, "", "{}"),
    })
    .await;
    let config = openai_model(&upstream, "").replace("\"openai\"", "\"vllm\"");
    let gateway = TestGateway::start(&config).await;
    let counted = gateway.client.post(PATH, &question()).await;
    assert_eq!((counted.status, counted.json()), (200, json!({"input_tokens": 2})));
    assert_eq!(upstream.chats()[0].json()["messages"][1]["content"], "hi there");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn the_builtin_model_counts_as_its_answers_report() {
    let gateway = TestGateway::start("[[models]]\nname = \"demo\"\nprovider = \"builtin\"").await;
    let mut body = anthropic("count to 3", false);
    body["model"] = json!("demo");
    body["system"] = json!("Be brief.");
    let counted = gateway.client.post(PATH, &body).await.json();
    let answered = gateway.client.post("/v1/messages", &body).await.json();
    assert_eq!(counted, json!({"input_tokens": 5}));
    assert_eq!(counted["input_tokens"], answered["usage"]["input_tokens"]);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn who_cannot_count_says_so() {
    let unknown = Upstream::start(|_| refusal(404, "", "{}")).await;
    let odd = Upstream::start(|_| answer(r#"{"error":"Unexpected endpoint or method"}"#)).await;
    for config in [openai_model(&unknown, ""), openai_model(&odd, ""), ollama_model(&unknown, "")] {
        let gateway = TestGateway::start(&config).await;
        let answer = gateway.client.post(PATH, &question()).await;
        refused(&answer, 400, "invalid_request_error", "cannot count");
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn nothing_is_guessed() {
    let upstream = Upstream::start(|seen| match seen.path.as_str() {
        "/apply-template" => answer(r#"{"prompt":"x"}"#),
        _ => answer(r#"{"ok":true}"#),
    })
    .await;
    let gateway = TestGateway::before(&upstream).await;
    refused(&gateway.client.post(PATH, &question()).await, 502, "api_error", "understood");

    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}});
    let mut body = question();
    body["messages"] = json!([{"role": "user", "content": [image]}]);
    let asked = upstream.chats().len();
    refused(&gateway.client.post(PATH, &body).await, 400, "invalid_request_error", "images");
    body = question();
    body["container"] = json!("c");
    refused(&gateway.client.post(PATH, &body).await, 400, "invalid_request_error", "container");
    body = question();
    body["model"] = json!("none");
    refused(&gateway.client.post(PATH, &body).await, 404, "not_found_error", "test");
    assert_eq!(upstream.chats().len(), asked, "nobody was asked for these");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_upstream_that_fails_is_told_and_one_that_is_silent_is_given_up() {
    let failing = Upstream::start(|_| refusal(500, "", r#"{"error":"out of memory"}"#)).await;
    let gateway = TestGateway::before(&failing).await;
    refused(&gateway.client.post(PATH, &question()).await, 502, "api_error", "out of memory");
    gateway.inner.shutdown().await;

    let silent = Upstream::start(|_| vec![Step::Silence]).await;
    let limits = "first_token_timeout_seconds = 0.05";
    let gateway = TestGateway::start(&openai_model(&silent, limits)).await;
    refused(&gateway.client.post(PATH, &question()).await, 504, "timeout_error", "count");
    silent.wait_for_aborts(1).await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_count_is_a_request_like_others() {
    let upstream = Upstream::start(llama).await;
    let limits = "[rate_limits]\nrequests_per_minute = 1\nburst = 1\n";
    let keys = "[[auth.keys]]\nname = \"alice\"\nkey = \"sk-alice-0123456789abcdef0123456789\"\n";
    let gateway =
        TestGateway::start(&format!("{}{keys}{limits}", openai_model(&upstream, ""))).await;
    let alice = gateway.client.with_header("x-api-key", "sk-alice-0123456789abcdef0123456789");
    assert_eq!(alice.post(PATH, &question()).await.status, 200);
    let limited = alice.post(PATH, &question()).await;
    refused(&limited, 429, "rate_limit_error", "");
    assert!(limited.header("retry-after").is_some());
    gateway.inner.shutdown().await;
}
