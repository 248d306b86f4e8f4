//! A thousand streams whose clients have left: what is kept of them stays within its bound, and goes
//! in the order of their ends.

use futures::future::join_all;

use crate::client::native;
use crate::gateway::{TestGateway, openai_model};
use crate::upstream::{Gate, Step, Upstream, openai_answer, openai_end, openai_token, sse_head};

const STREAMS: usize = 1_000;
const TOKENS: usize = 40;
const MAX_BYTES: u64 = 1 << 20;
/// Of a stream that is kept, without its frames.
const JOURNAL_BYTES: u64 = 2048;

async fn metric(gateway: &TestGateway, series: &str) -> u64 {
    let text = gateway.client.get("/metrics").await.text();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{series} ")));
    line.unwrap_or_else(|| panic!("no {series}")).parse().unwrap()
}

#[actix_web::test]
async fn a_thousand_stay_within_the_bound() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |_| {
        let mut steps = vec![sse_head(), openai_token("first "), Step::Gate(held.clone())];
        steps.extend((0..TOKENS).map(|token| openai_token(&format!("token {token} "))));
        steps.extend(openai_end(7, TOKENS as u64));
        steps
    })
    .await;
    let config = openai_model(&upstream, "max_concurrency = 2000")
        + &format!("[journal]\nmax_bytes = {MAX_BYTES}");
    let gateway = TestGateway::start_with_server("max_streams = 2000", &config).await;
    let client = gateway.client.with_header("X-On-Disconnect", "detach");
    let leave = async || {
        let mut live = client.open("/api/chat", &native("hi")).await;
        live.read_until("first ").await;
        live.id()
    };
    let mut ids = Vec::new();
    for _ in 0..STREAMS / 50 {
        ids.extend(join_all((0..50).map(|_| leave())).await);
    }
    assert_eq!(metric(&gateway, "ai_gateway_active_streams").await, STREAMS as u64);
    assert!(metric(&gateway, "ai_gateway_journals").await == STREAMS as u64);
    gate.open();
    gateway.wait_until_idle().await;
    assert_eq!(gateway.outcomes("completed").await, STREAMS as u64);
    let (bytes, journals) = (
        metric(&gateway, "ai_gateway_journal_bytes").await,
        metric(&gateway, "ai_gateway_journals").await,
    );
    assert!(bytes <= MAX_BYTES && bytes > MAX_BYTES / 2, "{bytes} bytes of {journals} streams");
    assert!(
        journals >= 1 && journals * JOURNAL_BYTES <= bytes,
        "{bytes} bytes, {journals} streams"
    );
    let evicted = metric(&gateway, "ai_gateway_journal_evictions_total{reason=\"bytes\"}").await;
    assert_eq!(evicted + journals, STREAMS as u64, "each is kept or counted");
    let mut there = 0;
    for id in &ids {
        match gateway.client.get(&format!("/api/chat/{id}")).await.status {
            200 => there += 1,
            // Its beginning was let go while it ran, or all of it since.
            410 => {}
            other => panic!("{other}"),
        }
    }
    assert!(there <= journals, "{there} of {journals}");
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn those_that_ended_first_go_first() {
    let upstream = Upstream::start(|_| openai_answer(&["a", "b", "c"])).await;
    let config = openai_model(&upstream, "") + "[journal]\nmax_bytes = 20000";
    let gateway = TestGateway::start(&config).await;
    let mut ids = Vec::new();
    for _ in 0..60 {
        let answer = gateway.client.post("/api/chat", &native("hi")).await;
        ids.push(answer.header("x-stream-id").unwrap().to_owned());
    }
    let mut statuses = Vec::new();
    for id in &ids {
        statuses.push(gateway.client.get(&format!("/api/chat/{id}")).await.status);
    }
    let first = statuses.iter().position(|status| *status == 200).expect("the last are there");
    assert!(first > 0, "{statuses:?}");
    assert!(statuses[..first].iter().all(|status| *status == 410), "{statuses:?}");
    assert!(statuses[first..].iter().all(|status| *status == 200), "{statuses:?}");
    let kept = metric(&gateway, "ai_gateway_journals").await;
    assert_eq!(usize::try_from(kept).unwrap(), statuses.len() - first);
    gateway.inner.shutdown().await;
}
