//! Anthropic's dialect, from request to last event. Counting tokens has a file of its own.

use serde_json::{Value, json};

use crate::client::{Response, anthropic};
use crate::gateway::{TestGateway, ollama_model, openai_model};
use crate::upstream::{
    Gate, Step, Upstream, ndjson_head, ollama_answer, openai_answer, openai_end, openai_token,
    refusal, sse_head,
};

const TOKENS: [&str; 3] = ["a", " b", "\n\nc ü"];
const PATH: &str = "/v1/messages";

/// The names of a stream's events; a run of deltas counts once.
fn names(answer: &Response) -> Vec<String> {
    let mut names: Vec<_> = answer.events().into_iter().filter_map(|event| event.name).collect();
    names.dedup();
    names
}

fn text(answer: &Response) -> String {
    let events = answer.events();
    let deltas = events.iter().filter(|event| event.name.as_deref() == Some("content_block_delta"));
    deltas.map(|event| event.json()["delta"]["text"].as_str().unwrap_or("").to_owned()).collect()
}

fn frame(choice: &Value) -> Step {
    Step::Chunk(format!("data: {}\n\n", json!({"choices": [choice]})).into_bytes())
}

#[actix_web::test]
async fn a_stream_from_every_kind_of_upstream() {
    for wire in ["openai", "ollama"] {
        let upstream = Upstream::start(move |_| match wire {
            "openai" => openai_answer(&TOKENS),
            _ => ollama_answer(&TOKENS),
        })
        .await;
        let config = match wire {
            "openai" => openai_model(&upstream, ""),
            _ => ollama_model(&upstream, ""),
        };
        let gateway = TestGateway::start(&config).await;
        let client = gateway.client.with_header("anthropic-version", "2023-06-01");
        let client = client.with_header("anthropic-beta", "nobody-knows-2026-01-01");
        let mut body = anthropic("hi", true);
        body["system"] = json!("Be brief.");
        body["metadata"] = json!({"odd": 1});
        let answer = client.post(PATH, &body).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("text/event-stream"));
        assert_eq!(answer.header("x-ignored-fields"), Some("metadata.odd"));
        assert_eq!(answer.header("request-id"), answer.header("x-request-id"));
        assert_eq!(text(&answer), TOKENS.concat());
        let expected = [
            "message_start",
            "ping",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ];
        assert_eq!(names(&answer), expected);
        let events = answer.events();
        let message = &events[0].json()["message"];
        assert_eq!((&message["model"], &message["role"]), (&json!("test"), &json!("assistant")));
        let end = events[events.len() - 2].json();
        assert_eq!(end["delta"], json!({"stop_reason": "end_turn", "stop_sequence": null}));
        assert_eq!(end["usage"], json!({"input_tokens": 7, "output_tokens": 3}));
        let messages = upstream.chats()[0].json()["messages"].clone();
        let expected = json!([
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"},
        ]);
        assert_eq!(messages, expected);
        gateway.wait_until_idle().await;
        assert_eq!(gateway.outcomes("completed").await, 1);
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn an_answer_in_one_piece() {
    let upstream = Upstream::start(|_| openai_answer(&TOKENS)).await;
    let gateway = TestGateway::before(&upstream).await;
    let answer = gateway.client.post(PATH, &anthropic("hi", false)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("request-id"), answer.header("x-request-id"));
    let mut body = answer.json();
    let id = body["id"].take();
    assert_eq!(id, format!("msg_{}", answer.header("request-id").unwrap()));
    let expected = json!({
        "id": null, "type": "message", "role": "assistant", "model": "test",
        "content": [{"type": "text", "text": TOKENS.concat()}],
        "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 7, "output_tokens": 3},
    });
    assert_eq!(body, expected);
    assert_eq!(upstream.chats()[0].json()["stream"], true, "so that it can be watched");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn tools_go_there_and_back() {
    let upstream = Upstream::start(|_| {
        let piece = |call: Value| {
            frame(&json!({"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": null}))
        };
        let mut steps = vec![sse_head()];
        steps.push(piece(
            json!({"index": 0, "id": "call_1", "function": {"name": "weather", "arguments": ""}}),
        ));
        steps.push(piece(json!({"index": 0, "function": {"arguments": "{\"city\":"}})));
        steps.push(piece(json!({"index": 0, "function": {"arguments": "\"Köln\"}"}})));
        steps.push(frame(&json!({"index": 0, "delta": {}, "finish_reason": "tool_calls"})));
        steps.extend([Step::Chunk(b"data: [DONE]\n\n".to_vec()), Step::EndOfBody]);
        steps
    })
    .await;
    let gateway = TestGateway::before(&upstream).await;
    let mut body = anthropic("hi", false);
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    body["tools"] = json!([{"name": "weather", "input_schema": schema}]);
    body["tool_choice"] = json!({"type": "any", "disable_parallel_tool_use": true});
    let answer = gateway.client.post(PATH, &body).await.json();
    let call =
        json!({"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Köln"}});
    assert_eq!((&answer["content"], &answer["stop_reason"]), (&json!([call]), &json!("tool_use")));
    assert_eq!(answer["usage"], json!({"input_tokens": 0, "output_tokens": 0}), "nobody counted");

    body["stream"] = json!(true);
    body["messages"] = json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [
            {"type": "text", "text": "so?"},
            {"type": "tool_result", "tool_use_id": "call_1", "content": "rain"},
        ]},
    ]);
    let streamed = gateway.client.post(PATH, &body).await;
    let inputs: String = streamed
        .events()
        .iter()
        .filter_map(|event| event.json()["delta"]["partial_json"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(inputs, "{\"city\":\"Köln\"}");
    let asked = upstream.chats()[1].json();
    let function = json!({"name": "weather", "parameters": schema});
    assert_eq!(asked["tools"], json!([{"type": "function", "function": function}]));
    assert_eq!(
        (&asked["tool_choice"], &asked["parallel_tool_calls"]),
        (&json!("required"), &json!(false))
    );
    assert_eq!(
        asked["messages"].as_array().unwrap()[2..],
        [
            json!({"role": "tool", "tool_call_id": "call_1", "content": "rain"}),
            json!({"role": "user", "content": "so?"}),
        ]
    );
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn half_a_call_is_never_passed_as_whole() {
    for (finish, status) in [("tool_calls", 502), ("length", 200)] {
        let upstream = Upstream::start(move |_| {
            let call =
                json!({"index": 0, "id": "c", "function": {"name": "f", "arguments": "{\"a\":"}});
            let delta = json!({"tool_calls": [call]});
            vec![
                sse_head(),
                frame(&json!({"index": 0, "delta": delta, "finish_reason": finish})),
                Step::Chunk(b"data: [DONE]\n\n".to_vec()),
                Step::EndOfBody,
            ]
        })
        .await;
        let gateway = TestGateway::before(&upstream).await;
        let answer = gateway.client.post(PATH, &anthropic("hi", false)).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        let streamed = gateway.client.post(PATH, &anthropic("hi", true)).await;
        let last = streamed.events().last().unwrap().clone();
        if status == 200 {
            let answer = answer.json();
            assert_eq!(answer["content"], json!([]), "left out");
            assert_eq!(answer["stop_reason"], "max_tokens");
            assert_eq!(last.name.as_deref(), Some("message_stop"));
            assert!(streamed.text().contains("\"stop_reason\":\"max_tokens\""));
        } else {
            assert_eq!(answer.json()["error"]["code"], "UPSTREAM_PROTOCOL");
            assert_eq!(last.name.as_deref(), Some("error"));
            assert!(!streamed.text().contains("message_stop"));
        }
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn an_answer_without_its_end_ends_in_an_error() {
    let upstream = Upstream::start(|_| vec![sse_head(), openai_token("one"), Step::Close]).await;
    let gateway = TestGateway::before(&upstream).await;
    let answer = gateway.client.post(PATH, &anthropic("hi", true)).await;
    assert_eq!((answer.status, answer.proper_end), (200, true));
    let last = answer.events().last().unwrap().clone();
    assert_eq!((last.name.as_deref(), &last.json()["type"]), (Some("error"), &json!("error")));
    assert_eq!(last.json()["error"]["type"], "api_error");
    assert_eq!(last.json()["error"]["code"], "TRUNCATED");
    assert!(!answer.text().contains("message_stop") && !answer.text().contains("message_delta"));
    let whole = gateway.client.post(PATH, &anthropic("hi", false)).await;
    assert_eq!((whole.status, &whole.json()["error"]["code"]), (502, &json!("TRUNCATED")));
    assert_eq!(gateway.outcomes("truncated").await, 2);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_error_within_the_answer_is_told() {
    let upstream = Upstream::start(|_| {
        let error = br#"{"model":"test","error":"the runner died"}"#;
        vec![
            ndjson_head(),
            crate::upstream::ollama_token("one"),
            Step::Chunk([error.as_slice(), b"\n"].concat()),
            Step::EndOfBody,
        ]
    })
    .await;
    let gateway = TestGateway::start(&ollama_model(&upstream, "")).await;
    let answer = gateway.client.post(PATH, &anthropic("hi", true)).await;
    let last = answer.events().last().unwrap().json();
    assert_eq!(last["error"]["message"], "the runner died");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn refusals_have_anthropics_shape() {
    let body = r#"{"error":{"message":"says why"}}"#;
    for (upstream, status, kind) in [
        (400, 400, "invalid_request_error"),
        (401, 502, "api_error"),
        (429, 429, "rate_limit_error"),
        (500, 502, "api_error"),
        (503, 503, "overloaded_error"),
    ] {
        let upstream = Upstream::start(move |_| refusal(upstream, "", body)).await;
        let gateway = TestGateway::start(&openai_model(&upstream, "max_attempts = 1")).await;
        for stream in [true, false] {
            let answer = gateway.client.post(PATH, &anthropic("hi", stream)).await;
            assert_eq!(answer.status, status);
            let told = answer.json();
            assert_eq!((&told["type"], &told["error"]["type"]), (&json!("error"), &json!(kind)));
            assert!(told["error"]["message"].as_str().unwrap().contains("says why"), "{told}");
            assert_eq!(answer.header("x-should-retry"), Some("false"));
            assert_eq!(answer.header("request-id"), answer.header("x-request-id"));
        }
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn what_the_gateway_refuses_has_anthropics_shape() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let gateway =
        TestGateway::start_with_server("body_limit_bytes = 2000", &openai_model(&upstream, ""))
            .await;
    let mut unknown = anthropic("hi", true);
    unknown["model"] = json!("claude-none");
    let typed = gateway.client.with_header("Content-Type", "text/plain");
    for (answer, status, kind) in [
        (gateway.client.get("/v1/messages/batches").await, 404, "not_found_error"),
        (gateway.client.get(PATH).await, 405, "invalid_request_error"),
        (gateway.client.get("/v1/messages/count_tokens").await, 405, "invalid_request_error"),
        (gateway.client.post(PATH, &json!({})).await, 400, "invalid_request_error"),
        (gateway.client.post(PATH, &unknown).await, 404, "not_found_error"),
        (typed.post(PATH, &anthropic("hi", true)).await, 415, "invalid_request_error"),
        (
            gateway.client.post(PATH, &anthropic(&"x".repeat(2000), true)).await,
            413,
            "request_too_large",
        ),
    ] {
        assert_eq!(answer.status, status);
        let told = answer.json();
        assert_eq!((&told["type"], &told["error"]["type"]), (&json!("error"), &json!(kind)));
        assert!(answer.header("request-id").is_some(), "{told}");
    }
    let elsewhere = gateway.client.get("/v1/messagesx").await;
    assert_eq!(elsewhere.json()["type"], Value::Null, "OpenAI's shape");
    assert_eq!(elsewhere.header("request-id"), None);
    assert!(upstream.chats().is_empty());
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn the_key_is_asked_for_as_anthropics_clients_send_it() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let keys = "[[auth.keys]]\nname = \"alice\"\nkey = \"sk-alice-0123456789abcdef0123456789\"\n";
    let gateway = TestGateway::start(&format!("{}{keys}", openai_model(&upstream, ""))).await;
    for path in [PATH, "/v1/messages/count_tokens"] {
        let refused = gateway.client.post(path, &anthropic("hi", true)).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]["type"]),
            (401, &json!("authentication_error"))
        );
    }
    let alice = gateway.client.with_header("x-api-key", "sk-alice-0123456789abcdef0123456789");
    assert_eq!(text(&alice.post(PATH, &anthropic("hi", true)).await), "a");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_idle_stream_is_kept_alive_by_pings() {
    let gate = Gate::new();
    let upstream = {
        let gate = gate.clone();
        Upstream::start(move |_| {
            let mut steps = vec![Step::Gate(gate.clone()), sse_head(), openai_token("late")];
            steps.extend(openai_end(1, 1));
            steps
        })
        .await
    };
    let gateway =
        TestGateway::start_with_server("heartbeat_seconds = 0.1", &openai_model(&upstream, ""))
            .await;
    let mut live = gateway.client.open(PATH, &anthropic("hi", true)).await;
    let ping = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
    let body = live.read_until(&ping.repeat(2)).await;
    assert!(!body.contains("message_start"), "the message has not begun: {body}");
    gate.open();
    let answer = live.whole().await;
    assert_eq!(text(&answer), "late");
    assert_eq!(answer.text().matches("event: message_start").count(), 1);
    gateway.inner.shutdown().await;
}
