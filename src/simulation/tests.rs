//! What a simulation must show, small enough for every build.

use std::time::Duration;

use super::replica::{Behaviour, mix};
use super::report::{Report, Row};
use super::traffic::Traffic;
use super::{Options, run};
use crate::config::{Config, Policy};

fn options(replicas: usize, policies: &[Policy]) -> Options {
    let health = Config::parse("", []).unwrap().config.health;
    let policies = policies.to_vec();
    Options { replicas, policies, requests: 6000, ..Options::new(&health) }
}

fn row(report: &Report, policy: Policy) -> &Row {
    report.rows.iter().find(|row| row.name == policy.as_str()).unwrap()
}

#[test]
fn the_default_policy_is_as_good_as_the_healthy_alone_and_turns_are_not() {
    for replicas in [8, 40] {
        let report = run(&options(replicas, &[Policy::Fastest, Policy::Weighted])).unwrap();
        let (fastest, turns) = (row(&report, Policy::Fastest), row(&report, Policy::Weighted));
        assert!(fastest.p99 <= 1.3 * report.reference.p99, "{report}");
        assert!(turns.p99 >= 3.0 * fastest.p99, "{report}");
        assert!(fastest.back_after <= 10.0, "{report}");
    }
}

#[test]
fn nobody_gets_an_error_where_any_target_could_answer() {
    for (replicas, seed) in [(8, 1), (8, 2), (40, 1), (200, 1)] {
        let options = Options { seed, ..options(replicas, &[Policy::Fastest]) };
        let report = run(&options).unwrap();
        assert_eq!(row(&report, Policy::Fastest).errors, 0, "{report}");
    }
}

#[test]
fn the_same_seed_gives_the_same_results_and_another_seed_others() {
    let told = |seed| {
        let options = Options { seed, requests: 1000, ..options(10, &Policy::ALL) };
        let report = run(&options).unwrap();
        let told = report
            .rows
            .iter()
            .map(|row| (row.p99.to_bits(), row.attempts_per_request.to_bits(), row.cost.to_bits()));
        told.collect::<Vec<_>>()
    };
    assert_eq!(told(3), told(3));
    assert_ne!(told(3), told(4));
}

#[test]
fn each_policy_is_best_at_what_it_is_for() {
    let all = run(&options(40, &Policy::ALL)).unwrap();
    let best = |by: fn(&Row) -> f64| {
        all.rows.iter().min_by(|a, b| by(a).total_cmp(&by(b))).unwrap().name.clone()
    };
    assert_eq!(best(|row| row.cost), "cheapest", "{all}");
    assert!(["prefix", "sticky"].contains(&&*best(|row| -row.cache_hits)), "{all}");
    assert!(
        row(&all, Policy::Prefix).cache_hits > 1.3 * row(&all, Policy::Fastest).cache_hits,
        "{all}"
    );
}

#[test]
fn with_nobody_there_each_request_is_tried_twice_at_most() {
    let options = Options { requests: 2000, ..options(8, &[]) };
    let traffic = Traffic::synthetic(&options, 3);
    let fleet = [Behaviour::Hangs; 8];
    let engine = super::engine::Engine::new(&options, Policy::Fastest, &fleet, &traffic);
    let outcome = engine.run();
    assert_eq!(outcome.errors, 2000);
    assert!(outcome.attempts <= 2 * 2000, "{}", outcome.attempts);
    assert!(outcome.attempts < 1000, "the circuits are open: {}", outcome.attempts);
}

#[test]
fn traffic_takes_the_load_that_is_asked_for_and_its_conversations_grow() {
    let options = options(8, &[]);
    let traffic = Traffic::synthetic(&options, 3);
    assert_eq!(traffic.requests.len(), 6000);
    assert!(traffic.requests.is_sorted_by_key(|asked| asked.at));
    let longest = traffic.requests.iter().map(|asked| asked.need.prefixes.len()).max().unwrap();
    assert!((10..=24).contains(&longest), "{longest}");
    let twice = Traffic::synthetic(&Options { load: 1.2, ..options }, 3);
    let last = |traffic: &Traffic| traffic.requests.last().unwrap().at;
    assert!(last(&traffic).abs_diff(last(&twice) * 2) < Duration::from_secs(1));
}

#[test]
fn of_every_eight_three_are_in_order() {
    let healthy = |count| mix(count).iter().filter(|b| **b == Behaviour::Healthy).count();
    assert_eq!([healthy(8), healthy(10), healthy(1000)], [3, 4, 375]);
}
