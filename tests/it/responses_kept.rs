//! What becomes of a response: retrieved, listed, deleted, cancelled; whose it is; its bounds.

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::client::Client;
use crate::gateway::{TestGateway, openai_model};
use crate::responses::{ask, events, last, text};
use crate::upstream::{
    Gate, PATIENCE, Step, Upstream, openai_answer, openai_end, openai_token, sse_head,
};

const ALICE: &str = "alice-0123456789-0123456789-0123456789";
const BOB: &str = "bob-0123456789-0123456789-0123456789-01";

fn path(response: &Value) -> String {
    format!("/v1/responses/{}", response["id"].as_str().expect("an id"))
}

async fn create(client: &Client, input: &str) -> Value {
    last(&client.post("/v1/responses", &ask(&json!(input), true)).await)
}

/// Waits until a response has ended.
async fn wait_for_end(client: &Client, path: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = client.get(path).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let response = answer.json();
        if response["status"] != "in_progress" {
            return response;
        }
        assert!(Instant::now() < deadline, "never ended: {response}");
        tokio::task::yield_now().await;
    }
}

#[actix_web::test]
async fn a_response_is_there_until_it_is_deleted() {
    let upstream = Upstream::start(|_| openai_answer(&["a", "b"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let client = &gateway.client;
    let response = create(client, "hi").await;
    let path = path(&response);
    let found = client.get(&path).await;
    assert_eq!((found.status, found.json()), (200, response.clone()));
    gateway.wait_for_metric("ai_gateway_stored_responses", "1").await;

    let mut body = ask(&json!("hi"), true);
    body["store"] = json!(false);
    let unkept = last(&client.post("/v1/responses", &body).await);
    assert_eq!((text(&unkept).as_str(), &unkept["store"]), ("ab", &json!(false)));

    let deleted = client.delete(&path).await.json();
    assert_eq!(deleted, json!({"id": response["id"], "object": "response", "deleted": true}));
    gateway.wait_for_metric("ai_gateway_stored_responses", "0").await;
    gateway.wait_for_metric("ai_gateway_stored_response_bytes", "0").await;
    let mut bodies = Vec::new();
    let unknown = format!("resp_{}", "00".repeat(16));
    for id in
        [response["id"].as_str().unwrap(), unkept["id"].as_str().unwrap(), &unknown, "x", "..%2fa"]
    {
        let path = format!("/v1/responses/{id}");
        bodies.push(client.get(&path).await);
        bodies.push(client.delete(&path).await);
        bodies.push(client.get(&format!("{path}/input_items")).await);
        bodies.push(client.post(&format!("{path}/cancel"), &json!({})).await);
    }
    assert!(bodies.iter().all(|answer| answer.status == 404 && answer.text() == bodies[0].text()));
    assert_eq!(bodies[0].json()["error"]["code"], "NOT_FOUND");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn what_was_asked_is_listed_page_by_page() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let client = &gateway.client;
    let first = create(client, "one").await;
    let mut body = ask(&json!([{"role": "user", "content": "two", "id": "msg_mine"}]), true);
    body["previous_response_id"] = first["id"].clone();
    let path = path(&last(&client.post("/v1/responses", &body).await)) + "/input_items";
    let list = client.get(&format!("{path}?order=asc")).await.json();
    let texts: Vec<_> =
        list["data"].as_array().unwrap().iter().map(|item| &item["content"][0]["text"]).collect();
    assert_eq!(texts, ["one", "a", "two"]);
    let ids: Vec<_> =
        list["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!((list["object"].as_str(), &list["has_more"]), (Some("list"), &json!(false)));
    assert_eq!(
        (&list["first_id"], &list["last_id"], ids[2]),
        (&json!(ids[0]), &json!(ids[2]), "msg_mine")
    );

    let page = client.get(&format!("{path}?limit=2")).await.json();
    assert_eq!((&page["first_id"], &page["last_id"]), (&json!(ids[2]), &json!(ids[1])));
    assert_eq!(page["has_more"], true);
    let all = client.get(&format!("{path}?limit=3")).await.json();
    assert_eq!(all["has_more"], false);
    let rest = client.get(&format!("{path}?limit=2&after={}", ids[1])).await.json();
    assert_eq!((rest["data"].as_array().unwrap().len(), &rest["last_id"]), (1, &json!(ids[0])));
    for wrong in ["limit=0", "limit=101", "limit=x", "order=up", "after=none"] {
        let refused = client.get(&format!("{path}?{wrong}")).await;
        assert_eq!(
            (refused.status, refused.json()["error"]["code"].clone()),
            (400, json!("INVALID_REQUEST")),
            "{wrong}"
        );
    }
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_response_in_progress_can_be_cancelled_and_one_that_ended_cannot() {
    let upstream = Upstream::start(|_| vec![sse_head(), openai_token("one"), Step::Silence]).await;
    let gateway = TestGateway::before(&upstream).await;
    for (stream, store) in [(true, true), (true, false), (false, true)] {
        let mut body = ask(&json!("hi"), stream);
        body["store"] = json!(store);
        let aborted = upstream.aborted();
        let mut live = gateway.client.send("POST", "/v1/responses", Some(&body.to_string())).await;
        let id = loop {
            let list = gateway.client.get("/api/chat/streams").await.json();
            if list["streams"][0]["state"] == "streaming" {
                break list["streams"][0]["requestId"].as_str().unwrap().to_owned();
            }
            tokio::task::yield_now().await;
        };
        if stream {
            live.read_until("one").await;
        }
        let path = format!("/v1/responses/resp_{id}");
        let running = gateway.client.get(&path).await;
        let status = if store { 200 } else { 404 };
        assert_eq!(running.status, status);
        if store {
            assert_eq!(running.json()["status"], "in_progress");
            let items = gateway.client.get(&format!("{path}/input_items")).await.json();
            assert_eq!(items["data"][0]["content"][0]["text"], "hi");
            let mut body = ask(&json!("and?"), true);
            body["previous_response_id"] = json!(format!("resp_{id}"));
            let early = gateway.client.post("/v1/responses", &body).await;
            assert!(early.text().contains("in progress"), "{}", early.text());
        }
        let cancelled = gateway.client.post(&format!("{path}/cancel"), &json!({})).await;
        assert_eq!(cancelled.status, 200);
        let response = cancelled.json();
        assert_eq!((&response["status"], &response["error"]), (&json!("cancelled"), &Value::Null));
        assert_eq!(text(&response), "one");
        upstream.wait_for_aborts(aborted + 1).await;

        let told = live.whole().await;
        if stream {
            let events = events(&told);
            let error = &events[events.len() - 2].json()["error"];
            assert_eq!(error["code"], "CANCELLED");
            assert_eq!(last(&told), response);
        } else {
            assert_eq!(told.status, 499);
        }
        let kept = gateway.client.get(&path).await;
        assert_eq!(kept.status, status);
        let again = gateway.client.post(&format!("{path}/cancel"), &json!({})).await;
        assert_eq!(again.status, if store { 400 } else { 404 });
        gateway.wait_until_idle().await;
    }
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_answer_whose_client_left_is_kept_as_it_ended() {
    for (wish, status, expected) in
        [("cancel", "cancelled", "one"), ("detach", "completed", "one two")]
    {
        let gate = Gate::new();
        let upstream = {
            let gate = gate.clone();
            Upstream::start(move |_| {
                let mut steps = vec![
                    sse_head(),
                    openai_token("one"),
                    Step::Gate(gate.clone()),
                    openai_token(" two"),
                ];
                steps.extend(openai_end(1, 2));
                steps
            })
            .await
        };
        let gateway = TestGateway::before(&upstream).await;
        let client = gateway.client.with_header("X-On-Disconnect", wish);
        let mut live = client.open("/v1/responses", &ask(&json!("hi"), true)).await;
        live.read_until("one").await;
        let path = format!("/v1/responses/resp_{}", live.id());
        drop(live);
        if wish == "cancel" {
            upstream.wait_for_aborts(1).await;
        }
        gate.open();
        let response = wait_for_end(&gateway.client, &path).await;
        assert_eq!(
            (response["status"].as_str(), text(&response).as_str()),
            (Some(status), expected)
        );
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn one_that_is_deleted_while_it_runs_goes_on_for_its_client() {
    let gate = Gate::new();
    let upstream = {
        let gate = gate.clone();
        Upstream::start(move |_| {
            let mut steps = vec![sse_head(), openai_token("one"), Step::Gate(gate.clone())];
            steps.extend(openai_end(1, 1));
            steps
        })
        .await
    };
    let gateway = TestGateway::before(&upstream).await;
    let mut live = gateway.client.open("/v1/responses", &ask(&json!("hi"), true)).await;
    live.read_until("one").await;
    let path = format!("/v1/responses/resp_{}", live.id());
    assert_eq!(gateway.client.delete(&path).await.status, 200);
    assert_eq!(gateway.client.delete(&path).await.status, 404);
    gate.open();
    assert_eq!(last(&live.whole().await)["status"], "completed");
    assert_eq!(gateway.client.get(&path).await.status, 404);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_response_belongs_to_its_key() {
    let upstream = Upstream::start(|seen| {
        if seen.body.contains("wait") {
            return vec![sse_head(), openai_token("one"), Step::Silence];
        }
        openai_answer(&["a"])
    })
    .await;
    let keys = format!(
        "[[auth.keys]]\nname = \"alice\"\nkey = \"{ALICE}\"\n\
         [[auth.keys]]\nname = \"bob\"\nkey = \"{BOB}\"\n"
    );
    let gateway = TestGateway::start(&format!("{}{keys}", openai_model(&upstream, ""))).await;
    let bearer = |key: &str| gateway.client.with_header("Authorization", &format!("Bearer {key}"));
    let (alice, bob) = (bearer(ALICE), bearer(BOB));
    let theirs = create(&alice, "mine").await;
    let mut live = alice.open("/v1/responses", &ask(&json!("wait"), true)).await;
    live.read_until("one").await;
    let running = json!({"id": format!("resp_{}", live.id())});
    let unknown = json!({"id": format!("resp_{}", "00".repeat(16))});
    let nobody = bob.get(&path(&unknown)).await;
    for response in [&theirs, &running] {
        let path = path(response);
        for answer in [
            bob.get(&path).await,
            bob.delete(&path).await,
            bob.get(&format!("{path}/input_items")).await,
            bob.post(&format!("{path}/cancel"), &json!({})).await,
        ] {
            assert_eq!(
                (answer.status, answer.text()),
                (404, nobody.text()),
                "another's looks like none"
            );
        }
        let mut body = ask(&json!("go on"), true);
        let mut refusals = Vec::new();
        for id in [&response["id"], &unknown["id"]] {
            body["previous_response_id"] = id.clone();
            refusals.push(bob.post("/v1/responses", &body).await);
        }
        assert_eq!(refusals[0].status, 400);
        assert_eq!(refusals[0].text(), refusals[1].text());
        assert_eq!(gateway.client.get(&path).await.status, 401);
        assert_eq!(alice.get(&path).await.status, 200);
    }
    drop(live);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn the_oldest_make_room_within_every_bound() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    for (bound, reason) in [
        ("max_stored = 2", "count"),
        ("max_stored_bytes = 5000", "bytes"),
        ("keep_seconds = 0.001", "age"),
        ("max_stored = 0", "count"),
    ] {
        let toml = format!("{}[responses]\n{bound}\n", openai_model(&upstream, ""));
        let gateway = TestGateway::start(&toml).await;
        let mut paths = Vec::new();
        for input in ["1", "2", "3"] {
            let input = input.repeat(500);
            paths.push(path(&create(&gateway.client, &input).await));
        }
        let mut there = Vec::new();
        for path in &paths {
            there.push(gateway.client.get(path).await.status);
        }
        let (expected, evicted): (&[u16], _) = match bound {
            "max_stored = 2" | "max_stored_bytes = 5000" => (&[404, 200, 200], "1"),
            _ => (&[404, 404, 404], "3"),
        };
        if reason == "age" {
            // Of those that are found too old only a look tells.
            let deadline = Instant::now() + PATIENCE;
            while gateway.client.get(&paths[2]).await.status == 200 {
                assert!(Instant::now() < deadline, "never too old");
            }
        } else {
            assert_eq!(there, expected, "{bound}");
        }
        let series = format!("ai_gateway_response_evictions_total{{reason=\"{reason}\"}}");
        gateway.wait_for_metric(&series, evicted).await;
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn what_failed_before_the_first_word_is_not_kept() {
    let upstream =
        Upstream::start(|_| crate::upstream::refusal(500, "", "{\"error\":\"no\"}")).await;
    let gateway = TestGateway::start(&openai_model(&upstream, "max_attempts = 1")).await;
    let answer = gateway.client.post("/v1/responses", &ask(&json!("hi"), true)).await;
    assert_eq!(answer.status, 502);
    let path = format!("/v1/responses/resp_{}", answer.header("x-request-id").unwrap());
    assert_eq!(gateway.client.get(&path).await.status, 404);
    gateway.wait_for_metric("ai_gateway_stored_responses", "0").await;
    gateway.inner.shutdown().await;
}
