//! The last minutes, second by second: what the console draws. Counters that are there anyway are
//! read once a second; nothing is counted for it.

use std::collections::VecDeque;
use std::iter::repeat;
use std::time::{Duration, Instant};

use prometheus::core::Metric;
use serde::ser::{Serialize, SerializeTuple, Serializer};
use tidegate_protocol::Outcome;

use super::ledger::Tally;
use super::metrics::Metrics;
use super::model::ModelMetrics;

/// How many samples a quantile is taken over: one second has too few first tokens.
const WINDOW: usize = 10;
/// What a time to the first token counts as that is longer than every bucket.
const BEYOND: f64 = 120.0;

/// What happened within one sample's time.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When it was taken, since the gateway started.
    pub at: Duration,
    /// What its counts are of: the time since the one before.
    pub took: Duration,
    pub started: u64,
    pub completed: u64,
    pub cancelled: u64,
    /// All other ends.
    pub failed: u64,
    /// By the gateway itself.
    pub refused: u64,
    /// Pieces of answers passed on.
    pub pieces: u64,
    pub active: u64,
    pub queued: u64,
    /// Times to the first token, in seconds, over the last samples.
    pub first_token: Option<Quantiles>,
}

/// The middle, and what one of a hundred exceeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantiles {
    pub p50: f64,
    pub p99: f64,
}

/// What a sample's numbers are called, in the order in which it is written.
pub const COLUMNS: [&str; 12] = [
    "at",
    "took",
    "started",
    "completed",
    "cancelled",
    "failed",
    "refused",
    "tokens",
    "active",
    "queued",
    "ttftP50",
    "ttftP99",
];

/// A row of numbers: names would be most of it. Times are in milliseconds.
impl Serialize for Sample {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let millis = |seconds: f64| (seconds * 1000.0).round();
        let whole = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut row = serializer.serialize_tuple(COLUMNS.len())?;
        for number in [
            whole(self.at),
            whole(self.took),
            self.started,
            self.completed,
            self.cancelled,
            self.failed,
            self.refused,
            self.pieces,
            self.active,
            self.queued,
        ] {
            row.serialize_element(&number)?;
        }
        row.serialize_element(&self.first_token.map(|it| millis(it.p50)))?;
        row.serialize_element(&self.first_token.map(|it| millis(it.p99)))?;
        row.end()
    }
}

/// Reads the counters and keeps what came of it, up to a number of samples.
pub struct History {
    metrics: Metrics,
    started: Instant,
    most: usize,
    samples: VecDeque<Sample>,
    last: Totals,
    /// When that was read, since the start.
    last_at: Duration,
    /// The first tokens counted before each of the last samples, oldest first.
    buckets: VecDeque<Buckets>,
}

/// Counted since the gateway started.
struct Totals {
    tally: Tally,
    refused: u64,
}

/// Upper bounds in seconds, and how many did not exceed them.
type Buckets = Vec<(f64, u64)>;

impl History {
    #[must_use]
    pub fn new(metrics: Metrics, most: usize, now: Instant) -> Self {
        let last = Totals::read(&metrics);
        let (samples, buckets) = (VecDeque::new(), VecDeque::new());
        let last_at = Duration::ZERO;
        Self { metrics, started: now, most, samples, last, last_at, buckets }
    }

    /// Takes one more sample, of those models that there are; the oldest goes where there are enough.
    pub fn take<'m>(
        &mut self,
        now: Instant,
        models: impl Iterator<Item = &'m ModelMetrics> + Clone,
    ) -> Sample {
        let totals = Totals::read(&self.metrics);
        let queued = models.clone().map(|model| model.queued.get()).sum::<i64>();
        let buckets = first_tokens(models);
        let nothing = Buckets::new();
        let since = self.buckets.front().unwrap_or(&nothing);
        let first_token = Quantiles::between(since, &buckets);
        self.buckets.push_back(buckets);
        if self.buckets.len() > WINDOW {
            self.buckets.pop_front();
        }
        let at = now.saturating_duration_since(self.started);
        let sample = Sample {
            at,
            took: at.saturating_sub(self.last_at),
            started: totals.tally.started - self.last.tally.started,
            completed: totals.ended_since(&self.last, |it| it == Outcome::Completed),
            cancelled: totals.ended_since(&self.last, |it| it == Outcome::Cancelled),
            failed: totals.ended_since(&self.last, is_failure),
            refused: totals.refused - self.last.refused,
            pieces: totals.tally.pieces - self.last.tally.pieces,
            active: totals.tally.active,
            queued: u64::try_from(queued).unwrap_or(0),
            first_token,
        };
        (self.last, self.last_at) = (totals, at);
        if self.samples.len() >= self.most {
            self.samples.pop_front();
        }
        self.samples.push_back(sample.clone());
        sample
    }

    /// All that is kept, oldest first.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter()
    }
}

fn is_failure(outcome: Outcome) -> bool {
    !matches!(outcome, Outcome::Completed | Outcome::Cancelled)
}

impl Totals {
    fn read(metrics: &Metrics) -> Self {
        Self { tally: metrics.streams.tally(), refused: metrics.rejections.in_all() }
    }

    fn ended_since(&self, before: &Self, counts: fn(Outcome) -> bool) -> u64 {
        let count = |totals: &Self| -> u64 {
            let ended = totals.tally.ended.iter();
            ended.filter(|(outcome, _)| counts(*outcome)).map(|(_, count)| count).sum()
        };
        count(self) - count(before)
    }
}

/// The first tokens of all models.
fn first_tokens<'m>(models: impl Iterator<Item = &'m ModelMetrics>) -> Buckets {
    let mut all = Buckets::new();
    for model in models {
        let metric = model.first_token.metric();
        let histogram = metric.get_histogram();
        let bounded = histogram.get_bucket().iter();
        let bounded = bounded.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
        let beyond = (BEYOND, histogram.get_sample_count());
        for (index, (bound, count)) in bounded.chain([beyond]).enumerate() {
            match all.get_mut(index) {
                Some((_, sum)) => *sum += count,
                None => all.push((bound, count)),
            }
        }
    }
    all
}

impl Quantiles {
    /// Of what was counted in between; nothing if that was nothing.
    fn between(before: &Buckets, after: &Buckets) -> Option<Self> {
        let old = before.iter().map(|(_, count)| *count).chain(repeat(0));
        // A model that is gone takes its counts along: for a moment there are fewer than before.
        let grown = after.iter().zip(old);
        let counts: Buckets =
            grown.map(|((bound, new), old)| (*bound, new.saturating_sub(old))).collect();
        let all = counts.last()?.1;
        (all > 0)
            .then(|| Self { p50: quantile(&counts, all, 0.5), p99: quantile(&counts, all, 0.99) })
    }
}

/// As Prometheus does it: within a bucket, all values are taken to be evenly spread.
#[allow(clippy::cast_precision_loss, reason = "a quantile for people")]
fn quantile(counts: &Buckets, all: u64, share: f64) -> f64 {
    let rank = share * all as f64;
    let (mut lower, mut below) = (0.0, 0);
    for &(bound, count) in counts {
        if count as f64 >= rank {
            let within = (rank - below as f64) / (count - below).max(1) as f64;
            return lower + (bound - lower) * within;
        }
        (lower, below) = (bound, count);
    }
    lower
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::telemetry::StreamRecorder;

    #[test]
    fn a_sample_tells_what_happened_since_the_one_before() {
        let metrics = Metrics::new(false).unwrap();
        let model = metrics.model("m");
        let started = Instant::now();
        let mut history = History::new(metrics.clone(), 2, started);
        let models = || std::iter::once(&model);
        let begin = || {
            let arrived = Instant::now();
            StreamRecorder::start(Arc::new(model.clone()), metrics.streams.clone(), arrived)
        };
        let (mut one, two, mut three) = (begin(), begin(), begin());
        one.chunks(3);
        one.end(Outcome::Completed, None, None);
        three.end(Outcome::Cancelled, None, None);
        drop((one, two, three));
        metrics.rejections.count(tidegate_protocol::ErrorKind::QueueFull);
        let _four = begin();

        let sample = history.take(started + Duration::from_secs(1), models());
        assert_eq!((sample.started, sample.active, sample.pieces), (4, 1, 3));
        assert_eq!((sample.completed, sample.cancelled, sample.failed), (1, 1, 1));
        assert_eq!((sample.refused, sample.queued), (1, 0));
        assert!(sample.first_token.is_some());
        let row = serde_json::to_value(&sample).unwrap();
        assert_eq!(row.as_array().unwrap().len(), COLUMNS.len());
        assert_eq!((&row[0], &row[1]), (&1000.into(), &1000.into()));

        for second in 3..=4 {
            history.take(started + Duration::from_secs(second), models());
        }
        let took: Vec<_> = history.samples().map(|sample| sample.took.as_secs()).collect();
        assert_eq!(took, [2, 1], "one that is late counts more than a second");
        let kept: Vec<_> = history.samples().map(|sample| sample.at.as_secs()).collect();
        assert_eq!(kept, [3, 4], "the oldest go");
        assert_eq!(history.samples().map(|sample| sample.started).sum::<u64>(), 0);
    }

    #[test]
    fn quantiles_lie_within_their_bucket_and_forget_what_was_before() {
        let before = vec![(0.1, 100), (1.0, 100), (BEYOND, 100)];
        let after = vec![(0.1, 100), (1.0, 110), (BEYOND, 110)];
        let Quantiles { p50, p99 } = Quantiles::between(&before, &after).unwrap();
        assert!((p50 - 0.55).abs() < 1e-9 && p99 > 0.98 && p99 < 1.0, "{p50} {p99}");
        assert_eq!(Quantiles::between(&after, &after), None);
        assert_eq!(Quantiles::between(&after, &before), None, "a model is gone");
    }
}
