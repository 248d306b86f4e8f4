//! A gateway in the test's own process, on a port of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tidegate::app::Gateway;
use tidegate::config::Config;
use tokio::time::Instant;

use crate::client::Client;
use crate::upstream::{PATIENCE, Upstream};

/// A running gateway and a client for it.
pub struct TestGateway {
    pub inner: Gateway,
    pub client: Client,
}

impl TestGateway {
    /// Starts a gateway with the configuration's text; `server.port` and `workers` are set here.
    pub async fn start(toml: &str) -> Self {
        Self::start_with_server("", toml).await
    }

    /// As [`start`](Self::start), with further keys of the `[server]` section.
    pub async fn start_with_server(server: &str, toml: &str) -> Self {
        let text = format!("[server]\nport = 0\nworkers = 2\n{server}\n{toml}");
        let loaded = Config::parse(&text, []).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
        let inner = Gateway::start(loaded.config).await.unwrap();
        let client = Client::new(inner.address());
        Self { inner, client }
    }

    /// A gateway before one scripted OpenAI-style upstream; the model is called `test`.
    pub async fn before(upstream: &Upstream) -> Self {
        Self::start(&openai_model(upstream, "")).await
    }

    pub fn address(&self) -> SocketAddr {
        self.inner.address()
    }

    /// Waits until a metric has a value.
    pub async fn wait_for_metric(&self, series: &str, value: &str) {
        let deadline = Instant::now() + PATIENCE;
        let line = format!("{series} {value}");
        loop {
            let text = self.client.get("/metrics").await.text();
            if text.lines().any(|found| found == line) {
                return;
            }
            assert!(Instant::now() < deadline, "never saw `{line}` in\n{text}");
        }
    }

    /// Waits until nothing is left of any stream: no slot, no permit, no queue.
    pub async fn wait_until_idle(&self) {
        self.wait_until_free().await;
        let list = self.client.get("/api/chat/streams").await.json();
        assert_eq!(list["activeCount"], 0, "{list}");
        assert_eq!(list["streams"], serde_json::json!([]));
    }

    /// As [`wait_until_idle`](Self::wait_until_idle), by the metrics alone.
    pub async fn wait_until_free(&self) {
        self.wait_for_metric("ai_gateway_active_streams", "0").await;
        self.wait_for_metric("ai_gateway_permits_in_use{model=\"test\"}", "0").await;
        self.wait_for_metric("ai_gateway_queued_requests{model=\"test\"}", "0").await;
    }

    /// Every outcome that a stream has had, of whichever model, and how many had it.
    pub async fn all_outcomes(&self) -> Vec<(String, u64)> {
        let mut all = self.counted().await;
        all.retain(|_, count| *count > 0);
        all.into_iter().collect()
    }

    /// How many streams ended with this outcome.
    pub async fn outcomes(&self, status: &str) -> u64 {
        self.counted().await.remove(status).expect("every outcome has a series")
    }

    async fn counted(&self) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        for line in self.client.get("/metrics").await.text().lines() {
            let Some(series) = line.strip_prefix("ai_gateway_streams_total{model=\"") else {
                continue;
            };
            let (_, ended) = series.split_once("\",status=\"").unwrap();
            let (status, count) = ended.split_once("\"} ").unwrap();
            *all.entry(status.to_owned()).or_default() += count.parse::<u64>().unwrap();
        }
        all
    }
}

/// The configuration of one OpenAI-style model called `test`.
pub fn openai_model(upstream: &Upstream, more: &str) -> String {
    let url = upstream.openai_url();
    format!("[[models]]\nname = \"test\"\nprovider = \"openai\"\nbase_url = \"{url}\"\n{more}\n")
}

/// The configuration of one Ollama model called `test`.
pub fn ollama_model(upstream: &Upstream, more: &str) -> String {
    let url = upstream.ollama_url();
    format!("[[models]]\nname = \"test\"\nprovider = \"ollama\"\nbase_url = \"{url}\"\n{more}\n")
}
