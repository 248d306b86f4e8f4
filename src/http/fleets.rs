//! The targets of the models: whether they are there, how busy they are and how they do, for lists and
//! for metrics.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use crate::backend::{Health, PermitPool, Reachability};
use crate::config::Target;
use crate::provider::{Bearer, KeyPool};
use crate::routing::{CircuitState, Fleet, TargetState};
use crate::stream::millis;
use crate::telemetry::{ModelMetrics, TargetMetrics};

/// The targets of one model.
pub struct FleetView {
    pub fleet: Arc<Fleet>,
    pub permits: Arc<PermitPool>,
    /// In the order of the targets, as are their keys and metrics.
    pub health: Vec<Arc<Health>>,
    pub bearers: Vec<Arc<Bearer>>,
    pub metrics: Vec<TargetMetrics>,
    pub model: ModelMetrics,
}

/// One target of a model.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetInfo {
    name: String,
    provider: &'static str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// `closed`, `open`, `half-open` or `cooling`.
    circuit: &'static str,
    weight: u32,
    max_concurrency: usize,
    active: usize,
    /// Mean of the last times to the first token.
    time_to_first_token_ms: Option<u64>,
    /// The part of the last requests that failed.
    failing: f64,
    /// What waits at the upstream, by its own word.
    waiting: Option<u32>,
    cache_used: Option<f64>,
    /// How many API keys there are, and how many of them are left alone for now.
    keys: usize,
    keys_cooling: usize,
}

impl FleetView {
    /// A model is there as long as any of its targets is.
    #[must_use]
    pub fn reachability(&self) -> Reachability {
        let found: Vec<_> = self.health.iter().map(|health| health.get()).collect();
        let best = found.iter().find(|state| **state == Reachability::Reachable);
        best.or(found.first()).cloned().unwrap_or(Reachability::Unknown)
    }

    /// Its targets, as lists show them.
    #[must_use]
    pub fn describe(&self, targets: &[Target]) -> Vec<TargetInfo> {
        let states = self.fleet.states(Instant::now());
        let all = targets.iter().zip(&self.health).zip(&self.bearers).zip(states);
        let all = all.map(|(((target, health), bearer), state)| {
            target_info(target, health, bearer.pool(), &state)
        });
        all.collect()
    }

    /// Brings its metrics up to date.
    pub fn measure(&self) {
        let is_up = self.reachability() == Reachability::Reachable;
        self.model.upstream_up.set(if is_up { 1.0 } else { 0.0 });
        let now = Instant::now();
        self.permits.measure(now);
        let states = self.fleet.states(now);
        for (metrics, state) in self.metrics.iter().zip(states) {
            metrics.active.set(i64::try_from(state.active).unwrap_or(i64::MAX));
            metrics.available.set(match state.circuit {
                CircuitState::Closed => 1.0,
                CircuitState::HalfOpen => 0.5,
                CircuitState::Open | CircuitState::Cooling => 0.0,
            });
            let first_token = state.first_token.map_or(f64::NAN, |time| time.as_secs_f64());
            metrics.first_token.set(first_token);
            metrics.failing.set(state.failing);
        }
    }
}

fn target_info(
    target: &Target,
    health: &Health,
    keys: &KeyPool,
    state: &TargetState,
) -> TargetInfo {
    let (status, reason) = told(&health.get());
    TargetInfo {
        name: target.name.clone(),
        provider: target.provider.as_str(),
        status,
        reason,
        circuit: state.circuit.as_str(),
        weight: target.weight,
        max_concurrency: target.max_concurrency,
        active: state.active,
        time_to_first_token_ms: state.first_token.map(millis),
        failing: state.failing,
        waiting: state.load.map(|load| load.waiting),
        cache_used: state.load.and_then(|load| load.cache),
        keys: keys.all().len(),
        keys_cooling: keys.cooling(Instant::now()),
    }
}

/// A state in words, and why it is not a better one.
#[must_use]
pub fn told(health: &Reachability) -> (&'static str, Option<String>) {
    let reason = match health {
        Reachability::Unreachable(why) => Some(why.clone()),
        _ => None,
    };
    (health.as_str(), reason)
}
