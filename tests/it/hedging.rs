//! A second model is asked when the first is late: the first token wins, the loser is cancelled, and
//! it is done for no more than a share of the requests.

use std::time::Instant;

use serde_json::{Value, json};

use crate::client::{anthropic, native, openai};
use crate::continuation::{ollama_kind, openai_kind};
use crate::gateway::TestGateway;
use crate::upstream::{
    Gate, PATIENCE, Seen, Step, Upstream, ollama_answer, openai_answer, openai_end, openai_token,
    refusal, sse_head,
};

/// So many answers make the p95 known.
pub const SAMPLES: usize = 10;
pub const LATE: &str = "late";

pub fn prompt(seen: &Seen) -> String {
    let body = seen.json();
    body["messages"].as_array().unwrap()[0]["content"].as_str().unwrap().to_owned()
}

/// An upstream that is late with what is asked to be late: as late as the gate.
pub async fn sometimes_late(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::start(move |seen| {
        if prompt(seen) != LATE {
            return openai_answer(&["soon"]);
        }
        let mut steps = vec![sse_head(), Step::Gate(gate.clone()), openai_token("first")];
        steps.extend(openai_end(7, 1));
        steps
    })
    .await
}

pub fn models(test: &str, second: &str, more: &str) -> String {
    let hedging = format!("hedge_on = \"second\"\nhedge_min_samples = {SAMPLES}");
    format!(
        "[[models]]\nname = \"test\"\n{test}\n{hedging}\nmax_concurrency = 200\n{more}\n\
         [[models]]\nname = \"second\"\n{second}\n"
    )
}

/// A gateway that knows the model's pace, and may ask a second time.
pub async fn paced(toml: &str) -> TestGateway {
    let gateway = TestGateway::start(toml).await;
    // 20 of 100 for each.
    for _ in 0..SAMPLES {
        assert_eq!(gateway.client.post("/api/chat", &native("soon")).await.native_text(), "soon");
    }
    gateway
}

async fn before(test: &Upstream, second: &Upstream) -> TestGateway {
    paced(&models(&openai_kind(test), &openai_kind(second), "hedge_percent = 20")).await
}

pub async fn hedges(gateway: &TestGateway, result: &str, count: usize) {
    let series = format!("ai_gateway_hedges_total{{model=\"test\",result=\"{result}\"}}");
    gateway.wait_for_metric(&series, &count.to_string()).await;
}

async fn is_idle(gateway: &TestGateway) {
    gateway.wait_until_idle().await;
    gateway.wait_for_metric("ai_gateway_permits_in_use{model=\"second\"}", "0").await;
}

#[actix_web::test]
async fn the_second_wins_and_the_first_is_closed() {
    let gate = Gate::new();
    let test = sometimes_late(&gate).await;
    let second = Upstream::start(|_| vec![sse_head(), openai_token("second"), Step::Silence]).await;
    let gateway = before(&test, &second).await;
    let mut live = gateway.client.open("/api/chat", &native(LATE)).await;
    live.read_until("second").await;
    // While the answer goes on: the loser does not wait for its end.
    test.wait_for_aborts(1).await;
    gateway.wait_for_metric("ai_gateway_permits_in_use{model=\"test\"}", "0").await;
    gateway.wait_for_metric("ai_gateway_permits_in_use{model=\"second\"}", "1").await;
    hedges(&gateway, "won", 1).await;
    let list = gateway.client.get("/api/chat/streams").await.json();
    assert_eq!(
        (&list["streams"][0]["attempts"], &list["streams"][0]["state"]),
        (&json!(2), &json!("streaming"))
    );
    assert_eq!((test.chats().len(), second.chats().len()), (SAMPLES + 1, 1));
    let id = |upstream: &Upstream| upstream.chats().last().unwrap().header("x-request-id");
    assert_eq!(id(&test), id(&second));
    drop(live);
    second.wait_for_aborts(1).await;
    is_idle(&gateway).await;
    gateway.inner.shutdown().await;
}

/// From the moment a client has read the winner's first token to the loser's upstream seeing the close.
#[actix_web::test]
async fn losers_are_closed_at_once() {
    const ROUNDS: usize = 100;
    let gate = Gate::new();
    let test = sometimes_late(&gate).await;
    let second = Upstream::start(|_| openai_answer(&["second"])).await;
    let gateway =
        paced(&models(&openai_kind(&test), &openai_kind(&second), "hedge_percent = 50")).await;
    let mut times = Vec::new();
    for round in 1..=ROUNDS {
        // Earns the rest of the price.
        gateway.client.post("/api/chat", &native("soon")).await;
        let mut live = gateway.client.open("/api/chat", &native(LATE)).await;
        live.read_until("second").await;
        let won = Instant::now();
        test.wait_for_aborts(round).await;
        times.push(won.elapsed());
        live.whole().await;
    }
    times.sort();
    let (median, most) = (times[ROUNDS / 2], times[ROUNDS - 1]);
    println!("{ROUNDS} losers closed: median {median:?}, the last {most:?} after the first token");
    assert!(most < PATIENCE / 4, "{most:?}");
    hedges(&gateway, "won", ROUNDS).await;
    is_idle(&gateway).await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn the_first_wins_after_all_and_the_second_is_closed() {
    let gate = Gate::new();
    let test = sometimes_late(&gate).await;
    let second = Upstream::start(|_| vec![sse_head(), Step::Silence]).await;
    let gateway = before(&test, &second).await;
    let body = native(LATE);
    let live = gateway.client.open("/api/chat", &body);
    let opening = async {
        second.wait_for_chats(1).await;
        gate.open();
    };
    let (live, ()) = futures::join!(live, opening);
    let answer = live.whole().await;
    assert_eq!(answer.native_text(), "first");
    assert_eq!(answer.events().last().unwrap().json()["usage"]["completionTokens"], 1);
    second.wait_for_aborts(1).await;
    hedges(&gateway, "lost", 1).await;
    is_idle(&gateway).await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn every_dialect_reads_one_answer_whoever_gives_it() {
    let gate = Gate::new();
    let test = sometimes_late(&gate).await;
    for ollama in [false, true] {
        let says = if ollama { ollama_answer } else { openai_answer };
        let second = Upstream::start(move |_| says(&["one", " two"])).await;
        let kind = if ollama { ollama_kind(&second) } else { openai_kind(&second) };
        let gateway = paced(&models(&openai_kind(&test), &kind, "hedge_percent = 50")).await;
        let client = &gateway.client;
        let answer = client.post("/v1/chat/completions", &openai(LATE, true)).await;
        assert_eq!(answer.openai_text(), "one two");
        assert_eq!(answer.text().matches("[DONE]").count(), 1);
        let answer = client.post("/api/chat", &native(LATE)).await;
        assert_eq!(answer.native_text(), "one two");
        let answer = client.post("/v1/messages", &anthropic(LATE, false)).await;
        assert_eq!(answer.json()["content"][0]["text"], "one two", "{}", answer.text());
        let lines = client.post("/ollama/api/chat", &openai(LATE, true)).await.text();
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let text: String =
            lines.map(|line| line["message"]["content"].as_str().unwrap().to_owned()).collect();
        assert_eq!(text, "one two");
        hedges(&gateway, "won", 4).await;
        is_idle(&gateway).await;
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn second_requests_are_a_share_of_all() {
    const REQUESTS: usize = 90;
    let gate = Gate::new();
    let test = sometimes_late(&gate).await;
    let second = Upstream::start(|_| openai_answer(&["second"])).await;
    let kind = format!("{}\nmax_concurrency = 200", openai_kind(&second));
    let gateway = paced(&models(&openai_kind(&test), &kind, "hedge_percent = 10")).await;
    let (path, body) = ("/api/chat", native(LATE));
    let asked = (0..REQUESTS).map(|_| gateway.client.post(path, &body));
    let opening = async {
        let most = (SAMPLES + REQUESTS) / 10;
        hedges(&gateway, "refused", REQUESTS - most).await;
        gate.open();
        most
    };
    let (answers, most) = futures::join!(futures::future::join_all(asked), opening);
    let by_second = answers.iter().filter(|answer| answer.native_text() == "second").count();
    assert_eq!((by_second, second.chats().len()), (most, most));
    assert!(answers.iter().all(|answer| matches!(&*answer.native_text(), "first" | "second")));
    is_idle(&gateway).await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_second_model_without_a_turn_to_spare_is_not_asked() {
    let gate = Gate::new();
    let test = sometimes_late(&gate).await;
    let second = Upstream::start(|_| vec![sse_head(), openai_token("own"), Step::Silence]).await;
    let kind = format!("{}\nmax_concurrency = 1", openai_kind(&second));
    let gateway = paced(&models(&openai_kind(&test), &kind, "hedge_percent = 20")).await;
    let mut own = native("hi");
    own["model"] = json!("second");
    let mut busy = gateway.client.open("/api/chat", &own).await;
    busy.read_until("own").await;
    let opening = async {
        hedges(&gateway, "refused", 1).await;
        gate.open();
    };
    let body = native(LATE);
    let (answer, ()) = futures::join!(gateway.client.post("/api/chat", &body), opening);
    assert_eq!(answer.native_text(), "first");
    assert_eq!(second.chats().len(), 1);
    drop(busy);
    is_idle(&gateway).await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn whoever_fails_leaves_the_answer_to_the_other() {
    let gate = Gate::new();
    let test = sometimes_late(&gate).await;
    let second = Upstream::start(|_| refusal(503, "", "{}")).await;
    let gateway = before(&test, &second).await;
    let opening = async {
        second.wait_for_chats(1).await;
        // The refusal has arrived, and its turn is given back.
        gateway.wait_for_metric("ai_gateway_permits_in_use{model=\"second\"}", "0").await;
        gate.open();
    };
    let body = native(LATE);
    let (answer, ()) = futures::join!(gateway.client.post("/api/chat", &body), opening);
    assert_eq!(answer.native_text(), "first");
    hedges(&gateway, "failed", 1).await;
    assert_eq!(second.chats().len(), 1, "a second request is not sent twice");
    is_idle(&gateway).await;
    gateway.inner.shutdown().await;

    let (dies, answers) = (Gate::new(), Gate::new());
    let (death, life) = (dies.clone(), answers.clone());
    let test = Upstream::start(move |seen| match prompt(seen).as_str() {
        LATE => vec![sse_head(), Step::Gate(death.clone()), Step::Close],
        _ => openai_answer(&["soon"]),
    })
    .await;
    let second = Upstream::start(move |_| {
        let mut steps = vec![sse_head(), Step::Gate(life.clone())];
        steps.extend(openai_answer(&["second"]).into_iter().skip(1));
        steps
    })
    .await;
    let gateway = before(&test, &second).await;
    let opening = async {
        second.wait_for_chats(1).await;
        dies.open();
        test.wait_for_aborts(1).await;
        answers.open();
    };
    let (answer, ()) = futures::join!(gateway.client.post("/api/chat", &body), opening);
    assert_eq!(answer.native_text(), "second");
    hedges(&gateway, "won", 1).await;
    is_idle(&gateway).await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn a_client_that_leaves_ends_both() {
    let gate = Gate::new();
    let test = sometimes_late(&gate).await;
    let second = Upstream::start(|_| vec![sse_head(), Step::Silence]).await;
    let gateway = before(&test, &second).await;
    let body = native(LATE).to_string();
    let live = gateway.client.send("POST", "/api/chat", Some(&body)).await;
    second.wait_for_chats(1).await;
    gateway.wait_for_metric("ai_gateway_permits_in_use{model=\"second\"}", "1").await;
    drop(live);
    test.wait_for_aborts(1).await;
    second.wait_for_aborts(1).await;
    is_idle(&gateway).await;
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn nobody_is_late_before_the_pace_is_known() {
    let gate = Gate::new();
    let test = sometimes_late(&gate).await;
    let second = Upstream::start(|_| openai_answer(&["second"])).await;
    let toml =
        models(&openai_kind(&test), &openai_kind(&second), "first_token_timeout_seconds = 0.5");
    let gateway = TestGateway::start(&toml).await;
    let answer = gateway.client.post("/api/chat", &native(LATE)).await;
    assert_eq!(answer.json()["error"], "UPSTREAM_TIMEOUT");
    assert_eq!(second.chats().len(), 0);
    hedges(&gateway, "refused", 0).await;
    is_idle(&gateway).await;
    gateway.inner.shutdown().await;
}
