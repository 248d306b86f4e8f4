//! How soon a target's answers begin: a mean of the last times to the first token, in which what is
//! long ago counts for less.

use std::time::{Duration, Instant};

/// What one sample counts for when it is later than the mean, and when it is sooner: who gets slow
/// should be seen at once, who was fast once has not proved much.
const WEIGHT_UP: f64 = 0.3;
const WEIGHT_DOWN: f64 = 0.1;
/// After so long without a sample the next one counts for most of the mean.
const MEMORY: Duration = Duration::from_secs(10);
/// After so long a sample that is sooner is believed at once: whoever was slow is asked but rarely, and
/// has become fast.
const FORGETS: Duration = Duration::from_secs(5);

/// The mean of one target.
#[derive(Debug, Clone, Copy, Default)]
pub struct Estimate {
    seconds: f64,
    at: Option<Instant>,
}

impl Estimate {
    /// An answer began after `time`.
    pub fn note(&mut self, now: Instant, time: Duration) {
        let sample = time.as_secs_f64();
        let Some(last) = self.at.replace(now) else {
            self.seconds = sample;
            return;
        };
        let age = now.saturating_duration_since(last);
        if age >= FORGETS && sample < self.seconds {
            self.seconds = sample;
            return;
        }
        let age = age.as_secs_f64();
        let floor = if sample > self.seconds { WEIGHT_UP } else { WEIGHT_DOWN };
        let weight = (1.0 - (-age / MEMORY.as_secs_f64()).exp()).max(floor);
        self.seconds += weight * (sample - self.seconds);
    }

    /// The mean in seconds, once there is a sample.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        self.at.map(|_| self.seconds)
    }

    /// When the last sample came.
    #[must_use]
    pub fn at(&self) -> Option<Instant> {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn it_follows_the_samples_and_up_faster_than_down() {
        let now = Instant::now();
        let mut estimate = Estimate::default();
        assert_eq!(estimate.seconds(), None);
        estimate.note(now, 100 * MILLI);
        assert_eq!(estimate.seconds(), Some(0.1));
        estimate.note(now, 200 * MILLI);
        assert!((estimate.seconds().unwrap() - 0.13).abs() < 1e-9);
        estimate.note(now, 30 * MILLI);
        assert!((estimate.seconds().unwrap() - 0.12).abs() < 1e-9);
    }

    #[test]
    fn behind_a_long_pause_one_sample_is_most_of_it() {
        let now = Instant::now();
        let mut estimate = Estimate::default();
        estimate.note(now, 1000 * MILLI);
        estimate.note(now + 3 * MEMORY, 100 * MILLI);
        assert!(estimate.seconds().unwrap() < 0.15);
        assert_eq!(estimate.at(), Some(now + 3 * MEMORY));
    }
}
