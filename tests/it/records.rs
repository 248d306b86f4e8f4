//! The file of access records: which requests are in it, and what becomes of it when it is moved away.

use std::fs;
use std::path::PathBuf;

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::Value;
use tokio::time::Instant;

use crate::client::native;
use crate::collector::{Collector, attribute};
use crate::gateway::{TestGateway, openai_model};
use crate::numbers::told::Records;
use crate::process::Process;
use crate::upstream::{PATIENCE, Upstream, openai_answer};

/// A folder of its own, gone with the test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        let name = format!("tidegate-records-{:016x}", rand::random::<u64>());
        let folder = Self(std::env::temp_dir().join(name));
        fs::create_dir(&folder.0).unwrap();
        folder
    }

    fn file(&self) -> PathBuf {
        self.0.join("access.jsonl")
    }

    pub fn config(&self) -> String {
        format!("[access_log]\nlog = false\nfile = \"{}\"\n", self.file().display())
    }

    pub fn records(&self) -> Vec<Value> {
        Records::read(&self.file()).0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::task::yield_now().await;
    }
}

/// Neither recorded nor traced, and counted under a path that dashboards leave out.
#[actix_web::test]
async fn scrapes_are_no_traffic_wherever_they_are_served() {
    let (folder, collector) = (Folder::new(), Collector::start());
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let config = folder.config()
        + &openai_model(&upstream, "")
        + "[metrics]\npath = \"/internal/metrics\"\n"
        + &format!("[otlp]\nendpoint = \"{}\"\n", collector.endpoint());
    let gateway = TestGateway::start(&config).await;
    for path in ["/internal/metrics", "/internal/metrics", "/health"] {
        assert_eq!(gateway.client.get(path).await.status, 200);
    }
    assert_eq!(gateway.client.get("/metrics").await.status, 404);
    gateway.client.post("/api/chat", &native("hi")).await;
    let metrics = gateway.client.get("/internal/metrics").await.text();
    let counted = "http_requests_total{method=\"GET\",path=\"/metrics\",status_code=\"200\"} 2";
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");
    gateway.inner.shutdown().await;
    let paths: Vec<_> = folder.records().iter().map(|record| record["path"].clone()).collect();
    assert_eq!(paths, ["/metrics", "/api/chat"]);
    let has = |spans: &[Span], route| {
        spans.iter().any(|span| attribute(&span.attributes, "http.route") == route)
    };
    let spans = collector.spans(|spans| has(spans, "/api/chat")).await;
    for route in ["/internal/metrics", "/metrics", "/health"] {
        assert!(!has(&spans, route), "{route}");
    }
}

#[actix_web::test]
async fn a_method_of_the_clients_own_making_is_cut() {
    let folder = Folder::new();
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let gateway = TestGateway::start(&(folder.config() + &openai_model(&upstream, ""))).await;
    for method in ["X".repeat(5000).as_str(), "PROPFIND"] {
        assert_eq!(gateway.client.send(method, "/api/chat", None).await.whole().await.status, 405);
    }
    gateway.inner.shutdown().await;
    let methods: Vec<_> = folder.records().iter().map(|record| record["method"].clone()).collect();
    assert_eq!(methods, ["X".repeat(32).as_str(), "PROPFIND"]);
}

/// What a person on call sees of it, with no request to set anything off but the one that is lost.
#[actix_web::test]
async fn a_file_that_was_moved_away_is_made_at_the_signal_and_why_it_cannot_be_is_told() {
    let (folder, upstream) = (Folder::new(), Upstream::start(|_| openai_answer(&["a"])).await);
    let config = folder.config() + &openai_model(&upstream, "");
    let gateway = Process::start_logging("info", &config).await;
    fs::rename(folder.file(), folder.0.join("access.jsonl.1")).unwrap();
    gateway.signal("HUP");
    until("the file is there", || folder.file().exists()).await;

    fs::remove_file(folder.file()).unwrap();
    fs::create_dir(folder.file()).unwrap();
    gateway.signal("HUP");
    gateway.logs(&["the file cannot be written", "access.jsonl", "directory"]).await;
    gateway.client.post("/api/chat", &native("hi")).await;
    let deadline = Instant::now() + PATIENCE;
    let dropped = "ai_gateway_access_records_dropped_total 1\n";
    while !gateway.client.get("/metrics").await.text().contains(dropped) {
        assert!(Instant::now() < deadline, "never counted as dropped");
    }

    fs::remove_dir(folder.file()).unwrap();
    gateway.client.post("/api/chat", &native("hi")).await;
    gateway.logs(&["the file can be written again", "\"lost\":1"]).await;
    until("the record is there", || folder.records().len() == 1).await;
    assert_eq!(gateway.terminate().await.0, Some(0));
}
