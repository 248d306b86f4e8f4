//! What it costs to choose a target, and to let it go: by each policy, among 8 to 10,000 targets, all in
//! order and with three of ten left alone.
//!
//! Run with `cargo bench --bench routing`. What grows with the number of targets grows with its
//! logarithm, or as a processor's caches grow short.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use divan::Bencher;
use tidegate::config::{Ejection, Policy, Price, ProviderKind, Routing, Target};
use tidegate::routing::{Fault, Fleet, Need};

const TARGETS: [usize; 4] = [8, 100, 1000, 10_000];
const SESSIONS: u64 = 4096;

fn main() {
    divan::main();
}

fn fleet(policy: Policy, count: usize, now: Instant) -> Arc<Fleet> {
    let target = |at: usize| Target {
        name: format!("target-{at}"),
        max_concurrency: 64,
        price: Price { input_micros: at as u64 % 4, output_micros: 1 },
        ..Target::of(ProviderKind::Vllm, "", "m")
    };
    let targets: Vec<_> = (0..count).map(target).collect();
    let rules = Ejection { open: Duration::from_secs(3600), ..Ejection::default() };
    let rules = Ejection { max_open: rules.open, ..rules };
    let routing = Routing { policy, ..Routing::default() };
    let fleet = Fleet::new(&targets, &routing, rules, 1, now);
    // All have answered, each as fast as it is.
    for target in 0..count {
        let need = Need { target: Some(target), ..Need::default() };
        if let Ok(mut pick) = fleet.pick(&need, &[], now) {
            pick.begun(now + Duration::from_millis(100 + target as u64 % 50));
            pick.succeeded(now + Duration::from_millis(200));
        }
    }
    fleet
}

fn eject(fleet: &Arc<Fleet>, count: usize, now: Instant) {
    for target in (0..count).filter(|target| target % 10 < 3) {
        for _ in 0..3 {
            let need = Need { target: Some(target), ..Need::default() };
            if let Ok(mut pick) = fleet.pick(&need, &[], now) {
                pick.failed(now, Fault::Failed);
            }
        }
    }
}

fn run(bencher: Bencher, policy: Policy, count: usize, ejects: bool) {
    let now = Instant::now();
    let fleet = fleet(policy, count, now);
    if ejects {
        eject(&fleet, count, now);
    }
    let need = |session| Need {
        session,
        prompt_tokens: 1000,
        prefixes: (0..8).map(|at| session * 8 + at).collect(),
        ..Need::default()
    };
    let needs: Vec<_> = (0..SESSIONS).map(need).collect();
    let (turn, clock) = (Cell::new(0), Cell::new(now + Duration::from_secs(1)));
    bencher.bench_local(|| {
        turn.set((turn.get() + 1) % needs.len());
        // A thousand requests a second.
        clock.set(clock.get() + Duration::from_millis(1));
        fleet.pick(&needs[turn.get()], &[], clock.get()).is_ok()
    });
}

macro_rules! benches {
    ($($name:ident: $policy:ident),*) => {
        mod all_in_order {
            use super::*;
            $(#[divan::bench(args = TARGETS)]
            fn $name(bencher: Bencher, targets: usize) {
                run(bencher, Policy::$policy, targets, false);
            })*
        }
        mod three_of_ten_ejected {
            use super::*;
            $(#[divan::bench(args = TARGETS)]
            fn $name(bencher: Bencher, targets: usize) {
                run(bencher, Policy::$policy, targets, true);
            })*
        }
    };
}

benches! {
    cheapest: Cheapest,
    fastest: Fastest,
    least_busy: LeastBusy,
    prefix: Prefix,
    score: Score,
    sticky: Sticky,
    weighted: Weighted
}
