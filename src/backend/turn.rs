//! A request's way to its turn: waiting within its limit, telling its place, and once more if the
//! turn was taken from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tidegate_protocol::{ErrorKind, Failure, QueuePlace};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use super::message::Progress;
use super::permits::{Acquired, Permit, PermitPool, PushedOut, Standing, Waiter};
use crate::access::Party;
use crate::config::Priority;

/// A place is told no more often, and only if it is a better one.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// How a request's turn is decided.
#[derive(Debug, Clone)]
pub struct Claimant {
    pub caller: Party,
    pub class: Priority,
    /// The longest it wants to wait; no longer than the model's own limit.
    pub patience: Option<Duration>,
    /// Where it stands meanwhile.
    pub place: Place,
}

impl Claimant {
    /// One like all others.
    #[must_use]
    pub fn anybody() -> Self {
        let class = Priority::default();
        Self { caller: Party::Unknown, class, patience: None, place: Place::default() }
    }
}

/// The place of a request in the queue, for those who answer it: 32 bits of position, which is 0
/// while it does not wait, and 32 of milliseconds.
#[derive(Debug, Clone, Default)]
pub struct Place(Arc<AtomicU64>);

/// Stands for a wait that is not known.
const UNKNOWN: u32 = u32::MAX;

impl Place {
    /// Where the request stands, while it waits.
    #[must_use]
    pub fn get(&self) -> Option<QueuePlace> {
        let both = self.0.load(Ordering::Relaxed);
        let (position, millis) = ((both >> 32) as usize, (both & u64::from(u32::MAX)));
        let wait = (millis != u64::from(UNKNOWN)).then(|| Duration::from_millis(millis));
        (position > 0).then_some(QueuePlace { position, wait })
    }

    fn set(&self, standing: Standing) {
        let position = u32::try_from(standing.position).unwrap_or(u32::MAX);
        let millis = |wait: Duration| u32::try_from(wait.as_millis()).unwrap_or(UNKNOWN - 1);
        let millis = standing.wait.map_or(UNKNOWN, millis);
        self.0.store(u64::from(position) << 32 | u64::from(millis), Ordering::Relaxed);
    }

    fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// One request on its way to a turn.
pub struct Turn<'a, Tell> {
    pool: &'a Arc<PermitPool>,
    claimant: &'a Claimant,
    limit: Duration,
    /// In the queue, so far.
    waited: Duration,
    tell: Tell,
}

impl<'a, Tell: Fn(Progress)> Turn<'a, Tell> {
    /// `limit` is the model's.
    pub fn new(
        pool: &'a Arc<PermitPool>,
        claimant: &'a Claimant,
        limit: Duration,
        tell: Tell,
    ) -> Self {
        let limit = claimant.patience.map_or(limit, |patience| patience.min(limit));
        Self { pool, claimant, limit, waited: Duration::ZERO, tell }
    }

    /// Waits for the turn.
    ///
    /// # Errors
    /// [`ErrorKind::QueueFull`] and [`ErrorKind::QueueTimeout`].
    pub async fn come(&mut self) -> Result<Permit, Failure> {
        let Claimant { class, caller, .. } = self.claimant;
        let may_wait = !self.limit.is_zero();
        let permit = match self.pool.acquire(*class, caller.clone(), may_wait) {
            Acquired::Now(permit) => permit,
            // In a box: those that do not wait carry no room for it.
            Acquired::Later(waiter) => Box::pin(self.wait(waiter)).await?,
            Acquired::Busy => {
                return Err(late("the model is busy, and the request does not want to wait"));
            }
            Acquired::Full => return Err(full("the model is busy and its queue is full")),
            Acquired::TooMany(own) => {
                return Err(full(format!(
                    "the model is busy, and {own} requests of the same caller wait for it already"
                )));
            }
        };
        (self.tell)(Progress::Dispatched { queue_wait: self.waited });
        Ok(permit)
    }

    /// Waits for the turn once more, for it was taken.
    ///
    /// # Errors
    /// As [`come`](Self::come).
    pub async fn come_again(&mut self, taken: Permit) -> Result<Permit, Failure> {
        let permit = match taken.give_way() {
            Ok(waiter) => Box::pin(self.wait(waiter)).await?,
            Err(kept) => kept,
        };
        (self.tell)(Progress::Dispatched { queue_wait: self.waited });
        Ok(permit)
    }

    /// How long it may wait in another queue.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.limit.saturating_sub(self.waited)
    }

    async fn wait(&mut self, waiter: Waiter) -> Result<Permit, Failure> {
        let since = Instant::now();
        let turn = self.watch(waiter, self.left()).await;
        self.claimant.place.clear();
        self.waited += since.elapsed();
        match turn {
            Some(Ok(permit)) => Ok(permit),
            Some(Err(PushedOut)) => Err(full(
                "the model is busy, and the place in its queue went to a request before it",
            )),
            None => Err(late(format!("no turn in the model's queue within {:?}", self.limit))),
        }
    }

    /// Tells the place whenever it has become a better one.
    async fn watch(&self, waiter: Waiter, limit: Duration) -> Option<Result<Permit, PushedOut>> {
        let mut told = self.tell_place(waiter.standing());
        let mut ticks = interval_at(Instant::now() + TELL_EVERY, TELL_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut late = std::pin::pin!(sleep(limit));
        let mut waiter = std::pin::pin!(waiter);
        loop {
            tokio::select! {
                biased;
                turn = &mut waiter => return Some(turn),
                () = &mut late => return None,
                now = ticks.tick() => {
                    let standing = waiter.standing_now(now.into_std());
                    if let Some(better) = standing.filter(|found| found.position < told) {
                        told = self.tell_place(better);
                    }
                }
            }
        }
    }

    fn tell_place(&self, standing: Standing) -> usize {
        let Standing { position, wait } = standing;
        self.claimant.place.set(standing);
        (self.tell)(Progress::Queued(QueuePlace { position, wait }));
        position
    }
}

fn late(message: impl Into<String>) -> Failure {
    Failure::new(ErrorKind::QueueTimeout, message).retry_after(Some(1))
}

fn full(message: impl Into<String>) -> Failure {
    Failure::new(ErrorKind::QueueFull, message).retry_after(Some(1))
}
