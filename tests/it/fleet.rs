//! A model with several targets: what one of them cannot give another does, unseen by the client, as
//! long as nothing of the answer was passed on.

use serde_json::json;

use crate::client::{native, native_whole, openai};
use crate::gateway::TestGateway;
use crate::upstream::{
    Gate, Seen, Step, Upstream, ollama_answer, openai_answer, openai_end, openai_token, refusal,
    sse_head,
};

const FAILED: &str = r#"{"error":{"message":"no"}}"#;

/// The configuration of the model `test` with these targets, each a name and its keys.
pub fn fleet(targets: &[(&str, String)], more: &str) -> String {
    let each = targets
        .iter()
        .map(|(name, keys)| format!("[[models.targets]]\nname = \"{name}\"\n{keys}\n"));
    format!("[[models]]\nname = \"test\"\n{more}\n{}", each.collect::<String>())
}

pub fn at(upstream: &Upstream) -> String {
    format!("provider = \"openai\"\nbase_url = \"{}\"", upstream.openai_url())
}

/// A gateway before `bad`, which every request is sent to first, and `good`.
async fn bad_first(bad: &Upstream, good: &Upstream, more: &str) -> TestGateway {
    let targets = [("bad", at(bad)), ("good", format!("{}\ninput_price = 1", at(good)))];
    TestGateway::start(&fleet(&targets, &format!("policy = \"cheapest\"\n{more}"))).await
}

async fn failovers(gateway: &TestGateway, cause: &str, count: usize) {
    let series = format!("ai_gateway_failovers_total{{cause=\"{cause}\",model=\"test\"}}");
    gateway.wait_for_metric(&series, &count.to_string()).await;
}

async fn results(gateway: &TestGateway, target: &str, result: &str, count: usize) {
    let series = format!(
        "ai_gateway_target_requests_total{{model=\"test\",result=\"{result}\",target=\"{target}\"}}"
    );
    gateway.wait_for_metric(&series, &count.to_string()).await;
}

#[actix_web::test]
async fn whatever_a_target_does_before_the_first_piece_another_answers() {
    let role = r#"data: {"choices":[{"delta":{"role":"assistant","content":null}}]}"#;
    let role = || Step::Chunk(format!("{role}\n\n").into_bytes());
    let error = || Step::Chunk(b"data: {\"error\":{\"message\":\"no\"}}\n\n".to_vec());
    for (steps, cause) in [
        (refusal(500, "", FAILED), "refused"),
        (refusal(503, "", FAILED), "refused"),
        (refusal(429, "", FAILED), "rate_limited"),
        (refusal(429, "Retry-After: 7\r\n", FAILED), "rate_limited"),
        (refusal(404, "", FAILED), "refused"),
        (refusal(401, "", FAILED), "refused"),
        (vec![Step::Close], "refused"),
        (vec![Step::Reset], "refused"),
        (vec![sse_head(), Step::Close], "refused"),
        (vec![sse_head(), role(), Step::Close], "refused"),
        (vec![sse_head(), role(), error(), Step::EndOfBody], "refused"),
        (vec![sse_head(), Step::EndOfBody], "refused"),
    ] {
        for (path, body) in [
            ("/api/chat", native("hi")),
            ("/api/chat", native_whole("hi")),
            ("/v1/chat/completions", openai("hi", true)),
        ] {
            let steps = steps.clone();
            let bad = Upstream::start(move |_| steps.clone()).await;
            let good = Upstream::start(|_| openai_answer(&["good", " answer"])).await;
            let gateway = bad_first(&bad, &good, "").await;
            let answer = gateway.client.post(path, &body).await;
            assert_eq!(answer.status, 200, "{cause} {path}: {}", answer.text());
            assert!(answer.text().contains(" answer"), "{}", answer.text());
            assert!(!answer.text().contains("error"), "{}", answer.text());
            assert_eq!((bad.chats().len(), good.chats().len()), (1, 1), "{cause} {path}");
            failovers(&gateway, cause, 1).await;
            gateway.wait_until_idle().await;
            assert_eq!(gateway.all_outcomes().await, [("completed".to_owned(), 1)]);
            gateway.inner.shutdown().await;
        }
    }
}

#[actix_web::test]
async fn behind_the_first_piece_no_other_target_is_asked() {
    let bad = Upstream::start(|_| vec![sse_head(), openai_token("one"), Step::Close]).await;
    let good = Upstream::start(|_| openai_answer(&["good"])).await;
    let gateway = bad_first(&bad, &good, "").await;
    let answer = gateway.client.post("/api/chat", &native("hi")).await;
    assert!(answer.text().contains("TRUNCATED"), "{}", answer.text());
    assert_eq!((bad.chats().len(), good.chats().len()), (1, 0));
    results(&gateway, "bad", "failed", 1).await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn what_the_request_is_to_blame_for_is_told_by_the_first() {
    let bad = Upstream::start(|_| refusal(400, "", FAILED)).await;
    let good = Upstream::start(|_| openai_answer(&["good"])).await;
    let gateway = bad_first(&bad, &good, "").await;
    assert_eq!(gateway.client.post("/api/chat", &native("hi")).await.status, 400);
    assert_eq!((bad.chats().len(), good.chats().len()), (1, 0));
    results(&gateway, "bad", "refused", 1).await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_target_that_hangs_is_left_for_another_and_closed() {
    let bad = Upstream::start(|_| vec![sse_head(), Step::Silence]).await;
    let good = Upstream::start(|_| openai_answer(&["good"])).await;
    let gateway = bad_first(&bad, &good, "first_token_timeout_seconds = 0.2").await;
    let answer = gateway.client.post("/api/chat", &native("hi")).await;
    assert_eq!(answer.native_text(), "good");
    bad.wait_for_aborts(1).await;
    failovers(&gateway, "timeout", 1).await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_fleet_that_is_down_is_asked_twice_for_a_request_and_then_not_at_all() {
    let all: Vec<_> =
        futures::future::join_all((0..4).map(|_| Upstream::start(|_| refusal(500, "", FAILED))))
            .await;
    let targets: Vec<_> = all.iter().map(at).collect();
    let names = ["a", "b", "c", "d"];
    let targets: Vec<_> = names.into_iter().zip(targets).collect();
    let toml = fleet(&targets, "") + "[health]\nfailures_in_a_row = 3\nopen_seconds = 60\n";
    let gateway = TestGateway::start(&toml).await;
    let asked = || all.iter().map(|upstream| upstream.chats().len()).sum::<usize>();
    let mut last = 0;
    let refused = loop {
        let answer = gateway.client.post("/api/chat", &native("hi")).await;
        let made = asked() - last;
        last = asked();
        assert!(made <= 2, "{made} attempts for one request");
        if answer.json()["error"] == "NO_TARGET" {
            break answer;
        }
        assert_eq!(answer.json()["error"], "UPSTREAM_ERROR");
        assert!(last <= 4 * 3 + 2, "{last} attempts, and no circuit is open");
    };
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some());
    for _ in 0..10 {
        assert_eq!(gateway.client.post("/api/chat", &native("hi")).await.status, 503);
    }
    assert_eq!(asked(), last, "nobody is asked any more");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn no_target_gets_more_than_it_takes_and_who_must_wait_gets_the_first_that_is_free() {
    let gate = Gate::new();
    let one = Upstream::gated(&gate).await;
    let two = Upstream::gated(&gate).await;
    let targets = [("one", at(&one)), ("two", at(&two))];
    let gateway = TestGateway::start(&fleet(&targets, "max_concurrency = 1")).await;
    let body = native("hi");
    let mut running = Vec::new();
    for _ in 0..2 {
        let mut live = gateway.client.open("/api/chat", &body).await;
        live.read_until("one").await;
        running.push(live);
    }
    assert_eq!((one.running(), two.running()), (1, 1));
    let text = body.to_string();
    let third = gateway.client.send("POST", "/api/chat", Some(&text)).await;
    gateway.wait_for_metric("ai_gateway_queued_requests{model=\"test\"}", "1").await;
    gate.open();
    for live in running.into_iter().chain([third]) {
        assert_eq!(live.whole().await.native_text(), "one two");
    }
    assert_eq!((one.most_running(), two.most_running()), (1, 1));
    gateway.wait_until_idle().await;
    gateway.inner.shutdown().await;
}

/// The other has its only place taken when the first fails: the request waits for it.
#[actix_web::test]
async fn who_comes_from_a_target_that_failed_waits_for_one_that_is_busy() {
    let (fails, ends) = (Gate::new(), Gate::new());
    let failing = fails.clone();
    let bad = Upstream::start(move |_| vec![Step::Gate(failing.clone()), Step::Close]).await;
    let good = Upstream::gated(&ends).await;
    let gateway = bad_first(&bad, &good, "max_concurrency = 1").await;
    let body = native("hi").to_string();
    let first = gateway.client.send("POST", "/api/chat", Some(&body)).await;
    bad.wait_for_chats(1).await;
    let mut second = gateway.client.send("POST", "/api/chat", Some(&body)).await;
    second.read_until("one").await;
    fails.open();
    bad.wait_for_aborts(1).await;
    assert_eq!(good.chats().len(), 1, "it has no place for another");
    ends.open();
    assert_eq!(second.whole().await.native_text(), "one two");
    assert_eq!(first.whole().await.native_text(), "one two");
    assert_eq!(good.most_running(), 1);
    gateway.wait_until_idle().await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_target_of_another_kind_answers_in_the_clients_dialect_too() {
    let bad = Upstream::start(|_| refusal(500, "", FAILED)).await;
    let good = Upstream::start(|_| ollama_answer(&["by", " ollama"])).await;
    let ollama = format!("provider = \"ollama\"\nbase_url = \"{}\"", good.ollama_url());
    for (path, body, text) in [
        ("/v1/chat/completions", openai("hi", true), "\"content\":\" ollama\""),
        ("/v1/chat/completions", openai("hi", false), "by ollama"),
        ("/api/chat", native("hi"), " ollama"),
    ] {
        let targets = [("bad", at(&bad)), ("good", format!("{ollama}\ninput_price = 1"))];
        let gateway = TestGateway::start(&fleet(&targets, "policy = \"cheapest\"")).await;
        let answer = gateway.client.post(path, &body).await;
        assert!(answer.text().contains(text), "{path} {}", answer.text());
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn a_request_may_choose_where_the_model_lets_it() {
    let one = Upstream::start(|_| openai_answer(&["one"])).await;
    let two = Upstream::start(|_| openai_answer(&["two"])).await;
    let targets = [("one", at(&one)), ("two", at(&two))];
    let body = native("hi");
    for (more, allowed) in [("choose_target = true", true), ("", false)] {
        let gateway = TestGateway::start(&fleet(&targets, more)).await;
        for name in ["one", "two"] {
            let wants = gateway.client.with_header("X-Target", name);
            let by_header = wants.post("/api/chat", &body).await;
            let mut named = body.clone();
            named["model"] = json!(format!("test@{name}"));
            let by_name = gateway.client.post("/api/chat", &named).await;
            for answer in [by_header, by_name] {
                if allowed {
                    assert_eq!(answer.native_text(), name);
                } else {
                    assert_eq!(answer.status, 400);
                    assert!(answer.text().contains("does not let"), "{}", answer.text());
                }
            }
        }
        let wants = gateway.client.with_header("X-Target", "x");
        let unknown = wants.post("/api/chat", &body).await;
        assert_eq!((unknown.status, unknown.text().contains("one, two")), (400, allowed));
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn a_busy_target_is_left_alone_for_as_long_as_it_says() {
    let bad = Upstream::start(|_| refusal(429, "Retry-After: 50\r\n", FAILED)).await;
    let good = Upstream::start(|_| openai_answer(&["good"])).await;
    let gateway = bad_first(&bad, &good, "").await;
    for _ in 0..10 {
        assert_eq!(gateway.client.post("/api/chat", &native("hi")).await.native_text(), "good");
    }
    assert_eq!((bad.chats().len(), good.chats().len()), (1, 10));
    let models = gateway.client.get("/api/models").await.json();
    assert_eq!(models["models"][0]["targets"][0]["circuit"], "cooling", "{models}");
    assert_eq!(models["models"][0]["targets"][1]["circuit"], "closed", "{models}");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn the_list_tells_which_target_answers() {
    let gate = Gate::new();
    let bad = Upstream::start(|_| refusal(500, "", FAILED)).await;
    let good = Upstream::gated(&gate).await;
    let gateway = bad_first(&bad, &good, "").await;
    let mut live = gateway.client.open("/api/chat", &native("hi")).await;
    live.read_until("one").await;
    let list = gateway.client.get("/api/chat/streams").await.json();
    let stream = &list["streams"][0];
    assert_eq!((&stream["target"], &stream["attempts"]), (&json!("good"), &json!(2)), "{list}");
    gate.open();
    live.whole().await;
    results(&gateway, "good", "answered", 1).await;
    gateway.inner.shutdown().await;
}

/// Many at once, from a fleet in which everything goes wrong that can go wrong.
#[actix_web::test]
async fn nobody_sees_what_goes_wrong_where_any_target_can_answer() {
    const REQUESTS: usize = 200;
    let answers = |_: &Seen| {
        let mut steps = vec![sse_head(), Step::Yield, openai_token("a")];
        steps.extend(openai_end(7, 1));
        steps
    };
    let turn = std::sync::atomic::AtomicUsize::new(0);
    let fails_often =
        move |seen: &Seen| match turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst) % 5 {
            0 => refusal(500, "", FAILED),
            _ => answers(seen),
        };
    let good = [Upstream::start(answers).await, Upstream::start(answers).await];
    let flaky = Upstream::start(fails_often).await;
    let hangs = Upstream::start(|_| vec![sse_head(), Step::Silence]).await;
    let dead = "provider = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"".to_owned();
    let targets = [
        ("hangs", at(&hangs)),
        ("dead", dead),
        ("flaky", at(&flaky)),
        ("good-1", at(&good[0])),
        ("good-2", at(&good[1])),
    ];
    // Room for all at those that work: who has none must take what there is.
    let more = "first_token_timeout_seconds = 2\nmax_concurrency = 1000";
    let gateway = TestGateway::start(&fleet(&targets, more)).await;
    let body = native("hi");
    let asked = (0..REQUESTS).map(|_| gateway.client.post("/api/chat", &body));
    let answers = futures::future::join_all(asked).await;
    for answer in &answers {
        assert_eq!((answer.status, answer.native_text().as_str()), (200, "a"), "{}", answer.text());
    }
    gateway.wait_until_idle().await;
    assert_eq!(gateway.outcomes("completed").await, answers.len() as u64);
    gateway.inner.shutdown().await;
}

/// A pooled connection that is closed just when it is used says nothing about the target.
#[actix_web::test]
async fn stale_connections_are_no_targets_fault() {
    let once = |seen: &Seen| match seen.earlier {
        0 => openai_answer(&["a"]),
        _ => vec![Step::Close],
    };
    let upstream = Upstream::start(once).await;
    let other = "provider = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"".to_owned();
    let gateway = TestGateway::start(&fleet(&[("one", at(&upstream)), ("gone", other)], "")).await;
    for _ in 0..10 {
        assert_eq!(gateway.client.post("/api/chat", &native("hi")).await.native_text(), "a");
    }
    results(&gateway, "one", "answered", 10).await;
    results(&gateway, "one", "failed", 0).await;
    let models = gateway.client.get("/api/models").await.json();
    assert_eq!(models["models"][0]["targets"][0]["circuit"], "closed", "{models}");
    gateway.inner.shutdown().await;
}
