//! What is measured of answers: who gave them, how they ended, and what they took.

use std::time::Instant;

use opentelemetry_proto::tonic::metrics::v1::Metric;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::native;
use crate::collector::{Collector, attribute};
use crate::fleet::at;
use crate::gateway::TestGateway;
use crate::otlp::points;
use crate::upstream::{
    Seen, Step, Upstream, openai_answer, openai_end, openai_token, refusal, sse_head,
};

const NO: &str = r#"{"error":{"message":"no"}}"#;

/// What the upstream does, as the prompt says.
fn plays(seen: &Seen) -> Vec<Step> {
    let one = || vec![sse_head(), openai_token("one")];
    match seen.json()["messages"][0]["content"].as_str().unwrap() {
        "elsewhere" => refusal(500, "", NO),
        "wrong" => refusal(400, "", NO),
        "cut" => one().into_iter().chain([Step::Close]).collect(),
        "left" => one().into_iter().chain([Step::Silence]).collect(),
        // Its last frames without the one that has the usage.
        _ => {
            let mut end = openai_end(0, 0);
            end.remove(1);
            one().into_iter().chain([openai_token(" two")]).chain(end).collect()
        }
    }
}

/// How many observations a histogram has, by what failed and by the model that answered.
fn counts(metrics: &[Metric], name: &str) -> Vec<(String, String, u64)> {
    let points = points(metrics, name, "error.type").into_iter();
    let mut counts: Vec<_> = points
        .map(|(error, point)| {
            assert_eq!(attribute(&point.attributes, "gen_ai.request.model"), "test");
            (error, attribute(&point.attributes, "gen_ai.response.model"), point.count)
        })
        .collect();
    counts.sort();
    counts
}

fn all(counts: &[(&str, &str, u64)]) -> Vec<(String, String, u64)> {
    counts.iter().map(|(error, by, n)| ((*error).to_owned(), (*by).to_owned(), *n)).collect()
}

#[actix_web::test]
async fn an_answer_is_measured_by_who_gave_it_how_it_ended_and_what_the_upstream_counted() {
    let upstream = Upstream::start(plays).await;
    let spare = Upstream::start(|_| openai_answer(&["the", " spare"])).await;
    let collector = Collector::start();
    let toml = format!(
        "[[models]]\nname = \"test\"\nmax_attempts = 1\n{}\n[models.fallback]\nrefused = [\"spare\"]\n\
         [[models]]\nname = \"spare\"\n{}\n[otlp]\nendpoint = \"{}\"\n",
        at(&upstream),
        at(&spare),
        collector.endpoint()
    );
    let gateway = TestGateway::start(&toml).await;
    for (prompt, status) in [("elsewhere", 200), ("wrong", 400), ("cut", 200), ("uncounted", 200)] {
        assert_eq!(gateway.client.post("/api/chat", &native(prompt)).await.status, status);
    }
    let mut left = gateway.client.open("/api/chat", &native("left")).await;
    left.read_until("one").await;
    gateway.client.delete(&format!("/api/chat/{}", left.id())).await;
    left.whole().await;
    gateway.wait_until_idle().await;
    // What is to be told is told at the end.
    gateway.inner.shutdown().await;

    let metrics = collector.metrics(|metrics| !metrics.is_empty()).await;
    let duration = counts(&metrics, "gen_ai.server.request.duration");
    let ended = [
        ("", "spare", 1),
        // One was completed and one cancelled, which is no failure.
        ("", "test", 2),
        ("TRUNCATED", "test", 1),
        ("UPSTREAM_REJECTED", "", 1),
    ];
    assert_eq!(duration, all(&ended));
    let first = counts(&metrics, "gen_ai.server.time_to_first_token");
    assert_eq!(first, all(&[("", "spare", 1), ("", "test", 1)]), "completed answers only");
    // Pieces are no tokens.
    let pace = counts(&metrics, "gen_ai.server.time_per_output_token");
    assert_eq!(pace, all(&[("", "spare", 1)]));
    let used = points(&metrics, "gen_ai.client.token.usage", "gen_ai.token.type");
    let used: Vec<_> = used.iter().map(|(kind, p)| (kind.as_str(), p.count, p.sum)).collect();
    assert_eq!(used, [("input", 1, Some(7.0)), ("output", 1, Some(2.0))]);
}

/// The sum of a histogram of the model `test`, in seconds.
async fn sum(gateway: &TestGateway, name: &str) -> f64 {
    let text = gateway.client.get("/metrics").await.text();
    let series = format!("{name}_sum{{model=\"test\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
}

#[actix_web::test]
async fn the_wait_for_a_body_is_no_share_of_the_gateways() {
    const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    let upstream = Upstream::start(|_| openai_answer(&["one"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let body = native("hi").to_string();
    let head = format!(
        "POST /api/chat HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n\
         Expect: 100-continue\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let began = Instant::now();
    let mut live = gateway.client.send_raw(head.as_bytes()).await;
    let mut told = [0; CONTINUE.len()];
    live.socket.read_exact(&mut told).await.unwrap();
    assert_eq!(told, CONTINUE);
    // It is waited for from here on, as long as this takes.
    let waits = Instant::now();
    for _ in 0..20 {
        gateway.client.get("/metrics").await;
    }
    let waited = waits.elapsed();
    live.socket.write_all(body.as_bytes()).await.unwrap();
    assert_eq!(live.whole().await.status, 200);
    let rest = began.elapsed().saturating_sub(waited).as_secs_f64();

    let own = sum(&gateway, "ai_gateway_overhead_seconds").await;
    assert!(own <= rest, "{own} s are the gateway's own, of {rest} s without the upload");
    let first = sum(&gateway, "ai_gateway_time_to_first_token_seconds").await;
    assert!(first >= waited.as_secs_f64(), "{first} s from the arrival, of {waited:?} of upload");
}
