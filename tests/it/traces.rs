//! The trace of a request, from its client to its upstreams, as a collector gets it.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;

use crate::client::{Client, native};
use crate::collector::{Collector, attribute, hex};
use crate::fleet::{at, fleet};
use crate::gateway::{TestGateway, openai_model};
use crate::process::Process;
use crate::socket::Socket;
use crate::upstream::{Gate, Seen, Step, Upstream, openai_answer, openai_token, refusal, sse_head};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const KEY: &str = "0123456789abcdef0123456789abcdef";

fn traceparent() -> String {
    format!("00-{TRACE}-{PARENT}-01")
}

fn to(collector: &Collector) -> String {
    format!("[otlp]\nendpoint = \"{}\"\n", collector.endpoint())
}

fn traced(gateway: &TestGateway) -> Client {
    gateway.client.with_header("traceparent", &traceparent()).with_header("tracestate", "vendor=1")
}

/// The spans of our trace, once there are so many.
async fn ours(collector: &Collector, count: usize) -> Vec<Span> {
    let is_ours = |span: &Span| hex(&span.trace_id) == TRACE;
    let all = collector.spans(|spans| spans.iter().filter(|s| is_ours(s)).count() >= count).await;
    let ours: Vec<_> = all.into_iter().filter(is_ours).collect();
    assert_eq!(ours.len(), count, "{:?}", ours.iter().map(|s| &s.name).collect::<Vec<_>>());
    ours
}

/// Each span with that of its parent, by their names, in the order in which they began.
fn tree(spans: &[Span]) -> Vec<(String, String)> {
    let names: BTreeMap<_, _> = spans.iter().map(|span| (&span.span_id, &span.name)).collect();
    let mut sorted: Vec<_> = spans.iter().collect();
    sorted.sort_by_key(|span| (span.start_time_unix_nano, span.name.clone()));
    let parent = |span: &Span| match names.get(&span.parent_span_id) {
        Some(name) => (*name).clone(),
        None => hex(&span.parent_span_id),
    };
    let mut tree: Vec<_> = sorted.iter().map(|s| (s.name.clone(), parent(s))).collect();
    tree.sort();
    tree
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut pairs: Vec<_> =
        pairs.iter().map(|(span, parent)| ((*span).to_owned(), (*parent).to_owned())).collect();
    pairs.sort();
    pairs
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans.iter().find(|span| span.name == name).unwrap()
}

fn newest(spans: &[Span], name: &str) -> Span {
    let of_it = spans.iter().filter(|span| span.name == name);
    of_it.max_by_key(|span| span.start_time_unix_nano).unwrap().clone()
}

fn error_of(span: &Span) -> String {
    attribute(&span.attributes, "error.type")
}

/// Every span lies within its parent's time, but for the stream's, which may outlive its request.
fn are_nested(spans: &[Span]) {
    for span in spans {
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{}", span.name);
        let Some(parent) = spans.iter().find(|parent| parent.span_id == span.parent_span_id) else {
            continue;
        };
        assert!(span.start_time_unix_nano >= parent.start_time_unix_nano, "{}", span.name);
    }
}

#[actix_web::test]
async fn a_request_that_waits_is_traced_from_its_client_to_its_upstream() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |seen: &Seen| {
        let is_first = seen.json()["messages"][0]["content"] == "first";
        let wait = is_first.then(|| Step::Gate(held.clone()));
        wait.into_iter().chain(openai_answer(&["one", " two"])).collect()
    })
    .await;
    let collector = Collector::start();
    let model = openai_model(&upstream, "max_concurrency = 1");
    let gateway = TestGateway::start(&(model + &to(&collector))).await;
    // Its head comes with its first piece.
    let body = native("first").to_string();
    let first = gateway.client.send("POST", "/api/chat", Some(&body)).await;
    upstream.wait_for_chats(1).await;
    let mut second = traced(&gateway).open("/api/chat", &native("second")).await;
    second.read_until("chat.queued").await;
    gate.open();
    assert_eq!(second.whole().await.status, 200);
    first.whole().await;

    let spans = ours(&collector, 6).await;
    assert_eq!(
        tree(&spans),
        pairs(&[
            ("POST /api/chat", PARENT),
            ("admission", "POST /api/chat"),
            ("stream", "POST /api/chat"),
            ("queue", "stream"),
            ("chat test", "stream"),
            ("first token", "chat test"),
        ])
    );
    are_nested(&spans);
    let (asked, queue) = (named(&spans, "chat test"), named(&spans, "queue"));
    assert!(queue.start_time_unix_nano <= asked.start_time_unix_nano);
    for (key, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.request.model", "test"),
        ("server.address", "127.0.0.1"),
        ("server.port", &*upstream.port.to_string()),
        ("tidegate.result", "answered"),
    ] {
        assert_eq!(attribute(&asked.attributes, key), value, "{key}");
    }
    let stream = named(&spans, "stream");
    assert_eq!(attribute(&stream.attributes, "tidegate.outcome"), "completed");
    let request = named(&spans, "POST /api/chat");
    assert_eq!(attribute(&request.attributes, "http.response.status_code"), "200");
    assert!(spans.iter().all(|span| error_of(span).is_empty()));

    // The upstream's own spans go below the one that stands for asking it.
    let seen = upstream.chats().pop().unwrap();
    let sent = format!("00-{TRACE}-{}-01", hex(&asked.span_id));
    assert_eq!(seen.header("traceparent"), Some(sent));
    assert_eq!(seen.header("tracestate").as_deref(), Some("vendor=1"));
}

#[actix_web::test]
async fn each_target_that_was_asked_has_a_span_of_its_own() {
    let bad = Upstream::start(|_| refusal(503, "", r#"{"error":{"message":"no"}}"#)).await;
    let good = Upstream::start(|_| openai_answer(&["one"])).await;
    let collector = Collector::start();
    let targets = [("bad", at(&bad)), ("good", format!("{}\ninput_price = 1", at(&good)))];
    let model = fleet(&targets, "policy = \"cheapest\"\n");
    let gateway = TestGateway::start(&(model + &to(&collector))).await;
    let reply = traced(&gateway).post("/api/chat", &native("hi")).await;
    assert_eq!(reply.status, 200);

    let spans = ours(&collector, 6).await;
    are_nested(&spans);
    let target = |span: &Span| attribute(&span.attributes, "tidegate.target");
    let asked = |name: &str| spans.iter().find(|span| target(span) == name).unwrap();
    assert_eq!(error_of(asked("bad")), "UPSTREAM_OVERLOADED");
    assert_eq!(error_of(asked("good")), "");
    let result = |name: &str| attribute(&asked(name).attributes, "tidegate.result");
    assert_eq!((result("bad").as_str(), result("good").as_str()), ("failed", "answered"));
    let stream = named(&spans, "stream");
    assert_eq!(
        (error_of(stream), attribute(&stream.attributes, "tidegate.attempts")),
        (String::new(), "2".to_owned())
    );
    assert_eq!(
        stream.events.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(),
        ["failover", "first token"]
    );
    let parents = [&bad, &good].map(|upstream| upstream.chats()[0].header("traceparent"));
    for (parent, name) in parents.into_iter().zip(["bad", "good"]) {
        assert_eq!(parent, Some(format!("00-{TRACE}-{}-01", hex(&asked(name).span_id))));
    }
}

#[actix_web::test]
async fn a_cancelled_request_ends_all_its_spans_and_none_as_a_failure() {
    let upstream = Upstream::start(|_| vec![sse_head(), openai_token("one"), Step::Silence]).await;
    let collector = Collector::start();
    let gateway = TestGateway::start(&(openai_model(&upstream, "") + &to(&collector))).await;
    let mut live = traced(&gateway).open("/api/chat", &native("hi")).await;
    live.read_until("one").await;
    let cancelled = gateway.client.delete(&format!("/api/chat/{}", live.id())).await;
    assert_eq!(cancelled.status, 200);
    live.whole().await;

    let spans = ours(&collector, 5).await;
    are_nested(&spans);
    let stream = named(&spans, "stream");
    assert_eq!(attribute(&stream.attributes, "tidegate.outcome"), "cancelled");
    let asked = named(&spans, "chat test");
    assert_eq!(attribute(&asked.attributes, "tidegate.result"), "given_up");
    assert!(spans.iter().all(|span| error_of(span).is_empty()));
}

#[actix_web::test]
async fn who_leaves_while_it_waits_has_failed_no_more_than_who_leaves_later() {
    let gate = Gate::new();
    let upstream = Upstream::gated(&gate).await;
    let collector = Collector::start();
    let model = openai_model(&upstream, "max_concurrency = 1");
    let gateway = TestGateway::start(&(model + &to(&collector))).await;
    let first = gateway.client.send("POST", "/api/chat", Some(&native("first").to_string())).await;
    upstream.wait_for_chats(1).await;
    let mut second = traced(&gateway).open("/api/chat", &native("second")).await;
    second.read_until("chat.queued").await;
    drop(second);

    let spans = ours(&collector, 4).await;
    are_nested(&spans);
    let outcome = attribute(&named(&spans, "stream").attributes, "tidegate.outcome");
    assert_eq!((outcome.as_str(), &*named(&spans, "queue").name), ("cancelled", "queue"));
    assert!(spans.iter().all(|span| error_of(span).is_empty()), "{spans:#?}");
    gate.open();
    first.whole().await;
}

#[actix_web::test]
async fn who_is_refused_has_the_reason_in_the_trace() {
    let upstream = Upstream::start(|_| vec![sse_head(), openai_token("one"), Step::Close]).await;
    let collector = Collector::start();
    let gateway = TestGateway::start(&(openai_model(&upstream, "") + &to(&collector))).await;
    let mut body = native("hi");
    body["model"] = "nobody".into();
    assert_eq!(traced(&gateway).post("/api/chat", &body).await.status, 404);
    let spans = ours(&collector, 2).await;
    assert_eq!(error_of(named(&spans, "admission")), "MODEL_NOT_FOUND");

    let request = named(&spans, "POST /api/chat");
    assert_eq!(error_of(request), "", "a client's mistake is no failure of the server");
    assert_eq!(attribute(&request.attributes, "tidegate.code"), "MODEL_NOT_FOUND");

    // A cut answer is a failure of what was to give it, though its response began well.
    traced(&gateway).post("/api/chat", &native("hi")).await;
    let spans = ours(&collector, 7).await;
    assert_eq!(error_of(named(&spans, "stream")), "TRUNCATED");
    assert_eq!(error_of(named(&spans, "chat test")), "TRUNCATED");
}

/// Whatever refuses it, and however early.
#[actix_web::test]
async fn whatever_refuses_a_request_is_named_in_its_trace() {
    let gate = Gate::new();
    let upstream = Upstream::gated(&gate).await;
    let collector = Collector::start();
    let limits = "[rate_limits]\nrequests_per_minute = 1\nburst = 5\n";
    let key = format!("[auth]\nkey = \"{KEY}\"\n");
    let toml = openai_model(&upstream, "") + &to(&collector) + limits + &key;
    let gateway = TestGateway::start_with_server("max_streams = 1", &toml).await;
    let known = traced(&gateway).with_header("x-api-key", KEY);
    let untraced = gateway.client.with_header("x-api-key", KEY);
    let holder = untraced.send("POST", "/api/chat", Some(&native("hi").to_string())).await;
    upstream.wait_for_chats(1).await;

    let good = native("hi");
    let cases = [
        (traced(&gateway), good.clone(), "UNAUTHORIZED"),
        (known.with_header("content-type", "text/plain"), good.clone(), "UNSUPPORTED_MEDIA_TYPE"),
        (known.with_header("x-priority", "utmost"), good.clone(), "INVALID_REQUEST"),
        (known.clone(), json!({}), "INVALID_REQUEST"),
        (known.clone(), good.clone(), "CAPACITY"),
        (known, good, "RATE_LIMITED"),
    ];
    for (at, (client, body, code)) in cases.into_iter().enumerate() {
        let reply = client.post("/api/chat", &body).await;
        assert_eq!(reply.json()["error"], code, "{}", reply.text());
        let spans = ours(&collector, 2 * (at + 1)).await;
        assert_eq!(error_of(&newest(&spans, "admission")), code);
        let request = newest(&spans, "POST /api/chat");
        assert_eq!(attribute(&request.attributes, "tidegate.code"), code);
        assert_eq!(hex(&newest(&spans, "admission").parent_span_id), hex(&request.span_id));
    }
    // So does what comes over a socket, which is still open.
    let headers = [("x-api-key", KEY), ("traceparent", &*traceparent())];
    let mut socket = Socket::open_with(gateway.address(), &headers).await.unwrap();
    socket.start("s", "hi", json!({})).await;
    let spans = ours(&collector, 13).await;
    assert_eq!(error_of(&newest(&spans, "admission")), "RATE_LIMITED");
    gate.open();
    holder.whole().await;
}

#[actix_web::test]
async fn a_request_is_described_as_the_conventions_for_http_say() {
    let upstream = Upstream::start(|_| openai_answer(&["one"])).await;
    let collector = Collector::start();
    let gateway = TestGateway::start(&(openai_model(&upstream, "") + &to(&collector))).await;
    let long = format!("/{}", "x".repeat(300));
    for (method, path, name, told, original) in [
        ("PUT", "/api/chat", "PUT /api/chat", "PUT", ""),
        ("BREW", "/api/chat", "HTTP /api/chat", "_OTHER", "BREW"),
        ("PATCH", &*long, "PATCH", "PATCH", ""),
        ("BREW", "/nowhere", "HTTP", "_OTHER", "BREW"),
    ] {
        let client = traced(&gateway);
        client.send(method, path, None).await.whole().await;
        let named = |spans: &[Span]| spans.iter().any(|span| span.name == name);
        let spans = collector.spans(named).await;
        let span = newest(&spans, name);
        for (key, value) in [
            ("http.request.method", told),
            ("http.request.method_original", original),
            ("url.path", &path[..path.len().min(200)]),
            ("url.scheme", "http"),
        ] {
            assert_eq!(attribute(&span.attributes, key), value, "{method} {path} {key}");
        }
    }
}

/// Nobody can tell which of them is right.
#[actix_web::test]
async fn who_names_two_places_begins_a_new_trace() {
    let upstream = Upstream::start(|_| openai_answer(&["one"])).await;
    let collector = Collector::start();
    let gateway = TestGateway::start(&(openai_model(&upstream, "") + &to(&collector))).await;
    let second = traceparent().replace(PARENT, "00f067aa0ba902b8");
    let client = traced(&gateway).with_header("traceparent", &second);
    client.get("/api/models").await;
    let spans = collector.spans(|spans| !spans.is_empty()).await;
    assert!(spans[0].parent_span_id.is_empty() && hex(&spans[0].trace_id) != TRACE, "{spans:#?}");
    assert_eq!(spans[0].trace_state, "");
}

/// Without a collector the gateway adds nothing to a trace and takes nothing away.
#[actix_web::test]
async fn without_a_collector_a_trace_is_handed_on_as_it_came() {
    let upstream = Upstream::start(|_| openai_answer(&["one"])).await;
    let gateway = TestGateway::before(&upstream).await;
    traced(&gateway).post("/api/chat", &native("hi")).await;
    gateway.client.post("/api/chat", &native("hi")).await;
    let chats = upstream.chats();
    assert_eq!(chats[0].header("traceparent"), Some(traceparent()));
    assert_eq!(chats[0].header("tracestate").as_deref(), Some("vendor=1"));
    assert_eq!((chats[1].header("traceparent"), chats[1].header("tracestate")), (None, None));
}

#[actix_web::test]
async fn every_line_about_a_request_names_its_trace() {
    let upstream = Upstream::start(|_| vec![sse_head(), openai_token("one"), Step::Close]).await;
    let gateway = Process::start_logging("info", &openai_model(&upstream, "")).await;
    let client = gateway.client.with_header("traceparent", &traceparent());
    let id =
        client.post("/api/chat", &native("hi")).await.header("x-request-id").unwrap().to_owned();
    let (_, log) = gateway.terminate().await;
    let about: Vec<_> = log.iter().filter(|line| line.contains(&id)).collect();
    assert_eq!(about.len(), 2, "its end and its record: {about:#?}");
    assert!(about.iter().all(|line| line.contains(TRACE)), "{about:#?}");
}

/// What of a record and of an answer's measures arrives.
#[actix_web::test]
async fn access_records_and_measures_arrive_with_the_trace() {
    let upstream = Upstream::start(|_| openai_answer(&["one", " two"])).await;
    let collector = Collector::start();
    let otlp = "access_records = true\nmetrics_interval_seconds = 1\n";
    let text = openai_model(&upstream, "") + &to(&collector) + otlp;
    let gateway = TestGateway::start(&text).await;
    traced(&gateway).post("/api/chat", &native("hi")).await;
    let is_chat = |record: &LogRecord| attribute(&record.attributes, "path") == "/api/chat";
    let records = collector.records(|records| records.iter().any(is_chat)).await;
    let record = records.iter().find(|record| is_chat(record)).unwrap();
    assert_eq!(hex(&record.trace_id), TRACE);
    for (key, value) in [("outcome", "completed"), ("model", "test"), ("completion_tokens", "2")] {
        assert_eq!(attribute(&record.attributes, key), value);
    }
    let metrics = collector.metrics(|metrics| {
        let has = |name: &str| metrics.iter().any(|metric| metric.name == name);
        has("gen_ai.server.request.duration") && has("gen_ai.client.token.usage")
    });
    metrics.await;
}
