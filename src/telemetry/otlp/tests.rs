//! What is told of a collector that cannot be reached.

use std::io::{self, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use opentelemetry_http::{HttpClient, Request};
use opentelemetry_sdk::error::OTelSdkError;
use tracing_subscriber::fmt::MakeWriter;

use super::client::Clients;
use super::delivery::Delivery;
use super::{Otlp, Signal};
use crate::config::Config;
use crate::telemetry::Metrics;

/// What a log would have.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn logged(run: impl FnOnce()) -> String {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_writer(lines.clone()).with_ansi(false).finish();
    tracing::subscriber::with_default(subscriber, run);
    lines.text()
}

fn config(more: &str) -> crate::config::Otlp {
    let text = format!(
        "[otlp]\n{more}\n[[otlp.headers]]\nname = \"authorization\"\nvalue = \"Bearer canary\"\n"
    );
    Config::parse(&text, []).unwrap().config.otlp
}

#[test]
fn a_collector_that_is_down_is_told_of_once_and_no_secret_with_it() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/traces", free.local_addr().unwrap());
    drop(free);
    let metrics = Metrics::new(false).unwrap();
    let delivery = Arc::new(Delivery::new(Signal::Traces, 2, &metrics.otlp));
    let client = Clients::new(&config("")).unwrap().client(&delivery);
    let text = logged(|| {
        for _ in 0..3 {
            assert!(delivery.admit() && delivery.admit() && !delivery.admit());
            delivery.taken(2);
            let request = Request::post(&url).body("canary".into()).unwrap();
            let error = client.send_bytes(request).now_or_never().unwrap().unwrap_err();
            delivery.settle(2, Err(OTelSdkError::InternalFailure(error.to_string())));
        }
        for _ in 0..3 {
            delivery.settle(1, Ok(()));
            delivery.settle(1, Err(OTelSdkError::AlreadyShutdown));
        }
    });
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].contains("does not reach the collector"), "{text}");
    assert!(lines[0].contains("lost=2 dropped=1") && lines[0].contains("refused"), "{text}");
    assert!(lines[1].contains("again") && lines[1].contains("lost=4 dropped=2"), "{text}");
    assert!(!text.contains("canary") && !format!("{client:?}").contains("canary"), "{text}");
    let counted = String::from_utf8(metrics.render().unwrap()).unwrap();
    for (result, count) in [("sent", 3), ("failed", 9), ("dropped", 3)] {
        let series = "ai_gateway_otlp_exports_total";
        let line = format!("{series}{{result=\"{result}\",signal=\"traces\"}} {count}");
        assert!(counted.lines().any(|counted| counted == line), "{line} is not in\n{counted}");
    }
}

#[test]
fn without_a_collector_there_is_nothing() {
    let metrics = Metrics::new(false).unwrap();
    let otlp = Otlp::start(&config("access_records = true"), &metrics.otlp).unwrap();
    assert!(otlp.tracing().of(None, None).is_none());
    assert!(otlp.gen_ai().is_none() && otlp.logger().is_none());
}
