//! The requests under way, and what came of those that are over.

use std::time::Duration;

use crate::routing::Pick;

/// A request under way.
#[derive(Default)]
pub struct Live {
    pub pick: Option<Pick>,
    /// How often it went out.
    pub attempts: u32,
    pub tried: Vec<usize>,
    pub state: Stage,
}

/// How far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stage {
    /// Waits in the gateway for a target with room, or for its time to be asked again.
    #[default]
    Queued,
    /// Is at a target, and nothing has come of it.
    Asked,
    /// Its answer has begun.
    Begun,
    Over,
}

/// What came of all requests by one policy.
#[derive(Debug, Default)]
pub struct Outcome {
    pub requests: usize,
    /// From when each came to its first token, sorted, of those that got one.
    pub first_tokens: Vec<Duration>,
    /// Got no answer.
    pub errors: usize,
    /// Their answers broke off when a replica died. The gateway goes on with such answers; here they
    /// are over.
    pub cut: usize,
    pub attempts: u64,
    /// Requests that each replica was asked.
    pub asked: Vec<u64>,
    pub prompt_tokens: u64,
    pub cached_tokens: u64,
    /// In millionths of what prices are in, times a million.
    pub cost: u128,
    /// How long after a replica's return it was asked again, sorted.
    pub back_after: Vec<Duration>,
    /// When the last request was over.
    pub lasted: Duration,
    /// How often a target was to be chosen, and how long that took here.
    pub picks: u64,
    pub picking: Duration,
}

/// What further attempts may add to the load: as the gateway has it, a share of the requests, some of
/// it saved up.
#[derive(Debug)]
pub struct Allowance {
    percent: u32,
    savings: u32,
}

impl Allowance {
    const PRICE: u32 = 100;
    const MOST: u32 = 10 * Self::PRICE;

    pub fn new(percent: u32) -> Self {
        Self { percent, savings: if percent == 0 { 0 } else { Self::MOST } }
    }

    /// A request goes out for the first time.
    pub fn earn(&mut self) {
        self.savings = (self.savings + self.percent).min(Self::MOST);
    }

    pub fn spend(&mut self) -> bool {
        let left = self.savings.checked_sub(Self::PRICE);
        self.savings = left.unwrap_or(self.savings);
        left.is_some()
    }
}
