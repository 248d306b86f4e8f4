//! OpenAI's embeddings before each kind of upstream.

use serde_json::json;

use crate::gateway::{TestGateway, ollama_model, openai_model};
use crate::texts::{COMPLETIONS, EMBEDDINGS, json_answer, prompt, texts};
use crate::upstream::{Gate, Seen, Step, Upstream, whole};

fn embedding_model(upstream: &Upstream) -> String {
    ollama_model(upstream, "type = \"embedding\"")
}

#[actix_web::test]
async fn embeddings_are_relayed_byte_for_byte() {
    let body = json!({"object": "list", "odd": 1, "data": [{"index": 0, "embedding": "zczMPQ=="}],
                      "usage": {"prompt_tokens": 4, "total_tokens": 4}});
    let answer = json_answer(&body);
    let upstream = Upstream::start(move |_| answer.clone()).await;
    let gateway = TestGateway::start(&openai_model(&upstream, "type = \"embedding\"")).await;
    let asked = json!({"input": [[1, 2]], "encoding_format": "base64", "new": 1});
    let answer = gateway.client.post(EMBEDDINGS, &asked).await;
    assert_eq!((answer.status, answer.text()), (200, body.to_string()));
    let seen = &upstream.chats()[0];
    assert_eq!(seen.path, "/v1/embeddings");
    let mut expected = asked;
    expected["model"] = json!("test");
    assert_eq!(seen.json(), expected);
    gateway.wait_for_metric("ai_gateway_prompt_tokens_total{model=\"test\"}", "4").await;
    assert_eq!(gateway.outcomes("completed").await, 1);
    gateway.inner.shutdown().await;
}

fn base64_floats(text: &str) -> Vec<f32> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.trim_end_matches('=').bytes();
    let values = digits.map(|digit| DIGITS.iter().position(|known| *known == digit).unwrap());
    let bits: Vec<_> =
        values.flat_map(|value| (0..6).rev().map(move |bit| value >> bit & 1)).collect();
    let bytes: Vec<u8> = bits
        .chunks_exact(8)
        .map(|eight| eight.iter().fold(0, |byte, bit| byte << 1 | u8::try_from(*bit).unwrap()))
        .collect();
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

#[actix_web::test]
async fn embeddings_of_ollama_are_the_same_as_numbers_and_as_base64() {
    let answer = json_answer(&json!({"model": "up", "prompt_eval_count": 4, "total_duration": 9,
        "embeddings": [[0.018_75, -0.5, 1e-7], [1.0, 2.5, -3.25]]}));
    let upstream = Upstream::start(move |_| answer.clone()).await;
    let gateway = TestGateway::start(&embedding_model(&upstream)).await;
    let floats = gateway.client.post(EMBEDDINGS, &texts("float")).await.json();
    let encoded = gateway.client.post(EMBEDDINGS, &texts("base64")).await.json();
    for index in 0..2 {
        let numbers: Vec<f32> =
            serde_json::from_value(floats["data"][index]["embedding"].clone()).unwrap();
        let text = encoded["data"][index]["embedding"].as_str().unwrap();
        assert_eq!(base64_floats(text), numbers);
        assert_eq!(floats["data"][index]["index"], index);
    }
    assert_eq!(floats["data"][0]["embedding"][0], json!(0.018_75));
    assert_eq!(floats["usage"], json!({"prompt_tokens": 4, "total_tokens": 4}));
    let seen = &upstream.chats()[0];
    assert_eq!(seen.path, "/api/embed");
    assert_eq!(seen.json(), json!({"model": "test", "input": ["a", "b"], "truncate": false}));
    gateway.wait_until_idle().await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn embeddings_that_are_cut_or_too_few_are_an_error() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"embeddings\":[[1],";
    let few = whole(200, "application/json", "{\"embeddings\":[[1]]}");
    let error = whole(200, "application/json", "{\"error\":\"no\"}");
    for (bytes, code) in
        [(half.into(), "TRUNCATED"), (few, "UPSTREAM_PROTOCOL"), (error, "UPSTREAM_ERROR")]
    {
        let bytes: Vec<u8> = bytes;
        let upstream = Upstream::start(move |_| vec![Step::Raw(bytes.clone()), Step::Close]).await;
        let gateway = TestGateway::start(&embedding_model(&upstream)).await;
        let answer = gateway.client.post(EMBEDDINGS, &texts("float")).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (502, &json!(code)));
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn an_answer_of_vectors_is_bounded() {
    let vectors = vec![vec![0.5; 1000]; 2];
    let answer = json_answer(&json!({"embeddings": vectors}));
    let upstream = Upstream::start(move |_| answer.clone()).await;
    let gateway =
        TestGateway::start_with_server("max_answer_bytes = 4096", &embedding_model(&upstream))
            .await;
    let answer = gateway.client.post(EMBEDDINGS, &texts("float")).await;
    assert_eq!(answer.json()["error"]["code"], "UPSTREAM_PROTOCOL");
    gateway.inner.shutdown().await;
}

/// Vectors come in one piece: there is no first token to be late.
#[actix_web::test]
async fn vectors_are_not_held_to_the_first_tokens_limit() {
    let gate = Gate::new();
    let script = {
        let gate = gate.clone();
        move |seen: &Seen| {
            let mut steps = vec![Step::Gate(gate.clone())];
            if seen.path == "/api/embed" {
                steps.extend(json_answer(&json!({"embeddings": [[1.0], [2.0]]})));
            }
            steps
        }
    };
    let upstream = Upstream::start(script).await;
    let limits = "first_token_timeout_seconds = 0.05\nidle_timeout_seconds = 0.05";
    let chat = ollama_model(&upstream, limits).replace("\"test\"", "\"chat\"");
    let vectors = ollama_model(&upstream, &format!("type = \"embedding\"\n{limits}"));
    let gateway = TestGateway::start(&format!("{vectors}{chat}")).await;
    let waits = gateway.client.send("POST", EMBEDDINGS, Some(&texts("float").to_string())).await;
    upstream.wait_for_chats(1).await;
    // A text that is asked for later is given up before the gate opens.
    let mut body = prompt(true);
    body["model"] = json!("chat");
    assert_eq!(gateway.client.post(COMPLETIONS, &body).await.status, 504);
    gate.open();
    assert_eq!(waits.whole().await.status, 200);
    gateway.inner.shutdown().await;
}
