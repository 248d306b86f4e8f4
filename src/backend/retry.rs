//! Whether an upstream is asked once more for the same answer.
//!
//! What is safe to ask again, the provider says. Here stands how often: each request has so many
//! attempts, and all of a model's requests together may add only a share to its load, so that
//! retries do not bury an upstream which is in trouble.

use std::time::Duration;

use tidegate_protocol::{ErrorKind, Failure};

use super::budget::Budget;
use crate::config::Retries;
use crate::provider::Again;

/// Where the upstream does not say how long: spread, so that those refused together do not come
/// back together.
const PAUSE_MILLISECONDS: std::ops::Range<u64> = 100..300;

/// Why an upstream was asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryReason {
    /// Its pooled connection was closed.
    StaleConnection,
    /// Its key was refused, and there was another.
    OtherKey,
    Unreachable,
    Overloaded,
    RateLimited,
}

impl RetryReason {
    pub const ALL: [Self; 5] = [
        Self::StaleConnection,
        Self::OtherKey,
        Self::Unreachable,
        Self::Overloaded,
        Self::RateLimited,
    ];

    /// As metrics and logs spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StaleConnection => "stale_connection",
            Self::OtherKey => "other_key",
            Self::Unreachable => "unreachable",
            Self::Overloaded => "overloaded",
            Self::RateLimited => "rate_limited",
        }
    }
}

/// One more attempt.
#[derive(Debug, PartialEq, Eq)]
pub struct Retry {
    pub pause: Duration,
    pub reason: RetryReason,
}

/// What all requests to a model may spend on further attempts, on all workers.
pub struct RetryBudget {
    policy: Retries,
    budget: Budget,
}

impl RetryBudget {
    #[must_use]
    pub fn new(policy: Retries) -> Self {
        let budget = Budget::full(policy.budget_percent);
        Self { policy, budget }
    }

    /// A request goes out for the first time.
    pub fn earn(&self) {
        self.budget.earn();
    }

    /// Whether a request that went out `made` times may go to another target: to one that has answered
    /// others lately a little more often, and at no cost: it would have had its share anyway.
    #[must_use]
    pub fn fail_over(&self, made: u32, is_proven: bool) -> bool {
        let Retries { max_attempts, proven_attempts, .. } = self.policy;
        if is_proven {
            return made < max_attempts.saturating_add(proven_attempts);
        }
        made < max_attempts && self.budget.spend()
    }

    /// Whether a request that went out `made` times, and failed so, goes out again.
    #[must_use]
    pub fn retry(&self, again: Again, failure: &Failure, made: u32) -> Option<Retry> {
        if made >= self.policy.max_attempts {
            return None;
        }
        let asked = match again {
            Again::Never => return None,
            // The upstream has not seen it: no load, and nothing to spend.
            Again::OnNewConnection => {
                let reason = RetryReason::StaleConnection;
                return Some(Retry { pause: Duration::ZERO, reason });
            }
            // Nor has it worked on this, and a key that is refused is left alone: there can be no storm.
            Again::WithOtherKey => {
                return Some(Retry { pause: Duration::ZERO, reason: RetryReason::OtherKey });
            }
            Again::Later(asked) => asked.filter(|asked| !asked.is_zero()),
        };
        let reason = match failure.kind {
            ErrorKind::UpstreamRateLimited => RetryReason::RateLimited,
            ErrorKind::UpstreamOverloaded => RetryReason::Overloaded,
            _ => RetryReason::Unreachable,
        };
        let most = self.policy.max_pause;
        let pause = asked.unwrap_or_else(|| spread().min(most));
        (pause <= most && self.budget.spend()).then_some(Retry { pause, reason })
    }
}

fn spread() -> Duration {
    Duration::from_millis(rand::random_range(PAUSE_MILLISECONDS))
}

#[cfg(test)]
mod tests {
    use super::super::budget::SAVED;
    use super::*;

    fn budget(max_attempts: u32, budget_percent: u32) -> RetryBudget {
        RetryBudget::new(Retries { max_attempts, budget_percent, ..Retries::default() })
    }

    fn overloaded() -> Failure {
        Failure::new(ErrorKind::UpstreamOverloaded, "busy")
    }

    fn pause(budget: &RetryBudget, asked: Option<Duration>) -> Option<Duration> {
        budget.retry(Again::Later(asked), &overloaded(), 1).map(|retry| retry.pause)
    }

    #[test]
    fn attempts_are_counted_over_all_reasons() {
        let budget = budget(2, 20);
        for again in [Again::OnNewConnection, Again::WithOtherKey, Again::Later(None)] {
            assert!(budget.retry(again, &overloaded(), 1).is_some());
            assert!(budget.retry(again, &overloaded(), 2).is_none());
        }
        assert!(budget.retry(Again::Never, &overloaded(), 1).is_none());
    }

    #[test]
    fn another_target_is_asked_as_often_as_it_deserves() {
        let budget = budget(2, 0);
        assert!(!budget.fail_over(1, false), "nothing to spend");
        assert!(budget.fail_over(2, true) && !budget.fail_over(3, true));
        let budget = self::budget(2, 20);
        assert!(budget.fail_over(1, false) && !budget.fail_over(2, false));
    }

    #[test]
    fn a_pause_is_as_long_as_the_upstream_asks_or_there_is_no_retry() {
        let budget = budget(2, 20);
        let most = Retries::default().max_pause;
        assert_eq!(pause(&budget, Some(most)), Some(most));
        assert_eq!(pause(&budget, Some(most + Duration::from_secs(1))), None);
        for asked in [None, Some(Duration::ZERO)] {
            let millis = pause(&budget, asked).unwrap().as_millis();
            assert!((100..300).contains(&millis), "{millis}");
        }
    }

    #[test]
    fn retries_add_no_more_than_their_share() {
        let budget = budget(2, 20);
        let mut retries = 0;
        for _ in 0..1000 {
            budget.earn();
            retries += u32::from(pause(&budget, None).is_some());
        }
        assert_eq!(retries, 200 + SAVED - 1, "the first found nothing to save");
    }

    #[test]
    fn a_budget_of_nothing_is_none_but_for_what_is_no_load() {
        let budget = budget(2, 0);
        assert_eq!(pause(&budget, None), None);
        for (again, reason) in [
            (Again::OnNewConnection, RetryReason::StaleConnection),
            (Again::WithOtherKey, RetryReason::OtherKey),
        ] {
            let retry = budget.retry(again, &overloaded(), 1);
            assert_eq!(retry, Some(Retry { pause: Duration::ZERO, reason }));
        }
    }
}
