//! What becomes of the records of one signal: bounded, counted, and told when they are lost.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use opentelemetry_sdk::error::OTelSdkError;
use prometheus::IntCounter;

use super::Signal;
use super::metrics::{Fate, OtlpMetrics};

/// A collector that is down is told of so often.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// The way of the records of one signal.
#[derive(Debug)]
pub(super) struct Delivery {
    signal: Signal,
    /// How many records may wait.
    limit: usize,
    waiting: AtomicUsize,
    sent: IntCounter,
    failed: IntCounter,
    dropped: IntCounter,
    dropped_untold: AtomicU64,
    state: Mutex<State>,
}

/// Only the thread that sends looks at it, and the client that it sends by.
#[derive(Debug, Default)]
struct State {
    /// Of the request under way.
    answer: Answer,
    failed_untold: u64,
    /// The last line says that records are lost.
    is_told: bool,
    told: Option<Instant>,
}

/// What the exporter's own error does not say.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// What the collector did not take of a request that it answered with success.
    pub rejected: u64,
    pub fault: Option<String>,
}

impl Delivery {
    pub(super) fn new(signal: Signal, limit: usize, metrics: &OtlpMetrics) -> Self {
        Self {
            signal,
            limit,
            waiting: AtomicUsize::new(0),
            sent: metrics.counter(signal, Fate::Sent),
            failed: metrics.counter(signal, Fate::Failed),
            dropped: metrics.counter(signal, Fate::Dropped),
            dropped_untold: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// Whether there is room for one more record. Waits for nothing.
    pub(super) fn admit(&self) -> bool {
        let room = |waiting| (waiting < self.limit).then_some(waiting + 1);
        let admitted = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room);
        if admitted.is_err() {
            self.dropped.inc();
            self.dropped_untold.fetch_add(1, Ordering::Relaxed);
        }
        admitted.is_ok()
    }

    /// So many records wait no longer.
    pub(super) fn taken(&self, records: usize) {
        self.waiting.fetch_sub(records, Ordering::Relaxed);
    }

    /// What the client has learnt.
    pub(super) fn answered(&self, answer: Answer) {
        if let Ok(mut state) = self.state.lock() {
            state.answer = answer;
        }
    }

    /// A request with so many records came to this.
    pub(super) fn settle(&self, records: usize, result: Result<(), OTelSdkError>) {
        let Ok(mut state) = self.state.lock() else { return };
        let Answer { rejected, fault } = std::mem::take(&mut state.answer);
        let records = records as u64;
        let failed = if result.is_ok() { rejected.min(records) } else { records };
        self.failed.inc_by(failed);
        self.sent.inc_by(records - failed);
        state.failed_untold += failed;
        if failed > 0 {
            let fault = fault.or(result.err().map(|error| error.to_string()));
            self.tell(&mut state, fault.as_deref().unwrap_or("the collector rejected them"));
        } else if std::mem::take(&mut state.is_told) {
            let (lost, dropped) = self.untold(&mut state);
            let signal = self.signal.as_str();
            tracing::info!(signal, lost, dropped, "the collector takes telemetry again");
        } else if self.dropped_untold.load(Ordering::Relaxed) > 0 {
            self.tell(&mut state, "more is recorded than it takes");
        }
    }

    /// A line a minute, whatever is lost and however often it goes well in between.
    fn tell(&self, state: &mut State, fault: &str) {
        if state.told.is_some_and(|told| told.elapsed() < TOLD_EVERY) {
            return;
        }
        state.told = Some(Instant::now());
        state.is_told = true;
        let (lost, dropped) = self.untold(state);
        let signal = self.signal.as_str();
        tracing::warn!(signal, lost, dropped, fault, "telemetry does not reach the collector");
    }

    fn untold(&self, state: &mut State) -> (u64, u64) {
        let dropped = self.dropped_untold.swap(0, Ordering::Relaxed);
        (std::mem::take(&mut state.failed_untold), dropped)
    }
}
