//! How soon a model's answers begin: the p95 of the last ones.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// So many samples are kept.
pub const WINDOW: usize = 256;
/// What is older tells of another load.
const FRESH: Duration = Duration::from_secs(600);

/// The last times to the first token.
#[derive(Debug, Default)]
pub struct Latency {
    samples: VecDeque<(Instant, Duration)>,
}

impl Latency {
    /// An answer began after `time`, or had not begun by then.
    pub fn note(&mut self, now: Instant, time: Duration) {
        if self.samples.len() >= WINDOW {
            self.samples.pop_front();
        }
        self.samples.push_back((now, time));
    }

    /// The time after which no more than 5 of 100 begin; none before there are `least` samples.
    pub fn p95(&mut self, now: Instant, least: usize) -> Option<Duration> {
        let is_stale = |(then, _): &(Instant, Duration)| now.duration_since(*then) > FRESH;
        while self.samples.front().is_some_and(is_stale) {
            self.samples.pop_front();
        }
        let mut times: Vec<_> = self.samples.iter().map(|(_, time)| *time).collect();
        if times.is_empty() || times.len() < least {
            return None;
        }
        let rank = (times.len() * 95).div_ceil(100) - 1;
        Some(*times.select_nth_unstable(rank).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn timed(times: impl IntoIterator<Item = u64>, now: Instant) -> Latency {
        let mut latency = Latency::default();
        times.into_iter().for_each(|time| latency.note(now, millis(time)));
        latency
    }

    #[test]
    fn nineteen_of_twenty_are_no_later() {
        let now = Instant::now();
        assert_eq!(timed((1..=100).rev(), now).p95(now, 10), Some(millis(95)));
        assert_eq!(timed(1..=20, now).p95(now, 10), Some(millis(19)));
        assert_eq!(timed(1..=10, now).p95(now, 10), Some(millis(10)));
    }

    #[test]
    fn few_samples_tell_nothing() {
        let now = Instant::now();
        assert_eq!(timed(1..=9, now).p95(now, 10), None);
        assert_eq!(timed([], now).p95(now, 0), None);
    }

    #[test]
    fn what_is_long_ago_or_far_back_does_not_count() {
        let now = Instant::now();
        let mut latency = timed([500; 100], now);
        let later = now + FRESH + millis(1);
        assert_eq!(latency.p95(now + FRESH, 10), Some(millis(500)));
        assert_eq!(latency.p95(later, 10), None);
        let mut latency = timed([500; 100].into_iter().chain([7; WINDOW]), now);
        assert_eq!(latency.p95(now, 10), Some(millis(7)));
        assert_eq!(latency.samples.len(), WINDOW);
    }
}
