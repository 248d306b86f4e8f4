//! Notices when a thread did not get to run: on a machine that has other things to do, who plays
//! an upstream may be late himself, and what is said of him then is true.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const BEAT: Duration = Duration::from_millis(100);
/// No time limit of the soak is shorter than five of these.
const LATE: Duration = Duration::from_secs(1);

/// The pulse of one thread; it can be felt from others.
#[derive(Debug)]
pub struct Pulse {
    began: Instant,
    /// When it last beat, in milliseconds since it began.
    last: AtomicU64,
    missed: AtomicU64,
}

impl Pulse {
    pub fn new() -> Self {
        Self { began: Instant::now(), last: AtomicU64::new(0), missed: AtomicU64::new(0) }
    }

    /// Beats for as long as it is polled.
    pub async fn beat(&self) {
        loop {
            tokio::time::sleep(BEAT).await;
            self.felt_at(self.began.elapsed());
        }
    }

    fn felt_at(&self, now: Duration) {
        let was_late = self.is_late(now);
        self.last.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Ordering::Release);
        if was_late {
            self.missed.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn is_late(&self, now: Duration) -> bool {
        now.saturating_sub(Duration::from_millis(self.last.load(Ordering::Acquire))) > LATE
    }

    /// How often it stood still so far.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Acquire)
    }

    /// Whether it stood still since it had `missed` so often, or stands still now.
    pub fn was_late_since(&self, missed: u64) -> bool {
        self.is_late(self.began.elapsed()) || self.missed() > missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pulse_that_stood_still_is_felt_and_one_that_beats_is_not() {
        let pulse = Pulse::new();
        for tenth in 1..=20 {
            pulse.felt_at(BEAT * tenth);
        }
        assert_eq!(pulse.missed(), 0);
        pulse.felt_at(Duration::from_secs(4));
        assert!(pulse.missed() == 1 && pulse.was_late_since(0) && !pulse.was_late_since(1));
    }
}
