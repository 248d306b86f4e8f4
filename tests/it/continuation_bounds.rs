//! Where no other model goes on with an answer that broke off: the failure is told as it is, and
//! nothing is held or asked that must not be.

use serde_json::{Value, json};

use crate::client::{native, openai};
use crate::continuation::{
    before, dying, last_message, models, ollama_kind, ollama_spare, openai_kind, spare,
};
use crate::gateway::TestGateway;
use crate::upstream::{
    Gate, Step, Upstream, ollama_answer, openai_answer, openai_end, openai_token, refusal, sse_head,
};

/// The answer failed as it would have without any other model, and nobody was asked.
async fn is_told_as_it_is(test: Upstream, more: &str, body: &Value) {
    let spare = spare().await;
    let gateway = before(&test, &spare, more).await;
    let answer = gateway.client.post("/v1/chat/completions", body).await;
    let error = answer.events().pop().unwrap().json();
    assert_eq!(error["error"]["code"], "TRUNCATED", "{body} {}", answer.text());
    assert_eq!((test.chats().len(), spare.chats().len()), (1, 0), "{body}");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_answer_that_is_more_than_text_is_not_gone_on_with() {
    let frame = |delta: Value| {
        let frame = json!({ "id": "a", "choices": [{ "index": 0, "delta": delta }] });
        Step::Chunk(format!("data: {frame}\n\n").into_bytes())
    };
    let call = json!({ "tool_calls": [{ "index": 0, "id": "c", "function": { "name": "f" } }] });
    for delta in [
        call,
        json!({ "reasoning_content": "hm" }),
        json!({ "refusal": "I" }),
        json!({ "content": "x", "audio": { "data": "AA" } }),
    ] {
        let test = Upstream::start(move |_| {
            vec![sse_head(), openai_token("one"), frame(delta.clone()), Step::Close]
        })
        .await;
        is_told_as_it_is(test, "", &openai("hi", true)).await;
    }
    // Before its first word there is nothing to go on from.
    let test = Upstream::start(move |_| {
        vec![sse_head(), frame(json!({ "role": "assistant" })), Step::Close]
    })
    .await;
    is_told_as_it_is(test, "", &openai("hi", true)).await;
}

#[actix_web::test]
async fn an_answer_with_a_form_of_its_own_is_not_gone_on_with() {
    for more in [
        json!({ "n": 2 }),
        json!({ "logprobs": true }),
        json!({ "response_format": { "type": "json_object" } }),
        json!({ "guided_regex": "a+" }),
        json!({ "max_tokens": 2 }),
        json!({ "stop": " twofold" }),
        json!({ "messages": [{ "role": "user", "content": "a" }, { "role": "assistant", "content": "b" }] }),
    ] {
        let mut body = openai("hi", true);
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        is_told_as_it_is(dying().await, "", &body).await;
    }
    let long = "a".repeat(1025);
    let test = Upstream::start(move |_| vec![sse_head(), openai_token(&long), Step::Close]).await;
    is_told_as_it_is(test, "continue_max_bytes = 1024", &openai("hi", true)).await;
}

#[actix_web::test]
async fn what_is_no_death_is_told_as_it_is() {
    for (end, code) in [
        (&b"data: {\"choices\":[{\n\n"[..], "UPSTREAM_PROTOCOL"),
        (b"data: {\"error\":{\"message\":\"too long\",\"code\":400}}\n\n", "UPSTREAM_REJECTED"),
    ] {
        let test = Upstream::start(move |_| {
            vec![sse_head(), openai_token("one"), Step::Chunk(end.to_vec()), Step::Close]
        })
        .await;
        let spare = spare().await;
        let gateway = before(&test, &spare, "").await;
        let answer = gateway.client.post("/api/chat", &native("hi")).await;
        assert_eq!(answer.events().pop().unwrap().json()["code"], code);
        assert_eq!(spare.chats().len(), 0);
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn a_stall_is_a_death() {
    let test = Upstream::start(|_| vec![sse_head(), openai_token("one two"), Step::Silence]).await;
    let spare = spare().await;
    let gateway = before(&test, &spare, "idle_timeout_seconds = 0.2").await;
    let answer = gateway.client.post("/api/chat", &native("hi")).await;
    assert_eq!(answer.native_text(), "one two three four");
    test.wait_for_aborts(1).await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_answer_whose_time_is_over_is_not_gone_on_with() {
    let test = Upstream::start(|_| vec![sse_head(), openai_token("one two"), Step::Silence]).await;
    let spare = spare().await;
    let gateway = before(&test, &spare, "total_timeout_seconds = 0.3").await;
    let answer = gateway.client.post("/api/chat", &native("hi")).await;
    assert_eq!(answer.events().pop().unwrap().json()["code"], "UPSTREAM_TIMEOUT");
    let series = "ai_gateway_continuations_total{model=\"test\",result=\"failed\"}";
    gateway.wait_for_metric(series, "0").await;
    assert_eq!(spare.chats().len(), 0);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_model_that_does_not_go_on_leaves_the_first_failure() {
    let thinks = r#"data: {"choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}"#;
    let thinks = Step::Chunk(format!("{thinks}\n\n").into_bytes());
    for steps in [
        refusal(400, "", r#"{"error":{"message":"no prefill"}}"#),
        refusal(503, "Retry-After: 0\r\n", r#"{"error":{"message":"busy"}}"#),
        vec![Step::Close],
        vec![sse_head(), Step::Close],
        vec![sse_head(), thinks, Step::Close],
    ] {
        let test = dying().await;
        let spare = Upstream::start(move |_| steps.clone()).await;
        let gateway = before(&test, &spare, "").await;
        let answer = gateway.client.post("/api/chat", &native("hi")).await;
        assert_eq!(answer.native_text(), "one two");
        let events = answer.events();
        assert_eq!(events.last().unwrap().json()["code"], "TRUNCATED");
        assert!(events.iter().all(|event| event.name.as_deref() != Some("chat.continued")));
        assert_eq!((test.chats().len(), spare.chats().len()), (1, 1), "asked once");
        let series = "ai_gateway_continuations_total{model=\"test\",result=\"failed\"}";
        gateway.wait_for_metric(series, "1").await;
        gateway.wait_until_idle().await;
        gateway.wait_for_metric("ai_gateway_permits_in_use{model=\"spare\"}", "0").await;
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn several_models_go_on_one_after_another_up_to_the_bound() {
    let test = dying().await;
    let third = Upstream::start(|_| vec![sse_head(), openai_token(" three"), Step::Close]).await;
    let fourth = Upstream::start(|_| openai_answer(&[" four"])).await;
    for (most, text, asked) in [(2, "one two three four", 1), (1, "one two three", 0)] {
        let before = fourth.chats().len();
        let toml = format!(
            "[[models]]\nname = \"test\"\n{}\ncontinue_on = [\"b\", \"c\"]\nmax_continuations = {most}\n\
             [[models]]\nname = \"b\"\n{}\ncontinues = true\n\
             [[models]]\nname = \"c\"\n{}\ncontinues = true\n",
            openai_kind(&test),
            openai_kind(&third),
            openai_kind(&fourth)
        );
        let gateway = TestGateway::start(&toml).await;
        let answer = gateway.client.post("/api/chat", &native("hi")).await;
        assert_eq!(answer.native_text(), text);
        assert_eq!(fourth.chats().len() - before, asked);
        let last = answer.events().pop().unwrap();
        let ended = if most == 2 { "chat.completion.done" } else { "error" };
        assert_eq!(last.name.as_deref(), Some(ended));
        gateway.inner.shutdown().await;
    }
    assert_eq!(last_message(&fourth.chats()[0])["content"], "one two three");
}

#[actix_web::test]
async fn going_on_takes_a_permit_of_the_other_model() {
    let (test, gate) = (dying().await, Gate::new());
    let at_gate = gate.clone();
    let spare = Upstream::start(move |seen| {
        if seen.json()["messages"].as_array().unwrap().len() > 1 {
            return openai_answer(&[" three", " four"]);
        }
        let mut steps = vec![sse_head(), openai_token("own"), Step::Gate(at_gate.clone())];
        steps.extend(openai_end(1, 1));
        steps
    })
    .await;
    let toml = models(&openai_kind(&test), &openai_kind(&spare), "") + "max_concurrency = 1\n";
    let gateway = TestGateway::start(&toml).await;
    let mut own = native("hi");
    own["model"] = json!("spare");
    let mut busy = gateway.client.open("/api/chat", &own).await;
    busy.read_until("own").await;
    let mut waits = gateway.client.open("/api/chat", &native("hi")).await;
    waits.read_until(" two").await;
    gateway.wait_for_metric("ai_gateway_queued_requests{model=\"spare\"}", "1").await;
    // The permit of the model that died is free while the other's is waited for.
    gateway.wait_for_metric("ai_gateway_permits_in_use{model=\"test\"}", "0").await;
    gate.open();
    assert_eq!(waits.whole().await.native_text(), "one two three four");
    busy.whole().await;
    assert_eq!(spare.most_running(), 1);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn no_turn_in_what_is_left_of_the_queues_time_leaves_the_failure() {
    let test = dying().await;
    let spare = Upstream::start(|_| vec![sse_head(), openai_token("own"), Step::Silence]).await;
    let toml = models(&openai_kind(&test), &openai_kind(&spare), "queue_timeout_seconds = 0.3")
        + "max_concurrency = 1\n";
    let gateway = TestGateway::start(&toml).await;
    let mut own = native("hi");
    own["model"] = json!("spare");
    let mut busy = gateway.client.open("/api/chat", &own).await;
    busy.read_until("own").await;
    let answer = gateway.client.post("/api/chat", &native("hi")).await;
    assert_eq!(answer.events().pop().unwrap().json()["code"], "TRUNCATED");
    assert_eq!(spare.chats().len(), 1);
    gateway.wait_for_metric("ai_gateway_queued_requests{model=\"spare\"}", "0").await;
    drop(busy);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_client_that_leaves_ends_the_second_leg_too() {
    let test = dying().await;
    let spare = Upstream::start(|_| vec![sse_head(), openai_token(" three"), Step::Silence]).await;
    let gateway = before(&test, &spare, "").await;
    let mut live = gateway.client.open("/api/chat", &native("hi")).await;
    live.read_until(" three").await;
    let list = gateway.client.get("/api/chat/streams").await.json();
    assert_eq!(list["streams"][0]["continuations"], 1, "{list}");
    assert_eq!(list["streams"][0]["attempts"], 2, "{list}");
    drop(live);
    spare.wait_for_aborts(1).await;
    gateway.wait_until_idle().await;
    gateway.wait_for_metric("ai_gateway_permits_in_use{model=\"spare\"}", "0").await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_ollama_whose_template_closes_the_message_is_not_asked_to_go_on() {
    let test = dying().await;
    let spare = ollama_spare("{{ range .Messages }}{{ .Content }}<|im_end|>{{ end }}").await;
    let gateway = TestGateway::start(&models(&openai_kind(&test), &ollama_kind(&spare), "")).await;
    let answer = gateway.client.post("/api/chat", &native("hi")).await;
    assert_eq!(answer.events().pop().unwrap().json()["code"], "TRUNCATED");
    let paths: Vec<_> = spare.chats().into_iter().map(|chat| chat.path).collect();
    assert_eq!(paths, ["/api/show"]);
    gateway.inner.shutdown().await;
}

/// A client of another dialect was told which fields are lost; a model that loses more is not asked.
#[actix_web::test]
async fn no_field_is_lost_on_the_way_that_was_not_lost_before() {
    let test = dying().await;
    let spare = Upstream::start(|_| ollama_answer(&[" three"])).await;
    let toml = models(&openai_kind(&test), &ollama_kind(&spare), "");
    let gateway = TestGateway::start(&toml).await;
    let mut body = openai("hi", true);
    body["user"] = json!("me");
    let answer = gateway.client.post("/v1/chat/completions", &body).await;
    assert_eq!(answer.events().pop().unwrap().json()["error"]["code"], "TRUNCATED");
    assert_eq!(spare.chats().len(), 0);
    gateway.inner.shutdown().await;
}
