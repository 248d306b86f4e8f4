//! One configuration at work: all that a reload replaces, and what it takes over.

use std::sync::{Arc, Weak};

use super::launch;
use super::model::{Before, ModelPart};
use crate::access::{KeyRing, RateLimit};
use crate::admission::Admission;
use crate::backend::{Reachability, Shared};
use crate::config::{Config, Model, Target};
use crate::http::body::BodyLimits;
use crate::http::caller::TrustedProxies;
use crate::http::chat::ChatLimits;
use crate::http::models::Models;
use crate::http::offer::{Offer, StreamLimits};
use crate::http::rebinding::OwnNames;
use crate::routing::Catalog;
use crate::telemetry::{Metrics, clock};

/// One configuration at work.
pub struct Generation {
    /// The first is 1.
    pub number: u64,
    pub config: Config,
    pub parts: Arc<[ModelPart]>,
    /// What handlers see of it.
    pub offer: Arc<Offer>,
}

/// What is new about a generation.
pub struct New<'a> {
    pub config: Config,
    /// Those that serve.
    pub models: Vec<Model>,
    /// What their targets were found to be, where nobody had asked before.
    pub found: &'a dyn Fn(&Target) -> Option<Reachability>,
}

impl Generation {
    /// The first one.
    pub fn first(config: Config, models: Vec<Model>, metrics: &Metrics) -> Self {
        Self::build(New { config, models, found: &|_| None }, None, &Past::default(), metrics)
    }

    /// The one behind this one. From now on the two share what belongs to models of both.
    pub fn next(&self, new: New<'_>, past: &Past, metrics: &Metrics) -> Self {
        Self::build(new, Some(self), past, metrics)
    }

    fn build(new: New<'_>, old: Option<&Self>, past: &Past, metrics: &Metrics) -> Self {
        let New { config, models, found } = new;
        let number = old.map_or(1, |old| old.number + 1);
        let catalog = Arc::new(Catalog::new(models, config.active_model.as_deref()));
        let build = |model: &Arc<Model>| {
            let known = old.and_then(|old| old.part(&model.name));
            let shared = known.map(|known| Arc::clone(&known.shared));
            let shared = shared.or_else(|| past.find(&model.name));
            let rules = old.map(|old| &old.config.health.ejection);
            let before = Before { shared, part: known, rules };
            ModelPart::build(model, &config, metrics, &before, found)
        };
        let parts: Arc<[_]> = catalog.models().iter().map(build).collect();
        let rate_limit = old.filter(|old| old.config.rate_limits == config.rate_limits);
        let rate_limit = rate_limit.map(|old| Arc::clone(old.offer.admission.rate_limit()));
        let rate_limit =
            rate_limit.unwrap_or_else(|| Arc::new(RateLimit::new(&config.rate_limits)));
        let keys = KeyRing::new(&config.auth.keys);
        let fingerprints = old.map(|old| old.offer.limits.fingerprints.clone());
        let server = &config.server;
        let reached = Arc::clone(&parts);
        let offer = Offer {
            generation: number,
            admission: Admission::new(keys, rate_limit, Arc::clone(&catalog)),
            limits: ChatLimits {
                body: BodyLimits { bytes: server.body_limit_bytes, time: server.body_timeout },
                chat: config.chat.clone(),
                proxies: TrustedProxies(server.trusted_proxies.clone()),
                fingerprints: fingerprints.unwrap_or_default(),
            },
            streams: StreamLimits {
                buffer_bytes: server.stream_buffer_bytes,
                answer_bytes: server.max_answer_bytes,
                heartbeat: server.heartbeat,
            },
            listed: Models {
                fleets: parts.iter().map(ModelPart::view).collect(),
                catalog,
                started: old.map_or_else(clock::unix_seconds, |old| old.offer.listed.started),
            },
            names: OwnNames::new(&config),
            shown: config.shown.clone(),
            reach: Box::new(move |before| launch::reach(&reached, before)),
        };
        Self { number, config, parts, offer: Arc::new(offer) }
    }

    /// The models that serve.
    pub fn models(&self) -> Vec<Model> {
        self.parts.iter().map(|part| part.model.as_ref().clone()).collect()
    }

    fn part(&self, name: &str) -> Option<&ModelPart> {
        self.parts.iter().find(|part| part.model.name == name)
    }
}

/// The generations before, as long as anything of theirs is at work.
#[derive(Default)]
pub struct Past(Vec<Bygone>);

struct Bygone {
    /// What each of its models shared.
    models: Vec<(String, Weak<Shared>)>,
}

impl Bygone {
    fn of(generation: &Generation) -> Self {
        let shared = |part: &ModelPart| (part.model.name.clone(), Arc::downgrade(&part.shared));
        Self { models: generation.parts.iter().map(shared).collect() }
    }

    fn is_at_work(&self) -> bool {
        self.models.iter().any(|(_, shared)| shared.strong_count() > 0)
    }
}

impl Past {
    /// A generation is the last one no more.
    pub fn add(&mut self, generation: &Generation) {
        self.0.push(Bygone::of(generation));
        self.forget();
    }

    /// How many there are of which something is at work.
    pub fn count(&mut self) -> usize {
        self.forget();
        self.0.len()
    }

    /// What any model of them still shares.
    pub fn each(&self, act: impl Fn(&Shared)) {
        let all = self.0.iter().flat_map(|bygone| &bygone.models);
        all.filter_map(|(_, shared)| shared.upgrade()).for_each(|shared| act(&shared));
    }

    fn forget(&mut self) {
        self.0.retain(Bygone::is_at_work);
    }

    /// What is left of a model that was gone and comes back, the latest of it.
    fn find(&self, name: &str) -> Option<Arc<Shared>> {
        let all = self.0.iter().rev().flat_map(|bygone| &bygone.models);
        let mut of_it = all.filter(|(model, _)| model == name);
        of_it.find_map(|(_, shared)| shared.upgrade())
    }
}
