//! How a target's last requests went: counts in which what is long ago counts for less.

use std::time::{Duration, Instant};

/// Old results count for half after so long.
pub const HALF_LIFE: Duration = Duration::from_secs(10);
/// So many results say something about a share, if so many of them are failures: one may be chance.
const TELLING: f64 = 10.0;
const TELLING_FAILURES: f64 = 2.5;
/// A target of which nothing is known is trusted as if so many requests had gone well.
const TRUST: f64 = 5.0;
/// How the last requests went: counts in which what is long ago counts for less.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recent {
    all: f64,
    failed: f64,
    at: Option<Instant>,
}

impl Recent {
    /// One more went well, or did not.
    pub fn note(&mut self, now: Instant, failed: bool) {
        let faded = self.faded(now);
        self.all = self.all * faded + 1.0;
        self.failed = self.failed * faded + f64::from(u8::from(failed));
        self.at = Some(now);
    }

    /// What the counts are worth now.
    fn faded(&self, now: Instant) -> f64 {
        let age = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        (-age.as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2()
    }

    /// The part that failed, where there were enough to say.
    #[must_use]
    pub fn share(&self, now: Instant) -> Option<f64> {
        let faded = self.faded(now);
        let is_telling = self.all * faded >= TELLING && self.failed * faded >= TELLING_FAILURES;
        is_telling.then(|| self.failed / self.all)
    }

    /// The part that is to be expected to fail: little, where little is known.
    #[must_use]
    pub fn doubt(&self, now: Instant) -> f64 {
        let faded = self.faded(now);
        self.failed * faded / self.all.mul_add(faded, TRUST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_failures_raise_doubts_and_many_requests_tell() {
        let now = Instant::now();
        let mut recent = Recent::default();
        assert!(recent.doubt(now).abs() < 1e-9);
        recent.note(now, true);
        assert!(recent.doubt(now) > 0.1 && recent.share(now).is_none());
        for at in 0..29 {
            recent.note(now, at % 5 == 0);
        }
        let share = recent.share(now).unwrap();
        assert!((share - 7.0 / 30.0).abs() < 1e-9, "{share}");
        let later = now + 6 * HALF_LIFE;
        assert!(recent.doubt(later) < 0.05 && recent.share(later).is_none());
    }
}
