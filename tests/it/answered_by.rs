//! Who answered, whom a request went to and what that came to, where several were asked: by the access
//! record, the list of streams and the metrics.

use serde_json::{Value, json};

use crate::client::native;
use crate::continuation::ollama_kind;
use crate::fleet::{at, fleet};
use crate::gateway::TestGateway;
use crate::hedging::{LATE, SAMPLES, hedges, models, paced, prompt, sometimes_late};
use crate::records::{Folder, until};
use crate::upstream::{Gate, Step, Upstream, ollama_answer, openai_answer, refusal};

const NO: &str = r#"{"error":{"message":"no"}}"#;

/// The record of the last of so many streams, once all are there.
async fn last_of(folder: &Folder, count: usize) -> Value {
    let streams = || {
        let records = folder.records().into_iter();
        records.filter(|record| record.get("outcome").is_some()).collect::<Vec<_>>()
    };
    until("a record of each stream", || streams().len() == count).await;
    streams().pop().unwrap()
}

/// Who answered: `[model, provider, target, answered_by]`.
fn who(record: &Value) -> [&Value; 4] {
    ["model", "provider", "target", "answered_by"].map(|field| &record[field])
}

async fn upstream_failures(gateway: &TestGateway, kind: &str, count: usize) {
    let series = format!("ai_gateway_upstream_failures_total{{kind=\"{kind}\",model=\"test\"}}");
    gateway.wait_for_metric(&series, &count.to_string()).await;
}

#[actix_web::test]
async fn the_record_of_a_hedged_answer_names_who_gave_it() {
    let folder = Folder::new();
    let gate = Gate::new();
    let test = sometimes_late(&gate).await;
    let second = Upstream::start(|_| vec![Step::Silence]).await;
    let toml = models(&at(&test), &ollama_kind(&second), "hedge_percent = 20");
    let gateway = paced(&(folder.config() + &toml)).await;
    let body = native(LATE);
    let opening = async {
        second.wait_for_chats(1).await;
        gate.open();
    };
    let (live, ()) = futures::join!(gateway.client.open("/api/chat", &body), opening);
    live.whole().await;
    hedges(&gateway, "lost", 1).await;
    let record = last_of(&folder, SAMPLES + 1).await;
    // A target without a name of its own has that of its kind.
    let openai = &json!("openai");
    assert_eq!(who(&record), [&json!("test"), openai, openai, &Value::Null]);
    assert_eq!(record["attempts"], 2);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn the_record_of_a_hedge_that_won_names_the_other_model() {
    let folder = Folder::new();
    let test = sometimes_late(&Gate::new()).await;
    let second = Upstream::start(|_| ollama_answer(&["second"])).await;
    let toml = models(&at(&test), &ollama_kind(&second), "hedge_percent = 20");
    let gateway = paced(&(folder.config() + &toml)).await;
    assert_eq!(gateway.client.post("/api/chat", &native(LATE)).await.native_text(), "second");
    hedges(&gateway, "won", 1).await;
    let record = last_of(&folder, SAMPLES + 1).await;
    let ollama = &json!("ollama");
    assert_eq!(who(&record), [&json!("test"), ollama, ollama, &json!("second")]);
    upstream_failures(&gateway, "UPSTREAM_TIMEOUT", 0).await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn in_a_mixed_fleet_the_kind_is_that_of_the_target() {
    let folder = Folder::new();
    let bad = Upstream::start(|_| refusal(500, "", NO)).await;
    let good = Upstream::start(|_| ollama_answer(&["good"])).await;
    let dear = format!("{}\ninput_price = 1", ollama_kind(&good));
    let targets = [("bad", at(&bad)), ("good", dear)];
    let toml = folder.config() + &fleet(&targets, "policy = \"cheapest\"");
    let gateway = TestGateway::start(&toml).await;
    assert_eq!(gateway.client.post("/api/chat", &native("hi")).await.native_text(), "good");
    let record = last_of(&folder, 1).await;
    assert_eq!(who(&record)[..3], [&json!("test"), &json!("ollama"), &json!("good")]);
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_target_that_was_not_asked_any_more_is_not_counted() {
    let folder = Folder::new();
    let bad = Upstream::start(|_| refusal(500, "", NO)).await;
    let good = Upstream::start(|_| openai_answer(&["good"])).await;
    let at_price = |upstream, price| format!("{}\ninput_price = {price}", at(upstream));
    let targets = [("one", at(&bad)), ("two", at_price(&bad, 1)), ("good", at_price(&good, 2))];
    let more = "policy = \"cheapest\"\nmax_attempts = 2\nproven_attempts = 2";
    let gateway = TestGateway::start(&(folder.config() + &fleet(&targets, more))).await;
    assert_eq!(gateway.client.post("/api/chat", &native("hi")).await.status, 502);
    let record = last_of(&folder, 1).await;
    let asked = bad.chats().len() + good.chats().len();
    assert_eq!((asked, &record["attempts"]), (2, &json!(2)), "{record}");
    let text = gateway.client.get("/metrics").await.text();
    let lines = text.lines().filter(|line| line.starts_with("ai_gateway_target_requests_total{"));
    let counts = lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<usize>().unwrap());
    assert_eq!(counts.sum::<usize>(), asked, "{text}");
    gateway.inner.shutdown().await;
}

/// A model that is down is to be seen, however well another answers in its place.
#[actix_web::test]
async fn a_failure_that_another_model_makes_good_is_counted() {
    let test = Upstream::start(|_| refusal(500, "", NO)).await;
    let spare = Upstream::start(|_| openai_answer(&["spare"])).await;
    let gateway = crate::fallback::before(&at(&test), &at(&spare), "refused").await;
    assert_eq!(gateway.client.post("/api/chat", &native("hi")).await.native_text(), "spare");
    upstream_failures(&gateway, "UPSTREAM_ERROR", 1).await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_failure_that_a_hedge_makes_good_is_counted() {
    let (fails, answers) = (Gate::new(), Gate::new());
    let gate = fails.clone();
    let test = Upstream::start(move |seen| match prompt(seen).as_str() {
        LATE => [vec![Step::Gate(gate.clone())], refusal(500, "", NO)].concat(),
        _ => openai_answer(&["soon"]),
    })
    .await;
    let gate = answers.clone();
    let second = Upstream::start(move |_| {
        [vec![Step::Gate(gate.clone())], openai_answer(&["second"])].concat()
    })
    .await;
    let gateway = paced(&models(&at(&test), &at(&second), "hedge_percent = 20")).await;
    let body = native(LATE);
    let turns = async {
        second.wait_for_chats(1).await;
        fails.open();
        let labels = "model=\"test\",result=\"failed\",target=\"openai\"";
        let failed = format!("ai_gateway_target_requests_total{{{labels}}}");
        gateway.wait_for_metric(&failed, "1").await;
        answers.open();
    };
    let (live, ()) = futures::join!(gateway.client.open("/api/chat", &body), turns);
    assert_eq!(live.whole().await.native_text(), "second");
    hedges(&gateway, "won", 1).await;
    upstream_failures(&gateway, "UPSTREAM_ERROR", 1).await;
    gateway.inner.shutdown().await;
}
