//! When a record is written, and what it says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

use actix_web::http::Method;
use serde_json::Value as Json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Record};
use tracing::{Event, Id, Metadata, Subscriber};

use super::*;
use crate::config;
use crate::telemetry::Metrics;
use crate::telemetry::otlp::Otlp;
use crate::telemetry::trace::Tracing;

/// A path of its own for each test.
fn path() -> std::path::PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    env::temp_dir().join(format!("tidegate-access-{}-{number}.jsonl", process::id()))
}

fn log_to(file: &std::path::Path, metrics: &Metrics) -> AccessLog {
    let file = Some(file.to_owned());
    let config = config::AccessLog { log: true, file, buffer_bytes: 1 << 20 };
    AccessLog::start(&config, "/metrics", metrics, &Otlp::default()).unwrap()
}

fn lines(log: &AccessLog, file: &std::path::Path) -> Vec<Json> {
    log.flush(Duration::from_secs(10));
    let text = fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn came(status: u16) -> Came {
    Came::Http { method: Method::POST, path: "/api/chat".to_owned(), status, bytes: 7 }
}

fn begun(target: Option<Arc<str>>) -> Begun {
    Begun { operation: "chat", dialect: "native", provider: "openai", target }
}

fn ended(outcome: Outcome, failure: Option<ErrorKind>) -> Ended {
    let usage = Usage { prompt_tokens: 5, completion_tokens: 3, ..Usage::default() };
    Ended {
        outcome,
        failure,
        attempts: 2,
        continuations: 1,
        queue_wait: Some(Duration::from_millis(20)),
        duration: Duration::from_millis(40),
        time_to_first_token: Some(Duration::from_millis(30)),
        usage: Some(usage),
        chunks: 9,
    }
}

#[test]
fn a_record_is_written_once_when_both_its_answer_and_its_stream_are_over() {
    let (metrics, file) = (Metrics::new(false).unwrap(), path());
    let log = log_to(&file, &metrics);
    for stream_is_first in [true, false] {
        let request = AccessRecord::open(&log, StreamId::new(0, 7), Instant::now());
        let stream = request.clone();
        stream.begun(begun(Some("a".into())));
        let streams_end = |stream: AccessRecord| stream.ended(ended(Outcome::Completed, None));
        let requests_end = |request: AccessRecord| request.over(came(200));
        let before = lines(&log, &file).len();
        if stream_is_first {
            streams_end(stream);
            assert_eq!(lines(&log, &file).len(), before);
            requests_end(request);
        } else {
            requests_end(request);
            assert_eq!(lines(&log, &file).len(), before);
            streams_end(stream);
        }
        let written = lines(&log, &file);
        assert_eq!(written.len(), before + 1);
        let record = written.last().unwrap();
        assert_eq!((&record["outcome"], &record["status"]), (&"completed".into(), &200.into()));
    }
    fs::remove_file(file).unwrap();
}

#[test]
fn a_refusal_is_counted_where_its_record_is_written() {
    let metrics = Metrics::new(false).unwrap();
    let log = AccessLog::off(&metrics);
    let request = AccessRecord::open(&log, StreamId::new(0, 7), Instant::now());
    request.failed(ErrorKind::QueueFull);
    // What comes of it later does not change why it was refused.
    request.failed(ErrorKind::Internal);
    let stream = request.clone();
    drop(request);
    assert_eq!(metrics.rejections.in_all(), 0);
    drop(stream);
    assert_eq!(metrics.rejections.in_all(), 1);
}

#[test]
fn who_reads_anothers_stream_has_the_end_that_was_told() {
    let (metrics, file) = (Metrics::new(false).unwrap(), path());
    let log = log_to(&file, &metrics);
    let stream = StreamId::new(0, 1);
    for end in [None, Some(Outcome::Truncated)] {
        let reader = AccessRecord::open(&log, StreamId::new(0, 2), Instant::now());
        reader.reads(stream);
        if let Some(end) = end {
            reader.told(end, Some(ErrorKind::Truncated));
        }
    }
    let written = lines(&log, &file);
    let read = |line: &Json| (line["reads"].clone(), line["outcome"].clone());
    assert_eq!(read(&written[0]), (stream.to_string().into(), "client_left".into()));
    assert_eq!(read(&written[1]), (stream.to_string().into(), "truncated".into()));
    assert_eq!(written[1]["code"], "TRUNCATED");
    fs::remove_file(file).unwrap();
}

/// What an event of the log says.
#[derive(Default)]
struct Said(BTreeMap<&'static str, String>);

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}").trim_matches('"').to_owned());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

/// Keeps the last event.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Said>>);

impl Subscriber for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut said = Said::default();
        event.record(&mut said);
        *self.0.lock().unwrap() = said;
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn the_log_and_the_file_say_the_same() {
    let (metrics, file) = (Metrics::new(false).unwrap(), path());
    let log = log_to(&file, &metrics);
    let listener = Listener::default();
    tracing::subscriber::with_default(listener.clone(), || {
        let request = AccessRecord::open(&log, StreamId::new(0, 7), Instant::now());
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        request.traced(Tracing::default().of(Some(parent), None).unwrap());
        request.client_request_id("mine");
        request.caller(&"team".into(), Some(IpAddr::from([127, 0, 0, 1])));
        request.model("m");
        request.begun(begun(None));
        request.asked(&"a".into(), "openai");
        request.answered_by(&"other".into());
        request.reads(StreamId::new(0, 8));
        request.ended(ended(Outcome::Truncated, Some(ErrorKind::Truncated)));
        request.over(came(200));
        drop(request);
    });
    let written = lines(&log, &file).remove(0);
    let mut said = std::mem::take(&mut listener.0.lock().unwrap().0);
    assert_eq!(said.remove("message").as_deref(), Some("request"));
    let mut written = written.as_object().unwrap().clone();
    // The log's lines have a time of their own, and each looks at the clock.
    written.remove("timestamp").unwrap();
    assert!(written.remove("duration_ms").is_some() && said.remove("duration_ms").is_some());
    let known = ["command"];
    for (name, value) in &written {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        assert_eq!(said.remove(name.as_str()).as_deref(), Some(&*value), "{name}");
    }
    assert!(said.is_empty(), "{said:?} are not written");
    assert!(known.iter().all(|name| !written.contains_key(*name)));
    assert_eq!(written.len(), 24, "every field but the command of a socket's message");
    fs::remove_file(file).unwrap();
}
