//! Where log lines go and in which form.

use std::io::IsTerminal;

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use tracing::Span;
use tracing_actix_web::RootSpanBuilder;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::{Log, LogFormat};

/// Starts logging to standard error. Only the first call of a process has an effect.
///
/// The level counts for the gateway's own lines; its libraries speak up from `warn` on, since
/// theirs may quote what a client sent.
pub fn init(log: &Log) {
    let level = log.level.as_str();
    let filter = EnvFilter::new(format!("warn,tidegate={level}"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_span_events(FmtSpan::NONE);
    let started = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).try_init(),
        LogFormat::Pretty => lines.compact().try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was already set up");
    }
}

/// The span of a request: its id and nothing a client chose.
pub struct RequestSpan;

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(_: &ServiceRequest) -> Span {
        tracing::info_span!("http", request_id = tracing::field::Empty)
    }

    /// The access line tells the end, when the body is over.
    fn on_request_end<B: MessageBody>(_: Span, _: &Result<ServiceResponse<B>, Error>) {}
}
