//! The actors and handles of one worker, started on the worker's own thread.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use actix::Actor;
use actix_web::web::Data;
use tokio::sync::watch;

use super::model::{ModelPart, TargetPart};
use super::parts::Parts;
use crate::backend::{Backend, Hedge, Lane, Others, Upstream};
use crate::config::{Cause, Continuation, Target};
use crate::http::offer::{Offer, Reached};
use crate::http::worker::{ModelHandle, Worker};
use crate::provider;
use crate::provider::client::HttpClient;
use crate::registry::Registry;

thread_local! {
    /// Of this thread, while there is one.
    static HERE: RefCell<Weak<Worker>> = const { RefCell::new(Weak::new()) };
}

/// The worker of this thread, which all listeners share. The first to ask starts it.
pub fn worker_here(parts: &Parts) -> Data<Worker> {
    HERE.with_borrow_mut(|here| {
        let start = |here: &mut Weak<Worker>| {
            let worker = Data::new(worker(parts));
            *here = Arc::downgrade(&Data::clone(&worker).into_inner());
            actix_rt::spawn(follow(Weak::clone(here), parts.offers.follow()));
            worker
        };
        here.upgrade().map_or_else(|| start(here), Data::from)
    })
}

/// Starts a worker's registry.
fn worker(parts: &Parts) -> Worker {
    let registry = Registry::new(
        Arc::clone(&parts.cap),
        parts.metrics.streams.for_worker(),
        Arc::clone(&parts.journals),
    )
    .start();
    let index = parts.directory.join(registry.clone());
    let write_timeout = parts.config.server.write_timeout;
    Worker::new(index, registry, write_timeout, Arc::clone(&parts.journals), &parts.offers)
}

/// Takes over each offer as soon as it is in force, so that nothing of an old one stays on a worker that
/// nobody asks for anything.
async fn follow(worker: Weak<Worker>, mut offers: watch::Receiver<Arc<Offer>>) {
    while offers.changed().await.is_ok() {
        let Some(worker) = worker.upgrade() else { return };
        drop(worker.here());
    }
}

/// Starts the backends of all models on this worker.
pub fn reach(parts: &[ModelPart], before: Option<&HttpClient>) -> Reached {
    let client = client(parts, before);
    let lanes: Vec<_> = parts.iter().map(|part| Rc::new(lane(part, &client))).collect();
    let handles = parts.iter().zip(&lanes).map(|(part, lane)| {
        let retries = Arc::clone(&part.retries);
        let backend = Backend::new(Rc::clone(lane), retries, others(part, &lanes)).start();
        let only = lane.upstreams.first().filter(|_| !lane.has_choice());
        ModelHandle {
            counter: backend.clone().recipient(),
            backend: Arc::new(backend.recipient()),
            lane: Rc::clone(lane),
            only_target: only.map(|upstream| Arc::clone(&upstream.name)),
            metrics: Arc::new(part.shared.metrics.clone()),
        }
    });
    Reached { models: handles.collect(), client: client.clone() }
}

/// The client before, with its connections, where these models are on the same hosts.
pub fn client(parts: &[ModelPart], before: Option<&HttpClient>) -> HttpClient {
    let models: Vec<_> = parts.iter().map(|part| part.model.as_ref().clone()).collect();
    let before = before.filter(|before| before.serves(&models));
    before.cloned().unwrap_or_else(|| HttpClient::new(&models))
}

/// How a model is reached on this worker.
fn lane(part: &ModelPart, client: &HttpClient) -> Lane {
    let model = &part.model;
    let upstream = |(target, part): (&Target, &TargetPart)| Upstream {
        name: target.name.as_str().into(),
        kind: target.provider,
        base_url: target.base_url.clone(),
        model: target.upstream_model.clone(),
        context_length: target.abilities.context_length,
        provider: provider::for_target(target, client, Arc::clone(&part.bearer)),
        metrics: part.metrics.clone(),
    };
    Lane {
        name: model.name.as_str().into(),
        upstreams: model.targets.iter().zip(&part.targets).map(upstream).collect(),
        kinds: Arc::clone(&part.kinds),
        shared: Arc::clone(&part.shared),
        timeouts: model.timeouts.clone(),
        continues: model.targets.iter().any(|target| target.continues),
    }
}

/// The models that may give a leg of another's answers; the configuration has been checked for them.
fn others(part: &ModelPart, lanes: &[Rc<Lane>]) -> Others {
    let named = |name: &String| lanes.iter().find(|lane| *lane.name == **name).cloned();
    let Continuation { on, most, max_bytes, slow } = &part.model.continuation;
    let fallback = &part.model.routing.fallback;
    let chain = |cause| {
        let lanes: Vec<_> = fallback.on(cause).iter().filter_map(named).collect();
        (!lanes.is_empty()).then_some((cause, lanes))
    };
    let hedged = part.model.hedging.on.as_ref().and_then(named);
    Others {
        fallback: Cause::ALL.into_iter().filter_map(chain).collect(),
        continue_on: on.iter().take(*most).filter_map(named).collect(),
        max_bytes: *max_bytes,
        slow: *slow,
        hedge: hedged.map(|lane| Hedge { lane, policy: Arc::clone(&part.hedging) }),
    }
}
