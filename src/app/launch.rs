//! The actors and handles of one worker, started on the worker's own thread.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use actix::Actor;
use actix_web::web::Data;

use super::parts::Parts;
use crate::backend::Backend;
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
            worker
        };
        here.upgrade().map_or_else(|| start(here), Data::from)
    })
}

/// Starts a worker's registry and its backends.
fn worker(parts: &Parts) -> Worker {
    let registry = Registry::new(Arc::clone(&parts.cap), parts.metrics.streams.clone()).start();
    let index = parts.directory.join(registry.clone());
    let all: Vec<_> = parts.models.iter().map(|part| part.model.as_ref().clone()).collect();
    let client = HttpClient::new(&all);
    let models = parts.models.iter().map(|part| {
        let provider = provider::for_model(&part.model, &client);
        let permits = Arc::clone(&part.permits);
        let retries = Arc::clone(&part.retries);
        let timeouts = part.model.timeouts.clone();
        let backend = Backend::new(Rc::clone(&provider), permits, retries, timeouts).start();
        ModelHandle {
            counter: backend.clone().recipient(),
            backend: Arc::new(backend.recipient()),
            provider,
            metrics: Arc::new(part.metrics.clone()),
        }
    });
    let server = &parts.config.server;
    Worker {
        index,
        registry,
        models: models.collect(),
        buffer_bytes: server.stream_buffer_bytes,
        answer_bytes: server.max_answer_bytes,
        heartbeat: server.heartbeat,
        write_timeout: server.write_timeout,
    }
}
