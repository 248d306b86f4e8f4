//! What a collector is sent, and what becomes of the gateway when the collector misbehaves.

use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, Metric};
use serde_json::json;
use tidegate::config::Config;
use tidegate::telemetry::Metrics;
use tidegate::telemetry::otlp::{Measured, Otlp, Severity};
use tidegate::telemetry::trace::{KeyValue, Span, SpanKind, Trace};

use crate::collector::{Behaviour, Collector, attribute, hex};
use crate::upstream::PATIENCE;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// What is under test, with the counters that it has.
struct Sender {
    otlp: Otlp,
    metrics: Metrics,
}

impl Sender {
    fn to(collector: &Collector, more: &str) -> Self {
        let endpoint = collector.endpoint();
        let text = format!("[otlp]\nendpoint = \"{endpoint}\"\n{more}");
        let config = Config::parse(&text, []).unwrap().config;
        let metrics = Metrics::new(false).unwrap();
        let otlp = Otlp::start(&config.otlp, &metrics.otlp).unwrap();
        Self { otlp, metrics }
    }

    fn trace(&self, traceparent: Option<&str>) -> Trace {
        self.otlp.tracing().of(traceparent, Some("vendor=1")).expect("spans are on")
    }

    /// So many records came to this.
    fn count(&self, signal: &str, result: &str) -> u64 {
        let text = String::from_utf8(self.metrics.render().unwrap()).unwrap();
        let series =
            format!("ai_gateway_otlp_exports_total{{result=\"{result}\",signal=\"{signal}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
    }
}

fn begin(trace: &Trace, name: &'static str) -> Span {
    trace.span(name, SpanKind::Client, SystemTime::now())
}

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

#[actix_web::test]
async fn spans_arrive_where_they_belong_with_what_was_said_of_them() {
    let collector = Collector::start();
    let headers = "service_name = \"edge\"\n\
                   [[otlp.headers]]\nname = \"authorization\"\nvalue = \"Bearer sesame\"\n";
    let sender = Sender::to(&collector, headers);
    let trace = sender.trace(Some(&traceparent("01")));
    let began = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let mut root = trace.span("POST /v1/chat", SpanKind::Server, began);
    root.set("http.response.status_code", 502);
    root.event("first token", vec![KeyValue::new("n", 1)]);
    let mut child = begin(root.inside(), "chat llama");
    child.failed("timeout");
    let sent = child.inside().traceparent().unwrap();
    assert!(root.is_recording() && child.is_recording());
    drop((child, root));

    let spans = collector.spans(|spans| spans.len() == 2).await;
    let find = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let (root, child) = (find("POST /v1/chat"), find("chat llama"));
    assert_eq!((hex(&root.trace_id), hex(&root.parent_span_id)), (TRACE.into(), PARENT.into()));
    assert_eq!((hex(&child.trace_id), &child.parent_span_id), (TRACE.into(), &root.span_id));
    assert_eq!(sent, format!("00-{TRACE}-{}-01", hex(&child.span_id)));
    assert_eq!(
        (root.kind().as_str_name(), child.kind().as_str_name()),
        ("SPAN_KIND_SERVER", "SPAN_KIND_CLIENT")
    );
    assert_eq!(root.start_time_unix_nano, 1_700_000_000_000_000_000);
    assert_eq!((root.trace_state.as_str(), child.trace_state.as_str()), ("vendor=1", "vendor=1"));
    assert_eq!(attribute(&root.attributes, "http.response.status_code"), "502");
    assert_eq!(root.events[0].name, "first token");
    assert_eq!(attribute(&root.events[0].attributes, "n"), "1");
    assert_eq!(attribute(&child.attributes, "error.type"), "timeout");
    assert_eq!(child.status.as_ref().unwrap().code().as_str_name(), "STATUS_CODE_ERROR");

    let received = collector.received();
    assert!(received.heads[0].starts_with("POST /v1/traces "), "{:?}", received.heads);
    let head = received.heads[0].to_ascii_lowercase();
    assert!(head.contains("authorization: bearer sesame\r\n"), "{head}");
    assert!(head.contains("content-type: application/x-protobuf\r\n"), "{head}");
    let resource = &received.resources[0];
    assert_eq!(attribute(resource, "service.name"), "edge");
    assert_eq!(attribute(resource, "service.version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(attribute(resource, "service.instance.id").len(), 32);
    sender.otlp.shutdown(PATIENCE);
    assert_eq!(sender.count("traces", "sent"), 2);
}

#[actix_web::test]
async fn a_trace_that_begins_here_has_one_id_for_all_it_holds() {
    let collector = Collector::start();
    let sender = Sender::to(&collector, "");
    let trace = sender.otlp.tracing().of(Some("00-nonsense"), Some("vendor=1")).unwrap();
    assert_eq!((trace.traceparent(), trace.tracestate()), (None, None));
    let other = sender.otlp.tracing().of(None, None).unwrap();
    assert_ne!(trace.id(), other.id());
    let root = begin(&trace, "root");
    let inside = root.inside().clone();
    let child = begin(&inside, "child");
    let id = trace.id().to_string();
    assert!([root.inside(), child.inside()].iter().all(|place| place.id().to_string() == id));
    // It ends in a panic too.
    let panicked = panic::catch_unwind(AssertUnwindSafe(|| {
        let _child = child;
        panic::resume_unwind(Box::new("on purpose"));
    }));
    assert!(panicked.is_err());
    drop(root);
    let spans = collector.spans(|spans| spans.len() == 2).await;
    assert!(spans.iter().all(|span| hex(&span.trace_id) == id), "{spans:#?}");
    let root = spans.iter().find(|span| span.name == "root").unwrap();
    assert!(root.parent_span_id.is_empty(), "{root:#?}");
}

#[actix_web::test]
async fn who_began_a_trace_decides_whether_it_is_recorded() {
    let collector = Collector::start();
    for (ratio, parent, recorded) in
        [("1", None, true), ("1", Some("00"), false), ("0", None, false), ("0", Some("01"), true)]
    {
        let sender = Sender::to(&collector, &format!("sample_ratio = {ratio}"));
        let trace = sender.trace(parent.map(traceparent).as_deref());
        let root = begin(&trace, "root");
        let child = begin(root.inside(), "child");
        let case = format!("{ratio} {parent:?}");
        assert_eq!((root.is_recording(), child.is_recording()), (recorded, recorded), "{case}");
        let sent = child.inside().traceparent().unwrap();
        let flags = if recorded { "-01" } else { "-00" };
        assert!(sent.ends_with(flags) && !sent.contains(PARENT), "{case}: {sent}");
        assert_eq!(child.inside().id(), trace.id(), "{case}");
        let state = parent.map(|_| "vendor=1".to_owned());
        assert_eq!(child.inside().tracestate(), state, "{case}");
        drop((root, child));
        // All is sent then.
        sender.otlp.shutdown(PATIENCE);
        let count = sender.count("traces", "sent");
        assert_eq!(count, if recorded { 2 } else { 0 }, "{case}");
        // What goes on afterwards belongs to the trace still, and is not recorded.
        let late = begin(&trace, "late");
        assert_eq!((late.is_recording(), late.inside().id()), (false, trace.id()), "{case}");
    }
    assert_eq!(collector.received().spans.len(), 4);
}

#[actix_web::test]
async fn a_collector_that_hangs_is_waited_for_by_nobody() {
    let collector = Collector::start();
    collector.behave(Behaviour::Hang);
    let bounds = "access_records = true\nqueue_size = 10\ntimeout_seconds = 300";
    let sender = Sender::to(&collector, bounds);
    let trace = sender.trace(None);
    let logger = sender.otlp.logger().unwrap();
    // Were they to wait, this would not end: nothing is answered so far.
    for _ in 0..100 {
        drop(begin(&trace, "span"));
        logger.emit("event", Severity::Info, None, &json!({}));
    }
    // Of these at most ten are on their way, and ten wait.
    let dropped = ["traces", "logs"].map(|signal| sender.count(signal, "dropped"));
    assert!(dropped.iter().all(|count| (80..=90).contains(count)), "{dropped:?}");
    let received = collector.received();
    assert!(received.spans.is_empty() && received.records.is_empty());
    collector.behave(Behaviour::Take);
    let [spans, records] = dropped.map(|count| 100 - usize::try_from(count).unwrap());
    collector.spans(|kept| kept.len() == spans).await;
    collector.records(|kept| kept.len() == records).await;

    collector.behave(Behaviour::Hang);
    let before = collector.received().heads.len();
    drop(begin(&trace, "span"));
    collector.wait_for(|received| received.heads.len() > before).await;
    // Nor does the end wait: only this test's own collector would let it go, later.
    sender.otlp.shutdown(Duration::from_millis(50));
    assert_eq!(collector.received().spans.len(), spans);
}

#[actix_web::test]
async fn what_a_collector_does_not_take_is_counted_as_lost() {
    let collector = Collector::start();
    let elsewhere = Collector::start();
    for (behaviour, failed) in [
        (Behaviour::Refuse(401), 3),
        (Behaviour::Redirect(elsewhere.endpoint() + "/v1/traces"), 3),
        (Behaviour::Reject(2), 2),
        (Behaviour::Reject(-1), 0),
        (Behaviour::Take, 0),
    ] {
        collector.behave(behaviour.clone());
        let sender = Sender::to(&collector, "");
        let trace = sender.trace(None);
        for _ in 0..3 {
            drop(begin(&trace, "span"));
        }
        sender.otlp.shutdown(PATIENCE);
        let counts = ["failed", "sent", "dropped"].map(|result| sender.count("traces", result));
        assert_eq!(counts, [failed, 3 - failed, 0], "{behaviour:?}");
    }
    // Configuration alone chooses where keys go.
    assert!(elsewhere.received().heads.is_empty());
}

#[actix_web::test]
async fn access_records_arrive_with_their_fields_and_their_place() {
    let collector = Collector::start();
    let sender = Sender::to(&collector, "access_records = true");
    let logger = sender.otlp.logger().unwrap();
    let span = begin(&sender.trace(None), "root");
    let before = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let record = json!({
        "model": "m", "tokens": 7, "seconds": 0.5, "streamed": true, "key": null, "legs": [{ "n": 1 }],
    });
    logger.emit("tidegate.access", Severity::Warn, Some(span.inside()), &record);
    sender.otlp.shutdown(PATIENCE);
    let received = collector.received();
    let [record] = received.records.as_slice() else { panic!("{:#?}", received.records) };
    assert_eq!(sender.count("logs", "sent"), 1);
    assert_eq!(record.event_name, "tidegate.access");
    let times = [record.time_unix_nano, record.observed_time_unix_nano];
    assert!(times.iter().all(|nanos| u128::from(*nanos) >= before.as_nanos()), "{times:?}");
    assert_eq!((record.severity_text.as_str(), record.severity_number), ("WARN", 13));
    for (key, value) in
        [("model", "m"), ("tokens", "7"), ("seconds", "0.5"), ("streamed", "true"), ("key", "")]
    {
        assert_eq!(attribute(&record.attributes, key), value, "{key}");
    }
    assert_eq!(record.attributes.len(), 5, "{record:#?}");
    let place = format!("00-{}-{}-01", hex(&record.trace_id), hex(&record.span_id));
    assert_eq!(span.inside().traceparent(), Some(place));
}

/// The points of a histogram, by what their attribute `key` says.
pub fn points<'m>(
    metrics: &'m [Metric],
    name: &str,
    key: &str,
) -> Vec<(String, &'m HistogramDataPoint)> {
    let metric = metrics.iter().find(|metric| metric.name == name);
    let Some(Data::Histogram(histogram)) = metric.and_then(|metric| metric.data.as_ref()) else {
        panic!("{name} is no histogram of {metrics:#?}");
    };
    let points = histogram.data_points.iter();
    let mut points: Vec<_> =
        points.map(|point| (attribute(&point.attributes, key), point)).collect();
    points.sort_by(|a, b| a.0.cmp(&b.0));
    points
}

#[actix_web::test]
async fn answers_are_measured_as_the_conventions_say() {
    let collector = Collector::start();
    let sender = Sender::to(&collector, "");
    let gen_ai = sender.otlp.gen_ai().unwrap();
    let good = Measured {
        operation: "chat",
        provider: "openai",
        request_model: "gpt",
        response_model: Some("spare"),
        completed: true,
        error_type: None,
        duration: Duration::from_secs(3),
        first_token: Some(Duration::from_secs(1)),
        input_tokens: Some(100),
        output_tokens: Some(5),
    };
    let (completed, error_type) = (false, Some("timeout"));
    let bad = Measured { completed, error_type, output_tokens: None, ..good.clone() };
    for answer in [&good, &good, &bad, &Measured { first_token: None, ..good.clone() }] {
        gen_ai.record(answer);
    }
    sender.otlp.shutdown(PATIENCE);
    let metrics = collector.metrics(|metrics| !metrics.is_empty()).await;
    assert_eq!(sender.count("metrics", "sent"), 4, "{metrics:#?}");

    let all = points(&metrics, "gen_ai.server.request.duration", "error.type");
    let counts: Vec<_> = all.iter().map(|(error, point)| (error.as_str(), point.count)).collect();
    assert_eq!(counts, [("", 3), ("timeout", 1)]);
    assert_eq!((all[0].1.explicit_bounds[0], all[0].1.explicit_bounds[13]), (0.01, 81.92));
    for (key, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.request.model", "gpt"),
        ("gen_ai.response.model", "spare"),
    ] {
        assert_eq!(attribute(&all[0].1.attributes, key), value);
    }
    let used = points(&metrics, "gen_ai.client.token.usage", "gen_ai.token.type");
    let used: Vec<_> = used.iter().map(|(kind, p)| (kind.as_str(), p.count, p.sum)).collect();
    assert_eq!(used, [("input", 4, Some(400.0)), ("output", 3, Some(15.0))]);
    // Two answers, each with four tokens in the two seconds behind the first.
    for (name, sum) in
        [("gen_ai.server.time_to_first_token", 2.0), ("gen_ai.server.time_per_output_token", 1.0)]
    {
        let [(_, point)] = points(&metrics, name, "error.type")[..] else { panic!("{name}") };
        assert_eq!((point.count, point.sum), (2, Some(sum)), "{name}");
    }
    let units: Vec<_> = metrics.iter().map(|metric| metric.unit.as_str()).collect();
    assert_eq!(units, ["s", "s", "s", "{token}"]);
}
