//! Requests per minute, per API key, or per address while auth is off.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use tidegate_protocol::{ErrorKind, Failure};

use super::caller::Caller;
use crate::config::RateLimits;

/// Callers whose allowance is full again are forgotten once in so many requests, which bounds
/// the memory that addresses can take.
const FORGET_EVERY: u32 = 4096;

/// The limit, or none.
pub struct RateLimit {
    limiter: Option<DefaultKeyedRateLimiter<String>>,
    clock: DefaultClock,
    seen: AtomicU32,
}

impl RateLimit {
    #[must_use]
    pub fn new(limits: &RateLimits) -> Self {
        let quota = NonZeroU32::new(limits.requests_per_minute).map(|per_minute| {
            let burst = NonZeroU32::new(limits.burst).unwrap_or(per_minute);
            Quota::per_minute(per_minute).allow_burst(burst)
        });
        Self {
            limiter: quota.map(DefaultKeyedRateLimiter::keyed),
            clock: DefaultClock::default(),
            seen: AtomicU32::new(0),
        }
    }

    /// Takes one request from the caller's allowance.
    ///
    /// # Errors
    /// [`ErrorKind::RateLimited`] with the time until the next request would pass.
    pub fn take(&self, caller: &Caller, auth_is_on: bool) -> Result<(), Failure> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        if self.seen.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            limiter.retain_recent();
        }
        limiter.check_key(&rate_key(caller, auth_is_on)).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
            Failure::new(
                ErrorKind::RateLimited,
                format!("the rate limit is used up; the next request passes in {seconds} s"),
            )
            .retry_after(Some(seconds))
        })
    }
}

/// An IPv6 client owns a whole /64, so that is what is counted.
fn rate_key(caller: &Caller, auth_is_on: bool) -> String {
    match caller.address {
        _ if auth_is_on => caller.owner.to_string(),
        Some(IpAddr::V6(address)) if address.to_ipv4_mapped().is_none() => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            Ipv6Addr::from_bits(network).to_string()
        }
        Some(address) => address.to_canonical().to_string(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> Caller {
        Caller { owner: "anonymous".into(), admin: true, address: Some(address.parse().unwrap()) }
    }

    #[test]
    fn the_burst_passes_and_the_next_is_told_when() {
        let limit = RateLimit::new(&RateLimits { requests_per_minute: 1, burst: 3 });
        for _ in 0..3 {
            limit.take(&from("192.0.2.1"), false).unwrap();
        }
        let failure = limit.take(&from("192.0.2.1"), false).unwrap_err();
        assert_eq!(failure.kind, ErrorKind::RateLimited);
        assert!((1..=61).contains(&failure.retry_after_seconds.unwrap()));
        limit.take(&from("192.0.2.2"), false).unwrap();
    }

    #[test]
    fn one_ipv6_network_is_one_caller_and_a_key_counts_across_addresses() {
        let same = rate_key(&from("2001:db8::1"), false);
        assert_eq!(rate_key(&from("2001:db8::ffff"), false), same);
        assert_ne!(rate_key(&from("2001:db8:0:1::1"), false), same);
        assert_eq!(rate_key(&from("::ffff:192.0.2.1"), false), "192.0.2.1");
        assert_eq!(rate_key(&from("192.0.2.1"), true), "anonymous");
    }
}
