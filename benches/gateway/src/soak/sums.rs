//! What the gateway says of all its requests: sums by kind and name, of its metrics and of its access
//! records.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde_json::Value;

use super::scrape::label;

/// Requests to the upstream, as often as it was asked.
pub const QUESTIONS: &str = "questions";

/// Counts of several kinds of things, by the thing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sums(BTreeMap<(&'static str, String), u64>);

impl Sums {
    pub fn add(&mut self, what: &'static str, which: &str, count: u64) {
        *self.0.entry((what, which.to_owned())).or_default() += count;
    }

    /// Nothing where nobody has counted such a kind of things.
    pub fn in_all(&self, what: &str) -> Option<u64> {
        let of_kind: Vec<_> = self.0.iter().filter(|((kind, _), _)| *kind == what).collect();
        (!of_kind.is_empty()).then(|| of_kind.iter().map(|(_, count)| **count).sum())
    }

    pub fn get(&self, what: &'static str, which: &str) -> Option<u64> {
        self.0.get(&(what, which.to_owned())).copied()
    }

    pub fn names(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.keys().map(|(what, which)| (*what, which.as_str()))
    }

    /// Of Prometheus' text. What is counted of probes that were answered well is left out: they have
    /// no record.
    pub fn of_metrics(text: &str) -> Self {
        let mut sums = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some((series, value)) = line.rsplit_once(' ')
                && let Ok(value) = value.parse()
            {
                let (name, labels) = series.split_once('{').unwrap_or((series, ""));
                sums.metric(name, labels, value);
            }
        }
        sums
    }

    fn metric(&mut self, name: &str, labels: &str, value: u64) {
        let of = |name| label(labels, name).unwrap_or_default();
        let (model, path) = (of("model"), of("path"));
        match name {
            "http_requests_total" => self.request(of("method"), path, of("status_code"), value),
            "http_request_duration_seconds_count" if !is_probe(path) => {
                self.add("durations of", path, value);
            }
            "ai_gateway_streams_started_total" => self.add("streams begun", "", value),
            "ai_gateway_streams_total" => self.add("streams", of("status"), value),
            "ai_gateway_rejected_requests_total" => self.add("refused", of("reason"), value),
            "ai_gateway_prompt_tokens_total" => self.add("prompt tokens", model, value),
            "ai_tokens_processed_total" => self.add("completion tokens", model, value),
            "ai_gateway_time_to_first_token_seconds_count" => {
                self.add("first tokens", model, value);
            }
            "ai_gateway_queue_wait_seconds_count" => self.add("streams sent", model, value),
            "ai_gateway_target_requests_total" => {
                self.attempts(model, value);
            }
            // The target is the same, and counts once: it may have hung up without a word.
            "ai_gateway_upstream_retries_total"
                if ["stale_connection", "other_key"].contains(&of("reason")) =>
            {
                self.attempts(model, value);
            }
            "ai_gateway_access_records_dropped_total" => self.add("records dropped", "", value),
            _ => {}
        }
    }

    fn attempts(&mut self, model: &str, count: u64) {
        self.add("attempts", model, count);
        // Nobody listens where those of the other models go.
        let listens = !model.starts_with("refused-");
        self.add(QUESTIONS, "to the upstream", if listens { count } else { 0 });
    }

    fn request(&mut self, method: &str, path: &str, status: &str, count: u64) {
        if is_probe(path) && status.starts_with('2') {
            return;
        }
        self.add("requests", &format!("{method} {path} {status}"), count);
        self.add("requests to", path, count);
    }

    /// Of a file of records.
    pub fn of_records(file: &Path) -> io::Result<Self> {
        let mut sums = Self::default();
        for line in BufReader::new(File::open(file)?).lines() {
            sums.record(&serde_json::from_str(&line?)?);
        }
        Ok(sums)
    }

    fn record(&mut self, record: &Value) {
        let text = |field: &str| record[field].as_str();
        if let (Some(method), Some(path)) = (text("method"), text("path")) {
            let path = route_of(path);
            self.request(method, path, &record["status"].to_string(), 1);
            self.add("durations of", path, 1);
        }
        if let Some(reason) = text("code").and_then(reason_of) {
            self.add("refused", reason, 1);
        }
        // Who reads another's stream has begun none.
        let began = text("outcome").filter(|_| record.get("reads").is_none());
        let (Some(outcome), Some(model)) = (began, text("model")) else { return };
        let count = |field: &str| record[field].as_u64().unwrap_or_default();
        self.add("streams begun", "", 1);
        self.add("streams", outcome, 1);
        self.add("prompt tokens", model, count("prompt_tokens"));
        self.add("completion tokens", model, count("completion_tokens"));
        self.attempts(model, count("attempts"));
        self.add("streams sent", model, u64::from(record["queue_wait_ms"].is_number()));
        let has_token = record.get("time_to_first_token_ms").is_some();
        self.add("first tokens", model, u64::from(has_token));
    }
}

fn is_probe(path: &str) -> bool {
    ["/health", "/ready", "/metrics"].contains(&path)
}

/// The route of a path, as metrics name it.
fn route_of(path: &str) -> &str {
    match path.strip_prefix("/api/chat/") {
        Some(id) if id != "streams" => "/api/chat/{id}",
        _ => path,
    }
}

/// The reason by which metrics count a refusal of the gateway itself.
pub fn reason_of(code: &str) -> Option<&'static str> {
    Some(match code {
        "UNAUTHORIZED" => "unauthorized",
        "FORBIDDEN" => "forbidden",
        "RATE_LIMITED" => "rate_limited",
        "CAPACITY" => "capacity",
        "CONNECTION_LIMIT" => "connection_limit",
        "QUEUE_FULL" => "queue_full",
        "QUEUE_TIMEOUT" => "queue_timeout",
        "DRAINING" => "draining",
        "INVALID_REQUEST"
        | "MODEL_NOT_FOUND"
        | "PAYLOAD_TOO_LARGE"
        | "REQUEST_TIMEOUT"
        | "UNSUPPORTED_MEDIA_TYPE" => "invalid",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metrics_and_records_of_the_same_have_the_same_sums() {
        let metrics = Sums::of_metrics(
            "# TYPE http_requests_total counter\n\
             http_requests_total{method=\"POST\",path=\"/api/chat\",status_code=\"200\"} 1\n\
             http_requests_total{method=\"DELETE\",path=\"/api/chat/{id}\",status_code=\"404\"} 1\n\
             http_requests_total{method=\"GET\",path=\"/metrics\",status_code=\"200\"} 9\n\
             http_request_duration_seconds_count{method=\"POST\",path=\"/api/chat\"} 1\n\
             http_request_duration_seconds_count{method=\"DELETE\",path=\"/api/chat/{id}\"} 1\n\
             http_request_duration_seconds_count{method=\"GET\",path=\"/metrics\"} 9\n\
             http_request_duration_seconds_sum{method=\"GET\",path=\"/metrics\"} 0.25\n\
             ai_gateway_streams_started_total{model=\"m\"} 1\n\
             ai_gateway_streams_total{model=\"m\",status=\"truncated\"} 1\n\
             ai_gateway_prompt_tokens_total{model=\"m\"} 5\n\
             ai_tokens_processed_total{model=\"m\"} 7\n\
             ai_gateway_time_to_first_token_seconds_count{model=\"m\"} 1\n\
             ai_gateway_queue_wait_seconds_count{model=\"m\"} 1\n\
             ai_gateway_target_requests_total{model=\"m\",result=\"failed\",target=\"t\"} 1\n\
             ai_gateway_upstream_retries_total{model=\"m\",reason=\"stale_connection\"} 1\n\
             ai_gateway_upstream_retries_total{model=\"m\",reason=\"overloaded\"} 0\n",
        );
        let mut records = Sums::default();
        records.record(&json!({
            "method": "POST", "path": "/api/chat", "status": 200, "model": "m",
            "outcome": "truncated", "code": "TRUNCATED", "attempts": 2, "prompt_tokens": 5,
            "completion_tokens": 7, "queue_wait_ms": 0.0, "time_to_first_token_ms": 1.5,
        }));
        records.record(&json!({
            "method": "DELETE", "path": "/api/chat/0123", "status": 404, "code": "NOT_FOUND",
        }));
        assert_eq!(metrics, records);
    }
}
