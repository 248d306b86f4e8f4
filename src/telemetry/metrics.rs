//! Every metric of the gateway, declared once. The names are documented in docs/metrics.md; a test
//! holds the Grafana dashboards to them.
//!
//! One [`Metrics`] belongs to one gateway, not to the process, so that tests can run many side by
//! side. Handles are cached where they are used: looking a label up costs a lock and a hash.

use prometheus::{
    Encoder, GaugeVec, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

use super::declare::Declare;
use super::journal::JournalMetrics;
use super::ledger::Ledger;
use super::logging;
use super::model::{ModelFamilies, ModelMetrics};
use super::otlp::OtlpMetrics;
use super::rejections::Rejections;
use super::reload::ReloadMetrics;
use super::store::StoreMetrics;

/// HTTP durations: from the gateway's own share, below 10 ms, to a long answer.
const HTTP_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

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
    pub rejections: Rejections,
    pub access_records_dropped: IntCounter,
    pub store: StoreMetrics,
    pub journals: JournalMetrics,
    pub reload: ReloadMetrics,
    pub otlp: OtlpMetrics,
    models: ModelFamilies,
}

impl Metrics {
    /// Declares every family. With `process` the standard process metrics come along.
    ///
    /// # Errors
    /// When two families share a name: a mistake in this file.
    pub fn new(process: bool) -> prometheus::Result<Self> {
        let declare = Declare::into(Registry::new());
        let streams = declare.keep(Ledger::new()?)?;
        let metrics = Self {
            http_requests: declare.counters(
                "http_requests_total",
                "HTTP requests answered; with status 499 those whose client left before.",
                &["method", "path", "status_code"],
            )?,
            http_duration: declare.histograms(
                "http_request_duration_seconds",
                "From the request's head to the last byte of its answer.",
                &["method", "path"],
                HTTP_BUCKETS,
            )?,
            models: ModelFamilies::declare(&declare, &streams)?,
            streams,
            stream_limit: declare
                .gauge("ai_gateway_stream_limit", "The cap of concurrent streams.")?,
            draining: declare.gauge("ai_gateway_draining", "1 while the gateway shuts down.")?,
            buffered_bytes: declare.gauge(
                "ai_gateway_buffered_bytes",
                "Bytes of streamed answers that clients have not taken yet.",
            )?,
            websockets: declare.gauge("ai_gateway_websockets", "WebSockets that are open.")?,
            rejections: Rejections::declare(&declare)?,
            access_records_dropped: declare.counter(
                "ai_gateway_access_records_dropped_total",
                "Access records that were not written to their file: it took too long, or failed.",
            )?,
            store: StoreMetrics::declare(&declare)?,
            journals: JournalMetrics::declare(&declare)?,
            reload: ReloadMetrics::declare(&declare)?,
            otlp: OtlpMetrics::declare(&declare)?,
            registry: declare.registry(),
        };
        metrics.register_process(process)?;
        Ok(metrics)
    }

    fn register_process(&self, process: bool) -> prometheus::Result<()> {
        self.registry.register(Box::new(logging::dropped_lines()?))?;
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
