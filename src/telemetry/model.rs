//! The metrics that each model has, and their handles.

use std::sync::Arc;

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
};
use tidegate_protocol::ErrorKind;

use super::declare::Declare;
use super::ledger::{Ledger, ModelStreams};
use super::series::{Life, Living, remove};
use super::target::{TargetFamilies, TargetMetrics};
use crate::config::{Cause, Priority};

const INFERENCE_BUCKETS: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
const FIRST_TOKEN_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
const INTER_TOKEN_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.0, 5.0];
const QUEUE_BUCKETS: &[f64] = &[0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0];
const OVERHEAD_BUCKETS: &[f64] =
    &[0.000_025, 0.000_05, 0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05];

/// The results of asking another model to go on.
const CONTINUED: &str = "continued";
const NOT_CONTINUED: &str = "failed";

/// The families labelled by model.
#[derive(Clone)]
pub(super) struct ModelFamilies {
    streams: Ledger,
    tokens: IntCounterVec,
    prompt_tokens: IntCounterVec,
    inference_duration: HistogramVec,
    first_token: HistogramVec,
    inter_token: HistogramVec,
    queue: QueueFamilies,
    overhead: HistogramVec,
    permits_in_use: IntGaugeVec,
    permits: IntGaugeVec,
    upstreams: UpstreamFamilies,
    targets: TargetFamilies,
    living: Living,
}

/// Of these, what is known of the queue.
#[derive(Clone)]
struct QueueFamilies {
    wait: HistogramVec,
    requests: IntGaugeVec,
    by_priority: IntGaugeVec,
    oldest: GaugeVec,
    preemptions: IntCounterVec,
}

impl QueueFamilies {
    fn declare(declare: &Declare) -> prometheus::Result<Self> {
        Ok(Self {
            wait: declare.histograms(
                "ai_gateway_queue_wait_seconds",
                "Time a request waited for a permit of its model.",
                &["model"],
                QUEUE_BUCKETS,
            )?,
            requests: declare.gauges(
                "ai_gateway_queued_requests",
                "Requests waiting for a permit.",
                &["model"],
            )?,
            by_priority: declare.gauges(
                "ai_gateway_queued_by_priority",
                "Requests waiting for a permit, by priority.",
                &["model", "priority"],
            )?,
            oldest: declare.float_gauges(
                "ai_gateway_queue_oldest_seconds",
                "How long the request that has waited longest for a permit has waited; 0 if none waits.",
                &["model"],
            )?,
            preemptions: declare.counters(
                "ai_gateway_preemptions_total",
                "Requests that lost their permit to one of a higher priority before their answer began.",
                &["model"],
            )?,
        })
    }
}

/// Of these, what is known of the upstream.
#[derive(Clone)]
struct UpstreamFamilies {
    up: GaugeVec,
    failures: IntCounterVec,
    retries: IntCounterVec,
    continuations: IntCounterVec,
    hedges: IntCounterVec,
}

impl UpstreamFamilies {
    fn declare(declare: &Declare) -> prometheus::Result<Self> {
        Ok(Self {
            up: declare.float_gauges(
                "ai_gateway_upstream_up",
                "1 when the last probe of the model's upstream succeeded.",
                &["model"],
            )?,
            failures: declare.counters(
                "ai_gateway_upstream_failures_total",
                "Answers that failed at their upstream, by kind; those that another went on with too.",
                &["model", "kind"],
            )?,
            retries: declare.counters(
                "ai_gateway_upstream_retries_total",
                "Requests sent to their upstream once more, by reason.",
                &["model", "reason"],
            )?,
            continuations: declare.counters(
                "ai_gateway_continuations_total",
                "Answers that another model was asked to go on with, by result.",
                &["model", "result"],
            )?,
            hedges: declare.counters(
                "ai_gateway_hedges_total",
                "Requests whose first token was late, by what a second one came to.",
                &["model", "result"],
            )?,
        })
    }
}

impl ModelFamilies {
    pub(super) fn declare(declare: &Declare, streams: &Ledger) -> prometheus::Result<Self> {
        Ok(Self {
            streams: streams.clone(),
            tokens: declare.counters(
                "ai_tokens_processed_total",
                "Completion tokens: as the upstream reports them, else chunks passed on.",
                &["model"],
            )?,
            prompt_tokens: declare.counters(
                "ai_gateway_prompt_tokens_total",
                "Prompt tokens as the upstream reports them.",
                &["model"],
            )?,
            inference_duration: declare.histograms(
                "ai_model_inference_duration_seconds",
                "From dispatch to the end of the answer.",
                &["model"],
                INFERENCE_BUCKETS,
            )?,
            first_token: declare.histograms(
                "ai_gateway_time_to_first_token_seconds",
                "From the request's arrival, with the upload of its body, to the first piece of its answer.",
                &["model"],
                FIRST_TOKEN_BUCKETS,
            )?,
            inter_token: declare.histograms(
                "ai_gateway_inter_token_latency_seconds",
                "Mean gap between the tokens of one stream, observed at its end.",
                &["model"],
                INTER_TOKEN_BUCKETS,
            )?,
            queue: QueueFamilies::declare(declare)?,
            overhead: declare.histograms(
                "ai_gateway_overhead_seconds",
                "The gateway's own share: from arrival to dispatch, less the upload of the body and the queue.",
                &["model"],
                OVERHEAD_BUCKETS,
            )?,
            permits_in_use: declare.gauges(
                "ai_gateway_permits_in_use",
                "Permits held: requests the upstream works on.",
                &["model"],
            )?,
            permits: declare.gauges(
                "ai_gateway_permits",
                "Requests that the model's targets work on at a time, while they may be asked.",
                &["model"],
            )?,
            upstreams: UpstreamFamilies::declare(declare)?,
            targets: TargetFamilies::declare(declare)?,
            living: Living::default(),
        })
    }

    pub(super) fn of(&self, model: &str) -> ModelMetrics {
        let (families, name) = (self.clone(), model.to_owned());
        self.living.hold(&[model], move || families.remove(&name), |life| self.handles(model, life))
    }

    /// Removes the series of a model that nobody has a handle of.
    fn remove(&self, model: &str) {
        let label = &[("model", model)];
        self.streams.remove(model);
        for family in [&self.tokens, &self.prompt_tokens, &self.queue.preemptions] {
            remove(family, label);
        }
        for family in [
            &self.inference_duration,
            &self.first_token,
            &self.inter_token,
            &self.queue.wait,
            &self.overhead,
        ] {
            remove(family, label);
        }
        for family in
            [&self.queue.requests, &self.queue.by_priority, &self.permits_in_use, &self.permits]
        {
            remove(family, label);
        }
        let UpstreamFamilies { up, failures, retries, continuations, hedges } = &self.upstreams;
        remove(up, label);
        remove(&self.queue.oldest, label);
        for family in [failures, retries, continuations, hedges] {
            remove(family, label);
        }
        self.targets.remove_causes(model);
    }

    fn handles(&self, model: &str, life: Arc<Life>) -> ModelMetrics {
        let label = &[model];
        ModelMetrics {
            _life: life,
            model: model.to_owned(),
            streams: self.streams.of(model),
            tokens: self.tokens.with_label_values(label),
            prompt_tokens: self.prompt_tokens.with_label_values(label),
            inference_duration: self.inference_duration.with_label_values(label),
            first_token: self.first_token.with_label_values(label),
            inter_token: self.inter_token.with_label_values(label),
            queue_wait: self.queue.wait.with_label_values(label),
            overhead: self.overhead.with_label_values(label),
            queued: self.queue.requests.with_label_values(label),
            queued_by: Priority::ALL
                .map(|class| self.queue.by_priority.with_label_values(&[model, class.as_str()])),
            queue_oldest: self.queue.oldest.with_label_values(label),
            preemptions: self.queue.preemptions.with_label_values(label),
            permits_in_use: self.permits_in_use.with_label_values(label),
            permits: self.permits.with_label_values(label),
            upstream_up: self.upstreams.up.with_label_values(label),
            upstreams: self.upstreams.clone(),
            targets: self.targets.clone(),
        }
    }
}

/// The handles of one model, looked up once.
#[derive(Clone)]
pub struct ModelMetrics {
    _life: Arc<Life>,
    model: String,
    pub streams: ModelStreams,
    pub tokens: IntCounter,
    pub prompt_tokens: IntCounter,
    pub inference_duration: Histogram,
    pub first_token: Histogram,
    pub inter_token: Histogram,
    pub queue_wait: Histogram,
    pub overhead: Histogram,
    pub queued: IntGauge,
    queued_by: [IntGauge; 3],
    pub queue_oldest: Gauge,
    pub preemptions: IntCounter,
    pub permits_in_use: IntGauge,
    pub permits: IntGauge,
    pub upstream_up: Gauge,
    upstreams: UpstreamFamilies,
    targets: TargetFamilies,
}

impl ModelMetrics {
    /// Those of a class that wait.
    #[must_use]
    pub fn queued_of(&self, class: Priority) -> IntGauge {
        self.queued_by[class as usize].clone()
    }

    /// Counts one more attempt; `reason` is one of a handful.
    pub fn count_retry(&self, reason: &'static str) {
        self.upstreams.retries.with_label_values(&[&self.model, reason]).inc();
    }

    /// Gives each reason its series: a rate misses the first count of one that begins with it.
    pub fn declare_retries(&self, reasons: impl IntoIterator<Item = &'static str>) {
        for reason in reasons {
            self.upstreams.retries.with_label_values(&[self.model.as_str(), reason]);
        }
    }

    /// Counts an answer that another model was asked to go on with, and whether it did.
    pub fn count_continuation(&self, joined: bool) {
        let result = if joined { CONTINUED } else { NOT_CONTINUED };
        self.upstreams.continuations.with_label_values(&[&self.model, result]).inc();
    }

    /// Counts a request whose first token was late.
    pub fn count_hedge(&self, result: &'static str) {
        self.upstreams.hedges.with_label_values(&[&self.model, result]).inc();
    }

    /// Gives both results their series.
    pub fn declare_continuations(&self) {
        for result in [CONTINUED, NOT_CONTINUED] {
            self.upstreams.continuations.with_label_values(&[self.model.as_str(), result]);
        }
    }

    /// Gives each result its series.
    pub fn declare_hedges(&self, results: impl IntoIterator<Item = &'static str>) {
        for result in results {
            self.upstreams.hedges.with_label_values(&[self.model.as_str(), result]);
        }
    }

    /// The handles of one target.
    #[must_use]
    pub fn target(&self, target: &str) -> TargetMetrics {
        self.targets.of(&self.model, target)
    }

    /// Gives each cause of going elsewhere its series.
    pub fn declare_causes(&self) {
        self.targets.declare_causes(&self.model);
    }

    /// Counts a request that went to another target.
    pub fn count_failover(&self, cause: Cause) {
        self.targets.count_failover(&self.model, cause);
    }

    /// Counts a request that another model was asked for instead, and whether it answered.
    pub fn count_fallback(&self, cause: Cause, answered: bool) {
        self.targets.count_fallback(&self.model, cause, answered);
    }

    /// Gives each kind of failure its series.
    pub fn declare_upstream_failures(&self) {
        for kind in ErrorKind::OF_UPSTREAMS {
            self.upstreams.failures.with_label_values(&[self.model.as_str(), kind.code()]);
        }
    }

    /// Counts a failure, if it is an upstream's.
    pub fn count_upstream_failure(&self, kind: ErrorKind) {
        if ErrorKind::OF_UPSTREAMS.contains(&kind) {
            self.upstreams.failures.with_label_values(&[&self.model, kind.code()]).inc();
        }
    }
}
