//! A collector of OpenTelemetry's protocol that keeps what it is sent, and can misbehave.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::sync::watch;

use crate::upstream::PATIENCE;

/// What a collector does with a request that it has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    Take,
    /// Answers with a status, without keeping anything.
    Refuse(u16),
    /// Sends the client to another URL.
    Redirect(String),
    /// Keeps all, and says that so many records were not taken.
    Reject(i64),
    /// Answers nothing until it behaves otherwise.
    Hang,
}

/// What a collector was sent.
#[derive(Debug, Clone, Default)]
pub struct Received {
    pub spans: Vec<Span>,
    pub records: Vec<LogRecord>,
    pub metrics: Vec<Metric>,
    /// Who sent it, once for each request.
    pub resources: Vec<Vec<KeyValue>>,
    /// The heads of all requests, also of those that were not taken.
    pub heads: Vec<String>,
}

/// A collector on a port of its own. What its clients wait for is let go when it is dropped.
pub struct Collector {
    address: SocketAddr,
    behaviour: Arc<(Mutex<Behaviour>, Condvar)>,
    received: watch::Receiver<Received>,
}

impl Collector {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let behaviour = Arc::new((Mutex::new(Behaviour::Take), Condvar::new()));
        let (sender, received) = watch::channel(Received::default());
        let (sender, behaves) = (Arc::new(sender), Arc::clone(&behaviour));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (sender, behaves) = (Arc::clone(&sender), Arc::clone(&behaves));
                thread::spawn(move || serve(&stream, &sender, &behaves));
            }
        });
        Self { address, behaviour, received }
    }

    /// For `otlp.endpoint`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.0.lock().unwrap() = behaviour;
        self.behaviour.1.notify_all();
    }

    /// What it was sent so far.
    pub fn received(&self) -> Received {
        self.received.borrow().clone()
    }

    /// Waits until what it was sent is as it should be.
    pub async fn wait_for(&self, is_right: impl Fn(&Received) -> bool) -> Received {
        let mut received = self.received.clone();
        let right = tokio::time::timeout(PATIENCE, received.wait_for(is_right)).await;
        let right = right.map(|right| right.unwrap().clone());
        right.unwrap_or_else(|_| panic!("the collector only got {:#?}", self.received()))
    }

    /// Waits until the spans are as they should be.
    pub async fn spans(&self, are_right: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        self.wait_for(|received| are_right(&received.spans)).await.spans
    }

    /// Waits until the access records are as they should be.
    pub async fn records(&self, are_right: impl Fn(&[LogRecord]) -> bool) -> Vec<LogRecord> {
        self.wait_for(|received| are_right(&received.records)).await.records
    }

    /// Waits until the metrics are as they should be.
    pub async fn metrics(&self, are_right: impl Fn(&[Metric]) -> bool) -> Vec<Metric> {
        self.wait_for(|received| are_right(&received.metrics)).await.metrics
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.behave(Behaviour::Refuse(503));
    }
}

/// The value of an attribute as text; empty where it is not there.
pub fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    found.and_then(|attribute| attribute.value.as_ref()).map(text).unwrap_or_default()
}

fn text(value: &AnyValue) -> String {
    match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(boolean)) => boolean.to_string(),
        Some(Value::IntValue(int)) => int.to_string(),
        Some(Value::DoubleValue(double)) => double.to_string(),
        other => format!("{other:?}"),
    }
}

/// An id as people write it.
pub fn hex(id: &[u8]) -> String {
    let digits = id.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

fn serve(
    stream: &TcpStream,
    received: &watch::Sender<Received>,
    behaviour: &(Mutex<Behaviour>, Condvar),
) {
    let mut reader = BufReader::new(stream);
    while let Some((head, body)) = read(&mut reader) {
        received.send_modify(|received| received.heads.push(head.clone()));
        let behaves = behaviour.0.lock().unwrap();
        let behaves = behaviour.1.wait_while(behaves, |now| *now == Behaviour::Hang).unwrap();
        let behaves = behaves.clone();
        if matches!(behaves, Behaviour::Take | Behaviour::Reject(_)) {
            received.send_modify(|received| keep(received, &head, &body));
        }
        if { stream }.write_all(&answer(&behaves)).is_err() {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

fn keep(received: &mut Received, head: &str, body: &[u8]) {
    let mut resources = Vec::new();
    match head.split(' ').nth(1).unwrap() {
        "/v1/traces" => {
            for sent in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
                resources.extend(sent.resource);
                received.spans.extend(sent.scope_spans.into_iter().flat_map(|scope| scope.spans));
            }
        }
        "/v1/logs" => {
            for sent in ExportLogsServiceRequest::decode(body).unwrap().resource_logs {
                resources.extend(sent.resource);
                let records = sent.scope_logs.into_iter().flat_map(|scope| scope.log_records);
                received.records.extend(records);
            }
        }
        "/v1/metrics" => {
            for sent in ExportMetricsServiceRequest::decode(body).unwrap().resource_metrics {
                resources.extend(sent.resource);
                let metrics = sent.scope_metrics.into_iter().flat_map(|scope| scope.metrics);
                received.metrics.extend(metrics);
            }
        }
        other => panic!("{other} is no path of a collector"),
    }
    received.resources.extend(resources.into_iter().map(|resource| resource.attributes));
}

fn answer(behaviour: &Behaviour) -> Vec<u8> {
    let (status, more, body) = match behaviour {
        Behaviour::Refuse(status) => (*status, String::new(), Vec::new()),
        Behaviour::Redirect(url) => (302, format!("location: {url}\r\n"), Vec::new()),
        Behaviour::Reject(rejected_spans) => {
            let error_message = String::from("too old");
            let partial_success =
                Some(ExportTracePartialSuccess { rejected_spans: *rejected_spans, error_message });
            (200, String::new(), ExportTraceServiceResponse { partial_success }.encode_to_vec())
        }
        Behaviour::Take | Behaviour::Hang => (200, String::new(), Vec::new()),
    };
    let head = format!("HTTP/1.1 {status} x\r\n{more}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), &body].concat()
}
