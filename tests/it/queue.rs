//! The queue of a busy model: who is next, what a client is told meanwhile, and who finds no place.

use futures::future::join_all;
use serde_json::json;

use crate::client::{Client, Live, native, native_whole, openai};
use crate::gateway::{TestGateway, openai_model};
use crate::upstream::{Gate, Seen, Step, Upstream, openai_answer};

const QUEUED: &str = "ai_gateway_queued_requests{model=\"test\"}";
const OLDEST: &str = "ai_gateway_queue_oldest_seconds{model=\"test\"}";

fn key(name: &str) -> String {
    format!("{name}-0123456789-0123456789-0123456789")
}

fn keys() -> String {
    let keys = [("alice", "normal"), ("bob", "normal"), ("urgent", "high"), ("batch", "low")];
    let key = |(name, priority)| {
        let key = key(name);
        format!("[[auth.keys]]\nname = \"{name}\"\nkey = \"{key}\"\npriority = \"{priority}\"\n")
    };
    keys.map(key).concat()
}

/// A gateway whose one model has keys and `more`.
pub struct Scene {
    pub gateway: TestGateway,
    pub upstream: Upstream,
}

impl Scene {
    pub async fn new(upstream: &Upstream, server: &str, more: &str) -> Self {
        let toml = format!("{}{}", openai_model(upstream, more), keys());
        let gateway = TestGateway::start_with_server(server, &toml).await;
        Self { gateway, upstream: upstream.clone() }
    }

    pub fn of(&self, name: &str) -> Client {
        self.gateway.client.with_header("x-api-key", &key(name))
    }

    /// Sends a request, and waits until it has its place: the `place`th in the queue.
    pub async fn enqueue(&self, client: &Client, prompt: &str, place: usize) -> Live {
        let body = native(prompt).to_string();
        let live = client.send("POST", "/api/chat", Some(&body)).await;
        self.gateway.wait_for_metric(QUEUED, &place.to_string()).await;
        live
    }

    pub fn order(&self) -> Vec<String> {
        self.upstream.chats().iter().map(prompt_of).collect()
    }

    pub async fn end(self) {
        self.gateway.wait_until_free().await;
        self.gateway.inner.shutdown().await;
    }
}

pub fn prompt_of(seen: &Seen) -> String {
    seen.json()["messages"][0]["content"].as_str().unwrap().to_owned()
}

/// Answers all at once, but for `holder`, which waits for the gate.
async fn held_upstream(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::start(move |seen| {
        let mut steps = openai_answer(&["one", " two"]);
        if prompt_of(seen) == "holder" {
            steps.insert(2, Step::Gate(gate.clone()));
        }
        steps
    })
    .await
}

/// A gateway with one permit, which is taken until the gate is opened.
async fn busy(gate: &Gate, server: &str, more: &str) -> (Scene, Live) {
    let upstream = held_upstream(gate).await;
    let more = format!("max_concurrency = 1\n{more}");
    let scene = Scene::new(&upstream, server, &more).await;
    let mut holder = scene.of("alice").open("/api/chat", &native("holder")).await;
    holder.read_until("one").await;
    (scene, holder)
}

pub async fn answered(live: Live) {
    assert_eq!(live.whole().await.native_text(), "one two");
}

#[actix_web::test]
async fn a_caller_with_many_waiting_delays_anothers_one_by_two_turns_at_most() {
    const MANY: usize = 1000;
    let gate = Gate::new();
    let (scene, holder) = busy(&gate, "max_streams = 1100", "queue_length = 1100").await;
    let (alice, body) = (scene.of("alice"), native("many").to_string());
    let waiting = join_all((0..MANY).map(|_| alice.send("POST", "/api/chat", Some(&body)))).await;
    scene.gateway.wait_for_metric(QUEUED, &MANY.to_string()).await;
    let one = scene.enqueue(&scene.of("bob"), "one", MANY + 1).await;
    gate.open();
    answered(holder).await;
    answered(one).await;
    for live in waiting {
        answered(live).await;
    }
    let order = scene.order();
    assert_eq!(order.len(), MANY + 2);
    assert_eq!(order.iter().position(|prompt| prompt == "one"), Some(2), "{:?}", &order[..9]);
    scene.end().await;
}

#[actix_web::test]
async fn urgent_requests_go_first_and_the_lowest_class_is_not_starved() {
    let gate = Gate::new();
    let (scene, holder) = busy(&gate, "", "").await;
    let mut waiting = Vec::new();
    // The lowest come first, one of them by its own wish.
    let modest = scene.of("urgent").with_header("X-Priority", "low");
    waiting.push(scene.enqueue(&modest, "low", 1).await);
    waiting.push(scene.enqueue(&scene.of("batch"), "low", 2).await);
    for place in 3..=18 {
        waiting.push(scene.enqueue(&scene.of("urgent"), "high", place).await);
    }
    let metrics = scene.gateway.client.get("/metrics").await.text();
    assert!(metrics.contains(OLDEST) && !metrics.contains(&format!("{OLDEST} 0\n")), "{metrics}");
    gate.open();
    answered(holder).await;
    for live in waiting {
        answered(live).await;
    }
    scene.gateway.wait_for_metric(OLDEST, "0").await;
    let order = scene.order();
    let low: Vec<_> = (0..order.len()).filter(|at| order[*at] == "low").collect();
    assert_eq!(order[1], "high", "{order:?}");
    assert!(low[0] <= 10 && low[1] <= 18, "one turn of nine: {order:?}");
    scene.end().await;
}

#[actix_web::test]
async fn without_keys_nobody_is_urgent() {
    let gate = Gate::new();
    let upstream = held_upstream(&gate).await;
    let gateway = TestGateway::start(&openai_model(&upstream, "max_concurrency = 1")).await;
    let scene = Scene { gateway, upstream };
    let anybody = scene.gateway.client.clone();
    let mut holder = anybody.open("/api/chat", &native("holder")).await;
    holder.read_until("one").await;
    let first = scene.enqueue(&anybody, "first", 1).await;
    let pushy = anybody.with_header("X-Priority", "high");
    let second = scene.enqueue(&pushy, "second", 2).await;
    gate.open();
    for live in [holder, first, second] {
        answered(live).await;
    }
    assert_eq!(scene.order(), ["holder", "first", "second"]);
    scene.end().await;
}

#[actix_web::test]
async fn who_leaves_frees_its_place_and_those_behind_are_told() {
    let gate = Gate::new();
    let (scene, holder) = busy(&gate, "", "").await;
    let alice = scene.of("alice");
    let steady = scene.enqueue(&scene.of("urgent"), "steady", 1).await;
    let first = scene.enqueue(&alice, "first", 2).await;
    let mut second = scene.enqueue(&alice, "second", 3).await;
    let body = second.read_until("chat.queued").await;
    assert!(body.contains("\"position\":3"), "{body}");
    drop(first);
    scene.gateway.wait_for_metric(QUEUED, "2").await;
    second.read_until("\"position\":2").await;
    gate.open();
    answered(holder).await;
    // By the time the second was told, the steady one could have been told again.
    for (live, expected) in [(steady, vec![1]), (second, vec![3, 2])] {
        let answer = live.whole().await;
        assert_eq!(answer.native_text(), "one two");
        let events = answer.events().into_iter();
        let queued = events.filter(|event| event.name.as_deref() == Some("chat.queued"));
        let places: Vec<_> = queued.map(|e| e.json()["position"].as_u64().unwrap()).collect();
        assert_eq!(places, expected, "told once for each better place");
    }
    assert_eq!(scene.order(), ["holder", "steady", "second"]);
    scene.end().await;
}

#[actix_web::test]
async fn a_request_may_wait_for_less_than_the_model_lets_it_but_not_for_more() {
    for (more, wish) in [("", "50"), ("", "0"), ("queue_timeout_seconds = 0.05", "999999999")] {
        let gate = Gate::new();
        let (scene, holder) = busy(&gate, "", more).await;
        let hurried = scene.of("bob").with_header("X-Queue-Timeout-Ms", wish);
        let late = hurried.post("/api/chat", &native_whole("late")).await;
        assert_eq!((late.status, &late.json()["error"]), (503, &"QUEUE_TIMEOUT".into()), "{wish}");
        let message = late.json()["message"].as_str().unwrap().to_owned();
        let reason = if wish == "0" { "does not want to wait" } else { "queue within 50ms" };
        assert!(message.ends_with(reason), "{message}");
        scene.gateway.wait_for_metric(QUEUED, "0").await;
        gate.open();
        answered(holder).await;
        assert_eq!(scene.order(), ["holder"]);
        scene.end().await;
    }
}

#[actix_web::test]
async fn what_is_no_wish_is_refused_before_anything_is_asked() {
    let upstream = Upstream::start(|_| vec![]).await;
    let gateway = TestGateway::before(&upstream).await;
    for (header, value) in [("X-Priority", "urgent"), ("X-Queue-Timeout-Ms", "soon")] {
        let client = gateway.client.with_header(header, value);
        let answer = client.post("/api/chat", &native("hi")).await;
        assert_eq!((answer.status, &answer.json()["details"][0]["field"]), (400, &json!(header)));
        let answer = client.post("/v1/chat/completions", &openai("hi", true)).await;
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(answer.status == 400 && message.contains(header), "{message}");
    }
    assert_eq!(upstream.chats().len(), 0);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_caller_may_have_so_many_waiting_and_no_more() {
    let gate = Gate::new();
    let (scene, holder) = busy(&gate, "", "max_queued_per_caller = 2").await;
    let alice = scene.of("alice");
    let mut waiting = Vec::new();
    for place in 1..=2 {
        waiting.push(scene.enqueue(&alice, "many", place).await);
    }
    let refused = alice.post("/api/chat", &native("too many")).await;
    assert_eq!((refused.status, &refused.json()["error"]), (429, &"QUEUE_FULL".into()));
    assert!(refused.json()["message"].as_str().unwrap().contains("2 requests of the same caller"));
    waiting.push(scene.enqueue(&scene.of("bob"), "one", 3).await);
    gate.open();
    answered(holder).await;
    for live in waiting {
        answered(live).await;
    }
    scene.end().await;
}

#[actix_web::test]
async fn a_full_queue_gives_way_to_a_more_urgent_request_and_to_a_caller_with_less() {
    let gate = Gate::new();
    let (scene, holder) = busy(&gate, "", "queue_length = 2").await;
    let batch = scene.of("batch");
    let first = scene.enqueue(&batch, "first", 1).await;
    let body = native_whole("second").to_string();
    let second = batch.send("POST", "/api/chat", Some(&body)).await;
    scene.gateway.wait_for_metric(QUEUED, "2").await;

    let body = native("urgent").to_string();
    let urgent = scene.of("urgent").send("POST", "/api/chat", Some(&body)).await;
    let lost = second.whole().await;
    assert_eq!((lost.status, &lost.json()["error"]), (429, &"QUEUE_FULL".into()));

    let body = native("normal").to_string();
    let normal = scene.of("bob").send("POST", "/api/chat", Some(&body)).await;
    let lost = first.whole().await;
    let last = lost.events().pop().unwrap();
    assert_eq!((last.name.as_deref(), &last.json()["code"]), (Some("error"), &"QUEUE_FULL".into()));

    let refused = batch.post("/api/chat", &native("no room")).await;
    assert_eq!((refused.status, &refused.json()["error"]), (429, &"QUEUE_FULL".into()));
    gate.open();
    for live in [holder, urgent, normal] {
        answered(live).await;
    }
    assert_eq!(scene.order(), ["holder", "urgent", "normal"]);
    assert_eq!(scene.gateway.outcomes("rejected").await, 3);
    scene.end().await;
}

/// Another caller with less is let in, too, where the priorities are the same.
#[actix_web::test]
async fn one_caller_cannot_lock_others_out_of_the_queue() {
    let gate = Gate::new();
    let (scene, holder) = busy(&gate, "", "queue_length = 3").await;
    let alice = scene.of("alice");
    let mut many = Vec::new();
    for place in 1..=3 {
        many.push(scene.enqueue(&alice, "many", place).await);
    }
    let refused = alice.post("/api/chat", &native("no room")).await;
    assert_eq!((refused.status, &refused.json()["error"]), (429, &"QUEUE_FULL".into()));
    let body = native("one").to_string();
    let one = scene.of("bob").send("POST", "/api/chat", Some(&body)).await;
    let last = many.pop().unwrap().whole().await.events().pop().unwrap();
    assert_eq!(last.json()["code"], "QUEUE_FULL");
    gate.open();
    answered(holder).await;
    answered(one).await;
    for live in many {
        answered(live).await;
    }
    scene.end().await;
}

#[actix_web::test]
async fn a_head_that_is_sent_while_its_request_waits_tells_the_place() {
    let gate = Gate::new();
    let (scene, holder) = busy(&gate, "heartbeat_seconds = 0.05", "").await;
    let bob = scene.of("bob");
    let mut first = scene.enqueue(&bob, "first", 1).await;
    first.read_head().await;
    assert_eq!(first.header("x-queue-position"), Some("1"));
    assert_eq!(first.header("x-queue-estimated-wait-ms"), None, "nothing is known yet");
    let mut second = bob.open("/v1/chat/completions", &openai("second", true)).await;
    assert_eq!((second.status(), second.header("x-queue-position")), (200, Some("2")));
    second.read_until(": k\n").await;
    gate.open();
    answered(holder).await;
    answered(first).await;
    assert_eq!(second.whole().await.openai_text(), "one two");

    let free = bob.post("/v1/chat/completions", &openai("third", true)).await;
    assert_eq!(free.header("x-queue-position"), None);
    scene.end().await;
}

#[actix_web::test]
async fn the_wait_is_estimated_from_the_answers_before() {
    let gate = Gate::new();
    let upstream = held_upstream(&gate).await;
    let scene = Scene::new(&upstream, "", "max_concurrency = 1").await;
    let alice = scene.of("alice");
    assert_eq!(alice.post("/api/chat", &native("before")).await.native_text(), "one two");
    let mut holder = alice.open("/api/chat", &native("holder")).await;
    holder.read_until("one").await;
    let mut first = scene.enqueue(&alice, "first", 1).await;
    let body = first.read_until("chat.queued").await;
    assert!(body.contains("\"estimatedWaitMs\":"), "{body}");
    let wait: u64 = first.header("x-queue-estimated-wait-ms").unwrap().parse().unwrap();
    assert!(wait < 60_000, "{wait}");
    let body = openai("second", true).to_string();
    let second = alice.send("POST", "/v1/chat/completions", Some(&body)).await;
    scene.gateway.wait_for_metric(QUEUED, "2").await;
    gate.open();
    answered(holder).await;
    answered(first).await;
    let second = second.whole().await;
    assert_eq!(second.header("x-queue-position"), None, "it does not wait any more");
    scene.end().await;
}
