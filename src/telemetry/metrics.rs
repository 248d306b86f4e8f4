//! Every metric of the gateway, declared once. The names are documented in the README; a test
//! holds the Grafana dashboards to them.
//!
//! One [`Metrics`] belongs to one gateway, not to the process, so that tests can run many side by
//! side. Handles are cached where they are used: looking a label up costs a lock and a hash.

use std::collections::BTreeSet;

use prometheus::{
    Encoder, GaugeVec, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};
use tidegate_protocol::ErrorKind;

use super::declare::Declare;
use super::journal::JournalMetrics;
use super::ledger::Ledger;
use super::model::{ModelFamilies, ModelMetrics};
use super::reload::ReloadMetrics;
use super::store::StoreMetrics;

/// HTTP durations: from the gateway's own share, below 10 ms, to a long answer.
const HTTP_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// The refusals of the gateway itself, and what their metric calls them. Like outcomes, each has
/// its series from the start.
const REJECTIONS: [(ErrorKind, &str); 12] = [
    (ErrorKind::Unauthorized, "unauthorized"),
    (ErrorKind::Forbidden, "forbidden"),
    (ErrorKind::RateLimited, "rate_limited"),
    (ErrorKind::Capacity, "capacity"),
    (ErrorKind::QueueFull, "queue_full"),
    (ErrorKind::QueueTimeout, "queue_timeout"),
    (ErrorKind::Draining, "draining"),
    (ErrorKind::InvalidRequest, "invalid"),
    (ErrorKind::ModelNotFound, "invalid"),
    (ErrorKind::PayloadTooLarge, "invalid"),
    (ErrorKind::RequestTimeout, "invalid"),
    (ErrorKind::UnsupportedMediaType, "invalid"),
];

/// The metric families of one gateway.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    pub http_requests: IntCounterVec,
    pub http_duration: HistogramVec,
    pub streams: Ledger,
    pub stream_limit: IntGauge,
    pub draining: IntGauge,
    pub buffered_bytes: IntGauge,
    pub websockets: IntGauge,
    pub store: StoreMetrics,
    pub journals: JournalMetrics,
    pub reload: ReloadMetrics,
    rejected: IntCounterVec,
    models: ModelFamilies,
}

impl Metrics {
    /// Declares every family. With `process` the standard process metrics come along.
    ///
    /// # Errors
    /// When two families share a name: a mistake in this file.
    pub fn new(process: bool) -> prometheus::Result<Self> {
        let declare = Declare::into(Registry::new());
        let metrics = Self {
            http_requests: declare.counters(
                "http_requests_total",
                "HTTP requests answered.",
                &["method", "path", "status_code"],
            )?,
            http_duration: declare.histograms(
                "http_request_duration_seconds",
                "From the request's head to the last byte of its answer.",
                &["method", "path"],
                HTTP_BUCKETS,
            )?,
            streams: declare.keep(Ledger::new()?)?,
            stream_limit: declare
                .gauge("ai_gateway_stream_limit", "The cap of concurrent streams.")?,
            draining: declare.gauge("ai_gateway_draining", "1 while the gateway shuts down.")?,
            buffered_bytes: declare.gauge(
                "ai_gateway_buffered_bytes",
                "Bytes of streamed answers that clients have not taken yet.",
            )?,
            websockets: declare.gauge("ai_gateway_websockets", "WebSockets that are open.")?,
            rejected: declare.counters(
                "ai_gateway_rejected_requests_total",
                "Requests refused by the gateway itself, by reason.",
                &["reason"],
            )?,
            store: StoreMetrics::declare(&declare)?,
            journals: JournalMetrics::declare(&declare)?,
            reload: ReloadMetrics::declare(&declare)?,
            models: ModelFamilies::declare(&declare)?,
            registry: declare.registry(),
        };
        metrics.register_process(process)?;
        for (_, reason) in REJECTIONS {
            metrics.rejected.with_label_values(&[reason]);
        }
        Ok(metrics)
    }

    fn register_process(&self, process: bool) -> prometheus::Result<()> {
        let build = GaugeVec::new(
            Opts::new("ai_gateway_build_info", "The running version; always 1."),
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        self.registry.register(Box::new(build))?;
        #[cfg(target_os = "linux")]
        if process {
            use prometheus::process_collector::ProcessCollector;
            self.registry.register(Box::new(ProcessCollector::for_self()))?;
        }
        Ok(())
    }

    /// The handles of one model, whose series are there as long as they are. `model` comes from the configuration, never from a client.
    #[must_use]
    pub fn model(&self, model: &str) -> ModelMetrics {
        self.models.of(model)
    }

    /// Counts a request that the gateway itself refused; other kinds are not counted here.
    pub fn count_rejected(&self, kind: ErrorKind) {
        if let Some((_, reason)) = REJECTIONS.iter().find(|(refused, _)| *refused == kind) {
            self.rejected.with_label_values(&[reason]).inc();
        }
    }

    /// How many requests the gateway itself has refused.
    #[must_use]
    pub fn rejected_in_all(&self) -> u64 {
        // Some reasons stand for several kinds.
        let reasons: BTreeSet<_> = REJECTIONS.iter().map(|(_, reason)| *reason).collect();
        let count = |reason| self.rejected.with_label_values(&[reason]).get();
        reasons.into_iter().map(count).sum()
    }

    /// Everything in Prometheus' text format.
    ///
    /// # Errors
    /// When a family is inconsistent: a mistake in the code that records.
    pub fn render(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}
