//! Another configuration for a running gateway: what it changes, and what goes on as it began.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use serde_json::{Value, json};
use tidegate::config::Config;
use tidegate::telemetry::ReloadResult;
use tokio::time::Instant;

use crate::client::native;
use crate::gateway::TestGateway;
use crate::socket::{Socket, have_ended};
use crate::upstream::{
    Gate, PATIENCE, Step, Upstream, openai_answer, openai_end, openai_token, refusal, sse_head,
};

const KEY: &str = "canary-key-0123456789-0123456789-0123456789";
const OTHER: &str = "canary-other-0123456789-0123456789-01234567";

fn model(name: &str, upstream: &Upstream, more: &str) -> String {
    let url = upstream.openai_url();
    format!("[[models]]\nname = \"{name}\"\nprovider = \"openai\"\nbase_url = \"{url}\"\n{more}\n")
}

fn target(name: &str, upstream: &Upstream) -> String {
    let url = upstream.openai_url();
    let keys = format!("name = \"{name}\"\nprovider = \"openai\"\nbase_url = \"{url}\"");
    format!("[[models.targets]]\n{keys}\n")
}

/// As [`TestGateway::start`] writes it.
fn config(toml: &str) -> Config {
    let text = format!("[server]\nport = 0\nworkers = 2\n\n{toml}");
    Config::parse(&text, []).unwrap_or_else(|faults| panic!("{faults}\n{text}")).config
}

async fn reload(gateway: &TestGateway, toml: &str) {
    assert_eq!(gateway.inner.reload(config(toml)).await, ReloadResult::Applied);
}

fn to(name: &str) -> Value {
    let mut body = native("hi");
    body["model"] = json!(name);
    body
}

/// One token, and the rest behind the gate.
fn gated(gate: &Gate) -> Vec<Step> {
    let mut steps = vec![sse_head(), openai_token("one"), Step::Gate(gate.clone())];
    steps.push(openai_token(" two"));
    steps.extend(openai_end(7, 2));
    steps
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::task::yield_now().await;
    }
}

#[actix_web::test]
async fn a_model_comes_and_one_goes_whose_stream_ends_whole() {
    let gate = Gate::new();
    let played = gate.clone();
    let old = Upstream::start(move |_| gated(&played)).await;
    let new = Upstream::start(|_| openai_answer(&["new"])).await;
    let gateway = TestGateway::start(&model("old", &old, "")).await;
    let mut live = gateway.client.open("/api/chat", &to("old")).await;
    live.read_until("one").await;

    reload(&gateway, &model("new", &new, "")).await;
    let list = gateway.client.get("/api/models").await.json();
    assert_eq!((&list["generation"], &list["models"][0]["name"]), (&json!(2), &json!("new")));
    assert_eq!(list["models"][0]["status"], "reachable", "{list}");
    assert_eq!(gateway.client.post("/api/chat", &to("old")).await.status, 404);
    assert_eq!(gateway.client.post("/api/chat", &to("new")).await.native_text(), "new");
    assert_eq!(gateway.client.post("/api/chat", &native("hi")).await.native_text(), "new");
    assert_eq!(gateway.inner.generations().await, 2, "the stream still runs on the old one");

    gate.open();
    let whole = live.whole().await;
    assert!(whole.proper_end);
    assert_eq!(whole.native_text(), "one two");
    until("the old one ends", async || gateway.inner.generations().await == 1).await;
    let metrics = gateway.client.get("/metrics").await.text();
    assert!(!metrics.contains("model=\"old\""), "{metrics}");
    for series in ["ai_gateway_permits{model=\"new\"} 10", "ai_gateway_config_generation 2"] {
        assert!(metrics.contains(series), "{series} is not in\n{metrics}");
    }
}

#[actix_web::test]
async fn what_says_the_same_changes_nothing() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let toml = model("test", &upstream, "");
    let gateway = TestGateway::start(&toml).await;
    assert_eq!(gateway.inner.reload(config(&toml)).await, ReloadResult::Unchanged);
    assert_eq!(gateway.client.get("/api/models").await.json()["generation"], 1);
    let series = "ai_gateway_config_reloads_total{result=\"unchanged\"}";
    gateway.wait_for_metric(series, "1").await;
}

/// However often it is reloaded, an upstream works on no more at a time than it can.
#[actix_web::test]
async fn permits_bound_old_streams_and_new_ones_together() {
    let gate = Gate::new();
    let played = gate.clone();
    let upstream = Upstream::start(move |_| gated(&played)).await;
    let toml = |permits: usize, chars: usize| {
        let more = format!("max_concurrency = {permits}");
        model("test", &upstream, &more) + &format!("[chat]\nmax_content_chars = {chars}\n")
    };
    let gateway = TestGateway::start(&toml(3, 100)).await;
    let mut streams = Vec::new();
    for number in 0..8 {
        let asked = native("hi").to_string();
        streams.push(gateway.client.send("POST", "/api/chat", Some(&asked)).await);
        reload(&gateway, &toml(3, 101 + number)).await;
    }
    gateway.wait_for_metric("ai_gateway_permits_in_use{model=\"test\"}", "3").await;
    gateway.wait_for_metric("ai_gateway_queued_requests{model=\"test\"}", "5").await;
    assert_eq!(upstream.most_running(), 3);
    // One more permit: one of those that wait on an old configuration gets it.
    reload(&gateway, &toml(4, 1000)).await;
    gateway.wait_for_metric("ai_gateway_permits_in_use{model=\"test\"}", "4").await;
    upstream.wait_for_chats(4).await;
    gate.open();
    for answer in join_all(streams.into_iter().map(crate::client::Live::whole)).await {
        assert_eq!(answer.native_text(), "one two");
    }
    assert_eq!(upstream.most_running(), 4);
    gateway.wait_until_idle().await;
}

/// A model that was taken out and put back at once is bounded by what its old streams hold.
#[actix_web::test]
async fn a_model_that_comes_back_finds_its_permits() {
    let gate = Gate::new();
    let played = gate.clone();
    let upstream = Upstream::start(move |_| gated(&played)).await;
    let both = model("test", &upstream, "max_concurrency = 1") + &model("other", &upstream, "");
    let gateway = TestGateway::start(&both).await;
    let mut live = gateway.client.open("/api/chat", &to("test")).await;
    live.read_until("one").await;
    reload(&gateway, &model("other", &upstream, "")).await;
    reload(&gateway, &both).await;
    let late = gateway.client.send("POST", "/api/chat", Some(&to("test").to_string())).await;
    gateway.wait_for_metric("ai_gateway_queued_requests{model=\"test\"}", "1").await;
    gate.open();
    assert_eq!(live.whole().await.native_text(), "one two");
    assert_eq!(late.whole().await.native_text(), "one two");
    gateway.wait_until_idle().await;
}

fn two_targets(down: &Upstream, up: &Upstream, more: &str) -> String {
    let head = "[[models]]\nname = \"test\"\npolicy = \"weighted\"\n";
    let health = "[health]\nfailures_in_a_row = 1\nopen_seconds = 3600\nmax_open_seconds = 3600\n";
    format!("{head}{}{}{health}{more}", target("down", down), target("up", up))
}

#[actix_web::test]
async fn a_target_that_is_down_is_not_asked_again_because_of_a_reload() {
    let down = Upstream::start(|_| refusal(500, "", r#"{"error":{"message":"why"}}"#)).await;
    let up = Upstream::start(|_| openai_answer(&["up"])).await;
    let gateway = TestGateway::start(&two_targets(&down, &up, "")).await;
    for _ in 0..4 {
        assert_eq!(gateway.client.post("/api/chat", &native("hi")).await.native_text(), "up");
    }
    let asked = down.chats().len();
    assert_eq!(asked, 1, "it was left alone");
    for number in 1..=5 {
        reload(&gateway, &two_targets(&down, &up, &format!("[chat]\nmax_messages = {number}\n")))
            .await;
        assert_eq!(gateway.client.post("/api/chat", &native("hi")).await.native_text(), "up");
    }
    assert_eq!(down.chats().len(), asked);
    let list = gateway.client.get("/api/models").await.json();
    assert_eq!(list["models"][0]["targets"][0]["circuit"], "open", "{list}");
}

#[actix_web::test]
async fn a_key_opens_and_shuts_as_soon_as_it_is_reloaded() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let toml = |key: &str| model("test", &upstream, "") + &format!("[auth]\nkey = \"{key}\"\n");
    let gateway = TestGateway::start(&toml(KEY)).await;
    let [old, new] = [KEY, OTHER]
        .map(|key| gateway.client.with_header("Authorization", &format!("Bearer {key}")));
    let status = async || {
        let asked = native("hi");
        (old.post("/api/chat", &asked).await.status, new.post("/api/chat", &asked).await.status)
    };
    assert_eq!(status().await, (200, 401));
    reload(&gateway, &toml(OTHER)).await;
    // On either worker.
    for _ in 0..8 {
        assert_eq!(status().await, (401, 200));
    }
}

#[actix_web::test]
async fn the_rate_limit_is_not_forgotten_unless_it_changes() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let toml = |burst: usize, chars: usize| {
        let limits = format!("[rate_limits]\nrequests_per_minute = 1\nburst = {burst}\n");
        model("test", &upstream, "") + &limits + &format!("[chat]\nmax_content_chars = {chars}\n")
    };
    let gateway = TestGateway::start(&toml(1, 100)).await;
    assert_eq!(gateway.client.post("/api/chat", &native("hi")).await.status, 200);
    reload(&gateway, &toml(1, 200)).await;
    assert_eq!(gateway.client.post("/api/chat", &native("hi")).await.status, 429);
    reload(&gateway, &toml(2, 200)).await;
    assert_eq!(gateway.client.post("/api/chat", &native("hi")).await.status, 200);
}

/// The promise: under load nobody notices.
#[actix_web::test]
async fn a_hundred_reloads_under_load_cut_nothing_and_leave_nothing() {
    const CLIENTS: usize = 16;
    let pieces: Vec<_> = (0..20).map(|number| format!("{number} ")).collect();
    let whole = pieces.concat();
    let upstream = Upstream::start(move |_| {
        let tokens = pieces.iter().flat_map(|piece| [openai_token(piece), Step::Yield]);
        let mut steps: Vec<_> = std::iter::once(sse_head()).chain(tokens).collect();
        steps.extend(openai_end(7, 20));
        steps
    })
    .await;
    let spare = Upstream::start(|_| openai_answer(&["spare"])).await;
    // Each has another model beside it, another target and other limits.
    let toml = |number: usize| {
        let more =
            if number.is_multiple_of(2) { target("again", &upstream) } else { String::new() };
        let permits = 20 + number % 3;
        let first = format!("max_concurrency = {permits}\n");
        let fleet =
            format!("[[models]]\nname = \"test\"\n{}{first}{more}", target("first", &upstream));
        let beside = model(&format!("beside-{number}"), &spare, "");
        format!("active_model = \"test\"\n{fleet}{beside}")
    };
    let with_port = |number: usize| {
        let text = format!("{}\n[server]\nport = 0\nworkers = 2\n", toml(number));
        Config::parse(&text, []).unwrap_or_else(|faults| panic!("{faults}\n{text}")).config
    };
    let inner = tidegate::app::Gateway::start(with_port(0)).await.unwrap();
    let client = crate::client::Client::new(inner.address());
    let gateway = TestGateway { inner, client };
    let done = AtomicUsize::new(0);
    let answered = AtomicUsize::new(0);
    let ask = async || {
        while done.load(Ordering::SeqCst) == 0 {
            let answer = gateway.client.post("/api/chat", &native("hi")).await;
            assert_eq!((answer.status, answer.proper_end), (200, true), "{}", answer.text());
            assert_eq!(answer.native_text(), whole);
            answered.fetch_add(1, Ordering::SeqCst);
        }
    };
    let reloads = async {
        for number in 1..=100 {
            let result = gateway.inner.reload(with_port(number)).await;
            assert_eq!(result, ReloadResult::Applied);
            let before = answered.load(Ordering::SeqCst);
            until("the load goes on", async || answered.load(Ordering::SeqCst) > before).await;
        }
        done.store(1, Ordering::SeqCst);
    };
    tokio::join!(join_all((0..CLIENTS).map(|_| ask())), reloads);
    assert!(answered.load(Ordering::SeqCst) > CLIENTS, "there was a load");
    gateway.wait_until_idle().await;
    until("all are gone but one", async || gateway.inner.generations().await == 1).await;
    let metrics = gateway.client.get("/metrics").await.text();
    assert_eq!(metrics.matches("ai_gateway_upstream_up{").count(), 2, "{metrics}");
    assert!(metrics.contains("ai_gateway_upstream_up{model=\"beside-100\"} 1"), "{metrics}");
    assert_eq!(metrics.matches("ai_gateway_target_available{").count(), 3, "{metrics}");
}

/// A socket is opened once, and may live for days: its key is asked for again when keys have changed.
#[actix_web::test]
async fn a_socket_whose_key_is_gone_starts_nothing_more_and_its_streams_end_whole() {
    let gate = Gate::new();
    let played = gate.clone();
    let upstream = Upstream::start(move |_| gated(&played)).await;
    let toml = |key: &str| model("test", &upstream, "") + &format!("[auth]\nkey = \"{key}\"\n");
    let gateway = TestGateway::start(&toml(KEY)).await;
    let bearer = format!("Bearer {KEY}");
    let opened = Socket::open_with(gateway.address(), &[("authorization", &bearer)]).await;
    let mut socket = opened.unwrap_or_else(|status| panic!("{status}"));
    socket.start("before", "hi", json!({})).await;
    socket.some("before", 1).await;
    reload(&gateway, &(toml(KEY) + "[chat]\nmax_messages = 7\n")).await;
    socket.start("same key", "hi", json!({})).await;
    socket.some("same key", 1).await;

    reload(&gateway, &toml(OTHER)).await;
    socket.start("after", "hi", json!({})).await;
    let told = socket.told().await;
    assert_eq!((&told["ref"], &told["error"]), (&json!("after"), &json!("UNAUTHORIZED")), "{told}");
    socket.send(json!({"type": "authenticate", "key": OTHER})).await;
    assert_eq!(socket.told().await["type"], "authenticated");
    socket.start("again", "hi", json!({})).await;
    gate.open();
    let names = ["before", "same key", "again"];
    let whole = socket.follow(have_ended(&names)).await;
    assert!(names.iter().all(|name| whole[*name].text().ends_with("two")));
}
