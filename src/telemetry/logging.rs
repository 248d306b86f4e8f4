//! Where log lines go and in which form.

use std::io::{self, IsTerminal};
use std::sync::LazyLock;
use std::time::Duration;

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use prometheus::{IntCounter, Opts};
use tracing::Span;
use tracing_actix_web::RootSpanBuilder;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use super::lines::Lines;
use crate::config::{Log, LogFormat};

/// How long the last lines may take to reach whoever reads them.
const LAST_LINES: Duration = Duration::from_secs(1);

/// One for the process, as its log is.
static DROPPED: LazyLock<prometheus::Result<IntCounter>> = LazyLock::new(|| {
    IntCounter::with_opts(Opts::new(
        "ai_gateway_log_lines_dropped_total",
        "Log lines that were dropped: whoever reads standard error takes too long.",
    ))
});

/// The log lines that were dropped.
///
/// # Errors
/// When its name is no name of a metric: a mistake in this file.
pub fn dropped_lines() -> prometheus::Result<IntCounter> {
    DROPPED.as_ref().cloned().map_err(|error| prometheus::Error::Msg(error.to_string()))
}

/// What is still to be written is written before this is gone.
pub struct Logging(Lines);

impl Drop for Logging {
    fn drop(&mut self) {
        self.0.flush(LAST_LINES);
    }
}

/// Starts logging to standard error. Only the first call of a process has an effect.
///
/// # Errors
/// When the thread that writes the lines cannot be started.
///
/// The level counts for the gateway's own lines; its libraries speak up from `warn` on, since
/// theirs may quote what a client sent.
pub fn init(log: &Log) -> io::Result<Logging> {
    let dropped = dropped_lines().map_err(io::Error::other)?;
    let output = Lines::to_stderr(log.buffer_bytes, dropped)?;
    let level = log.level.as_str();
    let filter = EnvFilter::new(format!("warn,tidegate={level}"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(output.clone())
        .with_ansi(io::stderr().is_terminal() && colours_are_wanted())
        .with_target(false)
        .with_span_events(FmtSpan::NONE);
    let started = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).try_init(),
        LogFormat::Pretty => lines.compact().try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was already set up");
    }
    Ok(Logging(output))
}

/// <https://no-color.org>: not where it is set to anything.
#[must_use]
pub fn colours_are_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Of a request that is logged within: its id and nothing else a client chose but, if it is one, the id of its
/// trace.
#[must_use]
pub fn request_span() -> Span {
    let empty = tracing::field::Empty;
    tracing::info_span!("request", request_id = empty, trace_id = empty)
}

/// Makes that span of requests over HTTP.
pub struct HttpSpan;

impl RootSpanBuilder for HttpSpan {
    fn on_request_start(_: &ServiceRequest) -> Span {
        request_span()
    }

    /// The access line tells the end, when the body is over.
    fn on_request_end<B: MessageBody>(_: Span, _: &Result<ServiceResponse<B>, Error>) {}
}
