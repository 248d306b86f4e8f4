//! Fleets over time: what they learn from how requests go, and whom they ask then.

use super::*;
use crate::config::ProviderKind;
use crate::routing::bed::{Bed, MILLI, SECOND, shares};
use crate::routing::need::Skills;

const POLICY: crate::config::Policy = crate::config::Policy::Fastest;

fn only(target: usize) -> Need {
    Need { target: Some(target), ..Need::default() }
}

fn circuit(bed: &Bed, target: usize) -> CircuitState {
    bed.fleet.states(bed.now)[target].circuit
}

#[test]
fn a_target_that_fails_is_left_alone_tried_once_and_comes_back_step_by_step() {
    let mut bed = Bed::new(POLICY, 2, |_| {});
    bed.warm(2);
    assert_eq!(bed.fleet.capacity(bed.now), 2000);
    bed.eject(0);
    assert_eq!((circuit(&bed, 0), bed.fleet.capacity(bed.now)), (CircuitState::Open, 1000));
    let refused = bed.fleet.pick(&only(0), &[], bed.now).err();
    assert_eq!(refused, Some(NoTarget::Down(5 * SECOND)));
    bed.now += 5 * SECOND;
    assert_eq!((circuit(&bed, 0), bed.fleet.capacity(bed.now)), (CircuitState::HalfOpen, 2000));
    let mut trial = bed.fleet.pick(&only(0), &[], bed.now).unwrap();
    let second = bed.fleet.pick(&only(0), &[], bed.now).err();
    assert_eq!(second, Some(NoTarget::Down(Duration::ZERO)), "one trial at a time");
    trial.begun(bed.now + 100 * MILLI);
    bed.now += SECOND;
    assert_eq!(circuit(&bed, 0), CircuitState::Closed, "its answer need not have ended");
    drop(trial);
    let early = bed.counts(1000, 2)[0];
    bed.now += 20 * SECOND;
    let late = bed.counts(1000, 2)[0];
    assert!((50..400).contains(&early) && late > 400, "{early} {late}");
}

#[test]
fn a_trial_that_is_given_up_leaves_room_for_another() {
    let mut bed = Bed::new(POLICY, 2, |_| {});
    bed.eject(0);
    bed.now += 5 * SECOND;
    drop(bed.fleet.pick(&only(0), &[], bed.now).unwrap());
    bed.fleet.pick(&only(0), &[], bed.now).unwrap().failed(bed.now, Fault::Failed);
    assert_eq!(bed.fleet.pick(&only(0), &[], bed.now).err(), Some(NoTarget::Down(10 * SECOND)));
}

#[test]
fn a_target_that_was_gone_is_asked_as_soon_as_a_probe_finds_it() {
    let bed = Bed::new(POLICY, 2, |_| {});
    for _ in 0..3 {
        bed.fleet.probed(0, false, bed.now);
    }
    assert_eq!(circuit(&bed, 0), CircuitState::Open);
    bed.fleet.probed(0, true, bed.now);
    assert_eq!(circuit(&bed, 0), CircuitState::HalfOpen);
    assert!(bed.fleet.pick(&only(0), &[], bed.now).is_ok());
}

#[test]
fn a_busy_target_cools_down_and_is_no_worse_for_it() {
    let bed = Bed::new(POLICY, 2, |_| {});
    let mut pick = bed.fleet.pick(&only(0), &[], bed.now).unwrap();
    pick.failed(bed.now, Fault::Busy(Some(2 * SECOND)));
    assert_eq!(circuit(&bed, 0), CircuitState::Cooling);
    assert_eq!(bed.fleet.pick(&only(0), &[], bed.now).err(), Some(NoTarget::Down(2 * SECOND)));
    assert!(bed.fleet.pick(&only(0), &[], bed.now + 2 * SECOND).is_ok());
}

#[test]
fn where_half_are_out_a_share_of_failures_ejects_no_more() {
    let mut bed = Bed::new(POLICY, 4, |_| {});
    for target in 0..4 {
        for number in 0..40 {
            // One in four, never two in a row.
            if let Ok(mut pick) = bed.fleet.pick(&only(target), &[], bed.now) {
                let fails = number % 4 == 0;
                if fails { pick.failed(bed.now, Fault::Failed) } else { pick.succeeded(bed.now) }
            }
        }
    }
    let open = |at: &usize| circuit(&bed, *at) == CircuitState::Open;
    assert_eq!((0..4).filter(open).count(), 2);
    bed.eject(3);
    assert_eq!(circuit(&bed, 3), CircuitState::Open, "who fails every time is out all the same");
}

#[test]
fn a_target_that_hangs_is_avoided_long_before_anybody_gives_up() {
    let mut bed = Bed::new(POLICY, 4, |_| {});
    bed.warm(4);
    let hanging = bed.fleet.pick(&only(0), &[], bed.now).unwrap();
    bed.now += 500 * MILLI;
    assert_eq!(bed.counts(300, 4)[0], 0);
    drop(hanging);
    assert!(bed.counts(300, 4)[0] > 30, "nobody waits there any more");
}

#[test]
fn another_attempt_goes_to_who_is_known_to_be_up() {
    let mut bed = Bed::new(crate::config::Policy::Weighted, 20, |_| {});
    for _ in 0..5 {
        bed.need.target = Some(13);
        bed.answered(|_| 100 * MILLI);
    }
    for target in [3, 4] {
        bed.fleet.pick(&only(target), &[], bed.now).unwrap().failed(bed.now, Fault::Failed);
    }
    bed.need.target = None;
    for _ in 0..20 {
        let pick = bed.fleet.pick(&bed.need, &[3], bed.now).unwrap();
        assert!(pick.is_proven(bed.now) && pick.target() == 13, "{}", pick.target());
    }
}

#[test]
fn why_there_is_none_is_told() {
    let mut bed = Bed::new(POLICY, 3, |targets| {
        for target in targets.iter_mut() {
            target.max_concurrency = 1;
        }
        targets[0].abilities.images = false;
        targets[1].abilities.images = false;
    });
    let none = |bed: &Bed, need: &Need, tried: &[usize]| {
        bed.fleet.pick(need, tried, bed.now).err().unwrap()
    };
    let skills = Skills { images: true, ..Skills::default() };
    let images = Need { skills, ..Need::default() };
    let all = Need { skills, unfit: vec![ProviderKind::Vllm], ..Need::default() };
    assert_eq!(none(&bed, &all, &[]), NoTarget::Unable);
    assert!(bed.fleet.is_able(&images) && !bed.fleet.is_able(&all));
    assert!(!bed.fleet.is_able(&Need { target: Some(0), ..images.clone() }));
    assert_eq!(none(&bed, &images, &[2]), NoTarget::Tried);
    let held = bed.fleet.pick(&images, &[], bed.now).unwrap();
    assert_eq!((held.target(), none(&bed, &images, &[])), (2, NoTarget::Busy));
    drop(held);
    bed.eject(2);
    assert_eq!(none(&bed, &images, &[]), NoTarget::Down(5 * SECOND));
    assert_eq!(none(&bed, &only(9), &[]), NoTarget::Unable, "there is no such target");
    bed.now += 6 * SECOND;
    assert!(bed.fleet.pick(&images, &[], bed.now).is_ok());
}

#[test]
fn one_that_is_alone_is_always_asked() {
    let bed = Bed::new(POLICY, 1, |targets| targets[0].max_concurrency = 1);
    let _held: Vec<_> = (0..10)
        .map(|_| {
            let mut pick = bed.fleet.pick(&Need::default(), &[], bed.now).unwrap();
            pick.failed(bed.now, Fault::Failed);
            pick
        })
        .collect();
    assert!(bed.fleet.pick(&Need::default(), &[], bed.now).is_ok());
}

#[test]
fn what_an_upstream_says_of_its_load_counts() {
    let mut bed = Bed::new(crate::config::Policy::LeastBusy, 2, |_| {});
    bed.fleet.told_load(0, Some(Load { running: 2, waiting: 3, cache: None }));
    let held: Vec<_> = (0..7).map(|_| bed.pick()).collect();
    assert_eq!(shares(&held, 2), [1, 6]);
    bed.fleet.told_load(0, None);
    assert_eq!(bed.pick().target(), 0);
}
