//! Requests per minute, per API key, or per address while auth is off.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::{StateInformationMiddleware, StateSnapshot};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tidegate_protocol::{ErrorKind, Failure};

use super::caller::{Caller, Party};
use crate::config::RateLimits;

/// Callers whose allowance is full again are forgotten once in so many requests, which bounds
/// the memory that addresses can take.
const FORGET_EVERY: u32 = 4096;

/// The limit, or none.
pub struct RateLimit {
    limiter: Option<(Quota, DefaultKeyedRateLimiter<Party, StateInformationMiddleware>)>,
    clock: DefaultClock,
    seen: AtomicU32,
}

/// How much a caller may ask at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// How many requests a full allowance is.
    pub limit: u32,
    /// How many of them are left.
    pub remaining: u32,
    /// When it is full again, if nothing is asked meanwhile.
    pub full_in: Duration,
}

impl Allowance {
    fn of(quota: Quota, remaining: u32) -> Self {
        let limit = quota.burst_size().get();
        let full_in = quota.replenish_interval().saturating_mul(limit.saturating_sub(remaining));
        Self { limit, remaining, full_in }
    }
}

impl From<StateSnapshot> for Allowance {
    fn from(state: StateSnapshot) -> Self {
        Self::of(state.quota(), state.remaining_burst_capacity())
    }
}

impl RateLimit {
    #[must_use]
    pub fn new(limits: &RateLimits) -> Self {
        let quota = NonZeroU32::new(limits.requests_per_minute).map(|per_minute| {
            let burst = NonZeroU32::new(limits.burst).unwrap_or(per_minute);
            Quota::per_minute(per_minute).allow_burst(burst)
        });
        Self {
            limiter: quota.map(|quota| {
                let limiter = RateLimiter::keyed(quota);
                (quota, limiter.with_middleware::<StateInformationMiddleware>())
            }),
            clock: DefaultClock::default(),
            seen: AtomicU32::new(0),
        }
    }

    /// Takes one request from the caller's allowance, and gives what is left of it; nothing where
    /// there is no limit.
    ///
    /// # Errors
    /// [`ErrorKind::RateLimited`] with the time until the next request would pass.
    pub fn take(&self, caller: &Caller, auth_is_on: bool) -> Result<Option<Allowance>, Failure> {
        let Some((_, limiter)) = &self.limiter else { return Ok(None) };
        if self.seen.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            limiter.retain_recent();
        }
        let left = limiter.check_key(&caller.party(auth_is_on)).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
            Failure::new(
                ErrorKind::RateLimited,
                format!("the rate limit is used up; the next request passes in {seconds} s"),
            )
            .retry_after(Some(seconds))
        })?;
        Ok(Some(left.into()))
    }

    /// The allowance of a caller that has used it up.
    #[must_use]
    pub fn used_up(&self) -> Option<Allowance> {
        self.limiter.as_ref().map(|(quota, _)| Allowance::of(*quota, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Priority;

    fn from(address: &str) -> Caller {
        let (address, priority) = (Some(address.parse().unwrap()), Priority::default());
        Caller { owner: "anonymous".into(), admin: true, priority, address }
    }

    #[test]
    fn the_burst_passes_and_the_next_is_told_when() {
        let limit = RateLimit::new(&RateLimits { requests_per_minute: 1, burst: 3 });
        for left in [2, 1, 0] {
            let allowance = limit.take(&from("192.0.2.1"), false).unwrap().unwrap();
            let full_in = Duration::from_secs(60) * (3 - left);
            assert_eq!(allowance, Allowance { limit: 3, remaining: left, full_in });
        }
        let full_in = Duration::from_secs(180);
        assert_eq!(limit.used_up(), Some(Allowance { limit: 3, remaining: 0, full_in }));
        let failure = limit.take(&from("192.0.2.1"), false).unwrap_err();
        assert_eq!(failure.kind, ErrorKind::RateLimited);
        assert!((1..=61).contains(&failure.retry_after_seconds.unwrap()));
        limit.take(&from("192.0.2.2"), false).unwrap();
        let none = RateLimit::new(&RateLimits { requests_per_minute: 0, burst: 3 });
        assert_eq!((none.take(&from("192.0.2.1"), false), none.used_up()), (Ok(None), None));
    }
}
