//! One model of a configuration, with what it takes over from the one before.

use std::sync::Arc;
use std::time::Instant;

use crate::backend::permits::gauges::PoolGauges;
use crate::backend::{
    Health, HedgePolicy, HedgeResult, PermitPool, Reachability, RetryBudget, RetryReason, Shared,
};
use crate::config::{Config, Ejection, Model, Priority, ProviderKind, Secret, Target};
use crate::http::fleets::FleetView;
use crate::provider::Bearer;
use crate::routing::Fleet;
use crate::telemetry::{Metrics, ModelMetrics, TargetMetrics};

/// One model with all that its backends share.
pub struct ModelPart {
    pub model: Arc<Model>,
    pub kinds: Arc<[ProviderKind]>,
    pub shared: Arc<Shared>,
    pub retries: Arc<RetryBudget>,
    pub hedging: Arc<HedgePolicy>,
    /// In the order of the targets.
    pub targets: Vec<TargetPart>,
}

/// One target of a model with all that its workers share.
pub struct TargetPart {
    pub health: Arc<Health>,
    pub bearer: Arc<Bearer>,
    pub metrics: TargetMetrics,
}

/// What a model was under the configuration before.
pub struct Before<'a> {
    /// What its requests still share, if there is anything left of it.
    pub shared: Option<Arc<Shared>>,
    /// None where the last configuration had no such model.
    pub part: Option<&'a ModelPart>,
    pub rules: Option<&'a Ejection>,
}

/// Whether two targets are the same upstream, for who asks it whether it is there.
pub fn is_same_upstream(one: &Target, other: &Target) -> bool {
    one.provider == other.provider
        && one.base_url == other.base_url
        && one.upstream_model == other.upstream_model
}

impl ModelPart {
    /// `found` is what the targets were found to be that nobody has asked before.
    pub fn build(
        model: &Arc<Model>,
        config: &Config,
        metrics: &Metrics,
        before: &Before<'_>,
        found: &dyn Fn(&Target) -> Option<Reachability>,
    ) -> Self {
        let (old, part) = (before.shared.as_deref(), before.part);
        let metrics = metrics_of(model, metrics);
        let rules = config.health.ejection.clone();
        let (targets, routing, now) = (&model.targets, &model.routing, Instant::now());
        let fleet = match old {
            Some(old) => old.fleet.renewed(targets, routing, rules, now),
            None => Fleet::new(targets, routing, rules, rand::random(), now),
        };
        let permits = if let Some(old) = old {
            old.permits.set_limits(&model.queue, config.queue);
            old.permits.resize(fleet.capacity(now));
            Arc::clone(&old.permits)
        } else {
            let gauges = pool_gauges(&metrics);
            PermitPool::new(model.max_concurrency(), &model.queue, config.queue, gauges)
        };
        let retries = part.filter(|part| part.model.retries == model.retries);
        let retries = retries.map(|part| Arc::clone(&part.retries));
        let hedging = part.filter(|part| part.model.hedging == model.hedging);
        let hedging = hedging.map(|part| Arc::clone(&part.hedging));
        let same_rules = before.rules == Some(&config.health.ejection);
        let target = |target: &Target| {
            let known = part.and_then(|part| part.known(target));
            let unknown = || found(target).unwrap_or(Reachability::Unknown);
            let health = known.map(|(_, known)| Arc::clone(&known.health));
            let same_keys = known.filter(|(known, _)| {
                same_rules
                    && known.name == target.name
                    && Secret::all_match(&known.api_keys, &target.api_keys)
            });
            let metrics = metrics.target(&target.name);
            let rules = &config.health.ejection;
            TargetPart {
                health: health.unwrap_or_else(|| Health::found(unknown())),
                bearer: same_keys.map_or_else(
                    || Bearer::of(&model.name, target, rules, metrics.clone()),
                    |(_, known)| Arc::clone(&known.bearer),
                ),
                metrics,
            }
        };
        Self {
            model: Arc::clone(model),
            kinds: model.kinds().into(),
            retries: retries.unwrap_or_else(|| Arc::new(RetryBudget::new(model.retries.clone()))),
            hedging: hedging.unwrap_or_else(|| Arc::new(HedgePolicy::new(&model.hedging))),
            targets: targets.iter().map(target).collect(),
            shared: Arc::new(Shared {
                fleet,
                permits,
                freed: old.map(|old| Arc::clone(&old.freed)).unwrap_or_default(),
                metrics,
            }),
        }
    }

    /// A target that is still there, as it was.
    fn known(&self, target: &Target) -> Option<(&Target, &TargetPart)> {
        let mut known = self.model.targets.iter().zip(&self.targets);
        known.find(|(known, _)| is_same_upstream(known, target))
    }

    pub fn view(&self) -> FleetView {
        FleetView {
            fleet: Arc::clone(&self.shared.fleet),
            permits: Arc::clone(&self.shared.permits),
            health: self.targets.iter().map(|target| Arc::clone(&target.health)).collect(),
            bearers: self.targets.iter().map(|target| Arc::clone(&target.bearer)).collect(),
            metrics: self.targets.iter().map(|target| target.metrics.clone()).collect(),
            model: self.shared.metrics.clone(),
        }
    }
}

/// The model's series, each of which is there from the start.
fn metrics_of(model: &Model, metrics: &Metrics) -> ModelMetrics {
    let metrics = metrics.model(&model.name);
    metrics.declare_upstream_failures();
    metrics.declare_retries(RetryReason::ALL.map(RetryReason::as_str));
    metrics.declare_continuations();
    metrics.declare_hedges(HedgeResult::ALL.map(HedgeResult::as_str));
    metrics.declare_causes();
    metrics
}

fn pool_gauges(metrics: &ModelMetrics) -> PoolGauges {
    PoolGauges {
        all: metrics.permits.clone(),
        in_use: metrics.permits_in_use.clone(),
        queued: metrics.queued.clone(),
        by_class: Priority::ALL.map(|class| metrics.queued_of(class)),
        oldest: metrics.queue_oldest.clone(),
        preemptions: metrics.preemptions.clone(),
    }
}
