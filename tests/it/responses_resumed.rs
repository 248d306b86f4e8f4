//! Responses that are taken up again, and those that nobody waits for.

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::client::Client;
use crate::gateway::TestGateway;
use crate::responses::{ask, events, last, text};
use crate::upstream::{Gate, PATIENCE, Upstream, openai_answer, refusal};

fn path(response: &Value) -> String {
    format!("/v1/responses/{}", response["id"].as_str().expect("an id"))
}

async fn wait_for_end(client: &Client, path: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let response = client.get(path).await.json();
        if response["status"] != "in_progress" {
            return response;
        }
        assert!(Instant::now() < deadline, "never ended: {response}");
        tokio::task::yield_now().await;
    }
}

fn in_background(stream: bool) -> Value {
    let mut body = ask(&json!("hi"), stream);
    body["background"] = json!(true);
    body
}

#[actix_web::test]
async fn the_events_behind_any_sequence_number_are_the_same_bytes() {
    let upstream = Upstream::start(|_| openai_answer(&["a", "b", "c"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let client = &gateway.client;
    let whole = client.post("/v1/responses", &ask(&json!("hi"), true)).await;
    let path = path(&last(&whole));
    let all: Vec<_> = whole.text().split_inclusive("\n\n").map(str::to_owned).collect();
    assert!(all.len() > 8, "{}", whole.text());
    for (number, event) in events(&whole).iter().enumerate() {
        assert_eq!(event.json()["sequence_number"], json!(number));
        let rest = client.get(&format!("{path}?stream=true&starting_after={number}")).await;
        let due = if number + 1 == all.len() { 204 } else { 200 };
        assert_eq!((rest.status, rest.text()), (due, all[number + 1..].concat()), "{number}");
    }
    assert_eq!(client.get(&format!("{path}?stream=true")).await.text(), whole.text());
    for place in ["99", "-1", "x"] {
        let answer = client.get(&format!("{path}?stream=true&starting_after={place}")).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json()["error"]["param"], "starting_after");
    }
    let unstreamed = client.post("/v1/responses", &ask(&json!("hi"), false)).await.json();
    let answer = client.get(&format!("{}?stream=true", self::path(&unstreamed))).await;
    assert_eq!((answer.status, &answer.json()["error"]["param"]), (400, &json!("stream")));
    assert_eq!(client.delete(&path).await.status, 200);
    let id = path.trim_start_matches("/v1/responses/resp_");
    assert_eq!(client.get(&format!("/api/chat/{id}")).await.status, 404, "deleted is deleted");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_response_in_the_background_needs_nobody() {
    let gate = Gate::new();
    let upstream = Upstream::gated(&gate).await;
    let gateway = TestGateway::before(&upstream).await;
    let client = &gateway.client;
    let polled = client.post("/v1/responses", &in_background(false)).await.json();
    assert_eq!((&polled["status"], &polled["background"]), (&json!("in_progress"), &json!(true)));
    // This one's client leaves after a word.
    let mut live = client.open("/v1/responses", &in_background(true)).await;
    let begun = live.read_until("one").await;
    let streamed = live.id();
    drop(live);
    gate.open();
    let ended = wait_for_end(client, &path(&polled)).await;
    assert_eq!((text(&ended).as_str(), &ended["status"]), ("one two", &json!("completed")));
    assert_eq!(ended["background"], json!(true));
    let streamed = format!("/v1/responses/resp_{streamed}");
    assert_eq!(text(&wait_for_end(client, &streamed).await), "one two");
    let seen = begun.matches("\n\n").count() - 1;
    let rest = client.get(&format!("{streamed}?stream=true&starting_after={seen}")).await;
    assert!(rest.text().contains("response.completed"), "{}", rest.text());
    assert_eq!(upstream.aborted(), 0);

    let mut unkept = in_background(false);
    unkept["store"] = json!(false);
    let refused = client.post("/v1/responses", &unkept).await;
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("background")));
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn what_fails_in_the_background_is_told_when_it_is_asked_for() {
    let upstream = Upstream::start(|_| refusal(400, "", r#"{"error":{"message":"no"}}"#)).await;
    let gateway = TestGateway::before(&upstream).await;
    let polled = gateway.client.post("/v1/responses", &in_background(false)).await.json();
    let ended = wait_for_end(&gateway.client, &path(&polled)).await;
    assert_eq!(ended["status"], "failed");
    assert!(ended["error"]["message"].as_str().is_some_and(|it| it.contains("no")), "{ended}");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_response_in_the_background_can_be_cancelled() {
    let upstream = Upstream::gated(&Gate::new()).await;
    let gateway = TestGateway::before(&upstream).await;
    let client = &gateway.client;
    let polled = client.post("/v1/responses", &in_background(false)).await.json();
    upstream.wait_for_chats(1).await;
    let cancelled = client.post(&format!("{}/cancel", path(&polled)), &json!({})).await.json();
    assert_eq!(cancelled["status"], "cancelled");
    upstream.wait_for_aborts(1).await;
    assert_eq!(client.get(&path(&polled)).await.json()["status"], "cancelled");
    gateway.wait_until_idle().await;
    gateway.inner.shutdown().await;
}
