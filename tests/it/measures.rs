//! What a collector is sent of answers as numbers: who gave them, how they ended, what they took.

use opentelemetry_proto::tonic::metrics::v1::Metric;

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
