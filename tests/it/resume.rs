//! Clients that come back to a stream: from every place, live and after its end, by its id and by the
//! key of their request.

use serde_json::{Value, json};

use crate::client::{Client, Response, anthropic, native, native_whole, openai};
use crate::gateway::{TestGateway, ollama_model, openai_model};
use crate::upstream::{
    Gate, Step, Upstream, ollama_answer, openai_answer, openai_end, openai_token, refusal, sse_head,
};

pub const ALICE: &str = "alice-0123456789-0123456789-0123456789";
pub const BOB: &str = "bob-0123456789-0123456789-0123456789-01";

pub fn two_keys(model: &str) -> String {
    format!(
        "[[auth.keys]]\nname = \"alice\"\nkey = \"{ALICE}\"\n\
         [[auth.keys]]\nname = \"bob\"\nkey = \"{BOB}\"\n{model}"
    )
}

/// An answer of so many tokens that waits at the gates, each before the token of that number.
fn waiting(tokens: usize, gates: &[(usize, Gate)]) -> Vec<Step> {
    let mut steps = vec![sse_head()];
    for token in 0..tokens {
        let gate = gates.iter().find(|(at, _)| *at == token);
        steps.extend(gate.map(|(_, gate)| Step::Gate(gate.clone())));
        steps.push(openai_token(&format!("t{token} ")));
    }
    steps.extend(openai_end(7, tokens as u64));
    steps
}

fn stream_id(response: &Response) -> String {
    response.header("x-stream-id").expect("it is kept").to_owned()
}

/// The bytes behind the event of that number, in a body whose events have ids.
fn behind(body: &str, number: usize) -> String {
    body.split_inclusive("\n\n").skip(number).collect()
}

async fn from(client: &Client, id: &str, after: usize) -> Response {
    client.get(&format!("/api/chat/{id}?after={after}")).await
}

#[actix_web::test]
async fn from_every_event_the_rest_is_the_same_bytes() {
    let gate = Gate::new();
    let gates = [(250, gate.clone())];
    let upstream = Upstream::start(move |_| waiting(500, &gates)).await;
    let gateway = TestGateway::before(&upstream).await;
    let client = &gateway.client;
    let mut first = client.open("/api/chat", &native("hi")).await;
    let id = first.header("x-stream-id").unwrap().to_owned();
    assert_eq!(id, first.id());
    first.read_until("t249 ").await;
    // Half of it is there; these read on while the rest comes.
    let mut live = Vec::new();
    for after in (0..=250).step_by(10) {
        let path = format!("/api/chat/{id}?after={after}");
        live.push((after, client.send("GET", &path, None).await));
    }
    gate.open();
    let whole = first.whole().await;
    assert!(whole.proper_end && whole.events().len() == 501, "{}", whole.text());
    for (after, resumed) in live {
        let resumed = resumed.whole().await;
        assert_eq!((resumed.status, resumed.proper_end), (200, true));
        assert_eq!(resumed.text(), behind(&whole.text(), after), "live, after {after}");
    }
    for after in 0..=500 {
        let resumed = from(client, &id, after).await;
        assert_eq!(resumed.text(), behind(&whole.text(), after), "ended, after {after}");
        assert_eq!(resumed.header("content-type"), Some("text/event-stream"));
        assert_eq!(resumed.header("idempotent-replayed"), Some("true"));
    }
    assert_eq!(from(client, &id, 501).await.status, 204, "EventSource is to ask no more");
    assert_eq!(from(client, &id, 502).await.status, 400);
    assert_eq!(upstream.chats().len(), 1);
    gateway.wait_until_idle().await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn the_place_may_be_told_in_every_usual_way() {
    let upstream = Upstream::start(|_| openai_answer(&["a", "b", "c"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let client = &gateway.client;
    let whole = client.post("/api/chat", &native("hi")).await;
    let id = stream_id(&whole);
    let rest = behind(&whole.text(), 2);
    let path = format!("/api/chat/{id}");
    let header = |value: &str| client.with_header("Last-Event-ID", value);
    for answer in [
        client.get(&format!("{path}?after=2")).await,
        client.get(&format!("{path}?after={id}:2")).await,
        header("2").get(&path).await,
        header(&format!("{id}:2")).get(&path).await,
        header("1").get(&format!("{path}?after=2")).await,
        // As fetch-event-source does: the request again, with what was read of its answer.
        header(&format!("{id}:2")).post("/api/chat", &native("hi")).await,
    ] {
        assert_eq!((answer.status, answer.text()), (200, rest.clone()), "{}", answer.head);
    }
    let other = "00".repeat(16);
    for place in ["x", "-1", "1.5", &format!("{other}:1"), "99999999999999999999"] {
        let answer = client.get(&format!("{path}?after={place}")).await;
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("INVALID_REQUEST")));
        assert_eq!(answer.json()["details"][0]["field"], "after", "{}", answer.text());
    }
    assert_eq!(header("7").post("/api/chat", &native("hi")).await.status, 400);
    assert_eq!(upstream.chats().len(), 1, "nothing was begun anew");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn what_is_not_theirs_or_not_there_is_told() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let config = format!("{}[journal]\nmax_bytes = 9000", two_keys(&openai_model(&upstream, "")));
    let gateway = TestGateway::start(&config).await;
    let alice = gateway.client.with_header("X-Api-Key", ALICE);
    let bob = gateway.client.with_header("X-Api-Key", BOB);
    let answer = alice.post("/api/chat", &native("hi")).await;
    let id = stream_id(&answer);
    assert_eq!(alice.get(&format!("/api/chat/{id}")).await.status, 200);
    let unknown = format!("/api/chat/{}", "00".repeat(16));
    let theirs = format!("/api/chat/{id}");
    let refusals =
        [bob.get(&theirs).await, bob.get(&unknown).await, alice.get("/api/chat/nonsense").await];
    for refused in &refusals {
        assert_eq!((refused.status, refused.text()), (404, refusals[0].text()));
    }
    assert_eq!(gateway.client.get(&theirs).await.status, 401);
    // Others push it out: it was there, and its owner may know that.
    for _ in 0..20 {
        assert_eq!(alice.post("/api/chat", &native("hi")).await.status, 200);
    }
    let gone = alice.get(&theirs).await;
    assert_eq!((gone.status, &gone.json()["error"]), (410, &json!("GONE")));
    assert_eq!(bob.get(&theirs).await.status, 404);
    gateway.inner.shutdown().await;
}

/// A stream that outgrew its bound has lost its beginning, and nothing else.
#[actix_web::test]
async fn the_oldest_events_of_a_long_stream_are_gone() {
    let upstream = Upstream::start(|_| waiting(2000, &[])).await;
    let config = openai_model(&upstream, "") + "[journal]\nmax_stream_bytes = 8192";
    let gateway = TestGateway::start(&config).await;
    let whole = gateway.client.post("/api/chat", &native("hi")).await;
    let id = stream_id(&whole);
    let missed = from(&gateway.client, &id, 3).await;
    assert_eq!((missed.status, &missed.json()["error"]), (410, &json!("GONE")));
    assert!(missed.text().contains("the first that is has the number"), "{}", missed.text());
    let kept = from(&gateway.client, &id, 1990).await;
    assert_eq!(kept.text(), behind(&whole.text(), 1990));
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_client_that_left_comes_back_and_the_upstream_never_noticed() {
    let gate = Gate::new();
    let upstream = Upstream::gated(&gate).await;
    let gateway = TestGateway::before(&upstream).await;
    let client = gateway.client.with_header("X-Resumable", "true");
    let mut first = client.open("/api/chat", &native("hi")).await;
    let id = first.id();
    let seen = first.read_until("one").await;
    drop(first);
    let list = "/api/chat/streams";
    while gateway.client.get(list).await.json()["streams"][0]["clientLeft"] != json!(true) {}
    let second = client.send("GET", &format!("/api/chat/{id}?after=1"), None).await;
    while gateway.client.get(list).await.json()["streams"][0]["watchers"] != json!(1) {}
    gate.open();
    let rest = second.whole().await;
    let all: String = seen + &rest.text();
    assert_eq!(from(&client, &id, 0).await.text(), all);
    assert_eq!(from(&client, &id, 0).await.native_text(), "one two");
    assert_eq!((upstream.chats().len(), upstream.aborted()), (1, 0));
    gateway.wait_until_idle().await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn one_that_nobody_comes_back_for_is_cancelled_and_says_so_later() {
    let gate = Gate::new();
    let upstream = Upstream::gated(&gate).await;
    let gateway = TestGateway::start(&openai_model(&upstream, "run_on_seconds = 0.05")).await;
    let client = gateway.client.with_header("X-Resumable", "true");
    let mut first = client.open("/api/chat", &native("hi")).await;
    let id = first.id();
    first.read_until("one").await;
    drop(first);
    upstream.wait_for_aborts(1).await;
    gateway.wait_until_idle().await;
    let events = from(&client, &id, 0).await.events();
    let names: Vec<_> = events.iter().filter_map(|event| event.name.as_deref()).collect();
    assert_eq!(names, ["chat.completion.chunk", "chat.cancelled"]);
    gateway.inner.shutdown().await;
}

/// While one is still there, nobody's leaving ends the stream.
#[actix_web::test]
async fn the_last_to_leave_ends_it() {
    let gate = Gate::new();
    let upstream = Upstream::gated(&gate).await;
    let gateway = TestGateway::before(&upstream).await;
    let mut first = gateway.client.open("/api/chat", &native("hi")).await;
    let path = format!("/api/chat/{}", first.id());
    first.read_until("one").await;
    let mut second = gateway.client.send("GET", &path, None).await;
    second.read_until("one").await;
    drop(first);
    let list = "/api/chat/streams";
    while gateway.client.get(list).await.json()["streams"][0]["watchers"] != json!(1) {}
    assert_eq!(upstream.aborted(), 0);
    drop(second);
    upstream.wait_for_aborts(1).await;
    gateway.wait_until_idle().await;
    assert_eq!(gateway.outcomes("cancelled").await, 1);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn who_observes_reads_all_and_keeps_nothing_going() {
    let gate = Gate::new();
    let upstream = Upstream::gated(&gate).await;
    let gateway = TestGateway::start(&openai_model(&upstream, "run_on_seconds = 0.05")).await;
    let client = gateway.client.with_header("X-Resumable", "true");
    let mut first = client.open("/api/chat", &native("hi")).await;
    let path = format!("/api/chat/{}?observe=true", first.id());
    let seen = first.read_until("one").await;
    let mut observer = client.send("GET", &path, None).await;
    assert_eq!(observer.read_until("one").await, seen);
    let list = gateway.client.get("/api/chat/streams").await.json();
    assert_eq!(list["streams"][0]["watchers"], 2);
    drop(first);
    // As if nobody were there.
    upstream.wait_for_aborts(1).await;
    let rest = observer.whole().await;
    assert!(rest.text().ends_with("}\n\n") && rest.text().contains("chat.cancelled"));
    let wrong = client.get(&path.replace("true", "yes")).await;
    let details = &wrong.json()["details"][0];
    assert_eq!((wrong.status, &details["field"]), (400, &json!("observe")), "{details}");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn every_dialect_can_be_resumed_and_says_what_it_said() {
    let upstream = Upstream::start(|seen| match seen.path.as_str() {
        "/api/chat" => ollama_answer(&["a", "b", "c"]),
        _ => openai_answer(&["a", "b", "c"]),
    })
    .await;
    let ollama = ollama_model(&upstream, "").replace("\"test\"", "\"ollama\"");
    let gateway = TestGateway::start(&(openai_model(&upstream, "") + &ollama)).await;
    let client = gateway.client.with_header("X-Resumable", "true");
    for model in ["test", "ollama"] {
        let named = |mut body: Value| {
            body["model"] = json!(model);
            body
        };
        for (path, body) in [
            ("/v1/chat/completions", named(openai("hi", true))),
            ("/v1/completions", json!({"model": model, "prompt": "hi", "stream": true})),
            ("/v1/messages", named(anthropic("hi", true))),
        ] {
            let whole = client.post(path, &body).await;
            let id = stream_id(&whole);
            let events: Vec<_> = whole.text().split_inclusive("\n\n").map(str::to_owned).collect();
            for (index, event) in events.iter().enumerate() {
                assert!(event.starts_with(&format!("id: {id}:{}\n", index + 1)), "{event}");
            }
            for after in 0..events.len() {
                let rest = from(&client, &id, after).await;
                assert_eq!(rest.text(), events[after..].concat(), "{path}, after {after}");
            }
        }
        let whole = client.post("/ollama/api/chat", &named(openai("hi", true))).await;
        let id = stream_id(&whole);
        let rest = from(&client, &id, 1).await;
        assert_eq!(rest.header("content-type"), Some("application/x-ndjson"));
        let lines: String = whole.text().split_inclusive('\n').skip(1).collect();
        assert_eq!(rest.text(), lines);
    }
    let plain = gateway.client.post("/v1/chat/completions", &openai("hi", true)).await;
    assert!(plain.header("x-stream-id").is_none() && !plain.text().contains("id: "));
    let id = plain.header("x-request-id").unwrap();
    assert_eq!(from(&client, id, 0).await.status, 404, "nobody asked for it to be kept");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn the_same_key_joins_and_begins_nothing() {
    let gate = Gate::new();
    let upstream = Upstream::gated(&gate).await;
    let gateway = TestGateway::start(&two_keys(&openai_model(&upstream, ""))).await;
    let alice = gateway.client.with_header("X-Api-Key", ALICE);
    let keyed = alice.with_header("Idempotency-Key", "\"order-1\"");
    let mut first = keyed.open("/v1/chat/completions", &openai("hi", true)).await;
    first.read_until("one").await;
    let bare = alice.with_header("Idempotency-Key", "order-1");
    let mut second = bare.open("/v1/chat/completions", &openai("hi", true)).await;
    second.read_until("one").await;
    assert_eq!(second.header("idempotent-replayed"), Some("true"));
    assert_eq!(second.header("x-stream-id"), Some(first.id().as_str()));
    for other in [openai("something else", true), openai("hi", false)] {
        let refused = keyed.post("/v1/chat/completions", &other).await;
        assert_eq!(refused.status, 422);
        assert_eq!(refused.json()["error"]["code"], "IDEMPOTENCY_KEY_REUSED");
    }
    gate.open();
    let (first, second) = (first.whole().await, second.whole().await);
    assert_eq!(first.text(), second.text());
    assert_eq!(first.openai_text(), "one two");
    let third = keyed.post("/v1/chat/completions", &openai("hi", true)).await;
    assert_eq!(third.text(), first.text());
    assert_eq!(upstream.chats().len(), 1);
    // Another's key is another key.
    let bob = gateway.client.with_header("X-Api-Key", BOB);
    let bob = bob.with_header("Idempotency-Key", "order-1");
    assert_eq!(bob.post("/v1/chat/completions", &openai("hi", true)).await.status, 200);
    assert_eq!(upstream.chats().len(), 2);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_answer_in_one_piece_is_joined_too_and_a_refusal_is_not() {
    let upstream = Upstream::start({
        let calls = std::sync::atomic::AtomicUsize::new(0);
        move |_| match calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => refusal(400, "", r#"{"error":{"message":"no"}}"#),
            _ => openai_answer(&["a", "b"]),
        }
    })
    .await;
    let gateway = TestGateway::before(&upstream).await;
    let keyed = gateway.client.with_header("Idempotency-Key", "k");
    let ask = async || keyed.post("/api/chat", &native_whole("hi")).await;
    assert_eq!(ask().await.status, 400);
    let (second, third) = (ask().await, ask().await);
    assert_eq!((second.status, second.json()["content"].clone()), (200, json!("ab")));
    assert_eq!(third.text(), second.text());
    assert_eq!(upstream.chats().len(), 2, "the refusal was not kept, the answer was");
    for key in ["", &"k".repeat(256)] {
        let client = gateway.client.with_header("Idempotency-Key", key);
        let refused = client.post("/api/chat", &native("hi")).await;
        assert_eq!(refused.json()["details"][0]["field"], "idempotency-key", "{}", refused.text());
    }
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn the_same_question_at_the_same_time_is_asked_once() {
    let gate = Gate::new();
    let upstream = Upstream::gated(&gate).await;
    let config = two_keys(&openai_model(&upstream, "coalesce = true"));
    let gateway = TestGateway::start(&config).await;
    let alice = gateway.client.with_header("X-Api-Key", ALICE);
    let bob = gateway.client.with_header("X-Api-Key", BOB);
    let mut cold = openai("hi", true);
    cold["temperature"] = json!(0);
    let warm = openai("hi", true).to_string();
    let path = "/v1/chat/completions";
    let mut all = Vec::new();
    for (client, body, asked) in [
        (&alice, cold.to_string(), 1),
        (&alice, cold.to_string(), 1),
        (&bob, cold.to_string(), 2),
        (&alice, warm.clone(), 3),
        (&alice, warm, 4),
    ] {
        let mut live = client.send("POST", path, Some(&body)).await;
        live.read_until("one").await;
        assert_eq!(upstream.chats().len(), asked, "{body}");
        all.push(live);
    }
    gate.open();
    let mut texts = Vec::new();
    for live in all {
        texts.push(live.whole().await.openai_text());
    }
    assert_eq!(texts, ["one two"; 5]);
    let metrics = gateway.client.get("/metrics").await.text();
    assert!(metrics.contains("ai_gateway_attached_total{by=\"coalesced\"} 1"), "{metrics}");
    // What has ended is not shared: the next is asked again.
    assert_eq!(alice.post(path, &cold).await.status, 200);
    assert_eq!(upstream.chats().len(), 5);
    gateway.inner.shutdown().await;
}
