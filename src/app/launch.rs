//! The actors and handles of one worker, started on the worker's own thread.

use std::sync::Arc;

use actix::Actor;

use super::parts::Parts;
use crate::backend::Backend;
use crate::http::worker::{ModelHandle, Worker};
use crate::provider;
use crate::provider::client::HttpClient;
use crate::registry::Registry;

/// Starts a worker's registry and its backends.
pub fn worker(parts: &Parts) -> Worker {
    let registry = Registry::new(Arc::clone(&parts.cap), parts.metrics.streams.clone()).start();
    let index = parts.directory.join(registry.clone());
    let all: Vec<_> = parts.models.iter().map(|part| part.model.as_ref().clone()).collect();
    let client = HttpClient::new(&all);
    let models = parts.models.iter().map(|part| {
        let provider = provider::for_model(&part.model, &client);
        let permits = Arc::clone(&part.permits);
        let retries = Arc::clone(&part.retries);
        let timeouts = part.model.timeouts.clone();
        let backend = Backend::new(provider, permits, retries, timeouts).start();
        ModelHandle {
            counter: backend.clone().recipient(),
            backend: Arc::new(backend.recipient()),
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
