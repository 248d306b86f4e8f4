//! OpenAI's Responses, from one end to the other: created, streamed, gone on from.

use serde_json::{Value, json};

use crate::client::{Response, SseEvent};
use crate::gateway::{TestGateway, ollama_model};
use crate::upstream::{
    Seen, Step, Upstream, ollama_answer, openai_answer, openai_end, openai_token, sse_head, whole,
};

const TOKENS: [&str; 3] = ["a", " b", "\n\nc ü"];

pub fn ask(input: &Value, stream: bool) -> Value {
    json!({"model": "test", "input": input, "stream": stream})
}

/// The events of a stream, held to what all streams keep to.
pub fn events(answer: &Response) -> Vec<SseEvent> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let events = answer.events();
    for (number, event) in events.iter().enumerate() {
        let data = event.json();
        assert_eq!(event.name.as_deref(), data["type"].as_str());
        if data["type"] != "error" || data["sequence_number"].is_u64() {
            assert_eq!(data["sequence_number"], number, "{data}");
        }
    }
    events
}

/// The response that ends a stream.
pub fn last(answer: &Response) -> Value {
    let events = events(answer);
    events.last().expect("an end").json()["response"].clone()
}

pub fn text(response: &Value) -> String {
    let output = response["output"].as_array().expect("a response");
    let parts = output.iter().filter_map(|item| item["content"][0]["text"].as_str());
    parts.collect()
}

fn tool_call(arguments: &str, first: bool) -> Step {
    let mut call = json!({"index": 0, "function": {"arguments": arguments}});
    if first {
        call["id"] = json!("call_1");
        call["function"]["name"] = json!("weather");
    }
    let chunk = json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]});
    Step::Chunk(format!("data: {chunk}\n\n").into_bytes())
}

/// Calls a tool when it is asked for the first time, and answers its result.
fn with_tool(seen: &Seen) -> Vec<Step> {
    if seen.json()["messages"].as_array().unwrap().last().unwrap()["role"] == "tool" {
        return openai_answer(&["sunny"]);
    }
    let mut steps = vec![sse_head(), tool_call("{\"city\":", true), tool_call("\"Paris\"}", false)];
    steps.extend(openai_end(1, 2));
    steps
}

#[actix_web::test]
async fn every_upstream_answers_streamed_and_whole() {
    let openai = Upstream::start(|seen| {
        if seen.json()["stream"] == true {
            return openai_answer(&TOKENS);
        }
        let message = json!({"role": "assistant", "content": TOKENS.concat()});
        let body = json!({
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
        });
        vec![Step::Raw(whole(200, "application/json", &body.to_string()))]
    })
    .await;
    let ollama = Upstream::start(|_| ollama_answer(&TOKENS)).await;
    for gateway in
        [TestGateway::before(&openai).await, TestGateway::start(&ollama_model(&ollama, "")).await]
    {
        let mut body = ask(&json!("hi"), true);
        body["metadata"] = json!({"k": "v"});
        let answer = gateway.client.post("/v1/responses", &body).await;
        let streamed = last(&answer);
        let id = format!("resp_{}", answer.header("x-request-id").unwrap());
        assert_eq!(streamed["id"], id);
        let whole = gateway.client.post("/v1/responses", &ask(&json!("hi"), false)).await.json();
        for response in [&streamed, &whole] {
            assert_eq!(text(response), TOKENS.concat());
            assert_eq!(
                (&response["status"], &response["model"]),
                (&json!("completed"), &json!("test"))
            );
            assert_eq!(response["usage"]["total_tokens"], 10);
        }
        assert_eq!((&streamed["metadata"], &whole["metadata"]), (&json!({"k": "v"}), &json!({})));
        gateway.inner.shutdown().await;
    }
    assert!(openai.chats().iter().all(|seen| seen.path == "/v1/chat/completions"));
}

#[actix_web::test]
async fn a_conversation_goes_on_from_a_response() {
    let upstream = Upstream::start(with_tool).await;
    let gateway = TestGateway::before(&upstream).await;
    let tools = json!([{"type": "function", "name": "weather", "parameters": {"type": "object"}}]);
    let mut body = ask(&json!("Weather?"), true);
    body["tools"] = tools.clone();
    body["instructions"] = json!("Be brief.");
    let first = last(&gateway.client.post("/v1/responses", &body).await);
    let call = &first["output"][0];
    assert_eq!(
        (&call["type"], &call["arguments"]),
        (&json!("function_call"), &json!("{\"city\":\"Paris\"}"))
    );

    let result =
        json!([{"type": "function_call_output", "call_id": call["call_id"], "output": "sun"}]);
    let mut body = ask(&result, true);
    body["previous_response_id"] = first["id"].clone();
    let second = last(&gateway.client.post("/v1/responses", &body).await);
    assert_eq!((text(&second).as_str(), &second["previous_response_id"]), ("sunny", &first["id"]));
    let sent = upstream.chats()[1].json();
    let roles: Vec<_> =
        sent["messages"].as_array().unwrap().iter().map(|message| &message["role"]).collect();
    assert_eq!(roles, ["user", "assistant", "tool"], "earlier instructions are not carried over");
    assert_eq!(
        sent["messages"][1]["tool_calls"][0]["function"]["arguments"],
        "{\"city\":\"Paris\"}"
    );
    assert_eq!(sent["messages"][2]["tool_call_id"], "call_1");

    // The first may go: the second has all of it.
    let path = format!("/v1/responses/{}", first["id"].as_str().unwrap());
    assert_eq!(gateway.client.delete(&path).await.status, 200);
    let mut body = ask(&json!("Thanks"), true);
    body["previous_response_id"] = second["id"].clone();
    last(&gateway.client.post("/v1/responses", &body).await);
    assert_eq!(upstream.chats()[2].json()["messages"].as_array().unwrap().len(), 5);

    body["previous_response_id"] = first["id"].clone();
    let gone = gateway.client.post("/v1/responses", &body).await;
    assert_eq!(
        (gone.status, gone.json()["error"]["param"].clone()),
        (400, json!("previous_response_id"))
    );
    assert_eq!(upstream.chats().len(), 3);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_answer_that_is_cut_is_an_error_and_nothing_goes_on_from_it() {
    let upstream = Upstream::start(|_| {
        vec![sse_head(), openai_token("half"), tool_call("{\"city\":", true), Step::EndOfBody]
    })
    .await;
    let gateway = TestGateway::before(&upstream).await;
    let answer = gateway.client.post("/v1/responses", &ask(&json!("hi"), true)).await;
    let events = events(&answer);
    let [.., error, failed] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(error.name.as_deref(), Some("error"));
    assert_eq!(error.json()["error"]["code"], "TRUNCATED");
    assert_eq!(failed.name.as_deref(), Some("response.failed"));
    let response = failed.json()["response"].clone();
    assert_eq!((&response["status"], text(&response).as_str()), (&json!("failed"), "half"));
    assert_eq!(response["output"].as_array().unwrap().len(), 1, "no half call: {response}");

    let path = format!("/v1/responses/{}", response["id"].as_str().unwrap());
    assert_eq!(gateway.client.get(&path).await.json(), response);
    let mut body = ask(&json!("go on"), true);
    body["previous_response_id"] = response["id"].clone();
    let refused = gateway.client.post("/v1/responses", &body).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("failed"), "{}", refused.text());

    let whole = gateway.client.post("/v1/responses", &ask(&json!("hi"), false)).await;
    assert_eq!(whole.status, 502);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn what_is_not_possible_is_refused_and_what_is_ignored_is_named() {
    let upstream = Upstream::start(|_| openai_answer(&TOKENS)).await;
    let gateway = TestGateway::before(&upstream).await;
    for (field, value) in
        [("background", json!("yes")), ("truncation", json!("auto")), ("conversation", json!("c"))]
    {
        let mut body = ask(&json!("hi"), true);
        body[field] = value;
        let refused = gateway.client.post("/v1/responses", &body).await;
        assert_eq!((refused.status, refused.json()["error"]["param"].clone()), (400, json!(field)));
    }
    let mut body = ask(&json!("hi"), true);
    body["service_tier"] = json!("auto");
    body["seed"] = json!(1);
    let answer = gateway.client.post("/v1/responses", &body).await;
    assert_eq!(answer.header("x-ignored-fields"), Some("seed, service_tier"));
    let wrong = gateway.client.get("/v1/responses").await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")));
    assert_eq!(upstream.chats().len(), 1);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_actor_that_dies_leaves_an_error_and_no_response() {
    let upstream = Upstream::start(|_| vec![sse_head(), openai_token("one"), Step::Silence]).await;
    let gateway = TestGateway::before(&upstream).await;
    let mut live = gateway.client.open("/v1/responses", &ask(&json!("hi"), true)).await;
    live.read_until("one").await;
    let id = live.id();
    assert!(gateway.inner.directory().panic_stream(id.parse().unwrap()).await);
    let answer = live.whole().await;
    let error = answer.events().pop().unwrap();
    assert_eq!(error.name.as_deref(), Some("error"));
    assert!(error.json()["error"]["message"].is_string());
    assert_eq!(gateway.client.get(&format!("/v1/responses/resp_{id}")).await.status, 404);
    gateway.inner.shutdown().await;
}
