//! A fleet for tests, and a clock that goes when it is told to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::{Ejection, Policy, ProviderKind, Routing, Target};
use crate::routing::{Fault, Fleet, Need, Pick};

pub const MILLI: Duration = Duration::from_millis(1);
pub const SECOND: Duration = Duration::from_secs(1);

/// A fleet, and a clock that goes when it is told to.
pub struct Bed {
    pub fleet: Arc<Fleet>,
    pub now: Instant,
    pub need: Need,
}

impl Bed {
    pub fn new(policy: Policy, count: usize, change: impl Fn(&mut [Target])) -> Self {
        let target = |at| Target {
            name: format!("t{at}"),
            max_concurrency: 1000,
            ..Target::of(ProviderKind::Vllm, "", "m")
        };
        let mut targets: Vec<_> = (0..count).map(target).collect();
        change(&mut targets);
        let routing = Routing { policy, prefix_entries: 1000, ..Routing::default() };
        let now = Instant::now();
        let fleet = Fleet::new(&targets, &routing, Ejection::default(), 7, now);
        Self { fleet, now, need: Need::default() }
    }

    pub fn pick(&mut self) -> Pick {
        self.fleet.pick(&self.need, &[], self.now).unwrap()
    }

    /// A request that is answered after `time` of a target's, and is over.
    pub fn answered(&mut self, time: impl Fn(usize) -> Duration) -> usize {
        let mut pick = self.pick();
        let target = pick.target();
        let then = self.now + time(target);
        pick.begun(then);
        pick.succeeded(then);
        self.now += MILLI;
        target
    }

    /// Lets each target answer once, all as fast.
    pub fn warm(&mut self, targets: usize) {
        for target in 0..targets {
            self.need.target = Some(target);
            self.answered(|_| 100 * MILLI);
        }
        self.need.target = None;
    }

    /// Fails so often that the circuit opens.
    pub fn eject(&mut self, target: usize) {
        for _ in 0..3 {
            let need = Need { target: Some(target), ..Need::default() };
            self.fleet.pick(&need, &[], self.now).unwrap().failed(self.now, Fault::Failed);
        }
    }

    /// How many of `count` requests, each over at once, every target gets.
    pub fn counts(&mut self, count: usize, targets: usize) -> Vec<usize> {
        let mut counts = vec![0; targets];
        for _ in 0..count {
            counts[self.answered(|_| 100 * MILLI)] += 1;
        }
        counts
    }
}

/// How many of these requests each target has.
pub fn shares(picks: &[Pick], targets: usize) -> Vec<usize> {
    let mut counts = vec![0; targets];
    for pick in picks {
        counts[pick.target()] += 1;
    }
    counts
}
