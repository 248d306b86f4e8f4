//! What one gateway is made of, built from its configuration and shared by all workers.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::access::{KeyRing, RateLimit};
use crate::admission::Admission;
use crate::backend::permits::PoolGauges;
use crate::backend::{
    Health, HedgePolicy, HedgeResult, PermitPool, RetryBudget, RetryReason, Shared,
};
use crate::config::{Config, Model, Priority, ProviderKind, Target};
use crate::http::body::BodyLimits;
use crate::http::caller::TrustedProxies;
use crate::http::chat::ChatLimits;
use crate::http::fleets::FleetView;
use crate::http::models::Models;
use crate::http::resume::Fingerprints;
use crate::http::socket::Sockets;
use crate::http::status::Draining;
use crate::provider::Bearer;
use crate::registry::Directory;
use crate::routing::{Catalog, Fleet};
use crate::store::Store;
use crate::stream::{Cap, Journals};
use crate::telemetry::{Metrics, ModelMetrics, TargetMetrics};

/// One model with all that its backends share.
pub struct ModelPart {
    pub model: Arc<Model>,
    pub kinds: Arc<[ProviderKind]>,
    pub shared: Shared,
    pub retries: Arc<RetryBudget>,
    pub hedging: Arc<HedgePolicy>,
    /// In the order of the targets.
    pub targets: Vec<TargetPart>,
    pub metrics: ModelMetrics,
}

/// One target of a model with all that its workers share.
pub struct TargetPart {
    pub health: Arc<Health>,
    pub bearer: Arc<Bearer>,
    pub metrics: TargetMetrics,
}

/// The shared parts of one gateway.
pub struct Parts {
    pub config: Config,
    pub metrics: Metrics,
    pub models: Vec<ModelPart>,
    pub cap: Arc<Cap>,
    pub directory: Directory,
    pub admission: Arc<Admission>,
    pub limits: Arc<ChatLimits>,
    pub listed: Arc<Models>,
    pub draining: Draining,
    pub store: Arc<Store>,
    pub journals: Arc<Journals>,
    pub sockets: Arc<Sockets>,
}

impl Parts {
    /// Builds the parts; `models` are those that serve.
    ///
    /// # Errors
    /// When two metrics share a name: a mistake in the code.
    pub fn build(config: Config, models: Vec<Model>) -> prometheus::Result<Self> {
        let metrics = Metrics::new(true)?;
        let catalog = Arc::new(Catalog::new(models, config.active_model.as_deref()));
        let parts: Vec<_> =
            catalog.models().iter().map(|model| model_part(model, &config, &metrics)).collect();
        let cap = Cap::new(config.server.max_streams);
        metrics.stream_limit.set(i64::try_from(cap.limit()).unwrap_or(i64::MAX));
        let keys = KeyRing::new(&config.auth.keys);
        let rate_limit = RateLimit::new(&config.rate_limits);
        let draining = Draining::default();
        let started = SystemTime::now().duration_since(UNIX_EPOCH);
        let listed = Models {
            catalog: Arc::clone(&catalog),
            fleets: parts.iter().map(fleet_view).collect(),
            started: started.map_or(0, |since| since.as_secs()),
        };
        Ok(Self {
            directory: Directory::new(Arc::clone(&cap)),
            admission: Arc::new(Admission::new(keys, rate_limit, catalog)),
            limits: Arc::new(chat_limits(&config)),
            listed: Arc::new(listed),
            sockets: Arc::new(Sockets::new(&config, draining.clone(), metrics.clone())),
            draining,
            store: Store::new(&config.responses, metrics.store.clone()),
            journals: Journals::new(config.journal.clone(), metrics.journals.clone()),
            models: parts,
            config,
            metrics,
            cap,
        })
    }
}

fn model_part(model: &Arc<Model>, config: &Config, metrics: &Metrics) -> ModelPart {
    let metrics = metrics.model(&model.name);
    metrics.declare_retries(RetryReason::ALL.map(RetryReason::as_str));
    metrics.declare_continuations();
    metrics.declare_hedges(HedgeResult::ALL.map(HedgeResult::as_str));
    metrics.declare_causes();
    let gauges = PoolGauges {
        all: metrics.permits.clone(),
        in_use: metrics.permits_in_use.clone(),
        queued: metrics.queued.clone(),
        by_class: Priority::ALL.map(|class| metrics.queued_of(class)),
        preemptions: metrics.preemptions.clone(),
    };
    let rules = config.health.ejection.clone();
    let fleet = Fleet::new(&model.targets, &model.routing, rules, rand::random(), Instant::now());
    let permits = PermitPool::new(model.max_concurrency(), &model.queue, config.queue, gauges);
    let target = |target: &Target| {
        let metrics = metrics.target(&target.name);
        let rules = &config.health.ejection;
        let bearer = Bearer::of(&model.name, target, rules, metrics.clone());
        TargetPart { health: Health::new(), bearer, metrics }
    };
    ModelPart {
        model: Arc::clone(model),
        kinds: model.kinds().into(),
        shared: Shared { fleet, permits, freed: Arc::default() },
        retries: Arc::new(RetryBudget::new(model.retries.clone())),
        hedging: Arc::new(HedgePolicy::new(&model.hedging)),
        targets: model.targets.iter().map(target).collect(),
        metrics,
    }
}

fn fleet_view(part: &ModelPart) -> FleetView {
    FleetView {
        fleet: Arc::clone(&part.shared.fleet),
        health: part.targets.iter().map(|target| Arc::clone(&target.health)).collect(),
        bearers: part.targets.iter().map(|target| Arc::clone(&target.bearer)).collect(),
        metrics: part.targets.iter().map(|target| target.metrics.clone()).collect(),
        up: part.metrics.upstream_up.clone(),
    }
}

fn chat_limits(config: &Config) -> ChatLimits {
    let server = &config.server;
    ChatLimits {
        body: BodyLimits { bytes: server.body_limit_bytes, time: server.body_timeout },
        chat: config.chat.clone(),
        proxies: TrustedProxies(server.trusted_proxies.clone()),
        fingerprints: Fingerprints::default(),
    }
}
