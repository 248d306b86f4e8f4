//! Every bad input gives a clear 4xx and changes nothing.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::client::native;
use crate::gateway::{TestGateway, openai_model};
use crate::upstream::{Upstream, openai_answer};

fn messages(content: &str) -> Value {
    json!([{"role": "user", "content": content}])
}

#[actix_web::test]
async fn native_requests_that_break_a_rule() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let long = "x".repeat(10_001);
    let cases = [
        (json!({}), "messages"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": "hi"}), "messages"),
        (json!({"messages": [{"role": "robot", "content": "hi"}]}), "messages[0].role"),
        (json!({"messages": [{"role": "user"}]}), "messages[0].content"),
        (json!({"messages": messages("")}), "messages[0].content"),
        (json!({"messages": messages(&long)}), "messages[0].content"),
        (json!({"messages": messages("hi"), "temperature": 3}), "temperature"),
        (json!({"messages": messages("hi"), "temperature": "hot"}), "temperature"),
        (json!({"messages": messages("hi"), "maxTokens": 0}), "maxTokens"),
        (json!({"messages": messages("hi"), "maxTokens": 4097}), "maxTokens"),
        (json!({"messages": messages("hi"), "stream": "yes"}), "stream"),
        (json!({"messages": messages("hi"), "max_tokens": 5}), "max_tokens"),
    ];
    for (body, field) in cases {
        let answer = gateway.client.post("/api/chat", &body).await;
        assert_eq!(answer.status, 400, "{body}");
        let told = answer.json();
        assert_eq!(told["error"], "INVALID_REQUEST");
        let details = told["details"].as_array().unwrap();
        assert!(details.iter().any(|fault| fault["field"] == field), "{field} in {told}");
    }
    let two = json!({"messages": [{"role": "x", "content": ""}], "temperature": 9});
    let answer = gateway.client.post("/api/chat", &two).await.json();
    assert_eq!(answer["details"].as_array().unwrap().len(), 3, "every fault at once: {answer}");
    unchanged(&gateway, &upstream).await;
    gateway.inner.shutdown().await;
}

async fn unchanged(gateway: &TestGateway, upstream: &Upstream) {
    gateway.wait_until_idle().await;
    assert!(upstream.chats().is_empty());
    for outcome in tidegate_protocol::Outcome::ALL {
        assert_eq!(gateway.outcomes(outcome.as_str()).await, 0);
    }
}

#[actix_web::test]
async fn openai_requests_that_break_a_rule() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let gateway = TestGateway::before(&upstream).await;
    for body in [
        json!({}),
        json!({"model": "test"}),
        json!({"model": "test", "messages": []}),
        json!({"model": "test", "messages": [{"role": "robot", "content": "x"}]}),
        json!({"model": "test", "messages": messages("x"), "temperature": 3}),
        json!({"model": "test", "messages": messages("x"), "stream": 1}),
        json!({"model": 7, "messages": messages("x")}),
    ] {
        let answer = gateway.client.post("/v1/chat/completions", &body).await;
        assert_eq!(answer.status, 400, "{body}");
        let error = answer.json()["error"].clone();
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!("invalid_request_error"), &json!("INVALID_REQUEST"))
        );
    }
    unchanged(&gateway, &upstream).await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn requests_that_are_not_even_json() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let gateway =
        TestGateway::start_with_server("body_limit_bytes = 2000", &openai_model(&upstream, ""))
            .await;
    let client = &gateway.client;
    let post = |body: String| async move {
        let live = client.send("POST", "/api/chat", Some(&body)).await;
        live.whole().await
    };
    let nested = format!("{{\"messages\":{}{}}}", "[".repeat(900), "]".repeat(900));
    for body in ["{", "", "[]", "null", "{\"messages\":[{\"role\":", &nested] {
        let answer = post(body.to_owned()).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (400, &json!("INVALID_REQUEST")),
            "{body}"
        );
    }
    let answer = post(native(&"x".repeat(3000)).to_string()).await;
    assert_eq!((answer.status, &answer.json()["error"]), (413, &json!("PAYLOAD_TOO_LARGE")));

    let wrong_type = client.with_header("Content-Type", "text/plain");
    let answer = wrong_type.post("/api/chat", &native("hi")).await;
    assert_eq!((answer.status, &answer.json()["error"]), (415, &json!("UNSUPPORTED_MEDIA_TYPE")));
    let wrong_method = client.get("/api/chat").await;
    assert_eq!((wrong_method.status, wrong_method.header("allow")), (405, Some("POST")));
    assert_eq!(client.get("/api/nowhere").await.json()["error"], "NOT_FOUND");

    let mut unknown = native("hi");
    unknown["model"] = json!("none");
    let answer = client.post("/api/chat", &unknown).await;
    assert_eq!((answer.status, &answer.json()["error"]), (404, &json!("MODEL_NOT_FOUND")));
    assert!(answer.json()["message"].as_str().unwrap().contains("test"));
    unchanged(&gateway, &upstream).await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_chunked_body_cannot_pass_the_limit() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let gateway =
        TestGateway::start_with_server("body_limit_bytes = 2000", &openai_model(&upstream, ""))
            .await;
    let chunk = format!("{:x}\r\n{}\r\n", 1500, "x".repeat(1500));
    let request = format!(
        "POST /api/chat HTTP/1.1\r\nHost: g\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n"
    );
    let answer = gateway.client.send_raw(request.as_bytes()).await.whole().await;
    assert_eq!(answer.status, 413);
    unchanged(&gateway, &upstream).await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let gateway =
        TestGateway::start_with_server("body_timeout_seconds = 0.2", &openai_model(&upstream, ""))
            .await;
    let head = "POST /api/chat HTTP/1.1\r\nHost: g\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{";
    let mut live = gateway.client.send_raw(head.as_bytes()).await;
    live.read_head().await;
    assert_eq!(live.status(), 408);
    let _ = live.socket.shutdown().await;
    unchanged(&gateway, &upstream).await;
    gateway.inner.shutdown().await;
}
