//! Another model goes on with an answer whose upstream died: nothing is lost, nothing comes twice.

use serde_json::{Value, json};

use crate::client::{anthropic, native, native_whole, openai};
use crate::gateway::TestGateway;
use crate::upstream::{
    Seen, Step, TEMPLATE, Upstream, ndjson_head, ollama_answer, ollama_shown, ollama_token,
    openai_answer, openai_end, openai_token, sse_head,
};

/// An upstream that says `one two` and dies.
pub async fn dying() -> Upstream {
    Upstream::start(|_| vec![sse_head(), openai_token("one"), openai_token(" two"), Step::Close])
        .await
}

/// One that goes on with ` three four`.
pub async fn spare() -> Upstream {
    Upstream::start(|_| openai_answer(&[" three", " four"])).await
}

/// An Ollama that goes on with the same, if the template lets it.
pub async fn ollama_spare(template: &'static str) -> Upstream {
    Upstream::start(move |seen| match seen.path.as_str() {
        "/api/show" => ollama_shown(template),
        _ => ollama_answer(&[" three", " four"]),
    })
    .await
}

/// A gateway before `test` and `spare`, both of OpenAI's dialect.
pub async fn before(test: &Upstream, spare: &Upstream, more: &str) -> TestGateway {
    TestGateway::start(&models(&openai_kind(test), &openai_kind(spare), more)).await
}

pub fn openai_kind(upstream: &Upstream) -> String {
    format!("provider = \"openai\"\nbase_url = \"{}\"", upstream.openai_url())
}

pub fn ollama_kind(upstream: &Upstream) -> String {
    format!("provider = \"ollama\"\nbase_url = \"{}\"", upstream.ollama_url())
}

pub fn models(test: &str, spare: &str, more: &str) -> String {
    format!(
        "[[models]]\nname = \"test\"\n{test}\ncontinue_on = [\"spare\"]\n{more}\n\
         [[models]]\nname = \"spare\"\n{spare}\ncontinues = true\nupstream_model = \"up\"\n"
    )
}

pub fn last_message(seen: &Seen) -> Value {
    seen.json()["messages"].as_array().unwrap().last().unwrap().clone()
}

#[actix_web::test]
async fn a_native_client_gets_the_whole_text_and_is_told() {
    let (test, spare) = (dying().await, spare().await);
    let gateway = before(&test, &spare, "").await;
    let answer = gateway.client.post("/api/chat", &native("count")).await;
    assert_eq!(answer.native_text(), "one two three four");
    let events = answer.events();
    let names: Vec<_> = events.iter().map(|event| event.name.as_deref().unwrap()).collect();
    let chunk = "chat.completion.chunk";
    let due = [chunk, chunk, "chat.continued", chunk, chunk, "chat.completion.done"];
    assert_eq!(names, due);
    let joined = json!({
        "model": "test", "continuedBy": "spare", "code": "TRUNCATED", "evalCount": 2, "done": false,
    });
    assert_eq!(events[2].json(), joined);
    // The first upstream reported nothing, so the sum is not known; four pieces were counted.
    let done = events[5].json();
    assert_eq!((&done["usage"], &done["evalCount"]), (&Value::Null, &json!(4)), "{done}");
    assert_eq!(done["finishReason"], "stop");
    // Whoever comes later reads the same.
    let id = answer.header("x-request-id").unwrap();
    let again = gateway.client.get(&format!("/api/chat/{id}?after=0")).await;
    assert_eq!(again.text(), answer.text());
    gateway.wait_until_idle().await;
    gateway.wait_for_metric("ai_gateway_permits_in_use{model=\"spare\"}", "0").await;
    let series = "ai_gateway_continuations_total{model=\"test\",result=";
    gateway.wait_for_metric(&format!("{series}\"continued\"}}"), "1").await;
    gateway.wait_for_metric(&format!("{series}\"failed\"}}"), "0").await;
    let failures = "ai_gateway_upstream_failures_total{kind=\"TRUNCATED\",model=\"test\"}";
    gateway.wait_for_metric(failures, "1").await;
    assert_eq!(gateway.outcomes("completed").await, 1);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn the_other_model_is_sent_the_conversation_and_the_text_and_nothing_else() {
    let (test, spare) = (dying().await, spare().await);
    let gateway = before(&test, &spare, "").await;
    let mut body = openai("count", true);
    body["max_tokens"] = json!(10);
    body["temperature"] = json!(0.5);
    body["metadata"] = json!({ "a": "b" });
    gateway.client.post("/v1/chat/completions", &body).await;
    let mut due = test.chats()[0].json();
    due["model"] = json!("up");
    due["max_tokens"] = json!(8);
    let said = json!({ "role": "assistant", "content": "one two" });
    due["messages"].as_array_mut().unwrap().push(said);
    assert_eq!(spare.chats()[0].json(), due);
    let id = |upstream: &Upstream| upstream.chats()[0].header("x-request-id");
    assert_eq!(id(&test), id(&spare));
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_openai_client_sees_one_answer_of_one_id() {
    let (test, spare) = (dying().await, spare().await);
    let gateway = before(&test, &spare, "").await;
    let mut body = openai("count", true);
    body["stream_options"] = json!({ "include_usage": true });
    let answer = gateway.client.post("/v1/chat/completions", &body).await;
    assert_eq!(answer.openai_text(), "one two three four");
    let text = answer.text();
    assert_eq!(text.matches("\n: continued\ndata: {").count(), 1, "{text}");
    assert_eq!((text.matches("[DONE]").count(), text.matches("\"role\"").count()), (1, 0));
    let events = answer.events();
    for event in events.iter().filter(|event| event.data != "[DONE]") {
        let frame = event.json();
        let signature = json!([frame["id"], frame["model"], frame["created"]]);
        assert_eq!(signature, json!(["chatcmpl-up", "test", 1]), "{text}");
        assert_eq!(frame["usage"], Value::Null);
    }
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn every_dialect_is_told_the_whole_text() {
    for spare_speaks_ollama in [false, true] {
        let test = dying().await;
        let spare = if spare_speaks_ollama { ollama_spare(TEMPLATE).await } else { spare().await };
        let kind = if spare_speaks_ollama { ollama_kind(&spare) } else { openai_kind(&spare) };
        let gateway = TestGateway::start(&models(&openai_kind(&test), &kind, "")).await;
        let client = &gateway.client;
        let whole = "one two three four";
        let answer = client.post("/api/chat", &native_whole("hi")).await;
        assert_eq!(answer.json()["content"], whole);
        let answer = client.post("/v1/chat/completions", &openai("hi", true)).await;
        assert_eq!(answer.openai_text(), whole);
        let answer = client.post("/v1/messages", &anthropic("hi", false)).await;
        assert_eq!(answer.json()["content"][0]["text"], whole);
        let answer = client.post("/v1/messages", &anthropic("hi", true)).await.text();
        let deltas = answer.lines().filter_map(|line| line.strip_prefix("data: "));
        let deltas = deltas.map(|data| serde_json::from_str::<Value>(data).unwrap());
        let text: String =
            deltas.filter_map(|data| Some(data["delta"]["text"].as_str()?.to_owned())).collect();
        assert_eq!((text.as_str(), answer.matches("event: message_stop").count()), (whole, 1));
        assert_eq!(answer.matches(": continued\nevent: ").count(), 1, "{answer}");
        let body = json!({ "model": "test", "input": "hi", "stream": true, "store": false });
        let answer = client.post("/v1/responses", &body).await;
        let last = answer.events().pop().unwrap();
        assert_eq!(last.name.as_deref(), Some("response.completed"));
        assert_eq!(last.json()["response"]["output"][0]["content"][0]["text"], whole);
        assert_eq!(answer.text().matches("\n: continued\nevent: ").count(), 1);
        gateway.wait_until_idle().await;
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn an_ollamas_lines_go_on_in_its_name() {
    let test = Upstream::start(|_| {
        let error = b"{\"error\":\"an error was encountered: unexpected EOF\"}\n".to_vec();
        vec![ndjson_head(), ollama_token("one"), ollama_token(" two"), Step::Chunk(error)]
    })
    .await;
    let spare = ollama_spare(TEMPLATE).await;
    let toml = models(&ollama_kind(&test), &ollama_kind(&spare), "upstream_model = \"test\"");
    let gateway = TestGateway::start(&toml).await;
    let body = json!({
        "model": "test", "messages": [{ "role": "user", "content": "count" }],
        "options": { "num_predict": 9, "mirostat": 1 },
    });
    let answer = gateway.client.post("/ollama/api/chat", &body).await.text();
    let lines: Vec<Value> =
        answer.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let text: String =
        lines.iter().map(|line| line["message"]["content"].as_str().unwrap()).collect();
    assert_eq!(text, "one two three four");
    assert!(lines.iter().all(|line| line["model"] == "test"), "{answer}");
    let done: Vec<_> = lines.iter().map(|line| line["done"].as_bool().unwrap()).collect();
    assert_eq!(done, [false, false, false, false, true]);
    assert_eq!(lines[4]["eval_count"], Value::Null, "nobody counted the first part");
    let marks: Vec<_> = lines.iter().map(|line| line.get("continued_by")).collect();
    assert_eq!(marks, [None, None, Some(&json!("spare")), None, None]);
    let asked = spare.chats();
    let paths: Vec<_> = asked.iter().map(|chat| chat.path.as_str()).collect();
    assert_eq!(paths, ["/api/show", "/api/chat"]);
    assert_eq!(last_message(&asked[1])["content"], "one two");
    assert_eq!(asked[1].json()["options"], json!({ "num_predict": 7, "mirostat": 1 }));
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn usage_is_summed_where_both_upstreams_told_theirs() {
    // As vLLM does with `continuous_usage_stats`.
    let test = Upstream::start(|_| {
        let frame = json!({
            "id": "a", "object": "chat.completion.chunk", "created": 1, "model": "test",
            "choices": [{ "index": 0, "delta": { "content": "one" }, "finish_reason": null }],
            "usage": { "prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10 },
        });
        vec![sse_head(), Step::Chunk(format!("data: {frame}\n\n").into_bytes()), Step::Close]
    })
    .await;
    let spare = spare().await;
    let gateway = before(&test, &spare, "").await;
    let answer = gateway.client.post("/api/chat", &native("count")).await;
    let usage = &answer.events().pop().unwrap().json()["usage"];
    assert_eq!(*usage, json!({ "promptTokens": 7, "completionTokens": 5, "totalTokens": 12 }));
    let mut body = openai("count", true);
    body["max_tokens"] = json!(10);
    body["stream_options"] = json!({ "include_usage": true });
    let answer = gateway.client.post("/v1/chat/completions", &body).await;
    let usages: Vec<_> =
        answer.events().iter().rev().skip(1).map(|e| e.json()["usage"].clone()).collect();
    assert_eq!(usages[0]["total_tokens"], 12, "{}", answer.text());
    assert_eq!(spare.chats()[1].json()["max_tokens"], 7, "three are used up");
    gateway.inner.shutdown().await;

    // What the first told of its part is no report of the whole.
    let silent = Upstream::start(|_| {
        let end = openai_end(0, 0).into_iter();
        let steps = end.filter(|step| !matches!(step, Step::Chunk(bytes) if bytes.windows(7).any(|seven| seven == b"\"usage\"")));
        [sse_head(), openai_token(" two")].into_iter().chain(steps).collect()
    })
    .await;
    let gateway = before(&test, &silent, "").await;
    let answer = gateway.client.post("/api/chat", &native("count")).await;
    assert_eq!(answer.native_text(), "one two");
    let done = answer.events().pop().unwrap().json();
    assert_eq!((&done["usage"], &done["evalCount"]), (&Value::Null, &json!(2)), "{done}");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn vllm_is_told_to_go_on() {
    let (test, spare) = (dying().await, spare().await);
    let kind = openai_kind(&spare).replace("openai", "vllm");
    let gateway = TestGateway::start(&models(&openai_kind(&test), &kind, "")).await;
    for body in [native("count"), openai("count", true)] {
        let path = if body["model"].is_null() { "/api/chat" } else { "/v1/chat/completions" };
        gateway.client.post(path, &body).await;
    }
    for chat in spare.chats() {
        let chat = chat.json();
        assert_eq!(chat["continue_final_message"], true);
        assert_eq!(chat["add_generation_prompt"], false);
    }
    assert_eq!(spare.chats().len(), 2);
    // Asked for itself, it is not.
    let mut body = openai("count", true);
    body["model"] = json!("spare");
    gateway.client.post("/v1/chat/completions", &body).await;
    assert_eq!(spare.chats()[2].json()["continue_final_message"], Value::Null);
    gateway.inner.shutdown().await;
}
