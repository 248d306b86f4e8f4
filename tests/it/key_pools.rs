//! Several API keys for one upstream: used in turn, left alone when refused, told to nobody.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::client::{native, openai};
use crate::gateway::{TestGateway, openai_model};
use crate::process::Process;
use crate::upstream::{Seen, Step, Upstream, openai_answer, refusal};

const LIMITED: &str = r#"{"error":{"message":"slow down"}}"#;
/// No probe has its turn between two requests.
const QUIET: &str = "[health]\ninterval_seconds = 3600\n";

fn key_of(seen: &Seen) -> String {
    seen.header("authorization").unwrap_or_default().replace("Bearer ", "")
}

/// Refuses some keys with a status and a header line each, and answers all others.
async fn refusing(refused: &'static [(&'static str, u16, &'static str)]) -> Upstream {
    Upstream::start(move |seen| {
        let key = key_of(seen);
        let found = refused.iter().find(|(unwanted, ..)| *unwanted == key);
        found.map_or_else(
            || openai_answer(&["a"]),
            |(_, status, header)| refusal(*status, header, LIMITED),
        )
    })
    .await
}

async fn gateway(upstream: &Upstream, keys: &[&str], more: &str) -> TestGateway {
    let model = openai_model(upstream, &format!("api_keys = {keys:?}\n{more}"));
    TestGateway::start(&format!("{model}{QUIET}")).await
}

/// How often each key was used for a chat.
fn uses(upstream: &Upstream) -> BTreeMap<String, usize> {
    let mut uses = BTreeMap::new();
    for seen in upstream.chats() {
        *uses.entry(key_of(&seen)).or_default() += 1;
    }
    uses
}

async fn target(gateway: &TestGateway) -> Value {
    gateway.client.get("/api/models").await.json()["models"][0]["targets"][0].clone()
}

/// The value of a metric's series for the only target.
async fn counted(gateway: &TestGateway, name: &str, label: &str) -> String {
    let text = gateway.client.get("/metrics").await.text();
    let found = text.lines().find(|line| line.starts_with(name) && line.contains(label));
    found.and_then(|line| line.rsplit_once(' ')).expect("it has a series").1.to_owned()
}

async fn cooldowns(gateway: &TestGateway, reason: &str) -> String {
    counted(gateway, "ai_gateway_key_cooldowns_total", &format!("reason=\"{reason}\"")).await
}

#[actix_web::test]
async fn keys_have_their_turns_over_all_workers() {
    let upstream = refusing(&[]).await;
    let gateway = gateway(&upstream, &["a", "b", "c"], "").await;
    for _ in 0..12 {
        // Each over a connection of its own, and so on any worker.
        assert_eq!(gateway.client.post("/api/chat", &native("hi")).await.status, 200);
    }
    let all = ["a", "b", "c"].map(|key| (key.to_owned(), 4));
    assert_eq!(uses(&upstream), all.into());
    let target = target(&gateway).await;
    assert_eq!((&target["keys"], &target["keysCooling"]), (&json!(3), &json!(0)));
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_key_that_is_refused_is_left_alone_and_nobody_notices() {
    for (refused, reason) in [
        (&[("a", 429, "Retry-After: 30\r\n")], "rate_limited"),
        // Without a word for how long, and where SDKs should not try again.
        (&[("a", 429, "x-should-retry: false\r\n")], "rate_limited"),
        (&[("a", 401, "")], "unauthorized"),
        (&[("a", 403, "")], "unauthorized"),
    ] as [(&[_], _); 4]
    {
        let upstream = refusing(refused).await;
        let gateway = gateway(&upstream, &["a", "b"], "retry_budget_percent = 0").await;
        for path in ["/api/chat", "/v1/chat/completions", "/v1/chat/completions", "/api/chat"] {
            let body = if path == "/api/chat" { native("hi") } else { openai("hi", false) };
            let answer = gateway.client.post(path, &body).await;
            assert_eq!(answer.status, 200, "{refused:?}: {}", answer.text());
        }
        assert_eq!(uses(&upstream), [("a".to_owned(), 1), ("b".to_owned(), 4)].into());
        assert_eq!(cooldowns(&gateway, reason).await, "1");
        let retries = "ai_gateway_upstream_retries_total";
        assert_eq!(counted(&gateway, retries, "reason=\"other_key\"").await, "1");
        let results = "ai_gateway_target_requests_total";
        assert_eq!(counted(&gateway, results, "result=\"answered\"").await, "4");
        assert_eq!(counted(&gateway, results, "result=\"busy\"").await, "0");
        let target = target(&gateway).await;
        assert_eq!((&target["keysCooling"], &target["circuit"]), (&json!(1), &json!("closed")));
        gateway.wait_until_idle().await;
        assert_eq!(gateway.outcomes("completed").await, 4);
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn when_all_keys_are_left_alone_the_upstream_is_not_asked() {
    let limits = &[("a", 429, "Retry-After: 20\r\n"), ("b", 429, "Retry-After: 30\r\n")];
    let upstream = refusing(limits).await;
    let gateway = gateway(&upstream, &["a", "b"], "").await;
    for _ in 0..3 {
        let answer = gateway.client.post("/v1/chat/completions", &openai("hi", true)).await;
        assert_eq!(answer.status, 429, "{}", answer.text());
        let seconds: u32 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=20).contains(&seconds), "{seconds} s, and the first is used in 20");
        assert_eq!(upstream.chats().len(), 2, "each key was refused once");
    }
    assert_eq!(cooldowns(&gateway, "rate_limited").await, "2");
    assert_eq!(target(&gateway).await["keysCooling"], 2);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn keys_that_are_all_unknown_are_not_sent_again_and_again() {
    let upstream = refusing(&[("a", 401, ""), ("b", 401, "")]).await;
    let gateway = gateway(&upstream, &["a", "b"], "").await;
    for _ in 0..3 {
        let answer = gateway.client.post("/api/chat", &native("hi")).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (502, &json!("UPSTREAM_UNAUTHORIZED"))
        );
    }
    assert_eq!(upstream.chats().len(), 2);
    gateway.inner.shutdown().await;
}

/// What one client asks for may be what is forbidden: others need the last key.
#[actix_web::test]
async fn what_is_forbidden_to_all_keys_does_not_take_the_last_one() {
    let upstream = Upstream::start(|seen| {
        if seen.body.contains("forbidden") {
            refusal(403, "", LIMITED)
        } else {
            openai_answer(&["a"])
        }
    })
    .await;
    let gateway = gateway(&upstream, &["a", "b"], "").await;
    for _ in 0..2 {
        let answer = gateway.client.post("/api/chat", &native("forbidden")).await;
        assert_eq!(answer.status, 502, "{}", answer.text());
        assert_eq!(gateway.client.post("/api/chat", &native("hi")).await.status, 200);
    }
    assert_eq!(target(&gateway).await["keysCooling"], 1);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_request_tries_no_more_keys_than_it_has_attempts() {
    const RETRY: &str = "Retry-After: 30\r\n";
    let limits = &[("a", 429, RETRY), ("b", 429, RETRY), ("c", 429, RETRY), ("d", 429, RETRY)];
    let upstream = refusing(limits).await;
    let gateway = gateway(&upstream, &["a", "b", "c", "d", "e"], "max_attempts = 2").await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let before = upstream.chats().len();
        let answer = gateway.client.post("/api/chat", &native("hi")).await;
        if answer.status == 429 {
            assert_eq!(answer.header("retry-after"), Some("1"), "there is a key that is used");
            assert_eq!(upstream.chats().len() - before, 2);
        }
        statuses.push(answer.status);
    }
    assert_eq!(statuses[2], 200, "{statuses:?}");
    assert!(statuses.contains(&429), "five keys and two attempts");
    assert_eq!(target(&gateway).await["circuit"], "closed", "the upstream is not to blame");
    let results = "ai_gateway_target_requests_total";
    let busy = statuses.iter().filter(|status| **status == 429).count();
    assert_eq!(counted(&gateway, results, "result=\"busy\"").await, busy.to_string());
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_key_that_is_alone_is_used_whatever_is_said_of_it() {
    for status in [429, 401, 403] {
        let script = move |_: &Seen| refusal(status, "Retry-After: 30\r\n", LIMITED);
        let upstream = Upstream::start(script).await;
        let gateway = gateway(&upstream, &["a"], "").await;
        for asked in 1..=3 {
            assert!(gateway.client.post("/api/chat", &native("hi")).await.status >= 400);
            assert_eq!(upstream.chats().len(), asked);
        }
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn a_target_whose_keys_are_all_used_up_is_left_for_another() {
    let limits = &[("a", 429, "Retry-After: 30\r\n"), ("b", 429, "Retry-After: 30\r\n")];
    let (one, two) = (refusing(limits).await, refusing(&[]).await);
    let gateway = TestGateway::start(&format!(
        "[[models]]\nname = \"test\"\nprovider = \"openai\"\nmax_attempts = 3\n\
         [[models.targets]]\nbase_url = \"{}\"\napi_keys = [\"a\", \"b\"]\n\
         [[models.targets]]\nbase_url = \"{}\"\napi_key = \"c\"\n{QUIET}",
        one.openai_url(),
        two.openai_url()
    ))
    .await;
    for _ in 0..30 {
        assert_eq!(gateway.client.post("/api/chat", &native("hi")).await.status, 200);
    }
    assert_eq!(uses(&one), ["a", "b"].map(|key| (key.to_owned(), 1)).into());
    assert_eq!(uses(&two), [("c".to_owned(), 30)].into());
    let target = target(&gateway).await;
    assert_eq!((&target["circuit"], &target["keysCooling"]), (&json!("cooling"), &json!(2)));
    gateway.inner.shutdown().await;
}

/// A probe with a bad key says something about that key, and nothing about the upstream.
#[actix_web::test]
async fn an_upstream_that_refuses_one_key_is_there() {
    for unwanted in ["a", "b"] {
        let upstream = refusing(&[]).await;
        upstream.refuse_key(unwanted);
        let gateway = gateway(&upstream, &["a", "b"], "").await;
        for _ in 0..2 {
            assert_eq!(gateway.client.post("/api/chat", &native("hi")).await.status, 200);
        }
        let target = target(&gateway).await;
        assert_eq!((&target["status"], &target["keysCooling"]), (&json!("reachable"), &json!(1)));
        assert_eq!(cooldowns(&gateway, "unauthorized").await, "1");
        gateway.inner.shutdown().await;
    }
}

const CANARIES: [&str; 3] =
    ["sk-canary-one-0123456789", "sk-canary-two-0123456789", "sk-canary-three-0123456789"];

/// Tells all keys, whichever was sent.
fn quoting(seen: &Seen) -> Vec<Step> {
    let told = format!("none of {} is {}", CANARIES.join(" "), key_of(seen));
    let error = json!({"error": {"message": told, "code": null}}).to_string();
    match seen.body.as_str() {
        body if body.contains("unknown") => refusal(401, "", &error),
        body if body.contains("limited") => refusal(429, "Retry-After: 0\r\n", &error),
        body if body.contains("told") => {
            let event = format!("data: {error}\n\n");
            let mut steps = openai_answer(&["a"]);
            steps.truncate(2);
            steps.push(Step::Chunk(event.into()));
            steps
        }
        _ => refusal(500, "", &error),
    }
}

#[actix_web::test]
async fn no_key_is_told_and_one_that_is_not_accepted_is_logged_once_by_its_number() {
    let upstream = Upstream::start(quoting).await;
    let toml = openai_model(&upstream, "api_key_envs = [\"ONE\", \"TWO\", \"THREE\"]");
    let [one, two, three] = CANARIES;
    let environment = [
        ("LOG_LEVEL", "trace"),
        ("RUST_LOG", "trace"),
        ("ONE", one),
        ("TWO", two),
        ("THREE", three),
    ];
    let gateway = Process::start_with(&environment, &format!("{toml}{QUIET}")).await;
    let mut told = String::new();
    for prompt in ["failed", "told", "limited", "unknown", "unknown", "unknown"] {
        for stream in [true, false] {
            let body = openai(prompt, stream);
            let answer = gateway.client.post("/v1/chat/completions", &body).await;
            told += &answer.head;
            told += &answer.text();
        }
    }
    assert!(told.contains("********"), "what was quoted is hidden: {told}");
    for path in ["/api/models", "/metrics"] {
        told += &gateway.client.get(path).await.text();
    }
    let sent: String = upstream.chats().iter().map(|seen| seen.head.clone()).collect();
    assert!(CANARIES.iter().all(|key| sent.contains(key)), "all of them are sent");
    let (code, log) = gateway.terminate().await;
    assert_eq!(code, Some(0));
    for number in 1..=3 {
        let named = format!("\"key\":{number}");
        let lines = log.iter().filter(|line| line.contains("does not accept this API key"));
        assert_eq!(lines.filter(|line| line.contains(&named)).count(), 1, "key {number}");
    }
    let all = told + &log.join("\n");
    for part in ["canary", "0123456789", "sk-can"] {
        let found = all.lines().find(|line| line.contains(part));
        assert_eq!(found, None, "`{part}`");
    }
}
