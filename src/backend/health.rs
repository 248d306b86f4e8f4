//! Whether upstreams are reachable, found out by asking them from time to time.

use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::Gauge;
use tokio::time::{MissedTickBehavior, interval, timeout};

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

/// The health of one model's upstream, shared by all who show it.
pub struct Health {
    state: Mutex<Reachability>,
    up: Gauge,
}

impl Health {
    #[must_use]
    pub fn new(up: Gauge) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(Reachability::Unknown), up })
    }

    #[must_use]
    pub fn get(&self) -> Reachability {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes a probe's result; gives whether it differs from an earlier one.
    fn set(&self, found: Reachability) -> bool {
        self.up.set(if found == Reachability::Reachable { 1.0 } else { 0.0 });
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let first = *state == Reachability::Unknown;
        let changed = !first && state.as_str() != found.as_str();
        *state = found;
        changed
    }
}

/// Asks one upstream whether it is there.
pub struct Prober {
    pub model: String,
    pub provider: Rc<dyn Provider>,
    pub health: Arc<Health>,
    pub timeout: Duration,
}

impl Prober {
    /// Asks once.
    pub async fn probe(&self) -> Reachability {
        let asked = timeout(self.timeout, self.provider.probe()).await;
        let found = match asked {
            Ok(Ok(())) => Reachability::Reachable,
            Ok(Err(failure)) => Reachability::Unreachable(failure.message),
            Err(_) => Reachability::Unreachable(format!("no answer within {:?}", self.timeout)),
        };
        if self.health.set(found.clone()) {
            if let Reachability::Unreachable(why) = &found {
                tracing::warn!(model = %self.model, %why, "upstream is not reachable");
            } else {
                tracing::info!(model = %self.model, "upstream is reachable");
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
