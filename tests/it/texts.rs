//! OpenAI's completions before each kind of upstream, and the models that requests name.

use serde_json::{Value, json};

use crate::client::Response;
use crate::gateway::{TestGateway, ollama_model, openai_model};
use crate::upstream::{Gate, Seen, Step, Upstream, ndjson_head, sse_head, whole};

pub const COMPLETIONS: &str = "/v1/completions";
pub const EMBEDDINGS: &str = "/v1/embeddings";

pub fn prompt(stream: bool) -> Value {
    json!({"model": "test", "prompt": "Once", "stream": stream})
}

pub fn texts(format: &str) -> Value {
    json!({"model": "test", "input": ["a", "b"], "encoding_format": format})
}

/// A frame of a completion as OpenAI's wire carries it.
fn frame(index: u32, text: &str, finish: Option<&str>) -> Step {
    let data = json!({
        "id": "cmpl-up", "object": "text_completion", "created": 1, "model": "test",
        "choices": [{"index": index, "text": text, "logprobs": null, "finish_reason": finish}],
    });
    Step::Chunk(format!("data: {data}\n\n").into_bytes())
}

fn openai_end() -> Vec<Step> {
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}});
    let frames = format!("data: {usage}\n\ndata: [DONE]\n\n");
    vec![Step::Chunk(frames.into_bytes()), Step::EndOfBody]
}

fn openai_completion() -> Vec<Step> {
    let mut steps = vec![sse_head(), frame(0, "a", None), frame(0, " \"b\"", Some("length"))];
    steps.extend(openai_end());
    steps
}

/// A line of `/api/generate`.
fn line(value: &Value) -> Step {
    Step::Chunk(format!("{value}\n").into_bytes())
}

fn ollama_completion() -> Vec<Step> {
    vec![
        ndjson_head(),
        line(&json!({"response": "a", "done": false})),
        line(&json!({"response": " \"b\"", "done": false})),
        line(&json!({"response": "", "done": true, "done_reason": "length",
                     "prompt_eval_count": 7, "eval_count": 2})),
        Step::EndOfBody,
    ]
}

pub fn json_answer(value: &Value) -> Vec<Step> {
    vec![Step::Raw(whole(200, "application/json", &value.to_string()))]
}

fn text_of(answer: &Response) -> String {
    let frames = answer.events().into_iter().filter(|event| event.data != "[DONE]");
    frames
        .map(|frame| frame.json()["choices"][0]["text"].as_str().unwrap_or("").to_owned())
        .collect()
}

#[actix_web::test]
async fn a_completion_is_relayed_as_the_upstream_wrote_it() {
    let upstream = Upstream::start(|_| openai_completion()).await;
    let gateway = TestGateway::before(&upstream).await;
    let mut body = prompt(true);
    body["echo"] = json!(true);
    body["prompt"] = json!([1, 2]);
    let answer = gateway.client.post(COMPLETIONS, &body).await;
    assert_eq!((answer.status, text_of(&answer).as_str()), (200, "a \"b\""));
    assert_eq!(answer.events()[0].json()["id"], "cmpl-up");
    assert_eq!(answer.events().last().unwrap().data, "[DONE]");
    assert_eq!(answer.events().len(), 3, "usage only if asked for");
    let asked = &upstream.chats()[0];
    assert_eq!(asked.path, "/v1/completions");
    assert_eq!((&asked.json()["prompt"], &asked.json()["echo"]), (&json!([1, 2]), &json!(true)));
    gateway.wait_for_metric("ai_tokens_processed_total{model=\"test\"}", "2").await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_completion_is_translated_for_ollama() {
    let upstream = Upstream::start(|_| ollama_completion()).await;
    let gateway = TestGateway::start(&ollama_model(&upstream, "")).await;
    let mut body = prompt(true);
    body["stream_options"] = json!({"include_usage": true});
    body["user"] = json!("u");
    let answer = gateway.client.post(COMPLETIONS, &body).await;
    assert_eq!((answer.status, text_of(&answer).as_str()), (200, "a \"b\""));
    assert_eq!(answer.header("x-ignored-fields"), Some("user"));
    let [.., finish, usage, done] = answer.events().try_into().map(|all: [_; 5]| all).unwrap();
    assert_eq!(finish.json()["choices"][0]["finish_reason"], "length");
    assert_eq!(usage.json()["usage"]["total_tokens"], 9);
    assert_eq!(done.data, "[DONE]");
    let asked = &upstream.chats()[0];
    assert_eq!((asked.path.as_str(), &asked.json()["raw"]), ("/api/generate", &json!(true)));

    let answer = gateway.client.post(COMPLETIONS, &prompt(false)).await.json();
    assert_eq!(answer["object"], "text_completion");
    assert_eq!(answer["choices"][0]["text"], "a \"b\"");
    assert_eq!(
        answer["usage"],
        json!({"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9})
    );
    body["prompt"] = json!(["a", "b"]);
    let refused = gateway.client.post(COMPLETIONS, &body).await;
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("prompt")));
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn the_builtin_model_continues_a_text_and_makes_no_vectors() {
    let toml = "[[models]]\nname = \"test\"\nprovider = \"builtin\"\n";
    let gateway = TestGateway::start(toml).await;
    let mut body = prompt(false);
    body["prompt"] = json!("count to 3");
    let answer = gateway.client.post(COMPLETIONS, &body).await.json();
    assert_eq!(answer["choices"][0]["text"], "1 2 3 ");
    body["n"] = json!(2);
    assert_eq!(gateway.client.post(COMPLETIONS, &body).await.status, 400);
    gateway.inner.shutdown().await;
    let gateway = TestGateway::start(&format!("{toml}type = \"embedding\"\n")).await;
    assert_eq!(gateway.client.post(EMBEDDINGS, &texts("float")).await.status, 400);
    gateway.inner.shutdown().await;
}

/// Every way to stop short of the end: the client is told by an error frame, never by `[DONE]`.
#[actix_web::test]
async fn a_completion_that_is_cut_or_fails_ends_with_an_error() {
    let openai_error = b"data: {\"error\":{\"message\":\"out of memory\",\"code\":500}}\n\n";
    let cut = [sse_head(), frame(0, "a", None)];
    let lines = [ndjson_head(), line(&json!({"response": "a", "done": false}))];
    for (ollama, start, end, code) in [
        (false, cut.to_vec(), Step::EndOfBody, "TRUNCATED"),
        (false, cut.to_vec(), Step::Close, "TRUNCATED"),
        (false, cut.to_vec(), Step::Chunk(openai_error.to_vec()), "UPSTREAM_ERROR"),
        (true, lines.to_vec(), Step::EndOfBody, "TRUNCATED"),
        (true, lines.to_vec(), Step::Close, "TRUNCATED"),
        (true, lines.to_vec(), line(&json!({"error": "out of memory"})), "UPSTREAM_ERROR"),
    ] {
        let script = move |_: &Seen| {
            let mut steps = start.clone();
            steps.extend([end.clone(), Step::Close]);
            steps
        };
        let upstream = Upstream::start(script).await;
        let model = if ollama { ollama_model } else { openai_model };
        let gateway = TestGateway::start(&model(&upstream, "")).await;
        let answer = gateway.client.post(COMPLETIONS, &prompt(true)).await;
        assert_eq!((answer.status, text_of(&answer).as_str()), (200, "a"), "{code}");
        let last = answer.events().pop().unwrap();
        assert_eq!(last.json()["error"]["code"], code, "{}", answer.text());
        if ollama {
            let whole = gateway.client.post(COMPLETIONS, &prompt(false)).await;
            assert_eq!((whole.status, &whole.json()["error"]["code"]), (502, &json!(code)));
        }
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn a_completion_of_several_choices_is_whole_when_all_are() {
    for (last, whole) in [(Some("stop"), true), (None, false)] {
        let upstream = Upstream::start(move |_| {
            vec![sse_head(), frame(1, "b", Some("stop")), frame(0, "a", last), Step::EndOfBody]
        })
        .await;
        let gateway = TestGateway::before(&upstream).await;
        let mut body = prompt(true);
        body["n"] = json!(2);
        let answer = gateway.client.post(COMPLETIONS, &body).await;
        let last = answer.events().pop().unwrap();
        assert_eq!(last.data == "[DONE]", whole, "{}", answer.text());
        assert!(whole || last.json()["error"]["code"] == "TRUNCATED");
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn a_completion_is_listed_and_cancelled_like_a_chat() {
    let gate = Gate::new();
    let script = {
        let gate = gate.clone();
        move |_: &Seen| vec![sse_head(), frame(0, "a", None), Step::Gate(gate.clone())]
    };
    let upstream = Upstream::start(script).await;
    let gateway = TestGateway::before(&upstream).await;
    let mut live = gateway.client.open(COMPLETIONS, &prompt(true)).await;
    live.read_until("\"text\":\"a\"").await;
    let list = gateway.client.get("/api/chat/streams").await.json();
    assert_eq!(list["streams"][0]["dialect"], "openai");
    assert_eq!(gateway.client.delete(&format!("/api/chat/{}", live.id())).await.status, 200);
    let last = live.whole().await.events().pop().unwrap();
    assert_eq!(last.json()["error"]["code"], "CANCELLED");
    upstream.wait_for_aborts(1).await;
    gateway.wait_until_idle().await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_model_serves_what_its_type_can() {
    let upstream = Upstream::start(|_| ollama_completion()).await;
    let url = upstream.ollama_url();
    let model = |name: &str, kind: &str| {
        format!(
            "[[models]]\nname = \"{name}\"\nprovider = \"ollama\"\nbase_url = \"{url}\"\ntype = \"{kind}\"\n"
        )
    };
    let all = [("chat", "chat"), ("text", "completion"), ("v1", "embedding"), ("v2", "embedding")];
    let toml = all.map(|(name, kind)| model(name, kind)).concat();
    let gateway = TestGateway::start(&toml).await;
    let chat = |name: &str| json!({"model": name, "messages": [{"role": "user", "content": "hi"}]});
    let asked = |body: Value, name: &str| {
        let mut body = body;
        body["model"] = json!(name);
        body
    };
    for (path, body, offered) in [
        ("/v1/chat/completions", chat("text"), "chat there is: chat"),
        ("/v1/chat/completions", chat("v1"), "chat there is: chat"),
        (COMPLETIONS, asked(prompt(false), "v1"), "completion or chat there is: chat, text"),
        (EMBEDDINGS, asked(texts("float"), "chat"), "embedding there is: v1, v2"),
        (EMBEDDINGS, asked(texts("float"), "text"), "embedding there is: v1, v2"),
        (EMBEDDINGS, json!({"input": "a"}), "must be named; of type embedding there is: v1, v2"),
    ] {
        let answer = gateway.client.post(path, &body).await;
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, &error["param"]), (400, &json!("model")), "{body}");
        assert!(error["message"].as_str().unwrap().ends_with(offered), "{error}");
    }
    assert_eq!(upstream.chats().len(), 0);
    for name in ["chat", "text"] {
        let answer = gateway.client.post(COMPLETIONS, &asked(prompt(false), name)).await;
        assert_eq!(answer.status, 200, "{name}");
    }
    let active = gateway.client.post(COMPLETIONS, &json!({"prompt": "Once"})).await;
    assert_eq!(active.json()["model"], "chat");
    let unknown = gateway.client.post(EMBEDDINGS, &asked(texts("float"), "v3")).await;
    assert_eq!(
        (unknown.status, &unknown.json()["error"]["code"]),
        (404, &json!("model_not_found"))
    );
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn models_are_found_by_name_slashes_and_all() {
    let toml = "[[models]]\nname = \"org/name:8b\"\nprovider = \"builtin\"\n\
                [[models]]\nname = \"plain\"\nprovider = \"builtin\"\n";
    let gateway = TestGateway::start(toml).await;
    let list = gateway.client.get("/v1/models").await.json();
    assert!(list["data"][0]["created"].as_u64().unwrap() > 1_600_000_000);
    assert_eq!(list["data"][0]["owned_by"], "builtin");
    for path in ["org/name:8b", "org%2Fname:8b", "org%2fname%3A8b"] {
        let one = gateway.client.get(&format!("/v1/models/{path}")).await;
        assert_eq!((one.status, one.json()), (200, list["data"][0].clone()), "{path}");
    }
    assert_eq!(gateway.client.get("/v1/models/plain").await.json(), list["data"][1]);
    for path in ["none", "org", "org/name:8b/more", "%00", "..%2f..%2fetc"] {
        let none = gateway.client.get(&format!("/v1/models/{path}")).await;
        let error = none.json()["error"].clone();
        assert_eq!((none.status, &error["code"]), (404, &json!("model_not_found")), "{path}");
        assert!(none.header("x-request-id").is_some());
    }
    let label =
        "http_requests_total{method=\"GET\",path=\"/v1/models/{model}\",status_code=\"404\"}";
    gateway.wait_for_metric(label, "5").await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn what_is_left_of_an_allowance_is_told() {
    let upstream = Upstream::start(|_| openai_completion()).await;
    let limits = "[rate_limits]\nrequests_per_minute = 1\nburst = 3\n";
    let gateway = TestGateway::start(&format!("{}{limits}", openai_model(&upstream, ""))).await;
    let told = |answer: &Response, name: &str| {
        let value = answer.header(&format!("x-ratelimit-{name}-requests"));
        value.unwrap_or_default().to_owned()
    };
    let messages =
        json!({"model": "none", "max_tokens": 1, "messages": [{"role": "user", "content": "a"}]});
    for (path, body, status) in [
        (COMPLETIONS, prompt(true), 200),
        ("/v1/messages", messages, 404),
        (COMPLETIONS, json!({}), 400),
    ] {
        let answer = gateway.client.post(path, &body).await;
        assert_eq!(answer.status, status);
        if path == "/v1/messages" {
            assert_eq!(answer.header("anthropic-ratelimit-requests-remaining"), Some("1"));
            assert_eq!(told(&answer, "remaining"), "");
            continue;
        }
        assert_eq!(told(&answer, "limit"), "3");
        let left = if status == 200 { ("2", "1m0s") } else { ("0", "3m0s") };
        assert_eq!((told(&answer, "remaining").as_str(), told(&answer, "reset").as_str()), left);
    }
    let limited = gateway.client.post(EMBEDDINGS, &json!({})).await;
    assert_eq!((limited.status, told(&limited, "remaining").as_str()), (429, "0"));
    assert_eq!(limited.json()["error"]["code"], "rate_limit_exceeded");
    assert!(limited.header("x-request-id").is_some() && limited.header("retry-after").is_some());
    gateway.inner.shutdown().await;
}
