//! Access records as log records of OpenTelemetry.

use std::collections::HashMap;
use std::sync::Arc;

pub use opentelemetry::logs::Severity;
use opentelemetry::logs::{AnyValue, LogRecord, Logger};
use opentelemetry_sdk::logs::SdkLogger;
use serde_json::Value;

use super::delivery::Delivery;
use crate::telemetry::clock;
use crate::telemetry::trace::Trace;

/// Sends access records. Cheap to clone, and never waits.
#[derive(Debug, Clone)]
pub struct AccessExporter {
    logger: Arc<SdkLogger>,
    delivery: Arc<Delivery>,
}

impl AccessExporter {
    pub(super) fn new(logger: SdkLogger, delivery: &Arc<Delivery>) -> Self {
        Self { logger: Arc::new(logger), delivery: Arc::clone(delivery) }
    }

    /// Sends a record, which is a JSON object: its fields become attributes, but for those that are null.
    pub fn emit(
        &self,
        event: &'static str,
        severity: Severity,
        trace: Option<&Trace>,
        record: &Value,
    ) {
        if !self.delivery.admit() {
            return;
        }
        let mut log = self.logger.create_log_record();
        log.set_event_name(event);
        // It tells of an end: of what was over just now.
        log.set_timestamp(clock::now());
        log.set_severity_number(severity);
        log.set_severity_text(severity.name());
        if let Some(place) = trace.map(Trace::place) {
            let flags = Some(place.trace_flags());
            log.set_trace_context(place.trace_id(), place.span_id(), flags);
        }
        let fields = record.as_object().into_iter().flatten();
        log.add_attributes(fields.filter_map(|(key, value)| Some((key.clone(), any(value)?))));
        self.logger.emit(log);
    }
}

/// Null is no value.
fn any(value: &Value) -> Option<AnyValue> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(boolean) => AnyValue::Boolean(*boolean),
        Value::Number(number) => number
            .as_i64()
            .map_or_else(|| AnyValue::Double(number.as_f64().unwrap_or(f64::NAN)), AnyValue::Int),
        Value::String(text) => AnyValue::String(text.clone().into()),
        Value::Array(items) => AnyValue::ListAny(Box::new(items.iter().filter_map(any).collect())),
        Value::Object(fields) => {
            let fields =
                fields.iter().filter_map(|(key, value)| Some((key.clone().into(), any(value)?)));
            AnyValue::Map(Box::new(fields.collect::<HashMap<_, _>>()))
        }
    })
}
