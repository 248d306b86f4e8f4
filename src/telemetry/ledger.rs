//! All streams of one gateway, counted together: begun, alive, and ended by outcome.
//!
//! A stream moves from alive to its outcome in one step, and a scrape reads between steps. So over all
//! models `started = active + the sum of all outcomes` holds in every scrape, not only at rest, and a
//! stream that is lost or counted twice can be seen at once. A model that is gone takes both sides along.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts};
use tidegate_protocol::Outcome;

use super::series;

/// The count of all streams; clones share it.
#[derive(Clone)]
pub struct Ledger(Arc<Page>);

/// What one worker writes.
struct Page {
    shared: Arc<Shared>,
    /// Pieces of answers passed on, counted on the worker's own thread so that no core waits for
    /// another's cache line.
    pieces: Arc<AtomicU64>,
}

struct Shared {
    /// Held for a step, and for a scrape.
    all: Mutex<All>,
    /// Of every worker there has been.
    pieces: Mutex<Vec<Arc<AtomicU64>>>,
    started: IntCounterVec,
    active: IntGauge,
    ended: IntCounterVec,
}

/// Of all models, those that are gone too.
#[derive(Default)]
struct All {
    started: u64,
    ended: PerOutcome<u64>,
}

/// In the order of [`Outcome::ALL`], which is that of their declaration.
type PerOutcome<T> = [T; Outcome::ALL.len()];

/// Where the streams of one model are counted.
#[derive(Clone)]
pub struct ModelStreams {
    started: IntCounter,
    ended: PerOutcome<IntCounter>,
}

impl Ledger {
    pub(super) fn new() -> prometheus::Result<Self> {
        let started = Opts::new("ai_gateway_streams_started_total", "Streams that were opened.");
        let active = Opts::new(
            "ai_gateway_active_streams",
            "Streams alive now: queued, connecting, waiting or streaming.",
        );
        let ended = Opts::new("ai_gateway_streams_total", "Streams that ended, by outcome.");
        let shared = Shared {
            all: Mutex::default(),
            pieces: Mutex::default(),
            started: IntCounterVec::new(started, &["model"])?,
            active: IntGauge::with_opts(active)?,
            ended: IntCounterVec::new(ended, &["model", "status"])?,
        };
        Ok(Self::page_of(Arc::new(shared)))
    }

    fn page_of(shared: Arc<Shared>) -> Self {
        let pieces = Arc::new(AtomicU64::new(0));
        let mut all = shared.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::clone(&pieces));
        drop(all);
        Self(Arc::new(Page { shared, pieces }))
    }

    /// The same count, with a place of its own for what one worker counts for each batch.
    #[must_use]
    pub fn for_worker(&self) -> Self {
        Self::page_of(Arc::clone(&self.0.shared))
    }

    /// Where the streams of a model are counted. Each outcome has its series from the start: a rate misses
    /// the first count of one that begins with it.
    pub(super) fn of(&self, model: &str) -> ModelStreams {
        let Shared { started, ended, .. } = &*self.0.shared;
        ModelStreams {
            started: started.with_label_values(&[model]),
            ended: Outcome::ALL.map(|outcome| ended.with_label_values(&[model, outcome.as_str()])),
        }
    }

    /// Removes the series of a model that has no streams any more.
    pub(super) fn remove(&self, model: &str) {
        let Shared { started, ended, .. } = &*self.0.shared;
        let _step = self.0.shared.step();
        series::remove(started, &[("model", model)]);
        series::remove(ended, &[("model", model)]);
    }

    /// A stream was opened.
    pub fn begin(&self, model: &ModelStreams) {
        let mut all = self.0.shared.step();
        all.started += 1;
        model.started.inc();
        self.0.shared.active.inc();
    }

    /// So many pieces of an answer were passed on.
    pub fn passed(&self, pieces: u32) {
        self.0.pieces.fetch_add(u64::from(pieces), Ordering::Relaxed);
    }

    /// A stream that was opened has ended.
    pub fn end(&self, model: &ModelStreams, outcome: Outcome) {
        let mut all = self.0.shared.step();
        all.ended[outcome as usize] += 1;
        model.ended[outcome as usize].inc();
        self.0.shared.active.dec();
    }

    /// All of it, at one moment.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let shared = &self.0.shared;
        let pieces = shared.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        let pieces = pieces.iter().map(|pieces| pieces.load(Ordering::Relaxed)).sum();
        let all = shared.step();
        Tally {
            started: all.started,
            active: all.started - all.ended.iter().sum::<u64>(),
            ended: Outcome::ALL.map(|outcome| (outcome, all.ended[outcome as usize])),
            pieces,
        }
    }
}

/// What a ledger holds at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    pub started: u64,
    pub active: u64,
    pub ended: PerOutcome<(Outcome, u64)>,
    /// Pieces of answers passed on.
    pub pieces: u64,
}

impl Shared {
    /// What it guards cannot be left half done: nothing in a step can panic.
    fn step(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Ledger {
    fn desc(&self) -> Vec<&Desc> {
        let Shared { started, active, ended, .. } = &*self.0.shared;
        [started.desc(), active.desc(), ended.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Shared { started, active, ended, .. } = &*self.0.shared;
        let _step = self.0.shared.step();
        [started.collect(), active.collect(), ended.collect()].concat()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    /// Started, active, and the sum of the outcomes, as one scrape tells them.
    fn scrape(ledger: &Ledger) -> [f64; 3] {
        let families = ledger.collect();
        let sum = |family: &MetricFamily| {
            let each = family.get_metric().iter();
            each.map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
                .sum()
        };
        [sum(&families[0]), sum(&families[1]), sum(&families[2])]
    }

    #[test]
    fn a_tally_has_what_every_worker_counted() {
        let ledger = Ledger::new().unwrap();
        let workers =
            [(ledger.for_worker(), ledger.of("a")), (ledger.for_worker(), ledger.of("b"))];
        for (worker, model) in &workers {
            worker.begin(model);
            worker.passed(2);
        }
        let [(worker, model), _] = &workers;
        worker.end(model, Outcome::Truncated);
        drop(workers);
        // What was counted of a model that is gone stays counted.
        ledger.remove("a");
        let Tally { started, active, ended, pieces } = ledger.tally();
        assert_eq!((started, active, pieces), (2, 1, 4));
        let counted: Vec<_> = ended.into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [(Outcome::Truncated, 1)]);
    }

    #[test]
    fn every_scrape_adds_up_while_streams_begin_and_end() {
        // So many scrapes that each find other streams than the one before.
        const SCRAPES: usize = 200;
        let ledger = Ledger::new().unwrap();
        let is_over = AtomicBool::new(false);
        let work = |model| {
            let (model, mut streams) = (ledger.of(model), 0.0);
            while !is_over.load(Ordering::Relaxed) {
                ledger.begin(&model);
                ledger.end(&model, Outcome::Completed);
                streams += 1.0;
            }
            streams
        };
        thread::scope(|scope| {
            let workers = ["a", "b"].map(|model| scope.spawn(move || work(model)));
            let (mut scrapes, mut before) = (Vec::new(), 0.0);
            while scrapes.len() < SCRAPES {
                let scrape @ [started, ..] = scrape(&ledger);
                if started > before {
                    scrapes.push(scrape);
                }
                before = started;
            }
            is_over.store(true, Ordering::Relaxed);
            let all: f64 = workers.map(|worker| worker.join().unwrap()).iter().sum();
            let [started, active, ended] = scrape(&ledger);
            assert!((started - all).abs() + active.abs() + (ended - all).abs() < 0.5);
            for [started, active, ended] in scrapes {
                assert!((started - active - ended).abs() < 0.5, "{started} {active} {ended}");
            }
        });
    }
}
