//! What the gateway tells of all its requests: by its metrics, and by its access records.

use std::path::Path;

use serde_json::Value;

use super::counts::Counts;
use super::own::route_of;

/// One scrape of the metrics.
pub struct Scrape(String);

impl Scrape {
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The series of a metric, added up by these labels.
    pub fn by(&self, metric: &str, labels: &[&str]) -> Counts {
        let mut counts = Counts::default();
        for line in self.0.lines().filter_map(|line| line.strip_prefix(metric)) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            if !series.is_empty() && !series.starts_with('{') {
                continue;
            }
            let value: f64 = value.parse().unwrap();
            let label = |label: &&str| {
                let (_, rest) = series.split_once(&format!("{label}=\"")).unwrap();
                rest.split('"').next().unwrap().to_owned()
            };
            let name = labels.iter().map(label).collect::<Vec<_>>().join(" ");
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "counts are whole numbers"
            )]
            counts.add(&name, value as u64);
        }
        counts
    }

    pub fn sum(&self, metric: &str) -> u64 {
        self.by(metric, &[]).sum()
    }
}

/// The records in their file.
pub struct Records(pub Vec<Value>);

impl Records {
    pub fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap();
        // The last line may be half written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        Self(whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    /// Those for which there is such a thing, by what it is.
    pub fn by(&self, name: impl Fn(&Value) -> Option<String>) -> Counts {
        self.0.iter().filter_map(name).collect()
    }

    /// The sum of a field's values, by model.
    pub fn sums(&self, field: &str) -> Counts {
        let mut counts = Counts::default();
        for record in &self.0 {
            let model = record["model"].as_str().unwrap_or("none");
            counts.add(model, record[field].as_u64().unwrap_or(0));
        }
        counts
    }

    /// Those that have a field, by model.
    pub fn having(&self, field: &str) -> Counts {
        self.by(|record| record.get(field).map(|_| record["model"].as_str().unwrap().to_owned()))
    }

    /// By method, route and status, as metrics name them.
    pub fn answered(&self) -> Counts {
        self.by(|record| {
            let text = |field: &str| record[field].as_str();
            let method = match text("method")? {
                method @ ("GET" | "POST" | "DELETE") => method,
                _ => "other",
            };
            Some(format!("{method} {} {}", route_of(text("path")?), record["status"]))
        })
    }
}

/// The reason by which metrics count a refusal.
pub fn reason_of(code: &str) -> Option<String> {
    let reason = match code {
        "UNAUTHORIZED" | "FORBIDDEN" | "RATE_LIMITED" | "CAPACITY" | "CONNECTION_LIMIT"
        | "QUEUE_FULL" | "QUEUE_TIMEOUT" | "DRAINING" => return Some(code.to_lowercase()),
        "INVALID_REQUEST"
        | "MODEL_NOT_FOUND"
        | "PAYLOAD_TOO_LARGE"
        | "REQUEST_TIMEOUT"
        | "UNSUPPORTED_MEDIA_TYPE" => "invalid",
        _ => return None,
    };
    Some(reason.to_owned())
}
