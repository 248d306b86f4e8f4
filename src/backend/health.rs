//! Whether upstreams are reachable, found out by asking them from time to time.

use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tidegate_protocol::{ErrorKind, Failure};
use tokio::time::error::Elapsed;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::lane::Shared;
use super::load::LoadWatch;
use crate::provider::Provider;

/// What the last probe of an upstream found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reachability {
    /// Not asked yet.
    Unknown,
    Reachable,
    /// Why not, in words for an operator.
    Unreachable(String),
}

impl Reachability {
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Reachable => "reachable",
            Self::Unreachable(_) => "unreachable",
        }
    }
}

/// The health of one target, shared by all who show it.
pub struct Health(Mutex<Reachability>);

impl Health {
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::found(Reachability::Unknown)
    }

    /// One that was asked already.
    #[must_use]
    pub fn found(state: Reachability) -> Arc<Self> {
        Arc::new(Self(Mutex::new(state)))
    }

    #[must_use]
    pub fn get(&self) -> Reachability {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes a probe's result; gives whether it differs from an earlier one.
    fn set(&self, found: Reachability) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = *state == Reachability::Unknown;
        let changed = !first && state.as_str() != found.as_str();
        *state = found;
        changed
    }
}

/// Asks an upstream once whether it is there.
pub async fn ask(provider: &dyn Provider, limit: Duration) -> Reachability {
    found(timeout(limit, provider.probe()).await, limit)
}

fn found(asked: Result<Result<(), Failure>, Elapsed>, limit: Duration) -> Reachability {
    match asked {
        Ok(Ok(())) => Reachability::Reachable,
        Ok(Err(failure)) => Reachability::Unreachable(failure.message),
        Err(_) => Reachability::Unreachable(format!("no answer within {limit:?}")),
    }
}

/// Asks one target whether it is there, and how busy.
pub struct Prober {
    pub model: String,
    pub target: String,
    /// Among the model's targets.
    pub place: usize,
    pub provider: Rc<dyn Provider>,
    pub health: Arc<Health>,
    pub shared: Arc<Shared>,
    pub timeout: Duration,
    pub load: LoadWatch,
}

impl Prober {
    /// Asks once.
    pub async fn probe(&self) -> Reachability {
        let asked = timeout(self.timeout, self.provider.probe()).await;
        let Shared { fleet, permits, .. } = &*self.shared;
        let now = Instant::now();
        match &asked {
            Ok(Err(failure)) if failure.kind == ErrorKind::UpstreamUnreachable => {
                fleet.gone(self.place, now);
            }
            asked => fleet.probed(self.place, matches!(asked, Ok(Ok(()))), now),
        }
        let found = found(asked, self.timeout);
        let load = match &found {
            Reachability::Reachable => self.load.ask(&*self.provider, self.timeout).await,
            _ => None,
        };
        fleet.told_load(self.place, load);
        permits.resize(fleet.capacity(now));
        if self.health.set(found.clone()) {
            let (model, target) = (&self.model, &self.target);
            if let Reachability::Unreachable(why) = &found {
                tracing::warn!(%model, %target, %why, "upstream is not reachable");
            } else {
                tracing::info!(%model, %target, "upstream is reachable");
            }
        }
        found
    }

    /// Asks forever.
    pub async fn run(self, every: Duration) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.probe().await;
        }
    }
}
