//! A leg: what one model says of an answer; and the other models that may give one.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tidegate_protocol::{Batch, ErrorKind, Event, Failure, Request};
use tokio::time::timeout;

use super::hedge::Hedge;
use super::permits::{Acquired, Permit, PermitPool};
use super::turn::Claimant;
use crate::config::{ProviderKind, Timeouts};
use crate::provider::{self, Answer, Provider, Reading};

/// So many reads without a piece of the answer are held back until it begins.
const READS_HELD: usize = 16;

/// One model, as the pumps of others reach it.
#[derive(Clone)]
pub struct Lane {
    /// The public name.
    pub name: Arc<str>,
    pub kind: ProviderKind,
    pub provider: Rc<dyn Provider>,
    pub permits: Arc<PermitPool>,
    pub timeouts: Timeouts,
}

impl Lane {
    /// A permit, if one becomes free within `limit`, that nobody takes back.
    pub async fn permit(&self, claimant: &Claimant, limit: Duration) -> Option<Permit> {
        let may_wait = !limit.is_zero();
        let permit = match self.permits.acquire(claimant.class, claimant.caller.clone(), may_wait) {
            Acquired::Now(permit) => permit,
            Acquired::Later(waiter) => timeout(limit, waiter).await.ok()?.ok()?,
            Acquired::Full | Acquired::TooMany(_) | Acquired::Busy => return None,
        };
        permit.begin();
        Some(permit)
    }

    /// Whether this model can be asked in the place of one of `kind`: without losing a field that
    /// the other is told, as the client was told what is lost.
    #[must_use]
    pub fn stands_in(&self, kind: ProviderKind, request: &Request, asked: &Request) -> bool {
        let Ok(known) = provider::ignored(kind, request) else { return false };
        let lost = provider::ignored(self.kind, asked);
        lost.is_ok_and(|lost| lost.iter().all(|field| known.contains(field)))
    }
}

/// The other models that may give a leg of a model's answers.
#[derive(Default)]
pub struct Others {
    /// In the order in which they are asked to go on.
    pub continue_on: Vec<Lane>,
    /// An answer is kept up to here, to be gone on with.
    pub max_bytes: usize,
    pub hedge: Option<Hedge>,
}

/// What one model says of an answer. Dropping it closes the connection, and gives back the permit
/// of a model that is not the answer's own.
pub struct Leg {
    pub answer: Answer,
    /// What was read of it already.
    pub first: Option<Box<Batch>>,
    /// The longest pause within it.
    pub idle: Duration,
    elsewhere: Option<Box<Permit>>,
}

impl Leg {
    pub fn new(answer: Answer, idle: Duration, elsewhere: Option<Permit>) -> Self {
        Self { answer, first: None, idle, elsewhere: elsewhere.map(Box::new) }
    }

    /// Whether another model speaks.
    pub fn is_elsewhere(&self) -> bool {
        self.elsewhere.is_some()
    }

    /// Reads until the answer begins.
    ///
    /// # Errors
    /// When it ends before.
    pub async fn begun(mut self) -> Result<Self, Failure> {
        let mut first = Batch::default();
        for _ in 0..READS_HELD {
            let Some(batch) = self.answer.next().await else {
                let message = "the upstream ended without saying anything";
                return Err(Failure::new(ErrorKind::Truncated, message));
            };
            let batch = batch?;
            let begins = batch.chunks > 0;
            let error = batch.events.iter().find_map(|event| match event {
                Event::Error(failure) if !begins => Some(failure.clone()),
                _ => None,
            });
            if let Some(failure) = error {
                return Err(failure);
            }
            let ends = batch.events.iter().any(|e| matches!(e, Event::Finish(_) | Event::Done));
            first.append(batch);
            if begins || ends {
                break;
            }
        }
        self.first = Some(Box::new(first));
        Ok(self)
    }
}

/// How the leg of another model is to be read, where the first model's would be by `first`: frames
/// are passed on only where the encoder expects frames.
pub fn reading(first: Reading, kind: ProviderKind, lane: &Lane, request: &Request) -> Reading {
    let relays = |kind| provider::relays(kind, request);
    if relays(kind) && relays(lane.kind) { first } else { Reading::Told }
}
