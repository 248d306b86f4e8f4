//! The backend actor: one per model and worker.

use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, Context, Handler};

use super::legs::{Lane, Others};
use super::message::Generate;
use super::permits::PermitPool;
use super::pump::Pump;
use super::retry::RetryBudget;
use crate::config::{ProviderKind, Timeouts};
use crate::provider::Provider;

/// Guards one model on one worker. Each answer it drives is a task of its own, so that a fault
/// in one takes only its own stream down.
pub struct Backend {
    pub(super) provider: Rc<dyn Provider>,
    /// Shared with the backends of the same model on all other workers, as are the retries.
    permits: Arc<PermitPool>,
    retries: Arc<RetryBudget>,
    pub(super) timeouts: Timeouts,
    kind: ProviderKind,
    others: Rc<Others>,
}

impl Backend {
    #[must_use]
    pub fn new(lane: Lane, retries: Arc<RetryBudget>, others: Others) -> Self {
        let Lane { provider, permits, timeouts, kind, .. } = lane;
        Self { provider, permits, retries, timeouts, kind, others: Rc::new(others) }
    }
}

impl Actor for Backend {
    type Context = Context<Self>;
}

impl Handler<Generate> for Backend {
    type Result = ();

    fn handle(&mut self, job: Generate, _: &mut Context<Self>) {
        let pump = Pump {
            job,
            provider: Rc::clone(&self.provider),
            permits: Arc::clone(&self.permits),
            retries: Arc::clone(&self.retries),
            timeouts: self.timeouts.clone(),
            kind: self.kind,
            others: Rc::clone(&self.others),
        };
        actix_rt::spawn(pump.run());
    }
}
