//! Where access records go: the log, a file of JSON lines, a collector.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidegate_protocol::ErrorKind;

use super::record::{Access, Came, Fields, Value};
use crate::config;
use crate::telemetry::lines::Lines;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::otlp::{AccessExporter, GenAiMetrics, Otlp, Severity};
use crate::telemetry::rejections::Rejections;

/// A record is longer only if its method, path and names are: all are bounded.
const LINE_BYTES: usize = 1024;

/// What a record is called where records of all kinds meet.
const EVENT: &str = "tidegate.request";

/// Takes the record of every request; clones are the same.
#[derive(Clone)]
pub struct AccessLog(Arc<Sinks>);

struct Sinks {
    /// Where Prometheus scrapes.
    metrics_path: String,
    to_log: bool,
    file: Option<Lines>,
    exporter: Option<AccessExporter>,
    gen_ai: Option<GenAiMetrics>,
    rejections: Rejections,
}

/// Why the file of records cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("access_log.file {path:?}: {source}")]
pub struct CannotWrite {
    path: PathBuf,
    source: io::Error,
}

impl AccessLog {
    /// As the configuration has it.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn start(
        config: &config::AccessLog,
        metrics_path: &str,
        metrics: &Metrics,
        otlp: &Otlp,
    ) -> Result<Self, CannotWrite> {
        let open = |path: &PathBuf| {
            let dropped = metrics.access_records_dropped.clone();
            let lines = Lines::to_file(path.clone(), config.buffer_bytes, dropped);
            lines.map_err(|source| CannotWrite { path: path.clone(), source })
        };
        Ok(Self(Arc::new(Sinks {
            metrics_path: metrics_path.to_owned(),
            to_log: config.log,
            file: config.file.as_ref().map(open).transpose()?,
            exporter: otlp.logger(),
            gen_ai: otlp.gen_ai(),
            rejections: metrics.rejections.clone(),
        })))
    }

    /// Counts refusals and nothing else.
    #[must_use]
    pub fn off(metrics: &Metrics) -> Self {
        let rejections = metrics.rejections.clone();
        let (metrics_path, file, exporter, gen_ai) = (String::new(), None, None, None);
        Self(Arc::new(Sinks { metrics_path, to_log: false, file, exporter, gen_ai, rejections }))
    }

    /// The file may have been moved away.
    pub fn reopen(&self) {
        self.0.file.iter().for_each(Lines::reopen);
    }

    /// Waits for what is still to be written.
    pub fn flush(&self, limit: Duration) {
        self.0.file.iter().for_each(|file| file.flush(limit));
    }

    /// Whether it is asked for every few seconds, by a program.
    #[must_use]
    pub fn is_probe(&self, path: &str) -> bool {
        matches!(path, "/health" | "/ready") || self.is_scrape(path)
    }

    /// Whether metrics are served there, if they are on this listener at all.
    #[must_use]
    pub fn is_scrape(&self, path: &str) -> bool {
        path == self.0.metrics_path
    }

    /// Counts a refusal of the gateway itself, which its record has not been told of.
    pub(super) fn count(&self, failure: ErrorKind) {
        self.0.rejections.count(failure);
    }

    /// Writes one record, wherever it goes, without waiting for it.
    pub(super) fn write(&self, access: &Access) {
        // Probes come every few seconds and would bury the rest.
        if let Some(Came::Http { path, status, .. }) = &access.came
            && self.is_probe(path)
            && *status < 400
        {
            tracing::debug!(path, status, "probe");
            return;
        }
        let Sinks { to_log, file, exporter, gen_ai, .. } = &*self.0;
        if let (Some(gen_ai), Some(measured)) = (gen_ai, access.measured()) {
            gen_ai.record(&measured);
        }
        if let Some(exporter) = exporter
            && let Ok(record) = serde_json::to_value(access)
        {
            exporter.emit(EVENT, Severity::Info, access.trace.as_ref(), &record);
        }
        if *to_log && tracing::enabled!(tracing::Level::INFO) {
            log(&access.fields());
        }
        if let Some(file) = file {
            let mut line = Vec::with_capacity(LINE_BYTES);
            // Nothing in a record can fail to be written to memory.
            if serde_json::to_writer(&mut line, access).is_ok() {
                line.push(b'\n');
                file.push(&line);
            }
        }
    }
}

/// One line of the log, with the same names; its time is the line's own.
fn log(fields: &Fields<'_>) {
    let [
        id,
        trace_id,
        client_request_id,
        command,
        method,
        path,
        status,
        bytes,
        owner,
        client,
        operation,
        dialect,
        model,
        provider,
        target,
        answered_by,
        reads,
        outcome,
        code,
        attempts,
        continuations,
        queue_wait,
        time_to_first_token,
        prompt_tokens,
        completion_tokens,
        duration,
    ] = fields;
    tracing::info!(
        id = text(id),
        trace_id = text(trace_id),
        client_request_id = text(client_request_id),
        command = text(command),
        method = text(method),
        path = text(path),
        status = count(status),
        bytes = count(bytes),
        owner = text(owner),
        client = text(client),
        operation = text(operation),
        dialect = text(dialect),
        model = text(model),
        provider = text(provider),
        target = text(target),
        answered_by = text(answered_by),
        reads = text(reads),
        outcome = text(outcome),
        code = text(code),
        attempts = count(attempts),
        continuations = count(continuations),
        queue_wait_ms = millis(queue_wait),
        time_to_first_token_ms = millis(time_to_first_token),
        prompt_tokens = count(prompt_tokens),
        completion_tokens = count(completion_tokens),
        duration_ms = millis(duration),
        "request"
    );
}

type Field<'a> = (&'static str, Option<Value<'a>>);

fn text<'a>((_, value): &'a Field<'_>) -> Option<&'a str> {
    value
        .as_ref()
        .and_then(|value| if let Value::Text(text) = value { Some(&**text) } else { None })
}

fn count((_, value): &Field<'_>) -> Option<u64> {
    value
        .as_ref()
        .and_then(|value| if let Value::Count(count) = value { Some(*count) } else { None })
}

fn millis((_, value): &Field<'_>) -> Option<f64> {
    value.as_ref().and_then(|value| if let Value::Millis(ms) = value { Some(*ms) } else { None })
}
