//! Traces, metrics and access records for a collector, by OpenTelemetry's SDK.
//!
//! The SDK sends from threads of its own. What a stream does for it is to put a record in a queue that drops
//! what it has no room for: no answer ever waits for a collector.
//!
//! - `client`: asks the collector.
//! - `exporter`: keeps count, and `delivery`: of what, and who is told.
//! - `gen_ai`, `access`: what is sent beside spans, which are in [`trace`](super::trace).
//! - `metrics`: how much of it arrives, for Prometheus.

mod access;
mod client;
mod delivery;
mod exporter;
mod gen_ai;
mod metrics;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry::logs::LoggerProvider;
use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::TracerProvider;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{
    ExporterBuildError, LogExporter, MetricExporter, Protocol, SpanExporter, WithExportConfig,
    WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{self, BatchLogProcessor, SdkLoggerProvider};
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{self as spans, BatchSpanProcessor, Sampler, SdkTracerProvider};

pub use access::{AccessExporter, Severity};
pub use gen_ai::{GenAiMetrics, Measured};
pub use metrics::OtlpMetrics;

use super::trace::{Ids, Tracing};
use crate::config;
use client::Clients;
use delivery::Delivery;
use exporter::{Admitting, Counted};

const NAME: &str = "tidegate";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Whoever looks for a trace looks a moment after the request.
const SENT_EVERY: Duration = Duration::from_secs(1);
/// What one request to the collector has, at most.
const BATCH: usize = 512;

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    #[error("the header {0} of [otlp] cannot be sent")]
    Header(String),
    #[error("[otlp] cannot be followed: {0}")]
    Exporter(#[from] ExporterBuildError),
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }
}

/// What is sent to the collector; nothing by default.
#[derive(Default)]
pub struct Otlp {
    tracing: Tracing,
    gen_ai: Option<GenAiMetrics>,
    logger: Option<AccessExporter>,
    spans: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
    logs: Option<SdkLoggerProvider>,
}

impl Otlp {
    /// Starts what the configuration asks for; without an endpoint, nothing. The collector need not be
    /// there.
    ///
    /// # Errors
    /// When a variable of OpenTelemetry's asks for what there is not, such as a compression.
    pub fn start(config: &config::Otlp, metrics: &OtlpMetrics) -> Result<Self, OtlpError> {
        let Some(endpoint) = &config.endpoint else { return Ok(Self::default()) };
        let clients = Clients::new(config)?;
        let start = Start { config, endpoint, clients, metrics, resource: resource(config) };
        let mut otlp = Self::default();
        if config.traces {
            let provider = start.spans()?;
            otlp.tracing = Tracing::by(provider.tracer_with_scope(scope()));
            otlp.spans = Some(provider);
        }
        if config.metrics {
            let provider = start.metrics()?;
            otlp.gen_ai = Some(GenAiMetrics::new(&provider.meter_with_scope(scope())));
            otlp.metrics = Some(provider);
        }
        if config.access_records {
            let (provider, delivery) = start.logs()?;
            otlp.logger = Some(AccessExporter::new(provider.logger_with_scope(scope()), &delivery));
            otlp.logs = Some(provider);
        }
        Ok(otlp)
    }

    #[must_use]
    pub fn tracing(&self) -> Tracing {
        self.tracing.clone()
    }

    #[must_use]
    pub fn gen_ai(&self) -> Option<GenAiMetrics> {
        self.gen_ai.clone()
    }

    #[must_use]
    pub fn logger(&self) -> Option<AccessExporter> {
        self.logger.clone()
    }

    /// Sends what waits, and nothing afterwards. Blocks no longer than `within`: a collector that does not
    /// answer is left alone then.
    pub fn shutdown(&self, within: Duration) {
        let until = Instant::now() + within;
        let (done, ended) = mpsc::channel::<()>();
        let (spans, metrics, logs) = (self.spans.clone(), self.metrics.clone(), self.logs.clone());
        if let Some(spans) = spans {
            end(&done, move || spans.shutdown_with_timeout(within));
        }
        if let Some(metrics) = metrics {
            end(&done, move || metrics.shutdown_with_timeout(within));
        }
        if let Some(logs) = logs {
            end(&done, move || logs.shutdown_with_timeout(within));
        }
        drop(done);
        // Nothing is ever sent by it: it closes when the last of them has let go.
        let _ = ended.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

impl Drop for Otlp {
    /// Left to themselves, the SDK's providers would wait seconds for a collector that does not answer.
    fn drop(&mut self) {
        self.shutdown(Duration::ZERO);
    }
}

/// Side by side, for the SDK waits for each as long as it likes.
fn end(done: &mpsc::Sender<()>, shutdown: impl FnOnce() -> OTelSdkResult + Send + 'static) {
    let done = done.clone();
    let run = move || {
        match shutdown() {
            Ok(()) | Err(OTelSdkError::AlreadyShutdown) => {}
            Err(error) => tracing::warn!(%error, "not all telemetry was sent before the end"),
        }
        drop(done);
    };
    if let Err(error) = thread::Builder::new().name("otlp-shutdown".to_owned()).spawn(run) {
        tracing::warn!(%error, "telemetry could not be sent before the end");
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(NAME).with_version(VERSION).build()
}

/// Who sends. `OTEL_RESOURCE_ATTRIBUTES` goes before what is found out here, but for the name, which the
/// configuration knows.
fn resource(config: &config::Otlp) -> Resource {
    let instance = format!("{:032x}", rand::random::<u128>());
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes([
            KeyValue::new("service.version", VERSION),
            KeyValue::new("service.instance.id", instance),
        ])
        .with_detector(Box::new(EnvResourceDetector::new()))
        .with_service_name(config.service_name.clone())
        .build()
}

/// What the exporters of all signals are made of.
struct Start<'a> {
    config: &'a config::Otlp,
    endpoint: &'a str,
    clients: Clients,
    metrics: &'a OtlpMetrics,
    resource: Resource,
}

impl Start<'_> {
    fn delivery(&self, signal: Signal) -> Arc<Delivery> {
        Arc::new(Delivery::new(signal, self.config.queue_size, self.metrics))
    }

    /// What is said here goes before OpenTelemetry's own variables.
    fn exporter<B: WithExportConfig + WithHttpConfig>(
        &self,
        builder: B,
        signal: Signal,
        delivery: &Arc<Delivery>,
    ) -> B {
        builder
            .with_endpoint(format!("{}/v1/{}", self.endpoint, signal.as_str()))
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(self.config.timeout)
            .with_http_client(self.clients.client(delivery))
    }

    fn spans(&self) -> Result<SdkTracerProvider, OtlpError> {
        let delivery = self.delivery(Signal::Traces);
        let builder = SpanExporter::builder().with_http();
        let exporter = self.exporter(builder, Signal::Traces, &delivery).build()?;
        let batches = spans::BatchConfigBuilder::default()
            .with_max_queue_size(self.config.queue_size)
            .with_max_export_batch_size(BATCH.min(self.config.queue_size))
            .with_scheduled_delay(SENT_EVERY)
            .build();
        let counted = Counted { exporter, delivery: Arc::clone(&delivery) };
        let processor = BatchSpanProcessor::builder(counted).with_batch_config(batches).build();
        let sampler = Sampler::TraceIdRatioBased(self.config.sample_ratio);
        let provider = SdkTracerProvider::builder()
            .with_resource(self.resource.clone())
            .with_id_generator(Ids::default())
            .with_sampler(Sampler::parent_based(sampler))
            .with_span_processor(Admitting { processor, delivery });
        Ok(provider.build())
    }

    fn metrics(&self) -> Result<SdkMeterProvider, OtlpError> {
        let delivery = self.delivery(Signal::Metrics);
        let builder = MetricExporter::builder().with_http();
        let exporter = self.exporter(builder, Signal::Metrics, &delivery).build()?;
        let reader = PeriodicReader::builder(Counted { exporter, delivery })
            .with_interval(self.config.metrics_interval);
        let provider = SdkMeterProvider::builder().with_resource(self.resource.clone());
        Ok(provider.with_reader(reader.build()).build())
    }

    fn logs(&self) -> Result<(SdkLoggerProvider, Arc<Delivery>), OtlpError> {
        let delivery = self.delivery(Signal::Logs);
        let builder = LogExporter::builder().with_http();
        let exporter = self.exporter(builder, Signal::Logs, &delivery).build()?;
        let batches = logs::BatchConfigBuilder::default()
            .with_max_queue_size(self.config.queue_size)
            .with_max_export_batch_size(BATCH.min(self.config.queue_size))
            .with_scheduled_delay(SENT_EVERY)
            .build();
        let counted = Counted { exporter, delivery: Arc::clone(&delivery) };
        let processor = BatchLogProcessor::builder(counted).with_batch_config(batches).build();
        let provider = SdkLoggerProvider::builder()
            .with_resource(self.resource.clone())
            .with_log_processor(processor);
        Ok((provider.build(), delivery))
    }
}
