//! How busy upstreams say they are: asked beside the probes, and shown.

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::gateway::{TestGateway, openai_model};
use crate::upstream::{PATIENCE, Upstream, openai_answer};

const OFTEN: &str = "[health]\ninterval_seconds = 0.02\n";

fn vllm(waiting: [u32; 2], cache: f64) -> String {
    let [one, two] = waiting;
    format!(
        "# TYPE vllm:num_requests_waiting gauge\n\
         vllm:num_requests_waiting{{engine=\"0\",model_name=\"test\"}} {one}.0\n\
         vllm:num_requests_waiting{{engine=\"1\",model_name=\"test\"}} {two}.0\n\
         vllm:kv_cache_usage_perc{{engine=\"0\",model_name=\"test\"}} {cache}\n\
         vllm:kv_cache_usage_perc{{engine=\"1\",model_name=\"test\"}} 0.125\n"
    )
}

async fn start(upstream: &Upstream, provider: &str) -> TestGateway {
    let model = openai_model(upstream, "").replace("openai", provider);
    TestGateway::start(&format!("{model}{OFTEN}")).await
}

/// Waits until what is shown of the target's load is this.
async fn shown(gateway: &TestGateway, waiting: Value, cache: Value) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let models = gateway.client.get("/api/models").await.json();
        let target = &models["models"][0]["targets"][0];
        if (&target["waiting"], &target["cacheUsed"]) == (&waiting, &cache) {
            return;
        }
        assert!(Instant::now() < deadline, "never saw {waiting} and {cache} in {target}");
    }
}

#[actix_web::test]
async fn what_an_upstream_says_of_its_load_is_shown_as_long_as_it_says_so() {
    for provider in ["vllm", "openai"] {
        let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
        upstream.tell_metrics(Some(&vllm([2, 3], 0.75)));
        let gateway = start(&upstream, provider).await;
        shown(&gateway, json!(5), json!(0.75)).await;
        upstream.tell_metrics(Some(&vllm([0, 1], 0.0)));
        shown(&gateway, json!(1), json!(0.125)).await;
        // llama.cpp's has no number for its cache.
        upstream
            .tell_metrics(Some("llamacpp:requests_processing 4\nllamacpp:requests_deferred 7\n"));
        shown(&gateway, json!(7), Value::Null).await;
        upstream.tell_metrics(None);
        shown(&gateway, Value::Null, Value::Null).await;
        gateway.inner.shutdown().await;
    }
}

#[actix_web::test]
async fn an_upstream_that_does_not_say_is_not_asked_each_time() {
    for metrics in [None, Some("up 1\n"), Some("<html></html>")] {
        let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
        upstream.tell_metrics(metrics);
        let gateway = start(&upstream, "openai").await;
        upstream.wait_for_probes(10).await;
        assert_eq!(upstream.scrapes(), 1, "{metrics:?}");
        shown(&gateway, Value::Null, Value::Null).await;
        gateway.inner.shutdown().await;
    }
}

/// Metrics are read up to a bound, and an upstream that has more is there all the same.
#[actix_web::test]
async fn metrics_without_end_are_not_read() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let endless = "vllm:num_requests_waiting 1\n".repeat(64 * 1024);
    upstream.tell_metrics(Some(&endless));
    let gateway = start(&upstream, "vllm").await;
    upstream.wait_for_probes(10).await;
    assert_eq!(upstream.scrapes(), 1);
    shown(&gateway, Value::Null, Value::Null).await;
    let models = gateway.client.get("/api/models").await.json();
    assert_eq!(models["models"][0]["status"], "reachable");
    gateway.inner.shutdown().await;
}
