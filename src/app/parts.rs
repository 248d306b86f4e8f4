//! What a gateway is made of as long as it runs, whatever its configuration becomes.

use std::sync::Arc;

use super::generation::Generation;
use crate::config::Config;
use crate::http::console::Console;
use crate::http::console::board::Sources;
use crate::http::offer::Offers;
use crate::http::socket::Sockets;
use crate::http::status::Draining;
use crate::registry::Directory;
use crate::store::Store;
use crate::stream::{Cap, Journals};
use crate::telemetry::otlp::Otlp;
use crate::telemetry::{AccessLog, Metrics};

/// The lasting parts of one gateway, shared by all workers.
pub struct Parts {
    /// That of the start: by it go the listeners, the threads and the size of what is kept.
    pub config: Config,
    pub metrics: Metrics,
    pub cap: Arc<Cap>,
    pub directory: Directory,
    /// What handlers see of the configuration in force.
    pub offers: Arc<Offers>,
    pub draining: Draining,
    pub store: Arc<Store>,
    pub journals: Arc<Journals>,
    pub sockets: Arc<Sockets>,
    pub console: Arc<Console>,
    pub access_log: AccessLog,
    pub otlp: Otlp,
}

impl Parts {
    /// Builds the parts around the first generation.
    #[must_use]
    pub fn build(metrics: Metrics, access_log: AccessLog, otlp: Otlp, first: &Generation) -> Self {
        let config = first.config.clone();
        let cap = Cap::new(config.server.max_streams);
        metrics.stream_limit.set(i64::try_from(cap.limit()).unwrap_or(i64::MAX));
        let draining = Draining::default();
        let directory = Directory::new(Arc::clone(&cap));
        let offers = Arc::new(Offers::new(Arc::clone(&first.offer)));
        let sources = Sources {
            directory: directory.clone(),
            offers: Arc::clone(&offers),
            metrics: metrics.clone(),
            draining: draining.clone(),
        };
        Self {
            console: Arc::new(Console::new(&config.console, sources)),
            directory,
            offers,
            sockets: Arc::new(Sockets::new(
                &config,
                draining.clone(),
                &metrics,
                access_log.clone(),
            )),
            draining,
            store: Store::new(&config.responses, metrics.store.clone()),
            journals: Journals::new(config.journal.clone(), metrics.journals.clone()),
            config,
            metrics,
            access_log,
            otlp,
            cap,
        }
    }
}
