//! Asking a second model when the first is late: the first token wins, the other is cancelled.
//!
//! "Late" is what comes after the p95 of the model's last answers, and the second requests are no
//! more than a share of all, and only where the second model has a permit to spare. So hedging cuts
//! the tail of the times to the first token, and cannot double the load of models that are slow
//! because they are loaded.

use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{Either, select};
use tidegate_protocol::ErrorKind;
use tokio::time::{Instant, sleep_until, timeout};

use super::asking::{Asked, NoAnswer};
use super::budget::Budget;
use super::lane::Lane;
use super::latency::Latency;
use super::legs::Leg;
use super::limits::Limits;
use super::message::{Progress, Takeover};
use super::permits::Permit;
use super::pump::Pump;
use crate::config::Hedging;
use crate::routing::Need;

/// What a second request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HedgeResult {
    /// The second model was first.
    Won,
    /// The first model was first after all.
    Lost,
    /// The second model gave no answer.
    Failed,
    /// The first was late, and no second was asked: the share is used up, or there is no permit.
    Refused,
}

impl HedgeResult {
    pub const ALL: [Self; 4] = [Self::Won, Self::Lost, Self::Failed, Self::Refused];

    /// As metrics spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

/// When a model is late, and how often another may be asked; shared by all workers.
pub struct HedgePolicy {
    min_samples: usize,
    latency: Mutex<Latency>,
    budget: Budget,
}

impl HedgePolicy {
    #[must_use]
    pub fn new(settings: &Hedging) -> Self {
        Self {
            min_samples: settings.min_samples,
            latency: Mutex::default(),
            budget: Budget::empty(settings.percent),
        }
    }

    /// After how long a request that goes out now is late.
    fn late_after(&self) -> Option<Duration> {
        self.budget.earn();
        self.latency().p95(Instant::now(), self.min_samples)
    }

    /// A request that went out at `asked` has its first token now, or is not waited for any more:
    /// without those that are given up, the late ones would not count.
    fn note(&self, asked: Instant) {
        let now = Instant::now();
        self.latency().note(now, now.duration_since(asked));
    }

    fn latency(&self) -> MutexGuard<'_, Latency> {
        self.latency.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The second model, and when it is asked.
pub struct Hedge {
    pub lane: Rc<Lane>,
    pub policy: Arc<HedgePolicy>,
}

/// What a race came to.
struct Raced {
    leg: Result<Leg, NoAnswer>,
    /// The second model gave it.
    by_second: bool,
}

impl Pump {
    /// Who is asked when this request is late, if anybody.
    pub(super) fn hedge(&self) -> Option<&Hedge> {
        self.others.hedge.as_ref().filter(|_| self.streams())
    }

    /// The leg that begins first.
    pub(super) async fn race(
        &self,
        hedge: &Hedge,
        asked: &Asked<'_>,
        limits: &mut Limits<'_>,
    ) -> Result<Leg, NoAnswer> {
        let began = Instant::now();
        let asked = Asked { holds: true, request: Arc::clone(&asked.request), ..*asked };
        let Raced { leg, by_second } = self.raced(hedge, &asked, limits).await;
        // Without those that are given up, the late ones would not count.
        let is_late = |none: &NoAnswer| none.failure.kind == ErrorKind::UpstreamTimeout;
        if by_second || leg.as_ref().map_or_else(is_late, |_| true) {
            hedge.policy.note(began);
        }
        leg
    }

    async fn raced(&self, hedge: &Hedge, asked: &Asked<'_>, limits: &mut Limits<'_>) -> Raced {
        let by_first = |leg| Raced { leg, by_second: false };
        let deadline = Instant::now() + self.lane.timeouts.first_token;
        let mut first = std::pin::pin!(self.ask_lane(asked, limits));
        let Some(patience) = hedge.policy.late_after() else { return by_first(first.await) };
        if let Ok(leg) = timeout(patience, &mut first).await {
            return by_first(leg);
        }
        let by = Arc::clone(&hedge.lane.name);
        let Some((need, permit)) = self.second(hedge).await else {
            let result = HedgeResult::Refused;
            self.tell(Progress::Takeover(Takeover::Hedged { result, by, failure: None }));
            return by_first(first.await);
        };
        let second = std::pin::pin!(self.ask_second(&hedge.lane, &need, permit, deadline));
        let mut failure = None;
        let (leg, result) = match select(first, second).await {
            Either::Left((Ok(leg), _)) => (Ok(leg), HedgeResult::Lost),
            Either::Right((Ok(leg), _)) => (Ok(leg), HedgeResult::Won),
            Either::Left((Err(none), second)) => match second.await {
                Ok(leg) => {
                    failure = Some(none.failure);
                    (Ok(leg), HedgeResult::Won)
                }
                Err(_) => (Err(none), HedgeResult::Failed),
            },
            Either::Right((Err(_), first)) => (first.await, HedgeResult::Failed),
        };
        self.tell(Progress::Takeover(Takeover::Hedged { result, by, failure }));
        // The one that was asked last need not be the one that answers.
        if let Some(upstream) = leg.as_ref().ok().and_then(|leg| leg.serving.upstream()) {
            self.tell_target(upstream);
        }
        Raced { leg, by_second: result == HedgeResult::Won }
    }

    /// What the second model is asked for, if it may be.
    async fn second(&self, hedge: &Hedge) -> Option<(Need, Permit)> {
        let request = &self.job.request;
        let need = hedge.lane.in_place_of(&self.lane, &self.job.need, request, request)?;
        let permit = hedge.lane.permit(&self.job.claimant, Duration::ZERO).await?;
        hedge.policy.budget.spend().then_some((need, permit))
    }

    async fn ask_second(
        &self,
        lane: &Rc<Lane>,
        need: &Need,
        permit: Permit,
        deadline: Instant,
    ) -> Result<Leg, NoAnswer> {
        let mut timer = std::pin::pin!(sleep_until(deadline));
        let mut limits = Limits::until(timer.as_mut(), self.lane.timeouts.first_token, deadline);
        let asked = Asked { once: true, holds: true, ..self.asked(lane, need) };
        Ok(self.ask_lane(&asked, &mut limits).await?.by_other(permit))
    }
}
