//! Asking the upstreams of a generation whether they are there.

use std::sync::Arc;
use std::time::Duration;

use actix_rt::task::JoinHandle;
use futures::future::join_all;

use super::generation::Generation;
use super::launch;
use super::model::{ModelPart, TargetPart};
use crate::backend::Reachability;
use crate::backend::health::{Prober, ask};
use crate::backend::load::LoadWatch;
use crate::config::{Model, Target};
use crate::provider::client::HttpClient;
use crate::provider::{self, Bearer};

/// Those that ask at the interval, until this is dropped.
#[derive(Default)]
pub struct Probing(Vec<JoinHandle<()>>);

impl Probing {
    /// Asks from now on.
    pub fn start(generation: &Generation) -> Self {
        Self::run(generation, probers(generation))
    }

    /// Asks every upstream once, all at the same time, and from then on at the interval.
    pub async fn begin(generation: &Generation) -> Self {
        let probers = probers(generation);
        join_all(probers.iter().map(Prober::probe)).await;
        Self::run(generation, probers)
    }

    fn run(generation: &Generation, probers: Vec<Prober>) -> Self {
        let every = generation.config.health.interval;
        let running = probers.into_iter().map(|prober| actix_rt::spawn(prober.run(every)));
        Self(running.collect())
    }
}

impl Drop for Probing {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Asks targets once, all at the same time.
pub async fn ask_all(
    models: &[Model],
    targets: Vec<Target>,
    limit: Duration,
) -> Vec<(Target, Reachability)> {
    let client = HttpClient::new(models);
    let asked = targets.into_iter().map(|target| async {
        let provider = provider::for_target(&target, &client, Bearer::unwatched(&target));
        let found = ask(provider.as_ref(), limit).await;
        (target, found)
    });
    join_all(asked).await
}

fn probers(generation: &Generation) -> Vec<Prober> {
    let client = launch::client(&generation.parts, None);
    let limit = generation.config.health.timeout;
    generation.parts.iter().flat_map(|part| probers_of(part, &client, limit)).collect()
}

/// Those that ask the targets of a model.
fn probers_of(part: &ModelPart, client: &HttpClient, timeout: Duration) -> Vec<Prober> {
    let targets = part.model.targets.iter().zip(&part.targets).enumerate();
    let prober = |(place, (target, part_of_it)): (usize, (&Target, &TargetPart))| Prober {
        model: part.model.name.clone(),
        target: target.name.clone(),
        place,
        provider: provider::for_target(target, client, Arc::clone(&part_of_it.bearer)),
        health: Arc::clone(&part_of_it.health),
        shared: Arc::clone(&part.shared),
        timeout,
        load: LoadWatch::default(),
    };
    targets.map(prober).collect()
}
