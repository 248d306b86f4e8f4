//! Where a model cannot answer another may, by what was wrong; what a request needs decides who is asked.

use serde_json::{Value, json};

use crate::client::{native, native_whole, openai};
use crate::fleet::{at, fleet};
use crate::gateway::TestGateway;
use crate::upstream::{Step, Upstream, openai_answer, openai_token, refusal, sse_head};

const NO: &str = r#"{"error":{"message":"no"}}"#;
const TOO_LONG: &str = r#"{"error":{"message":"too long","code":"context_length_exceeded"}}"#;

/// A gateway before `test`, for which `spare` is asked instead.
pub async fn before(test: &str, spare: &str, cause: &str) -> TestGateway {
    let toml = format!(
        "[[models]]\nname = \"test\"\n{test}\n[models.fallback]\n{cause} = [\"spare\"]\n\
         [[models]]\nname = \"spare\"\n{spare}\n"
    );
    TestGateway::start(&toml).await
}

async fn fallbacks(gateway: &TestGateway, cause: &str, result: &str) {
    let labels = format!("cause=\"{cause}\",model=\"test\",result=\"{result}\"");
    gateway.wait_for_metric(&format!("ai_gateway_fallbacks_total{{{labels}}}"), "1").await;
}

fn steps(cause: &str) -> Vec<Step> {
    match cause {
        "refused" => refusal(500, "", NO),
        "rate_limited" => refusal(429, "", NO),
        "context" => refusal(400, "", TOO_LONG),
        _ => vec![sse_head(), Step::Silence],
    }
}

#[actix_web::test]
async fn another_model_answers_by_what_was_wrong() {
    for cause in ["refused", "rate_limited", "context", "timeout"] {
        for (path, body) in [
            ("/api/chat", native("hi")),
            ("/api/chat", native_whole("hi")),
            ("/v1/chat/completions", openai("hi", true)),
        ] {
            let test = Upstream::start(move |_| steps(cause)).await;
            let spare = Upstream::start(|_| openai_answer(&["the", " spare"])).await;
            let patience = "first_token_timeout_seconds = 0.2\nmax_attempts = 1";
            let gateway = before(&format!("{}\n{patience}", at(&test)), &at(&spare), cause).await;
            let answer = gateway.client.post(path, &body).await;
            assert_eq!(answer.status, 200, "{cause} {path}: {}", answer.text());
            assert!(answer.text().contains(" spare"), "{cause} {path}: {}", answer.text());
            assert_eq!((test.chats().len(), spare.chats().len()), (1, 1));
            fallbacks(&gateway, cause, "answered").await;
            gateway.wait_until_idle().await;
            gateway.wait_for_metric("ai_gateway_permits_in_use{model=\"spare\"}", "0").await;
            gateway.inner.shutdown().await;
        }
    }
}

#[actix_web::test]
async fn for_another_reason_nobody_else_is_asked() {
    for (cause, chain) in [("context", "refused"), ("refused", "context"), ("timeout", "refused")] {
        let test = Upstream::start(move |_| steps(cause)).await;
        let spare = Upstream::start(|_| openai_answer(&["spare"])).await;
        let patience = "first_token_timeout_seconds = 0.2\nmax_attempts = 1";
        let gateway = before(&format!("{}\n{patience}", at(&test)), &at(&spare), chain).await;
        let answer = gateway.client.post("/api/chat", &native("hi")).await;
        assert_ne!(answer.status, 200, "{cause} {chain}");
        assert_eq!(spare.chats().len(), 0, "{cause} {chain}");
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn where_the_other_fails_too_the_first_failure_is_told() {
    let test = Upstream::start(|_| refusal(500, "", r#"{"error":{"message":"first"}}"#)).await;
    let spare = Upstream::start(|_| refusal(429, "", NO)).await;
    let gateway = before(&at(&test), &at(&spare), "refused").await;
    let answer = gateway.client.post("/api/chat", &native("hi")).await;
    assert_eq!((answer.status, answer.text().contains("first")), (502, true), "{}", answer.text());
    fallbacks(&gateway, "refused", "failed").await;
    gateway.wait_until_idle().await;
    gateway.inner.shutdown().await;
}

/// Asks a fleet of one that can do little, and one that can do more.
async fn asked(little: &str, more: &str, body: &Value) -> (u16, usize, usize, String) {
    let weak = Upstream::start(|_| openai_answer(&["weak"])).await;
    let able = Upstream::start(|_| openai_answer(&["able"])).await;
    let targets =
        [("weak", format!("{}\n{little}", at(&weak))), ("able", format!("{}\n{more}", at(&able)))];
    let gateway = TestGateway::start(&fleet(&targets, "")).await;
    let answer = gateway.client.post("/v1/chat/completions", body).await;
    gateway.wait_until_idle().await;
    gateway.inner.shutdown().await;
    (answer.status, weak.chats().len(), able.chats().len(), answer.text())
}

#[actix_web::test]
async fn only_those_that_can_do_what_is_needed_are_asked() {
    let tool = json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
    let image = json!([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]);
    let sound = json!([{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]);
    let long = "x".repeat(4000);
    let with = |key: &str, value: Value| {
        let mut body = openai("hi", true);
        body[key] = value;
        body
    };
    let saying = |content: Value| with("messages", json!([{"role": "user", "content": content}]));
    for (key, body) in [
        ("tools = false", with("tools", tool)),
        ("images = false", saying(image)),
        ("audio = false", saying(sound)),
        ("context_length = 500", saying(json!(long))),
        ("context_length = 500", with("max_tokens", json!(600))),
    ] {
        for _ in 0..4 {
            let (status, weak, able, text) = asked(key, "", &body).await;
            assert_eq!((status, weak, able), (200, 0, 1), "{key}: {text}");
        }
        let (status, weak, able, text) = asked(key, key, &body).await;
        assert_eq!((status, weak, able), (400, 0, 0), "{key}: {text}");
        let is_long = text.contains("context_length_exceeded");
        assert_eq!(is_long, key.starts_with("context"), "{text}");
    }
}

#[actix_web::test]
async fn what_no_target_can_do_another_model_may() {
    let test = Upstream::start(|_| openai_answer(&["test"])).await;
    let spare = Upstream::start(|_| openai_answer(&["spare"])).await;
    let weak = format!("{}\ncontext_length = 500", at(&test));
    let gateway = before(&weak, &at(&spare), "context").await;
    let body = openai(&"x".repeat(4000), true);
    let answer = gateway.client.post("/v1/chat/completions", &body).await;
    assert_eq!(answer.openai_text(), "spare");
    assert_eq!((test.chats().len(), spare.chats().len()), (0, 1));
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn an_answer_that_breaks_off_goes_on_at_another_target_of_its_model() {
    let dies = vec![sse_head(), openai_token("one"), openai_token(" two"), Step::Close];
    let dying = Upstream::start(move |_| dies.clone()).await;
    let spare = Upstream::start(|_| openai_answer(&[" three"])).await;
    let targets = [
        ("dying", at(&dying)),
        ("spare", format!("{}\ncontinues = true\ninput_price = 1", at(&spare))),
    ];
    let gateway = TestGateway::start(&fleet(&targets, "policy = \"cheapest\"")).await;
    let answer = gateway.client.post("/api/chat", &native("count")).await;
    assert_eq!(answer.native_text(), "one two three");
    let messages = spare.chats()[0].json()["messages"].clone();
    assert_eq!(messages[1], json!({"role": "assistant", "content": "one two"}), "{messages}");
    gateway.wait_until_idle().await;
    gateway.inner.shutdown().await;
}

/// Far too many a second are wanted, so that any pace is too slow; only that is why it is left.
#[actix_web::test]
async fn one_that_crawls_is_left_where_another_can_go_on() {
    const TOKENS: usize = 500;
    let slow = Upstream::start(move |_| {
        let tokens = (0..TOKENS).flat_map(|_| [openai_token("x"), Step::Yield]);
        [sse_head()].into_iter().chain(tokens).chain([Step::Silence]).collect()
    })
    .await;
    let spare = Upstream::start(|_| openai_answer(&["!"])).await;
    let more = "min_tokens_per_second = 100000\nslow_after_seconds = 0.001";
    let toml = format!(
        "[[models]]\nname = \"test\"\n{}\n{more}\ncontinue_on = [\"spare\"]\n\
         [[models]]\nname = \"spare\"\n{}\ncontinues = true\n",
        at(&slow),
        at(&spare)
    );
    let gateway = TestGateway::start(&toml).await;
    let answer = gateway.client.post("/api/chat", &native("count")).await;
    let text = answer.native_text();
    assert!(text.ends_with("x!") && text.len() <= TOKENS + 1, "{}", answer.text());
    slow.wait_for_aborts(1).await;
    gateway.wait_until_idle().await;
    assert_eq!(gateway.outcomes("completed").await, 1);
    gateway.inner.shutdown().await;
}
