//! `[otlp]`: the collector that is sent traces, metrics and access records.

use std::fmt;
use std::slice::from_ref;
use std::time::Duration;

use super::kind;
use super::secret::{Masked, Secret};
use super::section::Section;

/// How many headers requests to the collector may have.
const MAX_HEADERS: usize = 32;
/// Of its name, which is no secret.
const MAX_NAME_CHARS: usize = 64;
/// Prometheus, and those like it, take a series for ended that has no number for longer; the alert on lost
/// telemetry counts on it, too.
const MAX_METRICS_INTERVAL: u32 = 300;

/// The collector that is sent traces, metrics and access records.
#[derive(Debug, Clone, PartialEq)]
pub struct Otlp {
    /// Without one nothing is sent, and nothing is made.
    pub endpoint: Option<String>,
    pub traces: bool,
    pub metrics: bool,
    pub access_records: bool,
    /// Of the traces that begin here; what a client has begun is its own to decide.
    pub sample_ratio: f64,
    pub headers: Vec<Header>,
    /// For one request to the collector.
    pub timeout: Duration,
    /// Spans that wait to be sent, and as many access records.
    pub queue_size: usize,
    pub metrics_interval: Duration,
    pub service_name: String,
}

/// What requests to the collector have in their head, such as a key.
#[derive(Clone)]
pub struct Header {
    pub name: String,
    pub value: Secret,
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header").field("name", &self.name).field("value", &Masked).finish()
    }
}

impl PartialEq for Header {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Secret::all_match(from_ref(&self.value), from_ref(&other.value))
    }
}

impl Otlp {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let service_name = kind::text("1 to 255 characters, none of them a control", service_name);
        Self {
            endpoint: section.optional("endpoint", &kind::base_url()),
            traces: section.get("traces", &kind::boolean(), true),
            metrics: section.get("metrics", &kind::boolean(), true),
            access_records: section.get("access_records", &kind::boolean(), false),
            sample_ratio: section.get("sample_ratio", &kind::number(0.0..=1.0), 1.0),
            timeout: section.get("timeout_seconds", &kind::seconds(300), Duration::from_secs(10)),
            queue_size: section.get("queue_size", &kind::integer(1..=1_000_000), 2048),
            metrics_interval: section.get(
                "metrics_interval_seconds",
                &kind::seconds(MAX_METRICS_INTERVAL),
                Duration::from_secs(60),
            ),
            service_name: section.get("service_name", &service_name, "tidegate".to_owned()),
            headers: headers(section),
        }
    }
}

fn headers(section: &mut Section<'_>) -> Vec<Header> {
    let headers = section.sections("headers", header);
    let headers: Vec<_> = headers.into_iter().flatten().collect();
    let named_before = |at: usize| headers[..at].iter().any(|h| h.name == headers[at].name);
    if (0..headers.len()).any(named_before) {
        section.conflict("headers", "has a header twice");
    } else if headers.len() > MAX_HEADERS {
        section.conflict("headers", format!("must be no more than {MAX_HEADERS}"));
    }
    headers
}

/// None has been noted as a fault.
fn header(section: &mut Section<'_>) -> Option<Header> {
    let name = kind::text("1 to 64 letters, digits, - and _; not one that HTTP itself sets", name);
    let name = section.required("name", &name);
    let value = section.optional("value", &kind::header_value());
    let variable = section.optional("value_env", &kind::variable_name());
    let given = ["value", "value_env"].map(|key| section.in_file(key).is_some());
    let value = match given {
        [true, true] => {
            section.conflict("value_env", "must not be given together with value");
            None
        }
        [false, false] => {
            section.missing("value_env", "the variable that holds the value; or value itself");
            None
        }
        [true, false] => value,
        [false, true] => from_variable(section, &variable?),
    };
    Some(Header { name: name?, value: value? })
}

fn from_variable(section: &mut Section<'_>, variable: &str) -> Option<Secret> {
    let Some(text) = section.sources.environment.get(variable) else {
        section.conflict("value_env", format!("the environment variable {variable} is not set"));
        return None;
    };
    let kind = kind::header_value();
    let value = kind.parse(super::raw::Raw::Variable(text));
    if value.is_none() {
        let explanation = format!("the value of {variable} must be {}", kind.allowed);
        section.conflict("value_env", explanation);
    }
    value
}

/// In lower case, as HTTP/2 has them, so that one that is there twice is found.
fn name(text: &str) -> Option<String> {
    let known = |char: char| char.is_ascii_alphanumeric() || "-_".contains(char);
    let valid = (1..=MAX_NAME_CHARS).contains(&text.len()) && text.chars().all(known);
    let name = text.to_ascii_lowercase();
    let ours = ["connection", "content-length", "content-type", "host", "transfer-encoding"];
    (valid && !ours.contains(&name.as_str())).then_some(name)
}

fn service_name(text: &str) -> Option<String> {
    let valid = (1..=255).contains(&text.len()) && !text.chars().any(char::is_control);
    valid.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Loaded, needs_restart};

    fn load(text: &str, env: &[(&str, &str)]) -> Result<Loaded, String> {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::parse(text, env).map_err(|faults| faults.to_string())
    }

    #[test]
    fn nothing_is_sent_unless_a_collector_is_named() {
        assert_eq!(load("", &[]).unwrap().config.otlp.endpoint, None);
        let text = "[otlp]\nendpoint = \"http://file:4318/\"\nservice_name = \"file\"";
        let loaded = load(text, &[]).unwrap();
        assert_eq!(loaded.config.otlp.endpoint.as_deref(), Some("http://file:4318"));
        let env =
            [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://env:4318"), ("OTEL_SERVICE_NAME", "edge")];
        let otlp = load(text, &env).unwrap().config.otlp;
        assert_eq!(otlp.endpoint.as_deref(), Some("http://env:4318"));
        assert_eq!(otlp.service_name, "edge");
        for refused in ["http://me:canary@host", "host:4318"] {
            let fault = load("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", refused)]).unwrap_err();
            assert!(fault.contains("otlp.endpoint") && !fault.contains("canary"), "{fault}");
        }
    }

    #[test]
    fn metrics_are_sent_at_least_every_five_minutes() {
        for (seconds, accepted) in [(1, true), (300, true), (301, false)] {
            let text = format!("[otlp]\nmetrics_interval_seconds = {seconds}");
            assert_eq!(load(&text, &[]).is_ok(), accepted, "{seconds}");
        }
    }

    #[test]
    fn the_values_of_headers_are_shown_nowhere() {
        let text = "[[otlp.headers]]\nname = \"Authorization\"\nvalue_env = \"COLLECTOR_KEY\"\n\
                    [[otlp.headers]]\nname = \"x-team\"\nvalue = \"canary two\"\n";
        let loaded = load(text, &[("COLLECTOR_KEY", "Basic canary=")]).unwrap();
        let headers = &loaded.config.otlp.headers;
        let told: Vec<_> = headers.iter().map(|h| (h.name.as_str(), h.value.expose())).collect();
        assert_eq!(told, [("authorization", "Basic canary="), ("x-team", "canary two")]);
        let shown = format!("{loaded:?} {}", loaded.render());
        assert!(!shown.contains("canary"), "{shown}");

        let other = load(text, &[("COLLECTOR_KEY", "Basic other")]).unwrap();
        assert_eq!(needs_restart(&loaded.config, &other.config), ["otlp"]);
    }

    #[test]
    fn what_is_wrong_with_a_header_is_told_without_its_value() {
        for (text, fault) in [
            ("name = \"a\"", "otlp.headers[0].value_env (tidegate.toml:1): missing"),
            ("value = \"canary\"", "otlp.headers[0].name (tidegate.toml:1): missing"),
            ("name = \"a\"\nvalue = \"canary\\n\"", "must be 1 to 4096"),
            ("name = \"a\"\nvalue = \" canary\"", "must be 1 to 4096"),
            ("name = \"a b\"\nvalue = \"canary\"", "must be 1 to 64 letters"),
            ("name = \"Host\"\nvalue = \"canary\"", "must be 1 to 64 letters"),
            ("name = \"a\"\nvalue_env = \"sk-canary\"", "the name of an environment variable"),
            ("name = \"a\"\nvalue_env = \"NONE\"", "the environment variable NONE is not set"),
            ("name = \"a\"\nvalue_env = \"BAD\"", "the value of BAD must be 1 to 4096"),
            ("name = \"a\"\nvalue = \"canary\"\nvalue_env = \"GOOD\"", "together with value"),
            (
                "name = \"a\"\nvalue = \"canary\"\n[[otlp.headers]]\nname = \"A\"\nvalue = \"b\"",
                "has a header twice",
            ),
        ] {
            let env = [("BAD", "canary\u{e9}"), ("GOOD", "canary")];
            let faults = load(&format!("[[otlp.headers]]\n{text}"), &env).unwrap_err();
            assert!(faults.contains(fault) && !faults.contains('\n'), "{text}: {faults}");
            assert!(!faults.contains("canary"), "{faults}");
        }
    }
}
