//! `[rate_limits]`: how often one caller may ask.

use super::kind;
use super::section::Section;

/// A full allowance is as much as comes in over this part of a minute: ten seconds.
const DEFAULT_BURST_SHARE: u32 = 6;

/// How often one caller may ask: an API key, or an address while auth is off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimits {
    /// 0 is no limit.
    pub requests_per_minute: u32,
    /// How many requests may come at once after a pause.
    pub burst: u32,
}

impl RateLimits {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let rate = kind::integer(0..=1_000_000);
        let requests_per_minute = section.get("requests_per_minute", &rate, 0);
        let default = (requests_per_minute / DEFAULT_BURST_SHARE).max(1);
        let burst = section.get("burst", &kind::integer(1..=1_000_000), default);
        Self { requests_per_minute, burst }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn the_burst_follows_the_rate() {
        for (rate, burst) in [(0, 1), (3, 1), (60, 10), (600, 100)] {
            let text = format!("[rate_limits]\nrequests_per_minute = {rate}\n");
            let limits = Config::parse(&text, []).unwrap().config.rate_limits;
            assert_eq!((limits.requests_per_minute, limits.burst), (rate, burst));
        }
    }
}
