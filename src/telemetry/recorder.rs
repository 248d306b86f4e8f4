//! The drop guard that records one stream: its outcome exactly once, on every path.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tidegate_protocol::{ErrorKind, Outcome, Usage};

use super::access::{AccessRecord, Ended};
use super::ledger::Ledger;
use super::model::ModelMetrics;
use super::spans::StreamSpan;
use crate::config::Cause;

/// Watches one stream from its opening; records it when it ends, or when it is dropped without
/// an end, which only a fault of the gateway itself can cause.
pub struct StreamRecorder {
    metrics: Arc<ModelMetrics>,
    ledger: Ledger,
    /// Of the request that began it.
    record: Option<AccessRecord>,
    /// Where it is part of a trace.
    span: Option<Box<StreamSpan>>,
    arrived: Instant,
    /// How long the request's body took to come, which is its client's share.
    upload: Duration,
    dispatched: Option<Instant>,
    first_token: Option<Instant>,
    last_token: Option<Instant>,
    queue_wait: Duration,
    /// How often upstreams were asked, counted by who asks.
    asked: Arc<AtomicU32>,
    continuations: u32,
    chunks: u64,
    outcome: Option<Outcome>,
}

impl StreamRecorder {
    /// Starts watching; the stream counts as active from now on.
    #[must_use]
    pub fn start(metrics: Arc<ModelMetrics>, ledger: Ledger, arrived: Instant) -> Self {
        ledger.begin(&metrics.streams);
        Self {
            metrics,
            ledger,
            record: None,
            span: None,
            arrived,
            upload: Duration::ZERO,
            dispatched: None,
            first_token: None,
            last_token: None,
            queue_wait: Duration::ZERO,
            asked: Arc::default(),
            continuations: 0,
            chunks: 0,
            outcome: None,
        }
    }

    /// The request's body took so long to come.
    #[must_use]
    pub fn uploaded_in(mut self, upload: Duration) -> Self {
        self.upload = upload;
        self
    }

    /// Has the record of the request that began it told what becomes of it.
    #[must_use]
    pub fn told_to(mut self, record: AccessRecord) -> Self {
        self.record = Some(record);
        self
    }

    /// Has its part of a trace told as well.
    #[must_use]
    pub fn traced_by(mut self, span: Option<StreamSpan>) -> Self {
        self.span = span.map(Box::new);
        self
    }

    /// Where it is counted how often upstreams are asked.
    #[must_use]
    pub fn asked(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.asked)
    }

    /// The request waits for its turn.
    pub fn queued(&mut self) {
        self.span.iter_mut().for_each(|span| span.queued());
    }

    /// The request goes to one of several targets.
    pub fn goes_to(&self, target: &Arc<str>, provider: &'static str) {
        self.record.iter().for_each(|record| record.asked(target, provider));
    }

    /// The request got its permit after it waited for `queue_wait` in all, and goes to the upstream
    /// now; once more, if it was preempted.
    pub fn dispatched(&mut self, queue_wait: Duration) {
        self.span.iter_mut().for_each(|span| span.dispatched());
        let now = Instant::now();
        let waited = queue_wait.saturating_sub(std::mem::replace(&mut self.queue_wait, queue_wait));
        self.metrics.queue_wait.observe(waited.as_secs_f64());
        if self.dispatched.replace(now).is_none() {
            let others_share = self.upload + queue_wait;
            let own_share = now.duration_since(self.arrived).saturating_sub(others_share);
            self.metrics.overhead.observe(own_share.as_secs_f64());
        }
    }

    /// The upstream did not take the request; it goes out once more.
    pub fn retried(&mut self, reason: &'static str) {
        self.metrics.count_retry(reason);
        self.event("retry", reason);
    }

    /// A target gave no answer; another is asked.
    pub fn failed_over(&mut self, cause: Cause, failure: ErrorKind) {
        self.metrics.count_failover(cause);
        self.event("failover", cause.as_str());
        self.metrics.count_upstream_failure(failure);
    }

    /// The model `by` answers instead, because of `failure`.
    pub fn fell_back(&mut self, by: &Arc<str>, cause: Cause, failure: ErrorKind) {
        self.record.iter().for_each(|record| record.answered_by(by));
        self.metrics.count_upstream_failure(failure);
        self.metrics.count_fallback(cause, true);
        self.event("fallback", cause.as_str());
    }

    /// A model was asked instead, and gave no answer either.
    pub fn did_not_fall_back(&mut self, cause: Cause) {
        self.metrics.count_fallback(cause, false);
        self.event("fallback", cause.as_str());
    }

    /// The upstream failed, and the model `by` goes on with the answer.
    pub fn continued(&mut self, by: &Arc<str>, failure: ErrorKind) {
        self.record.iter().for_each(|record| record.answered_by(by));
        self.continuations += 1;
        self.metrics.count_continuation(true);
        self.event("continuation", failure.code());
        self.metrics.count_upstream_failure(failure);
    }

    /// Another model was to go on with the answer, and did not.
    pub fn not_continued(&mut self) {
        self.metrics.count_continuation(false);
    }

    /// The first token was late, and this is what asking a second model came to: who answers, if it
    /// does, and what was wrong with the first, if that is why.
    pub fn hedged(
        &mut self,
        result: &'static str,
        by: Option<&Arc<str>>,
        failed: Option<ErrorKind>,
    ) {
        let records = self.record.iter().zip(by);
        records.for_each(|(record, by)| record.answered_by(by));
        if let Some(failure) = failed {
            self.metrics.count_upstream_failure(failure);
        }
        self.metrics.count_hedge(result);
        self.event("hedge", result);
    }

    fn event(&mut self, name: &'static str, why: &'static str) {
        self.span.iter_mut().for_each(|span| span.event(name, why));
    }

    /// `count` pieces of the answer arrived together.
    pub fn chunks(&mut self, count: u32) {
        if count == 0 {
            return;
        }
        let now = Instant::now();
        if self.first_token.is_none() {
            self.first_token = Some(now);
            self.metrics.first_token.observe(now.duration_since(self.arrived).as_secs_f64());
            self.span.iter_mut().for_each(|span| span.first_token());
        }
        self.last_token = Some(now);
        self.chunks += u64::from(count);
        self.ledger.passed(count);
    }

    /// The stream ended. A second call changes nothing. It counts as alive until this is dropped.
    pub fn end(&mut self, outcome: Outcome, failure: Option<ErrorKind>, usage: Option<Usage>) {
        if self.outcome.is_some() {
            return;
        }
        self.outcome = Some(outcome);
        if let Some(failure) = failure {
            self.metrics.count_upstream_failure(failure);
        }
        let tokens = usage.map_or(self.chunks, |usage| usage.completion_tokens);
        self.metrics.tokens.inc_by(tokens);
        if let Some(usage) = usage {
            self.metrics.prompt_tokens.inc_by(usage.prompt_tokens);
        }
        if let Some(dispatched) = self.dispatched {
            self.metrics.inference_duration.observe(dispatched.elapsed().as_secs_f64());
        }
        if let Some(gap) = self.inter_token() {
            self.metrics.inter_token.observe(gap.as_secs_f64());
        }
        self.record.iter().for_each(|record| record.ended(self.came_to(outcome, failure, usage)));
        let attempts = self.attempts();
        self.span.iter_mut().for_each(|span| span.end(outcome, failure, usage, attempts));
    }

    fn came_to(&self, outcome: Outcome, failure: Option<ErrorKind>, usage: Option<Usage>) -> Ended {
        Ended {
            outcome,
            failure,
            attempts: self.attempts(),
            continuations: self.continuations,
            queue_wait: self.dispatched.map(|_| self.queue_wait),
            time_to_first_token: self.time_to_first_token(),
            duration: self.age(),
            usage,
            chunks: self.chunks,
        }
    }

    /// Mean gap between tokens, once there are two.
    fn inter_token(&self) -> Option<Duration> {
        let (first, last) = (self.first_token?, self.last_token?);
        let gaps = u32::try_from(self.chunks.checked_sub(1)?).ok()?;
        last.duration_since(first).checked_div(gaps)
    }

    /// Time from arrival to the first piece of the answer.
    #[must_use]
    pub fn time_to_first_token(&self) -> Option<Duration> {
        Some(self.first_token?.duration_since(self.arrived))
    }

    /// Tokens per second since the first one.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
    pub fn tokens_per_second(&self) -> Option<f64> {
        let seconds = self.last_token?.duration_since(self.first_token?).as_secs_f64();
        (seconds > 0.0).then(|| self.chunks.saturating_sub(1) as f64 / seconds)
    }

    #[must_use]
    pub fn age(&self) -> Duration {
        self.arrived.elapsed()
    }

    #[must_use]
    pub fn queue_wait(&self) -> Duration {
        self.queue_wait
    }

    /// How often the request went to the upstream.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }

    /// How often another model went on with the answer.
    #[must_use]
    pub fn continuations(&self) -> u32 {
        self.continuations
    }

    #[must_use]
    pub fn chunk_count(&self) -> u64 {
        self.chunks
    }
}

impl Drop for StreamRecorder {
    fn drop(&mut self) {
        self.end(Outcome::InternalError, Some(ErrorKind::Internal), None);
        self.ledger.end(&self.metrics.streams, self.outcome.unwrap_or(Outcome::InternalError));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    fn recorder(metrics: &Metrics) -> StreamRecorder {
        of(&Arc::new(metrics.model("m")), metrics)
    }

    /// A stream of a model that outlives it, as do its series.
    fn of(model: &Arc<ModelMetrics>, metrics: &Metrics) -> StreamRecorder {
        StreamRecorder::start(Arc::clone(model), metrics.streams.clone(), Instant::now())
    }

    fn text(metrics: &Metrics) -> String {
        String::from_utf8(metrics.render().unwrap()).unwrap()
    }

    #[test]
    fn an_outcome_counts_once() {
        let metrics = Metrics::new(false).unwrap();
        let model = Arc::new(metrics.model("m"));
        let mut stream = of(&model, &metrics);
        assert!(text(&metrics).contains("ai_gateway_active_streams 1"));
        stream.end(Outcome::Completed, None, None);
        stream.end(Outcome::Cancelled, None, None);
        drop(stream);
        let text = text(&metrics);
        assert!(
            text.contains("ai_gateway_streams_total{model=\"m\",status=\"completed\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("ai_gateway_streams_total{model=\"m\",status=\"cancelled\"} 0"),
            "{text}"
        );
        assert!(text.contains("ai_gateway_streams_started_total{model=\"m\"} 1"), "{text}");
        assert!(text.contains("ai_gateway_active_streams 0"), "{text}");
    }

    #[test]
    fn a_stream_that_is_dropped_without_an_end_is_an_internal_error() {
        let metrics = Metrics::new(false).unwrap();
        let model = Arc::new(metrics.model("m"));
        drop(of(&model, &metrics));
        let text = text(&metrics);
        assert!(
            text.contains("ai_gateway_streams_total{model=\"m\",status=\"internal_error\"} 1"),
            "{text}"
        );
    }

    /// It was sent, lost its turn, and is sent once more.
    #[test]
    fn a_further_wait_counts_as_one_and_the_gateways_own_share_once() {
        let metrics = Metrics::new(false).unwrap();
        let mut stream = recorder(&metrics);
        stream.dispatched(Duration::from_secs(2));
        stream.dispatched(Duration::from_secs(5));
        assert_eq!(stream.queue_wait(), Duration::from_secs(5));
        let text = text(&metrics);
        for line in [
            "ai_gateway_queue_wait_seconds_count{model=\"m\"} 2",
            "ai_gateway_queue_wait_seconds_sum{model=\"m\"} 5",
            "ai_gateway_overhead_seconds_count{model=\"m\"} 1",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn reported_usage_replaces_counted_chunks() {
        let metrics = Metrics::new(false).unwrap();
        let mut stream = recorder(&metrics);
        stream.chunks(3);
        let usage = Usage { prompt_tokens: 11, completion_tokens: 5, ..Usage::default() };
        stream.end(Outcome::Completed, None, Some(usage));
        let text = text(&metrics);
        assert!(text.contains("ai_tokens_processed_total{model=\"m\"} 5"), "{text}");
        assert!(text.contains("ai_gateway_prompt_tokens_total{model=\"m\"} 11"), "{text}");
    }
}
