//! The metrics that each target of a model has, and those of requests that went elsewhere.

use std::sync::Arc;

use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::declare::Declare;
use super::series::{Life, Living, remove};
use crate::config::Cause;

/// What a target made of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetResult {
    /// A whole answer.
    Answered,
    /// It failed, or was not there.
    Failed,
    /// It took no more requests.
    Busy,
    /// It found the request wrong.
    Refused,
    /// Nobody wanted the answer any more.
    GivenUp,
}

impl TargetResult {
    const ALL: [Self; 5] = [Self::Answered, Self::Failed, Self::Busy, Self::Refused, Self::GivenUp];

    /// As metrics and traces spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Busy => "busy",
            Self::Refused => "refused",
            Self::GivenUp => "given_up",
        }
    }
}

/// Why one of a target's keys is left alone for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFault {
    /// It has used up what it may ask.
    RateLimited,
    /// It is not accepted.
    Unauthorized,
}

impl KeyFault {
    const ALL: [Self; 2] = [Self::RateLimited, Self::Unauthorized];

    fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Unauthorized => "unauthorized",
        }
    }
}

/// What became of asking another model instead.
const INSTEAD: [&str; 2] = ["failed", "answered"];

/// The families labelled by target, and by why a request went elsewhere.
#[derive(Clone)]
pub(super) struct TargetFamilies {
    requests: IntCounterVec,
    active: IntGaugeVec,
    available: GaugeVec,
    first_token: GaugeVec,
    failing: GaugeVec,
    key_cooldowns: IntCounterVec,
    failovers: IntCounterVec,
    fallbacks: IntCounterVec,
    living: Living,
}

impl TargetFamilies {
    pub(super) fn declare(declare: &Declare) -> prometheus::Result<Self> {
        let labels = &["model", "target"];
        Ok(Self {
            requests: declare.counters(
                "ai_gateway_target_requests_total",
                "Requests sent to a target, by what it made of them.",
                &["model", "target", "result"],
            )?,
            active: declare.gauges(
                "ai_gateway_target_active_requests",
                "Requests that a target works on.",
                labels,
            )?,
            available: declare.float_gauges(
                "ai_gateway_target_available",
                "1 while a target is asked like any other, 0.5 while it is on trial, 0 while it is not asked.",
                labels,
            )?,
            first_token: declare.float_gauges(
                "ai_gateway_target_first_token_seconds",
                "Mean time to a target's first token, as routing sees it: the last ones count for most.",
                labels,
            )?,
            failing: declare.float_gauges(
                "ai_gateway_target_failing_ratio",
                "The part of a target's last requests that failed.",
                labels,
            )?,
            key_cooldowns: declare.counters(
                "ai_gateway_key_cooldowns_total",
                "Times that one of a target's API keys was left alone for a while, by why.",
                &["model", "target", "reason"],
            )?,
            failovers: declare.counters(
                "ai_gateway_failovers_total",
                "Requests that went to another target of their model, by why.",
                &["model", "cause"],
            )?,
            fallbacks: declare.counters(
                "ai_gateway_fallbacks_total",
                "Requests that another model was asked for instead, by why and with what result.",
                &["model", "cause", "result"],
            )?,
            living: Living::default(),
        })
    }

    pub(super) fn of(&self, model: &str, target: &str) -> TargetMetrics {
        let families = self.clone();
        let [of, name] = [model, target].map(str::to_owned);
        let remove = move || families.remove(&of, &name);
        self.living.hold(&[model, target], remove, |life| self.handles(model, target, life))
    }

    /// Removes the series of a target that nobody has a handle of.
    fn remove(&self, model: &str, target: &str) {
        let labels = &[("model", model), ("target", target)];
        for family in [&self.requests, &self.key_cooldowns] {
            remove(family, labels);
        }
        remove(&self.active, labels);
        for family in [&self.available, &self.first_token, &self.failing] {
            remove(family, labels);
        }
    }

    /// As [`remove`](Self::remove), for what a model has without regard to targets.
    pub(super) fn remove_causes(&self, model: &str) {
        for family in [&self.failovers, &self.fallbacks] {
            remove(family, &[("model", model)]);
        }
    }

    fn handles(&self, model: &str, target: &str, life: Arc<Life>) -> TargetMetrics {
        let labels = &[model, target];
        let requests = TargetResult::ALL
            .map(|result| self.requests.with_label_values(&[model, target, result.as_str()]));
        TargetMetrics {
            _life: life,
            requests,
            active: self.active.with_label_values(labels),
            available: self.available.with_label_values(labels),
            first_token: self.first_token.with_label_values(labels),
            failing: self.failing.with_label_values(labels),
            key_cooldowns: KeyFault::ALL
                .map(|why| self.key_cooldowns.with_label_values(&[model, target, why.as_str()])),
        }
    }

    /// Gives each cause its series: a rate misses the first count of one that begins with it.
    pub(super) fn declare_causes(&self, model: &str) {
        for cause in Cause::ALL.map(Cause::as_str) {
            self.failovers.with_label_values(&[model, cause]);
            for result in INSTEAD {
                self.fallbacks.with_label_values(&[model, cause, result]);
            }
        }
    }

    pub(super) fn count_failover(&self, model: &str, cause: Cause) {
        self.failovers.with_label_values(&[model, cause.as_str()]).inc();
    }

    pub(super) fn count_fallback(&self, model: &str, cause: Cause, answered: bool) {
        let [failed, done] = INSTEAD;
        let result = if answered { done } else { failed };
        self.fallbacks.with_label_values(&[model, cause.as_str(), result]).inc();
    }
}

/// The handles of one target.
#[derive(Clone)]
pub struct TargetMetrics {
    _life: Arc<Life>,
    requests: [IntCounter; TargetResult::ALL.len()],
    pub active: IntGauge,
    pub available: Gauge,
    pub first_token: Gauge,
    pub failing: Gauge,
    key_cooldowns: [IntCounter; KeyFault::ALL.len()],
}

impl TargetMetrics {
    /// Counts one request.
    pub fn count(&self, result: TargetResult) {
        if let Some(counter) = self.requests.get(result as usize) {
            counter.inc();
        }
    }

    /// Counts a key that is left alone from now on.
    pub fn count_key_cooldown(&self, why: KeyFault) {
        if let Some(counter) = self.key_cooldowns.get(why as usize) {
            counter.inc();
        }
    }
}
