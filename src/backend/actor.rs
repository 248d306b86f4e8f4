//! The backend actor: one per model and worker.

use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, Context, Handler};

use super::lane::Lane;
use super::legs::Others;
use super::message::Generate;
use super::pump::Pump;
use super::retry::RetryBudget;

/// Guards one model on one worker. Each answer it drives is a task of its own, so that a fault
/// in one takes only its own stream down.
pub struct Backend {
    pub(super) lane: Rc<Lane>,
    /// Shared with the backends of the same model on all other workers.
    retries: Arc<RetryBudget>,
    others: Rc<Others>,
}

impl Backend {
    #[must_use]
    pub fn new(lane: Rc<Lane>, retries: Arc<RetryBudget>, others: Others) -> Self {
        Self { lane, retries, others: Rc::new(others) }
    }
}

impl Actor for Backend {
    type Context = Context<Self>;
}

impl Handler<Generate> for Backend {
    type Result = ();

    fn handle(&mut self, job: Generate, _: &mut Context<Self>) {
        let (lane, others) = (Rc::clone(&self.lane), Rc::clone(&self.others));
        let pump = Pump { job, lane, retries: Arc::clone(&self.retries), others };
        actix_rt::spawn(pump.run());
    }
}
