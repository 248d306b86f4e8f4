//! Noticing an answer that crawls: fewer tokens a second than is bearable, where another upstream could go
//! on with it.

use std::time::{Duration, Instant};

use tidegate_protocol::{ErrorKind, Failure};

use crate::config::SlowGuard;

/// Watches one leg.
pub struct Crawl {
    guard: SlowGuard,
    since: Instant,
    tokens: u32,
}

impl Crawl {
    #[must_use]
    pub fn new(guard: SlowGuard, now: Instant) -> Self {
        Self { guard, since: now, tokens: 0 }
    }

    /// A longer pause is too slow by itself.
    #[must_use]
    pub fn longest_pause(&self) -> Duration {
        self.guard.window
    }

    /// So many pieces came.
    ///
    /// # Errors
    /// When too few did for a while.
    pub fn note(&mut self, now: Instant, pieces: u32) -> Result<(), Failure> {
        self.tokens = self.tokens.saturating_add(pieces);
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed < self.guard.window {
            return Ok(());
        }
        let rate = f64::from(self.tokens) / elapsed.as_secs_f64();
        (self.since, self.tokens) = (now, 0);
        if rate >= self.guard.tokens_per_second {
            return Ok(());
        }
        let least = self.guard.tokens_per_second;
        let message = format!("the upstream gave {rate:.1} tokens/s, fewer than {least}");
        Err(Failure::new(ErrorKind::UpstreamTimeout, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_judged_by_each_window() {
        let second = Duration::from_secs(1);
        let guard = SlowGuard { tokens_per_second: 5.0, window: 2 * second };
        let now = Instant::now();
        let mut crawl = Crawl::new(guard, now);
        for (after, pieces, bearable) in [
            (1, 1, true),
            (2, 9, true),
            (3, 1, true),
            (4, 8, false),
            (5, 9, true),
            (6, 1, true),
            (12, 20, false),
        ] {
            assert_eq!(crawl.note(now + after * second, pieces).is_ok(), bearable, "{after}");
        }
    }
}
