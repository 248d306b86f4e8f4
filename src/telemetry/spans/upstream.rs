//! The span of one request to an upstream, by OpenTelemetry's conventions for generative AI (1.41).

use std::time::Instant;

use actix_web::http::Uri;
use tidegate_protocol::{Batch, ErrorKind, Event, FinishReason, Request, Task, Usage};

use super::{INPUT_TOKENS, OUTPUT_TOKENS, REQUEST_MODEL, TARGET, count};
use crate::telemetry::clock;
use crate::telemetry::trace::{Array, Span, SpanKind, Trace, Value};

/// Whom a request goes to.
pub struct Asking<'a> {
    pub request: &'a Request,
    /// As metrics spell its kind.
    pub provider: &'static str,
    pub base_url: &'a str,
    /// The model's name there.
    pub upstream_model: &'a str,
    /// As the configuration names them.
    pub model: &'a str,
    pub target: &'a str,
}

/// From the question to the end of what one upstream says.
pub struct UpstreamSpan {
    span: Span,
    asked: Instant,
    begun: bool,
    usage: Option<Usage>,
}

impl UpstreamSpan {
    #[must_use]
    pub fn begin(trace: &Trace, asking: &Asking<'_>) -> Self {
        let operation = operation(asking.request);
        let name = format!("{operation} {}", asking.upstream_model);
        let mut span = trace.span(name, SpanKind::Client, clock::now());
        if span.is_recording() {
            describe(&mut span, operation, asking);
        }
        Self { span, asked: Instant::now(), begun: false, usage: None }
    }

    /// The place of what the upstream does for it.
    #[must_use]
    pub fn inside(&self) -> &Trace {
        self.span.inside()
    }

    /// The first piece of the answer is there.
    pub fn begun(&mut self) {
        if self.span.is_recording() && !std::mem::replace(&mut self.begun, true) {
            let waited = self.asked.elapsed();
            let began = clock::ago(waited);
            drop(self.span.inside().span("first token", SpanKind::Internal, began));
            self.span.set("gen_ai.response.time_to_first_chunk", waited.as_secs_f64());
        }
    }

    /// What it says of the answer's end.
    pub fn note(&mut self, batch: &Batch) {
        if !self.span.is_recording() {
            return;
        }
        for event in &batch.events {
            match event {
                Event::Usage(usage) => self.usage = Some(*usage),
                Event::Finish(reason) => {
                    let reasons = vec![finish_reason(reason).into()];
                    let reasons = Value::Array(Array::String(reasons));
                    self.span.set("gen_ai.response.finish_reasons", reasons);
                }
                _ => {}
            }
        }
    }

    /// What the target made of it.
    pub fn came_to(&mut self, result: &'static str) {
        self.span.set("tidegate.result", result);
    }

    pub fn failed(&mut self, kind: ErrorKind) {
        self.span.failed(kind.code());
    }
}

impl Drop for UpstreamSpan {
    fn drop(&mut self) {
        if let Some(usage) = self.usage {
            self.span.set(INPUT_TOKENS, count(usage.prompt_tokens));
            self.span.set(OUTPUT_TOKENS, count(usage.completion_tokens));
        }
    }
}

/// What is done, in the words of the conventions.
#[must_use]
pub fn operation(request: &Request) -> &'static str {
    match request.task {
        Task::Chat(_) => "chat",
        Task::Completion(_) => "text_completion",
        Task::Embedding(_) => "embeddings",
    }
}

fn describe(span: &mut Span, operation: &'static str, asking: &Asking<'_>) {
    let Asking { request, provider, base_url, upstream_model, model, target } = *asking;
    span.set("gen_ai.operation.name", operation);
    span.set("gen_ai.provider.name", provider);
    span.set(REQUEST_MODEL, upstream_model.to_owned());
    span.set("gen_ai.request.stream", request.stream);
    span.set("tidegate.model", model.to_owned());
    span.set(TARGET, target.to_owned());
    let Ok(uri) = base_url.parse::<Uri>() else { return };
    let Some(host) = uri.host() else { return };
    let known = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    span.set("server.address", host.to_owned());
    span.set("server.port", i64::from(uri.port_u16().unwrap_or(known)));
}

fn finish_reason(reason: &FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop | FinishReason::StopSequence(_) => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::ContentFilter => "content_filter",
        // It may be whatever an upstream says.
        FinishReason::Other(_) => "other",
    }
}
